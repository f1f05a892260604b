/* blockpipe.c - see blockpipe.h. */
#include "blockpipe.h"

#include <stdlib.h>
#include <string.h>

#include "blockcopy.h"
#include "pool.h"
#include "sig.h"

#define BIG_BLOCK ((size_t)4 << 20) /* larger ones are not copied */
/* Bytes of sources that may wait behind a block in flight. */
#define SOURCES_MAX ((size_t)1 << 20)

typedef struct blockjob {
    ds_blockcopy copy;
    ds_buf sources; /* those that follow this block: count lies in nsources */
    void *state;
    ds_err err;
} blockjob;

typedef struct pipe_run {
    ds_instream *in;
    const ds_blockpipe_ops *ops;
    void *ctx;
    ds_pool *pool;
    blockjob *jobs;
    size_t njobs, next; /* a ring: jobs come back in the order in which they were submitted */
    blockjob *last;     /* the youngest in flight */
    void *own;          /* state for blocks that are worked on in place */
} pipe_run;

static void job_work(void *job, void *ctx)
{
    blockjob *j = job;
    pipe_run *r = ctx;
    r->ops->work(r->ctx, j->state, &j->copy.block, &j->err);
}

/* Sources waiting behind a block: size, digest, name length, name. */
static int sources_put(ds_buf *b, const ds_source *s, ds_err *err)
{
    if (ds_buf_reserve(b, 48 + s->len))
        return ds_fail_nomem(err);
    (void)ds_buf_u64(b, s->size);
    (void)ds_buf_put(b, s->sha.b, sizeof s->sha.b);
    (void)ds_buf_u64(b, s->len);
    (void)ds_buf_put(b, s->name, s->len);
    return 0;
}

static int sources_tell(pipe_run *r, const ds_buf *b, ds_err *err)
{
    int rc = 0;
    for (size_t at = 0; rc == 0 && at < b->len;) {
        const uint8_t *p = b->data + at;
        ds_source s = {
            .name = (const char *)p + 48, .len = (size_t)ds_get_u64(p + 40), .size = ds_get_u64(p)};
        memcpy(s.sha.b, p + 8, sizeof s.sha.b);
        rc = r->ops->source(r->ctx, &s, err);
        at += 48 + s.len;
    }
    return rc;
}

/* Bad bytes are told of with their place, unless the one who found them did. */
static int placed(const ds_block *b, int rc, ds_err *err)
{
    if (rc == DS_CORRUPT && b->path && strncmp(err->msg, b->path, strlen(b->path)) != 0)
        ds_err_prefix(err, "%s: block at byte %llu", b->path, (unsigned long long)b->offset);
    return rc;
}

/* Takes the oldest job and finishes it. */
static int take(pipe_run *r, ds_err *err)
{
    blockjob *j = ds_pool_next(r->pool);
    const ds_block *b = &j->copy.block;
    if (j == r->last)
        r->last = NULL;
    if (j->err.code)
        return placed(b, ds_fail_as(err, &j->err), err);
    int rc = placed(b, r->ops->done(r->ctx, j->state, b, err), err);
    return rc ? rc : sources_tell(r, &j->sources, err);
}

static int drain(pipe_run *r, ds_err *err)
{
    int rc = 0;
    while (rc == 0 && !ds_pool_empty(r->pool))
        rc = take(r, err);
    return rc;
}

static int in_place(pipe_run *r, const ds_block *b, ds_err *err)
{
    const ds_blockpipe_ops *ops = r->ops;
    int rc = drain(r, err);
    if (rc)
        return rc;
    if (ops->prepare)
        rc = ops->prepare(r->ctx, r->own, b, err);
    if (rc == 0)
        rc = ops->big ? ops->big(r->ctx, r->own, b, err) : ops->work(r->ctx, r->own, b, err);
    if (rc == 0 && !ops->big)
        rc = ops->done(r->ctx, r->own, b, err);
    return placed(b, rc, err);
}

