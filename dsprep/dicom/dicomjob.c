/* dicomjob.c - see dicomjob.h: results on their way from a worker, whose work is in dicomwork.c,
 * under workpool.c. */
#include "dicomjob.h"

#include <stdlib.h>
#include <string.h>

#include "dicominput.h"
#include "dicomwork.h"
#include "io.h"
#include "workpool.h"
#include "dicomcursor.h"

#define JOBS_MAX 2000                   /* that a process serves */
#define GROWTH_MAX ((uint64_t)48 << 20) /* of a process */
#define HEADER_MAX ((size_t)256 << 20)

void ds_dicom_result_fini(ds_dicom_result *r)
{
    ds_buf_fini(&r->message);
    ds_buf_fini(&r->key);
    ds_buf_fini(&r->meta);
    ds_buf_fini(&r->text);
    ds_buf_fini(&r->chain);
    ds_dicom_facts_fini(&r->facts);
    dcm_ids_free(r->ids);
    dcm_actions_free(r->actions);
    memset(r, 0, sizeof *r);
}

/* ---- the form: fixed fields, then buffers with their lengths ---- */

static int put_block(ds_buf *b, const void *p, size_t n)
{
    return ds_buf_varint(b, n) | ds_buf_put(b, p, n);
}

typedef struct action_out {
    ds_buf b;
    int bad;
} action_out;

static void put_action(void *ctx, uint32_t tag, const char *creator, enum dcm_action act,
                       uint64_t n)
{
    action_out *o = ctx;
    o->bad |= ds_buf_u32(&o->b, tag) | ds_buf_putc(&o->b, (uint8_t)act) | ds_buf_varint(&o->b, n) |
              put_block(&o->b, creator ? creator : "", creator ? strlen(creator) : 0);
}

int ds_dicom_result_write(const ds_dicom_result *r, ds_buf *out, ds_err *err)
{
    ds_buf b = {0};
    int rc = r->ids ? dcm_ids_write(r->ids, &b, err) : 0;
    int bad =
        ds_buf_putc(out, (uint8_t)r->outcome) | ds_buf_putc(out, r->masked) |
        ds_buf_putc(out, r->already) | ds_buf_putc(out, r->has_image) |
        ds_buf_putc(out, r->unread) | ds_buf_put(out, &r->sha, sizeof r->sha) |
        ds_buf_put(out, &r->shape, sizeof r->shape) | ds_buf_u64(out, r->frame_bytes) |
        ds_buf_u32(out, r->surplus) | put_block(out, r->reason, strlen(r->reason)) |
        put_block(out, r->message.data, r->message.len) | put_block(out, r->key.data, r->key.len) |
        put_block(out, r->meta.data, r->meta.len) | put_block(out, r->text.data, r->text.len) |
        put_block(out, r->chain.data, r->chain.len) |
        put_block(out, r->facts.bytes.data, r->facts.bytes.len) | put_block(out, b.data, b.len);
    action_out acts = {.bad = bad};
    if (r->actions)
        dcm_actions_each(r->actions, put_action, &acts);
    bad = acts.bad | ds_buf_put(out, acts.b.data, acts.b.len);
    ds_buf_fini(&acts.b);
    ds_buf_fini(&b);
    return rc ? rc : bad ? ds_fail_nomem(err) : 0;
}

static const uint8_t *take_block(cursor *c, size_t *n)
{
    uint64_t v = 0;
    *n = 0;
    if (c->bad || !ds_varint_get(c->p, c->len, &c->at, &v) || v > c->len - c->at) {
        c->bad = true;
        return NULL;
    }
    *n = (size_t)v;
    return take(c, *n);
}

static void take_buf(cursor *c, ds_buf *b)
{
    size_t n;
    const uint8_t *p = take_block(c, &n);
    if (p && ds_buf_put(b, p, n) != 0)
        c->bad = true;
}

static int take_actions(cursor *c, dcm_actions *a, ds_err *err)
{
    int rc = 0;
    while (rc == 0 && !c->bad && c->at < c->len) {
        const uint8_t *p = take(c, 5);
        uint64_t n = 0;
        size_t len;
        char creator[65];
        if (!p || !ds_varint_get(c->p, c->len, &c->at, &n) || p[4] >= DCM_ACTS) {
            c->bad = true;
            break;
        }
        const uint8_t *name = take_block(c, &len);
        if (len > 64)
            len = 64;
        if (name)
            memcpy(creator, name, len);
        creator[len] = 0;
        rc = dcm_actions_add(a, ds_get_u32(p), len ? creator : NULL, (enum dcm_action)p[4], n, err);
    }
    return rc;
}

