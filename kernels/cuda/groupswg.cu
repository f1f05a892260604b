/* groupswg.cu - products of groups in bf16 and f16 by products of warpgroups (compute capability
 * 9.0). Two warpgroups, each with 64 x 256 of a tile's 128 x 256 results, in steps of 64 of what is
 * summed over. There is a block for each processor, which takes one tile after the other, as many
 * apart as there are blocks: tiles that are worked on at once share rows, or an expert's matrix.
 * Steps are fetched two ahead, those of the next tile too: they come while results are written. A
 * tile without columns past 128 is half the work. Sums are made in the order of groups.cu.
 */
#include "groups.h"
#include "wgmma.h"

#define THREADS 256
#define DEEP 64
#define STAGES 4
#define AHEAD (STAGES - 2) /* one stage is in use, one may still be read from */
#define LEFT_BYTES (WG_TILE_ROWS * DEEP * 2)
#define STAGE_BYTES (LEFT_BYTES + WG_TILE_COLS * DEEP * 2)

/* A tile of results: of its group, from this row and column on. */
struct place {
    const group *g;
    int32_t row, col;
};

__device__ __forceinline__ place place_of(const group *all, int32_t n, int32_t tile)
{
    const group *g = group_of(all, n, tile);
    const int32_t across = (int32_t)tiles_in(g->n, WG_TILE_COLS), i = tile - (int32_t)g->first;

    return {g, i / across * WG_TILE_ROWS, i % across * WG_TILE_COLS};
}

/* A term without rows to sum over is a step too, of zeros. */
__device__ __forceinline__ int32_t steps_of(const group *g)
{
    const int32_t steps = (int32_t)tiles_in(g->k[0], DEEP);

    return (steps > 0 ? steps : 1) + (int32_t)tiles_in(g->k[1], DEEP);
}

/* What is fetched next: a step of a tile of this block's. */
template <class E, bool TB> struct cursor {
    const group *all;
    int32_t n, tile, end;
    place at;
    bool second;        /* term */
    const E *a, *b;     /* of the step */
    int32_t rows, cols; /* of the group, from the tile's first on */
    int32_t k, deep;    /* what is summed over, and what is left of it */

    __device__ __forceinline__ void to_term(int e)
    {
        second = e > 0;
        k = deep = (int32_t)at.g->k[e];
        a = static_cast<const E *>(at.g->a[e]) + (int64_t)at.row * k;
        b = static_cast<const E *>(at.g->b[e]) + (TB ? (int64_t)at.col * k : at.col);
    }
    __device__ __forceinline__ void to_tile(int32_t t)
    {
        tile = t;
        if (tile >= end)
            return;
        at = place_of(all, n, tile);
        rows = (int32_t)at.g->m - at.row;
        cols = (int32_t)at.g->n - at.col;
        to_term(0);
    }
    __device__ __forceinline__ void fetch(unsigned char *to)
    {
        if (tile < end) {
            wg_fetch_part<DEEP, WG_TILE_ROWS, THREADS>(to, a, k, rows, deep);
            if (TB)
                wg_fetch_part<DEEP, WG_TILE_COLS, THREADS>(to + LEFT_BYTES, b, k, cols, deep);
            else
                wg_fetch_part<WG_TILE_COLS, DEEP, THREADS>(to + LEFT_BYTES, b, cols + at.col, deep,
                                                           cols);
            deep -= DEEP;
            a += DEEP;
            b += TB ? DEEP : (int64_t)DEEP * (cols + at.col);
            if (deep <= 0 && !second && at.g->k[1] > 0)
                to_term(1);
            else if (deep <= 0)
                to_tile(tile + (int32_t)gridDim.x);
        }
        copy_commit();
    }
};

