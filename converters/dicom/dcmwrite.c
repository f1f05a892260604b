/* dcmwrite.c - see dcmwrite.h. */
#include "dcmwrite.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "dcmdeid.h"

#define SQ DCM_VR('S', 'Q')
#define EXPLICIT_LE "1.2.840.10008.1.2.1"
#define IMPLEMENTATION "2.25.213840569315731628957418316502174905473"

struct dcm_write {
    dcm_tree *t;
    dcm_sink *sink;
    void *ctx;
    uint64_t want, done; /* bytes of pixels */
    size_t frame;        /* bytes of one as it comes */
    bool bits, pixels;
    uint8_t acc; /* bits that do not fill a byte yet */
    unsigned nacc;
    uint32_t tag; /* of the pixel data */
    ds_buf out;
};

/* 32 bits of length, behind two bytes of nothing. */
static bool long_form(uint16_t vr)
{
    switch (vr) {
    case DCM_VR('O', 'B'):
    case DCM_VR('O', 'D'):
    case DCM_VR('O', 'F'):
    case DCM_VR('O', 'L'):
    case DCM_VR('O', 'V'):
    case DCM_VR('O', 'W'):
    case DCM_VR('S', 'Q'):
    case DCM_VR('S', 'V'):
    case DCM_VR('U', 'C'):
    case DCM_VR('U', 'N'):
    case DCM_VR('U', 'R'):
    case DCM_VR('U', 'T'):
    case DCM_VR('U', 'V'):
        return true;
    default:
        return false;
    }
}

static int put_u16(ds_buf *b, unsigned v)
{
    const uint8_t p[2] = {(uint8_t)v, (uint8_t)(v >> 8)};
    return ds_buf_put(b, p, 2);
}

static int put_tag(ds_buf *b, uint32_t tag)
{
    return put_u16(b, tag >> 16) | put_u16(b, tag & 0xffff);
}

static int put_head(ds_buf *b, uint32_t tag, uint16_t vr, uint32_t len)
{
    if (!long_form(vr) && len > 0xfffe)
        vr = DCM_VR('U', 'N'); /* too long for its VR */
    int bad = put_tag(b, tag) | ds_buf_putc(b, (uint8_t)(vr >> 8)) | ds_buf_putc(b, (uint8_t)vr);
    if (long_form(vr))
        return bad | put_u16(b, 0) | ds_buf_u32(b, len);
    return bad | put_u16(b, len);
}

static int put_elem(ds_buf *b, const dcm_elem *e)
{
    bool text = dcm_vr_is_string(e->vr) && e->vr != DCM_VR('U', 'I');
    if (e->len >= 0xfffffffe)
        return -1;
    int bad = put_head(b, e->tag, e->vr, e->len + (e->len & 1));
    bad |= ds_buf_put(b, e->val, e->len);
    if (e->len & 1)
        bad |= ds_buf_putc(b, text ? ' ' : 0);
    return bad;
}

static int put_set(ds_buf *b, const dcm_set *s, uint32_t from, uint32_t to);

static int put_items(ds_buf *b, const dcm_elem *e)
{
    int bad = put_head(b, e->tag, SQ, 0xffffffff);
    for (uint32_t i = 0; i < e->nitems && !bad; i++)
        bad = put_tag(b, 0xfffee000) | ds_buf_u32(b, 0xffffffff) |
              put_set(b, e->items[i], 0, 0xffffffff) | put_tag(b, 0xfffee00d) | ds_buf_u32(b, 0);
    return bad | put_tag(b, 0xfffee0dd) | ds_buf_u32(b, 0);
}

/* Elements with from <= tag < to; the depth is that of the tree. */
static int put_set(ds_buf *b, const dcm_set *s, uint32_t from, uint32_t to)
{
    int bad = 0;
    for (uint32_t i = 0; i < s->n && !bad; i++) {
        const dcm_elem *e = &s->elems[i];
        if (e->tag < from || e->tag >= to || e->bulk || (e->tag & 0xffff) == 0)
            continue;
        bad = e->vr == SQ ? put_items(b, e) : put_elem(b, e);
    }
    return bad;
}

static int flush(dcm_write *w, ds_err *err)
{
    int rc = w->out.len ? w->sink(w->ctx, w->out.data, w->out.len, err) : 0;
    ds_buf_reset(&w->out);
    return rc;
}

/* ---- what the pixels are ---- */

static int put_us(dcm_tree *t, uint32_t tag, unsigned v, ds_err *err)
{
    const uint8_t p[2] = {(uint8_t)v, (uint8_t)(v >> 8)};
    return dcm_set_put(t, dcm_tree_main(t), tag, DCM_VR('U', 'S'), p, 2, NULL, err);
}

