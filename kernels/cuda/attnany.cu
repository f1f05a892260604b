/* attnany.cu - attention for f32 and for widths that the tensor cores' form does not have. A block
 * of 256 threads holds tiles of 32 rows in shared memory as f32; thread i has row i/8 and every
 * eighth column. In bf16 and f16, P and dS are rounded before they are multiplied, as everywhere.
 */
#include "attn.h"

#define THREADS 256
#define EACH_COL 8                   /* threads of a row */
#define OWN (ATTN_WIDEST / EACH_COL) /* columns of a row that a thread may have */
#define SCORES (ANY_TILE / EACH_COL) /* scores of a row that it has */
#define PITCH (ANY_TILE + 1)

/* Rows first..first+31 of a head's columns to shared memory, zeros past `end`. */
template <class E>
__device__ __forceinline__ void fetch(float *dst, const E *src, int64_t row0, int64_t stride,
                                      int64_t col0, int32_t width, int32_t first, int32_t end)
{
    for (int32_t i = (int32_t)threadIdx.x; i < ANY_TILE * width; i += THREADS) {
        const int32_t r = i / width, c = i % width;
        dst[r * (width + 1) + c] =
            first + r < end ? to_f32(src[(row0 + first + r) * stride + col0 + c]) : 0.0f;
    }
}

__device__ __forceinline__ float dot_rows(const float *a, const float *b, int32_t n)
{
    float s = 0.0f;

    for (int32_t i = 0; i < n; i++)
        s = fmaf(a[i], b[i], s);
    return s;
}

/* Of the eight threads of a row. */
__device__ __forceinline__ float row_sum(float x)
{
    for (int m = EACH_COL / 2; m > 0; m >>= 1)
        x += __shfl_xor_sync(ALL_LANES, x, m);
    return x;
}
__device__ __forceinline__ float row_max(float x)
{
    for (int m = EACH_COL / 2; m > 0; m >>= 1) {
        const float y = __shfl_xor_sync(ALL_LANES, x, m);
        x = y > x ? y : x;
    }
    return x;
}

template <class E> __global__ void __launch_bounds__(THREADS) any_forward(attn_args a)
{
    DYNAMIC_SHARED(memory);
    const attn_item w = a.item[blockIdx.x];
    const int32_t h = (int32_t)blockIdx.y, g = h / (a.heads / a.kv_heads);
    const int32_t r = (int32_t)threadIdx.x / EACH_COL, lane = (int32_t)threadIdx.x % EACH_COL;
    const int32_t query = w.first + r,
                  last = w.first + ANY_TILE < w.len ? w.first + ANY_TILE : w.len;
    float *qs = reinterpret_cast<float *>(memory), *ks = qs + ANY_TILE * (a.qk + 1),
          *vs = ks + ANY_TILE * (a.qk + 1), *ps = vs + ANY_TILE * (a.vd + 1);
    float top = -INFINITY, sum = 0.0f, out[OWN];

#pragma unroll
    for (int j = 0; j < OWN; j++)
        out[j] = 0.0f;
    fetch(qs, (const E *)a.q, w.qrow, (int64_t)a.heads * a.qk, (int64_t)h * a.qk, a.qk, w.first,
          w.len);
    for (int32_t k0 = 0; k0 < last; k0 += ANY_TILE) {
        float s[SCORES], most = top;
        __syncthreads();
        fetch(ks, (const E *)a.k, w.krow, (int64_t)a.kv_heads * a.qk, (int64_t)g * a.qk, a.qk, k0,
              w.len);
        fetch(vs, (const E *)a.v, w.krow, (int64_t)a.kv_heads * a.vd, (int64_t)g * a.vd, a.vd, k0,
              w.len);
        __syncthreads();
        for (int j = 0; j < SCORES; j++) {
            const int32_t c = lane + j * EACH_COL;
            s[j] = k0 + c <= query
                       ? a.scale * dot_rows(qs + r * (a.qk + 1), ks + c * (a.qk + 1), a.qk)
                       : -INFINITY;
            most = s[j] > most ? s[j] : most;
        }
        most = row_max(most);
        const float fade = exp_exact(top - most);
        sum *= fade;
#pragma unroll
        for (int j = 0; j < OWN; j++)
            out[j] *= fade;
        for (int j = 0; j < SCORES; j++) {
            const float p = exp_exact(s[j] - most);
            sum += p;
            ps[r * PITCH + lane + j * EACH_COL] = to_f32(from_f32<E>(p));
        }
        top = most;
        __syncwarp();
        for (int32_t c = 0; c < ANY_TILE; c++) {
            const float p = ps[r * PITCH + c], *v = vs + c * (a.vd + 1) + lane;
#pragma unroll
            for (int j = 0; j < OWN; j++)
                if (lane + j * EACH_COL < a.vd)
                    out[j] = fmaf(p, v[j * EACH_COL], out[j]);
        }
        __syncwarp();
    }
    sum = row_sum(sum);
    if (query >= w.len)
        return;
    E *o = (E *)a.o + ((int64_t)(w.qrow + query) * a.heads + h) * a.vd;
#pragma unroll
    for (int j = 0; j < OWN; j++)
        if (lane + j * EACH_COL < a.vd)
            o[lane + j * EACH_COL] = from_f32<E>(out[j] / sum);
    if (a.lse && lane == 0)
        a.lse[(int64_t)(w.qrow + query) * a.heads + h] = top + logf(sum);
}

