/* dicomwork.c - see dicomwork.h. */
#include "dicomwork.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "dcmchar.h"
#include "deidreport.h"
#include "dicomjson.h"
#include "io.h"

typedef struct work {
    const ds_dicom_opts *o;
    ds_dicom_result r;
    dcm_tree *t;
    dcm_file *f;
    dcm_verdict v;
    ds_dicom_file copy;
    bool copying;
    int out;
    ds_buf frame, values;
} work;

static int outcome(work *w, enum ds_dicom_outcome what, const char *reason, const char *message)
{
    w->r.outcome = what;
    snprintf(w->r.reason, sizeof w->r.reason, "%s", reason && *reason ? reason : "unknown");
    ds_buf_reset(&w->r.message);
    return ds_buf_puts(&w->r.message, message);
}

static unsigned size_of(enum dcm_sample d)
{
    return d == DCM_U8 || d == DCM_I8 ? 1 : d == DCM_U16 || d == DCM_I16 ? 2 : d == DCM_F64 ? 8 : 4;
}

/* ---- values -------------------------------------------------------------------------------------
 */

typedef struct rescale {
    double slope, intercept;
} rescale;

/* Pixel Value Transformation Sequence of functional groups, if it is there. */
static void from_groups(const dcm_set *groups, rescale *r)
{
    const dcm_elem *e = groups ? dcm_set_find(groups, 0x00289145) : NULL;
    if (!e || !e->nitems)
        return;
    dcm_get_real(e->items[0], 0x00281053, 0, &r->slope);
    dcm_get_real(e->items[0], 0x00281052, 0, &r->intercept);
}

/* The frame's own, else the shared, else the top's (PS3.3 C.7.6.16). */
static rescale rescale_of(const dcm_set *s, uint32_t frame)
{
    rescale r = {1, 0};
    const dcm_elem *shared = dcm_set_find(s, 0x52009229), *own = dcm_set_find(s, 0x52009230);
    dcm_get_real(s, 0x00281053, 0, &r.slope);
    dcm_get_real(s, 0x00281052, 0, &r.intercept);
    from_groups(shared && shared->nitems ? shared->items[0] : NULL, &r);
    from_groups(own && frame < own->nitems ? own->items[frame] : NULL, &r);
    return r;
}

static double stored(const uint8_t *p, enum dcm_sample d)
{
    uint64_t u = 0;
    float f;
    double g;
    for (unsigned i = 0; i < size_of(d); i++)
        u |= (uint64_t)p[i] << 8 * i;
    switch (d) {
    case DCM_I8:
        return (int8_t)u;
    case DCM_I16:
        return (int16_t)u;
    case DCM_I32:
        return (int32_t)u;
    case DCM_F32: {
        uint32_t half = (uint32_t)u;
        memcpy(&f, &half, sizeof f);
        return (double)f;
    }
    case DCM_F64:
        memcpy(&g, &u, sizeof g);
        return g;
    default:
        return (double)u;
    }
}

static int to_modality(work *w, uint32_t frame)
{
    const rescale r = rescale_of(dcm_tree_main(w->t), frame);
    unsigned size = size_of(w->r.image.dtype);
    size_t n = w->frame.len / size, bytes;
    ds_buf_reset(&w->values);
    if (!ds_mul_size(n, 4, &bytes) || ds_buf_reserve(&w->values, bytes) != 0)
        return DS_NOMEM;
    for (size_t i = 0; i < n; i++) {
        /* One rounding to double a step, one to float at the end. */
        float v =
            (float)(stored(w->frame.data + i * size, w->r.image.dtype) * r.slope + r.intercept);
        uint32_t u;
        memcpy(&u, &v, sizeof u);
        ds_set_u32(w->values.data + 4 * i, u);
    }
    w->values.len = bytes;
    return 0;
}

/* ---- pixels -------------------------------------------------------------------------------------
 */

static int one_frame(work *w, uint32_t i, ds_err *err)
{
    const dcm_image *im = &w->r.image;
    const char *reason = "undecodable";
    int rc = dcm_file_frame(w->f, i, &w->frame, &reason, err);
    if (rc != 0) {
        outcome(w, DS_DICOM_FAILED, reason, err->msg);
        return rc;
    }
    dcm_mask_frame(w->frame.data, im->rows, im->cols, im->samples, size_of(im->dtype), &w->v);
    if (w->copying)
        rc = ds_dicom_file_frame(&w->copy, w->frame.data, w->frame.len, err);
    const ds_buf *b = &w->frame;
    if (rc == 0 && w->o->values == DS_VALUES_MODALITY) {
        rc = to_modality(w, i) ? ds_fail_nomem(err) : 0;
        b = &w->values;
    }
    if (rc == 0 && w->r.frame_bytes != b->len)
        rc = ds_fail(err, DS_FAIL, "a frame of %zu bytes", b->len);
    return rc == 0 ? ds_write_full(w->out, "temporary file", b->data, b->len, err) : rc;
}

static int describe(work *w, ds_err *err)
{
    const char *reason = "undecodable";
    int rc = dcm_file_image(w->f, &w->r.image, &reason, err);
    if (rc != 0 && strcmp(reason, "no-pixels") == 0) {
        ds_err_clear(err);
        return 0;
    }
    if (rc != 0) {
        outcome(w, DS_DICOM_FAILED, reason, err->msg);
        return rc;
    }
    w->r.has_image = true;
    w->r.dtype = w->o->values == DS_VALUES_MODALITY ? DCM_F32 : w->r.image.dtype;
    uint64_t n = (uint64_t)w->r.image.rows * w->r.image.cols;
    if (__builtin_mul_overflow(n, (uint64_t)w->r.image.samples * size_of(w->r.dtype),
                               &w->r.frame_bytes))
        return ds_fail(err, DS_FAIL, "a frame that no memory holds");
    if (w->o->values == DS_VALUES_MODALITY && dcm_set_find(dcm_tree_main(w->t), 0x00283000)) {
        outcome(w, DS_DICOM_FAILED, "modality-lut", "it has a modality LUT sequence");
        return DS_FAIL;
    }
    return 0;
}

