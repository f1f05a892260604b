/* vec_body.h - the body of the inner loops, included once for each instruction set (vec_*.c). MR x
 * 16*NV is the product's tile.
 *
 * The rule that keeps bits equal everywhere: 16 lanes, whatever the machine's width; element i of a
 * row goes to lane i % 16; what is left at the end of a row is padded with zeros; lanes are summed
 * in one fixed tree.
 */
#include <float.h>
#include <math.h>
#include <string.h>
#if defined(__AVX2__)
#include <immintrin.h>
#endif

#include "kernels.h"
#include "vec.h"

typedef float vf __attribute__((vector_size(64), aligned(4)));
typedef int32_t vi __attribute__((vector_size(64), aligned(4)));
typedef uint32_t vu __attribute__((vector_size(64), aligned(4)));
#define LANES 16

/* With AddressSanitizer a tile looks at all that it is about to touch before its first step, in
 * place of at each element in each step: the same bytes, in a tenth of the time. */
#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/asan_interface.h>

#define VEC_INLINE inline __attribute__((always_inline)) /* also where nothing is looked at */
#define VEC_LOOKED __attribute__((no_sanitize("address", "undefined")))

static void vec_look(const void *p, size_t n)
{
    const volatile char *bad = __asan_region_is_poisoned((void *)(uintptr_t)p, n);

    if (bad)
        (void)*bad; /* is reported as any other access is */
}

/* Of `rows` rows of `n` bytes each, `stride` floats apart. */
static void vec_look_rows(const float *p, size_t stride, int rows, size_t n)
{
    for (int i = 0; i < rows; i++)
        vec_look(p + (size_t)i * stride, n);
}
#else
#define VEC_INLINE inline
#define VEC_LOOKED
#define vec_look(p, n) ((void)0)
#define vec_look_rows(p, stride, rows, n) ((void)0)
#endif

static VEC_INLINE vf vec_load(const float *p)
{
    vf v;
    memcpy(&v, p, sizeof v);
    return v;
}

static VEC_INLINE void vec_store(float *p, vf v)
{
    memcpy(p, &v, sizeof v);
}

static inline vf vec_part(const float *p, int64_t n) /* n < 16 elements, zeros after them */
{
    vf v = {0};
    memcpy(&v, p, (size_t)n * sizeof *p);
    return v;
}

static inline void vec_store_part(float *p, vf v, int64_t n)
{
    memcpy(p, &v, (size_t)n * sizeof *p);
}

static VEC_INLINE vf vec_all(float x)
{
    return (vf){x, x, x, x, x, x, x, x, x, x, x, x, x, x, x, x};
}

static VEC_INLINE vf vec_fma(vf a, vf b, vf c)
{
#if defined(__AVX512F__)
    return (vf)_mm512_fmadd_ps((__m512)a, (__m512)b, (__m512)c);
#elif defined(__FMA__)
    union {
        vf v;
        __m256 h[2];
    } x = {.v = a}, y = {.v = b}, z = {.v = c};
    z.h[0] = _mm256_fmadd_ps(x.h[0], y.h[0], z.h[0]);
    z.h[1] = _mm256_fmadd_ps(x.h[1], y.h[1], z.h[1]);
    return z.v;
#else
    for (int i = 0; i < LANES; i++)
        c[i] = fmaf(a[i], b[i], c[i]);
    return c;
#endif
}

static inline float vec_sum(vf v)
{
    float a[LANES];
    vec_store(a, v);
    for (int w = LANES / 2; w > 0; w /= 2)
        for (int i = 0; i < w; i++)
            a[i] = a[i] + a[i + w];
    return a[0];
}

/* exp(x) for x <= 88: 2^n * p(r), r = x - n ln 2 in two parts, p of degree 6 (relative error about
 * 1e-7). Below -87 it is 0. Steps are the same in every lane, so lanes and machines agree. */
