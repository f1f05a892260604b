/* optim.cu - AdamW and the gradient norm, with the CPU's bits. */
#include "cudak.h"

#include <cfloat>
#include <cstdlib>

#define THREADS 256
#define BLOCK DS_NORM_BLOCK

/* ---- norm: eight sums a block, element e to sum e % 8; a thread a sum ---- */

struct normed { /* one of the arrays */
    const float *x;
    int64_t n, first; /* first: number of its first block */
};

/* Blocks are numbered through all arrays. */
__global__ void norm2_kernel(double *part, const normed *arrays, int64_t count, int64_t blocks)
{
    const int64_t i = (int64_t)blockIdx.x * THREADS + threadIdx.x, b = i / 8;
    double s = 0.0;

    if (b < blocks) {
        int64_t lo = 0, hi = count;
        while (hi - lo > 1) { /* the last array that begins at b or before */
            const int64_t mid = (lo + hi) / 2;
            if (arrays[mid].first <= b)
                lo = mid;
            else
                hi = mid;
        }
        const normed a = arrays[lo];
        const int64_t from = (b - a.first) * BLOCK, end = from + BLOCK < a.n ? from + BLOCK : a.n;
        for (int64_t e = from + i % 8; e < end; e += 8)
            s += (double)a.x[e] * (double)a.x[e];
    }
    s += __shfl_xor_sync(ALL_LANES, s, 4);
    s += __shfl_xor_sync(ALL_LANES, s, 2);
    s += __shfl_xor_sync(ALL_LANES, s, 1);
    if (b < blocks && i % 8 == 0)
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
    LAUNCH(norm2_kernel, dim3(blocks_of(blocks * 8, THREADS)), dim3(THREADS), 0, rt_stream(rt),
           (double *)part, (const normed *)arrays, count, blocks);
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

/* N weights: w's, of which half has the rounded ones where it is not NULL; or those of half alone.
 */
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
    if (w)
        get<float, N>(x, w + i);
    else
        get<H, N>(x, half + i);
    const adam a = adam_of(p);
    for (int j = 0; j < N; j++)
        x[j] = adam_step(x[j], &mi[j], &vi[j], gi[j], a);
    put<float, N>(m + i, mi);
    put<float, N>(v + i, vi);
    if (w) {
        put<float, N>(w + i, x);
        if (half)
            put<H, N>(half + i, x);
        return;
    }
    uint32_t r[4];
    together<H, N> to;
    philox(r, p->seed, p->stream, (uint64_t)i >> 2);
    for (int j = 0; j < N; j++)
        to.at[j] = stochastic<H>(x[j], N == 4 ? r[j] : word_of(r, i));
    *reinterpret_cast<together<H, N> *>(half + i) = to;
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

/* ---- moments of 8 bits: a block of threads for a block of the state ---- */

/* The tables of values and of edges between them, m's and then v's. */
struct tables8 {
    float map[2][256], edges[2][256];
};

__device__ __forceinline__ uint8_t code_of(float y, const float *edges)
{
    int c = 0;

    for (int step = 128; step > 0; step >>= 1)
        c += y > edges[c + step - 1] ? step : 0;
    return (uint8_t)c;
}

__device__ __forceinline__ uint8_t coded(float x, const float *edges, float *scale, float *room)
{
    const float most = block_max(x < 0 ? -x : x, room), inv = most < FLT_MIN ? 0.0f : 1.0f / most;

    if (threadIdx.x == 0)
        *scale = most < FLT_MIN ? 0.0f : most;
    return code_of(x * inv, edges);
}

template <class H>
__global__ void adamw8_kernel(float *w, H *half, uint8_t *m8, float *mscale, uint8_t *v8,
                              float *vscale, const float *g, int64_t n, const ds_kadamw *p,
                              const tables8 *t)
{
    __shared__ float room[32];
    const int64_t b = blockIdx.x, i = b * DS_BLOCK8 + threadIdx.x;
    const bool here = i < n;
    float m = 0.0f, v = 0.0f, x = 0.0f;

    if (here) {
        m = t->map[0][m8[i]] * mscale[b];
        v = t->map[1][v8[i]] * vscale[b];
        x = adam_step(w ? w[i] : to_f32(half[i]), &m, &v, g[i], adam_of(p));
    }
    __syncthreads(); /* the scales are read before they change */
    const uint8_t cm = coded(m, t->edges[0], mscale + b, room);
    const uint8_t cv = coded(v, t->edges[1], vscale + b, room);
    if (!here)
        return;
    m8[i] = cm;
    v8[i] = cv;
    if (w) {
        w[i] = x;
        if (half)
            half[i] = from_f32<H>(x);
        return;
    }
    uint32_t r[4];
    philox(r, p->seed, p->stream, (uint64_t)i >> 2);
    half[i] = stochastic<H>(x, word_of(r, i));
}

static int make_tables(void *to, const rt_made *, ds_err *)
{
    tables8 *t = static_cast<tables8 *>(to);

    for (int i = 0; i < 2; i++) {
        ds_dynamic_map(t->map[i], i == 0);
        for (int e = 0; e < 255; e++)
            t->edges[i][e] = 0.5f * (t->map[i][e] + t->map[i][e + 1]);
        t->edges[i][255] = FLT_MAX;
    }
    t->edges[1][0] = 0.0f; /* what is not 0 stays so */
    return 0;
}

static int adamw8(ds_kernels *k, void *w, enum ds_kfmt f, float *master, uint8_t *m, float *mscale,
                  uint8_t *v, float *vscale, const float *g, int64_t n, const ds_kadamw *p,
                  ds_err *err)
{
    const dim3 grid(blocks_of(n, DS_BLOCK8)), block(DS_BLOCK8);
    const dev_stream st = rt_stream(rt_of(k));
    const rt_made tables = {make_tables, NULL, 0, sizeof(tables8), {0, 0}};
    const ds_kadamw *numbers;
    void *dev;

    TRY(check(f, master, p, err));
    if (n <= 0)
        return 0;
    TRY(stage_numbers(k, &numbers, p, err));
    TRY(rt_stage_made(rt_of(k), &dev, &tables, err));
    if (f == DS_KF16)
        LAUNCH((adamw8_kernel<f16>), grid, block, 0, st, whole(w, f, master), halves<f16>(w, f), m,
               mscale, v, vscale, g, n, numbers, (const tables8 *)dev);
    else
        LAUNCH((adamw8_kernel<bf16>), grid, block, 0, st, whole(w, f, master), halves<bf16>(w, f),
               m, mscale, v, vscale, g, n, numbers, (const tables8 *)dev);
    return rt_launched(rt_of(k), "adamw8", err);
}

void ds_cuda_optim(ds_kernels *k)
{
    k->norm2 = norm2;
    k->adamw = adamw;
    k->adamw8 = adamw8;
}
