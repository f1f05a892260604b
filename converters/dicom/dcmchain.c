/* dcmchain.c - see dcmchain.h: what a file says of its values, and the words for it. The arithmetic
 * is in dcmapply.c. */
#include "dcmchain.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "dcmchainbits.h"
#include "dcmsegment.h"
#include "json.h"

static int no(const char **reason, const char *slug, ds_err *err, const char *why)
{
    *reason = slug;
    return ds_fail(err, DS_FAIL, "%s", why);
}

const dcm_set *dcm_group_find(const dcm_set *s, uint32_t frame, uint32_t tag)
{
    const dcm_elem *own = dcm_set_find(s, 0x52009230);
    const dcm_set *g = own && frame < own->nitems ? dcm_set_first(own->items[frame], tag) : NULL;
    return g ? g : dcm_set_first(dcm_set_first(s, 0x52009229), tag);
}

/* ---- tables ---- */

static uint32_t u16_at(const dcm_elem *e, unsigned i)
{
    return e && e->val && e->len >= 2 * (i + 1) ? (uint32_t)(e->val[2 * i] | e->val[2 * i + 1] << 8)
                                                : 0;
}

/* Entries, first value, bits. */
static void describe_lut(lut *l, const dcm_elem *d, bool is_signed)
{
    l->n = u16_at(d, 0) ? u16_at(d, 0) : 65536;
    l->first = is_signed ? (int16_t)u16_at(d, 1) : (int32_t)u16_at(d, 1);
    l->bits = u16_at(d, 2);
}

/* A descriptor and its data: words, or bytes where there are as many
 * as entries. */
static int read_lut(lut *l, const dcm_set *s, uint32_t tag_desc, uint32_t tag_data, bool is_signed,
                    const char **reason, ds_err *err)
{
    const dcm_elem *d = dcm_set_find(s, tag_desc), *v = dcm_set_find(s, tag_data);
    if (!d || d->len < 6 || !v || !v->val)
        return no(reason, "bad-table", err, "a lookup table without descriptor or data");
    describe_lut(l, d, is_signed);
    bool bytes = l->bits <= 8 && v->len < 2 * (size_t)l->n;
    if (l->bits < 1 || l->bits > 16 || v->len < (bytes ? l->n : 2 * (size_t)l->n))
        return no(reason, "bad-table", err, "a lookup table shorter than it says");
    l->v = malloc(sizeof *l->v * l->n);
    if (!l->v)
        return ds_fail_nomem(err);
    for (uint32_t i = 0; i < l->n; i++)
        l->v[i] = bytes ? v->val[i] : (uint16_t)u16_at(v, i);
    return 0;
}

/* The same, as segments where it is written so. */
static int read_palette(lut *l, const dcm_set *s, uint32_t k, bool is_signed, const char **reason,
                        ds_err *err)
{
    const dcm_elem *d = dcm_set_find(s, 0x00281101 + k), *v = dcm_set_find(s, 0x00281221 + k);
    if (dcm_set_find(s, 0x00281201 + k) || !v || !v->val || !d || d->len < 6)
        return read_lut(l, s, 0x00281101 + k, 0x00281201 + k, is_signed, reason, err);
    describe_lut(l, d, is_signed);
    l->v = malloc(sizeof *l->v * l->n);
    if (!l->v)
        return ds_fail_nomem(err);
    if (l->bits < 1 || l->bits > 16 ||
        !dcm_segments_expand(l->v, l->n, v->val, v->len, l->bits <= 8))
        return no(reason, "bad-table", err, "segments that do not make their palette");
    return 0;
}

/* ---- a frame's numbers ---- */

/* A number of a scale; NAN where there is none. False where what is there is no number, or
 * none that one can compute with: values without their scale would look like values all the same.
 */
