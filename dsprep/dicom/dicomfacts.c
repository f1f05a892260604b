/* dicomfacts.c - see dicomfacts.h. */
#include "dicomfacts.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "dicomreport.h"
#include "json.h"
#include "dicomcursor.h"

#define ABSENT INT64_MIN
#define SKEW 1e-3 /* of vectors that should be of length 1, and at right angles */

static const uint32_t text_tags[DS_FACT_CONTENT] = {0x00100020, 0x0020000d, 0x0020000e, 0x00200052,
                                                    0x00080060, 0x00180015, 0x00200062, 0x00185101};

/* ---- places ---- */

static unsigned reals(const dcm_set *s, uint32_t tag, unsigned n, double *v)
{
    unsigned k = 0;
    while (s && k < n && dcm_get_real(s, tag, k, &v[k]) && isfinite(v[k]))
        k++;
    return k;
}

static bool unit_vectors(const double *v)
{
    double a = 0, b = 0, c = 0;
    for (int i = 0; i < 3; i++) {
        a += v[i] * v[i];
        b += v[3 + i] * v[3 + i];
        c += v[i] * v[3 + i];
    }
    return fabs(a - 1) < SKEW && fabs(b - 1) < SKEW && fabs(c) < SKEW;
}

/* The functional group of a frame that holds such an attribute, else the top. */
static const dcm_set *around(const dcm_set *main, uint32_t frame, uint32_t group)
{
    const dcm_set *g = dcm_group_find(main, frame, group);
    return g ? g : main;
}

/* Frames of a dose or another grid lie along the normal. */
static bool offset(const dcm_set *main, uint32_t frame, ds_dicom_place *p)
{
    const double *o = p->orientation;
    double d;
    if (!(p->has & DS_PLACE_ORIENTATION) || !dcm_get_real(main, 0x3004000c, frame, &d) ||
        !isfinite(d))
        return false;
    double first = 0;
    dcm_get_real(main, 0x3004000c, 0, &first);
    d = first == 0 ? d : d - first; /* absolute where it does not begin with 0 (PS3.3 C.8.8.3.2) */
    p->position[0] += d * (o[1] * o[5] - o[2] * o[4]);
    p->position[1] += d * (o[2] * o[3] - o[0] * o[5]);
    p->position[2] += d * (o[0] * o[4] - o[1] * o[3]);
    return true;
}

/* Slices side by side in one image, as Siemens writes time series: its position is that of an image
 * of this size which there is not. */
static bool is_mosaic(const dcm_set *main)
{
    const dcm_elem *e = dcm_set_find(main, 0x00080008);
    const char *p;
    size_t n, next = 0;
    while (e && dcm_elem_next(e, &next, &p, &n))
        if (n == 6 && memcmp(p, "MOSAIC", n) == 0)
            return true;
    return false;
}

static void read_place(ds_dicom_place *p, const dcm_set *main, uint32_t frame, uint32_t frames)
{
    const dcm_set *pos = dcm_group_find(main, frame, 0x00209113);
    const dcm_set *spacing = around(main, frame, 0x00289110);
    const dcm_set *dir = around(main, frame, 0x00209116);
    memset(p, 0, sizeof *p);
    if (reals(spacing, 0x00280030, 2, p->spacing) == 2 && p->spacing[0] > 0 && p->spacing[1] > 0)
        p->has |= DS_PLACE_SPACING;
    if (reals(dir, 0x00200037, 6, p->orientation) == 6 && unit_vectors(p->orientation))
        p->has |= DS_PLACE_ORIENTATION;
    if (reals(pos ? pos : main, 0x00200032, 3, p->position) == 3 &&
        (pos || frames == 1 || offset(main, frame, p)) && !is_mosaic(main))
        p->has |= DS_PLACE_POSITION; /* the top's is that of one frame */
    if (reals(main, 0x00181060, 1, &p->order) == 0)
        p->order = 0;
}