/* ---- the object ---------------------------------------------------------------------------------
 */

static bool is_dicomdir(const dcm_tree *t)
{
    return dcm_set_find(dcm_tree_main((dcm_tree *)(uintptr_t)t), 0x00041220) != NULL;
}

/* 1 when the object is not to come out. */
static int deidentify(work *w, ds_err *err)
{
    unsigned flags = 0;
    int rc = dcm_tree_utf8(w->t, w->o->encoding, &flags, err);
    if (rc == 0 && w->o->key)
        rc = dcm_deid_run(w->t, w->o->policy, w->o->key, w->r.ids, w->r.actions, &w->v, err);
    if (rc != 0)
        return rc;
    w->r.already = w->v.already;
    w->r.masked = w->v.pixels == DCM_PIX_MASK;
    if (w->v.hold || (w->v.pixels == DCM_PIX_HOLD && w->o->burned_in == DS_BURNED_HOLD)) {
        outcome(w, DS_DICOM_HELD, w->v.reason, "held by a rule");
        return 1;
    }
    return 0;
}

static int make_texts(work *w, ds_err *err)
{
    const dcm_set *s = dcm_tree_main(w->t);
    const char *p;
    size_t n;
    if (dcm_get_text(s, 0x00080018, 0, &p, &n) && ds_buf_put(&w->r.key, p, n) != 0)
        return ds_fail_nomem(err);
    int rc = ds_dicom_json(s, &w->r.meta, err);
    return rc == 0 ? ds_dicom_text(s, &w->r.text, err) : rc;
}

/* The result goes to the front once its length is known: nothing in it changes afterwards but the
 * outcome, which is of one length. */
static int write_front(work *w, ds_err *err)
{
    ds_buf b = {0};
    uint8_t head[8];
    int rc = ds_dicom_result_write(&w->r, &b, err);
    ds_set_u64(head, b.len);
    if (rc == 0)
        rc = ds_write_full(w->out, "temporary file", head, sizeof head, err);
    if (rc == 0)
        rc = ds_write_full(w->out, "temporary file", b.data, b.len, err);
    ds_buf_fini(&b);
    return rc;
}

static int frames(work *w, ds_err *err)
{
    int rc = 0;
    if (w->o->to_dicom) {
        rc = ds_dicom_file_begin(&w->copy, w->o->to_dicom, w->t,
                                 w->r.has_image ? &w->r.image : NULL, err);
        w->copying = rc == 0;
    }
    for (uint32_t i = 0; w->r.has_image && i < w->r.image.frames && rc == 0; i++)
        rc = one_frame(w, i, err);
    if (w->copying && rc == 0)
        rc = ds_dicom_file_end(&w->copy, err);
    else if (w->copying)
        ds_dicom_file_abort(&w->copy);
    return rc;
}

static int object(work *w, int fd, const char *name, ds_err *err)
{
    uint64_t size;
    char path[32];
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    int rc = ds_sha_file(&w->r.sha, &size, path, err);
    if (rc == 0)
        rc = dcm_file_open(&w->f, &w->t, fd, name, &w->o->limits, err);
    if (rc != 0) {
        bool not = strstr(err->msg, "not a DICOM file") != NULL;
        outcome(w, not ? DS_DICOM_HELD : DS_DICOM_FAILED, not ? "not-dicom" : "damaged", err->msg);
        return rc;
    }
    if (is_dicomdir(w->t)) {
        outcome(w, DS_DICOM_HELD, "dicomdir", "a directory of other files");
        return 1;
    }
    rc = describe(w, err); /* before the tree is changed */
    if (rc == 0)
        rc = deidentify(w, err);
    if (rc == 0)
        rc = make_texts(w, err);
    if (rc == 0)
        rc = write_front(w, err);
    return rc == 0 ? frames(w, err) : rc;
}

int ds_dicom_work(const ds_dicom_opts *o, int fd, int out, const char *name)
{
    work w = {.o = o, .out = out};
    ds_err err = {0};
    int rc = dcm_ids_new(&w.r.ids, &err);
    if (rc == 0)
        rc = dcm_actions_new(&w.r.actions, &err);
    if (rc == 0)
        rc = object(&w, fd, name, &err);
    if (rc != 0) { /* only what became of it, from the start */
        if (w.r.outcome == DS_DICOM_RECORD)
            outcome(&w, DS_DICOM_FAILED, "failed", err.msg);
        ds_buf_reset(&w.r.meta);
        ds_buf_reset(&w.r.text);
        ds_buf_reset(&w.r.key);
        w.r.has_image = false;
        dcm_actions_free(w.r.actions); /* of an object that does not come out */
        w.r.actions = NULL;
        ds_err_clear(&err);
        rc = lseek(out, 0, SEEK_SET) == 0 && ftruncate(out, 0) == 0 ? write_front(&w, &err) : -1;
    }
    dcm_file_close(w.f);
    dcm_tree_free(w.t);
    ds_buf_fini(&w.frame);
    ds_buf_fini(&w.values);
    ds_dicom_result_fini(&w.r);
    return rc;
}