static bool scale_number(const dcm_set *s, uint32_t tag, double *v)
{
    const dcm_elem *e = dcm_set_find(s, tag);
    const char *p;
    size_t n;
    *v = NAN;
    if (!e || e->len == 0 || (dcm_vr_is_string(e->vr) && !dcm_elem_text(e, 0, &p, &n)))
        return true;
    return dcm_get_real(s, tag, 0, v) && isfinite(*v);
}

static bool real_world(const dcm_set *main, uint32_t frame, frame_steps *f)
{
    const dcm_set *m = dcm_group_find(main, frame, 0x00409096);
    double slope, intercept;
    if (!m)
        m = dcm_set_first(main, 0x00409096);
    if (!m || !dcm_get_real(m, 0x00409225, 0, &slope) ||
        !dcm_get_real(m, 0x00409224, 0, &intercept))
        return true;
    f->slope = slope;
    f->intercept = intercept;
    f->rescaled = f->mapped = true;
    return isfinite(slope) && isfinite(intercept);
}

static bool rescale(const dcm_set *main, uint32_t frame, frame_steps *f)
{
    const dcm_set *g = dcm_group_find(main, frame, 0x00289145);
    const dcm_set *s = g ? g : main;
    double slope, intercept;
    if (!scale_number(s, 0x00281053, &slope) || !scale_number(s, 0x00281052, &intercept))
        return false;
    /* A slope of 0 is no scale: it would leave one value of all. One without the other is one that
     * does nothing beside it. */
    if ((isnan(slope) && isnan(intercept)) || (slope <= 0 && slope >= 0))
        return true;
    f->slope = isnan(slope) ? 1 : slope;
    f->intercept = isnan(intercept) ? 0 : intercept;
    f->rescaled = true;
    return true;
}

/* A dose has a scale of its own (PS3.3 C.8.8.3). */
static bool dose(const dcm_set *main, frame_steps *f)
{
    if (!scale_number(main, 0x3004000e, &f->slope))
        return false;
    f->rescaled = f->slope < 0 || f->slope > 0;
    f->slope = f->rescaled ? f->slope : 1;
    return true;
}

static void window(const dcm_chain *c, const dcm_set *main, uint32_t frame, frame_steps *f)
{
    const dcm_set *g = dcm_group_find(main, frame, 0x00289132);
    const dcm_set *s = g ? g : main;
    const char *p;
    size_t n;
    if (c->o.values != DCM_VALUES_WINDOW || c->o.auto_window)
        return;
    f->center = c->o.center;
    f->width = c->o.width;
    f->windowed = c->o.has_window;
    if (!f->windowed)
        f->windowed = dcm_get_real(s, 0x00281050, 0, &f->center) &&
                      dcm_get_real(s, 0x00281051, 0, &f->width) && f->width > 0 &&
                      isfinite(f->center) && isfinite(f->width);
    if (dcm_get_text(s, 0x00281056, 0, &p, &n) && !c->o.has_window) {
        if (n == 12 && memcmp(p, "LINEAR_EXACT", n) == 0)
            f->function = FUNCTION_EXACT;
        else if (n == 7 && memcmp(p, "SIGMOID", n) == 0)
            f->function = FUNCTION_SIGMOID;
    }
}

static int read_frames(dcm_chain *c, const dcm_set *main, const char **reason, ds_err *err)
{
    const dcm_elem *own = dcm_set_find(main, 0x52009230);
    /* Frames behind the last group have what is shared. */
    c->nframes = own && own->nitems ? c->im.frames : 1;
    c->frames = calloc(c->nframes, sizeof *c->frames);
    if (!c->frames)
        return ds_fail_nomem(err);
    for (uint32_t i = 0; i < c->nframes; i++) {
        frame_steps *f = &c->frames[i];
        bool fine = true;
        f->slope = 1;
        if (c->o.values == DCM_VALUES_STORED)
            continue;
        if (c->o.real_world)
            fine = real_world(main, i, f);
        if (fine && !f->rescaled && !c->modality.v)
            fine = rescale(main, i, f);
        if (fine && !f->rescaled && !c->modality.v)
            fine = real_world(main, i, f);
        if (fine && !f->rescaled && !c->modality.v)
            fine = dose(main, f);
        if (!fine)
            return no(reason, "bad-values", err, "its slope or intercept is no number");
        window(c, main, i, f);
    }
    return 0;
}

