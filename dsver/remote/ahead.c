/* ahead.c - see ahead.h. */
#include "ahead.h"

#include <stdlib.h>
#include <string.h>

#include "objcore.h"
#include "pool.h"
#include "wholepack.h"

enum { FETCHERS = 4 };

typedef struct coming {
    ds_packrow pack;
    atomic_bool stop;
    bool claimed;
    const void *who;
    char *path; /* in tmp/, when it is there */
    int rc;
    ds_err err;
} coming;

struct ds_ahead {
    ds_objstore *objs;
    ds_remote *remote;
    ds_pool *pool;
    coming *v; /* by name */
    size_t n;
};

static void fetch(void *job, void *ctx)
{
    coming *c = job;
    const ds_ahead *a = ctx;
    const ds_wholepack w = {
        .dir = a->objs->dir, .remote = a->remote, .pack = &c->pack, .stop = &c->stop};
    if (!atomic_load(&c->stop))
        c->rc = ds_wholepack_get(&c->path, &w, &c->err);
}

/* ---- beginning ---- */

static int on_pack(void *ctx, int64_t n, const ds_packrow *p)
{
    (void)n;
    return ds_buf_put(ctx, &p->name, sizeof p->name);
}

static int find_pack(const void *name, const void *c)
{
    return ds_sha_cmp(name, &((const coming *)c)->pack.name);
}

/* The largest first: they would be the last to end. */
static int by_size(const void *a, const void *b)
{
    const coming *x = *(coming *const *)a, *y = *(coming *const *)b;
    return x->pack.size != y->pack.size ? (x->pack.size > y->pack.size ? -1 : 1)
                                        : ds_sha_cmp(&x->pack.name, &y->pack.name);
}

static int choose(ds_ahead *a, const ds_remoteindex *seen, ds_err *err)
{
    ds_buf here = {0};
    ds_listed l;
    size_t n = 0;
    int rc = ds_objindex_packs(a->objs->ix, on_pack, &here, err) ? ds_fail_nomem(err) : 0;
    if (here.len)
        qsort(here.data, here.len / sizeof(ds_sha), sizeof(ds_sha), ds_sha_cmp);
    while (ds_remoteindex_entry(seen, n, &l))
        n++;
    if (!rc && !(a->v = calloc(n + 1, sizeof *a->v)))
        rc = ds_fail_nomem(err);
    for (size_t i = 0; !rc && i < n && ds_remoteindex_entry(seen, i, &l); i++) {
        if (l.pack == UINT64_MAX || l.heads == UINT64_MAX ||
            (here.len &&
             bsearch(&l.name, here.data, here.len / sizeof(ds_sha), sizeof(ds_sha), ds_sha_cmp)))
            continue;
        coming *c = &a->v[a->n++];
        c->pack = (ds_packrow){.name = l.name, .size = l.pack};
        atomic_init(&c->stop, false);
    }
    ds_buf_fini(&here);
    return rc;
}

static int submit(ds_ahead *a, ds_err *err)
{
    coming **order = malloc((a->n + 1) * sizeof *order);
    if (!order)
        return ds_fail_nomem(err);
    for (size_t i = 0; i < a->n; i++)
        order[i] = &a->v[i];
    qsort(order, a->n, sizeof(coming *), by_size);
    int rc = ds_pool_new(&a->pool, FETCHERS, (int)a->n, fetch, a, err);
    for (size_t i = 0; !rc && i < a->n; i++)
        rc = ds_pool_submit(a->pool, order[i], err);
    free(order);
    return rc;
}

int ds_ahead_begin(ds_ahead **out, ds_objstore *objs, ds_remote *remote, const ds_remoteindex *seen,
                   ds_err *err)
{
    ds_ahead *a = calloc(1, sizeof *a);
    *out = NULL;
    if (!a)
        return ds_fail_nomem(err);
    a->objs = objs;
    a->remote = remote;
    int rc = choose(a, seen, err);
    rc = rc ? rc : submit(a, err);
    if (rc)
        ds_ahead_free(a);
    else
        *out = a;
    return rc;
}

/* ---- what is wanted ---- */

bool ds_ahead_claim(ds_ahead *a, const ds_sha *pack, const void *who)
{
    coming *c = a->n ? bsearch(pack, a->v, a->n, sizeof *a->v, find_pack) : NULL;
    if (!c)
        return false;
    c->who = who;
    c->claimed = true;
    return true;
}

void ds_ahead_settle(ds_ahead *a)
{
    for (size_t i = 0; i < a->n; i++)
        if (!a->v[i].claimed)
            atomic_store(&a->v[i].stop, true);
}

int ds_ahead_next(ds_ahead *a, const void **who, char **path, ds_err *err)
{
    coming *c;
    while ((c = ds_pool_next(a->pool)) && !c->claimed)
        ;
    if (!c)
        return 0;
    if (c->rc || !c->path) /* stopped before it began */
        return ds_fail(err, c->rc ? c->rc : DS_FAIL, "%s", c->rc ? c->err.msg : "stopped");
    *who = c->who;
    *path = c->path;
    c->path = NULL;
    return 1;
}

void ds_ahead_stop(ds_ahead *a)
{
    for (size_t i = 0; i < a->n; i++)
        atomic_store(&a->v[i].stop, true);
}

void ds_ahead_free(ds_ahead *a)
{
    if (!a)
        return;
    ds_ahead_stop(a);
    ds_pool_free(a->pool);
    for (size_t i = 0; i < a->n; i++) {
        if (a->v[i].path)
            (void)ds_io_active->unlink(a->v[i].path);
        free(a->v[i].path);
    }
    free(a->v);
    free(a);
}
