/* groups.cu - many products of one form in one launch: those of all experts of a layer.
 *
 * How many rows an expert has only the device knows: there groups are laid out first, over their
 * rows. Blocks are numbered through the tiles of all; each finds its own by bisection, and there
 * are as many as could be needed: those left over end at once. In bf16 and f16, where rows lie at
 * multiples of 16 bytes, on tensor cores: by groupswg.cu, or 128 x 128 of a result by eight warps,
 * operands in steps of 32 through three stages of shared memory. Else a thread an element, through
 * tiles of 16 x 16 in f32. Sums of both terms are made in registers, in ascending order of what is
 * summed over, and rounded once.
 */
#include "groups.h"
#include "tile.h"

/* ---- on tensor cores ---- */

#define TILE 128
#define DEEP 32
#define STAGES 3
#define THREADS 256
#define ROOM ((TILE) * (DEEP + 8)) /* elements of an operand's tile, however it lies */

/* Lines first.. of an operand and what is summed over from k0 on: [line][k], or [k][line] where it
 * lies ACROSS. Zeros past its ends. */
template <class E, bool ACROSS>
__device__ __forceinline__ void fetch(E *to, const void *from, int64_t first, int64_t lines,
                                      int64_t k0, int64_t k)
{
    constexpr int WIDE = ACROSS ? TILE : DEEP, PARTS = WIDE / 8;
    const E *x = static_cast<const E *>(from);

    for (int i = (int)threadIdx.x; i < TILE * DEEP / 8; i += THREADS) {
        const int r = i / PARTS, c = i % PARTS * 8;
        const int64_t line = first + (ACROSS ? c : r), at = k0 + (ACROSS ? r : c);
        E *dst = to + r * (WIDE + 8) + c;
        if (line < lines && at < k)
            copy16(dst, x + (ACROSS ? at * lines + line : line * k + at));
        else
            store_shared(dst, together<E, 8>{});
    }
}

/* c += a warp's 64 x 32 of the tile, over one step. */
template <class E, bool TA, bool TB>
__device__ __forceinline__ void multiply(float (&c)[4][4][4], const E *a, const E *b, int r0,
                                         int c0)
{
#pragma unroll
    for (int k = 0; k < DEEP; k += 16) {
        uint32_t left[4][4], right[2][4];
#pragma unroll
        for (int i = 0; i < 4; i++)
            if (TA)
                left16_across(left[i], a, TILE + 8, k, r0 + i * 16);
            else
                left16(left[i], a, DEEP + 8, r0 + i * 16, k);
#pragma unroll
        for (int j = 0; j < 2; j++)
            if (TB)
                right16(right[j], b, DEEP + 8, c0 + j * 16, k);
            else
                right16_across(right[j], b, TILE + 8, k, c0 + j * 16);
#pragma unroll
        for (int i = 0; i < 4; i++)
#pragma unroll
            for (int j = 0; j < 4; j++)
                mma<E>(c[i][j], left[i], right[j / 2][j % 2 * 2], right[j / 2][j % 2 * 2 + 1]);
    }
}

/* A lane's sums to their places, of which (row, col) is the first; one by one. */
template <class C>
__device__ __forceinline__ void write_singly(const float (&c)[4][4][4], const group &g, int64_t row,
                                             int64_t col, bool accumulate, float alpha)
{
    const int64_t left = g.n - col;
    C *to = static_cast<C *>(g.c) + row * g.n + col;

#pragma unroll
    for (int i = 0; i < 8; i++)
#pragma unroll
        for (int j = 0; j < 8; j++)
            if (row + i * 8 < g.m && j / 2 * 8 + j % 2 < left)
                finish(to + i * 8 * g.n + j / 2 * 8 + j % 2, c[i / 2][j / 2][i % 2 * 2 + j % 2],
                       accumulate, alpha);
}

/* The same in f32 by pairs of columns, which lie at multiples of their size. Half of what is to be
 * added to comes at once. */
