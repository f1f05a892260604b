/* dicomwork.c - see dicomwork.h. */
#include "dicomwork.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "dcmchar.h"
#include "dcmcodec.h"
#include "dicomdevice.h"
#include "dcmdiffusion.h"
#include "dicomfacts.h"
#include "dicomfiles.h"
#include "dicominput.h"
#include "dicomjson.h"
#include "dicompatch.h"
#include "dicomreport.h"
#include "io.h"

#define MEMORY_MAX ((uint64_t)16 << 20) /* of input, or of frames in an answer */
#define KEEP_MAX ((size_t)4 << 20)
#define PIECE ((size_t)64 << 10)

typedef struct work {
    const ds_dicom_opts *o;
    ds_dicom_result r;
    dcm_tree *t;
    dcm_file *f;
    dcm_verdict v;
    dcm_image im;
    dcm_chain *chain;
    ds_dicom_file copy;
    bool copying, headers;
    bool touched, cleaned; /* de-identification has begun, has ended */
    int dtype;             /* of the values; 0: as the options say */
    int *out;
} work;

/* Kept from one object to the next, so that their pages are. */
static struct {
    ds_buf input, frame, values, laid;
} kept;

static int outcome(work *w, enum ds_dicom_outcome what, const char *reason, const char *message)
{
    w->r.outcome = what;
    snprintf(w->r.reason, sizeof w->r.reason, "%s", reason && *reason ? reason : "unknown");
    ds_buf_reset(&w->r.message);
    return ds_buf_puts(&w->r.message, message);
}

/* What is sound but not for us is held; what is broken has failed. */
static int give_up(work *w, const char *reason, int rc, const ds_err *err)
{
    static const char *const sound[] = {"not-dicom", "file-too-large", "frame-too-large",
                                        "too-many-frames"};
    bool held = strncmp(reason, "unsupported-", 12) == 0;
    for (size_t i = 0; i < sizeof sound / sizeof *sound; i++)
        held = held || strcmp(reason, sound[i]) == 0;
    outcome(w, held ? DS_DICOM_HELD : DS_DICOM_FAILED, reason, err->msg);
    return rc;
}

/* ---- pixels ---- */

/* On the device where there is one that makes such values; *laid: in patches already. */
static int make_values(work *w, uint32_t i, bool *laid, ds_err *err)
{
    bool made = false;
    int rc = w->o->device ? ds_dicom_device_frame(w->o->device, w->chain, &w->im, i, w->o->patch,
                                                  &kept.frame, &kept.values, &made, err)
                          : 0;
    *laid = made && w->o->patch;
    if (rc != 0)
        return give_up(w, "device", rc, err);
    return made ? 0 : dcm_chain_frame(w->chain, i, &kept.frame, &kept.values, err);
}

/* Values that stand in the input as they go out are taken from there; others are made. */
static int make_frame(work *w, uint32_t i, const uint8_t **p, size_t *n, bool *laid, ds_err *err)
{
    const dcm_image *im = &w->im;
    const char *reason = "undecodable";
    *laid = false;
    if (w->v.pixels != DCM_PIX_MASK && dcm_chain_keeps(w->chain, i) && dcm_file_lend(w->f, i, p, n))
        return w->copying ? ds_dicom_file_frame(&w->copy, *p, *n, err) : 0;
    int rc = dcm_file_frame(w->f, i, &kept.frame, &reason, err);
    if (rc != 0)
        return give_up(w, reason, rc, err);
    dcm_mask_frame(kept.frame.data, im->rows, im->cols, im->samples, dcm_sample_size(im->dtype),
                   &w->v);
    if (w->copying)
        rc = ds_dicom_file_frame(&w->copy, kept.frame.data, kept.frame.len, err);
    if (rc == 0)
        rc = make_values(w, i, laid, err);
    *p = kept.values.data;
    *n = kept.values.len;
    return rc;
}

static int lay(const work *w, const uint8_t **p, size_t *n, ds_err *err)
{
    ds_patches g;
    int rc = ds_patches_of(&g, w->o->patch, &w->r.shape, err);
    if (rc == 0)
        rc = ds_patches_lay(&g, *p, &kept.laid, err);
    *p = kept.laid.data;
    *n = kept.laid.len;
    return rc;
}

