/* sums.cu - sums over rows, a column each: gradients of biases and of columns' factors, those of
 * experts too, and the second half of every such sum. Parts are the sums of ds_sum_rows rows each
 * (devroom.h), so the order depends on the shape alone; or of DS_CHOSEN_ROWS of an expert's, so it
 * depends on how many the expert has.
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
        return load_together<E, N>(from + at);
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

template <class E, int N> struct dot {
    struct loaded {
        together<E, N> a, b;
    };
    static constexpr int AT_ONCE_OF = 4;
    const E *a, *b;

    __device__ __forceinline__ loaded load(int64_t at) const
    {
        return {load_together<E, N>(a + at), load_together<E, N>(b + at)};
    }
    __device__ __forceinline__ void add(float *s, const loaded &v) const
    {
        float x[N], y[N];

        apart(x, v.a);
        apart(y, v.b);
        for (int j = 0; j < N; j++)
            s[j] = fmaf(x[j], y[j], s[j]);
    }
    __device__ __forceinline__ float last(float s, int64_t) const { return s; }
};

/* (a / c) b, divided when the products are summed. */
template <class E, int N> struct scaled_dot : dot<E, N> {
    const float *c;

    __device__ __forceinline__ float last(float s, int64_t col) const { return s / c[col]; }
};

/* Rows [t0, t1) of a part. */
struct part_rows {
    int64_t t0, t1;
};
struct all_rows {
    int64_t t, rows;

    __device__ __forceinline__ part_rows of(int64_t part) const
    {
        const int64_t t0 = part * rows;
        return {t0, t0 + rows < t ? t0 + rows : t};
    }
};

/* An expert's parts begin at number first[e] / DS_CHOSEN_ROWS + e, which leaves each expert as many
 * numbers as it may need; those left over have no rows. */
__device__ __forceinline__ int64_t part_of(const int32_t *first, int32_t e)
{
    return first[e] / DS_CHOSEN_ROWS + e;
}
struct experts_rows {
    const int32_t *first;
    int32_t experts;

    __device__ __forceinline__ part_rows of(int64_t part) const
    {
        int32_t lo = 0, hi = experts;

        while (hi - lo > 1) {
            const int32_t mid = (lo + hi) / 2;
            if (part_of(first, mid) <= part)
                lo = mid;
            else
                hi = mid;
        }
        const int64_t t0 = first[lo] + (part - part_of(first, lo)) * DS_CHOSEN_ROWS;
        const int64_t end = first[lo + 1];
        return {t0, t0 + DS_CHOSEN_ROWS < end ? t0 + DS_CHOSEN_ROWS : end};
    }
};

/* Floats of a line of sums that a warp's lanes have, so that lanes meet every bank once when they
 * write and when they read across. */
constexpr int line_of(int n)
{
    return (int)WARP + (int)WARP / n;
}

/* sums[part][i] of N columns a lane; a part's rows go to the warps in turn, whose sums are added in
 * their order. A block for each part of so many columns, which come first. */