__device__ __forceinline__ void write_pairs(const float (&c)[4][4][4], const group &g, int64_t row,
                                            int64_t col, bool accumulate, float alpha)
{
    constexpr int ROWS = 4;
    const int64_t left = g.n - col;
    float *to = static_cast<float *>(g.c) + row * g.n + col;

#pragma unroll
    for (int i0 = 0; i0 < 8; i0 += ROWS) {
        float old[ROWS][4][2] = {};
#pragma unroll
        for (int i = 0; i < ROWS; i++)
#pragma unroll
            for (int j = 0; j < 4; j++)
                if (accumulate && row + (i0 + i) * 8 < g.m && j * 8 < left)
                    get<float, 2>(old[i][j], to + (i0 + i) * 8 * g.n + j * 8);
#pragma unroll
        for (int i = i0; i < i0 + ROWS; i++)
#pragma unroll
            for (int j = 0; j < 4; j++) {
                float *x = old[i - i0][j];
#pragma unroll
                for (int h = 0; h < 2; h++) {
                    const float sum = c[i / 2][j][i % 2 * 2 + h] * alpha;
                    x[h] = accumulate ? x[h] + sum : sum;
                }
                if (row + i * 8 < g.m && j * 8 < left)
                    put<float, 2>(to + i * 8 * g.n + j * 8, x);
            }
    }
}

template <class E, class C, bool TA, bool TB>
__global__ void __launch_bounds__(THREADS, 2)
    group_tile_kernel(const group *all, int32_t n, bool accumulate, float alpha)
{
    DYNAMIC_SHARED(memory);
    E *shared = reinterpret_cast<E *>(memory);
    const group g = *group_of(all, n, blockIdx.x);
    const int64_t across = tiles_in(g.n, TILE), tile = blockIdx.x - g.first;
    const int64_t row0 = tile / across * TILE, col0 = tile % across * TILE;
    const int64_t steps0 = (g.k[0] + DEEP - 1) / DEEP, steps = steps0 + (g.k[1] + DEEP - 1) / DEEP;
    const int lane = (int)(threadIdx.x % WARP), warp = (int)(threadIdx.x / WARP);
    const int r0 = warp / 4 * 64, c0 = warp % 4 * 32;
    float c[4][4][4] = {};

    if (tile >= g.tiles)
        return;
    const auto start = [&](int64_t step) {
        const bool e = step >= steps0;
        const int64_t k0 = (e ? step - steps0 : step) * DEEP, k = e ? g.k[1] : g.k[0];
        E *to = shared + step % STAGES * 2 * ROOM;
        fetch<E, TA>(to, e ? g.a[1] : g.a[0], row0, g.m, k0, k);
        fetch<E, !TB>(to + ROOM, e ? g.b[1] : g.b[0], col0, g.n, k0, k);
    };
    pipeline<STAGES>(steps, start, [&](int64_t s) {
        const E *at = shared + s % STAGES * 2 * ROOM;
        multiply<E, TA, TB>(c, at, at + ROOM, r0, c0);
    });
    const int64_t row = row0 + r0 + lane / 4, col = col0 + c0 + lane % 4 * 2;
    if constexpr (sizeof(C) == 4) {
        if (g.n % 2 == 0 && (uintptr_t)g.c % (2 * sizeof(C)) == 0) {
            write_pairs(c, g, row, col, accumulate, alpha);
            return;
        }
    } else if (g.n % 8 == 0 && (uintptr_t)g.c % 16 == 0) {
#pragma unroll
        for (int i = 0; i < 4; i++)
            write_rows<C, 32>(c[i], g, row0 + r0 + i * 16, col0 + c0, accumulate, alpha);
        return;
    }
    write_singly<C>(c, g, row, col, accumulate, alpha);
}

template <class E, class C, bool TA, bool TB>
static void start_tiles(dev_stream st, const group *all, int32_t n, int64_t tiles,
                        const ds_kgroups *p)
{
    LAUNCH((group_tile_kernel<E, C, TA, TB>), dim3((unsigned)tiles), dim3(THREADS),
           STAGES * 2 * ROOM * sizeof(E), st, all, n, p->accumulate, p->alpha);
}

template <class E, class C>
static void tiles_of(dev_stream st, const group *all, int32_t n, int64_t tiles, const ds_kgroups *p)
{
    if (p->ta)
        start_tiles<E, C, true, false>(st, all, n, tiles, p);
    else if (p->tb)
        start_tiles<E, C, false, true>(st, all, n, tiles, p);
    else
        start_tiles<E, C, false, false>(st, all, n, tiles, p);
}

template <class E>
static void tiles_for(dev_stream st, const group *all, int32_t n, int64_t tiles,
                      const ds_kgroups *p)
{
    if (p->fc == DS_KF32)
        tiles_of<E, float>(st, all, n, tiles, p);
    else
        tiles_of<E, E>(st, all, n, tiles, p);
}

/* ---- of any width ---- */

#define SIDE 16

