/* adamw8.cu - AdamW with moments of 8 bits (Dettmers et al. 2022): a warp for a block of the state.
 */
#include "adam.h"

#include <cfloat>

#define THREADS 256
#define BLOCKS8 4 /* of threads, a multiprocessor */

/* A code is how many of 255 edges, those between the values, lie below a number. A key, the upper
 * half of an f32's bits without the sign, stands for numbers with one edge among them at most, so
 * one entry has their codes: in its upper half the least one, in the lower half what carries into
 * that when the lower half of a number above the edge is added. Edges are 0 (v's first) and of
 * sizes from 2^-22 to 1, and what is coded is not above 1, but for a rounding. */
#define KEY_LEAST 0x3480u /* 2^-22, and all below it */
#define KEY_NAN 0x3f81u
#define KEYS (KEY_NAN - KEY_LEAST + 1)
#define ZERO_M 127u /* m's code of 0; v's is 0 */

struct alignas(16) tables8 {
    float map[2][256];    /* m's and v's */
    uint32_t m[2 * KEYS]; /* of numbers from 0 on, and of those below it */
    uint32_t v[KEYS];     /* but for the edge 0 */
};

/* The code of m, or of v, in bits 16 to 23 of what is returned. */
__device__ __forceinline__ uint32_t code_m(float x, const tables8 &t)
{
    const uint32_t bits = f32_bits(x), sign = bits >> 31 ? ~0u : 0u, at = bits >> 16 & 0x7fffu;
    const uint32_t low = at < KEY_LEAST ? KEY_LEAST : at, key = low < KEY_NAN ? low : KEY_NAN;

    return t.m[key - KEY_LEAST + (sign & KEYS)] + ((bits ^ sign) & 0xffffu);
}
__device__ __forceinline__ uint32_t code_v(float x, const tables8 &t) /* 0 <= x <= 1 */
{
    const uint32_t bits = f32_bits(x), at = bits >> 16, key = at < KEY_LEAST ? KEY_LEAST : at;

    return t.v[key - KEY_LEAST] + (bits & 0xffffu) + ((bits < 1 ? bits : 1) << 16);
}

/* N codes, the first one lowest. */
template <int N> __device__ __forceinline__ uint32_t codes_get(const uint8_t *p)
{
    const together<uint8_t, N> c = load_together<uint8_t, N>(p);
    uint32_t word = 0;

    memcpy(&word, &c, N);
    return word;
}
template <int N> __device__ __forceinline__ void codes_put(uint8_t *p, uint32_t word)
{
    together<uint8_t, N> c;

    memcpy(&c, &word, N);
    store_together(p, c);
}

template <class H> struct adam8 {
    float *w;
    H *half;
    uint8_t *m, *v;
    float *mscale, *vscale;
    const float *g;
    int64_t n;
};

/* The largest |x| of a warp's, which becomes the scale; returns its inverse. NaN is passed over. */
template <int EACH> __device__ __forceinline__ float scale_by_most(float *scale, const float *x)
{
    float most = 0.0f;

    for (int j = 0; j < EACH; j++)
        most = fmaxf(most, fabsf(x[j]));
    most = bits_f32(__reduce_max_sync(ALL_LANES, f32_bits(most)));
    if (threadIdx.x % WARP == 0)
        *scale = most < FLT_MIN ? 0.0f : most;
    return most < FLT_MIN ? 0.0f : 1.0f / most;
}

/* Block b by a warp: a lane has N neighbours here and there, so that what the lanes have at a time
 * lies in one piece. */
template <class H, int N>
__device__ __forceinline__ void step8(const adam8<H> &s, int64_t b, const adam &a,
                                      const ds_kadamw *p, const tables8 &t)
{
    constexpr int EACH = DS_BLOCK8 / (int)WARP, PIECES = EACH / N;
    const int64_t first = b * DS_BLOCK8 + (int64_t)(threadIdx.x % WARP) * N;
    const float mscale = s.mscale[b], vscale = s.vscale[b];
    uint32_t cm[PIECES], cv[PIECES];
    float x[EACH] = {}, g[EACH] = {}, m[EACH], v[EACH];

#pragma unroll
    for (int q = 0; q < PIECES; q++) {
        const int64_t i = first + q * N * (int)WARP;
        cm[q] = ZERO_M * 0x01010101u; /* of what is past the end */
        cv[q] = 0;
        if (i >= s.n)
            continue;
        cm[q] = codes_get<N>(s.m + i);
        cv[q] = codes_get<N>(s.v + i);
        get<float, N>(g + q * N, s.g + i);
        weights_get<H, N>(x + q * N, s.w, s.half, i);
    }
#pragma unroll
    for (int j = 0; j < EACH; j++) {
        m[j] = t.map[0][cm[j / N] >> j % N * 8 & 0xff] * mscale;
        v[j] = t.map[1][cv[j / N] >> j % N * 8 & 0xff] * vscale;
        x[j] = adam_step(x[j], &m[j], &v[j], g[j], a);
    }
    __syncwarp(); /* the scales are read before they change */
    const float minv = scale_by_most<EACH>(s.mscale + b, m);
    const float vinv = scale_by_most<EACH>(s.vscale + b, v);
#pragma unroll
    for (int q = 0; q < PIECES; q++) {
        const int64_t i = first + q * N * (int)WARP;
        if (i >= s.n)
            continue;
        cm[q] = cv[q] = 0;
        for (int j = 0; j < N; j++) {
            cm[q] |= (code_m(m[q * N + j] * minv, t) >> 16 & 0xff) << j * 8;
            cv[q] |= (code_v(__saturatef(v[q * N + j] * vinv), t) >> 16 & 0xff) << j * 8;
        }
        codes_put<N>(s.m + i, cm[q]);
        codes_put<N>(s.v + i, cv[q]);
        weights_put<H, N>(s.w, s.half, i, x + q * N, p);
    }
}

