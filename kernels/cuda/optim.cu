/* optim.cu - AdamW and the gradient norm, with the CPU's bits. */
#include "cudak.h"
#include "tile.h"

#include <cfloat>
#include <cstdlib>

#define THREADS 256
#define BLOCK DS_NORM_BLOCK
#define BLOCKS8 4 /* of threads, a multiprocessor, of adamw8 */

/* ---- norm: eight sums a block, element e to sum e % 8; a thread a sum ---- */

/* A warp has four blocks, of which NORM_STEP elements at a time come through shared memory. Their
 * rows there begin in different banks. */
#define NORM_THREADS 128
#define NORM_STAGES 3
#define NORM_STEP 128
#define NORM_PITCH (NORM_STEP + 8)
#define NORM_STAGE (NORM_THREADS / 8 * NORM_PITCH)

struct normed { /* one of the arrays */
    const float *x;
    int64_t n, first; /* first: number of its first block */
};

/* A block's elements; n 0: there is no such block. */
struct normpiece {
    const float *x;
    int32_t n;
};

/* Blocks are numbered through all arrays. */
__device__ __forceinline__ normpiece norm_piece(const normed *arrays, int64_t count, int64_t b)
{
    int64_t lo = 0, hi = count;

    while (hi - lo > 1) { /* the last array that begins at b or before */
        const int64_t mid = (lo + hi) / 2;
        if (arrays[mid].first <= b)
            lo = mid;
        else
            hi = mid;
    }
    const int64_t from = (b - arrays[lo].first) * BLOCK, left = arrays[lo].n - from;
    return normpiece{arrays[lo].x + from, (int32_t)(left < BLOCK ? left : BLOCK)};
}

/* Elements e .. e + 3 of it to shared memory, zeros past its end. */
__device__ __forceinline__ void norm_fetch(float *to, const normpiece &p, int32_t e)
{
    together<float, 4> some;

    if ((uintptr_t)p.x % 16 == 0 && (e + 4 <= p.n || e >= p.n)) {
        copy16_or_zeros(to, p.x + (e < p.n ? e : 0), e < p.n);
        return;
    }
    for (int j = 0; j < 4; j++)
        some.at[j] = e + j < p.n ? p.x[e + j] : 0.0f;
    store_shared(to, some);
}

__global__ void __launch_bounds__(NORM_THREADS)
    norm2_kernel(double *part, const normed *arrays, int64_t count, int64_t blocks)
{
    DYNAMIC_SHARED(memory);
    const int lane = (int)(threadIdx.x % WARP);
    const int64_t b = ((int64_t)blockIdx.x * NORM_THREADS + threadIdx.x) / 8;
    float *const room =
        reinterpret_cast<float *>(memory) + threadIdx.x / WARP * (WARP / 8) * NORM_PITCH;
    const normpiece mine = b < blocks ? norm_piece(arrays, count, b) : normpiece{arrays->x, 0};
    normpiece all[4];
    double s = 0.0;

    for (int k = 0; k < 4; k++) {
        const uintptr_t x = __shfl_sync(ALL_LANES, (uintptr_t)mine.x, k * 8);
        all[k] =
            normpiece{reinterpret_cast<const float *>(x), __shfl_sync(ALL_LANES, mine.n, k * 8)};
    }
    const auto start = [&](int64_t step) {
        float *to = room + step % NORM_STAGES * NORM_STAGE + lane * 4;
        for (int k = 0; k < 4; k++)
            norm_fetch(to + k * NORM_PITCH, all[k], (int32_t)step * NORM_STEP + lane * 4);
    };
    const auto add = [&](int64_t step) {
        const float *x = room + step % NORM_STAGES * NORM_STAGE + lane / 8 * NORM_PITCH + lane % 8;
#pragma unroll
        for (int i = 0; i < NORM_STEP; i += 8)
            s += (double)x[i] * (double)x[i];
    };
    pipeline<NORM_STAGES>(BLOCK / NORM_STEP, start, add);
    s += __shfl_xor_sync(ALL_LANES, s, 4);
    s += __shfl_xor_sync(ALL_LANES, s, 2);
    s += __shfl_xor_sync(ALL_LANES, s, 1);
    if (b < blocks && lane % 8 == 0)
        part[b] = s;
}

