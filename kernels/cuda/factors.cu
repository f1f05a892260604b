/* factors.cu - columns with factors of their own, of the rows of experts: what DoRA (Liu et al.
 * 2024) needs where experts have adapters. How many rows an expert has only the device knows.
 *
 * Sums over an expert's rows are made of PART at a time. Its parts begin at slot first[e] / PART +
 * e, which leaves each as many slots as it may need: those left over stay as they are.
 */
#include "cudak.h"

#define THREADS 128
#define PART 64    /* rows of a part */
#define EXPERTS 128 /* whose pointers go with one launch */

/* Of experts from .. from + n. */
struct factors {
    int32_t from, n;
    const float *by[EXPERTS];
    float *sum[EXPERTS];
};

/* The host's arrays, EXPERTS at a time; sum NULL: there are none. */
static factors factors_from(const float *const *by, float *const *sum, int32_t from, int32_t e)
{
    factors f = {};

    f.from = from;
    f.n = e - from < EXPERTS ? e - from : EXPERTS;
    for (int32_t i = 0; i < f.n; i++) {
        f.by[i] = by[from + i];
        f.sum[i] = sum ? sum[from + i] : NULL;
    }
    return f;
}

template <class E, int N>
__global__ void scale_chosen_kernel(E *y, const E *x, const int32_t *slots, const int32_t *expert,
                                    int64_t n, bool accumulate, const __grid_constant__ factors f)
{
    const int64_t row = (int64_t)blockIdx.x * n;
    const int32_t e = expert[slots[blockIdx.x]] - f.from;
    const float *g = e >= 0 && e < f.n ? f.by[e] : NULL;
    float v[N], old[N];

    if (!g)
        return;
    for (int64_t i = (int64_t)threadIdx.x * N; i < n; i += THREADS * N) {
        get<E, N>(v, x + row + i);
        if (accumulate)
            get<E, N>(old, y + row + i);
        for (int j = 0; j < N; j++)
            v[j] = accumulate ? fmaf(g[i + j], v[j], old[j]) : g[i + j] * v[j];
        put<E, N>(y + row + i, v);
    }
}

static int scale_cols_chosen(ds_kernels *k, void *y, const void *x, const float *const *g,
                             enum ds_kfmt f, const ds_kchoices *ch, int64_t n, bool accumulate,
                             ds_err *err)
{
    const bool wide = wide_rows(f, n) && fits16(y) && fits16(x);
    const int64_t rows = ch->t * ch->kk;

    for (int32_t e = 0; rows > 0 && e < ch->e; e += EXPERTS) {
        const factors some = factors_from(g, NULL, e, ch->e);
        BY_WIDTH(f, wide,
                 LAUNCH((scale_chosen_kernel<E, N>), dim3((unsigned)rows), dim3(THREADS), 0,
                        rt_stream(rt_of(k)), (E *)y, (const E *)x, ch->slots, ch->expert, n,
                        accumulate, some));
    }
    return rt_launched(rt_of(k), "scale_cols_chosen", err);
}

/* ---- sums ---- */

__device__ __forceinline__ int64_t slot_of(const int32_t *first, int32_t e)
{
    return first[e] / PART + e;
}

/* part[slot][i] = sum of a b over the slot's rows, ascending. */
template <class E, int N>
__global__ void dot_chosen_kernel(float *part, const E *a, const E *b, const int32_t *first,
                                  int32_t experts, int64_t n)
{
    const int64_t slot = blockIdx.x, i = ((int64_t)blockIdx.y * THREADS + threadIdx.x) * N;
    int32_t lo = 0, hi = experts;

    while (hi - lo > 1) {
        const int32_t mid = (lo + hi) / 2;
        if (slot_of(first, mid) <= slot)
            lo = mid;
        else
            hi = mid;
    }
    const int64_t r0 = first[lo] + (slot - slot_of(first, lo)) * PART, end = first[lo + 1];
    const int64_t r1 = r0 + PART < end ? r0 + PART : end;
    float s[N] = {0}, x[N], y[N];

    if (i >= n || r0 >= r1)
        return;
#pragma unroll 4
    for (int64_t r = r0; r < r1; r++) {
        get<E, N>(x, a + r * n + i);
        get<E, N>(y, b + r * n + i);
        for (int j = 0; j < N; j++)
            s[j] = fmaf(x[j], y[j], s[j]);
    }
    put<float, N>(part + slot * n + i, s);
}

/* Each expert's parts in their order. */
__global__ void dot_add_kernel(const float *part, const int32_t *first, int64_t n,
                               const __grid_constant__ factors f)
{
    const int64_t i = (int64_t)blockIdx.x * THREADS + threadIdx.x;
    const int32_t e = f.from + (int32_t)blockIdx.y;
    const int64_t rows = first[e + 1] - first[e], slot = slot_of(first, e);
    float s = 0.0f;

    if (i >= n || !f.sum[blockIdx.y])
        return;
#pragma unroll 8
    for (int64_t c = 0; c < (rows + PART - 1) / PART; c++)
        s += part[(slot + c) * n + i];
    f.sum[blockIdx.y][i] += s / f.by[blockIdx.y][i];
}

static int col_dot_chosen(ds_kernels *k, float *const *dg, const void *a, const void *b,
                          const float *const *c, enum ds_kfmt f, const ds_kchoices *ch, int64_t n,
                          ds_err *err)
{
    dev_rt *rt = rt_of(k);
    const int64_t rows = ch->t * ch->kk, slots = ds_chosen_slots(ch);
    const bool wide = wide_rows(f, n) && fits16(a) && fits16(b);
    void *part;

    if (rows <= 0 || n <= 0)
        return 0;
    TRY(rt_scratch(rt, 0, &part, ds_scratch_chosen(ch, n), err));
    BY_WIDTH(f, wide,
             LAUNCH((dot_chosen_kernel<E, N>), dim3((unsigned)slots, blocks_of(n, THREADS * N)),
                    dim3(THREADS), 0, rt_stream(rt), (float *)part, (const E *)a, (const E *)b,
                    ch->first, ch->e, n));
    for (int32_t e = 0; e < ch->e; e += EXPERTS) {
        const factors some = factors_from(c, dg, e, ch->e);
        LAUNCH(dot_add_kernel, dim3(blocks_of(n, THREADS), (unsigned)some.n), dim3(THREADS), 0,
               rt_stream(rt), (const float *)part, ch->first, n, some);
    }
    return rt_launched(rt, "col_dot_chosen", err);
}

void ds_cuda_factors(ds_kernels *k)
{
    k->scale_cols_chosen = scale_cols_chosen;
    k->col_dot_chosen = col_dot_chosen;
}