/* ---- the whole ---- */

static bool is_whole(double v)
{
    return floor(v) == v && fabs(v) < 9007199254740992.0;
}

static void stored_range(const dcm_chain *c, double *lo, double *hi)
{
    unsigned bits = c->im.allocated == 1 ? 1 : c->im.stored;
    *lo = c->im.is_signed ? -ldexp(1, (int)bits - 1) : 0;
    *hi = c->im.is_signed ? ldexp(1, (int)bits - 1) - 1 : ldexp(1, (int)bits) - 1;
}

void dcm_chain_range(const dcm_chain *c, const frame_steps *f, double *lo, double *hi)
{
    if (c->modality.v && !f->mapped) {
        *lo = 0;
        *hi = ldexp(1, (int)c->modality.bits) - 1;
        return;
    }
    double a, b;
    stored_range(c, &a, &b);
    a = a * f->slope;
    a = a + f->intercept;
    b = b * f->slope;
    b = b + f->intercept;
    *lo = a < b ? a : b;
    *hi = a < b ? b : a;
}

/* The narrowest type that holds what may come, exactly. */
static enum dcm_sample own_type(const dcm_chain *c)
{
    bool whole = true, plain = true;
    double low = 0, high = 0;
    if (c->o.values == DCM_VALUES_STORED)
        return c->im.dtype;
    if (c->im.dtype == DCM_F64 && c->o.values == DCM_VALUES_MODALITY)
        return DCM_F64;
    if (c->o.values == DCM_VALUES_WINDOW || c->im.dtype >= DCM_F32 || c->o.rows || c->o.cols)
        return DCM_F32;
    if (c->palette[0].v)
        return c->palette[0].bits > 8 ? DCM_U16 : DCM_U8;
    if (c->im.samples > 1)
        return c->im.dtype;
    for (uint32_t i = 0; i < c->nframes; i++) {
        const frame_steps *f = &c->frames[i];
        double lo, hi;
        dcm_chain_range(c, f, &lo, &hi);
        whole = whole && is_whole(f->slope) && is_whole(f->intercept);
        plain = plain && f->slope >= 1 && f->slope <= 1 && is_whole(f->intercept) &&
                fabs(f->intercept) <= 0 && !c->modality.v;
        low = lo < low ? lo : low;
        high = hi > high ? hi : high;
    }
    if (plain)
        return c->im.dtype;
    if (c->modality.v && low >= 0 && high <= 65535)
        return DCM_U16;
    if (whole && low >= -32768 && high <= 32767)
        return DCM_I16;
    if (whole && low >= -2147483648.0 && high <= 2147483647.0)
        return DCM_I32;
    return whole ? DCM_F64 : DCM_F32;
}

/* The values of a label map are labels: its palette is for showing them (PS3.3 C.8.20.2). */
static bool is_labels(const dcm_set *main)
{
    const char *p;
    size_t n;
    return dcm_get_text(main, 0x00620001, 0, &p, &n) && n == 8 && memcmp(p, "LABELMAP", n) == 0;
}

static int read_tables(dcm_chain *c, const dcm_set *main, const char **reason, ds_err *err)
{
    const dcm_set *m = dcm_set_first(main, 0x00283000);
    int rc = 0;
    if (c->o.values == DCM_VALUES_STORED)
        return 0;
    if (strcmp(c->im.photometric, "PALETTE COLOR") == 0 && c->im.samples == 1 && !is_labels(main)) {
        for (uint32_t i = 0; i < 3 && rc == 0; i++)
            rc = read_palette(&c->palette[i], main, i, c->im.is_signed, reason, err);
        return rc;
    }
    if (m && c->im.samples == 1 && c->im.dtype < DCM_F32)
        rc = read_lut(&c->modality, m, 0x00283002, 0x00283006, c->im.is_signed, reason, err);
    return rc;
}

