/* attntile.cu - attention in bf16 and f16 on tensor cores, for heads of 64/64, 128/128 and 192/128
 * columns (q and k / v). Four warps, each with 16 rows of the block's 64; the other side comes in
 * tiles. Scores stay in registers: the sums of one product are the left operand of the next.
 */
#include "attnrows.h"

#define THREADS 128
#define ROWS 16 /* of a warp */
#define BACK 32 /* rows of the other side at a time, in the backward passes, at most */

/* Rows first..first+N-1 of one head to shared memory, 16 bytes a copy; zeros past `end`. */
template <int WIDTH, int N, class E>
__device__ __forceinline__ void fetch(E *dst, const void *src, int32_t row0, int32_t stride,
                                      int32_t col0, int32_t first, int32_t end)
{
    constexpr int PARTS = WIDTH / 8;
    const E *from = static_cast<const E *>(src);

    for (int i = (int)threadIdx.x; i < N * PARTS; i += THREADS) {
        const int r = i / PARTS, c = i % PARTS * 8;
        E *to = dst + r * (WIDTH + 8) + c;
        if (first + r < end)
            copy16(to, from + (int64_t)(row0 + first + r) * stride + col0 + c);
        else
            for (int j = 0; j < 8; j++)
                to[j].u = 0;
    }
}

/* c[16 x 8*COLS] += rows r0.. of `left` times rows 0..8*COLS-1 of `right`, both [row][WIDTH]. */
template <int WIDTH, int COLS, class E>
__device__ __forceinline__ void rows_by_rows(float (&c)[COLS][4], const E *left, int r0,
                                             const E *right)
{
#pragma unroll
    for (int k = 0; k < WIDTH; k += 16) {
        uint32_t a[4], b[4];
        left16(a, left, WIDTH + 8, r0, k);
#pragma unroll
        for (int n = 0; n < COLS; n += 2) {
            right16(b, right, WIDTH + 8, n * 8, k);
            mma<E>(c[n], a, b[0], b[1]);
            mma<E>(c[n + 1], a, b[2], b[3]);
        }
    }
}

/* c[16 x WIDTH] += p[16 x 8*COLS] times rows 0..8*COLS-1 of `right`, [row][WIDTH]. */
template <int WIDTH, int COLS, class E>
__device__ __forceinline__ void scores_by_rows(float (&c)[WIDTH / 8][4], const float (&p)[COLS][4],
                                               const E *right)
{
#pragma unroll
    for (int k = 0; k < COLS; k += 2) {
        uint32_t a[4], b[4];
        left_of<E>(a, p[k], p[k + 1]);
#pragma unroll
        for (int n = 0; n < WIDTH / 8; n += 2) {
            right16_across(b, right, WIDTH + 8, k * 8, n * 8);
            mma<E>(c[n], a, b[0], b[1]);
            mma<E>(c[n + 1], a, b[2], b[3]);
        }
    }
}

template <class E, int QK, int VD>
__global__ void __launch_bounds__(THREADS) tile_forward(attn_args a)
{
    DYNAMIC_SHARED(memory);
    constexpr int COLS = TILE / 8;
    const attn_item w = a.item[blockIdx.x];
    const int32_t h = (int32_t)blockIdx.y, g = h / (a.heads / a.kv_heads);
    const int lane = (int)(threadIdx.x % WARP), r0 = (int)(threadIdx.x / WARP) * ROWS;
    const int32_t query = w.first + r0 + lane / 4; /* and query + 8 */
    const int32_t last = w.first + TILE < w.len ? w.first + TILE : w.len;
    const int32_t kstride = a.kv_heads * QK, vstride = a.kv_heads * VD;
    E *qs = reinterpret_cast<E *>(memory), *ks = qs + TILE * (QK + 8),
      *vs = ks + 2 * TILE * (QK + 8);
    const float factor = a.scale * LOG2E;
    float top[2] = {-INFINITY, -INFINITY}, sum[2] = {0.0f, 0.0f}, out[VD / 8][4];
    int at = 0;

    if (w.len == 0)
        return;
    clear(out);
    fetch<QK, TILE>(qs, a.q, w.qrow, a.heads * QK, h * QK, w.first, w.len);
    fetch<QK, TILE>(ks, a.k, w.krow, kstride, g * QK, 0, w.len);
    fetch<VD, TILE>(vs, a.v, w.krow, vstride, g * VD, 0, w.len);
    copy_commit();
    for (int32_t k0 = 0; k0 < last; k0 += TILE, at ^= 1) {
        const E *k = ks + at * TILE * (QK + 8), *v = vs + at * TILE * (VD + 8);
        float s[COLS][4];
        if (k0 + TILE < last) { /* the next tile comes while this one is worked on */
            fetch<QK, TILE>(ks + (at ^ 1) * TILE * (QK + 8), a.k, w.krow, kstride, g * QK,
                            k0 + TILE, w.len);
            fetch<VD, TILE>(vs + (at ^ 1) * TILE * (VD + 8), a.v, w.krow, vstride, g * VD,
                            k0 + TILE, w.len);
            copy_commit();
            copy_wait<1>();
        } else {
            copy_wait<0>();
        }
        __syncthreads();
        clear(s);
        rows_by_rows<QK, COLS>(s, qs, r0, k);
        float most[2] = {top[0], top[1]};
#pragma unroll
        for (int n = 0; n < COLS; n++)
#pragma unroll
            for (int i = 0; i < 4; i++) {
                const int32_t key = k0 + n * 8 + lane % 4 * 2 + i % 2;
                if (key > query + i / 2 * 8)
                    s[n][i] = -INFINITY;
                most[i / 2] = s[n][i] > most[i / 2] ? s[n][i] : most[i / 2];
            }
#pragma unroll
        for (int i = 0; i < 2; i++) {
            most[i] = quad_max(most[i]);
            const float fade = exp2f((top[i] - most[i]) * factor);
            sum[i] *= fade;
            top[i] = most[i];
#pragma unroll
            for (int n = 0; n < VD / 8; n++) {
                out[n][2 * i] *= fade;
                out[n][2 * i + 1] *= fade;
            }
        }
#pragma unroll
        for (int n = 0; n < COLS; n++)
#pragma unroll
            for (int i = 0; i < 4; i++) {
                s[n][i] = exp2f((s[n][i] - top[i / 2]) * factor);
                sum[i / 2] += s[n][i];
            }
        scores_by_rows<VD, COLS>(out, s, v);
        __syncthreads(); /* before the tile is written over */
    }
    sum[0] = quad_sum(sum[0]);
    sum[1] = quad_sum(sum[1]);
    store<VD, E>(a.o, out, w.qrow, (int64_t)a.heads * VD, (int64_t)h * VD, w.first + r0, w.len,
                 1.0f / sum[0], 1.0f / sum[1]);
    for (int i = 0; i < 2; i++)
        if (a.lse && lane % 4 == 0 && query + 8 * i < w.len)
            a.lse[(int64_t)(w.qrow + query + 8 * i) * a.heads + h] =
                top[i] * a.scale + logf(sum[i]);
}

