/* objreader.c - see objstore.h. */
#include <stdlib.h>
#include <string.h>

#include "objcore.h"
#include "pool.h"

typedef struct read_job {
    ds_sha id;
    void *tag;
    ds_buf out;
    int rc;
    ds_err err;
    struct read_job *next;
} read_job;

struct ds_objreader {
    ds_objstore *s;
    ds_pool *pool;
    bool verify;
    read_job *idle, *lent;
};

static void read_one(void *job, void *ctx)
{
    read_job *j = job;
    const ds_objreader *r = ctx;
    memset(&j->err, 0, sizeof j->err);
    j->rc = ds_objstore_get(r->s, &j->id, r->verify, &j->out, &j->err);
}

int ds_objreader_new(ds_objreader **out, ds_objstore *s, int threads, bool verify, ds_err *err)
{
    ds_objreader *r = calloc(1, sizeof *r);
    *out = NULL;
    if (!r)
        return ds_fail_nomem(err);
    r->s = s;
    r->verify = verify;
    int window = threads < 1 ? 1 : threads > 7 ? 64 : 8 * threads + 8;
    int rc = ds_pool_new(&r->pool, threads, window, read_one, r, err);
    if (rc) {
        free(r);
        return rc;
    }
    *out = r;
    return 0;
}

bool ds_objreader_full(const ds_objreader *r)
{
    return ds_pool_full(r->pool);
}

int ds_objreader_put(ds_objreader *r, const ds_sha *id, void *tag, ds_err *err)
{
    read_job *j = r->idle;
    if (j)
        r->idle = j->next;
    else if (!(j = calloc(1, sizeof *j)))
        return ds_fail_nomem(err);
    j->id = *id;
    j->tag = tag;
    (void)ds_objstore_expect(r->s, id, 1);
    int rc = ds_pool_submit(r->pool, j, err);
    if (rc) {
        j->next = r->idle;
        r->idle = j;
    }
    return rc;
}

static void settle(ds_objreader *r)
{
    if (r->lent) {
        r->lent->next = r->idle;
        r->idle = r->lent;
        r->lent = NULL;
    }
}

int ds_objreader_next(ds_objreader *r, ds_objread *out, ds_err *err)
{
    settle(r);
    read_job *j = ds_pool_next(r->pool);
    if (!j)
        return 0;
    r->lent = j;
    *out = (ds_objread){.id = j->id, .tag = j->tag};
    if (j->rc)
        return ds_fail(err, j->rc, "%s", j->err.msg);
    out->data = j->out.data;
    out->len = j->out.len;
    return 1;
}

void ds_objreader_free(ds_objreader *r)
{
    if (!r)
        return;
    settle(r);
    for (read_job *j; (j = ds_pool_next(r->pool));) {
        j->next = r->idle;
        r->idle = j;
    }
    ds_pool_free(r->pool);
    for (read_job *j = r->idle, *next; j; j = next) {
        next = j->next;
        ds_buf_fini(&j->out);
        free(j);
    }
    free(r);
}
