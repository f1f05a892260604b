/* pixels.h - samples of images as numbers: of another size, of another type, and in patches. The
 * same arithmetic on the host and on a device, in double precision with one rounding an operation,
 * so the same bits.
 *
 * Size: a triangle filter as wide as the scale, weights normalised and added in ascending order.
 * Type: to the nearest, ties to even, clamped; what is no number becomes the lowest integer, or the
 * one NaN. Patches: squares from the upper left, row by row of patches, each row by row, samples
 * interleaved; right and below the image they are filled up with zeros.
 */
#ifndef DS_PIXELS_H
#define DS_PIXELS_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C++" { /* whoever includes this may be within extern "C" */
#include <math.h>
}
#else
#include <math.h>
#endif

#ifdef __CUDACC__
#define DS_PIXELS_FN static __host__ __device__ inline
#else
#define DS_PIXELS_FN static inline
#endif

/* Numbered as the types of tensors are. */
enum ds_pixel {
    DS_PX_U8 = 1,
    DS_PX_I8,
    DS_PX_U16,
    DS_PX_I16,
    DS_PX_U32,
    DS_PX_I32,
    DS_PX_F32 = 11,
    DS_PX_F64
};

DS_PIXELS_FN size_t ds_pixel_size(enum ds_pixel d)
{
    return d == DS_PX_F64 ? 8 : d >= DS_PX_U32 ? 4 : d >= DS_PX_U16 ? 2 : 1;
}

/* Number i of the m that n values `step` apart become. */
DS_PIXELS_FN double ds_pixel_line(const double *v, size_t step, size_t n, size_t i, size_t m)
{
    const double scale = (double)n / (double)m, reach = scale > 1 ? scale : 1;
    const double at = ((double)i + 0.5) * scale - 0.5;
    const double low = ceil(at - reach), high = floor(at + reach);
    double sum = 0, weights = 0;

    for (size_t j = low > 0 ? (size_t)low : 0; j < n && (double)j <= high; j++) {
        const double w = 1 - fabs((double)j - at) / reach;
        if (w > 0) {
            const double x = w * v[j * step];
            sum = sum + x;
            weights = weights + w;
        }
    }
    return sum / weights;
}

DS_PIXELS_FN double ds_pixel_whole(double x, double low, double high)
{
    x = x > low ? x : low; /* what is no number becomes the lowest */
    return nearbyint(x < high ? x : high);
}

/* Sample number `at` of out. */
DS_PIXELS_FN void ds_pixel_put(void *out, size_t at, double x, enum ds_pixel d)
{
    const uint32_t nan32 = 0x7fc00000u;
    const uint64_t nan64 = (uint64_t)0x7ff8 << 48;

    if (d == DS_PX_U8)
        ((uint8_t *)out)[at] = (uint8_t)ds_pixel_whole(x, 0.0, 255.0);
    else if (d == DS_PX_I8)
        ((int8_t *)out)[at] = (int8_t)ds_pixel_whole(x, -128.0, 127.0);
    else if (d == DS_PX_U16)
        ((uint16_t *)out)[at] = (uint16_t)ds_pixel_whole(x, 0.0, 65535.0);
    else if (d == DS_PX_I16)
        ((int16_t *)out)[at] = (int16_t)ds_pixel_whole(x, -32768.0, 32767.0);
    else if (d == DS_PX_U32)
        ((uint32_t *)out)[at] = (uint32_t)ds_pixel_whole(x, 0.0, 4294967295.0);
    else if (d == DS_PX_I32)
        ((int32_t *)out)[at] = (int32_t)ds_pixel_whole(x, -2147483648.0, 2147483647.0);
    else if (d == DS_PX_F32 && isnan(x))
        ((uint32_t *)out)[at] = nan32;
    else if (d == DS_PX_F32)
        ((float *)out)[at] = (float)x;
    else if (isnan(x))
        ((uint64_t *)out)[at] = nan64;
    else
        ((double *)out)[at] = x;
}

/* Which pixel of all patches the one in `row` and `col` of an image is; side 0: no patches. */
DS_PIXELS_FN size_t ds_pixel_place(size_t row, size_t col, size_t cols, size_t side)
{
    if (!side)
        return row * cols + col;
    const size_t across = (cols + side - 1) / side, patch = row / side * across + col / side;
    return (patch * side + row % side) * side + col % side;
}

/* Pixels of all patches of an image; none of its dimensions may be above 2^31. */
DS_PIXELS_FN size_t ds_pixel_count(size_t rows, size_t cols, size_t side)
{
    return side ? (rows + side - 1) / side * ((cols + side - 1) / side) * side * side : rows * cols;
}

/* v[rows, cols, samples] to `to`[to_rows, to_cols, samples], columns before rows; mid has room for
 * [rows, to_cols, samples]. */
void ds_pixels_resize(double *to, double *mid, const double *v, size_t rows, size_t cols,
                      size_t to_rows, size_t to_cols, size_t samples);
void ds_pixels_store(void *out, const double *v, size_t n, enum ds_pixel d);
/* The pixels of `frame`, of so many bytes each, into patches. out has ds_pixel_count of them. */
void ds_pixels_lay(uint8_t *out, const uint8_t *frame, size_t rows, size_t cols, size_t pixel,
                   size_t side);

#endif