/* Queries at a time: so many that registers hold them beside both sums. */
template <int QK> constexpr int QUERIES = QK > 128 ? BACK / 2 : BACK;

/* dK and dV of 64 keys: a warp has 16 keys as rows, queries are columns. */
template <class E, int QK, int VD>
__global__ void __launch_bounds__(THREADS, QK > 64 ? 1 : 3) tile_back_keys(attn_args a)
{
    DYNAMIC_SHARED(memory);
    constexpr int SOME = QUERIES<QK>, COLS = SOME / 8;
    const attn_item w = a.item[blockIdx.x];
    const int32_t g = (int32_t)blockIdx.y, group = a.heads / a.kv_heads;
    const int lane = (int)(threadIdx.x % WARP), r0 = (int)(threadIdx.x / WARP) * ROWS;
    const int32_t key = w.first + r0 + lane / 4; /* and key + 8 */
    E *ks = reinterpret_cast<E *>(memory), *vs = ks + TILE * (QK + 8), *qs = vs + TILE * (VD + 8),
      *ds = qs + SOME * (QK + 8);
    float *lse = reinterpret_cast<float *>(ds + SOME * (VD + 8)), *delta = lse + SOME;
    const float factor = a.scale * LOG2E;
    float dk[QK / 8][4], dv[VD / 8][4];

    if (w.len == 0)
        return;
    clear(dk);
    clear(dv);
    fetch<QK, TILE>(ks, a.k, w.krow, a.kv_heads * QK, g * QK, w.first, w.len);
    fetch<VD, TILE>(vs, a.v, w.krow, a.kv_heads * VD, g * VD, w.first, w.len);
    for (int32_t h = g * group; h < (g + 1) * group; h++)
        for (int32_t q0 = w.first; q0 < w.len; q0 += SOME) {
            float p[COLS][4], d[COLS][4];
            fetch<QK, SOME>(qs, a.q, w.qrow, a.heads * QK, h * QK, q0, w.len);
            fetch<VD, SOME>(ds, a.dout, w.qrow, a.heads * VD, h * VD, q0, w.len);
            fetch_rows<SOME, THREADS>(lse, delta, a, w, h, q0);
            copy_commit();
            copy_wait<0>();
            __syncthreads();
            clear(p);
            clear(d);
            rows_by_rows<QK, COLS>(p, ks, r0, qs);
            rows_by_rows<VD, COLS>(d, vs, r0, ds);
#pragma unroll
            for (int n = 0; n < COLS; n++)
#pragma unroll
                for (int i = 0; i < 4; i++) {
                    const int c = n * 8 + lane % 4 * 2 + i % 2;
                    const bool seen = q0 + c < w.len && key + i / 2 * 8 <= q0 + c;
                    p[n][i] = seen ? exp2f(p[n][i] * factor - lse[c]) : 0.0f;
                    d[n][i] = a.scale * (p[n][i] * (d[n][i] - delta[c]));
                }
            scores_by_rows<VD, COLS>(dv, p, ds);
            scores_by_rows<QK, COLS>(dk, d, qs);
            __syncthreads();
        }
    store<QK, E>(a.dk, dk, w.krow, (int64_t)a.kv_heads * QK, (int64_t)g * QK, w.first + r0, w.len,
                 1.0f, 1.0f);
    store<VD, E>(a.dv, dv, w.krow, (int64_t)a.kv_heads * VD, (int64_t)g * VD, w.first + r0, w.len,
                 1.0f, 1.0f);
}

