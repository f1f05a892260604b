/* vec_tile_body.h - part of vec_body.h: the register tiles of the matrix product, and the packing
 * of the panels that they read. */

/* ---- tiles ---- */

#if defined(__FMA__) && !defined(__AVX512F__)
/* The generic tile below, in registers of 8: a vector of 16 would live in memory here. */
static __attribute__((noinline)) VEC_LOOKED void tile(float *acc, size_t stride, const void *pa,
                                                      const void *pb, int64_t k)
{
    const float *a = pa, *b = pb;
    __m256 c[MR][2];

    vec_look_rows(acc, stride, MR, sizeof c[0]);
    vec_look(pa, sizeof(float) * MR * (size_t)k);
    vec_look(pb, sizeof(float) * LANES * (size_t)k);
    for (int i = 0; i < MR; i++)
        for (int j = 0; j < 2; j++)
            c[i][j] = _mm256_loadu_ps(acc + (size_t)i * stride + j * 8);
    for (int64_t p = 0; p < k; p++) {
        const __m256 b0 = _mm256_loadu_ps(b), b1 = _mm256_loadu_ps(b + 8);
#pragma GCC unroll 8
        for (int i = 0; i < MR; i++) {
            const __m256 av = _mm256_broadcast_ss(a + i);
            c[i][0] = _mm256_fmadd_ps(av, b0, c[i][0]);
            c[i][1] = _mm256_fmadd_ps(av, b1, c[i][1]);
        }
        a += MR;
        b += LANES;
    }
    for (int i = 0; i < MR; i++)
        for (int j = 0; j < 2; j++)
            _mm256_storeu_ps(acc + (size_t)i * stride + j * 8, c[i][j]);
}
#else
/* Panels of the left operand come from far away when the first panel of the right one meets them.
 * Elements, in steps of MR. */
#define AHEAD_LEFT (64 * MR)

/* What one step reads of the right operand's panel lies NV * LANES floats behind that of the one
 * before. */
#define RIGHT_BYTES(WIDE, k) ((k) > 0 ? (((size_t)(k)-1) * NV + (WIDE)) * LANES * sizeof(float) : 0)

/* TERM(av, bv, c): one step of a chain, or two. A vector of a is one element in all lanes. */
#define TILE(NAME, WIDE, ELEM, ALL, TERM)                                                          \
    static __attribute__((noinline)) VEC_LOOKED void NAME(                                         \
        float *acc, size_t stride, const void *pa, const void *pb, int64_t k)                      \
    {                                                                                              \
        const ELEM *a = pa;                                                                        \
        const float *b = pb;                                                                       \
        vf c[MR][WIDE];                                                                            \
                                                                                                   \
        vec_look_rows(acc, stride, MR, sizeof c[0]);                                               \
        vec_look(pa, sizeof(ELEM) * MR * (size_t)k);                                               \
        vec_look(pb, RIGHT_BYTES(WIDE, k));                                                        \
        for (int i = 0; i < MR; i++)                                                               \
            for (int j = 0; j < (WIDE); j++)                                                       \
                c[i][j] = vec_load(acc + (size_t)i * stride + j * LANES);                          \
        for (int64_t p = 0; p < k; p++) {                                                          \
            vf bv[WIDE];                                                                           \
            for (int j = 0; j < (WIDE); j++)                                                       \
                bv[j] = vec_load(b + j * LANES);                                                   \
            _Pragma("GCC unroll 16") for (int i = 0; i < MR; i++)                                  \
            {                                                                                      \
                const vf av = ALL(a[i]);                                                           \
                _Pragma("GCC unroll 4") for (int j = 0; j < (WIDE); j++) c[i][j] =                 \
                    TERM(av, bv[j], c[i][j]);                                                      \
            }                                                                                      \
            __builtin_prefetch(a + AHEAD_LEFT);                                                    \
            a += MR;                                                                               \
            b += NV * LANES;                                                                       \
        }                                                                                          \
        for (int i = 0; i < MR; i++)                                                               \
            for (int j = 0; j < (WIDE); j++)                                                       \
                vec_store(acc + (size_t)i * stride + j * LANES, c[i][j]);                          \
    }

TILE(tile, NV, float, vec_all, vec_fma)
#endif