static int put_str(dcm_tree *t, dcm_set *s, uint32_t tag, uint16_t vr, const char *v, ds_err *err)
{
    return dcm_set_put(t, s, tag, vr, v, strlen(v), NULL, err);
}

static int describe(dcm_tree *t, const dcm_image *im, ds_err *err)
{
    dcm_set *s = dcm_tree_main(t);
    unsigned bits = im->allocated == 1 ? 1 : 8 * dcm_sample_size(im->dtype);
    bool real = im->dtype == DCM_F32 || im->dtype == DCM_F64;
    bool is_signed = im->dtype == DCM_I8 || im->dtype == DCM_I16 || im->dtype == DCM_I32;
    unsigned stored = im->stored && im->stored <= bits ? im->stored : bits;
    char frames[16];
    int rc = put_us(t, 0x00280002, im->samples, err);
    if (rc == 0)
        rc = put_str(t, s, 0x00280004, DCM_VR('C', 'S'), im->photometric, err);
    if (rc == 0 && im->samples > 1)
        rc = put_us(t, 0x00280006, 0, err);
    if (rc == 0)
        rc = put_us(t, 0x00280010, im->rows, err);
    if (rc == 0)
        rc = put_us(t, 0x00280011, im->cols, err);
    if (rc == 0)
        rc = put_us(t, 0x00280100, bits, err);
    if (rc == 0 && !real)
        rc = put_us(t, 0x00280101, stored, err);
    if (rc == 0 && !real)
        rc = put_us(t, 0x00280102, stored - 1, err);
    if (rc == 0 && !real)
        rc = put_us(t, 0x00280103, is_signed, err);
    if (rc == 0 && (im->frames > 1 || dcm_set_find(s, 0x00280008))) {
        snprintf(frames, sizeof frames, "%u", im->frames);
        rc = put_str(t, s, 0x00280008, DCM_VR('I', 'S'), frames, err);
    }
    dcm_set_drop(s, 0x7fe00001); /* offsets of fragments */
    dcm_set_drop(s, 0x7fe00002);
    return rc;
}

static int make_meta(dcm_write *w, ds_err *err)
{
    dcm_set *m = dcm_tree_meta(w->t);
    int rc = put_str(w->t, m, 0x00020010, DCM_VR('U', 'I'), EXPLICIT_LE, err);
    if (rc == 0)
        rc = put_str(w->t, m, 0x00020012, DCM_VR('U', 'I'), IMPLEMENTATION, err);
    if (rc == 0)
        rc = put_str(w->t, m, 0x00020013, DCM_VR('S', 'H'), "DSPREP_1", err);
    if (rc != 0)
        return rc;
    static const uint8_t zeros[128];
    ds_buf b = {0};
    int bad = put_set(&b, m, 0, 0xffffffff) | ds_buf_put(&w->out, zeros, sizeof zeros) |
              ds_buf_puts(&w->out, "DICM") | put_head(&w->out, 0x00020000, DCM_VR('U', 'L'), 4) |
              ds_buf_u32(&w->out, (uint32_t)b.len) | ds_buf_put(&w->out, b.data, b.len);
    ds_buf_fini(&b);
    return bad ? ds_fail_nomem(err) : 0;
}

static int pixel_head(dcm_write *w, const dcm_image *im, ds_err *err)
{
    uint64_t values = (uint64_t)im->rows * im->cols; /* both below 2^32 */
    unsigned size = dcm_sample_size(im->dtype);
    bool real = im->dtype == DCM_F32 || im->dtype == DCM_F64;
    uint16_t vr =
        real ? DCM_VR('O', im->dtype == DCM_F32 ? 'F' : 'D') : DCM_VR('O', size > 1 ? 'W' : 'B');
    if (__builtin_mul_overflow(values, im->samples, &values) ||
        __builtin_mul_overflow(values, size, &w->want) || w->want >= UINT32_MAX)
        return ds_fail(err, DS_FAIL, "a frame of 4 GiB or more cannot be written");
    w->frame = (size_t)w->want;
    w->bits = im->allocated == 1 && size == 1;
    if (__builtin_mul_overflow(w->want, im->frames, &w->want))
        return ds_fail(err, DS_FAIL, "pixels of 4 GiB or more cannot be written as native ones");
    if (w->bits)
        w->want = w->want / 8 + (w->want % 8 != 0);
    if (w->want >= 0xfffffffe)
        return ds_fail(err, DS_FAIL, "pixels of 4 GiB or more cannot be written as native ones");
    w->tag = im->dtype == DCM_F32 ? 0x7fe00008 : im->dtype == DCM_F64 ? 0x7fe00009 : 0x7fe00010;
    w->pixels = true;
    int bad = put_set(&w->out, dcm_tree_main(w->t), 0, w->tag) |
              put_head(&w->out, w->tag, vr, (uint32_t)(w->want + (w->want & 1)));
    return bad ? ds_fail_nomem(err) : 0;
}

