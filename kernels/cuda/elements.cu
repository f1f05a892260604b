/* elements.cu - what works element by element, with the CPU's bits: SwiGLU, sums, conversions,
 * dropout. Memory-bound: 16 bytes a load. */
#include "cudak.h"

#define THREADS 256
#define DROPS 4 /* of each thread of dropout */

template <class E, int N> __global__ void swiglu_kernel(E *y, const E *a, const E *b, int64_t n)
{
    const int64_t i = ((int64_t)blockIdx.x * THREADS + threadIdx.x) * N;
    float x[N], u[N];

    if (i >= n)
        return;
    get<E, N>(x, a + i);
    get<E, N>(u, b + i);
    for (int j = 0; j < N; j++)
        x[j] = x[j] * sigmoid_exact(x[j]) * u[j];
    put<E, N>(y + i, x);
}

template <class E, int N>
__global__ void swiglu_back_kernel(E *da, E *db, const E *dy, const E *a, const E *b, int64_t n)
{
    const int64_t i = ((int64_t)blockIdx.x * THREADS + threadIdx.x) * N;
    float x[N], u[N], d[N];

    if (i >= n)
        return;
    get<E, N>(x, a + i);
    get<E, N>(u, b + i);
    get<E, N>(d, dy + i);
    for (int j = 0; j < N; j++) {
        const float s = sigmoid_exact(x[j]), up = u[j];
        u[j] = d[j] * (x[j] * s);
        x[j] = d[j] * up * (s * fmaf(x[j], 1.0f - s, 1.0f));
    }
    put<E, N>(db + i, u);
    put<E, N>(da + i, x);
}

template <class E, int N>
__global__ void add_kernel(E *y, const E *a, const E *b, float s, int64_t n)
{
    const int64_t i = ((int64_t)blockIdx.x * THREADS + threadIdx.x) * N;
    float x[N], u[N];

    if (i >= n)
        return;
    get<E, N>(x, a + i);
    get<E, N>(u, b + i);
    for (int j = 0; j < N; j++)
        x[j] = fmaf(s, u[j], x[j]);
    put<E, N>(y + i, x);
}

template <class D, class S, int N> __global__ void convert_kernel(D *dst, const S *src, int64_t n)
{
    const int64_t i = ((int64_t)blockIdx.x * THREADS + threadIdx.x) * N;
    float x[N];

    if (i >= n)
        return;
    get<S, N>(x, src + i);
    put<D, N>(dst + i, x);
}

/* ---- dropout ---- */

/* What a thread draws words for: whole blocks of four, N elements that lie together or four that
 * are taken one by one. */
constexpr int drawn(int n)
{
    return n > 4 ? n : 4;
}

/* The words of a call: those of element i are of block `base` / 4 + i / 4. */
struct chance {
    uint64_t seed, stream, base;
};
__device__ __forceinline__ chance chance_of(const drop &p)
{
    return {p.at->seed, p.at->step << 16 | p.module, p.at->first * (uint64_t)p.d};
}

template <class E, int N> struct few {
    static constexpr int MANY = drawn(N) / N;
    together<E, N> at[MANY];

    /* Those from i on; in place of what is past n - 1, the first. */
    __device__ __forceinline__ void load(const E *x, int64_t i, int64_t n)
    {
        for (int k = 0; k < MANY; k++)
            at[k] = load_together<E, N>(x + (i + k < n ? i + k : 0));
    }
    /* The first has number `first` in the micro-batch. */
    __device__ __forceinline__ void thin(uint64_t first, const drop &p, const chance &c)
    {
        uint32_t r[drawn(N)];

        for (int j = 0; j < drawn(N); j += 4)
            philox(r + j, c.seed, c.stream, ((c.base + first) >> 2) + (unsigned)j / 4);
        for (int k = 0; k < MANY; k++) {
            float v[N];
            apart(v, at[k]);
            for (int j = 0; j < N; j++)
                v[j] *= r[k + j] >= p.below ? p.up : 0.0f;
            at[k] = as_one<E, N>(v);
        }
    }
    __device__ __forceinline__ void store(E *y, int64_t i, int64_t n) const
    {
        for (int k = 0; k < MANY; k++)
            if (i + k < n)
                store_together(y + i + k, at[k]);
    }
};

