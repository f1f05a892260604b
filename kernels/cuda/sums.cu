/* sums.cu - sums over rows, a column each: gradients of biases and of columns' factors, and the
 * second half of every such sum. Parts are the sums of ds_sum_rows rows each (devroom.h), so the
 * order depends on the shape alone.
 */
#include "cudak.h"

#define THREADS 256
#define WARPS ((int)(THREADS / WARP))
#define AT_ONCE 32 /* parts of a sum that are loaded together */

/* ---- sums of parts ---- */

/* Each element has so many threads, of a run of the parts each; then the runs are added. */
__global__ void add_parts_kernel(float *out, const float *part, int64_t parts, int64_t n, int runs,
                                 bool accumulate)
{
    __shared__ float sum[THREADS];
    const int cols = THREADS / runs, col = (int)threadIdx.x % cols, run = (int)threadIdx.x / cols;
    const int64_t i = (int64_t)blockIdx.x * cols + col, each = (parts + runs - 1) / runs;
    const int64_t c0 = run * each, c1 = c0 + each < parts ? c0 + each : parts;
    float s = 0.0f;

    for (int64_t c = c0; i < n && c < c1; c += AT_ONCE) {
        float x[AT_ONCE];
#pragma unroll
        for (int u = 0; u < AT_ONCE; u++)
            x[u] = c + u < c1 ? part[(c + u) * n + i] : 0.0f;
#pragma unroll
        for (int u = 0; u < AT_ONCE; u++)
            s = c + u < c1 ? s + x[u] : s;
    }
    sum[threadIdx.x] = s;
    __syncthreads();
    if (run > 0 || i >= n)
        return;
    for (int r = 1; r < runs; r++)
        s += sum[r * cols + col];
    out[i] = accumulate ? out[i] + s : s;
}

int ds_cuda_add_parts(dev_rt *rt, float *out, const float *part, int64_t parts, int64_t n,
                      bool accumulate, ds_err *err)
{
    int runs = 1;

    while (runs < 8 && runs * AT_ONCE < parts)
        runs *= 2;
    LAUNCH(add_parts_kernel, dim3(blocks_of(n, THREADS / runs)), dim3(THREADS), 0, rt_stream(rt),
           out, part, parts, n, runs, accumulate);
    return rt_launched(rt, "add_parts", err);
}

/* ---- the parts ---- */

/* What is summed: `loaded` of N columns of a row, AT_ONCE rows at a time; `last` is done with the
 * sum of a part. */
template <class E, int N> struct plain {
    using loaded = together<E, N>;
    static constexpr int AT_ONCE_OF = 8;
    const E *from;

    __device__ __forceinline__ loaded load(int64_t at) const
    {
        return *reinterpret_cast<const loaded *>(from + at);
    }
    __device__ __forceinline__ void add(float *s, const loaded &v) const
    {
        float x[N];

        apart(x, v);
        for (int j = 0; j < N; j++)
            s[j] += x[j];
    }
    __device__ __forceinline__ float last(float s, int64_t) const { return s; }
};

/* (a / c) b, divided when the products are summed. */
template <class E, int N> struct scaled_dot {
    struct loaded {
        together<E, N> a, b;
    };
    static constexpr int AT_ONCE_OF = 4;
    const E *a, *b;
    const float *c;

    __device__ __forceinline__ loaded load(int64_t at) const
    {
        return {*reinterpret_cast<const together<E, N> *>(a + at),
                *reinterpret_cast<const together<E, N> *>(b + at)};
    }
    __device__ __forceinline__ void add(float *s, const loaded &v) const
    {
        float x[N], y[N];

        apart(x, v.a);
        apart(y, v.b);
        for (int j = 0; j < N; j++)
            s[j] = fmaf(x[j], y[j], s[j]);
    }
    __device__ __forceinline__ float last(float s, int64_t col) const { return s / c[col]; }
};

/* Floats of a line of sums that a warp's lanes have, so that lanes meet every bank once when they
 * write and when they read across. */
