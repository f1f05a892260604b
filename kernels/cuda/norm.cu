/* norm.cu - RMSNorm. */
#include "tile.h"

#include "cudak.h"

#define THREADS 256

/* ADD: of x + add, which is written to sum; each thread reads there what it wrote itself. */
template <class E, int N, bool ADD>
__global__ void norm_kernel(E *y, float *rstd, E *sum, const E *x, const E *add, const E *g,
                            int64_t d, float eps)
{
    __shared__ float room[32];
    const int64_t row = (int64_t)blockIdx.x * d;
    float v[N], w[N], s = 0.0f;

    for (int64_t i = (int64_t)threadIdx.x * N; i < d; i += THREADS * N) {
        get<E, N>(v, x + row + i);
        if (ADD) {
            get<E, N>(w, add + row + i);
            for (int j = 0; j < N; j++)
                v[j] = to_f32(from_f32<E>(v[j] + w[j]));
            put<E, N>(sum + row + i, v);
        }
        for (int j = 0; j < N; j++)
            s = fmaf(v[j], v[j], s);
    }
    const float r = 1.0f / sqrtf(block_sum(s, room) / (float)d + eps);
    if (threadIdx.x == 0)
        rstd[blockIdx.x] = r;
    for (int64_t i = (int64_t)threadIdx.x * N; i < d; i += THREADS * N) {
        get<E, N>(v, (ADD ? sum : x) + row + i);
        get<E, N>(w, g + i);
        for (int j = 0; j < N; j++)
            v[j] = v[j] * r * w[j];
        put<E, N>(y + row + i, v);
    }
}

/* What the way back has of a row, N elements at a time: of a block's shared memory where STAGES
 * rows of x, dy and, to be added to, dx are copied ahead, each piece by the thread that works on
 * it. */
template <class E, int N, int STAGES> struct row_back {
    const E *x, *dy, *dx;
    E *ahead; /* [STAGES, 3, d] */
    int64_t d;
    bool accumulate;

    __device__ __forceinline__ E *place(int64_t s) const
    {
        return ahead + s % STAGES * (accumulate ? 3 : 2) * d;
    }
    /* Row `row` to place s. */
    __device__ __forceinline__ void start(int64_t row, int64_t s) const
    {
        E *to = place(s);

        for (int64_t i = (int64_t)threadIdx.x * N; i < d; i += THREADS * N) {
            copy16(to + i, x + row * d + i);
            copy16(to + d + i, dy + row * d + i);
            if (accumulate)
                copy16(to + 2 * d + i, dx + row * d + i);
        }
    }
    __device__ __forceinline__ row_back at(int64_t row, int64_t s) const
    {
        if constexpr (STAGES > 0) {
            E *p = place(s);
            return {p, p + d, p + 2 * d, ahead, d, accumulate};
        } else {
            return {x + row * d, dy + row * d, dx + row * d, ahead, d, accumulate};
        }
    }
};

/* Sums of N columns from i on, as they lie in shared memory: fours of them apart, so that lanes
 * meet every bank once. */
template <int N, class Use>
__device__ __forceinline__ void sums_of(float *sums, int64_t d, int64_t i, const Use &use)
{
    constexpr int V = N < 4 ? N : 4;

    for (int j = 0; j < N; j += V)
        use(sums + j / V * (d / N * V) + i / N * V, j);
}

/* A block takes some rows and keeps the sums of its columns for dg, each column with one thread.
 * part is NULL when dg is not asked for. */
template <class E, int N, int STAGES>
__global__ void __launch_bounds__(THREADS)
    norm_back_kernel(E *dx, float *part, const E *dy, const E *x, const E *g, const float *rstd,
                     int64_t t, int64_t d, int64_t rows, bool accumulate)
{
    DYNAMIC_SHARED(memory);
    __shared__ float room[32];
    constexpr int V = N < 4 ? N : 4;
    float *sums = reinterpret_cast<float *>(memory);
    const row_back<E, N, STAGES> all = {
        x, dy, dx, reinterpret_cast<E *>(memory + (part ? d * sizeof(float) : 0)), d, accumulate};
    const int64_t t0 = (int64_t)blockIdx.x * rows, t1 = t0 + rows < t ? t0 + rows : t;
    const int64_t i0 = (int64_t)threadIdx.x * N;
    float v[N], u[N], w[N], old[N];

    for (int64_t i = i0; part && i < d; i += THREADS * N)
        for (int j = 0; j < N; j++)
            sums[i + j] = 0.0f;
    const auto use = [&](int64_t s) {
        const row_back<E, N, STAGES> row = all.at(t0 + s, s);
        const float r = rstd[t0 + s];
        float dot = 0.0f;
#pragma unroll 2
        for (int64_t i = i0; i < d; i += THREADS * N) {
            get<E, N>(v, row.x + i);
            get<E, N>(u, row.dy + i);
            get<E, N>(w, g + i);
            for (int j = 0; j < N; j++)
                dot = fmaf(w[j] * u[j], v[j], dot);
            if (part)
                sums_of<N>(sums, d, i, [&](float *at, int j0) {
                    get<float, V>(old, at);
                    for (int j = 0; j < V; j++)
                        old[j] = fmaf(v[j0 + j] * r, u[j0 + j], old[j]);
                    store_shared(at, as_one<float, V>(old));
                });
        }
        const float c = block_sum(dot, room) * r * r * r / (float)d;
#pragma unroll 2
        for (int64_t i = i0; i < d; i += THREADS * N) {
            get<E, N>(v, row.x + i);
            get<E, N>(u, row.dy + i);
            get<E, N>(w, g + i);
            if (accumulate)
                get<E, N>(old, row.dx + i);
            for (int j = 0; j < N; j++) {
                const float z = fmaf(-c, v[j], r * (w[j] * u[j]));
                v[j] = accumulate ? old[j] + z : z;
            }
            put<E, N>(dx + (t0 + s) * d + i, v);
        }
    };
    if constexpr (STAGES > 0)
        pipeline<STAGES>(
            t1 - t0, [&](int64_t s) { all.start(t0 + s, s); }, use);
    else
        for (int64_t s = 0; s < t1 - t0; s++)
            use(s);
    for (int64_t i = i0; part && i < d; i += THREADS * N)
        sums_of<N>(sums, d, i, [&](float *at, int j0) {
            get<float, V>(v, at);
            put<float, V>(part + (int64_t)blockIdx.x * d + i + j0, v);
        });
}