static int one_frame(work *w, uint32_t i, ds_err *err)
{
    const uint8_t *p;
    size_t n;
    bool laid;
    int rc = make_frame(w, i, &p, &n, &laid, err);
    if (rc == 0 && w->o->patch && !laid)
        rc = lay(w, &p, &n, err);
    if (rc == 0 && w->r.frame_bytes != n)
        rc = ds_fail(err, DS_FAIL, "a frame of %zu bytes", n);
    return rc == 0 ? ds_write_full(*w->out, "an answer", p, n, err) : rc;
}

/* `first` once more for frames before the n-th, where no line was written for them. */
static int repeat_first(ds_buf *all, size_t first, uint32_t n)
{
    int bad = ds_buf_reserve(all, ((size_t)n + 1) * (first + 1));
    for (uint32_t i = 1; i < n && !bad; i++)
        bad = ds_buf_putc(all, '\n') | ds_buf_put(all, all->data, first);
    return bad;
}

/* One line, or one for each frame where they differ. */
static int describe_chain(work *w, ds_err *err)
{
    ds_buf line = {0}, *all = &w->r.chain;
    bool same = true;
    int rc = dcm_chain_json(w->chain, 0, all, err);
    const size_t first = all->len;
    for (uint32_t i = 1; i < w->im.frames && rc == 0; i++) {
        ds_buf_reset(&line);
        rc = dcm_chain_json(w->chain, i, &line, err);
        bool differs = line.len != first || memcmp(line.data, all->data, first) != 0;
        if (rc == 0 && same && differs && repeat_first(all, first, i) != 0)
            rc = ds_fail_nomem(err);
        same = same && !differs;
        if (rc == 0 && !same && (ds_buf_putc(all, '\n') | ds_buf_put(all, line.data, line.len)))
            rc = ds_fail_nomem(err);
    }
    ds_buf_fini(&line);
    return rc;
}

static int describe(work *w, ds_err *err)
{
    const char *reason = "undecodable";
    int rc = dcm_file_image(w->f, &w->im, &reason, err);
    if (rc != 0 && strcmp(reason, "no-pixels") == 0) {
        ds_err_clear(err);
        return 0;
    }
    if (rc != 0)
        return give_up(w, reason, rc, err);
    dcm_chain_opts steps = w->o->chain;
    steps.dtype = w->dtype ? w->dtype : steps.dtype;
    rc = dcm_chain_new(&w->chain, dcm_tree_main(w->t), &w->im, &steps, &reason, err);
    if (rc != 0)
        return give_up(w, reason, rc, err);
    w->r.has_image = true;
    w->r.surplus = w->im.surplus;
    w->r.shape = dcm_chain_shape(w->chain);
    uint64_t n = (uint64_t)w->r.shape.rows * w->r.shape.cols;
    if (__builtin_mul_overflow(n, (uint64_t)w->r.shape.samples * dcm_sample_size(w->r.shape.dtype),
                               &w->r.frame_bytes))
        return ds_fail(err, DS_FAIL, "a frame that no memory holds");
    if (w->o->patch) {
        ds_patches g;
        rc = ds_patches_of(&g, w->o->patch, &w->r.shape, err);
        w->r.frame_bytes = (uint64_t)g.down * g.across * g.side * g.side * g.pixel;
    }
    return rc == 0 ? describe_chain(w, err) : rc;
}

/* ---- the object ---- */

static bool is_dicomdir(const dcm_tree *t)
{
    return dcm_set_find(dcm_tree_main((dcm_tree *)(uintptr_t)t), 0x00041220) != NULL;
}

static int clean(work *w, ds_err *err)
{
    unsigned flags = 0;
    w->touched = true;
    int rc = dcm_diffusion_fill(w->t, err); /* de-identification drops where it is from */
    rc = rc ? rc : dcm_tree_utf8(w->t, w->o->encoding, &flags, err);
    if (rc == 0 && w->o->key)
        rc = dcm_deid_run(w->t, w->o->policy, w->o->key, w->r.ids, w->r.actions, &w->v, err);
    w->r.unread = flags & DCM_CHAR_REPLACED;
    w->cleaned = rc == 0;
    return rc;
}

