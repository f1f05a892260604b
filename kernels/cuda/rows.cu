/* rows.cu - what works row by row: bias, rotary positions, columns. A block takes a row. */
#include "cudak.h"

#define THREADS 256

/* ---- bias ---- */

template <class E, int N> __global__ void bias_kernel(E *y, const E *b, int64_t n)
{
    const int64_t i = ((int64_t)blockIdx.x * THREADS + threadIdx.x) * N;
    float v[N], w[N];

    if (i >= n)
        return;
    get<E, N>(v, y + (int64_t)blockIdx.y * n + i);
    get<E, N>(w, b + i);
    for (int j = 0; j < N; j++)
        v[j] += w[j];
    put<E, N>(y + (int64_t)blockIdx.y * n + i, v);
}

/* Rows are a grid's second dimension, of which there are at most 65535. */
#define ROWS_AT_ONCE 32768

static int bias(ds_kernels *k, void *y, const void *b, enum ds_kfmt f, int64_t t, int64_t n,
                ds_err *err)
{
    const bool wide = wide_rows(f, n) && fits16(y) && fits16(b);

    for (int64_t r = 0; r < t; r += ROWS_AT_ONCE) {
        const unsigned rows = (unsigned)(t - r < ROWS_AT_ONCE ? t - r : ROWS_AT_ONCE);
        BY_WIDTH(f, wide,
                 LAUNCH((bias_kernel<E, N>), dim3(blocks_of(n, THREADS * N), rows), dim3(THREADS),
                        0, rt_stream(rt_of(k)), (E *)y + r * n, (const E *)b, n));
    }
    return rt_launched(rt_of(k), "bias", err);
}

/* ---- rotary positions ---- */

/* N pairs at a time, where they do not lie side by side. */
template <class E, int N>
__global__ void rope_kernel(E *x, const int32_t *pos, const float *cs, int64_t stride,
                            int64_t first, int32_t heads, int32_t hd, int32_t rot, bool interleaved,
                            bool back)
{
    const int64_t t = blockIdx.x;
    const int32_t half = rot / 2, each = half / N;
    float a[N], b[N], turn[2 * N];

    for (int32_t i = (int32_t)threadIdx.x; i < heads * each; i += (int32_t)blockDim.x) {
        const int32_t h = i / each, p = i % each * N;
        E *head = x + t * stride + first + (int64_t)h * hd;
        E *one = head + (interleaved ? 2 * p : p),
          *two = head + (interleaved ? 2 * p + 1 : p + half);
        get<float, 2 * N>(turn, cs + (int64_t)pos[t] * rot + 2 * p);
        get<E, N>(a, one);
        get<E, N>(b, two);
        for (int j = 0; j < N; j++) {
            const float c = turn[2 * j], s = back ? -turn[2 * j + 1] : turn[2 * j + 1], u = a[j];
            a[j] = u * c - b[j] * s;
            b[j] = b[j] * c + u * s;
        }
        put<E, N>(one, a);
        put<E, N>(two, b);
    }
}

static int rope(ds_kernels *k, void *x, enum ds_kfmt f, const int32_t *pos, const float *cs,
                int64_t t, int64_t stride, int64_t first, int32_t heads, int32_t hd, int32_t rot,
                bool interleaved, bool back, ds_err *err)
{
    const bool wide = !interleaved && wide_rows(f, rot / 2) && wide_rows(f, stride) &&
                      wide_rows(f, first) && wide_rows(f, hd) && fits16(x) && fits16(cs);
    void *at;

    if (t <= 0)
        return 0;
    TRY(rt_stage(rt_of(k), &at, pos, (size_t)t * sizeof *pos, err));
    BY_WIDTH(f, wide,
             LAUNCH((rope_kernel<E, N>), dim3((unsigned)t), dim3(128), 0, rt_stream(rt_of(k)),
                    (E *)x, (const int32_t *)at, cs, stride, first, heads, hd, rot, interleaved,
                    back));
    return rt_launched(rt_of(k), "rope", err);
}

/* ---- columns, and products of rows ---- */

template <class E, int N>
__global__ void copy_cols_kernel(E *dst, int64_t dstride, const E *src, int64_t sstride, int64_t n,
                                 bool accumulate)
{
    const int64_t t = blockIdx.x;
    float x[N], old[N];

    for (int64_t i = (int64_t)threadIdx.x * N; i < n; i += (int64_t)blockDim.x * N) {
        E *y = dst + t * dstride + i;
        get<E, N>(x, src + t * sstride + i);
        if (accumulate)
            get<E, N>(old, y);
        for (int j = 0; accumulate && j < N; j++)
            x[j] += old[j];
        put<E, N>(y, x);
    }
}

static int copy_cols(ds_kernels *k, void *dst, int64_t dstride, const void *src, int64_t sstride,
                     enum ds_kfmt f, int64_t t, int64_t n, bool accumulate, ds_err *err)
{
    const bool wide = wide_rows(f, n) && wide_rows(f, dstride) && wide_rows(f, sstride) &&
                      fits16(dst) && fits16(src);

    if (t > 0)
        BY_WIDTH(f, wide,
                 LAUNCH((copy_cols_kernel<E, N>), dim3((unsigned)t),
                        dim3(n <= 128 * N ? 32u : THREADS), 0, rt_stream(rt_of(k)), (E *)dst,
                        dstride, (const E *)src, sstride, n, accumulate));
    return rt_launched(rt_of(k), "copy_cols", err);
}

template <class E, int N>
__global__ void row_dot_kernel(float *out, const E *a, const E *b, int64_t d)
{
    __shared__ float room[32];
    const int64_t row = (int64_t)blockIdx.x * d;
    float v[N], w[N], s = 0.0f;

    for (int64_t i = (int64_t)threadIdx.x * N; i < d; i += THREADS * N) {
        get<E, N>(v, a + row + i);
        get<E, N>(w, b + row + i);
        for (int j = 0; j < N; j++)
            s = fmaf(v[j], w[j], s);
    }
    s = block_sum(s, room);
    if (threadIdx.x == 0)
        out[blockIdx.x] = s;
}

static int row_dot(ds_kernels *k, float *out, const void *a, const void *b, enum ds_kfmt f,
                   int64_t t, int64_t d, ds_err *err)
{
    const bool wide = wide_rows(f, d) && fits16(a) && fits16(b);

    if (t > 0)
        BY_WIDTH(f, wide,
                 LAUNCH((row_dot_kernel<E, N>), dim3((unsigned)t), dim3(THREADS), 0,
                        rt_stream(rt_of(k)), out, (const E *)a, (const E *)b, d));
    return rt_launched(rt_of(k), "row_dot", err);
}

void ds_cuda_rows(ds_kernels *k)
{
    k->bias = bias;
    k->rope = rope;
    k->copy_cols = copy_cols;
    k->row_dot = row_dot;
}
