/* blockwalk.c - see blockwalk.h. */
#include "blockwalk.h"

#include <stdlib.h>

#include "pool.h"
#include "sig.h"

enum { WINDOW = 16 };
#define LARGE ((uint64_t)16 << 20) /* a block of more bytes is in memory alone */

static void run(void *job, void *ctx)
{
    const ds_blockwalk *w = ctx;
    ds_blocklook *l = job;
    int rc = ds_recblock_load(&l->rec, l->side, l->block, w->origins, &l->err);
    if (!rc && l->rec.lent.rows >= UINT32_MAX)
        rc = ds_fail(&l->err, DS_FAIL, "a block of too many records to look through");
    if (!rc)
        (void)w->work(w->ctx, l);
}

typedef struct walk {
    const ds_blockwalk *w;
    ds_pool *pool;
    ds_blocklook *idle[WINDOW];
    size_t nidle;
} walk;

static int done(walk *k, ds_blocklook *l, ds_err *err)
{
    k->idle[k->nidle++] = l;
    int rc = l->err.code ? ds_fail_as(err, &l->err) : k->w->done(k->w->ctx, l, err);
    return rc ? rc : ds_check_interrupt(err);
}

static bool is_large(const ds_blockwalk *w, const ds_blocklook *l)
{
    const ds_manline *line = &l->side->lines[l->block];
    uint64_t bytes = 0;
    for (size_t i = 0; i < line->nchunks; i++)
        if (i + 1 == line->nchunks ? w->origins : !w->only || w->only[i])
            bytes += ds_manline_len(line, i);
    return bytes > LARGE;
}

/* With the block that the newest idle look names. */
static int begin(walk *k, ds_err *err)
{
    ds_blocklook *l = k->idle[--k->nidle];
    ds_blockwalk mine = *k->w;
    int rc = 0;
    ds_recblock_expect(k->w->only, l->side, l->block, k->w->origins);
    l->alone = is_large(k->w, l);
    if (!l->alone)
        return ds_pool_submit(k->pool, l, err);
    while (!rc && !ds_pool_empty(k->pool))
        rc = done(k, ds_pool_next(k->pool), err);
    if (!rc)
        run(l, &mine);
    return rc ? rc : done(k, l, err);
}

int ds_blockwalk_run(const ds_blockwalk *w, int threads, ds_err *err)
{
    char *looks = calloc(WINDOW, w->size);
    ds_blockwalk mine = *w;
    walk k = {.w = w};
    for (size_t i = 0; looks && i < WINDOW; i++) {
        k.idle[k.nidle++] = (ds_blocklook *)(void *)(looks + i * w->size);
        k.idle[i]->rec.only = w->only;
    }
    int rc = looks ? ds_pool_new(&k.pool, threads, WINDOW, run, &mine, err) : ds_fail_nomem(err);
    while (!rc) {
        if (k.nidle && w->next(w->ctx, k.idle[k.nidle - 1]))
            rc = begin(&k, err);
        else if (ds_pool_empty(k.pool))
            break;
        else
            rc = done(&k, ds_pool_next(k.pool), err);
    }
    ds_pool_free(k.pool);
    for (size_t i = 0; looks && i < WINDOW; i++) {
        ds_blocklook *l = (ds_blocklook *)(void *)(looks + i * w->size);
        ds_recblock_fini(&l->rec);
        if (w->fini)
            w->fini(l);
    }
    free(looks);
    return rc;
}