/* Each array's blocks in order, then the arrays'. */
static double sum_parts(const normed *a, int64_t count, const double *part)
{
    double sum = 0.0;

    for (int64_t i = 0; i < count; i++) {
        const int64_t blocks = (a[i].n + BLOCK - 1) / BLOCK;
        double own = 0.0;
        for (int64_t b = 0; b < blocks; b++)
            own += part[a[i].first + b];
        sum += own;
    }
    return sum;
}

static int norm2_of(dev_rt *rt, double *sum, const normed *a, int64_t count, int64_t blocks,
                    double *host, ds_err *err)
{
    const size_t bytes = (size_t)blocks * sizeof *host;
    void *arrays, *part;

    TRY(rt_stage(rt, &arrays, a, (size_t)count * sizeof *a, err));
    TRY(rt_scratch(rt, 0, &part, bytes, err));
    LAUNCH(norm2_kernel, dim3(blocks_of(blocks * 8, NORM_THREADS)), dim3(NORM_THREADS),
           NORM_STAGES * NORM_STAGE * sizeof(float), rt_stream(rt), (double *)part,
           (const normed *)arrays, count, blocks);
    TRY(rt_launched(rt, "norm2", err));
    TRY(rt_download(rt, host, part, bytes, err));
    *sum = sum_parts(a, count, host);
    return 0;
}

static int norm2(ds_kernels *k, double *sum, const float *const *x, const int64_t *n, int64_t count,
                 ds_err *err)
{
    const int64_t blocks = ds_norm_blocks(n, count);
    int64_t used = 0, first = 0;

    *sum = 0.0;
    if (blocks == 0)
        return 0;
    normed *a = static_cast<normed *>(calloc((size_t)count, sizeof *a));
    double *host = static_cast<double *>(malloc((size_t)blocks * sizeof *host));
    for (int64_t i = 0; a && i < count; i++)
        if (n[i] > 0) {
            a[used++] = normed{x[i], n[i], first};
            first += (n[i] + BLOCK - 1) / BLOCK;
        }
    const int rc =
        a && host ? norm2_of(rt_of(k), sum, a, used, blocks, host, err) : ds_fail_nomem(err);
    free(a);
    free(host);
    return rc;
}

/* ---- AdamW ---- */

struct adam {
    float keep, b1, b2, c1, c2, eps, lr, i1, i2, gs;
};

/* Of numbers that lie on the device, so that captured work finds other ones there every time. */
__device__ __forceinline__ adam adam_of(const ds_kadamw *p)
{
    return adam{1.0f - p->lr * p->decay, p->beta1, p->beta2, 1.0f - p->beta1,
                1.0f - p->beta2,         p->eps,   -p->lr,   1.0f / p->corr1,
                1.0f / p->corr2,         p->gscale};
}

static int stage_numbers(ds_kernels *k, const ds_kadamw **dev, const ds_kadamw *p, ds_err *err)
{
    void *at;

    TRY(rt_stage(rt_of(k), &at, p, sizeof *p, err));
    *dev = static_cast<const ds_kadamw *>(at);
    return 0;
}

__device__ __forceinline__ float adam_step(float w, float *m, float *v, float g, const adam &a)
{
    g *= a.gs;
    *m = fmaf(a.b1, *m, a.c1 * g);
    *v = fmaf(a.b2, *v, a.c2 * (g * g));
    const float step = (*m * a.i1) / (sqrtf(*v * a.i2) + a.eps);
    return fmaf(a.lr, step, w * a.keep);
}

template <class H> __device__ __forceinline__ H stochastic(float x, uint32_t word);
/* As ds_bf16_stochastic. */
template <> __device__ __forceinline__ bf16 stochastic<bf16>(float x, uint32_t word)
{
    const uint32_t u = f32_bits(x);

    return (u & 0x7f800000u) == 0x7f800000u ? from_f32<bf16>(x)
                                            : bf16{(uint16_t)((u + (word >> 16)) >> 16)};
}

/* f16 weights have a master, so this is never done. */
template <> __device__ __forceinline__ f16 stochastic<f16>(float x, uint32_t)
{
    return from_f32<f16>(x);
}

/* Word i of a stream, of the four that it is among. */
__device__ __forceinline__ uint32_t word_of(const uint32_t r[4], int64_t i)
{
    const uint32_t low = i & 1 ? r[1] : r[0], high = i & 1 ? r[3] : r[2];

    return i & 2 ? high : low;
}

