/* attnrows.h - rows of scores in the fragments of tile.h: what the forms of attention on tensor
 * cores share. A lane has parts of two rows, 8 apart, and four lanes share a row. */
#ifndef DS_ATTNROWS_H
#define DS_ATTNROWS_H

#include "attn.h"
#include "tile.h"

/* Runs the statement with E, QK and VD what ds_attn_tiles takes. */
#define BY_WIDTHS(a, ...)                                                                          \
    do {                                                                                           \
        if ((a)->qk == 64) {                                                                       \
            constexpr int QK = 64, VD = 64;                                                        \
            __VA_ARGS__;                                                                           \
        } else if ((a)->qk == 128) {                                                               \
            constexpr int QK = 128, VD = 128;                                                      \
            __VA_ARGS__;                                                                           \
        } else {                                                                                   \
            constexpr int QK = 192, VD = 128;                                                      \
            __VA_ARGS__;                                                                           \
        }                                                                                          \
    } while (0)
#define BY_HEADS(f, a, ...)                                                                        \
    do {                                                                                           \
        if ((f) == DS_KBF16) {                                                                     \
            using E = bf16;                                                                        \
            BY_WIDTHS(a, __VA_ARGS__);                                                             \
        } else {                                                                                   \
            using E = f16;                                                                         \
            BY_WIDTHS(a, __VA_ARGS__);                                                             \
        }                                                                                          \
    } while (0)

template <int N> __device__ __forceinline__ void clear(float (&c)[N][4])
{
#pragma unroll
    for (int i = 0; i < N; i++)
        for (int j = 0; j < 4; j++)
            c[i][j] = 0.0f;
}

/* Of the four lanes that share a row. */
__device__ __forceinline__ float quad_sum(float x)
{
    x += __shfl_xor_sync(ALL_LANES, x, 1);
    return x + __shfl_xor_sync(ALL_LANES, x, 2);
}
__device__ __forceinline__ float quad_max(float x)
{
    float y = __shfl_xor_sync(ALL_LANES, x, 1);
    x = y > x ? y : x;
    y = __shfl_xor_sync(ALL_LANES, x, 2);
    return y > x ? y : x;
}

__device__ __forceinline__ bool warp_any(bool x)
{
#ifdef DS_EMU
    int any = x;
    for (int m = 1; m < 32; m *= 2)
        any |= __shfl_xor_sync(ALL_LANES, any, m);
    return any;
#else
    return __any_sync(ALL_LANES, x);
#endif
}

/* Writes a warp's 16 x WIDTH sums, times f0 (rows 0-7) and f1, as rows of a matrix. */
template <int WIDTH, class E>
__device__ __forceinline__ void store(void *dst, const float (&c)[WIDTH / 8][4], int64_t row0,
                                      int64_t stride, int64_t col0, int32_t first, int32_t end,
                                      float f0, float f1)
{
    const int lane = (int)(threadIdx.x % WARP), r = lane / 4, q = lane % 4 * 2;
    E *to = static_cast<E *>(dst) + (row0 + first + r) * stride + col0 + q;

#pragma unroll
    for (int n = 0; n < WIDTH / 8; n++) {
        if (first + r < end)
            *reinterpret_cast<uint32_t *>(to + n * 8) = pack2<E>(c[n][0] * f0, c[n][1] * f0);
        if (first + r + 8 < end)
            *reinterpret_cast<uint32_t *>(to + 8 * stride + n * 8) =
                pack2<E>(c[n][2] * f1, c[n][3] * f1);
    }
}

/* lse (in units of log 2) and delta of queries first..first+N-1 to shared memory; so that scores
 * of those past the end become 0. */
template <int N, int THREADS>
__device__ __forceinline__ void fetch_rows(float *lse, float *delta, const attn_args &a,
                                           const attn_item &w, int32_t h, int32_t first)
{
    static_assert(N <= THREADS, "one each");
    const int i = (int)threadIdx.x;

    if (i < N) {
        const bool here = first + i < w.len;
        const int64_t at = (int64_t)(w.qrow + (here ? first + i : 0)) * a.heads + h;
        lse[i] = here ? a.lse[at] * LOG2E : INFINITY;
        delta[i] = here ? a.delta[at] : 0.0f;
    }
}

#endif
