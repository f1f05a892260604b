/* groups.cu - many products of one form in one launch: those of all experts of a layer.
 *
 * Blocks are numbered through the tiles of all groups; each finds its own by bisection. In bf16
 * and f16, where rows lie at multiples of 16 bytes, on tensor cores: 128 x 128 of a result by eight
 * warps, operands in steps of 32 through three stages of shared memory. Else a thread an element,
 * through tiles of 16 x 16 in f32. Sums of both terms are made in registers, in ascending order of
 * what is summed over, and rounded once.
 */
#include "tile.h"

#include "cudak.h"

#include <cstdlib>

/* A group, as the device sees it. */
struct group {
    void *c;
    const void *a[2], *b[2];
    int64_t k[2], m, n;
    int64_t first; /* number of its first tile */
};

/* That of a tile; groups without a tile are not among them. By value: in registers. */
__device__ __forceinline__ group group_of(const group *all, int32_t n, int64_t tile)
{
    int32_t lo = 0, hi = n;

    while (hi - lo > 1) {
        const int32_t mid = (lo + hi) / 2;
        if (all[mid].first <= tile)
            lo = mid;
        else
            hi = mid;
    }
    return all[lo];
}

template <class C>
__device__ __forceinline__ void finish(C *c, float sum, bool accumulate, float alpha)
{
    sum *= alpha;
    *c = from_f32<C>(accumulate ? to_f32(*c) + sum : sum);
}

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
            *reinterpret_cast<together<E, 8> *>(dst) = together<E, 8>{};
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

template <class E, class C, bool TA, bool TB>
__global__ void __launch_bounds__(THREADS)
    group_tile_kernel(const group *all, int32_t n, bool accumulate, float alpha)
{
    DYNAMIC_SHARED(memory);
    E *shared = reinterpret_cast<E *>(memory);
    const group g = group_of(all, n, blockIdx.x);
    const int64_t across = (g.n + TILE - 1) / TILE, tile = blockIdx.x - g.first;
    const int64_t row0 = tile / across * TILE, col0 = tile % across * TILE;
    const int64_t steps0 = (g.k[0] + DEEP - 1) / DEEP, steps = steps0 + (g.k[1] + DEEP - 1) / DEEP;
    const int lane = (int)(threadIdx.x % WARP), warp = (int)(threadIdx.x / WARP);
    const int r0 = warp / 4 * 64, c0 = warp % 4 * 32;
    float c[4][4][4] = {};

    auto begin = [&](int64_t step) {
        if (step < steps) {
            const bool e = step >= steps0;
            const int64_t k0 = (e ? step - steps0 : step) * DEEP, k = e ? g.k[1] : g.k[0];
            E *to = shared + step % STAGES * 2 * ROOM;
            fetch<E, TA>(to, e ? g.a[1] : g.a[0], row0, g.m, k0, k);
            fetch<E, !TB>(to + ROOM, e ? g.b[1] : g.b[0], col0, g.n, k0, k);
        }
        copy_commit();
    };
    for (int64_t s = 0; s + 1 < STAGES; s++)
        begin(s);
    for (int64_t s = 0; s < steps; s++) {
        copy_wait<STAGES - 2>();
        __syncthreads(); /* this step's operands are there, and the last one's are used up */
        begin(s + STAGES - 1);
        const E *at = shared + s % STAGES * 2 * ROOM;
        multiply<E, TA, TB>(c, at, at + ROOM, r0, c0);
    }
    const int64_t col = col0 + c0 + lane % 4 * 2, left = g.n - col;
#pragma unroll
    for (int i = 0; i < 8; i++) {
        const int64_t row = row0 + r0 + i * 8 + lane / 4;
        C *to = static_cast<C *>(g.c) + row * g.n + col;
        if (row >= g.m)
            break;
#pragma unroll
        for (int j = 0; j < 8; j++)
            if (j / 2 * 8 + j % 2 < left)
                finish(to + j / 2 * 8 + j % 2, c[i / 2][j / 2][i % 2 * 2 + j % 2], accumulate,
                       alpha);
    }
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
    if (p->ta && p->tb)
        start_tiles<E, C, true, true>(st, all, n, tiles, p);
    else if (p->ta)
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
    const group g = group_of(all, n, blockIdx.x);
    const int64_t across = (g.n + SIDE - 1) / SIDE, tile = blockIdx.x - g.first;
    const int64_t row0 = tile / across * SIDE, col0 = tile % across * SIDE;
    const int x = (int)(threadIdx.x % SIDE), y = (int)(threadIdx.x / SIDE);
    float sum = 0.0f;

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

/* ---- the host's part ---- */

/* May rows of this one be read 16 bytes at a time? */
static bool is_wide(const ds_kgroup *g, const ds_kgroups *p)
{
    for (int e = 0; e < 2; e++) {
        const ds_kterm *t = &g->term[e];
        if (t->k > 0 && (!fits16(t->a) || !fits16(t->b) || (p->ta ? g->m : t->k) % 8 != 0 ||
                         (p->tb ? t->k : g->n) % 8 != 0))
            return false;
    }
    return true;
}

static int64_t lay_out(group *all, int32_t *n, const ds_kgroups *p, int64_t side)
{
    int64_t tiles = 0;

    *n = 0;
    for (int64_t i = 0; i < p->n; i++) {
        const ds_kgroup *g = &p->g[i];
        if (g->m <= 0 || g->n <= 0)
            continue;
        all[(*n)++] = group{g->c,
                            {g->term[0].a, g->term[1].a},
                            {g->term[0].b, g->term[1].b},
                            {g->term[0].k, g->term[1].k},
                            g->m,
                            g->n,
                            tiles};
        tiles += (g->m + side - 1) / side * ((g->n + side - 1) / side);
    }
    return tiles;
}

static int launch(dev_rt *rt, const group *host, int32_t n, int64_t tiles, bool wide,
                  const ds_kgroups *p, ds_err *err)
{
    const dev_stream st = rt_stream(rt);
    void *dev;

    if (tiles > INT32_MAX)
        return ds_fail(err, DS_FAIL, "cuda: %lld tiles of products in one call", (long long)tiles);
    TRY(rt_stage(rt, &dev, host, (size_t)n * sizeof *host, err));
    const group *all = static_cast<const group *>(dev);
    if (wide && p->f == DS_KBF16)
        tiles_for<bf16>(st, all, n, tiles, p);
    else if (wide)
        tiles_for<f16>(st, all, n, tiles, p);
    else
        BY_FORMAT(p->f, E, BY_FORMAT(p->fc, C, start_any<E, C>(st, all, n, tiles, p)));
    return rt_launched(rt, "products of groups", err);
}

static int matmul_groups(ds_kernels *k, const ds_kgroups *p, ds_err *err)
{
    bool wide = p->f != DS_KF32 && (p->fc == DS_KF32 || p->fc == p->f);
    int32_t n;

    for (int64_t i = 0; i < p->n; i++)
        wide = wide && is_wide(&p->g[i], p);
    group *host = static_cast<group *>(calloc((size_t)p->n + 1, sizeof *host));
    if (!host)
        return ds_fail_nomem(err);
    const int64_t tiles = lay_out(host, &n, p, wide ? TILE : SIDE);
    const int rc = tiles > 0 ? launch(rt_of(k), host, n, tiles, wide, p, err) : 0;
    free(host);
    return rc;
}

void ds_cuda_groups(ds_kernels *k)
{
    k->matmul_groups = matmul_groups;
}
