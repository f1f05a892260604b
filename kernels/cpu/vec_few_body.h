/* vec_few_body.h - part of vec_body.h: products with so few rows on the left that packing would
 * cost more than the sums. Each 16 lines of the right operand are turned in registers, 16 terms at
 * a time; the chains are those of the tiles.
 */

static __attribute__((noinline)) void turn_there(vu r[LANES])
{
    turn(r);
}

/* TERM(av, bv, c) as in TILE; KIND: how the right operand's terms lie in memory. NAME_rest: some of
 * 16 terms of some of 16 lines. */
#define FEW_REST(NAME, KIND, ELEM, ALL, TERM)                                                      \
    static __attribute__((noinline)) void NAME##_rest(float *acc, size_t stride, int m,            \
                                                      const ELEM *a, int64_t lda, const char *b,   \
                                                      size_t pitch, int64_t n, int64_t k)          \
    {                                                                                              \
        vu r[LANES];                                                                               \
                                                                                                   \
        for (int i = 0; i < LANES; i++)                                                            \
            r[i] = i < n ? vec_units(b + (size_t)i * pitch, KIND, 0, k) : (vu){0};                 \
        turn_there(r);                                                                             \
        for (int i = 0; i < m; i++) {                                                              \
            vf c = vec_load(acc + (size_t)i * stride);                                             \
            for (int64_t p = 0; p < k; p++)                                                        \
                c = TERM(ALL(a[i * lda + p]), (vf)r[p], c);                                        \
            vec_store(acc + (size_t)i * stride, c);                                                \
        }                                                                                          \
    }

/* All terms of 16 whole lines that come in sixteens, for `rows` rows of which m are there. */
#if defined(__AVX512F__)
#define FEW_WHOLE(NAME, KIND, ELEM, ALL, TERM)                                                     \
    static inline __attribute__((always_inline)) void NAME##_whole(                                \
        float *acc, size_t stride, const int rows, int m, const ELEM *a, int64_t lda,              \
        const char *b, size_t pitch, int64_t k)                                                    \
    {                                                                                              \
        vf c[DS_FEW];                                                                              \
        const ELEM *x[DS_FEW];                                                                     \
                                                                                                   \
        for (int i = 0; i < rows; i++) {                                                           \
            x[i] = a + (i < m ? i : 0) * lda;                                                      \
            c[i] = vec_load(acc + (size_t)(i < m ? i : 0) * stride);                               \
        }                                                                                          \
        for (int64_t at = 0; at < k; at += LANES) {                                                \
            vu r[LANES];                                                                           \
            for (int i = 0; i < LANES; i++) {                                                      \
                const char *line = b + (size_t)i * pitch;                                          \
                __builtin_prefetch(line + (size_t)at * UNIT_SIZE(KIND) + AHEAD);                   \
                r[i] = vec_units(line, KIND, at, LANES);                                           \
            }                                                                                      \
            turn(r);                                                                               \
            _Pragma("GCC unroll 16") for (int p = 0; p < LANES; p++) for (int i = 0; i < rows;     \
                                                                          i++) c[i] =              \
                TERM(ALL(x[i][at + p]), (vf)r[p], c[i]);                                           \
        }                                                                                          \
        for (int i = 0; i < rows && i < m; i++)                                                    \
            vec_store(acc + (size_t)i * stride, c[i]);                                             \
    }
#else
#define FEW_WHOLE(NAME, KIND, ELEM, ALL, TERM)                                                     \
    static void NAME##_whole(float *acc, size_t stride, const int rows, int m, const ELEM *a,      \
                             int64_t lda, const char *b, size_t pitch, int64_t k)                  \
    {                                                                                              \
        (void)rows;                                                                                \
        for (int64_t at = 0; at < k; at += LANES)                                                  \
            NAME##_rest(acc, stride, m, a + at, lda, b + (size_t)at * UNIT_SIZE(KIND), pitch,      \
                        LANES, LANES);                                                             \
    }
#endif

#define FEW(NAME, KIND, ELEM, ALL, TERM)                                                           \
    FEW_REST(NAME, KIND, ELEM, ALL, TERM)                                                          \
    FEW_WHOLE(NAME, KIND, ELEM, ALL, TERM)                                                         \
    static __attribute__((noinline)) void NAME(float *acc, size_t stride, int m, const void *pa,   \
                                               int64_t lda, const void *pb, size_t pitch,          \
                                               int64_t n, int64_t k)                               \
    {                                                                                              \
        const ELEM *a = pa;                                                                        \
        const char *b = pb;                                                                        \
                                                                                                   \
        for (; n > 0; n -= LANES, acc += LANES, b += LANES * pitch) {                              \
            int64_t at = n >= LANES ? k / LANES * LANES : 0;                                       \
            if (at && m == 1)                                                                      \
                NAME##_whole(acc, stride, 1, m, a, lda, b, pitch, at);                             \
            else if (at)                                                                           \
                NAME##_whole(acc, stride, DS_FEW, m, a, lda, b, pitch, at);                        \
            for (; at < k; at += LANES)                                                            \
                NAME##_rest(acc, stride, m, a + at, lda, b + (size_t)at * UNIT_SIZE(KIND), pitch,  \
                            n < LANES ? n : LANES, k - at < LANES ? k - at : LANES);               \
        }                                                                                          \
    }

FEW(few, UNIT_F32, float, vec_all, vec_fma)
FEW(few_bf16, UNIT_BF16, float, vec_all, vec_fma)
FEW(few_f16, UNIT_F16, float, vec_all, vec_fma)

#if defined(__AVX512BF16__)
FEW(few_pairs, UNIT_PAIR, uint32_t, vec_pair_all, vec_dot2)
#define FEW_PAIRS few_pairs
#else
#define FEW_PAIRS NULL
#endif

#if defined(__FMA__)
static void few_flush(float *acc, size_t stride, int m, const void *a, int64_t lda, const void *b,
                      size_t pitch, int64_t n, int64_t k)
{
    const unsigned csr = flush_begin();

    few_bf16(acc, stride, m, a, lda, b, pitch, n, k);
    _mm_setcsr(csr);
}
#else
static inline vf vec_fma_flush(vf a, vf b, vf c)
{
    for (int i = 0; i < LANES; i++)
        c[i] = fma_flush(a[i], b[i], c[i]);
    return c;
}

FEW(few_flush, UNIT_BF16, float, vec_all, vec_fma_flush)
#endif