constexpr int line_of(int n)
{
    return (int)WARP + (int)WARP / n;
}

/* part[chunk][i] of N columns a lane; a chunk's rows go to the warps in turn, whose sums are added
 * in their order. */
template <class E, int N, class Term>
__global__ void __launch_bounds__(THREADS)
    sum_rows_kernel(float *part, const Term term, int64_t t, int64_t n, int64_t rows)
{
    constexpr int LINE = line_of(N), MANY = Term::AT_ONCE_OF;
    DYNAMIC_SHARED(memory);
    float *sums = reinterpret_cast<float *>(memory);
    const int warp = (int)(threadIdx.x / WARP), lane = (int)(threadIdx.x % WARP);
    const int64_t col0 = (int64_t)blockIdx.x * (int)WARP * N, i = col0 + lane * N;
    const int64_t t0 = (int64_t)blockIdx.y * rows, t1 = t0 + rows < t ? t0 + rows : t;
    float s[N] = {0};

    for (int64_t r = t0 + warp; i < n && r < t1; r += WARPS * MANY) {
        typename Term::loaded v[MANY];
#pragma unroll
        for (int u = 0; u < MANY; u++)
            if (r + u * WARPS < t1)
                v[u] = term.load((r + u * WARPS) * n + i);
#pragma unroll
        for (int u = 0; u < MANY; u++)
            if (r + u * WARPS < t1)
                term.add(s, v[u]);
    }
    for (int j = 0; j < N; j++)
        sums[(warp * N + j) * LINE + lane] = s[j];
    __syncthreads();
    const int col = (int)threadIdx.x;
    if (col >= (int)WARP * N || col0 + col >= n)
        return;
    float all = 0.0f;
    for (int w = 0; w < WARPS; w++)
        all += sums[(w * N + col % N) * LINE + col / N];
    part[blockIdx.y * n + col0 + col] = term.last(all, col0 + col);
}

template <class E, int N, class Term>
static void start_sums(dev_stream st, float *part, const Term &term, int64_t t, int64_t n)
{
    const int64_t rows = ds_sum_rows(t);

    LAUNCH((sum_rows_kernel<E, N, Term>), dim3(blocks_of(n, WARP * N), blocks_of(t, rows)),
           dim3(THREADS), WARPS * N * line_of(N) * sizeof(float), st, part, term, t, n, rows);
}

static int bias_back(ds_kernels *k, float *db, const void *dy, enum ds_kfmt f, int64_t t, int64_t n,
                     ds_err *err)
{
    dev_rt *rt = rt_of(k);
    void *part;

    if (t <= 0 || n <= 0)
        return 0;
    TRY(rt_scratch(rt, 0, &part, ds_scratch_sums(t, n), err));
    BY_WIDTH(f, wide_rows(f, n) && fits16(dy),
             start_sums<E, N>(rt_stream(rt), (float *)part, plain<E, N>{(const E *)dy}, t, n));
    TRY(rt_launched(rt, "bias_back", err));
    return ds_cuda_add_parts(rt, db, (const float *)part, ds_sum_parts(t), n, true, err);
}

static int col_dot(ds_kernels *k, float *dg, const void *a, const void *b, const float *c,
                   enum ds_kfmt f, int64_t t, int64_t n, ds_err *err)
{
    dev_rt *rt = rt_of(k);
    void *part;

    if (t <= 0 || n <= 0)
        return 0;
    TRY(rt_scratch(rt, 0, &part, ds_scratch_sums(t, n), err));
    BY_WIDTH(f, wide_rows(f, n) && fits16(a) && fits16(b),
             start_sums<E, N>(rt_stream(rt), (float *)part,
                              scaled_dot<E, N>{(const E *)a, (const E *)b, c}, t, n));
    TRY(rt_launched(rt, "col_dot", err));
    return ds_cuda_add_parts(rt, dg, (const float *)part, ds_sum_parts(t), n, true, err);
}

void ds_cuda_sums(ds_kernels *k)
{
    k->bias_back = bias_back;
    k->col_dot = col_dot;
}
