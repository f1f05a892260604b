/* choices.cu - a mixture of experts: the gate, the sort of what it chose, rows to the experts and
 * back. Nothing of it is known to the host.
 *
 * The sort is a counting sort in four launches: blocks of DS_SORT_BLOCK choices count how many each
 * expert has of theirs, an expert's counts are summed by a block, those sums by one, and each block
 * of choices places its own in order. Nothing is added by two threads.
 */
#include "cudak.h"

#define THREADS 128

/* ---- the gate: a warp a row ---- */

#define ROWS 4 /* warps of a block */

template <class E>
__global__ void topk_kernel(float *prob, int32_t *idx, float *w, const E *logits, int64_t t,
                            int32_t e, int32_t kk, float scale, bool normalise)
{
    const int64_t row = (int64_t)blockIdx.x * ROWS + threadIdx.x / WARP;
    const int32_t lane = (int32_t)(threadIdx.x % WARP);
    const bool here = row < t;
    float *p = prob + row * e;
    float top = -INFINITY, sum = 0.0f, total = 0.0f;

    for (int32_t i = lane; here && i < e; i += (int32_t)WARP) {
        const float x = to_f32(logits[row * e + i]);
        top = x > top ? x : top;
    }
    top = warp_max(top);
    for (int32_t i = lane; here && i < e; i += (int32_t)WARP) {
        const float x = exp_exact(to_f32(logits[row * e + i]) - top);
        p[i] = x;
        sum += x;
    }
    sum = 1.0f / warp_sum(sum);
    for (int32_t i = lane; here && i < e; i += (int32_t)WARP)
        p[i] *= sum;
    __syncwarp();
    for (int32_t s = 0; s < kk; s++) {
        float best = -1.0f;
        int32_t at = e;
        for (int32_t i = lane; here && i < e; i += (int32_t)WARP) {
            bool taken = false;
            for (int32_t q = 0; q < s; q++)
                taken |= idx[row * kk + q] == i;
            if (!taken && (at == e || p[i] > best)) {
                best = p[i];
                at = i;
            }
        }
        for (int m = 16; m > 0; m >>= 1) { /* ties: the lower index */
            const float b = __shfl_xor_sync(ALL_LANES, best, m);
            const int32_t a = __shfl_xor_sync(ALL_LANES, at, m);
            if (a < e && (at == e || b > best || (b == best && a < at))) {
                best = b;
                at = a;
            }
        }
        if (here && lane == 0) {
            idx[row * kk + s] = at;
            w[row * kk + s] = best;
        }
        total += best;
        __syncwarp();
    }
    for (int32_t s = lane; here && s < kk; s += (int32_t)WARP) {
        const float x = w[row * kk + s];
        w[row * kk + s] = (normalise ? x / total : x) * scale;
    }
}

static int topk(ds_kernels *k, float *prob, const ds_kchoices *c, float *w, const void *logits,
                enum ds_kfmt f, float scale, bool normalise, ds_err *err)
{
    if (c->kk < 1 || c->kk > c->e)
        return ds_fail(err, DS_FAIL, "%d experts of %d cannot be chosen", (int)c->kk, (int)c->e);
    if (c->t <= 0)
        return 0;
    BY_FORMAT(f, E,
              LAUNCH((topk_kernel<E>), dim3(blocks_of(c->t, ROWS)), dim3(ROWS * WARP), 0,
                     rt_stream(rt_of(k)), prob, c->expert, w, (const E *)logits, c->t, c->e, c->kk,
                     scale, normalise));
    return rt_launched(rt_of(k), "topk", err);
}

template <class E>
__global__ void topk_back_kernel(E *dlogits, const float *prob, const int32_t *expert,
                                 const int32_t *sorted, const float *dw, int64_t t, int32_t e,
                                 int32_t kk, float scale, bool normalise)
{
    const int64_t row = (int64_t)blockIdx.x * ROWS + threadIdx.x / WARP;

    if (row >= t)
        return;
    const float *p = prob + row * e;
    const int32_t *chosen = expert + row * kk, *from = sorted + row * kk;
    float total = 0.0f, mean = 0.0f, dot = 0.0f;
    for (int32_t s = 0; s < kk; s++) {
        total += p[chosen[s]];
        mean += dw[from[s]] * p[chosen[s]];
    }
    auto of_choice = [&](int32_t s) {
        const float d = dw[from[s]];
        return normalise ? scale * (d - mean / total) / total : scale * d;
    };
    for (int32_t s = 0; s < kk; s++)
        dot += of_choice(s) * p[chosen[s]];
    for (int32_t i = (int32_t)(threadIdx.x % WARP); i < e; i += (int32_t)WARP) {
        float dp = 0.0f;
        for (int32_t s = 0; s < kk; s++)
            if (chosen[s] == i)
                dp = of_choice(s);
        dlogits[row * e + i] = from_f32<E>(p[i] * (dp - dot));
    }
}

