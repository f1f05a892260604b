/* thin.cu - products of two tall matrices along their rows, one of which is narrow: gradients of
 * adapters, sums over all tokens. C[m,n] (+)= alpha A[k,m]' B[k,n], on tensor cores, for columns in
 * eights at multiples of 16 bytes.
 *
 * A block takes DS_THIN_COLS columns of the wide side, all of the narrow one, and a chunk of rows,
 * whose length is a function of the shape; sums of chunks are added in ascending order. Four warps,
 * each with 32 of the columns; rows in steps of 32 through four stages of shared memory. 2MNK
 * FLOPs; the wide side is read once, the narrow one comes from the cache.
 */
#include "tile.h"

#include "cudak.h"

#define THREADS 128
#define COLS DS_THIN_COLS
#define DEEP DS_THIN_STEP
#define STAGES 4
#define PITCH (COLS + 8)

/* Two matrices of k rows, and how far apart the columns of either lie in the result. */
struct sides {
    const void *wide, *narrow;
    int64_t w, n, k, wstep, nstep, rows, tiles;
    float alpha;
};

template <class E, int NARROW>
__global__ void __launch_bounds__(THREADS, 4) thin_kernel(float *part, const sides q)
{
    constexpr int NPITCH = NARROW + 8, STAGE = DEEP * (PITCH + NPITCH);
    DYNAMIC_SHARED(memory);
    E *shared = reinterpret_cast<E *>(memory);
    const int64_t chunk = blockIdx.x / q.tiles, w0 = blockIdx.x % q.tiles * COLS;
    const int64_t k0 = chunk * q.rows, k1 = k0 + q.rows < q.k ? k0 + q.rows : q.k;
    const int64_t steps = (k1 - k0 + DEEP - 1) / DEEP;
    const int lane = (int)(threadIdx.x % WARP), own = (int)(threadIdx.x / WARP) * 32;
    float c[2][NARROW / 8][4] = {};

    const auto start = [&](int64_t step) {
        E *to = shared + (unsigned)step % STAGES * STAGE;
        const int64_t row = k0 + step * DEEP;
        fetch<DEEP, COLS, THREADS>(to, (const E *)q.wide, row, k1, w0, q.w);
        fetch<DEEP, NARROW, THREADS>(to + DEEP * PITCH, (const E *)q.narrow, row, k1, 0, q.n);
    };
    pipeline<STAGES>(steps, start, [&](int64_t s) {
        const E *wide = shared + s % STAGES * STAGE, *narrow = wide + DEEP * PITCH;
#pragma unroll
        for (int k = 0; k < DEEP; k += 16) {
            uint32_t left[2][4], right[4];
            left16_across(left[0], wide, PITCH, k, own);
            left16_across(left[1], wide, PITCH, k, own + 16);
#pragma unroll
            for (int j = 0; j < NARROW / 8; j += 2) {
                right16_across(right, narrow, NPITCH, k, j * 8);
#pragma unroll
                for (int i = 0; i < 2; i++) {
                    mma<E>(c[i][j], left[i], right[0], right[1]);
                    mma<E>(c[i][j + 1], left[i], right[2], right[3]);
                }
            }
        }
    });
    part += chunk * q.w * q.n;
#pragma unroll
    for (int j = 0; j < NARROW / 8; j++)
#pragma unroll
        for (int i = 0; i < 8; i++) {
            const int64_t row = w0 + own + i / 4 * 16 + lane / 4 + i % 4 / 2 * 8,
                          col = j * 8 + lane % 4 * 2 + i % 2;
            if (row < q.w && col < q.n)
                part[row * q.wstep + col * q.nstep] = q.alpha * c[i / 4][j][i % 4];
        }
}

template <class E, int NARROW>
static void start_kernel(dev_stream st, float *part, const sides *q, unsigned blocks)
{
    LAUNCH((thin_kernel<E, NARROW>), dim3(blocks), dim3(THREADS),
           STAGES * DEEP * (PITCH + NARROW + 8) * sizeof(E), st, part, *q);
}

template <class E>
static void by_narrow(dev_stream st, float *part, const sides *q, unsigned blocks)
{
    if (q->n <= 16)
        start_kernel<E, 16>(st, part, q, blocks);
    else if (q->n <= 32)
        start_kernel<E, 32>(st, part, q, blocks);
    else
        start_kernel<E, DS_THIN_NARROW>(st, part, q, blocks);
}

int ds_cuda_thin(dev_rt *rt, const rt_product *p, size_t room, ds_err *err)
{
    const int64_t chunks = ds_thin_chunks(p->m, p->n, p->k), size = p->m * p->n;
    const bool left = p->m >= p->n; /* the wide one */
    sides q = {left ? p->a : p->b,
               left ? p->b : p->a,
               left ? p->m : p->n,
               left ? p->n : p->m,
               p->k,
               left ? p->n : 1,
               left ? 1 : p->n,
               ds_thin_rows(p->m, p->n, p->k),
               0,
               p->alpha};
    void *part;

    q.tiles = (q.w + COLS - 1) / COLS;
    TRY(rt_scratch(rt, 0, &part, room, err));
    if (p->fa == DS_KBF16)
        by_narrow<bf16>(rt_stream(rt), (float *)part, &q, (unsigned)(chunks * q.tiles));
    else
        by_narrow<f16>(rt_stream(rt), (float *)part, &q, (unsigned)(chunks * q.tiles));
    TRY(rt_launched(rt, "a thin product", err));
    return ds_cuda_add_parts(rt, static_cast<float *>(p->c), (const float *)part, chunks, size,
                             p->accumulate, err);
}
