/* dcmapply.c - see dcmchain.h: the arithmetic. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "dcmchainbits.h"
#include "elementary.h"
#include "pixels.h"

_Static_assert(DCM_U8 == (int)DS_PX_U8 && DCM_I32 == (int)DS_PX_I32 && DCM_F32 == (int)DS_PX_F32 &&
                   DCM_F64 == (int)DS_PX_F64,
               "samples are numbered as pixels are");

/* ---- in ---- */

#define LOAD(type)                                                                                 \
    for (size_t i = 0; i < n; i++) {                                                               \
        type v;                                                                                    \
        memcpy(&v, p + i * sizeof v, sizeof v);                                                    \
        to[i] = (double)v;                                                                         \
    }                                                                                              \
    break

static void load(double *to, const uint8_t *p, size_t n, enum dcm_sample d)
{
    switch (d) {
    case DCM_U8:
        LOAD(uint8_t);
    case DCM_I8:
        LOAD(int8_t);
    case DCM_U16:
        LOAD(uint16_t);
    case DCM_I16:
        LOAD(int16_t);
    case DCM_U32:
        LOAD(uint32_t);
    case DCM_I32:
        LOAD(int32_t);
    case DCM_F32:
        LOAD(float);
    case DCM_F64:
        LOAD(double);
    }
}

/* ---- steps ---- */

static double look(const lut *l, double v)
{
    double at = v - l->first;
    return l->v[at <= 0 ? 0 : at >= l->n - 1 ? l->n - 1 : (uint32_t)at];
}

static double clamp255(double v)
{
    v = floor(v + 0.5);
    return v < 0 ? 0 : v > 255 ? 255 : v;
}

static void to_rgb(double *v, size_t pixels, bool partial)
{
    for (size_t i = 0; i < pixels; i++, v += 3) {
        double y = v[0], b = v[1] - 128, r = v[2] - 128;
        if (partial) {
            y = 1.1644 * (y - 16);
            v[0] = clamp255(y + 1.5960 * r);
            v[1] = clamp255(y - 0.3917 * b - 0.8130 * r);
            v[2] = clamp255(y + 2.0173 * b);
        } else {
            v[0] = clamp255(y + 1.4020 * r);
            v[1] = clamp255(y - 0.3441 * b - 0.7141 * r);
            v[2] = clamp255(y + 1.7720 * b);
        }
    }
}

static double windowed(const frame_steps *f, double v)
{
    double c = f->center, w = f->width, x;
    if (f->function == FUNCTION_SIGMOID)
        return 1 / (1 + ds_exp(-4 * (v - c) / w));
    if (f->function == FUNCTION_EXACT || w <= 1) {
        x = (v - c) / w + 0.5;
        if (f->function != FUNCTION_EXACT) /* a width of 1 is a threshold */
            return v <= c - 0.5 ? 0 : 1;
    } else {
        x = (v - (c - 0.5)) / (w - 1) + 0.5;
    }
    return x <= 0 ? 0 : x >= 1 ? 1 : x;
}

/* To 0 .. 1 by the lowest and highest value of the frame that is no padding. */
static void by_range(double *v, const bool *pad, size_t n)
{
    double lo = INFINITY, hi = -INFINITY;
    for (size_t i = 0; i < n; i++) {
        if ((pad && pad[i]) || !isfinite(v[i]))
            continue;
        lo = v[i] < lo ? v[i] : lo;
        hi = v[i] > hi ? v[i] : hi;
    }
    for (size_t i = 0; i < n; i++)
        v[i] = hi > lo ? (v[i] - lo) / (hi - lo) : 0;
}

static bool *find_padding(const dcm_chain *c, const double *v, size_t n)
{
    bool *pad = malloc(n);
    for (size_t i = 0; pad && i < n; i++)
        pad[i] = v[i] >= (double)c->pad_low && v[i] <= (double)c->pad_high;
    return pad;
}

static void grey(const dcm_chain *c, const frame_steps *f, double *v, const bool *pad, size_t n)
{
    if (c->modality.v && !f->mapped) {
        for (size_t i = 0; i < n; i++)
            v[i] = look(&c->modality, v[i]);
    } else if (f->rescaled) {
        for (size_t i = 0; i < n; i++) {
            double x = v[i] * f->slope;
            v[i] = x + f->intercept;
        }
    }
    if (c->o.values == DCM_VALUES_WINDOW) {
        double top = ldexp(1, (int)c->voi.bits) - 1;
        if (!c->voi.v && !f->windowed)
            by_range(v, pad, n);
        else
            for (size_t i = 0; i < n; i++)
                v[i] = c->voi.v ? look(&c->voi, v[i]) / top : windowed(f, v[i]);
    }
    if (c->invert) {
        double lo = 0, hi = 1;
        if (c->o.values != DCM_VALUES_WINDOW)
            dcm_chain_range(c, f, &lo, &hi);
        for (size_t i = 0; i < n; i++)
            v[i] = lo + hi - v[i];
    }
    bool window = c->o.values == DCM_VALUES_WINDOW;
    for (size_t i = 0; pad && i < n && (window || c->o.padding != DCM_PADDING_KEEP); i++)
        if (pad[i])
            v[i] = window || c->o.padding == DCM_PADDING_ZERO ? 0 : (double)NAN;
}