int dcm_write_new(dcm_write **out, dcm_tree *t, const dcm_image *im, dcm_sink *sink, void *ctx,
                  ds_err *err)
{
    dcm_write *w = *out = calloc(1, sizeof *w);
    int rc = w ? 0 : ds_fail_nomem(err);
    if (rc == 0) {
        w->t = t;
        w->sink = sink;
        w->ctx = ctx;
        rc = im ? describe(t, im, err) : 0;
    }
    if (rc == 0)
        rc = make_meta(w, err);
    if (rc == 0 && im)
        rc = pixel_head(w, im, err);
    else if (rc == 0 && put_set(&w->out, dcm_tree_main(t), 0, 0xffffffff) != 0)
        rc = ds_fail_nomem(err);
    if (rc == 0)
        rc = flush(w, err);
    if (rc != 0) {
        dcm_write_free(w);
        *out = NULL;
    }
    return rc;
}

static int put_bits(dcm_write *w, const uint8_t *p, size_t n)
{
    int bad = 0;
    for (size_t i = 0; i < n && !bad; i++) {
        w->acc |= (uint8_t)((p[i] != 0) << w->nacc);
        if (++w->nacc == 8) {
            bad = ds_buf_putc(&w->out, w->acc);
            w->acc = 0;
            w->nacc = 0;
        }
    }
    return bad;
}

int dcm_write_frame(dcm_write *w, const void *p, size_t n, ds_err *err)
{
    if (!w->pixels || n != w->frame)
        return ds_fail(err, DS_FAIL, "a frame of %zu bytes where one of %zu belongs", n, w->frame);
    if (!w->bits) {
        w->done += n;
        return w->done > w->want ? ds_fail(err, DS_FAIL, "more frames than were said")
                                 : w->sink(w->ctx, p, n, err);
    }
    if (put_bits(w, p, n) != 0)
        return ds_fail_nomem(err);
    w->done += w->out.len;
    return w->done > w->want ? ds_fail(err, DS_FAIL, "more frames than were said") : flush(w, err);
}

int dcm_write_end(dcm_write *w, ds_err *err)
{
    int bad = 0;
    if (w->nacc) {
        bad = ds_buf_putc(&w->out, w->acc);
        w->nacc = 0;
        w->done++;
    }
    if (w->pixels && w->done != w->want)
        return ds_fail(err, DS_FAIL, "frames are missing");
    if (w->done & 1)
        bad |= ds_buf_putc(&w->out, 0);
    if (w->pixels)
        bad |= put_set(&w->out, dcm_tree_main(w->t), w->tag + 1, 0xffffffff);
    return bad ? ds_fail_nomem(err) : flush(w, err);
}

void dcm_write_free(dcm_write *w)
{
    if (!w)
        return;
    ds_buf_fini(&w->out);
    free(w);
}

static bool in_box(const dcm_verdict *v, uint32_t x, uint32_t y, uint32_t *until)
{
    for (unsigned i = 0; i < v->nboxes; i++) {
        const dcm_box *b = &v->boxes[i];
        if (y < b->y0 || y > b->y1)
            continue;
        if (x >= b->x0 && x <= b->x1) {
            *until = b->x1 == UINT32_MAX ? b->x1 : b->x1 + 1;
            return true;
        }
        if (b->x0 > x && b->x0 < *until)
            *until = b->x0;
    }
    return false;
}

void dcm_mask_frame(void *p, uint32_t rows, uint32_t cols, uint32_t samples, unsigned size,
                    const struct dcm_verdict *v)
{
    uint8_t *row = p;
    size_t pixel = (size_t)samples * size;
    if (v->pixels != DCM_PIX_MASK)
        return;
    for (uint32_t y = 0; y < rows; y++, row += cols * pixel)
        for (uint32_t x = 0, until; x < cols; x = until) {
            until = cols;
            bool inside = in_box(v, x, y, &until);
            if (until > cols)
                until = cols;
            if (inside != v->keep_inside)
                memset(row + x * pixel, 0, (until - x) * pixel);
        }
}
