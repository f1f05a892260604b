/* image.cu - images by a table, with the CPU's bits: the arithmetic is of pixels.h, in double
 * precision without fused products. A thread makes one value; scratch holds the values of the image
 * and those of its columns. Moves 16 bytes for each sample of the image and of the columns; doubles
 * are computed at a 64th of f32's rate on some devices, at a half on those that are meant. */
#include "cudak.h"

#define THREADS 256

static __device__ __forceinline__ int64_t index_of()
{
    return (int64_t)blockIdx.x * THREADS + threadIdx.x;
}

template <class S>
__global__ void values_kernel(double *v, const S *image, const double *table, int32_t low,
                              int64_t n)
{
    const int64_t i = index_of();

    if (i < n)
        v[i] = table[(int32_t)image[i] - low];
}

/* [rows, cols, samples] to [rows, to_cols, samples]. */
__global__ void columns_kernel(double *mid, const double *v, ds_kimage p)
{
    const int64_t i = index_of(), wide = p.to_cols * p.samples;

    if (i >= p.rows * wide)
        return;
    const int64_t y = i / wide, x = i % wide;
    mid[i] = ds_pixel_line(v + y * p.cols * p.samples + x % p.samples, (size_t)p.samples,
                           (size_t)p.cols, (size_t)(x / p.samples), (size_t)p.to_cols);
}

/* What comes of the columns, or of the values as they are, to its place. */
__global__ void place_kernel(void *out, const double *v, ds_kimage p, bool resized)
{
    const int64_t i = index_of(), wide = p.to_cols * p.samples;

    if (i >= p.to_rows * wide)
        return;
    const int64_t y = i / wide, x = i % wide;
    double value =
        resized ? ds_pixel_line(v + x, (size_t)wide, (size_t)p.rows, (size_t)y, (size_t)p.to_rows)
                : v[i];
    if (p.gain > 0) {
        const double scaled = value * p.gain;
        value = scaled + p.bias;
    }
    const size_t pixel =
        ds_pixel_place((size_t)y, (size_t)(x / p.samples), (size_t)p.to_cols, (size_t)p.side);
    ds_pixel_put(out, pixel * (size_t)p.samples + (size_t)(x % p.samples), value, p.to);
}

static void look_up(double *v, const void *in, const ds_kimage *p, int64_t n, dev_stream st)
{
    const dim3 grid(blocks_of(n, THREADS)), block(THREADS);
    const double *table = p->table;
    const int32_t low = p->low;

    if (p->from == DS_PX_U8)
        LAUNCH((values_kernel<uint8_t>), grid, block, 0, st, v, (const uint8_t *)in, table, low, n);
    else if (p->from == DS_PX_I8)
        LAUNCH((values_kernel<int8_t>), grid, block, 0, st, v, (const int8_t *)in, table, low, n);
    else if (p->from == DS_PX_U16)
        LAUNCH((values_kernel<uint16_t>), grid, block, 0, st, v, (const uint16_t *)in, table, low,
               n);
    else
        LAUNCH((values_kernel<int16_t>), grid, block, 0, st, v, (const int16_t *)in, table, low, n);
}

static int image(ds_kernels *k, void *out, const void *in, const ds_kimage *p, ds_err *err)
{
    dev_rt *rt = rt_of(k);
    const ds_kimage by = *p;
    const dev_stream st = rt_stream(rt);
    const bool resized = p->rows != p->to_rows || p->cols != p->to_cols;
    const int64_t n = p->rows * p->cols * p->samples, mid = p->rows * p->to_cols * p->samples,
                  made = p->to_rows * p->to_cols * p->samples;
    void *v, *columns = NULL;

    if (p->from > DS_PX_I16)
        return ds_fail(err, DS_FAIL, "cuda: images have samples of 8 or 16 bits");
    if (p->side) /* what is around the image in its patches */
        TRY(rt_zero(rt, out, ds_kimage_bytes(p), err));
    if (n <= 0 || made <= 0)
        return 0;
    TRY(rt_scratch(rt, 0, &v, (size_t)n * sizeof(double), err));
    if (resized)
        TRY(rt_scratch(rt, 1, &columns, (size_t)mid * sizeof(double), err));
    look_up((double *)v, in, p, n, st);
    if (resized)
        LAUNCH(columns_kernel, dim3(blocks_of(mid, THREADS)), dim3(THREADS), 0, st,
               (double *)columns, (const double *)v, by);
    LAUNCH(place_kernel, dim3(blocks_of(made, THREADS)), dim3(THREADS), 0, st, out,
           (const double *)(resized ? columns : v), by, resized);
    return rt_launched(rt, "image", err);
}

void ds_cuda_image(ds_kernels *k)
{
    k->image = image;
}