static void to_unit(const dcm_chain *c, double *v, size_t n)
{
    double top = ldexp(1, (int)(c->palette[0].v ? c->palette[0].bits : c->im.stored)) - 1;
    for (size_t i = 0; i < n && c->o.values == DCM_VALUES_WINDOW; i++)
        v[i] /= top;
}

static void colour(const dcm_chain *c, double *v, size_t pixels)
{
    if (c->palette[0].v) {
        for (size_t i = pixels; i-- > 0;) { /* from the end: there is room behind */
            double index = v[i];
            for (int k = 0; k < 3; k++)
                v[3 * i + (size_t)k] = look(&c->palette[k], index);
        }
    } else if (c->ybr) {
        to_rgb(v, pixels, c->partial);
    }
    to_unit(c, v, pixels * c->shape.samples);
}

/* ---- size ---- */

static int resize(dcm_chain *c, const double *v, double **out, ds_err *err)
{
    const dcm_shape *s = &c->shape;
    size_t samples = s->samples, mid, end;
    double *a = NULL, *b = NULL;
    if (!ds_mul_size(c->im.rows, (size_t)s->cols * samples, &mid) ||
        !ds_mul_size(s->rows, (size_t)s->cols * samples, &end) || mid > SIZE_MAX / sizeof *a ||
        end > SIZE_MAX / sizeof *b)
        return ds_fail_nomem(err);
    a = malloc(mid * sizeof *a);
    b = malloc(end * sizeof *b);
    if (a && b)
        ds_pixels_resize(b, a, v, c->im.rows, c->im.cols, s->rows, s->cols, samples);
    if (!a) {
        free(b);
        b = NULL;
    }
    free(a);
    *out = b;
    return b ? 0 : ds_fail_nomem(err);
}

/* ---- a frame ---- */

/* After a window an integer type is used in full, from 0 on where it has no sign. */
static void spread_of(const dcm_chain *c, double *gain, double *bias)
{
    const enum dcm_sample d = c->shape.dtype;
    double top = d == DCM_U8 || d == DCM_I8     ? 255
                 : d == DCM_U16 || d == DCM_I16 ? 65535
                                                : 4294967295.0;
    *gain = c->o.values == DCM_VALUES_WINDOW && d < DCM_F32 ? top : 0;
    *bias = d == DCM_I8 || d == DCM_I16 || d == DCM_I32 ? -(top + 1) / 2 : 0;
}

static int finish(dcm_chain *c, double *v, ds_buf *out, ds_err *err)
{
    const dcm_shape *s = &c->shape;
    size_t n = (size_t)s->rows * s->cols * s->samples;
    double *fresh = NULL;
    int rc = 0;
    if (s->rows != c->im.rows || s->cols != c->im.cols)
        rc = resize(c, v, &fresh, err);
    ds_buf_reset(out);
    if (rc == 0 && ds_buf_reserve(out, n * dcm_sample_size(s->dtype)) != 0)
        rc = ds_fail_nomem(err);
    if (rc == 0) {
        double *w = fresh ? fresh : v;
        double gain, bias;
        spread_of(c, &gain, &bias);
        for (size_t i = 0; gain > 0 && i < n; i++) {
            double x = w[i] * gain;
            w[i] = x + bias;
        }
        ds_pixels_store(out->data, w, n, (enum ds_pixel)s->dtype);
        out->len = n * dcm_sample_size(s->dtype);
    }
    free(fresh);
    return rc;
}

bool dcm_chain_keeps(const dcm_chain *c, uint32_t frame)
{
    const frame_steps *f = &c->frames[frame < c->nframes ? frame : 0];
    bool plain = c->o.values == DCM_VALUES_STORED ||
                 (c->o.values == DCM_VALUES_MODALITY && !c->palette[0].v && !c->ybr &&
                  !c->modality.v && !f->rescaled && !c->invert);
    return plain && c->shape.dtype == c->im.dtype && c->o.padding == DCM_PADDING_KEEP &&
           c->shape.rows == c->im.rows && c->shape.cols == c->im.cols;
}

