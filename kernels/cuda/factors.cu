/* factors.cu - columns with factors of their own, of all rows or of each expert's, and the lengths
 * of rows: what DoRA (Liu et al. 2024) needs. A block takes a row.
 */
#include "cudak.h"

#define THREADS 256

template <class E, int N>
__device__ __forceinline__ void scale_row(E *y, const E *x, const float *g, int64_t n,
                                          bool accumulate)
{
    float v[N], w[N], old[N];

    for (int64_t i = (int64_t)threadIdx.x * N; i < n; i += THREADS * N) {
        get<E, N>(v, x + i);
        get<float, N>(w, g + i);
        if (accumulate)
            get<E, N>(old, y + i);
        for (int j = 0; j < N; j++)
            v[j] = accumulate ? fmaf(w[j], v[j], old[j]) : w[j] * v[j];
        put<E, N>(y + i, v);
    }
}

template <class E, int N>
__global__ void scale_cols_kernel(E *y, const E *x, const float *g, int64_t n, bool accumulate)
{
    const int64_t row = (int64_t)blockIdx.x * n;

    scale_row<E, N>(y + row, x + row, g, n, accumulate);
}

static int scale_cols(ds_kernels *k, void *y, const void *x, const float *g, enum ds_kfmt f,
                      int64_t t, int64_t n, bool accumulate, ds_err *err)
{
    const bool wide = wide_rows(f, n) && fits16(y) && fits16(x) && fits16(g);

    if (t > 0)
        BY_WIDTH(f, wide,
                 LAUNCH((scale_cols_kernel<E, N>), dim3((unsigned)t), dim3(THREADS), 0,
                        rt_stream(rt_of(k)), (E *)y, (const E *)x, g, n, accumulate));
    return rt_launched(rt_of(k), "scale_cols", err);
}

template <class E, int N>
__global__ void scale_chosen_kernel(E *y, const E *x, const int32_t *slots, const int32_t *expert,
                                    int64_t n, bool accumulate,
                                    const __grid_constant__ by_expert<const float> g)
{
    const int64_t row = (int64_t)blockIdx.x * n;
    const int32_t e = expert[slots[blockIdx.x]] - g.from;

    if (e >= 0 && e < g.n && g.at[e])
        scale_row<E, N>(y + row, x + row, g.at[e], n, accumulate);
}

static int scale_cols_chosen(ds_kernels *k, void *y, const void *x, const float *const *g,
                             enum ds_kfmt f, const ds_kchoices *ch, int64_t n, bool accumulate,
                             ds_err *err)
{
    const int64_t rows = ch->t * ch->kk;
    bool wide = wide_rows(f, n) && fits16(y) && fits16(x);

    for (int32_t e = 0; e < ch->e; e++)
        wide = wide && fits16(g[e]);
    for (int32_t e = 0; rows > 0 && e < ch->e; e += DS_EXPERTS_AT_ONCE) {
        const auto some = experts_from(g, e, ch->e);
        BY_WIDTH(f, wide,
                 LAUNCH((scale_chosen_kernel<E, N>), dim3((unsigned)rows), dim3(THREADS), 0,
                        rt_stream(rt_of(k)), (E *)y, (const E *)x, ch->slots, ch->expert, n,
                        accumulate, some));
    }
    return rt_launched(rt_of(k), "scale_cols_chosen", err);
}

/* ---- lengths ---- */

__global__ void row_norm_kernel(float *norm, float *gain, const float *m, const float *v,
                                int64_t cols)
{
    __shared__ float room[32];
    const float *row = v + (int64_t)blockIdx.x * cols;
    float s = 0.0f;

    for (int64_t i = threadIdx.x; i < cols; i += THREADS)
        s = fmaf(row[i], row[i], s);
    s = sqrtf(block_sum(s, room));
    if (threadIdx.x == 0) {
        norm[blockIdx.x] = s;
        if (gain)
            gain[blockIdx.x] = m[blockIdx.x] / s;
    }
}

static int row_norm(ds_kernels *k, float *norm, float *gain, const float *m, const float *v,
                    int64_t rows, int64_t cols, ds_err *err)
{
    if (rows > 0)
        LAUNCH(row_norm_kernel, dim3((unsigned)rows), dim3(THREADS), 0, rt_stream(rt_of(k)), norm,
               gain, m, v, cols);
    return rt_launched(rt_of(k), "row_norm", err);
}

void ds_cuda_factors(ds_kernels *k)
{
    k->scale_cols = scale_cols;
    k->scale_cols_chosen = scale_cols_chosen;
    k->row_norm = row_norm;
}