/* P and dS of one pair of tiles, row by query: thread i has query i/8. */
template <class E>
__device__ __forceinline__ void any_scores(const attn_args &a, const attn_item &w, int32_t h,
                                           int32_t q0, int32_t k0, const float *qs, const float *ks,
                                           const float *vs, const float *ds, float *ps, float *gs)
{
    const int32_t r = (int32_t)threadIdx.x / EACH_COL, lane = (int32_t)threadIdx.x % EACH_COL;
    const int32_t query = q0 + r;
    const bool here = query < w.len;
    const int64_t at = (int64_t)(w.qrow + (here ? query : 0)) * a.heads + h;
    const float lse = a.lse[at], delta = a.delta[at];

    for (int j = 0; j < SCORES; j++) {
        const int32_t c = lane + j * EACH_COL;
        float p = 0.0f, d = 0.0f;
        if (here && k0 + c <= query) {
            p = exp_exact(a.scale * dot_rows(qs + r * (a.qk + 1), ks + c * (a.qk + 1), a.qk) - lse);
            d = a.scale * (p * (dot_rows(ds + r * (a.vd + 1), vs + c * (a.vd + 1), a.vd) - delta));
        }
        ps[r * PITCH + c] = to_f32(from_f32<E>(p));
        gs[r * PITCH + c] = to_f32(from_f32<E>(d));
    }
}

/* Shared memory of both backward passes: tiles of q, k, v, dO, P, dS. */
static size_t back_bytes(const attn_args *a)
{
    return (size_t)(2 * ANY_TILE * (a->qk + 1) + 2 * ANY_TILE * (a->vd + 1) +
                    2 * ANY_TILE * PITCH) *
           sizeof(float);
}

template <class E> __global__ void __launch_bounds__(THREADS) any_back_keys(attn_args a)
{
    DYNAMIC_SHARED(memory);
    const attn_item w = a.item[blockIdx.x];
    const int32_t g = (int32_t)blockIdx.y, group = a.heads / a.kv_heads, k0 = w.first;
    const int32_t r = (int32_t)threadIdx.x / EACH_COL, lane = (int32_t)threadIdx.x % EACH_COL;
    float *qs = reinterpret_cast<float *>(memory), *ks = qs + ANY_TILE * (a.qk + 1),
          *vs = ks + ANY_TILE * (a.qk + 1), *ds = vs + ANY_TILE * (a.vd + 1),
          *ps = ds + ANY_TILE * (a.vd + 1), *gs = ps + ANY_TILE * PITCH;
    float dk[OWN], dv[OWN];

    for (int j = 0; j < OWN; j++)
        dk[j] = dv[j] = 0.0f;
    fetch(ks, (const E *)a.k, w.krow, (int64_t)a.kv_heads * a.qk, (int64_t)g * a.qk, a.qk, k0,
          w.len);
    fetch(vs, (const E *)a.v, w.krow, (int64_t)a.kv_heads * a.vd, (int64_t)g * a.vd, a.vd, k0,
          w.len);
    for (int32_t h = g * group; h < (g + 1) * group; h++)
        for (int32_t q0 = k0; q0 < w.len; q0 += ANY_TILE) {
            __syncthreads();
            fetch(qs, (const E *)a.q, w.qrow, (int64_t)a.heads * a.qk, (int64_t)h * a.qk, a.qk, q0,
                  w.len);
            fetch(ds, (const E *)a.dout, w.qrow, (int64_t)a.heads * a.vd, (int64_t)h * a.vd, a.vd,
                  q0, w.len);
            __syncthreads();
            any_scores<E>(a, w, h, q0, k0, qs, ks, vs, ds, ps, gs);
            __syncthreads();
            for (int32_t i = 0; i < ANY_TILE; i++)
                for (int j = 0; j < OWN; j++) {
                    const int32_t c = lane + j * EACH_COL;
                    if (c < a.qk)
                        dk[j] = fmaf(gs[i * PITCH + r], qs[i * (a.qk + 1) + c], dk[j]);
                    if (c < a.vd)
                        dv[j] = fmaf(ps[i * PITCH + r], ds[i * (a.vd + 1) + c], dv[j]);
                }
        }
    if (k0 + r >= w.len)
        return;
    const int64_t row = (int64_t)(w.krow + k0 + r) * a.kv_heads + g;
    for (int j = 0; j < OWN; j++) {
        const int32_t c = lane + j * EACH_COL;
        if (c < a.qk)
            ((E *)a.dk)[row * a.qk + c] = from_f32<E>(dk[j]);
        if (c < a.vd)
            ((E *)a.dv)[row * a.vd + c] = from_f32<E>(dv[j]);
    }
}