/* c (+)= a warpgroup's rows of a step, N columns. Queued. */
template <class E, int N, bool TB>
__device__ __forceinline__ void multiply(float (&c)[N / 8][4], const unsigned char *from, bool add)
{
    const int group = (int)(threadIdx.x / GROUP);
    const unsigned char *a = from + group * GROUP_ROWS * PANEL_ROW, *b = from + LEFT_BYTES;

#pragma unroll
    for (int k = 0; k < DEEP; k += 16)
        wg_rows<E, N, !TB>(c, wg_matrix(a + k * 2, 0),
                           wg_matrix(b + k * (TB ? 2 : PANEL_ROW), DEEP * PANEL_ROW), add || k > 0);
}

/* One tile, of which N columns are looked at. `stage` has its first step. The place becomes that of
 * tile `after`, if there is one: it is looked up while the last products are made. */
template <class E, class C, int N, bool TB>
__device__ __forceinline__ void one_tile(place *at, int32_t after, cursor<E, TB> *next, int *stage,
                                         unsigned char *memory, bool accumulate, float alpha)
{
    const place here = *at;
    const int32_t steps = steps_of(here.g);
    float c[N / 8][4];

    for (int32_t s = 0; s < steps; s++) {
        copy_wait<AHEAD - 1>();
        wg_visible();
        __syncthreads(); /* this step's operands are there, and those before the last are used up */
        wg_begin();
        multiply<E, N, TB>(c, memory + *stage * STAGE_BYTES, s > 0);
        wg_commit();
        next->fetch(memory + (*stage + AHEAD) % STAGES * STAGE_BYTES);
        *stage = (*stage + 1) % STAGES;
        wg_wait<1>();
    }
    if (after < next->end)
        *at = place_of(next->all, next->n, after);
    wg_wait<0>();
    write_rows<C, N>(c, *here.g, here.row + (int)(threadIdx.x / WARP) * 16, here.col, accumulate,
                     alpha);
}

template <class E, class C, bool TB>
__global__ void __launch_bounds__(THREADS, 1)
    wg_groups(const group *all, int32_t n, bool accumulate, float alpha)
{
    DYNAMIC_SHARED(memory);
    const int32_t end = (int32_t)(all[n - 1].first + all[n - 1].tiles);
    cursor<E, TB> next = {};
    int stage = 0;

    next.all = all;
    next.n = n;
    next.end = end;
    next.to_tile((int32_t)blockIdx.x);
    for (int i = 0; i < AHEAD; i++)
        next.fetch(memory + i * STAGE_BYTES);
    int32_t tile = (int32_t)blockIdx.x;
    place at = tile < end ? place_of(all, n, tile) : place{};
    while (tile < end) {
        tile += (int32_t)gridDim.x;
        if (at.g->n - at.col > WG_TILE_COLS / 2)
            one_tile<E, C, WG_TILE_COLS, TB>(&at, tile, &next, &stage, memory, accumulate, alpha);
        else
            one_tile<E, C, WG_TILE_COLS / 2, TB>(&at, tile, &next, &stage, memory, accumulate,
                                                 alpha);
    }
}

template <class E, class C>
static void by_form(dev_stream st, const group *all, int32_t n, unsigned blocks,
                    const ds_kgroups *p)
{
    const size_t shared = STAGES * STAGE_BYTES;
    const dim3 grid(blocks), threads(THREADS);

    if (p->tb)
        LAUNCH((wg_groups<E, C, true>), grid, threads, shared, st, all, n, p->accumulate, p->alpha);
    else
        LAUNCH((wg_groups<E, C, false>), grid, threads, shared, st, all, n, p->accumulate,
               p->alpha);
}

template <class E>
static void by_result(dev_stream st, const group *all, int32_t n, unsigned blocks,
                      const ds_kgroups *p)
{
    if (p->fc == DS_KF32)
        by_form<E, float>(st, all, n, blocks, p);
    else
        by_form<E, E>(st, all, n, blocks, p);
}

void ds_groups_wg(dev_stream st, const group *all, int32_t n, unsigned blocks, const ds_kgroups *p)
{
    if (p->f == DS_KBF16)
        by_result<bf16>(st, all, n, blocks, p);
    else
        by_result<f16>(st, all, n, blocks, p);
}