static VEC_INLINE vf vec_exp(vf x)
{
    const vf lo = vec_all(-87.0f), hi = vec_all(88.0f);
    vi under = x < lo;
    vi over = x > hi;
    x = (vf)(((vi)lo & under) | ((vi)hi & over) | ((vi)x & ~(under | over)));
    vf t = vec_fma(x, vec_all(1.44269504088896341f),
                   vec_all(12582912.0f)); /* rounds to an integer in the low bits */
    vf n = t - vec_all(12582912.0f);
    vf r = vec_fma(n, vec_all(-0.693359375f), x);
    r = vec_fma(n, vec_all(2.12194440e-4f), r);
    vf p = vec_all(1.9875691500e-4f);
    p = vec_fma(p, r, vec_all(1.3981999507e-3f));
    p = vec_fma(p, r, vec_all(8.3334519073e-3f));
    p = vec_fma(p, r, vec_all(4.1665795894e-2f));
    p = vec_fma(p, r, vec_all(1.6666665459e-1f));
    p = vec_fma(p, r, vec_all(5.0000001201e-1f));
    p = vec_fma(p, r * r, r) + vec_all(1.0f);
    vu e = ((vu)t - (vu)vec_all(12582912.0f) + 127) << 23;
    return (vf)((vi)(p * (vf)e) & ~under);
}

static VEC_INLINE vf vec_sigmoid(vf x)
{
    return vec_all(1.0f) / (vec_all(1.0f) + vec_exp(-x));
}

#include "vec_tile_body.h"

#include "vec_few_body.h"

/* Walks n elements in steps of 16: `full` sees whole vectors through LD and ST, the tail sees
 * padded ones. */
#define EACH(n, BODY)                                                                              \
    do {                                                                                           \
        int64_t i_ = 0;                                                                            \
        for (; i_ + LANES <= (n); i_ += LANES) {                                                   \
            BODY(vec_load, vec_store, i_)                                                          \
        }                                                                                          \
        if (i_ < (n)) {                                                                            \
            const int64_t rest_ = (n)-i_;                                                          \
            BODY(LD_PART, ST_PART, i_)                                                             \
        }                                                                                          \
    } while (0)
#define LD_PART(p) vec_part(p, rest_)
#define ST_PART(p, v) vec_store_part(p, v, rest_)

static float dot(const float *a, const float *b, int64_t n)
{
    vf s = {0};
#define BODY(LD, ST, i) s = vec_fma(LD(a + i), LD(b + i), s);
    EACH(n, BODY);
#undef BODY
    return vec_sum(s);
}

static float dot3(const float *a, const float *b, const float *c, int64_t n)
{
    vf s = {0};
#define BODY(LD, ST, i) s = vec_fma(LD(a + i) * LD(b + i), LD(c + i), s);
    EACH(n, BODY);
#undef BODY
    return vec_sum(s);
}

static float sum(const float *a, int64_t n)
{
    vf s = {0};
#define BODY(LD, ST, i) s = s + LD(a + i);
    EACH(n, BODY);
#undef BODY
    return vec_sum(s);
}

/* A square of an f32 is exact in f64, so a fused addition is the same. */
static double squares(const float *x, int64_t n)
{
    typedef double vd __attribute__((vector_size(64)));
    typedef float vf8 __attribute__((vector_size(32)));
    vd s = {0};

    for (int64_t i = 0; i < n; i += 8) {
        vf8 f = {0};
        memcpy(&f, x + i, i + 8 <= n ? sizeof f : (size_t)(n - i) * sizeof *x);
        const vd d = __builtin_convertvector(f, vd);
        s += d * d;
    }
    return ((s[0] + s[4]) + (s[2] + s[6])) + ((s[1] + s[5]) + (s[3] + s[7]));
}

static float max(const float *a, int64_t n)
{
    float m = a[0];
    int64_t i = 0;

    if (n >= LANES) {
        vf v = vec_load(a);
        for (i = LANES; i + LANES <= n; i += LANES) {
            const vf x = vec_load(a + i);
            const vi more = x > v;
            v = (vf)(((vi)x & more) | ((vi)v & ~more));
        }
        float lane[LANES];
        vec_store(lane, v);
        for (int j = 0; j < LANES; j++)
            m = lane[j] > m ? lane[j] : m;
    }
    for (; i < n; i++)
        m = a[i] > m ? a[i] : m;
    return m;
}