template <class E> __global__ void __launch_bounds__(THREADS) any_back_queries(attn_args a)
{
    DYNAMIC_SHARED(memory);
    const attn_item w = a.item[blockIdx.x];
    const int32_t h = (int32_t)blockIdx.y, g = h / (a.heads / a.kv_heads), q0 = w.first;
    const int32_t r = (int32_t)threadIdx.x / EACH_COL, lane = (int32_t)threadIdx.x % EACH_COL;
    const int32_t last = q0 + ANY_TILE < w.len ? q0 + ANY_TILE : w.len;
    float *qs = reinterpret_cast<float *>(memory), *ks = qs + ANY_TILE * (a.qk + 1),
          *vs = ks + ANY_TILE * (a.qk + 1), *ds = vs + ANY_TILE * (a.vd + 1),
          *ps = ds + ANY_TILE * (a.vd + 1), *gs = ps + ANY_TILE * PITCH;
    float dq[OWN];

    for (int j = 0; j < OWN; j++)
        dq[j] = 0.0f;
    fetch(qs, (const E *)a.q, w.qrow, (int64_t)a.heads * a.qk, (int64_t)h * a.qk, a.qk, q0, w.len);
    fetch(ds, (const E *)a.dout, w.qrow, (int64_t)a.heads * a.vd, (int64_t)h * a.vd, a.vd, q0,
          w.len);
    for (int32_t k0 = 0; k0 < last; k0 += ANY_TILE) {
        __syncthreads();
        fetch(ks, (const E *)a.k, w.krow, (int64_t)a.kv_heads * a.qk, (int64_t)g * a.qk, a.qk, k0,
              w.len);
        fetch(vs, (const E *)a.v, w.krow, (int64_t)a.kv_heads * a.vd, (int64_t)g * a.vd, a.vd, k0,
              w.len);
        __syncthreads();
        any_scores<E>(a, w, h, q0, k0, qs, ks, vs, ds, ps, gs);
        __syncwarp(); /* a row's scores are its own warp's */
        for (int32_t i = 0; i < ANY_TILE; i++)
            for (int j = 0; j < OWN; j++)
                if (lane + j * EACH_COL < a.qk)
                    dq[j] =
                        fmaf(gs[r * PITCH + i], ks[i * (a.qk + 1) + lane + j * EACH_COL], dq[j]);
    }
    if (q0 + r >= w.len)
        return;
    E *out = (E *)a.dq + ((int64_t)(w.qrow + q0 + r) * a.heads + h) * a.qk;
    for (int j = 0; j < OWN; j++)
        if (lane + j * EACH_COL < a.qk)
            out[lane + j * EACH_COL] = from_f32<E>(dq[j]);
}

void ds_attn_any(dev_stream st, enum ds_kfmt f, const attn_args *args, unsigned items)
{
    const attn_args a = *args;
    const size_t shared = (size_t)(ANY_TILE * (2 * (a.qk + 1) + a.vd + 1 + PITCH)) * sizeof(float);

    BY_WIDTH(
        f, false,
        LAUNCH((any_forward<E>), dim3(items, (unsigned)a.heads), dim3(THREADS), shared, st, a));
}

void ds_attn_any_back(dev_stream st, enum ds_kfmt f, const attn_args *args, unsigned items)
{
    const attn_args a = *args;
    const size_t shared = back_bytes(args);

    BY_WIDTH(f, false, {
        LAUNCH((any_back_keys<E>), dim3(items, (unsigned)a.kv_heads), dim3(THREADS), shared, st, a);
        LAUNCH((any_back_queries<E>), dim3(items, (unsigned)a.heads), dim3(THREADS), shared, st, a);
    });
}