/* A thread takes several, whose loads come at once and whose words have their keys in common. */
template <class E, int N> __global__ void dropout_kernel(E *y, const E *x, int64_t n, drop p)
{
    constexpr int EACH = THREADS * drawn(N);
    const int64_t i = (int64_t)blockIdx.x * EACH * DROPS + threadIdx.x * drawn(N);
    const chance c = chance_of(p);
    few<E, N> some[DROPS];

#pragma unroll
    for (int u = 0; u < DROPS; u++)
        some[u].load(x, i + u * EACH, n);
#pragma unroll
    for (int u = 0; u < DROPS; u++)
        some[u].thin((uint64_t)(i + u * EACH), p, c);
#pragma unroll
    for (int u = 0; u < DROPS; u++)
        some[u].store(y, i + u * EACH, n);
}

/* Rows of sorted choices: `each` more to the module an expert. */
template <class E, int N>
__global__ void dropout_chosen_kernel(E *y, const E *x, const int32_t *slots, const int32_t *expert,
                                      int32_t kk, uint32_t each, drop p)
{
    const int64_t row = blockIdx.x, d = p.d;
    const int32_t slot = slots[row];
    few<E, N> some;

    p.module += each * (uint32_t)expert[slot];
    const chance c = chance_of(p);
    for (int64_t i = (int64_t)threadIdx.x * drawn(N); i < d; i += THREADS * drawn(N)) {
        some.load(x, row * d + i, (row + 1) * d);
        some.thin((uint64_t)(slot / kk * d + i), p, c);
        some.store(y, row * d + i, (row + 1) * d);
    }
}

/* ---- the table ---- */

static bool wide_of(enum ds_kfmt f, int64_t n, const void *a, const void *b, const void *c)
{
    return n % (int64_t)(16 / ds_kfmt_size(f)) == 0 && fits16(a) && fits16(b) && fits16(c);
}

static int swiglu(ds_kernels *k, void *y, const void *a, const void *b, enum ds_kfmt f, int64_t n,
                  ds_err *err)
{
    if (n > 0)
        BY_WIDTH(f, wide_of(f, n, y, a, b),
                 LAUNCH((swiglu_kernel<E, N>), dim3(blocks_of(n, THREADS * N)), dim3(THREADS), 0,
                        rt_stream(rt_of(k)), (E *)y, (const E *)a, (const E *)b, n));
    return rt_launched(rt_of(k), "swiglu", err);
}

static int swiglu_back(ds_kernels *k, void *da, void *db, const void *dy, const void *a,
                       const void *b, enum ds_kfmt f, int64_t n, ds_err *err)
{
    const bool wide = wide_of(f, n, da, a, b) && fits16(db) && fits16(dy);

    if (n > 0)
        BY_WIDTH(f, wide,
                 LAUNCH((swiglu_back_kernel<E, N>), dim3(blocks_of(n, THREADS * N)), dim3(THREADS),
                        0, rt_stream(rt_of(k)), (E *)da, (E *)db, (const E *)dy, (const E *)a,
                        (const E *)b, n));
    return rt_launched(rt_of(k), "swiglu_back", err);
}

static int add(ds_kernels *k, void *y, const void *a, const void *b, float s, enum ds_kfmt f,
               int64_t n, ds_err *err)
{
    if (n > 0)
        BY_WIDTH(f, wide_of(f, n, y, a, b),
                 LAUNCH((add_kernel<E, N>), dim3(blocks_of(n, THREADS * N)), dim3(THREADS), 0,
                        rt_stream(rt_of(k)), (E *)y, (const E *)a, (const E *)b, s, n));
    return rt_launched(rt_of(k), "add", err);
}

