/* dropdown.cu - the down projection of an adapter, of what dropout leaves of its input: read once,
 * and never written without what was dropped. On tensor cores, for rows at multiples of 16 bytes.
 *
 * Eight warps, each with 16 of a block's 64 rows and all of its columns, which are few; operands in
 * steps of 128 through three stages of shared memory, of which four warps take the first half and
 * four the second, since words of chance keep them busy. A lane has eight neighbours of a row at a
 * time, two draws of words whole: columns 8q .. 8q + 3 stand in one product, where a fragment has
 * 2q, 2q + 1, 2q + 8 and 2q + 9, and 8q + 4 .. 8q + 7 in the next, for both operands alike.
 * Elements are dropped and rounded before the product, so it has the bits that it has of an input
 * that was dropped before. 2TNK FLOPs; x and the projection are read once for each 64 of N.
 */
#include "tile.h"

#include "cudak.h"

#define THREADS 256
#define HALF (THREADS / 2)
#define ROWS 64
#define DEEP 128
#define PITCH (DEEP + 32) /* two lines of 64 bytes meet every bank once */
#define STAGES 3
#define PIECES (DEEP / 64)         /* of 32 columns, that a warp takes of a step */
#define OWN (PIECES * 2 * THREADS) /* eights that the threads have of a step */

/* Two neighbours, of which the first lies in the low half. */
template <class E>
__device__ __forceinline__ uint32_t thinned(uint32_t two, uint32_t r0, uint32_t r1, const drop &p)
{
    float x[2];

    unpack2<E>(x, two);
    return pack2<E>(x[0] * (r0 >= p.below ? p.up : 0.0f), x[1] * (r1 >= p.below ? p.up : 0.0f));
}

/* Eight neighbours, of which the first is number 4 * block, an even one. */
template <class E>
__device__ __forceinline__ void thin(uint32_t (&x)[4], uint64_t block, const drop &p, uint64_t seed,
                                     uint64_t stream)
{
#pragma unroll
    for (int i = 0; i < 4; i += 2) {
        uint32_t w[4];
        philox(w, seed, stream, block | (unsigned)i / 2);
        x[i] = thinned<E>(x[i], w[0], w[1], p);
        x[i + 1] = thinned<E>(x[i + 1], w[2], w[3], p);
    }
}

/* The first element of a row, by its place; of one that is not there zeros are dropped, or not. */
__device__ __forceinline__ uint64_t begins(const drop &p, int64_t row, int64_t t)
{
    return (p.at->first + (uint64_t)(row < t ? row : 0)) * (uint64_t)p.d;
}

/* The first half of the threads adds what the second has to it, through memory that is used up. */
template <int TILES> __device__ __forceinline__ void halves_of(float (&c)[TILES][4], float *memory)
{
    float *at = memory + threadIdx.x % HALF;

    __syncthreads();
#pragma unroll
    for (int i = 0; threadIdx.x >= HALF && i < TILES * 4; i++)
        at[i * HALF] = c[i / 4][i % 4];
    __syncthreads();
#pragma unroll
    for (int i = 0; threadIdx.x < HALF && i < TILES * 4; i++)
        c[i / 4][i % 4] += at[i * HALF];
}

/* Of shared memory, what a step has there: the lanes' own eights, then the projection. */
template <class E, int COLS> struct stage {
    together<uint32_t, 4> x[OWN];
    E a[COLS * PITCH];
};