/* The centre of the first pixel moves when pixels become larger or smaller. */
static void rescale(ds_dicom_place *p, const dcm_image *im, const dcm_shape *shape)
{
    double row = (double)im->rows / shape->rows, col = (double)im->cols / shape->cols;
    const double *o = p->orientation;
    if (im->rows == shape->rows && im->cols == shape->cols)
        return;
    if (!(p->has & DS_PLACE_SPACING) || !(p->has & DS_PLACE_ORIENTATION))
        p->has &= ~(unsigned)DS_PLACE_POSITION;
    for (int i = 0; i < 3; i++)
        p->position[i] +=
            o[i] * p->spacing[1] * (col - 1) / 2 + o[3 + i] * p->spacing[0] * (row - 1) / 2;
    p->spacing[0] *= row;
    p->spacing[1] *= col;
}

bool ds_dicom_affine(const ds_dicom_place *p, const double step[3], double out[16])
{
    const unsigned all = DS_PLACE_SPACING | DS_PLACE_POSITION | DS_PLACE_ORIENTATION;
    if (!p || (p->has & all) != all)
        return false;
    for (int i = 0; i < 3; i++) {
        out[4 * i] = p->orientation[i] * p->spacing[1];
        out[4 * i + 1] = p->orientation[3 + i] * p->spacing[0];
        out[4 * i + 2] = step ? step[i] : 0;
        out[4 * i + 3] = p->position[i];
    }
    out[12] = out[13] = out[14] = 0;
    out[15] = 1;
    return true;
}

/* ---- what tells stacks apart ---- */

static int member(ds_buf *b, size_t start, const char *name)
{
    return (b->len > start ? ds_buf_putc(b, ',') : 0) | ds_buf_printf(b, "\"%s\":", name);
}

static int put_real(ds_buf *b, size_t start, const char *name, const dcm_set *s, uint32_t tag)
{
    double v;
    return reals(s, tag, 1, &v) == 1 ? member(b, start, name) | ds_json_real(b, v) : 0;
}

static int put_values(ds_buf *b, size_t start, const char *name, const dcm_set *s, uint32_t tag)
{
    const dcm_elem *e = s ? dcm_set_find(s, tag) : NULL;
    const char *p;
    size_t n;
    int bad = 0;
    if (!e || !dcm_elem_text(e, 0, &p, &n))
        return 0;
    bad = member(b, start, name) | ds_buf_putc(b, '[');
    for (unsigned k = 0; !bad && dcm_elem_text(e, k, &p, &n); k++)
        bad = (k ? ds_buf_putc(b, ',') : 0) | ds_json_str(b, p, n);
    return bad | ds_buf_putc(b, ']');
}

static int put_gradient(ds_buf *b, size_t start, const dcm_set *main, uint32_t frame)
{
    const dcm_set *d = dcm_group_find(main, frame, 0x00189117);
    const dcm_set *g = d ? dcm_set_first(d, 0x00189076) : main;
    double v[3];
    int bad = put_real(b, start, "b_value", d ? d : main, 0x00189087);
    if (reals(g, 0x00189089, 3, v) != 3)
        return bad;
    bad |= member(b, start, "gradient") | ds_buf_putc(b, '[') | ds_json_real(b, v[0]) |
           ds_buf_putc(b, ',') | ds_json_real(b, v[1]) | ds_buf_putc(b, ',') |
           ds_json_real(b, v[2]) | ds_buf_putc(b, ']');
    return bad;
}

/* A segment by number, and by the name that the object gives it. */
static int put_segment(ds_buf *b, size_t start, const dcm_set *main, uint32_t frame)
{
    const dcm_set *g = dcm_group_find(main, frame, 0x0062000a);
    const dcm_elem *all = dcm_set_find(main, 0x00620002);
    int64_t want, have;
    const char *p;
    size_t n;
    if (!g || !dcm_get_int(g, 0x0062000b, 0, &want))
        return 0;
    int bad = member(b, start, "segment") | ds_buf_printf(b, "%lld", (long long)want);
    for (uint32_t i = 0; all && i < all->nitems && !bad; i++)
        if (dcm_get_int(all->items[i], 0x00620004, 0, &have) && have == want &&
            dcm_get_text(all->items[i], 0x00620005, 0, &p, &n))
            return bad | member(b, start, "label") | ds_json_str(b, p, n);
    return bad;
}

