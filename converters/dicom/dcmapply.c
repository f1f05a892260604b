/* dcmapply.c - see dcmchain.h: the arithmetic. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "dcmchainbits.h"

/* ---- in and out ---------------------------------------------------------------------------------
 */

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

#define STORE(type, low, high)                                                                     \
    for (size_t i = 0; i < n; i++) {                                                               \
        double x = v[i];                                                                           \
        x = x > (low) ? x : (low); /* what is no number becomes the lowest */                      \
        x = x < (high) ? x : (high);                                                               \
        type t = (type)nearbyint(x);                                                               \
        memcpy(p + i * sizeof t, &t, sizeof t);                                                    \
    }                                                                                              \
    break

static void store(uint8_t *p, const double *v, size_t n, enum dcm_sample d)
{
    switch (d) {
    case DCM_U8:
        STORE(uint8_t, 0.0, 255.0);
    case DCM_I8:
        STORE(int8_t, -128.0, 127.0);
    case DCM_U16:
        STORE(uint16_t, 0.0, 65535.0);
    case DCM_I16:
        STORE(int16_t, -32768.0, 32767.0);
    case DCM_U32:
        STORE(uint32_t, 0.0, 4294967295.0);
    case DCM_I32:
        STORE(int32_t, -2147483648.0, 2147483647.0);
    case DCM_F32:
        for (size_t i = 0; i < n; i++) {
            float f = (float)v[i];
            memcpy(p + i * sizeof f, &f, sizeof f);
        }
        break;
    case DCM_F64:
        memcpy(p, v, n * sizeof *v);
        break;
    }
}

/* ---- steps --------------------------------------------------------------------------------------
 */

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
        return 1 / (1 + exp(-4 * (v - c) / w));
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

static void colour(const dcm_chain *c, double *v, size_t pixels)
{
    double top = ldexp(1, (int)(c->palette[0].v ? c->palette[0].bits : c->im.stored)) - 1;
    if (c->palette[0].v) {
        for (size_t i = pixels; i-- > 0;) { /* from the end: there is room behind */
            double index = v[i];
            for (int k = 0; k < 3; k++)
                v[3 * i + (size_t)k] = look(&c->palette[k], index);
        }
    } else if (c->ybr) {
        to_rgb(v, pixels, c->partial);
    }
    for (size_t i = 0; i < pixels * c->shape.samples && c->o.values == DCM_VALUES_WINDOW; i++)
        v[i] /= top;
}

/* ---- size ---------------------------------------------------------------------------------------
 */

/* One line of n values `step` apart into m values `out_step` apart. Weights are added in ascending
 * order. */
static void line(double *to, size_t m, size_t out_step, const double *v, size_t n, size_t step)
{
    double scale = (double)n / (double)m, reach = scale > 1 ? scale : 1;
    for (size_t i = 0; i < m; i++) {
        double at = ((double)i + 0.5) * scale - 0.5, sum = 0, weights = 0;
        double low = ceil(at - reach), high = floor(at + reach);
        size_t j = low > 0 ? (size_t)low : 0;
        for (; j < n && (double)j <= high; j++) {
            double w = 1 - fabs((double)j - at) / reach;
            if (w > 0) {
                double x = w * v[j * step];
                sum = sum + x;
                weights = weights + w;
            }
        }
        to[i * out_step] = sum / weights;
    }
}

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
    for (size_t k = 0; a && b && k < samples; k++) {
        for (size_t y = 0; y < c->im.rows; y++)
            line(a + y * s->cols * samples + k, s->cols, samples, v + y * c->im.cols * samples + k,
                 c->im.cols, samples);
        for (size_t x = 0; x < s->cols; x++)
            line(b + x * samples + k, s->rows, s->cols * samples, a + x * samples + k, c->im.rows,
                 s->cols * samples);
    }
    free(a);
    *out = b;
    return b ? 0 : ds_fail_nomem(err);
}

/* ---- a frame ------------------------------------------------------------------------------------
 */

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
        double top = s->dtype == DCM_U8 || s->dtype == DCM_I8     ? 255
                     : s->dtype == DCM_U16 || s->dtype == DCM_I16 ? 65535
                                                                  : 4294967295.0;
        /* After a window an integer type is used in full, from 0 on where it has no sign. */
        for (size_t i = 0; c->o.values == DCM_VALUES_WINDOW && s->dtype < DCM_F32 && i < n; i++) {
            bool is_signed = s->dtype == DCM_I8 || s->dtype == DCM_I16 || s->dtype == DCM_I32;
            double x = w[i] * top;
            w[i] = is_signed ? x - (top + 1) / 2 : x;
        }
        store(out->data, w, n, s->dtype);
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