static VEC_LOOKED void score_back(float *ds, const float *p, float d, float s, int64_t n)
{
    vec_look(ds, (size_t)n * sizeof *ds);
    vec_look(p, (size_t)n * sizeof *p);
    for (int64_t i = 0; i < n; i++)
        ds[i] = s * (p[i] * (ds[i] - d));
}

static void axpy(float *y, float s, const float *x, int64_t n)
{
    const vf sv = vec_all(s);
#define BODY(LD, ST, i) ST(y + i, vec_fma(sv, LD(x + i), LD(y + i)));
    EACH(n, BODY);
#undef BODY
}

static void scale(float *y, float s, int64_t n)
{
    const vf sv = vec_all(s);
#define BODY(LD, ST, i) ST(y + i, LD(y + i) * sv);
    EACH(n, BODY);
#undef BODY
}

static VEC_LOOKED float expsum(float *y, const float *x, float m, int64_t n)
{
    const vf mv = vec_all(m);
    vf s = {0};
    int64_t i = 0;

    vec_look(x, (size_t)n * sizeof *x);
    vec_look(y, (size_t)n * sizeof *y);
    for (; i + LANES <= n; i += LANES) {
        vf e = vec_exp(vec_load(x + i) - mv);
        vec_store(y + i, e);
        s = s + e;
    }
    if (i < n) {
        vf e = vec_exp(vec_part(x + i, n - i) - mv);
        vec_store_part(y + i, e, n - i);
        s = s + vec_part(y + i, n - i);
    }
    return vec_sum(s);
}

static void norm_row(float *y, const float *x, const float *g, float r, int64_t n)
{
    const vf rv = vec_all(r);
#define BODY(LD, ST, i) ST(y + i, LD(x + i) * rv * LD(g + i));
    EACH(n, BODY);
#undef BODY
}

static void norm_back_row(float *dx, const float *dy, const float *x, const float *g, float r,
                          float c, int64_t n)
{
    const vf rv = vec_all(r), cv = vec_all(-c);
#define BODY(LD, ST, i)                                                                            \
    ST(dx + i, LD(dx + i) + vec_fma(cv, LD(x + i), rv * (LD(g + i) * LD(dy + i))));
    EACH(n, BODY);
#undef BODY
}

static VEC_LOOKED void swiglu(float *y, const float *a, const float *b, int64_t n)
{
    vec_look(a, (size_t)n * sizeof *a);
    vec_look(b, (size_t)n * sizeof *b);
    vec_look(y, (size_t)n * sizeof *y);
#define BODY(LD, ST, i)                                                                            \
    {                                                                                              \
        vf x = LD(a + i);                                                                          \
        ST(y + i, x * vec_sigmoid(x) * LD(b + i));                                                 \
    }
    EACH(n, BODY);
#undef BODY
}

static void swiglu_back(float *da, float *db, const float *dy, const float *a, const float *b,
                        int64_t n)
{
    const vf one = vec_all(1.0f);
#define BODY(LD, ST, i)                                                                            \
    {                                                                                              \
        vf x = LD(a + i), u = LD(b + i), d = LD(dy + i), s = vec_sigmoid(x);                       \
        ST(db + i, d * (x * s));                                                                   \
        ST(da + i, d * u * (s * vec_fma(x, one - s, one)));                                        \
    }
    EACH(n, BODY);
#undef BODY
}

static void add_scaled(float *y, const float *a, const float *b, float s, int64_t n)
{
    const vf sv = vec_all(s);
#define BODY(LD, ST, i) ST(y + i, vec_fma(sv, LD(b + i), LD(a + i)));
    EACH(n, BODY);
#undef BODY
}