static int put_split(ds_buf *b, const dcm_set *main, uint32_t frame)
{
    static const uint32_t type_groups[] = {0x00189226, 0x00189329, 0x00189751};
    const dcm_set *content = dcm_group_find(main, frame, 0x00209111), *type = NULL;
    for (size_t i = 0; i < sizeof type_groups / sizeof *type_groups && !type; i++)
        type = dcm_group_find(main, frame, type_groups[i]);
    int bad = ds_buf_putc(b, '{');
    size_t start = b->len;
    bad |= put_values(b, start, "image_type", type ? type : main, type ? 0x00089007 : 0x00080008);
    bad |= put_real(b, start, "echo", main, 0x00180086);
    const dcm_set *echo = dcm_group_find(main, frame, 0x00189114);
    bad |= put_real(b, start, "echo_time", echo ? echo : main, echo ? 0x00189082 : 0x00180081);
    bad |= put_values(b, start, "stack", content, 0x00209056);
    bad |=
        put_real(b, start, "temporal", content ? content : main, content ? 0x00209128 : 0x00200100);
    bad |= put_real(b, start, "trigger_delay", dcm_group_find(main, frame, 0x00189118), 0x00209153);
    bad |= put_gradient(b, start, main, frame);
    bad |= put_segment(b, start, main, frame);
    return bad | ds_buf_putc(b, '}');
}

/* ---- the form: numbers, texts, places ---- */

static int put_block(ds_buf *b, bool present, const void *p, size_t n)
{
    return ds_buf_putc(b, present) | ds_buf_varint(b, n) | ds_buf_put(b, p, n);
}

/* Of an image; else of the series, or of all frames of an object with functional groups. */
static bool laterality(const dcm_set *main, const char **p, size_t *n)
{
    const dcm_set *anatomy = dcm_set_first(dcm_set_first(main, 0x52009229), 0x00209071);
    return dcm_get_text(main, 0x00200062, 0, p, n) || dcm_get_text(main, 0x00200060, 0, p, n) ||
           (anatomy && dcm_get_text(anatomy, 0x00209072, 0, p, n));
}

static int put_texts(ds_buf *out, const dcm_set *main)
{
    const char *p;
    size_t n;
    int bad = 0;
    for (size_t i = 0; i < DS_FACT_CONTENT && !bad; i++) {
        bool is = i == DS_FACT_LATERALITY ? laterality(main, &p, &n)
                                          : dcm_get_text(main, text_tags[i], 0, &p, &n);
        bad = put_block(out, is, p, is ? n : 0);
    }
    return bad;
}

static int put_report(ds_buf *out, const dcm_set *main, bool report, ds_err *err)
{
    ds_dicom_report r = {0};
    int rc = report ? ds_dicom_report_read(&r, main, err) : 0;
    int bad = put_block(out, r.content.len > 0, r.content.data, r.content.len);
    for (size_t i = 0; i < DS_SECTIONS; i++)
        bad |= put_block(out, r.section[i].len > 0, r.section[i].data, r.section[i].len);
    ds_dicom_report_fini(&r);
    return rc == 0 && bad ? ds_fail_nomem(err) : rc;
}

static int put_place(ds_buf *out, const ds_dicom_place *p, const ds_buf *split)
{
    return ds_buf_putc(out, (uint8_t)p->has) | ds_buf_put(out, p->spacing, sizeof p->spacing) |
           ds_buf_put(out, p->position, sizeof p->position) |
           ds_buf_put(out, p->orientation, sizeof p->orientation) |
           ds_buf_put(out, &p->order, sizeof p->order) |
           put_block(out, true, split->data, split->len);
}