/* Its first value has a sign where the values that come to it may have one (PS3.3 C.11.2.1.1). */
static int read_voi(dcm_chain *c, const dcm_set *main, const char **reason, ds_err *err)
{
    const dcm_set *v = dcm_set_first(main, 0x00283010);
    const dcm_elem *d = v ? dcm_set_find(v, 0x00283002) : NULL;
    double lo, hi;
    if (!v || c->o.values != DCM_VALUES_WINDOW || c->im.samples != 1 || c->palette[0].v ||
        c->o.has_window || c->o.auto_window || dcm_set_find(main, 0x00281050))
        return 0;
    dcm_chain_range(c, &c->frames[0], &lo, &hi);
    return read_lut(&c->voi, v, 0x00283002, 0x00283006, lo < 0 || (d && d->vr == DCM_VR('S', 'S')),
                    reason, err);
}

/* Some writers say US where the values are signed, or SS where they are not. */
static int64_t as_stored(const dcm_image *im, int64_t v)
{
    if (im->allocated != 16)
        return v;
    return im->is_signed && v > INT16_MAX ? (int16_t)v : !im->is_signed && v < 0 ? (uint16_t)v : v;
}

static void read_padding(dcm_chain *c, const dcm_set *main)
{
    int64_t a, b;
    if (!dcm_get_int(main, 0x00280120, 0, &a))
        return;
    if (!dcm_get_int(main, 0x00280121, 0, &b))
        b = a;
    a = as_stored(&c->im, a);
    b = as_stored(&c->im, b);
    c->padded = c->im.samples == 1;
    c->pad_low = a < b ? a : b;
    c->pad_high = a < b ? b : a;
}

int dcm_chain_new(dcm_chain **out, const dcm_set *main, const dcm_image *im,
                  const dcm_chain_opts *o, const char **reason, ds_err *err)
{
    dcm_chain *c = *out = calloc(1, sizeof *c);
    *reason = "bad-values";
    if (!c)
        return ds_fail_nomem(err);
    c->o = *o;
    c->im = *im;
    c->ybr = strncmp(im->photometric, "YBR", 3) == 0 && im->samples == 3 && im->dtype == DCM_U8;
    c->partial = c->ybr && strncmp(im->photometric, "YBR_PARTIAL", 11) == 0;
    c->invert = strcmp(im->photometric, "MONOCHROME1") == 0 && im->samples == 1 &&
                o->values != DCM_VALUES_STORED && im->dtype < DCM_F32;
    read_padding(c, main);
    int rc = read_tables(c, main, reason, err);
    if (rc == 0)
        rc = read_frames(c, main, reason, err);
    if (rc == 0)
        rc = read_voi(c, main, reason, err);
    if (rc != 0) {
        dcm_chain_free(c);
        *out = NULL;
        return rc;
    }
    c->shape = (dcm_shape){im->frames, o->rows ? o->rows : im->rows, o->cols ? o->cols : im->cols,
                           c->palette[0].v ? 3 : im->samples,
                           o->dtype ? (enum dcm_sample)o->dtype : own_type(c)};
    return 0;
}

dcm_shape dcm_chain_shape(const dcm_chain *c)
{
    return c->shape;
}

void dcm_chain_free(dcm_chain *c)
{
    if (!c)
        return;
    for (int i = 0; i < 3; i++)
        free(c->palette[i].v);
    free(c->modality.v);
    free(c->voi.v);
    free(c->frames);
    ds_buf_fini(&c->work);
    ds_buf_fini(&c->seen);
    free(c);
}

