/* attnwg.cu - attention in bf16 and f16 by products of warpgroups (compute capability 9.0), for the
 * heads of attntile.cu. Two warpgroups, each with 64 rows of the block's 128, share tiles of the
 * other side, the next of which comes while they work; one barrier a tile. Scores stay in
 * registers, as there.
 */
#include "attnrows.h"
#include "wgmma.h"

#define THREADS 256
/* Keys at a time in the forward pass, as many as registers hold twice. */
template <int QK> constexpr int KEYS_OF = QK > 128 ? 64 : 128;

__device__ __forceinline__ int group_row()
{
    return (int)(threadIdx.x / GROUP) * GROUP_ROWS;
}
/* Row of a lane's c[.][0] among the block's; c[.][2] is 8 further. */
__device__ __forceinline__ int lane_row()
{
    return (int)(threadIdx.x / WARP) * 16 + (int)(threadIdx.x % WARP) / 4;
}

/* ---- forward ---- */

typedef struct soft {
    float top[2], sum[2]; /* of this lane's two rows; its own part of the sum */
} soft;

/* Scores of keys k0.. become their part of the softmax, as a left operand; what was summed with
 * another maximum fades. */
template <class E, int VD, int KEYS>
__device__ __forceinline__ void soften(soft *st, uint32_t (&p)[KEYS / 16][4],
                                       float (&s)[KEYS / 8][4], float (&out)[VD / 8][4], int32_t k0,
                                       int32_t query, bool masked, float factor)
{
    const int32_t col = k0 + (int32_t)(threadIdx.x % 4) * 2;
    float most[2] = {st->top[0], st->top[1]};

    if (masked) /* some lie ahead */
#pragma unroll
        for (int n = 0; n < KEYS / 8; n++)
#pragma unroll
            for (int i = 0; i < 4; i++)
                if (col + n * 8 + i % 2 > query + i / 2 * 8)
                    s[n][i] = -INFINITY;
#pragma unroll
    for (int n = 0; n < KEYS / 8; n++)
#pragma unroll
        for (int i = 0; i < 4; i++)
            most[i / 2] = fmaxf(most[i / 2], s[n][i]);
#pragma unroll
    for (int i = 0; i < 2; i++) {
        most[i] = quad_max(most[i]);
        const float fade = power_of_2((st->top[i] - most[i]) * factor);
        st->sum[i] *= fade;
        st->top[i] = most[i];
        most[i] *= factor;
        if (warp_any(fade != 1.0f)) /* after the first tiles it seldom is */
#pragma unroll
            for (int n = 0; n < VD / 8; n++) {
                out[n][2 * i] *= fade;
                out[n][2 * i + 1] *= fade;
            }
    }
#pragma unroll
    for (int n = 0; n < KEYS / 8; n++)
#pragma unroll
        for (int i = 0; i < 4; i++) {
            s[n][i] = power_of_2(fmaf(s[n][i], factor, -most[i / 2]));
            st->sum[i / 2] += s[n][i];
        }
    wg_pack<KEYS, E>(p, s);
}

/* Tile i of keys lies in place i % 2, and so does that of values. While scores of tile i are
 * softened those of tile i + 1 are made, and keys of i + 2 and values of i + 1 come. */