template <class E, class C>
__global__ void group_any_kernel(const group *all, int32_t n, bool ta, bool tb, bool accumulate,
                                 float alpha)
{
    __shared__ float left[SIDE][SIDE + 1], right[SIDE][SIDE + 1];
    const group g = *group_of(all, n, blockIdx.x);
    const int64_t across = tiles_in(g.n, SIDE), tile = blockIdx.x - g.first;
    const int64_t row0 = tile / across * SIDE, col0 = tile % across * SIDE;
    const int x = (int)(threadIdx.x % SIDE), y = (int)(threadIdx.x / SIDE);
    float sum = 0.0f;

    if (tile >= g.tiles)
        return;
    for (int e = 0; e < 2; e++) {
        const E *a = static_cast<const E *>(e ? g.a[1] : g.a[0]),
                *b = static_cast<const E *>(e ? g.b[1] : g.b[0]);
        const int64_t kk = e ? g.k[1] : g.k[0];
        for (int64_t k0 = 0; k0 < kk; k0 += SIDE) {
            const int64_t i = row0 + (ta ? x : y), ki = k0 + (ta ? y : x);
            const int64_t j = col0 + (tb ? y : x), kj = k0 + (tb ? x : y);
            const float l =
                i < g.m && ki < kk ? to_f32(ta ? a[ki * g.m + i] : a[i * kk + ki]) : 0.0f;
            const float r =
                j < g.n && kj < kk ? to_f32(tb ? b[j * kk + kj] : b[kj * g.n + j]) : 0.0f;
            left[ta ? x : y][ta ? y : x] = l;
            right[tb ? y : x][tb ? x : y] = r;
            __syncthreads();
            for (int k = 0; k < SIDE && k0 + k < kk; k++)
                sum = fmaf(left[y][k], right[x][k], sum);
            __syncthreads();
        }
    }
    if (row0 + y < g.m && col0 + x < g.n)
        finish(static_cast<C *>(g.c) + (row0 + y) * g.n + col0 + x, sum, accumulate, alpha);
}

template <class E, class C>
static void start_any(dev_stream st, const group *all, int32_t n, int64_t tiles,
                      const ds_kgroups *p)
{
    LAUNCH((group_any_kernel<E, C>), dim3((unsigned)tiles), dim3(SIDE * SIDE), 0, st, all, n, p->ta,
           p->tb, p->accumulate, p->alpha);
}

/* ---- the layout ---- */

/* What the host knows of groups goes to the device as arguments of a launch, which captured work
 * keeps; so many at once. */
#define FORMS 48

struct forms {
    struct {
        void *c;
        const void *a[2], *b[2];
        int64_t k[2], m, n;
        int32_t expert;
    } at[FORMS];
};

/* Rows and columns of a tile. */
struct tile_size {
    int64_t m, n;
};

/* How they are laid out, and bytes of elements. */
struct layout {
    bool ta;
    tile_size tile;
    int64_t in, out;
};

/* Of one block: groups at + i, of n. Those before `at` were laid out by launches before. */
__global__ void lay_out_kernel(group *all, int32_t at, int32_t n, const int32_t *first, layout l,
                               const __grid_constant__ forms f)
{
    __shared__ int64_t tiles[FORMS];
    const int32_t i = (int32_t)threadIdx.x;
    group g = {};

    if (i < n) {
        const int64_t from = first[f.at[i].expert], rows = first[f.at[i].expert + 1] - from;
        const bool two = !l.ta && f.at[i].k[1] > 0;
        g.m = l.ta ? f.at[i].m : rows;
        g.n = f.at[i].n;
        g.k[0] = l.ta ? rows : f.at[i].k[0];
        g.k[1] = two ? f.at[i].k[1] : 0;
        g.c = static_cast<char *>(f.at[i].c) + (l.ta ? 0 : from * g.n * l.out);
        for (int e = 0; e < 1 + two; e++) {
            g.a[e] = static_cast<const char *>(f.at[i].a[e]) + from * (l.ta ? g.m : g.k[e]) * l.in;
            g.b[e] = static_cast<const char *>(f.at[i].b[e]) + (l.ta ? from * g.n * l.in : 0);
        }
        g.tiles = tiles_in(g.m, l.tile.m) * tiles_in(g.n, l.tile.n);
        tiles[i] = g.tiles;
    }
    __syncthreads();
    if (i >= n)
        return;
    g.first = at > 0 ? all[at - 1].first + all[at - 1].tiles : 0;
    for (int32_t j = 0; j < i; j++)
        g.first += tiles[j];
    all[at + i] = g;
}