int dcm_chain_frame(dcm_chain *c, uint32_t frame, const ds_buf *in, ds_buf *out, ds_err *err)
{
    const frame_steps *f = &c->frames[frame < c->nframes ? frame : 0];
    size_t pixels = (size_t)c->im.rows * c->im.cols, n = pixels * c->im.samples, bytes;
    if (in->len != n * dcm_sample_size(c->im.dtype))
        return ds_fail(err, DS_FAIL, "a frame of %zu bytes where %zu are wanted", in->len,
                       n * dcm_sample_size(c->im.dtype));
    if (dcm_chain_keeps(c, frame)) {
        ds_buf_reset(out);
        return ds_buf_put(out, in->data, in->len) ? ds_fail_nomem(err) : 0;
    }
    ds_buf_reset(&c->work);
    if (!ds_mul_size(pixels, sizeof(double) * (size_t)c->shape.samples, &bytes) ||
        ds_buf_reserve(&c->work, bytes) != 0)
        return ds_fail_nomem(err);
    double *v = (double *)(void *)c->work.data; /* memory of malloc: aligned */
    load(v, in->data, n, c->im.dtype);
    bool *pad = c->padded ? find_padding(c, v, n) : NULL;
    if (c->padded && !pad)
        return ds_fail_nomem(err);
    if (c->o.values != DCM_VALUES_STORED && (c->palette[0].v || c->im.samples > 1))
        colour(c, v, pixels);
    else if (c->o.values != DCM_VALUES_STORED)
        grey(c, f, v, pad, n);
    int rc = finish(c, v, out, err);
    free(pad);
    return rc;
}

/* ---- a table of values ---- */

static int32_t stored(const uint8_t *p, size_t i, enum dcm_sample d)
{
    const uint16_t two =
        d == DCM_U16 || d == DCM_I16 ? (uint16_t)(p[2 * i] | p[2 * i + 1] << 8) : 0;
    return d == DCM_U8 ? p[i] : d == DCM_I8 ? (int8_t)p[i] : d == DCM_U16 ? two : (int16_t)two;
}

/* Which samples a frame has, from the lowest on: c->seen; a byte each. */
static int mark_seen(dcm_chain *c, const uint8_t *p, size_t n, dcm_table *t, ds_err *err)
{
    int32_t low = INT32_MAX, high = INT32_MIN;
    for (size_t i = 0; i < n; i++) {
        const int32_t s = stored(p, i, c->im.dtype);
        low = s < low ? s : low;
        high = s > high ? s : high;
    }
    t->low = n ? low : 0;
    t->n = n ? (uint32_t)(high - low) + 1 : 1;
    ds_buf_reset(&c->seen);
    if (ds_buf_reserve(&c->seen, t->n) != 0)
        return ds_fail_nomem(err);
    memset(c->seen.data, 0, t->n);
    for (size_t i = 0; i < n; i++)
        c->seen.data[stored(p, i, c->im.dtype) - t->low] = 1;
    return 0;
}

int dcm_chain_table(dcm_chain *c, uint32_t frame, const ds_buf *in, dcm_table *t, ds_err *err)
{
    const frame_steps *f = &c->frames[frame < c->nframes ? frame : 0];
    size_t n = (size_t)c->im.rows * c->im.cols * c->im.samples, m = 0;
    const bool changed = c->o.values != DCM_VALUES_STORED;
    *t = (dcm_table){.n = 0};
    if (c->im.dtype > DCM_I16 || (changed && (c->palette[0].v || c->ybr)) ||
        in->len != n * dcm_sample_size(c->im.dtype))
        return 0;
    int rc = mark_seen(c, in->data, n, t, err);
    ds_buf_reset(&c->work);
    if (rc == 0 && ds_buf_reserve(&c->work, 2 * sizeof(double) * t->n) != 0)
        rc = ds_fail_nomem(err);
    if (rc != 0)
        return rc;
    /* The steps over the samples that there are, each once; then each to its place. */
    double *v = (double *)(void *)c->work.data, *all = v + t->n;
    for (uint32_t i = 0; i < t->n; i++)
        if (c->seen.data[i])
            v[m++] = (double)(t->low + (int32_t)i);
    bool *pad = c->padded ? find_padding(c, v, m) : NULL;
    if (c->padded && !pad)
        return ds_fail_nomem(err);
    if (changed && c->im.samples > 1)
        to_unit(c, v, m);
    else if (changed)
        grey(c, f, v, pad, m);
    free(pad);
    m = 0;
    for (uint32_t i = 0; i < t->n; i++)
        all[i] = c->seen.data[i] ? v[m++] : 0;
    t->v = all;
    spread_of(c, &t->gain, &t->bias);
    return 0;
}