static void mul_add3(float *y, const float *a, const float *b, float s, int64_t n)
{
    const vf sv = vec_all(s);
#define BODY(LD, ST, i) ST(y + i, vec_fma(LD(a + i) * sv, LD(b + i), LD(y + i)));
    EACH(n, BODY);
#undef BODY
}

static void scale_by(float *y, const float *x, const float *g, const float *c, int64_t n)
{
    if (c) {
#define BODY(LD, ST, i) ST(y + i, vec_fma(LD(g + i), LD(x + i), LD(c + i)));
        EACH(n, BODY);
#undef BODY
    } else {
#define BODY(LD, ST, i) ST(y + i, LD(g + i) * LD(x + i));
        EACH(n, BODY);
#undef BODY
    }
}

static void dot_by(float *y, const float *a, const float *b, const float *c, int64_t n)
{
#define BODY(LD, ST, i) ST(y + i, vec_fma(LD(a + i) / LD(c + i), LD(b + i), LD(y + i)));
    EACH(n, BODY);
#undef BODY
}

static inline vf vec_sqrt(vf x)
{
#if defined(__AVX512F__)
    return (vf)_mm512_sqrt_ps((__m512)x);
#else
    for (int i = 0; i < LANES; i++)
        x[i] = sqrtf(x[i]);
    return x;
#endif
}

/* p: lr, beta1, beta2, eps, decay, 1/corr1, 1/corr2, gscale */
static void adamw(float *w, float *m, float *v, const float *g, int64_t n, const float *p)
{
    const vf keep = vec_all(1.0f - p[0] * p[4]), b1 = vec_all(p[1]), b2 = vec_all(p[2]);
    const vf c1 = vec_all(1.0f - p[1]), c2 = vec_all(1.0f - p[2]), eps = vec_all(p[3]),
             lr = vec_all(-p[0]);
    const vf i1 = vec_all(p[5]), i2 = vec_all(p[6]), gs = vec_all(p[7]);
#define BODY(LD, ST, i)                                                                            \
    {                                                                                              \
        vf gv = LD(g + i) * gs;                                                                    \
        vf mv = vec_fma(b1, LD(m + i), c1 * gv);                                                   \
        vf vv = vec_fma(b2, LD(v + i), c2 * (gv * gv));                                            \
        ST(m + i, mv);                                                                             \
        ST(v + i, vv);                                                                             \
        vf step = (mv * i1) / (vec_sqrt(vv * i2) + eps);                                           \
        ST(w + i, vec_fma(lr, step, LD(w + i) * keep));                                            \
    }
    EACH(n, BODY);
#undef BODY
}

static void code8(uint8_t *q, const float *x, float inv, const float *edges, int64_t n)
{
    for (int64_t i = 0; i < n; i++) {
        const float y = x[i] * inv;
        int32_t c = 0;
        c += y > edges[c + 127] ? 128 : 0;
        c += y > edges[c + 63] ? 64 : 0;
        c += y > edges[c + 31] ? 32 : 0;
        c += y > edges[c + 15] ? 16 : 0;
        c += y > edges[c + 7] ? 8 : 0;
        c += y > edges[c + 3] ? 4 : 0;
        c += y > edges[c + 1] ? 2 : 0;
        c += y > edges[c] ? 1 : 0;
        q[i] = (uint8_t)c;
    }
}

static void value8(float *y, const uint8_t *q, const float *map, float s, int64_t n)
{
    for (int64_t i = 0; i < n; i++)
        y[i] = map[q[i]] * s;
}

static float absmax(const float *x, int64_t n)
{
    float m = 0.0f;

    for (int64_t i = 0; i < n; i++) {
        const float a = x[i] < 0 ? -x[i] : x[i];
        m = a > m ? a : m;
    }
    return m;
}

static void rotate(float *a, float *b, const float *c, const float *s, int64_t n)
{
    for (int64_t i = 0; i < n; i++) {
        const float x = a[i], y = b[i];
        a[i] = x * c[i] - y * s[i];
        b[i] = y * c[i] + x * s[i];
    }
}