#if defined(__AVX512F__)
TILE(tile_half, 1, float, vec_all, vec_fma)
#define TILE_HALF tile_half
#else
#define TILE_HALF NULL
#endif

#if defined(__AVX512BF16__)
static VEC_INLINE vf vec_pair_all(uint32_t x)
{
    return (vf)_mm512_set1_epi32((int)x);
}

static VEC_INLINE vf vec_dot2(vf a, vf b, vf c)
{
    return (vf)_mm512_dpbf16_ps((__m512)c, (__m512bh)(__m512i)a, (__m512bh)(__m512i)b);
}

TILE(tile_pairs, NV, uint32_t, vec_pair_all, vec_dot2)
TILE(tile_pairs_half, 1, uint32_t, vec_pair_all, vec_dot2)
#define TILE_PAIRS tile_pairs
#define TILE_PAIRS_HALF tile_pairs_half
#else
#define TILE_PAIRS NULL
#define TILE_PAIRS_HALF NULL
#endif

#if defined(__FMA__)
/* Flush to zero, denormals are zero: bits 15 and 6 of the control register, of which the old value
 * is returned. */
static inline unsigned flush_begin(void)
{
    const unsigned csr = _mm_getcsr();

    _mm_setcsr(csr | 0x8040u);
    return csr;
}

static void tile_flush(float *acc, size_t stride, const void *a, const void *b, int64_t k)
{
    const unsigned csr = flush_begin();

    tile(acc, stride, a, b, k);
    _mm_setcsr(csr);
}
#else
static float no_subnormal(float x)
{
    return fabsf(x) < FLT_MIN ? copysignf(0.0f, x) : x;
}

/* fma(a, b, c) as processors have it with subnormals off. A result is too small when it would be
 * with 24 bits and an exponent without end: that which rounds up to FLT_MIN only because subnormals
 * have fewer bits, is 0. The product of two bf16 numbers is exact in double. */
static float fma_flush(float a, float b, float c)
{
    a = no_subnormal(a);
    b = no_subnormal(b);
    c = no_subnormal(c);
    const float r = fmaf(a, b, c);
    if (fabsf(r) != FLT_MIN)
        return no_subnormal(r);
    const double x = r < 0 ? -(double)a * (double)b : (double)a * (double)b;
    const double y = r < 0 ? -(double)c : (double)c, s = x + y, edge = (double)FLT_MIN - 0x1p-151;
    const double part = s - x, lost = (x - (s - part)) + (y - part);
    return s < edge || (s <= edge && lost < 0) ? copysignf(0.0f, r) : r;
}

static void tile_flush(float *acc, size_t stride, const void *pa, const void *pb, int64_t k)
{
    const float *a = pa, *b = pb;

    for (int i = 0; i < MR; i++)
        for (int j = 0; j < NV * LANES; j++) {
            float s = acc[(size_t)i * stride + (size_t)j];
            for (int64_t p = 0; p < k; p++)
                s = fma_flush(a[p * MR + i], b[p * NV * LANES + j], s);
            acc[(size_t)i * stride + (size_t)j] = s;
        }
}
#endif

/* ---- packing ---- */

/* What lies behind a panel's element: f32, bf16 or f16 that becomes f32, or a pair of bf16. */
enum unit { UNIT_F32, UNIT_BF16, UNIT_F16, UNIT_PAIR };

typedef uint16_t vh __attribute__((vector_size(32), aligned(2)));

#define UNIT_SIZE(KIND) ((KIND) == UNIT_BF16 || (KIND) == UNIT_F16 ? 2 : 4)

/* Lines and rows are a page or more apart, so the processor would look ahead late. */
#define AHEAD 512 /* bytes of a line */
#define ROWS_AHEAD 16

static inline vu vec_halves(const uint16_t *p, int64_t n) /* n of 16, zeros after them */
{
#if defined(__AVX512F__)
    const __mmask16 some = n >= LANES ? 0xffff : (__mmask16)((1u << n) - 1);
    return (vu)_mm512_cvtepu16_epi32(_mm256_maskz_loadu_epi16(some, p));
#else
    vh h = {0};
    if (n >= LANES)
        memcpy(&h, p, sizeof h);
    else
        memcpy(&h, p, (size_t)n * sizeof *p);
    return __builtin_convertvector(h, vu);
#endif
}

