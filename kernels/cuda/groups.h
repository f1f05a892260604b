/* groups.h - products of groups: what the forms of them share. groups.cu has the layout, and forms
 * for any width and for tensor cores; groupswg.cu the latter where warpgroups have products of
 * their own.
 */
#ifndef DS_GROUPS_H
#define DS_GROUPS_H

#include "cudak.h"

/* A group over its expert's rows. */
struct group {
    void *c;
    const void *a[2], *b[2];
    int64_t k[2], m, n;
    int64_t first, tiles; /* number of its first tile, and how many */
};
static_assert(sizeof(group) <= DS_DEVICE_GROUP, "devroom.h has room for it");

/* Tiles of results, in groupswg.cu. */
#define WG_TILE_ROWS 128
#define WG_TILE_COLS 256

__host__ __device__ static inline int64_t tiles_in(int64_t n, int64_t side)
{
    return (n + side - 1) / side;
}

/* That of a tile, or one without it: then the tile is left over. */
__device__ __forceinline__ const group *group_of(const group *all, int32_t n, int64_t tile)
{
    int32_t lo = 0, hi = n;

    while (hi - lo > 1) {
        const int32_t mid = (lo + hi) / 2;
        if (all[mid].first <= tile)
            lo = mid;
        else
            hi = mid;
    }
    return &all[lo];
}

template <class C>
__device__ __forceinline__ void finish(C *c, float sum, bool accumulate, float alpha)
{
    sum *= alpha;
    *c = from_f32<C>(accumulate ? to_f32(*c) + sum : sum);
}

/* Word i of the quad's lane j goes to word j of its lane i. */
__device__ __forceinline__ void quad_transpose(uint32_t (&w)[4])
{
#pragma unroll
    for (int bit = 1; bit < 4; bit *= 2)
#pragma unroll
        for (int i = 0; i < 4; i++)
            if (!(i & bit)) {
                const bool upper = threadIdx.x & (unsigned)bit;
                const uint32_t got = __shfl_xor_sync(ALL_LANES, upper ? w[i] : w[i + bit], bit);
                w[i] = upper ? got : w[i];
                w[i + bit] = upper ? w[i + bit] : got;
            }
}

/* A warp's sums of 16 rows and N columns, whose first is (row, col), to where they belong: 16 bytes
 * at a time, 32 of a row or more; in f32 pairs. Rows of the result lie at multiples of 16 bytes.
 * What is to be added to comes first, as much of a row as eight registers hold. */
template <class C, int N>
__device__ __forceinline__ void write_rows(const float (&c)[N / 8][4], const group &g, int64_t row,
                                           int64_t col, bool accumulate, float alpha)
{
    constexpr int MOST = 16 / sizeof(C), MANY = MOST < N / 8 ? MOST : N / 8;
    const int lane = (int)(threadIdx.x % WARP), q = lane % 4;

#pragma unroll
    for (int i = 0; i < 2; i++) {
        const int64_t own = row + i * 8 + lane / 4;
        const int32_t end = own < g.m ? (int32_t)(g.n - col) : 0;
        C *to = static_cast<C *>(g.c) + own * g.n + col;
#pragma unroll
        for (int j0 = 0; j0 < N / 8; j0 += MANY) {
            together<C, 2> old[MANY] = {};
#pragma unroll
            for (int k = 0; accumulate && k < MANY; k++)
                if ((j0 + k) * 8 < end)
                    old[k] = load_together<C, 2>(to + (j0 + k) * 8 + q * 2);
            __syncwarp(); /* others write there */
#pragma unroll
            for (int j = j0; j < j0 + MANY; j += 4) {
                uint32_t w[4];
#pragma unroll
                for (int k = 0; k < 4; k++) {
                    float x[2];
                    apart(x, old[j - j0 + k]);
#pragma unroll
                    for (int h = 0; h < 2; h++) {
                        const float sum = c[j + k][2 * i + h] * alpha;
                        x[h] = accumulate ? x[h] + sum : sum;
                    }
                    if constexpr (sizeof(C) == 2)
                        w[k] = pack2<C>(x[0], x[1]);
                    else if ((j + k) * 8 < end)
                        put<C, 2>(to + (j + k) * 8 + q * 2, x);
                }
                if constexpr (sizeof(C) == 2) {
                    quad_transpose(w);
                    if ((j + q) * 8 < end)
                        store_together(reinterpret_cast<uint32_t *>(to + (j + q) * 8),
                                       together<uint32_t, 4>{{w[0], w[1], w[2], w[3]}});
                }
            }
        }
    }
}

/* Where rows lie at multiples of 16 bytes and rt_warpgroups says so; not for ta. `blocks` share the
 * tiles. */
void ds_groups_wg(dev_stream st, const group *all, int32_t n, unsigned blocks, const ds_kgroups *p);

#endif