static void finish(float *s, float alpha, const float *c, int64_t n)
{
    if (!c)
        for (int64_t i = 0; i < n; i++)
            s[i] = alpha * s[i];
    else
        for (int64_t i = 0; i < n; i++)
            s[i] = alpha * s[i] + c[i];
}

static VEC_LOOKED void to_f32(float *y, const uint16_t *x, enum ds_kfmt f, int64_t n)
{
    int64_t i = 0;

    vec_look(x, (size_t)n * sizeof *x);
    vec_look(y, (size_t)n * sizeof *y);
    if (f == DS_KBF16) {
        for (; i < n; i++)
            y[i] = ds_bf16_to(x[i]);
        return;
    }
    for (; i + LANES <= n; i += LANES)
        vec_store(y + i, vec_f16(x + i, LANES));
    for (; i < n; i++)
        y[i] = ds_f16_to(x[i]);
}

static void to_f16(uint16_t *y, const float *x, int64_t n)
{
    int64_t i = 0;

#if defined(__AVX512F__)
    for (; i + LANES <= n; i += LANES)
        _mm256_storeu_si256((__m256i_u *)(void *)(y + i),
                            _mm512_cvtps_ph((__m512)vec_load(x + i), _MM_FROUND_TO_NEAREST_INT));
#elif defined(__F16C__)
    for (; i + LANES / 2 <= n; i += LANES / 2)
        _mm_storeu_si128((__m128i_u *)(void *)(y + i),
                         _mm256_cvtps_ph(_mm256_loadu_ps(x + i), _MM_FROUND_TO_NEAREST_INT));
#endif
    for (; i < n; i++)
        y[i] = ds_f16_from(x[i]);
}

static void to_half(uint16_t *y, enum ds_kfmt f, const float *x, int64_t n)
{
    int64_t i = 0;

    if (f == DS_KF16) {
        to_f16(y, x, n);
        return;
    }

#if defined(__AVX512BF16__)
    /* The instruction takes subnormal numbers as zeros: vectors that have some go the long way. */
    for (; i + LANES <= n; i += LANES) {
        const __m512 v = (__m512)vec_load(x + i);
        if (_mm512_fpclass_ps_mask(v, 0x20))
            for (int64_t j = i; j < i + LANES; j++)
                y[j] = ds_bf16_from(x[j]);
        else
            _mm256_storeu_si256((__m256i_u *)(void *)(y + i), (__m256i)_mm512_cvtneps_pbh(v));
    }
#endif
    for (; i < n; i++)
        y[i] = ds_bf16_from(x[i]);
}

const ds_vec DS_VEC_TABLE = {
    .name = DS_VEC_NAME,
    .mr = MR,
    .nr = NV * LANES,
    .tile = tile,
    .tile_half = TILE_HALF,
    .flush = tile_flush,
    .pairs = TILE_PAIRS,
    .pairs_half = TILE_PAIRS_HALF,
    .few = few,
    .few_bf16 = few_bf16,
    .few_f16 = few_f16,
    .few_flush = few_flush,
    .few_pairs = FEW_PAIRS,
    .pack = pack,
    .pack_pairs = pack_pairs,
    .finish = finish,
    .dot = dot,
    .sum = sum,
    .max = max,
    .squares = squares,
    .axpy = axpy,
    .scale = scale,
    .expsum = expsum,
    .norm_row = norm_row,
    .norm_back_row = norm_back_row,
    .score_back = score_back,
    .dot3 = dot3,
    .swiglu = swiglu,
    .swiglu_back = swiglu_back,
    .add_scaled = add_scaled,
    .mul_add3 = mul_add3,
    .scale_by = scale_by,
    .dot_by = dot_by,
    .adamw = adamw,
    .code8 = code8,
    .value8 = value8,
    .absmax = absmax,
    .rotate = rotate,
    .to_f32 = to_f32,
    .to_half = to_half,
};