/* Blocks of threads have several blocks of the state to do for one copy of the tables. */
template <class H, int N>
__global__ void __launch_bounds__(THREADS, N == 1 ? BLOCKS8 / 2 : BLOCKS8)
    adamw8_kernel(const adam8<H> s, const ds_kadamw *p, const tables8 *tables)
{
    __shared__ tables8 t;
    const int64_t blocks = (s.n + DS_BLOCK8 - 1) / DS_BLOCK8, warps = THREADS / WARP;

    for (unsigned i = threadIdx.x * 4; i < sizeof t / 4; i += THREADS * 4)
        store_shared(reinterpret_cast<uint32_t *>(&t) + i,
                     load_together<uint32_t, 4>(reinterpret_cast<const uint32_t *>(tables) + i));
    __syncthreads();
    const adam a = adam_of(p);
    for (int64_t b = (int64_t)blockIdx.x * warps + threadIdx.x / WARP; b < blocks;
         b += gridDim.x * warps)
        step8<H, N>(s, b, a, p, t);
}

/* Entries of the keys of one sign; c: the code of the numbers nearest to 0. */
static void entries(uint32_t *to, const float *edges, uint32_t c, bool negative)
{
    for (uint32_t key = KEY_LEAST; key < KEY_NAN; key++) {
        const uint32_t upper = (negative ? 0x8000u : 0u) | key;
        const uint32_t first = upper << 16 | (negative ? 0xffffu : 0u);
        float least;
        uint32_t edge = 0;
        memcpy(&least, &first, sizeof least);
        while (!negative && c < 255 && edges[c] < least)
            c++;
        while (negative && c > 0 && edges[c - 1] >= least)
            c--;
        if (c < 255)
            memcpy(&edge, &edges[c], sizeof edge);
        const uint32_t low = edge & 0xffffu;
        to[key - KEY_LEAST] = c << 16 | (edge >> 16 != upper ? 0 : negative ? low : 0xffffu - low);
    }
    to[KEY_NAN - KEY_LEAST] = 0;
}

/* A v that is not 0 stays so: the edge above 0 is 0 itself, which is added apart. */
static int make_tables(void *to, const rt_made *, ds_err *)
{
    tables8 *t = static_cast<tables8 *>(to);
    float edges[2][255];

    for (int i = 0; i < 2; i++) {
        ds_dynamic_map(t->map[i], i == 0);
        for (int e = 0; e < 255; e++)
            edges[i][e] = 0.5f * (t->map[i][e] + t->map[i][e + 1]);
    }
    entries(t->m, edges[0], ZERO_M, false);
    entries(t->m + KEYS, edges[0], ZERO_M, true);
    entries(t->v, edges[1], 1, false);
    for (uint32_t i = 0; i < KEYS - 1; i++)
        t->v[i] -= 1u << 16;
    return 0;
}

template <class H>
static void start8(dev_rt *rt, const adam8<H> &s, const ds_kadamw *p, const tables8 *t)
{
    const unsigned all = blocks_of(s.n, DS_BLOCK8 * (THREADS / WARP)),
                   most = (unsigned)rt_processors(rt) * BLOCKS8;
    const dim3 grid(all < most ? all : most), block(THREADS);

    if (s.n % 4 == 0 && fits16(s.w) && fits16(s.half) && fits16(s.m) && fits16(s.v) && fits16(s.g))
        LAUNCH((adamw8_kernel<H, 4>), grid, block, 0, rt_stream(rt), s, p, t);
    else
        LAUNCH((adamw8_kernel<H, 1>), grid, block, 0, rt_stream(rt), s, p, t);
}

static int adamw8(ds_kernels *k, void *w, enum ds_kfmt f, float *master, uint8_t *m, float *mscale,
                  uint8_t *v, float *vscale, const float *g, int64_t n, const ds_kadamw *p,
                  ds_err *err)
{
    const rt_made made = {make_tables, NULL, 0, sizeof(tables8), {0, 0}};
    const ds_kadamw *numbers;
    void *dev;

    TRY(check(f, master, p, err));
    if (n <= 0)
        return 0;
    TRY(stage_numbers(k, &numbers, p, err));
    TRY(rt_stage_made(rt_of(k), &dev, &made, err));
    const tables8 *t = static_cast<const tables8 *>(dev);
    if (f == DS_KF16)
        start8(rt_of(k),
               adam8<f16>{whole(w, f, master), halves<f16>(w, f), m, v, mscale, vscale, g, n},
               numbers, t);
    else
        start8(rt_of(k),
               adam8<bf16>{whole(w, f, master), halves<bf16>(w, f), m, v, mscale, vscale, g, n},
               numbers, t);
    return rt_launched(rt_of(k), "adamw8", err);
}

void ds_cuda_adamw8(ds_kernels *k)
{
    k->adamw8 = adamw8;
}