/* dQ of 64 queries. */
template <class E, int QK, int VD>
__global__ void __launch_bounds__(THREADS) tile_back_queries(attn_args a)
{
    DYNAMIC_SHARED(memory);
    constexpr int COLS = BACK / 8;
    const attn_item w = a.item[blockIdx.x];
    const int32_t h = (int32_t)blockIdx.y, g = h / (a.heads / a.kv_heads);
    const int lane = (int)(threadIdx.x % WARP), r0 = (int)(threadIdx.x / WARP) * ROWS;
    const int32_t query = w.first + r0 + lane / 4;
    const int32_t last = w.first + TILE < w.len ? w.first + TILE : w.len;
    E *qs = reinterpret_cast<E *>(memory), *ds = qs + TILE * (QK + 8), *ks = ds + TILE * (VD + 8),
      *vs = ks + BACK * (QK + 8);
    float *lse = reinterpret_cast<float *>(vs + BACK * (VD + 8)), *delta = lse + TILE;
    const float factor = a.scale * LOG2E;
    float dq[QK / 8][4];

    if (w.len == 0)
        return;
    clear(dq);
    fetch<QK, TILE>(qs, a.q, w.qrow, a.heads * QK, h * QK, w.first, w.len);
    fetch<VD, TILE>(ds, a.dout, w.qrow, a.heads * VD, h * VD, w.first, w.len);
    fetch_rows<TILE, THREADS>(lse, delta, a, w, h, w.first);
    for (int32_t k0 = 0; k0 < last; k0 += BACK) {
        float p[COLS][4], d[COLS][4];
        fetch<QK, BACK>(ks, a.k, w.krow, a.kv_heads * QK, g * QK, k0, w.len);
        fetch<VD, BACK>(vs, a.v, w.krow, a.kv_heads * VD, g * VD, k0, w.len);
        copy_commit();
        copy_wait<0>();
        __syncthreads();
        clear(p);
        clear(d);
        rows_by_rows<QK, COLS>(p, qs, r0, ks);
        rows_by_rows<VD, COLS>(d, ds, r0, vs);
#pragma unroll
        for (int n = 0; n < COLS; n++)
#pragma unroll
            for (int i = 0; i < 4; i++) {
                const int32_t row = query + i / 2 * 8, key = k0 + n * 8 + lane % 4 * 2 + i % 2;
                const int at = r0 + lane / 4 + i / 2 * 8;
                const float s =
                    key <= row && row < w.len ? exp2f(p[n][i] * factor - lse[at]) : 0.0f;
                d[n][i] = a.scale * (s * (d[n][i] - delta[at]));
            }
        scores_by_rows<QK, COLS>(dq, d, ks);
        __syncthreads();
    }
    store<QK, E>(a.dq, dq, w.qrow, (int64_t)a.heads * QK, (int64_t)h * QK, w.first + r0, w.len,
                 1.0f, 1.0f);
}

/* ---- choice of widths ---- */

template <class E, int QK, int VD>
static void forward(dev_stream st, const attn_args *args, unsigned items)
{
    const size_t shared = (size_t)TILE * (3 * (QK + 8) + 2 * (VD + 8)) * sizeof(E);
    const attn_args a = *args;

    LAUNCH((tile_forward<E, QK, VD>), dim3(items, (unsigned)a.heads), dim3(THREADS), shared, st, a);
}

template <class E, int QK, int VD>
static void backward(dev_stream st, const attn_args *args, unsigned items)
{
    const size_t shared =
        (size_t)(TILE + BACK) * (QK + 8 + VD + 8) * sizeof(E) + 2 * (size_t)TILE * sizeof(float);
    const attn_args a = *args;

    LAUNCH((tile_back_keys<E, QK, VD>), dim3(items, (unsigned)a.kv_heads), dim3(THREADS), shared,
           st, a);
    LAUNCH((tile_back_queries<E, QK, VD>), dim3(items, (unsigned)a.heads), dim3(THREADS), shared,
           st, a);
}

bool ds_attn_tiles(enum ds_kfmt f, int32_t qk, int32_t vd)
{
    return f != DS_KF32 &&
           ((qk == 64 && vd == 64) || (qk == 128 && vd == 128) || (qk == 192 && vd == 128));
}

void ds_attn_tile(dev_stream st, enum ds_kfmt f, const attn_args *a, unsigned items)
{
    BY_HEADS(f, a, (forward<E, QK, VD>(st, a, items)));
}

void ds_attn_tile_back(dev_stream st, enum ds_kfmt f, const attn_args *a, unsigned items)
{
    BY_HEADS(f, a, (backward<E, QK, VD>(st, a, items)));
}