static int topk_back(ds_kernels *k, void *dlogits, enum ds_kfmt f, const float *prob,
                     const ds_kchoices *c, const float *dw, float scale, bool normalise,
                     ds_err *err)
{
    if (c->t <= 0)
        return 0;
    BY_FORMAT(f, E,
              LAUNCH((topk_back_kernel<E>), dim3(blocks_of(c->t, ROWS)), dim3(ROWS * WARP), 0,
                     rt_stream(rt_of(k)), (E *)dlogits, prob, c->expert, c->sorted, dw, c->t, c->e,
                     c->kk, scale, normalise));
    return rt_launched(rt_of(k), "topk_back", err);
}

/* ---- the sort ---- */

/* count[expert][block]. A thread counts an expert's. */
__global__ void count_kernel(int32_t *count, const int32_t *expert, int64_t n, int32_t e)
{
    __shared__ int32_t mine[DS_SORT_BLOCK];
    const int64_t i = (int64_t)blockIdx.x * DS_SORT_BLOCK + threadIdx.x;

    mine[threadIdx.x] = i < n ? expert[i] : -1;
    __syncthreads();
    for (int32_t x = (int32_t)threadIdx.x; x < e; x += DS_SORT_BLOCK) {
        int32_t sum = 0;
        for (int j = 0; j < DS_SORT_BLOCK; j++)
            sum += mine[j] == x;
        count[(int64_t)x * gridDim.x + blockIdx.x] = sum;
    }
}

/* By a block: n numbers at p become sums of those before each. Returns the sum of all. */
__device__ __forceinline__ int32_t sums_before(int32_t *p, int64_t n)
{
    __shared__ int32_t room[DS_SORT_BLOCK / WARP];
    const unsigned lane = threadIdx.x % WARP, warp = threadIdx.x / WARP;
    int32_t all = 0; /* of the numbers before those at hand */

    for (int64_t i = threadIdx.x; i - threadIdx.x < n; i += DS_SORT_BLOCK) {
        int32_t sum = i < n ? p[i] : 0, before = all;
        for (unsigned m = 1; m < WARP; m *= 2) { /* sum: of the 2m lanes that differ in low bits */
            const int32_t other = __shfl_xor_sync(ALL_LANES, sum, (int)m);
            before += lane & m ? other : 0;
            sum += other;
        }
        if (lane == 0)
            room[warp] = sum;
        __syncthreads();
        for (unsigned w = 0; w < DS_SORT_BLOCK / WARP; w++) {
            before += w < warp ? room[w] : 0;
            all += room[w];
        }
        if (i < n)
            p[i] = before;
        __syncthreads();
    }
    return all;
}

/* A block an expert: its counts become those of the blocks before, and first its choices. */
__global__ void sum_kernel(int32_t *first, int32_t *count, int64_t blocks)
{
    const int32_t sum = sums_before(count + (int64_t)blockIdx.x * blocks, blocks);

    if (threadIdx.x == 0)
        first[blockIdx.x] = sum;
}

/* Of one block. */
__global__ void first_kernel(int32_t *first, int32_t e)
{
    const int32_t sum = sums_before(first, e);

    if (threadIdx.x == 0)
        first[e] = sum;
}

__global__ void place_kernel(int32_t *sorted, int32_t *slots, const int32_t *first,
                             const int32_t *count, const int32_t *expert, int64_t n)
{
    __shared__ int32_t mine[DS_SORT_BLOCK];
    const int64_t i = (int64_t)blockIdx.x * DS_SORT_BLOCK + threadIdx.x;
    const int32_t x = i < n ? expert[i] : -1;

    mine[threadIdx.x] = x;
    __syncthreads();
    if (i >= n)
        return;
    int32_t to = first[x] + count[(int64_t)x * gridDim.x + blockIdx.x];
    for (unsigned j = 0; j < threadIdx.x; j++)
        to += mine[j] == x;
    sorted[i] = to;
    slots[to] = (int32_t)i;
}

