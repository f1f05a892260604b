/* image.c - images by a table (kernels.h): the arithmetic is of pixels.h, one thread. */
#include <stdlib.h>
#include <string.h>

#include "buf.h"
#include "cpu.h"

static int32_t sample(const void *image, size_t i, enum ds_pixel from)
{
    return from == DS_PX_U8    ? ((const uint8_t *)image)[i]
           : from == DS_PX_I8  ? ((const int8_t *)image)[i]
           : from == DS_PX_U16 ? ((const uint16_t *)image)[i]
                               : ((const int16_t *)image)[i];
}

static void put_all(void *out, const double *v, const ds_kimage *p)
{
    const size_t wide = (size_t)(p->to_cols * p->samples), samples = (size_t)p->samples;

    memset(out, 0, ds_kimage_bytes(p));
    for (size_t y = 0; y < (size_t)p->to_rows; y++)
        for (size_t x = 0; x < wide; x++) {
            const double scaled = v[y * wide + x] * p->gain;
            const size_t pixel =
                ds_pixel_place(y, x / samples, (size_t)p->to_cols, (size_t)p->side);
            ds_pixel_put(out, pixel * samples + x % samples,
                         p->gain > 0 ? scaled + p->bias : v[y * wide + x], p->to);
        }
}

static int image(ds_kernels *k, void *out, const void *in, const ds_kimage *p, ds_err *err)
{
    const size_t rows = (size_t)p->rows, wide = (size_t)(p->cols * p->samples),
                 to_wide = (size_t)(p->to_cols * p->samples), to_rows = (size_t)p->to_rows;
    const bool resized = p->rows != p->to_rows || p->cols != p->to_cols;
    double *v = calloc(rows * wide + 1, sizeof *v), *mid = NULL, *to = NULL;
    int rc = v ? 0 : ds_fail_nomem(err);

    (void)k;
    for (size_t i = 0; !rc && i < rows * wide; i++)
        v[i] = p->table[sample(in, i, p->from) - p->low];
    if (!rc && resized) {
        mid = calloc(rows * to_wide + 1, sizeof *mid);
        to = calloc(to_rows * to_wide + 1, sizeof *to);
        rc = mid && to ? 0 : ds_fail_nomem(err);
    }
    if (!rc && resized)
        ds_pixels_resize(to, mid, v, rows, (size_t)p->cols, to_rows, (size_t)p->to_cols,
                         (size_t)p->samples);
    if (!rc)
        put_all(out, resized ? to : v, p);
    free(v);
    free(mid);
    free(to);
    return rc;
}

void ds_cpu_image(ds_kernels *k)
{
    k->image = image;
}