template <class E, int N, class Term, class Rows>
__global__ void __launch_bounds__(THREADS)
    sum_rows_kernel(float *part, const Term term, const Rows rows, int64_t n, int64_t across)
{
    constexpr int LINE = line_of(N), MANY = Term::AT_ONCE_OF;
    DYNAMIC_SHARED(memory);
    float *sums = reinterpret_cast<float *>(memory);
    const int warp = (int)(threadIdx.x / WARP), lane = (int)(threadIdx.x % WARP);
    const int64_t number = blockIdx.x / across, col0 = blockIdx.x % across * (int)WARP * N;
    const int64_t i = col0 + lane * N;
    const part_rows of = rows.of(number);
    float s[N] = {0};

    if (of.t0 >= of.t1)
        return;
    for (int64_t r = of.t0 + warp; i < n && r < of.t1; r += WARPS * MANY) {
        typename Term::loaded v[MANY];
#pragma unroll
        for (int u = 0; u < MANY; u++)
            if (r + u * WARPS < of.t1)
                v[u] = term.load((r + u * WARPS) * n + i);
#pragma unroll
        for (int u = 0; u < MANY; u++)
            if (r + u * WARPS < of.t1)
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
    part[number * n + col0 + col] = term.last(all, col0 + col);
}

template <class E, int N, class Term, class Rows>
static void start_sums(dev_stream st, float *part, const Term &term, const Rows &rows,
                       int64_t parts, int64_t n)
{
    const unsigned across = blocks_of(n, WARP * N);

    LAUNCH((sum_rows_kernel<E, N, Term, Rows>), dim3((unsigned)parts * across), dim3(THREADS),
           WARPS * N * line_of(N) * sizeof(float), st, part, term, rows, n, (int64_t)across);
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
             start_sums<E, N>(rt_stream(rt), (float *)part, plain<E, N>{(const E *)dy},
                              all_rows{t, ds_sum_rows(t)}, ds_sum_parts(t), n));
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
                              scaled_dot<E, N>{{(const E *)a, (const E *)b}, c},
                              all_rows{t, ds_sum_rows(t)}, ds_sum_parts(t), n));
    TRY(rt_launched(rt, "col_dot", err));
    return ds_cuda_add_parts(rt, dg, (const float *)part, ds_sum_parts(t), n, true, err);
}

/* dg[e] += each expert's parts in their order, divided by c[e]. */
__global__ void add_chosen_kernel(const float *part, const int32_t *first, int64_t n,
                                  const __grid_constant__ by_expert<float> dg,
                                  const __grid_constant__ by_expert<const float> c)
{
    const int64_t i = (int64_t)blockIdx.x * THREADS + threadIdx.x;
    const int32_t e = dg.from + (int32_t)blockIdx.y, rows = first[e + 1] - first[e];
    const int64_t from = part_of(first, e), parts = (rows + DS_CHOSEN_ROWS - 1) / DS_CHOSEN_ROWS;
    float *to = dg.at[blockIdx.y];
    float s = 0.0f;

    if (i >= n || !to)
        return;
#pragma unroll 8
    for (int64_t p = from; p < from + parts; p++)
        s += part[p * n + i];
    to[i] += s / c.at[blockIdx.y][i];
}

static int col_dot_chosen(ds_kernels *k, float *const *dg, const void *a, const void *b,
                          const float *const *c, enum ds_kfmt f, const ds_kchoices *ch, int64_t n,
                          ds_err *err)
{
    dev_rt *rt = rt_of(k);
    void *part;

    if (ch->t * ch->kk <= 0 || n <= 0)
        return 0;
    TRY(rt_scratch(rt, 0, &part, ds_scratch_chosen(ch, n), err));
    BY_WIDTH(f, wide_rows(f, n) && fits16(a) && fits16(b),
             start_sums<E, N>(rt_stream(rt), (float *)part, dot<E, N>{(const E *)a, (const E *)b},
                              experts_rows{ch->first, ch->e}, ds_chosen_parts(ch), n));
    TRY(rt_launched(rt, "col_dot_chosen", err));
    for (int32_t e = 0; e < ch->e; e += DS_EXPERTS_AT_ONCE) {
        const auto to = experts_from(dg, e, ch->e);
        const auto by = experts_from(c, e, ch->e);
        LAUNCH(add_chosen_kernel, dim3(blocks_of(n, THREADS), (unsigned)to.n), dim3(THREADS), 0,
               rt_stream(rt), (const float *)part, ch->first, n, to, by);
    }
    return rt_launched(rt, "col_dot_chosen", err);
}

void ds_cuda_sums(ds_kernels *k)
{
    k->bias_back = bias_back;
    k->col_dot = col_dot;
    k->col_dot_chosen = col_dot_chosen;
}
