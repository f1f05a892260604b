/* dropdown.cu - the down projection of an adapter, of what dropout leaves of its input: read once,
 * and never written without what was dropped. On tensor cores, for rows at multiples of 16 bytes.
 *
 * Eight warps, each with 16 of a block's 64 rows and all of its columns, which are few; operands in
 * steps of 64 through three stages of shared memory, of which four warps take the first half and
 * four the second, since words of chance keep them busy. Elements are dropped and rounded between
 * ldmatrix and mma, so a product has the bits that it has of an input that was dropped before.
 * 2TNK FLOPs; x and the projection are read once for each 64 of N.
 */
#include "tile.h"

#include "cudak.h"

#define THREADS 256
#define HALF (THREADS / 2)
#define ROWS 64
#define DEEP 64
#define PITCH (DEEP + 8)
#define STAGES 3

/* Two neighbours, of which the first lies in the low half. */
template <class E>
__device__ __forceinline__ uint32_t thinned(uint32_t two, uint32_t r0, uint32_t r1, const drop &p)
{
    const float lo = to_f32(E{(uint16_t)two}), hi = to_f32(E{(uint16_t)(two >> 16)});

    return pack2<E>(lo * (r0 >= p.below ? p.up : 0.0f), hi * (r1 >= p.below ? p.up : 0.0f));
}

/* A left operand's fragment of columns col..col+15; the row whose words this lane draws begins with
 * element `begin`. Two lanes have four neighbours of both; the even one draws the words of the
 * first row, the odd one those of the second, and each gives away the half that it does not have.
 */
template <class E>
__device__ __forceinline__ void thin(uint32_t (&a)[4], uint64_t begin, int64_t col, const drop &p,
                                     uint64_t seed, uint64_t stream)
{
    const uint32_t lane = threadIdx.x % WARP;
    const bool odd = lane & 1;

#pragma unroll
    for (int half = 0; half < 2; half++) {
        const uint64_t at = begin + (uint64_t)col + (unsigned)half * 8 + lane % 4 / 2 * 4;
        uint32_t w[4];
        philox(w, seed, stream, at >> 2);
        const uint32_t r0 = __shfl_xor_sync(ALL_LANES, odd ? w[0] : w[2], 1),
                       r1 = __shfl_xor_sync(ALL_LANES, odd ? w[1] : w[3], 1);
        a[2 * half] = thinned<E>(a[2 * half], odd ? r0 : w[0], odd ? r1 : w[1], p);
        a[2 * half + 1] = thinned<E>(a[2 * half + 1], odd ? w[2] : r0, odd ? w[3] : r1, p);
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

template <class E, int COLS, bool DROP>
__global__ void __launch_bounds__(THREADS, 2)
    dropdown_kernel(E *y, const E *x, const E *a, int64_t t, int64_t n, int64_t kk, float alpha,
                    drop p)
{
    DYNAMIC_SHARED(memory);
    E *shared = reinterpret_cast<E *>(memory);
    const int64_t row0 = (int64_t)blockIdx.x * ROWS, col0 = (int64_t)blockIdx.y * COLS;
    const int lane = (int)(threadIdx.x % WARP), r0 = (int)(threadIdx.x % HALF / WARP) * 16;
    const int half = (int)(threadIdx.x / HALF);
    const int64_t steps = (kk + DEEP - 1) / DEEP, row = row0 + r0 + lane / 4;
    const uint64_t begin = DROP ? begins(p, row + lane % 2 * 8, t) : 0;
    const uint64_t seed = DROP ? p.at->seed : 0, stream = DROP ? p.at->step << 16 | p.module : 0;
    float c[COLS / 8][4] = {};

    const auto start = [&](int64_t step) {
        E *to = shared + step % STAGES * (ROWS + COLS) * PITCH;
        fetch<ROWS, DEEP, THREADS>(to, x, row0, t, step * DEEP, kk);
        fetch<COLS, DEEP, THREADS>(to + ROWS * PITCH, a, col0, n, step * DEEP, kk);
    };
    pipeline<STAGES>(steps, start, [&](int64_t s) {
        const E *xs = shared + s % STAGES * (ROWS + COLS) * PITCH, *as = xs + ROWS * PITCH;
#pragma unroll
        for (int i = 0; i < DEEP / 2; i += 16) {
            const int k = half * (DEEP / 2) + i;
            uint32_t left[4], right[4];
            left16(left, xs, PITCH, r0, k);
            if (DROP)
                thin<E>(left, begin, s * DEEP + k, p, seed, stream);
#pragma unroll
            for (int j = 0; j < COLS / 8; j += 2) {
                right16(right, as, PITCH, j * 8, k);
                mma<E>(c[j], left, right[0], right[1]);
                mma<E>(c[j + 1], left, right[2], right[3]);
            }
        }
    });
    halves_of<COLS / 8>(c, reinterpret_cast<float *>(memory));
#pragma unroll
    for (int i = 0; half == 0 && i < COLS / 2; i++) {
        const int64_t r = row + i % 4 / 2 * 8, col = col0 + i / 4 * 8 + lane % 4 * 2 + i % 2;
        if (r < t && col < n)
            y[r * n + col] = from_f32<E>(alpha * c[i / 4][i % 4]);
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
           dim3(THREADS), STAGES * (ROWS + COLS) * PITCH * sizeof(E), st, (E *)q->y,
           (const E *)q->x, (const E *)q->a, q->t, q->n, q->kk, q->alpha, p);
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