static inline vf vec_f16(const uint16_t *p, int64_t n) /* n of 16, zeros after them */
{
#if defined(__AVX512F__)
    const __mmask16 some = n >= LANES ? 0xffff : (__mmask16)((1u << n) - 1);
    return (vf)_mm512_cvtph_ps(_mm256_maskz_loadu_epi16(some, p));
#else
    uint16_t h[LANES] = {0};
    vf v;
    memcpy(h, p, (size_t)(n < LANES ? n : LANES) * sizeof *p);
#if defined(__F16C__)
    const __m256 half[2] = {
        _mm256_cvtph_ps(_mm_loadu_si128((const __m128i_u *)(const void *)h)),
        _mm256_cvtph_ps(_mm_loadu_si128((const __m128i_u *)(const void *)(h + 8)))};
    memcpy(&v, half, sizeof v);
#else
    for (int i = 0; i < LANES; i++)
        v[i] = ds_f16_to(h[i]);
#endif
    return v;
#endif
}

static inline vu vec_words(const uint32_t *p, int64_t n) /* n of 16, zeros after them */
{
#if defined(__AVX512F__)
    return (vu)_mm512_maskz_loadu_epi32(n >= LANES ? 0xffff : (__mmask16)((1u << n) - 1), p);
#else
    vu v = {0};
    if (n >= LANES)
        memcpy(&v, p, sizeof v);
    else
        memcpy(&v, p, (size_t)n * sizeof *p);
    return v;
#endif
}

static inline void vec_put(uint32_t *p, vu v, int64_t n) /* n of 16 */
{
#if defined(__AVX512F__)
    _mm512_mask_storeu_epi32(p, n >= LANES ? 0xffff : (__mmask16)((1u << n) - 1), (__m512i)v);
#else
    memcpy(p, &v, n >= LANES ? sizeof v : (size_t)n * sizeof *p);
#endif
}

/* Units [at, at + n) of a line, n of 16. */
static inline vu vec_units(const void *line, enum unit kind, int64_t at, int64_t n)
{
    if (kind == UNIT_BF16)
        return vec_halves((const uint16_t *)line + at, n) << 16;
    if (kind == UNIT_F16)
        return (vu)vec_f16((const uint16_t *)line + at, n);
    const vu v = vec_words((const uint32_t *)line + at, n);
    return kind == UNIT_PAIR ? v << 16 | v >> 16 : v; /* the first of two lies below in memory */
}

/* Rows become columns: blocks off the diagonal change places, of 8, then 4, 2 and 1. */
#define SWAP(S, LOW, HIGH)                                                                         \
    for (int i = 0; i < LANES; i++)                                                                \
        if (!(i & (S))) {                                                                          \
            const vu a = r[i], b = r[i + (S)];                                                     \
            r[i] = __builtin_shufflevector(a, b, LOW);                                             \
            r[i + (S)] = __builtin_shufflevector(a, b, HIGH);                                      \
        }

static inline __attribute__((always_inline)) void turn(vu r[LANES])
{
#define L8 0, 1, 2, 3, 4, 5, 6, 7, 16, 17, 18, 19, 20, 21, 22, 23
#define H8 8, 9, 10, 11, 12, 13, 14, 15, 24, 25, 26, 27, 28, 29, 30, 31
#define L4 0, 1, 2, 3, 16, 17, 18, 19, 8, 9, 10, 11, 24, 25, 26, 27
#define H4 4, 5, 6, 7, 20, 21, 22, 23, 12, 13, 14, 15, 28, 29, 30, 31
#define L2 0, 1, 16, 17, 4, 5, 20, 21, 8, 9, 24, 25, 12, 13, 28, 29
#define H2 2, 3, 18, 19, 6, 7, 22, 23, 10, 11, 26, 27, 14, 15, 30, 31
#define L1 0, 16, 2, 18, 4, 20, 6, 22, 8, 24, 10, 26, 12, 28, 14, 30
#define H1 1, 17, 3, 19, 5, 21, 7, 23, 9, 25, 11, 27, 13, 29, 15, 31
    SWAP(8, L8, H8)
    SWAP(4, L4, H4)
    SWAP(2, L2, H2)
    SWAP(1, L1, H1)
}

/* A row of fewer than 16 is written with what follows it, which the next rows overwrite; the last
 * ones are cut. left: elements of the panel from this row on. */
static inline bool fits(int wide, int64_t left)
{
    return wide >= LANES || left >= LANES;
}