int ds_dicom_facts_write(ds_buf *out, const dcm_set *main, const dcm_image *im,
                         const dcm_shape *shape, bool report, ds_err *err)
{
    static const uint32_t number_tags[] = {0x00200011, 0x00200013, 0x00200012};
    ds_buf split = {0};
    int bad = 0;
    for (size_t i = 0; i < 3; i++) {
        int64_t v = ABSENT;
        if (!dcm_get_int(main, number_tags[i], 0, &v))
            v = ABSENT;
        bad |= ds_buf_u64(out, (uint64_t)v);
    }
    bad |= put_texts(out, main);
    int rc = bad ? ds_fail_nomem(err) : put_report(out, main, report, err);
    const dcm_elem *own = dcm_set_find(main, 0x52009230);
    bool each = im && im->frames > 1 && ((own && own->nitems) || dcm_set_find(main, 0x3004000c));
    uint32_t n = !im ? 0 : each ? im->frames : 1;
    bad = ds_buf_varint(out, n);
    for (uint32_t i = 0; i < n && rc == 0 && !bad; i++) {
        ds_dicom_place p;
        read_place(&p, main, i, im->frames);
        rescale(&p, im, shape);
        ds_buf_reset(&split);
        bad = put_split(&split, main, i) | put_place(out, &p, &split);
    }
    ds_buf_fini(&split);
    return rc == 0 && bad ? ds_fail_nomem(err) : rc;
}

/* ---- reading ---- */

static const char *take_text(cursor *c, size_t *n)
{
    const uint8_t *is = take(c, 1);
    uint64_t v = 0;
    *n = 0;
    if (!is || !ds_varint_get(c->p, c->len, &c->at, &v) || v > c->len - c->at) {
        c->bad = true;
        return NULL;
    }
    const uint8_t *p = take(c, (size_t)v);
    *n = *is ? (size_t)v : 0;
    return *is ? (const char *)p : NULL;
}

static bool finite_all(const double *v, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (!isfinite(v[i]))
            return false;
    return true;
}

static void take_place(cursor *c, ds_dicom_place *p)
{
    const uint8_t *q = take(c, 1 + 12 * sizeof(double));
    memset(p, 0, sizeof *p);
    if (!q)
        return;
    p->has = q[0] & 7U;
    q++;
    memcpy(p->spacing, q, sizeof p->spacing);
    memcpy(p->position, q + 2 * sizeof(double), sizeof p->position);
    memcpy(p->orientation, q + 5 * sizeof(double), sizeof p->orientation);
    memcpy(&p->order, q + 11 * sizeof(double), sizeof p->order);
    if (!finite_all(p->spacing, 2) || !finite_all(p->position, 3) ||
        !finite_all(p->orientation, 6) || !isfinite(p->order))
        c->bad = true;
    p->split = take_text(c, &p->split_len);
    c->bad |= !p->split;
}

void ds_dicom_facts_fini(ds_dicom_facts *f)
{
    ds_buf_fini(&f->bytes);
    free(f->places);
    memset(f, 0, sizeof *f);
}

int ds_dicom_facts_read(ds_dicom_facts *f, const void *bytes, size_t len, uint32_t frames,
                        ds_err *err)
{
    uint64_t n = 0;
    memset(f, 0, sizeof *f);
    if (ds_buf_put(&f->bytes, bytes, len) != 0)
        return ds_fail_nomem(err);
    cursor c = {f->bytes.data, len, 0, false};
    int64_t *numbers[] = {&f->series_number, &f->instance, &f->acquisition};
    for (size_t i = 0; i < 3; i++) {
        const uint8_t *q = take(&c, 8);
        *numbers[i] = q ? (int64_t)ds_get_u64(q) : ABSENT;
    }
    for (size_t i = 0; i < DS_FACTS; i++)
        f->text[i] = take_text(&c, &f->len[i]);
    c.bad = c.bad || !ds_varint_get(c.p, c.len, &c.at, &n) || n > (c.len - c.at) / 99;
    if (!c.bad && n > 0 && !(f->places = calloc((size_t)n, sizeof *f->places)))
        return ds_fail_nomem(err);
    f->nplaces = c.bad ? 0 : (uint32_t)n;
    for (uint32_t i = 0; i < f->nplaces && !c.bad; i++)
        take_place(&c, &f->places[i]);
    if (!c.bad && c.at == len && (n == frames || (n == 1 && frames > 0)))
        return 0;
    ds_dicom_facts_fini(f);
    return ds_fail(err, DS_CORRUPT, "a worker's answer is damaged");
}
