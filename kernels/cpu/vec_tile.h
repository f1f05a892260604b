/* vec_tile.h - part of vec_body.h: the register tiles of the matrix product, and the packing of the
 * panels that they read. */

/* ---- tiles ---- */

#if defined(__FMA__) && !defined(__AVX512F__)
/* The generic tile below, in registers of 8: a vector of 16 would live in memory here. */
static __attribute__((noinline)) void tile(float *acc, size_t stride, const void *pa,
                                           const void *pb, int64_t k)
{
    const float *a = pa, *b = pb;
    __m256 c[MR][2];

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
/* TERM(av, bv, c): one step of a chain, or two. A vector of a is one element in all lanes. */
#define TILE(NAME, WIDE, ELEM, ALL, TERM)                                                          \
    static __attribute__((noinline)) void NAME(float *acc, size_t stride, const void *pa,          \
                                               const void *pb, int64_t k)                          \
    {                                                                                              \
        const ELEM *a = pa;                                                                        \
        const float *b = pb;                                                                       \
        vf c[MR][WIDE];                                                                            \
                                                                                                   \
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
static inline vf vec_pair_all(uint32_t x)
{
    return (vf)_mm512_set1_epi32((int)x);
}

static inline vf vec_dot2(vf a, vf b, vf c)
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
/* Flush to zero, denormals are zero: bits 15 and 6 of the control register. */
static void tile_flush(float *acc, size_t stride, const void *a, const void *b, int64_t k)
{
    const unsigned csr = _mm_getcsr();

    _mm_setcsr(csr | 0x8040u);
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

#define TURN 16 /* columns turned at a time, so that what is written stays in the nearest cache */

static void pack_lines(float *dst, const void *src, enum ds_kfmt f, int64_t ld, int64_t first,
                       int64_t have, int w, int64_t k)
{
    for (int64_t p0 = 0; p0 < k; p0 += TURN) {
        const int64_t n = k - p0 < TURN ? k - p0 : TURN;
        float *to = dst + p0 * w;
        for (int i = 0; i < w; i++) {
            const int64_t at = (first + i) * ld + p0;
            if (i >= have) {
                for (int64_t p = 0; p < n; p++)
                    to[p * w + i] = 0.0f;
            } else if (f == DS_KF32) {
                const float *s = (const float *)src + at;
                for (int64_t p = 0; p < n; p++)
                    to[p * w + i] = s[p];
            } else {
                const uint16_t *s = (const uint16_t *)src + at;
                for (int64_t p = 0; p < n; p++)
                    to[p * w + i] = ds_bf16_to(s[p]);
            }
        }
    }
}

static void pack(float *dst, const void *src, enum ds_kfmt f, bool trans, int64_t ld, int64_t first,
                 int64_t have, int w, int64_t k)
{
    if (!trans) {
        pack_lines(dst, src, f, ld, first, have, w, k);
        return;
    }
    for (int64_t p = 0; p < k; p++, dst += w) {
        const int64_t at = p * ld + first;
        if (f == DS_KF32)
            memcpy(dst, (const float *)src + at, (size_t)have * sizeof *dst);
        else
            for (int64_t i = 0; i < have; i++)
                dst[i] = ds_bf16_to(((const uint16_t *)src)[at + i]);
        for (int64_t i = have; i < w; i++)
            dst[i] = 0.0f;
    }
}

/* Two elements that lie one after the other, the first above. */
static inline uint32_t pair_at(const uint16_t *s)
{
    return (uint32_t)s[0] << 16 | s[1];
}

static void pack_pairs(uint32_t *dst, const uint16_t *src, bool trans, int64_t ld, int64_t first,
                       int64_t have, int w, int64_t k, uint16_t tail)
{
    const int64_t full = k / 2;

    for (int64_t p0 = 0; !trans && p0 < full; p0 += TURN) {
        const int64_t n = full - p0 < TURN ? full - p0 : TURN;
        uint32_t *to = dst + p0 * w;
        for (int i = 0; i < have; i++) {
            const uint16_t *s = src + (first + i) * ld + 2 * p0;
            for (int64_t p = 0; p < n; p++)
                to[p * w + i] = pair_at(s + 2 * p);
        }
    }
    for (int64_t p = 0; trans && p < full; p++) {
        const uint16_t *a = src + 2 * p * ld + first, *b = a + ld;
        for (int64_t i = 0; i < have; i++)
            dst[p * w + i] = (uint32_t)a[i] << 16 | b[i];
    }
    for (int64_t i = 0; k % 2 && i < have; i++)
        dst[full * w + i] =
            (uint32_t)(trans ? src[(k - 1) * ld + first + i] : src[(first + i) * ld + k - 1])
                << 16 |
            tail;
    for (int64_t p = 0; have < w && p < (k + 1) / 2; p++)
        for (int64_t i = have; i < w; i++)
            dst[p * w + i] = 0;
}
