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

/* Where rows lie at multiples of 16 bytes and rt_warpgroups says so. `blocks` share the tiles. */
void ds_groups_wg(dev_stream st, const group *all, int32_t n, unsigned blocks, const ds_kgroups *p);

#endif
