/* races.cc - kernels with a mistake each, and without it: what kernels/cuda/emu/watch.cc finds.
 *
 *   races CASE [right]
 */
#include "tile.h"

#include <cstdio>

#define THREADS 64

enum mistake { BARRIER, WARPS_OWN, BLOCKS, READER, UNWRITTEN, MISALIGNED, PAST, COPY, BYTES };
static const char *const names[] = {"barrier",    "warp", "blocks", "reader", "unwritten",
                                    "misaligned", "past", "copy",   "bytes"};

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
    }
    out[block * THREADS + i] = x;
}

int main(int argc, char **argv)
{
    cudaStream_t stream;
    void *out;
    int m = 0;

    while (argc > 1 && m < (int)(sizeof names / sizeof *names) && strcmp(argv[1], names[m]) != 0)
        m++;
    if (argc < 2 || m == (int)(sizeof names / sizeof *names) || cudaSetDevice(0) ||
        cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking) ||
        cudaMalloc(&out, 8 * THREADS * sizeof(float)) ||
        cudaMemsetAsync(out, 0, 8 * THREADS * sizeof(float), stream))
        return 2;
    LAUNCH(kernel, dim3(2), dim3(THREADS), THREADS * sizeof(float), stream, (enum mistake)m,
           argc > 2, static_cast<float *>(out));
    return cudaStreamSynchronize(stream) == cudaSuccess ? 0 : 1;
}