template <class E, int QK, int VD>
__global__ void __launch_bounds__(THREADS, 1) wg_forward(attn_args a)
{
    DYNAMIC_SHARED(memory);
    constexpr int KEYS = KEYS_OF<QK>, KTILE = KEYS * QK * 2, VTILE = KEYS * VD * 2;
    const attn_item w = a.item[blockIdx.x];
    const int32_t h = (int32_t)blockIdx.y, g = h / (a.heads / a.kv_heads);
    const int32_t query = w.first + lane_row();
    const int32_t last = w.first + WG_TILE < w.len ? w.first + WG_TILE : w.len;
    const int32_t kstride = a.kv_heads * QK, vstride = a.kv_heads * VD;
    unsigned char *qs = memory, *ks = qs + WG_TILE * QK * 2, *vs = ks + 2 * KTILE;
    const float factor = a.scale * LOG2E;
    float s[KEYS / 8][4], ahead[KEYS / 8][4], out[VD / 8][4];
    uint32_t p[KEYS / 16][4];
    soft st = {{-INFINITY, -INFINITY}, {0.0f, 0.0f}};

    if (w.len == 0)
        return;
    clear(out);
    wg_fetch<QK, WG_TILE, THREADS, E>(qs, a.q, w.qrow, a.heads * QK, h * QK, w.first, w.len);
    wg_fetch<QK, KEYS, THREADS, E>(ks, a.k, w.krow, kstride, g * QK, 0, w.len);
    copy_commit();
    if (KEYS < last)
        wg_fetch<QK, KEYS, THREADS, E>(ks + KTILE, a.k, w.krow, kstride, g * QK, KEYS, w.len);
    wg_fetch<VD, KEYS, THREADS, E>(vs, a.v, w.krow, vstride, g * VD, 0, w.len);
    copy_commit();
    copy_wait<1>();
    wg_visible();
    __syncthreads();
    wg_begin();
    wg_rows_by_rows<QK, WG_TILE, KEYS, E>(s, qs, group_row(), ks);
    wg_commit();
    wg_wait<0>();
    const auto arrived = [&] {
        copy_wait<0>();
        wg_visible();
        __syncthreads(); /* nobody reads keys of this tile or values of the one before any more */
    };
    const auto finish = [&](int at, int32_t k0) {
        soften<E, VD, KEYS>(&st, p, s, out, k0, query, k0 + KEYS > w.first + group_row(), factor);
        wg_begin();
        wg_scores_by_rows<VD, KEYS, E>(out, p, vs + at * VTILE);
        wg_commit();
        wg_wait<0>();
    };
    int at = 0;
    int32_t k0 = 0;
    for (; k0 + KEYS < last; k0 += KEYS, at ^= 1) {
        arrived();
        if (k0 + 2 * KEYS < last)
            wg_fetch<QK, KEYS, THREADS, E>(ks + at * KTILE, a.k, w.krow, kstride, g * QK,
                                           k0 + 2 * KEYS, w.len);
        wg_fetch<VD, KEYS, THREADS, E>(vs + (at ^ 1) * VTILE, a.v, w.krow, vstride, g * VD,
                                       k0 + KEYS, w.len);
        copy_commit();
        wg_begin();
        wg_rows_by_rows<QK, WG_TILE, KEYS, E>(ahead, qs, group_row(), ks + (at ^ 1) * KTILE);
        wg_commit();
        finish(at, k0);
#pragma unroll
        for (int n = 0; n < KEYS / 8; n++)
#pragma unroll
            for (int i = 0; i < 4; i++)
                s[n][i] = ahead[n][i];
    }
    arrived();
    finish(at, k0);
    for (int j = 0; j < 2; j++) {
        st.sum[j] = quad_sum(st.sum[j]);
        if (a.lse && threadIdx.x % 4 == 0 && query + 8 * j < w.len)
            a.lse[(int64_t)(w.qrow + query + 8 * j) * a.heads + h] =
                st.top[j] * a.scale + logf(st.sum[j]);
    }
    store<VD, E>(a.o, out, w.qrow, (int64_t)a.heads * VD, (int64_t)h * VD,
                 query - (int32_t)(threadIdx.x % WARP) / 4, w.len, 1.0f / st.sum[0],
                 1.0f / st.sum[1]);
}

/* ---- backward ---- */

/* Rows of the other side at a time: so many that registers hold them beside the sums. */
template <int QK> constexpr int SOME = QK > 128 ? 32 : 64;