static int lay_out(dev_rt *rt, group **all, const ds_kgroups *p, tile_size tile, ds_err *err)
{
    const layout l = {p->ta, tile, (int64_t)ds_kfmt_size(p->f), (int64_t)ds_kfmt_size(p->fc)};
    void *room;

    TRY(rt_scratch(rt, 0, &room, ds_scratch_groups(p->n), err));
    *all = static_cast<group *>(room);
    for (int64_t at = 0; at < p->n; at += FORMS) {
        const int32_t n = (int32_t)(p->n - at < FORMS ? p->n - at : FORMS);
        forms f = {};
        for (int32_t i = 0; i < n; i++) {
            const ds_kgroup *g = &p->g[at + i];
            const ds_kterm *t = g->term;
            f.at[i] = {g->c, {t[0].a, t[1].a}, {t[0].b, t[1].b}, {t[0].k, t[1].k}, g->m,
                       g->n, g->expert};
        }
        LAUNCH(lay_out_kernel, dim3(1), dim3(tiles_in(FORMS, WARP) * WARP), 0, rt_stream(rt), *all,
               (int32_t)at, n, p->first, l, f);
    }
    return rt_launched(rt, "layout of groups", err);
}

/* As many tiles as there can be. Sums of m over experts are p->rows, and each may leave a tile that
 * is not full, in each of its groups. */
static int64_t tiles_at_most(const ds_kgroups *p, tile_size tile)
{
    int64_t sum = 0, across = 0, most = 0, experts = 0;

    for (int64_t i = 0; i < p->n; i++) {
        const ds_kgroup *g = &p->g[i];
        const int64_t wide = tiles_in(g->n, tile.n);
        if (i == 0 || g->expert != g[-1].expert) {
            across = 0;
            experts++;
        }
        across += wide;
        most = across > most ? across : most;
        sum += tiles_in(g->m, tile.m) * wide;
    }
    if (p->ta)
        return sum;
    experts = experts < p->rows ? experts : p->rows;
    return (p->rows + experts * (tile.m - 1)) / tile.m * most;
}

/* ---- the host's part ---- */

/* May rows of this one be read 16 bytes at a time, whichever they are? */
static bool is_wide(const ds_kgroup *g, const ds_kgroups *p)
{
    for (int e = 0; e < 2; e++) {
        const ds_kterm *t = &g->term[e];
        if ((e == 0 || t->k > 0) &&
            (!fits16(t->a) || !fits16(t->b) || (p->ta ? g->m : t->k) % 8 != 0 ||
             (p->tb ? t->k : g->n) % 8 != 0))
            return false;
    }
    return true;
}

/* May its results be written so? */
static bool is_whole(const ds_kgroup *g)
{
    return fits16(g->c) && g->n % 8 == 0;
}

enum form { ANY, TILES, GROUPS };

static enum form form_of(const dev_rt *rt, const ds_kgroups *p)
{
    bool wide = p->f != DS_KF32 && (p->fc == DS_KF32 || p->fc == p->f);
    bool whole = rt_warpgroups(rt) && !p->ta; /* where both lie across, warps alone are faster */

    for (int64_t i = 0; i < p->n; i++) {
        wide = wide && is_wide(&p->g[i], p);
        whole = whole && is_whole(&p->g[i]);
    }
    return !wide ? ANY : whole ? GROUPS : TILES;
}

static int matmul_groups(ds_kernels *k, const ds_kgroups *p, ds_err *err)
{
    static const tile_size size[] = {{SIDE, SIDE}, {TILE, TILE}, {WG_TILE_ROWS, WG_TILE_COLS}};
    dev_rt *rt = rt_of(k);
    const enum form form = form_of(rt, p);
    const int64_t tiles = tiles_at_most(p, size[form]), processors = rt_processors(rt);
    group *all;

    if (tiles <= 0)
        return 0;
    if (tiles > INT32_MAX)
        return ds_fail(err, DS_FAIL, "cuda: %lld tiles of products in one call", (long long)tiles);
    TRY(lay_out(rt, &all, p, size[form], err));
    const dev_stream st = rt_stream(rt);
    const int32_t n = (int32_t)p->n;
    if (form == GROUPS)
        ds_groups_wg(st, all, n, (unsigned)(tiles < processors ? tiles : processors), p);
    else if (form == TILES && p->f == DS_KBF16)
        tiles_for<bf16>(st, all, n, tiles, p);
    else if (form == TILES)
        tiles_for<f16>(st, all, n, tiles, p);
    else
        BY_FORMAT(p->f, E, BY_FORMAT(p->fc, C, start_any<E, C>(st, all, n, tiles, p)));
    return rt_launched(rt, "products of groups", err);
}

void ds_cuda_groups(ds_kernels *k)
{
    k->matmul_groups = matmul_groups;
}
