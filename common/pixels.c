/* pixels.c - see pixels.h. */
#include "pixels.h"

#include <string.h>

void ds_pixels_resize(double *to, double *mid, const double *v, size_t rows, size_t cols,
                      size_t to_rows, size_t to_cols, size_t samples)
{
    const size_t wide = to_cols * samples;

    for (size_t y = 0; y < rows; y++)
        for (size_t x = 0; x < wide; x++)
            mid[y * wide + x] = ds_pixel_line(v + y * cols * samples + x % samples, samples, cols,
                                              x / samples, to_cols);
    for (size_t y = 0; y < to_rows; y++)
        for (size_t x = 0; x < wide; x++)
            to[y * wide + x] = ds_pixel_line(mid + x, wide, rows, y, to_rows);
}

void ds_pixels_store(void *out, const double *v, size_t n, enum ds_pixel d)
{
    for (size_t i = 0; i < n; i++)
        ds_pixel_put(out, i, v[i], d);
}

void ds_pixels_lay(uint8_t *out, const uint8_t *frame, size_t rows, size_t cols, size_t pixel,
                   size_t side)
{
    memset(out, 0, ds_pixel_count(rows, cols, side) * pixel);
    for (size_t y = 0; y < rows; y++)
        for (size_t x = 0; x < cols; x += side)
            memcpy(out + ds_pixel_place(y, x, cols, side) * pixel, frame + (y * cols + x) * pixel,
                   (cols - x < side ? cols - x : side) * pixel);
}