/* Where one tile of two matrices lies, and numbers of its rows. */
template <int QK, int VD, int N> struct side {
    static constexpr int BYTES = N * (QK + VD) * 2;
    unsigned char *at; /* of two tiles */
    float *rows;       /* lse and delta of each */

    __device__ __forceinline__ unsigned char *first(int i) const { return at + i * BYTES; }
    __device__ __forceinline__ unsigned char *second(int i) const
    {
        return at + i * BYTES + N * QK * 2;
    }
    /* Of a warpgroup's rows of what has that width: the products with place i. The first is there
     * on return, the second is queued. */
    template <class E>
    __device__ __forceinline__ void times(float (&p)[N / 8][4], float (&d)[N / 8][4],
                                          const unsigned char *qk, const unsigned char *vd,
                                          int i) const
    {
        wg_begin();
        wg_rows_by_rows<QK, WG_TILE, N, E>(p, qk, group_row(), first(i));
        wg_commit();
        wg_rows_by_rows<VD, WG_TILE, N, E>(d, vd, group_row(), second(i));
        wg_commit();
        wg_wait<1>();
    }
    __device__ __forceinline__ float *lse(int i) const { return rows + i * 2 * N; }
    __device__ __forceinline__ float *delta(int i) const { return rows + i * 2 * N + N; }
};

/* Queries q0.. of head h, and the gradient of what came of them, to place i. */
template <class E, int QK, int VD, int N>
__device__ __forceinline__ void fetch_queries(const side<QK, VD, N> &s, int i, const attn_args &a,
                                              const attn_item &w, int32_t h, int32_t q0)
{
    wg_fetch<QK, N, THREADS, E>(s.first(i), a.q, w.qrow, a.heads * QK, h * QK, q0, w.len);
    wg_fetch<VD, N, THREADS, E>(s.second(i), a.dout, w.qrow, a.heads * VD, h * VD, q0, w.len);
    fetch_rows<N, THREADS>(s.lse(i), s.delta(i), a, w, h, q0);
}