/* `have` lines, `pitch` bytes apart, to `depth` rows of w. */
static inline __attribute__((always_inline)) void pack_lines(uint32_t *dst, const void *src,
                                                             enum unit kind, size_t pitch,
                                                             int64_t have, int w, int64_t depth)
{
    for (int g = 0; g < w; g += LANES) {
        const int wide = w - g < LANES ? w - g : LANES;
        for (int64_t p0 = 0; p0 < depth; p0 += LANES) {
            const int64_t n = depth - p0 < LANES ? depth - p0 : LANES;
            vu r[LANES];
            for (int i = 0; i < LANES; i++) {
                const char *line = (const char *)src + (size_t)(g + i) * pitch;
                const bool there = i < wide && g + i < have;
                if (there)
                    __builtin_prefetch(line + (size_t)p0 * UNIT_SIZE(kind) + AHEAD);
                r[i] = there ? vec_units(line, kind, p0, n) : (vu){0};
            }
            turn(r);
            for (int64_t p = 0; p < n; p++)
                vec_put(dst + (p0 + p) * w + g, r[p],
                        fits(wide, (depth - p0 - p) * w) ? LANES : wide);
        }
    }
}

/* The same where units lie side by side: rows of `ld` elements, of which `have` from src on are
 * wanted. */
static inline __attribute__((always_inline)) void pack_rows(uint32_t *dst, const void *src,
                                                            enum unit kind, int64_t ld,
                                                            int64_t have, int w, int64_t depth)
{
    const int64_t rows = kind == UNIT_PAIR ? 2 : 1; /* of a unit */
    const size_t size = kind == UNIT_F32 ? 4 : 2;

    for (int64_t p = 0; p < depth; p++)
        for (int g = 0; g < w; g += LANES) {
            const int64_t n = have - g < 0 ? 0 : have - g < LANES ? have - g : LANES;
            const uint16_t *h = (const uint16_t *)src + g;
            vu v;
            for (int64_t i = 0; i < rows; i++)
                __builtin_prefetch((const char *)src +
                                   (size_t)((rows * p + ROWS_AHEAD + i) * ld + g) * size);
            if (kind == UNIT_PAIR)
                v = vec_halves(h + 2 * p * ld, n) << 16 | vec_halves(h + (2 * p + 1) * ld, n);
            else
                v = vec_units((const char *)src + (size_t)(p * ld) * size, kind, g, n);
            vec_put(dst + p * w + g, v, fits(w - g, (depth - p) * w) ? LANES : w - g);
        }
}

static void pack(float *dst, const void *src, enum ds_kfmt f, bool trans, int64_t ld, int64_t first,
                 int64_t have, int w, int64_t k)
{
    uint32_t *to = (uint32_t *)(void *)dst;
    const size_t size = ds_kfmt_size(f);
    const void *from = (const char *)src + (size_t)(trans ? first : first * ld) * size;

    if (trans && f == DS_KF32)
        pack_rows(to, from, UNIT_F32, ld, have, w, k);
    else if (trans && f == DS_KBF16)
        pack_rows(to, from, UNIT_BF16, ld, have, w, k);
    else if (trans)
        pack_rows(to, from, UNIT_F16, ld, have, w, k);
    else if (f == DS_KF32)
        pack_lines(to, from, UNIT_F32, (size_t)ld * size, have, w, k);
    else if (f == DS_KBF16)
        pack_lines(to, from, UNIT_BF16, (size_t)ld * size, have, w, k);
    else
        pack_lines(to, from, UNIT_F16, (size_t)ld * size, have, w, k);
}

static void pack_pairs(uint32_t *dst, const uint16_t *src, bool trans, int64_t ld, int64_t first,
                       int64_t have, int w, int64_t k, uint16_t tail)
{
    const int64_t full = k / 2;

    if (trans)
        pack_rows(dst, src + first, UNIT_PAIR, ld, have, w, full);
    else
        pack_lines(dst, src + first * ld, UNIT_PAIR, (size_t)ld * 2, have, w, full);
    for (int64_t i = 0; k % 2 && i < w; i++)
        dst[full * w + i] =
            i >= have
                ? 0
                : (uint32_t)src[trans ? (k - 1) * ld + first + i : (first + i) * ld + k - 1] << 16 |
                      tail;
}