/* What the child wrote is not trusted: it may have been taken over. */
int ds_dicom_result_read(ds_dicom_result *r, const void *p, size_t len, ds_err *err)
{
    cursor c = {p, len, 0, false};
    size_t n = 0;
    const uint8_t *q = take(&c, 5);
    if (q && q[0] <= DS_DICOM_FAILED) {
        r->outcome = (enum ds_dicom_outcome)q[0];
        r->masked = q[1] == 1;
        r->already = q[2] == 1;
        r->has_image = q[3] == 1;
        r->unread = q[4] == 1;
    } else {
        c.bad = true;
    }
    if ((q = take(&c, sizeof r->sha)) != NULL)
        memcpy(&r->sha, q, sizeof r->sha);
    if ((q = take(&c, sizeof r->shape)) != NULL)
        memcpy(&r->shape, q, sizeof r->shape);
    if ((q = take(&c, 8)) != NULL)
        r->frame_bytes = ds_get_u64(q);
    if ((q = take(&c, 4)) != NULL)
        r->surplus = ds_get_u32(q);
    q = take_block(&c, &n);
    if (q && n < sizeof r->reason)
        memcpy(r->reason, q, n);
    take_buf(&c, &r->message);
    take_buf(&c, &r->key);
    take_buf(&c, &r->meta);
    take_buf(&c, &r->text);
    take_buf(&c, &r->chain);
    q = take_block(&c, &n);
    int rc = n ? ds_dicom_facts_read(&r->facts, q, n, r->shape.frames, err) : 0;
    q = take_block(&c, &n);
    if (rc == 0)
        rc = dcm_ids_new(&r->ids, err);
    if (rc == 0 && q && n)
        rc = dcm_ids_read(r->ids, q, n, err);
    if (rc == 0)
        rc = dcm_actions_new(&r->actions, err);
    if (rc == 0)
        rc = take_actions(&c, r->actions, err);
    return rc == 0 && c.bad ? ds_fail(err, DS_CORRUPT, "a worker's answer is damaged") : rc;
}

static int fail_with(ds_dicom_result *r, const char *reason, const char *message, ds_err *err)
{
    ds_dicom_result_fini(r);
    r->outcome = DS_DICOM_FAILED;
    memcpy(r->reason, reason, strlen(reason) + 1);
    return ds_buf_puts(&r->message, message) ? ds_fail_nomem(err) : 0;
}

/* ---- jobs ---- */

struct ds_dicom_jobs {
    ds_workpool *pool;
    ds_dicom_opts o;
};

static int work(void *ctx, const ds_work_job *job, int *out)
{
    const ds_dicom_jobs *j = ctx;
    return ds_dicom_work(&j->o, job, out);
}

int ds_dicom_jobs_new(ds_dicom_jobs **out, const ds_dicom_opts *o, unsigned workers, ds_err *err)
{
    ds_dicom_jobs *j = *out = calloc(1, sizeof *j);
    if (!j)
        return ds_fail_nomem(err);
    j->o = *o;
    const ds_work_opts w = {.fn = work,
                            .ctx = j,
                            .workers = workers,
                            .seconds = o->seconds,
                            .jobs = JOBS_MAX,
                            .memory = o->memory,
                            .growth = o->device ? 0 : GROWTH_MAX}; /* it is large */
    int rc = ds_workpool_new(&j->pool, &w, err);
    if (rc != 0) {
        free(j);
        *out = NULL;
    }
    return rc;
}

void ds_dicom_jobs_free(ds_dicom_jobs *j)
{
    if (j)
        ds_workpool_free(j->pool);
    free(j);
}

bool ds_dicom_jobs_full(const ds_dicom_jobs *j)
{
    return ds_workpool_full(j->pool);
}

int ds_dicom_jobs_submit(ds_dicom_jobs *j, const ds_dicom_in *in, uint8_t ask, ds_err *err)
{
    const ds_work_job job = {
        .in = in->fd, .at = in->at, .size = in->size, .name = in->name, .ask = ask};
    return ds_workpool_submit(j->pool, &job, err);
}

static int ended(enum ds_work_end how, ds_dicom_result *r, ds_err *err)
{
    if (how == DS_WORK_TIMEOUT)
        return fail_with(r, "worker-timeout", "took too long", err);
    if (how == DS_WORK_CRASHED)
        return fail_with(r, "worker-crashed", "the decoder crashed, or wanted too much memory",
                         err);
    return fail_with(r, "worker-failed", "the worker process failed", err);
}

static int read_front(int fd, ds_dicom_result *r, ds_err *err)
{
    uint8_t head[8];
    ds_buf b = {0};
    ds_err bad = {0};
    int rc = ds_pread_exact(fd, "an answer", head, sizeof head, 0, &bad);
    uint64_t n = rc == 0 ? ds_get_u64(head) : 0;
    if (n == 0 || n > HEADER_MAX)
        return fail_with(r, "worker-failed", "the worker gave no answer", err);
    if (ds_buf_reserve(&b, (size_t)n) != 0)
        return ds_fail_nomem(err);
    rc = ds_pread_exact(fd, "an answer", b.data, (size_t)n, sizeof head, &bad);
    if (rc == 0)
        rc = ds_dicom_result_read(r, b.data, (size_t)n, &bad);
    ds_buf_fini(&b);
    r->data_at = sizeof head + n;
    return rc == 0 ? 0 : fail_with(r, "worker-failed", "the worker's answer is damaged", err);
}

int ds_dicom_jobs_next(ds_dicom_jobs *j, ds_dicom_result *r, int *out, ds_err *err)
{
    enum ds_work_end how;
    memset(r, 0, sizeof *r);
    int rc = ds_workpool_next(j->pool, &how, out, err);
    if (rc != 0)
        return rc;
    return how == DS_WORK_DONE ? read_front(*out, r, err) : ended(how, r, err);
}