/* dK and dV of 128 keys: they are rows, queries are columns. */
template <class E, int QK, int VD>
__global__ void __launch_bounds__(THREADS, 1) wg_back_keys(attn_args a)
{
    DYNAMIC_SHARED(memory);
    constexpr int N = SOME<QK>, COLS = N / 8;
    const attn_item w = a.item[gridDim.x - 1 - blockIdx.x]; /* early keys have most queries */
    const int32_t g = (int32_t)blockIdx.y, group = a.heads / a.kv_heads;
    const int32_t key = w.first + lane_row(), each = (w.len - w.first + N - 1) / N;
    unsigned char *ks = memory, *vs = ks + WG_TILE * QK * 2;
    const side<QK, VD, N> s = {
        vs + WG_TILE * VD * 2,
        reinterpret_cast<float *>(vs + WG_TILE * VD * 2 + 2 * side<QK, VD, N>::BYTES)};
    const float factor = a.scale * LOG2E;
    float dk[QK / 8][4], dv[VD / 8][4], p[COLS][4], d[COLS][4];
    uint32_t left[N / 16][4], right[N / 16][4];

    if (w.len == 0)
        return;
    clear(dk);
    clear(dv);
    wg_fetch<QK, WG_TILE, THREADS, E>(ks, a.k, w.krow, a.kv_heads * QK, g * QK, w.first, w.len);
    wg_fetch<VD, WG_TILE, THREADS, E>(vs, a.v, w.krow, a.kv_heads * VD, g * VD, w.first, w.len);
    fetch_queries<E>(s, 0, a, w, g * group, w.first);
    copy_commit();
    int at = 0;
    int32_t h = g * group, q0 = w.first;
    for (int32_t i = 0; i < group * each; i++, at ^= 1) {
        const float *lse = s.lse(at), *delta = s.delta(at);
        const int32_t here = q0;
        copy_wait<0>();
        wg_visible();
        __syncthreads();
        q0 += N;
        if (q0 >= w.len) {
            q0 = w.first;
            h++;
        }
        if (i + 1 < group * each) {
            fetch_queries<E>(s, at ^ 1, a, w, h, q0);
            copy_commit();
        }
        s.template times<E>(p, d, ks, vs, at);
#pragma unroll
        for (int n = 0; n < COLS; n++)
#pragma unroll
            for (int j = 0; j < 4; j++) {
                const int c = n * 8 + (int)(threadIdx.x % 4) * 2 + j % 2;
                p[n][j] = power_of_2(fmaf(p[n][j], factor, -lse[c]));
            }
        if (here < w.first + group_row() + GROUP_ROWS) /* some do not see all keys */
#pragma unroll
            for (int n = 0; n < COLS; n++)
#pragma unroll
                for (int j = 0; j < 4; j++)
                    if (key + j / 2 * 8 > here + n * 8 + (int)(threadIdx.x % 4) * 2 + j % 2)
                        p[n][j] = 0.0f;
        wg_pack<N, E>(left, p);
        wg_begin();
        wg_scores_by_rows<VD, N, E>(dv, left, s.second(at));
        wg_commit();
        wg_wait<1>();
#pragma unroll
        for (int n = 0; n < COLS; n++)
#pragma unroll
            for (int j = 0; j < 4; j++) {
                const int c = n * 8 + (int)(threadIdx.x % 4) * 2 + j % 2;
                d[n][j] = a.scale * p[n][j] * (d[n][j] - delta[c]);
            }
        wg_pack<N, E>(right, d);
        wg_begin();
        wg_scores_by_rows<QK, N, E>(dk, right, s.first(at));
        wg_commit();
        wg_wait<0>();
    }
    const int32_t first = key - (int32_t)(threadIdx.x % WARP) / 4;
    store<QK, E>(a.dk, dk, w.krow, (int64_t)a.kv_heads * QK, (int64_t)g * QK, first, w.len, 1.0f,
                 1.0f);
    store<VD, E>(a.dv, dv, w.krow, (int64_t)a.kv_heads * VD, (int64_t)g * VD, first, w.len, 1.0f,
                 1.0f);
}

/* Keys k0.. and their values to place i. */
template <class E, int QK, int VD, int N>
__device__ __forceinline__ void fetch_keys(const side<QK, VD, N> &s, int i, const attn_args &a,
                                           const attn_item &w, int32_t g, int32_t k0)
{
    wg_fetch<QK, N, THREADS, E>(s.first(i), a.k, w.krow, a.kv_heads * QK, g * QK, k0, w.len);
    wg_fetch<VD, N, THREADS, E>(s.second(i), a.v, w.krow, a.kv_heads * VD, g * VD, k0, w.len);
}