/* 1 when the object is not to come out. */
static int deidentify(work *w, ds_err *err)
{
    int rc = clean(w, err);
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

static int make_facts(work *w, ds_err *err)
{
    const dcm_set *s = dcm_tree_main(w->t);
    const char *p;
    size_t n;
    if (dcm_get_text(s, 0x00080018, 0, &p, &n) && ds_buf_put(&w->r.key, p, n) != 0)
        return ds_fail_nomem(err);
    return ds_dicom_facts_write(&w->r.facts.bytes, s, w->r.has_image ? &w->im : NULL, &w->r.shape,
                                !w->headers, err);
}

static int make_texts(work *w, ds_err *err)
{
    const dcm_set *s = dcm_tree_main(w->t);
    int rc = ds_dicom_json(s, &w->r.meta, err);
    if (rc == 0)
        rc = ds_dicom_text(s, &w->r.text, err);
    return rc == 0 ? make_facts(w, err) : rc;
}

static void forget_texts(work *w)
{
    ds_buf_reset(&w->r.meta);
    ds_buf_reset(&w->r.text);
    ds_buf_reset(&w->r.key);
    ds_buf_reset(&w->r.facts.bytes);
    w->r.has_image = false;
}

/* Whom an object that fails names, as far as it could be read; of headers, where its slice lies
 * too: without it two of three would look like a volume of two. */
static int tell_lost(work *w, ds_err *err)
{
    const dcm_chain_opts *o = &w->o->chain;
    int64_t rows = 0, cols = 0, samples = 1, frames = 1;
    if (!w->t || w->touched != w->cleaned)
        return 0;
    int rc = w->cleaned ? 0 : clean(w, err);
    if (rc != 0 || !w->headers)
        return rc;
    const dcm_set *s = dcm_tree_main(w->t);
    dcm_get_int(s, 0x00280010, 0, &rows);
    dcm_get_int(s, 0x00280011, 0, &cols);
    dcm_get_int(s, 0x00280002, 0, &samples);
    dcm_get_int(s, 0x00280008, 0, &frames);
    if (rows <= 0 || cols <= 0 || frames != 1)
        return 0;
    w->im = (dcm_image){.rows = (uint32_t)rows, .cols = (uint32_t)cols, .frames = 1};
    w->r.has_image = true;
    w->r.shape = (dcm_shape){.frames = 1,
                             .rows = o->rows ? o->rows : w->im.rows,
                             .cols = o->cols ? o->cols : w->im.cols,
                             .samples = (uint32_t)samples};
    return make_facts(w, err);
}

/* What is long goes to a file: memory is for the short. */
static int make_room(work *w, ds_err *err)
{
    uint64_t all;
    int fd;
    if (w->headers || !w->r.has_image ||
        (!__builtin_mul_overflow(w->r.frame_bytes, (uint64_t)w->r.shape.frames, &all) &&
         all <= MEMORY_MAX))
        return 0;
    int rc = ds_dicom_temp(&fd, err);
    if (rc == 0)
        *w->out = fd;
    return rc;
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
        rc = ds_write_full(*w->out, "an answer", head, sizeof head, err);
    if (rc == 0)
        rc = ds_write_full(*w->out, "an answer", b.data, b.len, err);
    ds_buf_fini(&b);
    return rc;
}

static int frames(work *w, ds_err *err)
{
    int rc = 0;
    if (w->o->to_dicom) {
        ds_buf path = {0};
        rc = ds_dicom_file_path(&path, w->o->to_dicom, &w->r.sha, err);
        if (rc == 0)
            rc = ds_dicom_file_begin(&w->copy, (const char *)path.data, w->t,
                                     w->r.has_image ? &w->im : NULL, err);
        w->copying = rc == 0;
        ds_buf_fini(&path);
    }
    /* Objects are decoded side by side; the frames of a long one are all that there may be to do.
     */
    dcm_codec_threads(w->r.has_image && w->im.frames > 1 ? w->o->decoders : 1);
    for (uint32_t i = 0; w->r.has_image && i < w->im.frames && rc == 0; i++)
        rc = one_frame(w, i, err);
    if (w->copying && rc == 0)
        rc = ds_dicom_file_end(&w->copy, err);
    else if (w->copying)
        ds_dicom_file_abort(&w->copy);
    return rc;
}

/* Once through it, a piece at a time while that is in the cache: what is short is kept in memory,
 * what is long is read again where it lies. */
static int read_input(work *w, const ds_work_job *job, dcm_bytes *from, ds_err *err)
{
    const bool keep = job->size <= MEMORY_MAX;
    ds_hasher *h = NULL;
    *from = (dcm_bytes){.fd = job->in, .at = job->at, .size = job->size};
    ds_buf_reset(&kept.input);
    if (ds_buf_reserve(&kept.input, keep ? (size_t)job->size + 1 : PIECE) != 0)
        return ds_fail_nomem(err);
    int rc = ds_hasher_new(&h, err);
    for (uint64_t at = 0; at < job->size && rc == 0;) {
        size_t n = job->size - at < PIECE ? (size_t)(job->size - at) : PIECE;
        uint8_t *to = kept.input.data + (keep ? at : 0);
        rc = ds_pread_exact(job->in, job->name, to, n, job->at + at, err);
        if (rc == 0)
            rc = ds_hasher_put(h, to, n, err);
        at += n;
    }
    if (rc == 0)
        rc = ds_hasher_end(h, &w->r.sha, err);
    ds_hasher_free(h);
    from->mem = keep ? kept.input.data : NULL;
    return rc;
}

static int object(work *w, const ds_work_job *job, ds_err *err)
{
    dcm_bytes from;
    const char *reason = "unreadable";
    int rc = read_input(w, job, &from, err);
    if (rc == 0)
        rc = dcm_file_open(&w->f, &w->t, &from, job->name, &w->o->limits, &reason, err);
    if (rc != 0)
        return give_up(w, reason, rc, err);
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
        rc = make_room(w, err);
    if (rc == 0)
        rc = write_front(w, err);
    return rc == 0 && !w->headers ? frames(w, err) : rc;
}

/* What one large object needed does not stay. */
static void forget_long(void)
{
    ds_buf *all[] = {&kept.input, &kept.frame, &kept.values, &kept.laid};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        if (all[i]->cap > KEEP_MAX)
            ds_buf_fini(all[i]);
}

int ds_dicom_work(const ds_dicom_opts *o, const ds_work_job *job, int *out)
{
    work w = {.o = o, .out = out, .headers = job->ask == DS_DICOM_HEADERS};
    w.dtype = w.headers ? 0 : job->ask;
    ds_err err = {0};
    int rc = lseek(*out, 0, SEEK_SET) == 0 ? 0 : ds_fail_errno(&err, errno, "an answer");
    if (rc == 0)
        rc = dcm_ids_new(&w.r.ids, &err);
    if (rc == 0)
        rc = dcm_actions_new(&w.r.actions, &err);
    if (rc == 0)
        rc = object(&w, job, &err);
    if (rc != 0) { /* only what became of it, from the start */
        if (w.r.outcome == DS_DICOM_RECORD)
            outcome(&w, DS_DICOM_FAILED, "failed", err.msg);
        forget_texts(&w);
        ds_err_clear(&err);
        if (tell_lost(&w, &err) != 0)
            forget_texts(&w);
        dcm_actions_free(w.r.actions); /* of an object that does not come out */
        w.r.actions = NULL;
        ds_err_clear(&err);
        rc = lseek(*out, 0, SEEK_SET) == 0 ? write_front(&w, &err) : -1;
    }
    dcm_chain_free(w.chain);
    dcm_file_close(w.f);
    dcm_tree_free(w.t);
    forget_long();
    ds_dicom_result_fini(&w.r);
    return rc;
}