static int rmsnorm(ds_kernels *k, void *y, float *rstd, const void *x, const void *g,
                   enum ds_kfmt f, int64_t t, int64_t d, float eps, ds_err *err)
{
    const bool wide = wide_rows(f, d) && fits16(y) && fits16(x) && fits16(g);

    if (t > 0)
        BY_WIDTH(f, wide,
                 LAUNCH((norm_kernel<E, N, false>), dim3((unsigned)t), dim3(THREADS), 0,
                        rt_stream(rt_of(k)), (E *)y, rstd, (E *)NULL, (const E *)x, (const E *)NULL,
                        (const E *)g, d, eps));
    return rt_launched(rt_of(k), "rmsnorm", err);
}

static int add_rmsnorm(ds_kernels *k, void *sum, void *y, float *rstd, const void *x, const void *r,
                       const void *g, enum ds_kfmt f, int64_t t, int64_t d, float eps, ds_err *err)
{
    const bool wide =
        wide_rows(f, d) && fits16(sum) && fits16(y) && fits16(x) && fits16(r) && fits16(g);

    if (t > 0)
        BY_WIDTH(f, wide,
                 LAUNCH((norm_kernel<E, N, true>), dim3((unsigned)t), dim3(THREADS), 0,
                        rt_stream(rt_of(k)), (E *)y, rstd, (E *)sum, (const E *)x, (const E *)r,
                        (const E *)g, d, eps));
    return rt_launched(rt_of(k), "add_rmsnorm", err);
}

/* What is asked for, but for the format. */
struct asked {
    void *dx;
    float *part; /* NULL: no dg */
    const void *dy, *x, *g;
    const float *rstd;
    int64_t t, d;
    bool accumulate;
};

template <class E, int N, int STAGES>
static void start_back(dev_stream st, const asked *q, size_t shared)
{
    const int64_t rows = ds_sum_rows(q->t);

    LAUNCH((norm_back_kernel<E, N, STAGES>), dim3((unsigned)ds_sum_parts(q->t)), dim3(THREADS),
           shared, st, (E *)q->dx, q->part, (const E *)q->dy, (const E *)q->x, (const E *)q->g,
           q->rstd, q->t, q->d, rows, q->accumulate);
}

/* As many rows ahead as leave room for a second block, or three where one fits alone. */
template <class E, int N> static void start_ahead(const dev_rt *rt, const asked *q, size_t sums)
{
    const size_t room = rt_shared(rt) - DEV_FIXED_SHARED, row = (size_t)q->d * sizeof(E);
    const size_t stage = q->accumulate ? 3 * row : 2 * row;

    if constexpr (N > 1) {
        if (sums + 8 * stage <= room / 2 - DEV_FIXED_SHARED)
            return start_back<E, N, 8>(rt_stream(rt), q, sums + 8 * stage);
        if (sums + 3 * stage <= room)
            return start_back<E, N, 3>(rt_stream(rt), q, sums + 3 * stage);
    }
    start_back<E, N, 0>(rt_stream(rt), q, sums);
}

static int rmsnorm_back(ds_kernels *k, void *dx, float *dg, const void *dy, const void *x,
                        const void *g, const float *rstd, enum ds_kfmt f, int64_t t, int64_t d,
                        bool accumulate, ds_err *err)
{
    dev_rt *rt = rt_of(k);
    const bool wide = wide_rows(f, d) && fits16(dx) && fits16(dy) && fits16(x) && fits16(g);
    const size_t sums = dg ? (size_t)d * sizeof(float) : 0;
    void *part = NULL;

    if (t <= 0)
        return 0;
    if (sums + DEV_FIXED_SHARED > rt_shared(rt))
        return ds_fail(err, DS_FAIL, "cuda: a hidden width of %lld is more than a block holds",
                       (long long)d);
    if (dg)
        TRY(rt_scratch(rt, 0, &part, ds_scratch_sums(t, d), err));
    const asked q = {dx, static_cast<float *>(part), dy, x, g, rstd, t, d, accumulate};
    BY_WIDTH(f, wide, start_ahead<E, N>(rt, &q, sums));
    TRY(rt_launched(rt, "rmsnorm_back", err));
    return dg ? ds_cuda_add_parts(rt, dg, static_cast<const float *>(part), ds_sum_parts(t), d,
                                  true, err)
              : 0;
}

void ds_cuda_norm(ds_kernels *k)
{
    k->rmsnorm = rmsnorm;
    k->add_rmsnorm = add_rmsnorm;
    k->rmsnorm_back = rmsnorm_back;
}