/* A lane's rows are 8 apart; `col` of the step is the first of its eights. */
template <class E, int COLS, bool DROP>
__global__ void __launch_bounds__(THREADS, 2)
    dropdown_kernel(E *y, const E *x, const E *a, int64_t t, int64_t n, int64_t kk, float alpha,
                    drop p)
{
    DYNAMIC_SHARED(memory);
    stage<E, COLS> *stages = reinterpret_cast<stage<E, COLS> *>(memory);
    const int64_t col0 = (int64_t)blockIdx.y * COLS;
    const int lane = (int)(threadIdx.x % WARP), half = (int)(threadIdx.x / HALF);
    const int col = half * PIECES * 32 + lane % 4 * 8;
    const int64_t row = (int64_t)blockIdx.x * ROWS + threadIdx.x % HALF / WARP * 16 + lane / 4;
    const uint64_t begin[2] = {DROP ? begins(p, row, t) : 0, DROP ? begins(p, row + 8, t) : 0};
    const uint64_t seed = DROP ? p.at->seed : 0, stream = DROP ? p.at->step << 16 | p.module : 0;
    float c[COLS / 8][4] = {};

    const auto start = [&](int64_t step) {
        stage<E, COLS> &to = stages[(unsigned)step % STAGES];
        const int64_t left = kk - step * DEEP;
        const int k1 = (int)(left < DEEP ? left : DEEP);
#pragma unroll
        for (int i = 0; i < PIECES * 2; i++) {
            const bool there = row + i % 2 * 8 < t && col + i / 2 * 32 < k1;
            const E *at = x + (row + i % 2 * 8) * kk + step * DEEP + col + i / 2 * 32;
            copy16_or_zeros(&to.x[i * THREADS + threadIdx.x], there ? at : x, there);
        }
        fetch<COLS, DEEP, THREADS, PITCH>(to.a, a, col0, n, step * DEEP, kk);
    };
    pipeline<STAGES>((kk + DEEP - 1) / DEEP, start, [&](int64_t s) {
        const stage<E, COLS> &from = stages[(unsigned)s % STAGES];
#pragma unroll 1
        for (int i = 0; i < PIECES; i++) {
            const int k = col + i * 32;
            together<uint32_t, 4> v[2];
#pragma unroll
            for (int r = 0; r < 2; r++) {
                v[r] = from.x[(i * 2 + r) * THREADS + threadIdx.x];
                if (DROP)
                    thin<E>(v[r].at, (begin[r] + (uint64_t)(s * DEEP + k)) >> 2, p, seed, stream);
            }
            const uint32_t first[4] = {v[0].at[0], v[1].at[0], v[0].at[1], v[1].at[1]},
                           next[4] = {v[0].at[2], v[1].at[2], v[0].at[3], v[1].at[3]};
#pragma unroll
            for (int j = 0; j < COLS / 8; j++) {
                const together<uint32_t, 4> b = load_together<uint32_t, 4>(
                    reinterpret_cast<const uint32_t *>(from.a + (j * 8 + lane / 4) * PITCH + k));
                mma<E>(c[j], first, b.at[0], b.at[1]);
                mma<E>(c[j], next, b.at[2], b.at[3]);
            }
        }
    });
    halves_of<COLS / 8>(c, reinterpret_cast<float *>(memory));
#pragma unroll
    for (int i = 0; half == 0 && i < COLS / 2; i++) {
        const int64_t r = row + i % 4 / 2 * 8, at = col0 + i / 4 * 8 + lane % 4 * 2 + i % 2;
        if (r < t && at < n)
            y[r * n + at] = from_f32<E>(alpha * c[i / 4][i % 4]);
    }
}

/* What is asked for, but for the format and how many columns a block has. */
struct asked {
    void *y;
    const void *x, *a;
    int64_t t, n, kk;
    float alpha;
};

template <class E, int COLS, bool DROP>
static void start_kernel(dev_stream st, const asked *q, const drop &p)
{
    LAUNCH((dropdown_kernel<E, COLS, DROP>), dim3(blocks_of(q->t, ROWS), blocks_of(q->n, COLS)),
           dim3(THREADS), STAGES * sizeof(stage<E, COLS>), st, (E *)q->y, (const E *)q->x,
           (const E *)q->a, q->t, q->n, q->kk, q->alpha, p);
}

template <class E, bool DROP> static void by_columns(dev_stream st, const asked *q, const drop &p)
{
    if (q->n <= 16)
        start_kernel<E, 16, DROP>(st, q, p);
    else if (q->n <= 32)
        start_kernel<E, 32, DROP>(st, q, p);
    else
        start_kernel<E, 64, DROP>(st, q, p);
}

template <class E> static void start_any(dev_stream st, const asked *q, float p, const drop &by)
{
    if (p > 0)
        by_columns<E, true>(st, q, by);
    else
        by_columns<E, false>(st, q, by);
}

static int dropout_matmul(ds_kernels *k, void *y, const void *x, const void *a, enum ds_kfmt f,
                          int64_t t, int64_t n, int64_t kk, float alpha, float p,
                          const ds_kstep *at, uint32_t module, ds_err *err)
{
    dev_rt *rt = rt_of(k);
    drop by;

    if (f == DS_KF32 || kk % 8 || !fits16(x) || !fits16(a))
        return ds_fail(err, DS_FAIL, "cuda: dropout and a product of rows of %lld elements at once",
                       (long long)kk);
    TRY(ds_cuda_drop_of(rt, &by, p, at, module, kk, err));
    if (t <= 0 || n <= 0)
        return 0;
    const asked q = {y, x, a, t, n, kk, alpha};
    if (f == DS_KBF16)
        start_any<bf16>(rt_stream(rt), &q, p, by);
    else
        start_any<f16>(rt_stream(rt), &q, p, by);
    return rt_launched(rt, "dropout_matmul", err);
}

void ds_cuda_dropdown(ds_kernels *k)
{
    k->dropout_matmul = dropout_matmul;
}