/* N weights from number i on: w's, of which half has the rounded ones where it is not NULL; or
 * those of half alone, which are rounded by chance. */
template <class H, int N>
__device__ __forceinline__ void weights_get(float *x, const float *w, const H *half, int64_t i)
{
    if (w)
        get<float, N>(x, w + i);
    else
        get<H, N>(x, half + i);
}
template <class H, int N>
__device__ __forceinline__ void weights_put(float *w, H *half, int64_t i, const float *x,
                                            const ds_kadamw *p)
{
    uint32_t r[4];
    together<H, N> to;

    if (w) {
        put<float, N>(w + i, x);
        if (half)
            put<H, N>(half + i, x);
        return;
    }
    philox(r, p->seed, p->stream, (uint64_t)i >> 2);
    for (int j = 0; j < N; j++)
        to.at[j] = stochastic<H>(x[j], N == 4 ? r[j] : word_of(r, i));
    store_together(half + i, to);
}

template <class H, int N>
__global__ void adamw_kernel(float *w, H *half, float *m, float *v, const float *g, int64_t n,
                             const ds_kadamw *p)
{
    const int64_t i = ((int64_t)blockIdx.x * THREADS + threadIdx.x) * N;
    float x[N], mi[N], vi[N], gi[N];

    if (i >= n)
        return;
    get<float, N>(mi, m + i);
    get<float, N>(vi, v + i);
    get<float, N>(gi, g + i);
    weights_get<H, N>(x, w, half, i);
    const adam a = adam_of(p);
    for (int j = 0; j < N; j++)
        x[j] = adam_step(x[j], &mi[j], &vi[j], gi[j], a);
    put<float, N>(m + i, mi);
    put<float, N>(v + i, vi);
    weights_put<H, N>(w, half, i, x, p);
}

/* Weights of two bytes without a master that are to be rounded as they come would stand still. */
static int check(enum ds_kfmt f, const float *master, const ds_kadamw *p, ds_err *err)
{
    if (f == DS_KF32 || master || (f == DS_KBF16 && p->stochastic))
        return 0;
    return ds_fail(err, DS_FAIL, "%s weights are trained through f32 master weights%s",
                   f == DS_KBF16 ? "bf16" : "f16",
                   f == DS_KBF16 ? ", or rounded by chance" : ", and not rounded by chance");
}

/* Weights as kernels take them: whole ones, and those of two bytes that go with them. */
static float *whole(void *w, enum ds_kfmt f, float *master)
{
    return f == DS_KF32 ? static_cast<float *>(w) : master;
}
template <class H> static H *halves(void *w, enum ds_kfmt f)
{
    return f == DS_KF32 ? NULL : static_cast<H *>(w);
}

template <class H>
static void start(dev_stream st, void *w, enum ds_kfmt f, float *master, float *m, float *v,
                  const float *g, int64_t n, const ds_kadamw *p)
{
    if (n % 4 == 0 && fits16(w) && fits16(master) && fits16(m) && fits16(v) && fits16(g))
        LAUNCH((adamw_kernel<H, 4>), dim3(blocks_of(n, THREADS * 4)), dim3(THREADS), 0, st,
               whole(w, f, master), halves<H>(w, f), m, v, g, n, p);
    else
        LAUNCH((adamw_kernel<H, 1>), dim3(blocks_of(n, THREADS)), dim3(THREADS), 0, st,
               whole(w, f, master), halves<H>(w, f), m, v, g, n, p);
}

static int adamw(ds_kernels *k, void *w, enum ds_kfmt f, float *master, float *m, float *v,
                 const float *g, int64_t n, const ds_kadamw *p, ds_err *err)
{
    const dev_stream st = rt_stream(rt_of(k));
    const ds_kadamw *dev;

    TRY(check(f, master, p, err));
    if (n <= 0)
        return 0;
    TRY(stage_numbers(k, &dev, p, err));
    if (f == DS_KF16)
        start<f16>(st, w, f, master, m, v, g, n, dev);
    else
        start<bf16>(st, w, f, master, m, v, g, n, dev);
    return rt_launched(rt_of(k), "adamw", err);
}

/* ---- moments of 8 bits: a warp for a block of the state ---- */

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

void ds_cuda_optim(ds_kernels *k)
{
    k->norm2 = norm2;
    k->adamw = adamw;
    k->adamw8 = adamw8;
}