static int sort_choices(ds_kernels *k, const ds_kchoices *c, ds_err *err)
{
    dev_rt *rt = rt_of(k);
    const dev_stream st = rt_stream(rt);
    const int64_t n = c->t * c->kk;
    const dim3 grid(blocks_of(n, DS_SORT_BLOCK)), block(DS_SORT_BLOCK);
    void *count;

    if (n <= 0)
        return rt_zero(rt, c->first, ((size_t)c->e + 1) * sizeof *c->first, err);
    TRY(rt_scratch(rt, 0, &count, ds_scratch_sort(c), err));
    int32_t *counts = static_cast<int32_t *>(count);
    LAUNCH(count_kernel, grid, block, 0, st, counts, c->expert, n, c->e);
    LAUNCH(sum_kernel, dim3((unsigned)c->e), block, 0, st, c->first, counts, (int64_t)grid.x);
    LAUNCH(first_kernel, dim3(1), block, 0, st, c->first, c->e);
    LAUNCH(place_kernel, grid, block, 0, st, c->sorted, c->slots, c->first, counts, c->expert, n);
    return rt_launched(rt, "sort_choices", err);
}

/* ---- rows ---- */

/* A block has a token's row, which is read once, for all its choices. */
template <class E, int N>
__global__ void dispatch_kernel(E *out, const E *x, const int32_t *sorted, const float *w,
                                int32_t kk, int64_t d)
{
    const int64_t first = (int64_t)blockIdx.x * kk;
    const E *from = x + (int64_t)blockIdx.x * d;
    float v[N], to[N];

    for (int64_t i = (int64_t)threadIdx.x * N; i < d; i += THREADS * N) {
        get<E, N>(v, from + i);
        for (int32_t r = 0; r < kk; r++) {
            for (int j = 0; j < N; j++)
                to[j] = w ? fmaf(w[first + r], v[j], 0.0f) : v[j];
            put<E, N>(out + (int64_t)sorted[first + r] * d + i, to);
        }
    }
}

/* A block adds up a token's; rounded once at the end. */
template <class E, int N>
__global__ void combine_kernel(E *y, const E *x, const int32_t *sorted, const float *w, int32_t kk,
                               int64_t d)
{
    DYNAMIC_SHARED(memory);
    int32_t *order = reinterpret_cast<int32_t *>(memory);
    const int64_t token = blockIdx.x;
    const int32_t *mine = sorted + token * kk;
    E *row = y + token * d;
    float s[N], v[N];

    for (int32_t r = (int32_t)threadIdx.x; r < kk; r += THREADS) {
        int32_t before = 0;
        for (int32_t q = 0; q < kk; q++)
            before += mine[q] < mine[r];
        order[before] = r;
    }
    __syncthreads();
    for (int64_t i = (int64_t)threadIdx.x * N; i < d; i += THREADS * N) {
        get<E, N>(s, row + i);
        for (int32_t r = 0; r < kk; r++) {
            const float f = w ? w[token * kk + order[r]] : 1.0f;
            get<E, N>(v, x + (int64_t)mine[order[r]] * d + i);
            for (int j = 0; j < N; j++)
                s[j] = fmaf(f, v[j], s[j]);
        }
        put<E, N>(row + i, s);
    }
}

static bool wide_rows(enum ds_kfmt f, int64_t d, const void *a, const void *b)
{
    return wide_rows(f, d) && fits16(a) && fits16(b);
}

static int dispatch(ds_kernels *k, void *out, const void *x, enum ds_kfmt f, const ds_kchoices *c,
                    const float *w, int64_t d, ds_err *err)
{
    if (c->t > 0)
        BY_WIDTH(f, wide_rows(f, d, out, x),
                 LAUNCH((dispatch_kernel<E, N>), dim3((unsigned)c->t), dim3(THREADS), 0,
                        rt_stream(rt_of(k)), (E *)out, (const E *)x, c->sorted, w, c->kk, d));
    return rt_launched(rt_of(k), "dispatch", err);
}

static int combine(ds_kernels *k, void *y, const void *x, enum ds_kfmt f, const ds_kchoices *c,
                   const float *w, int64_t d, ds_err *err)
{
    const size_t shared = (size_t)c->kk * sizeof(int32_t);

    if (shared + DEV_FIXED_SHARED > rt_shared(rt_of(k)))
        return ds_fail(err, DS_FAIL, "cuda: %d experts a token are more than a block holds",
                       (int)c->kk);
    if (c->t > 0)
        BY_WIDTH(f, wide_rows(f, d, y, x),
                 LAUNCH((combine_kernel<E, N>), dim3((unsigned)c->t), dim3(THREADS), shared,
                        rt_stream(rt_of(k)), (E *)y, (const E *)x, c->sorted, w, c->kk, d));
    return rt_launched(rt_of(k), "combine", err);
}

void ds_cuda_choices(ds_kernels *k)
{
    k->topk = topk;
    k->sort_choices = sort_choices;
    k->topk_back = topk_back;
    k->dispatch = dispatch;
    k->combine = combine;
}