static int on_block(pipe_run *r, const ds_block *b, ds_err *err)
{
    if (r->njobs == 0 || ds_block_bytes(b) > BIG_BLOCK)
        return in_place(r, b, err);
    int rc = 0;
    if (ds_pool_full(r->pool) && (rc = take(r, err)))
        return rc;
    blockjob *j = &r->jobs[r->next];
    r->next = (r->next + 1) % r->njobs;
    ds_err_clear(&j->err);
    ds_buf_reset(&j->sources);
    if (r->ops->prepare && (rc = r->ops->prepare(r->ctx, j->state, b, err)))
        return placed(b, rc, err);
    rc = ds_blockcopy_set(&j->copy, b, err);
    if (rc == 0)
        rc = ds_pool_submit(r->pool, j, err);
    if (rc == 0)
        r->last = j;
    return rc;
}

static int on_source(pipe_run *r, const ds_source *s, ds_err *err)
{
    if (!r->ops->source)
        return 0;
    if (r->last && r->last->sources.len + s->len > SOURCES_MAX) {
        int rc = drain(r, err);
        if (rc)
            return rc;
    }
    return r->last ? sources_put(&r->last->sources, s, err) : r->ops->source(r->ctx, s, err);
}

static int loop(pipe_run *r, ds_err *err)
{
    for (;;) {
        enum ds_event ev;
        ds_err read_err = {0};
        int rc = ds_check_interrupt(&read_err);
        if (rc == 0)
            rc = ds_instream_next(r->in, &ev, &read_err);
        if (rc) { /* what came before is told of first: an earlier error wins */
            int before = drain(r, err);
            return before ? before : ds_fail(err, rc, "%s", read_err.msg);
        }
        if (ev == DS_EV_BLOCK) {
            rc = on_block(r, ds_reader_block(ds_instream_reader(r->in)), err);
        } else if (ev == DS_EV_SOURCE) {
            rc = on_source(r, ds_reader_source(ds_instream_reader(r->in)), err);
        } else {
            rc = drain(r, err);
            if (rc == 0 && r->ops->end)
                rc = r->ops->end(r->ctx, r->in, err);
            if (rc == 0 && ds_instream_last(r->in))
                return 0;
        }
        if (rc)
            return rc;
    }
}

static int start(pipe_run *r, int threads, ds_err *err)
{
    r->own = calloc(1, r->ops->state_size ? r->ops->state_size : 1);
    if (!r->own)
        return ds_fail_nomem(err);
    if (threads > 1) {
        r->njobs = 2 * (size_t)threads;
        r->jobs = calloc(r->njobs, sizeof *r->jobs);
        if (!r->jobs) {
            r->njobs = 0;
            return ds_fail_nomem(err);
        }
    }
    for (size_t i = 0; i < r->njobs; i++)
        if (!(r->jobs[i].state = calloc(1, r->ops->state_size ? r->ops->state_size : 1)))
            return ds_fail_nomem(err);
    /* With one thread every block is worked on in place and the pool stays empty. */
    return ds_pool_new(&r->pool, threads, r->njobs ? (int)r->njobs : 1, job_work, r, err);
}

int ds_blockpipe_run(ds_instream *in, const ds_blockpipe_ops *ops, void *ctx, int threads,
                     ds_err *err)
{
    pipe_run r = {.in = in, .ops = ops, .ctx = ctx};
    if (threads <= 0)
        threads = ds_cpu_count();
    if (threads > 256)
        threads = 256;
    int rc = start(&r, threads, err);
    if (rc == 0)
        rc = loop(&r, err);
    ds_pool_free(r.pool);
    for (size_t i = 0; i < r.njobs; i++) {
        if (r.jobs[i].state && ops->fini)
            ops->fini(r.jobs[i].state);
        free(r.jobs[i].state);
        ds_blockcopy_fini(&r.jobs[i].copy);
        ds_buf_fini(&r.jobs[i].sources);
    }
    free(r.jobs);
    if (r.own && ops->fini)
        ops->fini(r.own);
    free(r.own);
    return rc;
}