/* dQ of 128 queries. */
template <class E, int QK, int VD>
__global__ void __launch_bounds__(THREADS, 1) wg_back_queries(attn_args a)
{
    DYNAMIC_SHARED(memory);
    constexpr int N = SOME<QK>, COLS = N / 8;
    const attn_item w = a.item[blockIdx.x];
    const int32_t h = (int32_t)blockIdx.y, g = h / (a.heads / a.kv_heads);
    const int32_t query = w.first + lane_row();
    const int32_t last = w.first + WG_TILE < w.len ? w.first + WG_TILE : w.len;
    unsigned char *qs = memory, *ds = qs + WG_TILE * QK * 2;
    const side<QK, VD, N> s = {ds + WG_TILE * VD * 2, NULL};
    const float factor = a.scale * LOG2E;
    float dq[QK / 8][4], p[COLS][4], d[COLS][4], lse[2], delta[2];
    uint32_t left[N / 16][4];

    if (w.len == 0)
        return;
    clear(dq);
    wg_fetch<QK, WG_TILE, THREADS, E>(qs, a.q, w.qrow, a.heads * QK, h * QK, w.first, w.len);
    wg_fetch<VD, WG_TILE, THREADS, E>(ds, a.dout, w.qrow, a.heads * VD, h * VD, w.first, w.len);
    fetch_keys<E>(s, 0, a, w, g, 0);
    copy_commit();
    for (int i = 0; i < 2; i++) {
        const bool here = query + 8 * i < w.len;
        const int64_t row = (int64_t)(w.qrow + (here ? query + 8 * i : 0)) * a.heads + h;
        lse[i] = here ? a.lse[row] * LOG2E : INFINITY;
        delta[i] = here ? a.delta[row] : 0.0f;
    }
    int at = 0;
    for (int32_t k0 = 0; k0 < last; k0 += N, at ^= 1) {
        copy_wait<0>();
        wg_visible();
        __syncthreads();
        if (k0 + N < last) {
            fetch_keys<E>(s, at ^ 1, a, w, g, k0 + N);
            copy_commit();
        }
        s.template times<E>(p, d, qs, ds, at);
#pragma unroll
        for (int n = 0; n < COLS; n++)
#pragma unroll
            for (int j = 0; j < 4; j++)
                p[n][j] = power_of_2(fmaf(p[n][j], factor, -lse[j / 2]));
        if (k0 + N > w.first + group_row()) /* some lie ahead */
#pragma unroll
            for (int n = 0; n < COLS; n++)
#pragma unroll
                for (int j = 0; j < 4; j++)
                    if (k0 + n * 8 + (int)(threadIdx.x % 4) * 2 + j % 2 > query + j / 2 * 8)
                        p[n][j] = 0.0f;
        wg_wait<0>();
#pragma unroll
        for (int n = 0; n < COLS; n++)
#pragma unroll
            for (int j = 0; j < 4; j++)
                d[n][j] = a.scale * p[n][j] * (d[n][j] - delta[j / 2]);
        wg_pack<N, E>(left, d);
        wg_begin();
        wg_scores_by_rows<QK, N, E>(dq, left, s.first(at));
        wg_commit();
        wg_wait<0>();
    }
    store<QK, E>(a.dq, dq, w.qrow, (int64_t)a.heads * QK, (int64_t)h * QK,
                 query - (int32_t)(threadIdx.x % WARP) / 4, w.len, 1.0f, 1.0f);
}

/* ---- choice of widths ---- */

template <class E, int QK, int VD>
static void forward(dev_stream st, const attn_args *args, unsigned items)
{
    const size_t shared = (size_t)2 * (WG_TILE * QK + 2 * KEYS_OF<QK> * (QK + VD));
    const attn_args a = *args;

    LAUNCH((wg_forward<E, QK, VD>), dim3(items, (unsigned)a.heads), dim3(THREADS), shared, st, a);
}

template <class E, int QK, int VD>
static void backward(dev_stream st, const attn_args *args, unsigned items)
{
    constexpr int N = SOME<QK>;
    const size_t shared = (size_t)2 * WG_TILE * (QK + VD) + 2 * side<QK, VD, N>::BYTES;
    const attn_args a = *args;

    LAUNCH((wg_back_keys<E, QK, VD>), dim3(items, (unsigned)a.kv_heads), dim3(THREADS),
           shared + 4 * N * sizeof(float), st, a);
    LAUNCH((wg_back_queries<E, QK, VD>), dim3(items, (unsigned)a.heads), dim3(THREADS), shared, st,
           a);
}

void ds_attn_wg(dev_stream st, enum ds_kfmt f, const attn_args *a, unsigned items)
{
    BY_HEADS(f, a, (forward<E, QK, VD>(st, a, items)));
}

void ds_attn_wg_back(dev_stream st, enum ds_kfmt f, const attn_args *a, unsigned items)
{
    BY_HEADS(f, a, (backward<E, QK, VD>(st, a, items)));
}