/* ---- words ---- */

static int put_pair(ds_buf *b, const char *op, const char *x, double vx, const char *y, double vy)
{
    return ds_buf_printf(b, "{\"op\":\"%s\",\"%s\":", op, x) | ds_json_real(b, vx) |
           ds_buf_printf(b, ",\"%s\":", y) | ds_json_real(b, vy) | ds_buf_puts(b, "},");
}

static int put_window(const dcm_chain *c, const frame_steps *f, ds_buf *b)
{
    static const char *const names[] = {"linear", "linear-exact", "sigmoid"};
    if (c->o.values != DCM_VALUES_WINDOW)
        return 0;
    if (c->voi.v)
        return ds_buf_printf(b, "{\"op\":\"voi-lut\",\"entries\":%" PRIu32 "},", c->voi.n);
    if (!f->windowed)
        return ds_buf_puts(b, "{\"op\":\"range\"},");
    return ds_buf_printf(b,
                         "{\"op\":\"window\",\"function\":\"%s\",\"center\":", names[f->function]) |
           ds_json_real(b, f->center) | ds_buf_puts(b, ",\"width\":") | ds_json_real(b, f->width) |
           ds_buf_puts(b, "},");
}

int dcm_chain_json(const dcm_chain *c, uint32_t frame, ds_buf *b, ds_err *err)
{
    static const char *const types[] = {"",    "u8",  "i8",  "u16",  "i16", "u32", "i32",
                                        "u64", "i64", "f16", "bf16", "f32", "f64"};
    static const char *const padding[] = {"keep", "zero", "nan"};
    const frame_steps *f = &c->frames[frame < c->nframes ? frame : 0];
    bool more = c->o.values != DCM_VALUES_STORED,
         mono = more && c->im.samples == 1 && !c->palette[0].v;
    int rc = ds_buf_printf(b, "[{\"op\":\"stored\",\"bits\":%u,\"signed\":%s",
                           (unsigned)c->im.stored, c->im.is_signed ? "true" : "false");
    if (c->im.recovered)
        rc |= ds_buf_puts(b, ",\"recovered\":true");
    if (c->im.surplus)
        rc |= ds_buf_printf(b, ",\"surplus\":%" PRIu32, c->im.surplus);
    rc |= ds_buf_puts(b, "},");
    if (c->padded)
        rc |= ds_buf_printf(
            b, "{\"op\":\"padding\",\"from\":%" PRId64 ",\"to\":%" PRId64 ",\"values\":\"%s\"},",
            c->pad_low, c->pad_high,
            c->o.values == DCM_VALUES_WINDOW ? "zero" : padding[c->o.padding]);
    if (c->palette[0].v)
        rc |= ds_buf_puts(b, "{\"op\":\"palette\"},");
    if (c->ybr && more)
        rc |= ds_buf_puts(b, "{\"op\":\"ybr-to-rgb\"},");
    if (mono && c->modality.v && !f->mapped)
        rc |= ds_buf_printf(b, "{\"op\":\"modality-lut\",\"entries\":%" PRIu32 "},", c->modality.n);
    if (mono && f->rescaled)
        rc |= put_pair(b, f->mapped ? "real-world" : "rescale", "slope", f->slope, "intercept",
                       f->intercept);
    if (mono)
        rc |= put_window(c, f, b);
    if (c->invert)
        rc |= ds_buf_puts(b, "{\"op\":\"invert\"},");
    if (c->o.rows || c->o.cols)
        rc |= ds_buf_printf(b, "{\"op\":\"resize\",\"rows\":%" PRIu32 ",\"columns\":%" PRIu32 "},",
                            c->shape.rows, c->shape.cols);
    rc |= ds_buf_printf(b, "{\"op\":\"type\",\"dtype\":\"%s\"}]", types[c->shape.dtype]);
    return rc ? ds_fail_nomem(err) : 0;
}
