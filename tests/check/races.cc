/* races.cc - kernels with a mistake each, and without it: what kernels/cuda/emu/watch.cc finds, and
 * what emu.cc does of lanes that part and of products of warpgroups.
 *
 *   races CASE [right]
 */
#include "wgmma.h"

#include <cstdio>

#define THREADS 64

enum mistake {
    BARRIER,
    WARPS_OWN,
    BLOCKS,
    READER,
    UNWRITTEN,
    MISALIGNED,
    PAST,
    COPY,
    BYTES,
    APART,
    MISSING,
    FENCE, /* from here on: of a product of a warpgroup */
    PROXY,
    LATE,
    EARLY,
    STALE,
    SUMS,
    LEFT,
    COMMIT,
    ROW,
    OTHERS
};
static const char *const names[] = {
    "barrier", "warp",  "blocks", "reader",  "unwritten", "misaligned", "past",
    "copy",    "bytes", "apart",  "missing", "fence",     "proxy",      "late",
    "early",   "stale", "sums",   "left",    "commit",    "row",        "others"};
#define MISTAKES ((int)(sizeof names / sizeof *names))

/* Lanes that are not where the others are. */
static __device__ float parted(enum mistake m, bool right, int i, float x)
{
    if (m == MISSING && (right || i != 5))
        __syncthreads();
    if (m != APART)
        return x;
    if (right || i % 32 < 16) /* the same instruction, of two places */
        return __shfl_xor_sync(ALL_LANES, x, 1);
    return __shfl_xor_sync(ALL_LANES, x, 1);
}

static __global__ void kernel(enum mistake m, bool right, float *out)
{
    DYNAMIC_SHARED(memory);
    __shared__ float at[THREADS];
    float *const asked = reinterpret_cast<float *>(memory);
    const int i = (int)threadIdx.x, other = THREADS - 1 - i, block = (int)blockIdx.x;
    float x = (float)i;

    switch (m) {
    case BARRIER:
        at[i] = x;
        if (right)
            __syncthreads();
        x = at[other];
        break;
    case WARPS_OWN: /* a shuffle brings lanes together, but orders no memory */
        at[i] = x;
        x = __shfl_xor_sync(ALL_LANES, x, 1);
        if (right)
            __syncwarp();
        x += at[i ^ 1];
        break;
    case BLOCKS:
        out[(right ? block : 0) * THREADS + i] = x;
        return;
    case READER:
        x = out[(right ? block : 1 - block) * THREADS + i];
        break;
    case UNWRITTEN:
        if (right || i > 0 || block == 0)
            at[i] = x;
        __syncthreads();
        x = at[other];
        break;
    case MISALIGNED:
        x = load_together<float, 4>(out + 2 * THREADS + i * 4 + (right ? 0 : 1)).at[0];
        break;
    case PAST:
        asked[i + (right ? 0 : 1)] = x;
        break;
    case COPY:
        asked[i] = x;
        __syncthreads();
        x = asked[other];
        if (right)
            __syncthreads();
        if (i % 4 == 0)
            copy16(asked + i, out + 2 * THREADS);
        copy_commit();
        copy_wait<0>();
        break;
    case BYTES:
        memory[right ? i : i / 2] = 1;
        break;
    default:
        x = parted(m, right, i, x);
        break;
    }
    out[block * THREADS + i] = x;
}

#define COLS 64
#define LEFT_BYTES (GROUP_ROWS * PANEL_ROW)
#define RIGHT_BYTES (COLS * PANEL_ROW)

static __global__ void product_kernel(enum mistake m, bool right, float *out)
{
    DYNAMIC_SHARED(memory);
    uint32_t *const word = reinterpret_cast<uint32_t *>(memory);
    float c[COLS / 8][4] = {};
    uint32_t left[4] = {};
    const bool late = m == LATE && !right;
    /* a row too far, and for the last warp eight */
    const unsigned left_at = right                                        ? 0
                             : m == ROW                                   ? PANEL_ROW
                             : m == OTHERS && threadIdx.x >= GROUP - WARP ? 8 * PANEL_ROW
                                                                          : 0;

    for (unsigned i = threadIdx.x; i < (LEFT_BYTES + RIGHT_BYTES) / 4; i += GROUP)
        word[i] = 0;
    if (m == STALE) {
        __syncthreads();
        copy16(word + threadIdx.x * 4, out);
        copy_commit();
        if (right)
            copy_wait<0>();
    }
    if (!late && (m != PROXY || right))
        wg_visible();
    __syncthreads();
    if (late) /* the barrier that the others passed is behind */
        wg_visible();
    if (m != FENCE || right)
        wg_begin();
    if (m == LEFT)
        wg_across<bf16, COLS>(c, left, wg_matrix(memory, 0));
    else
        wg_rows<bf16, COLS>(c, wg_matrix(memory + left_at, 0), wg_matrix(memory + LEFT_BYTES, 0),
                            false);
    wg_commit();
    if (m == COMMIT && !right && threadIdx.x % WARP == 3)
        wg_commit();
    if (m == EARLY && !right) {
        __syncthreads();
        if (threadIdx.x >= GROUP - WARP)
            word[threadIdx.x - (GROUP - WARP)] = 1;
    }
    if (m == STALE && !right) { /* what comes now comes too late, though all wait for it */
        __syncthreads();
        copy_wait<0>();
        wg_visible();
        __syncthreads();
    }
    if (right)
        wg_wait<0>();
    if (m == SUMS)
        c[0][0] += 1.0f;
    if (m == LEFT)
        left[0]++;
    if (!right)
        wg_wait<0>();
    out[threadIdx.x] = c[0][0] - (m == SUMS ? 1.0f : 0.0f);
}

/* What products are of, and come to, is zeros. */
static int check_zeros(const void *out, cudaStream_t stream)
{
    float c[GROUP];

    if (cudaMemcpyAsync(c, out, sizeof c, cudaMemcpyDeviceToHost, stream) ||
        cudaStreamSynchronize(stream))
        return 1;
    for (float x : c)
        if (x != 0.0f) {
            fprintf(stderr, "a product of zeros is %g\n", (double)x);
            return 1;
        }
    return 0;
}

int main(int argc, char **argv)
{
    cudaStream_t stream;
    void *out;
    int m = 0;

    while (argc > 1 && m < MISTAKES && strcmp(argv[1], names[m]) != 0)
        m++;
    if (argc < 2 || m == MISTAKES || cudaSetDevice(0) ||
        cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking) ||
        cudaMalloc(&out, 8 * THREADS * sizeof(float)) ||
        cudaMemsetAsync(out, 0, 8 * THREADS * sizeof(float), stream))
        return 2;
    if (m >= FENCE)
        LAUNCH(product_kernel, dim3(1), dim3(GROUP), LEFT_BYTES + RIGHT_BYTES, stream,
               (enum mistake)m, argc > 2, static_cast<float *>(out));
    else
        LAUNCH(kernel, dim3(2), dim3(THREADS), THREADS * sizeof(float), stream, (enum mistake)m,
               argc > 2, static_cast<float *>(out));
    if (cudaStreamSynchronize(stream))
        return 1;
    return m >= FENCE ? check_zeros(out, stream) : 0;
}
