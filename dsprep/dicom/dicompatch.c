/* dicompatch.c - see dicompatch.h. */
#include "dicompatch.h"

#include <string.h>

#include "pixels.h"

int ds_patches_of(ds_patches *g, uint32_t side, const dcm_shape *s, ds_err *err)
{
    *g = (ds_patches){.side = side,
                      .rows = s->rows,
                      .cols = s->cols,
                      .down = s->rows / side + (s->rows % side != 0),
                      .across = s->cols / side + (s->cols % side != 0),
                      .pixel = (size_t)s->samples * dcm_sample_size(s->dtype)};
    uint64_t bytes;
    g->count = (uint64_t)g->down * g->across; /* below 2^64: both are of 32 bits */
    if (__builtin_mul_overflow(g->count, (uint64_t)s->frames, &g->count) ||
        __builtin_mul_overflow(g->count, (uint64_t)side * side, &bytes) ||
        __builtin_mul_overflow(bytes, (uint64_t)g->pixel, &bytes) || bytes > INT64_MAX)
        return ds_fail(err, DS_FAIL, "more patches than a record holds");
    return 0;
}

static int make_room(const ds_patches *g, size_t pixel, ds_buf *out, ds_err *err)
{
    size_t n;
    ds_buf_reset(out);
    if (!ds_mul_size((size_t)g->down * g->across, (size_t)g->side * g->side, &n) ||
        !ds_mul_size(n, pixel, &n) || ds_buf_reserve(out, n) != 0)
        return ds_fail_nomem(err);
    memset(out->data, 0, n);
    out->len = n;
    return 0;
}

int ds_patches_lay(const ds_patches *g, const uint8_t *frame, ds_buf *out, ds_err *err)
{
    int rc = make_room(g, g->pixel, out, err);
    if (rc == 0)
        ds_pixels_lay(out->data, frame, g->rows, g->cols, g->pixel, g->side);
    return rc;
}

int ds_patches_mask(const ds_patches *g, ds_buf *out, ds_err *err)
{
    int rc = make_room(g, 1, out, err);
    for (size_t y = 0; rc == 0 && y < g->rows; y++)
        for (size_t x = 0; x < g->cols; x += g->side)
            memset(out->data + ds_pixel_place(y, x, g->cols, g->side), 1,
                   g->cols - x < g->side ? g->cols - x : g->side);
    return rc;
}

int ds_patches_text(ds_buf *out, const char *placeholder, uint64_t n, const void *text, size_t len,
                    ds_err *err)
{
    const char *p = text, *end = p ? p + len : p, *hit;
    size_t word = strlen(placeholder), first = 1;
    while (first < word && ((uint8_t)placeholder[first] & 0xc0) == 0x80)
        first++; /* behind a whole character */
    int bad = 0;
    for (uint64_t i = 0; i < n && !bad; i++)
        bad = ds_buf_put(out, placeholder, word);
    if (n && p && len)
        bad |= ds_buf_putc(out, '\n');
    while (!bad && p < end && (hit = memmem(p, (size_t)(end - p), placeholder, word)) != NULL) {
        bad = ds_buf_put(out, p, (size_t)(hit - p) + first) | ds_buf_putc(out, ' ');
        p = hit + first;
    }
    if (!bad && p < end)
        bad = ds_buf_put(out, p, (size_t)(end - p));
    return bad ? ds_fail_nomem(err) : 0;
}
