/* norm2.cu - the norm of all gradients, with the CPU's bits: eight sums a block, element e to sum
 * e % 8; a thread a sum. The sums of blocks are added by the host, in order. */
#include "cudak.h"
#include "tile.h"

#include <cstdlib>

#define BLOCK DS_NORM_BLOCK

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

void ds_cuda_norm2(ds_kernels *k)
{
    k->norm2 = norm2;
}