template <class D, class S>
static void convert_of(dev_stream st, void *dst, const void *src, int64_t n)
{
    if (n % 8 == 0 && fits16(dst) && fits16(src))
        LAUNCH((convert_kernel<D, S, 8>), dim3(blocks_of(n, THREADS * 8)), dim3(THREADS), 0, st,
               (D *)dst, (const S *)src, n);
    else
        LAUNCH((convert_kernel<D, S, 1>), dim3(blocks_of(n, THREADS)), dim3(THREADS), 0, st,
               (D *)dst, (const S *)src, n);
}

static int convert(ds_kernels *k, void *dst, enum ds_kfmt fd, const void *src, enum ds_kfmt fs,
                   int64_t n, ds_err *err)
{
    const dev_stream st = rt_stream(rt_of(k));

    if (n <= 0)
        return 0;
    BY_FORMAT(fd, D, BY_FORMAT(fs, S, convert_of<D, S>(st, dst, src, n)));
    return rt_launched(rt_of(k), "convert", err);
}

int ds_cuda_drop_of(dev_rt *rt, drop *to, float p, const ds_kstep *at, uint32_t module, int64_t d,
                    ds_err *err)
{
    const double edge = (double)p * 4294967296.0;
    const uint64_t base = at->first * (uint64_t)d;
    void *dev;

    if (base & 3)
        return ds_fail(err, DS_FAIL, "dropout from element %llu: it begins at a multiple of 4",
                       (unsigned long long)base);
    if (!(p >= 0.0f && p < 1.0f))
        return ds_fail(err, DS_FAIL, "dropout of %g: it is at least 0 and less than 1", (double)p);
    TRY(rt_stage(rt, &dev, at, sizeof *at, err));
    *to = drop{edge >= 4294967295.0 ? UINT32_MAX : (uint32_t)edge, 1.0f / (1.0f - p),
               static_cast<const ds_kstep *>(dev), module, d};
    return 0;
}

static int dropout(ds_kernels *k, void *y, const void *x, enum ds_kfmt f, int64_t t, int64_t d,
                   float p, const ds_kstep *at, uint32_t module, ds_err *err)
{
    const int64_t n = t * d;
    drop by;

    TRY(ds_cuda_drop_of(rt_of(k), &by, p, at, module, d, err));
    if (n > 0)
        BY_WIDTH(f, wide_of(f, n, y, x, x),
                 LAUNCH((dropout_kernel<E, N>), dim3(blocks_of(n, THREADS * DROPS * drawn(N))),
                        dim3(THREADS), 0, rt_stream(rt_of(k)), (E *)y, (const E *)x, n, by));
    return rt_launched(rt_of(k), "dropout", err);
}

static int dropout_chosen(ds_kernels *k, void *y, const void *x, enum ds_kfmt f,
                          const ds_kchoices *c, int64_t d, float p, const ds_kstep *at,
                          uint32_t module, uint32_t each, ds_err *err)
{
    const int64_t n = c->t * c->kk;
    drop by;

    if (d & 3)
        return ds_fail(err, DS_FAIL, "dropout of rows of %lld elements: a multiple of 4",
                       (long long)d);
    TRY(ds_cuda_drop_of(rt_of(k), &by, p, at, module, d, err));
    if (n > 0)
        BY_WIDTH(f, wide_of(f, d, y, x, x),
                 LAUNCH((dropout_chosen_kernel<E, N>), dim3((unsigned)n), dim3(THREADS), 0,
                        rt_stream(rt_of(k)), (E *)y, (const E *)x, c->slots, c->expert, c->kk, each,
                        by));
    return rt_launched(rt_of(k), "dropout_chosen", err);
}

void ds_cuda_elements(ds_kernels *k)
{
    k->swiglu = swiglu;
    k->swiglu_back = swiglu_back;
    k->add = add;
    k->convert = convert;
    k->dropout = dropout;
    k->dropout_chosen = dropout_chosen;
}
