/* blockwalk.c - see blockwalk.h. */
#include "blockwalk.h"

#include <stdlib.h>

#include "pool.h"
#include "sig.h"

enum { WINDOW = 16 };

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

int ds_blockwalk_run(const ds_blockwalk *w, int threads, ds_err *err)
{
    char *looks = calloc(WINDOW, w->size);
    ds_blocklook *idle[WINDOW];
    ds_pool *pool = NULL;
    ds_blockwalk mine = *w;
    size_t nidle = 0;
    for (size_t i = 0; looks && i < WINDOW; i++) {
        idle[nidle++] = (ds_blocklook *)(void *)(looks + i * w->size);
        idle[i]->rec.only = w->only;
    }
    int rc = looks ? ds_pool_new(&pool, threads, WINDOW, run, &mine, err) : ds_fail_nomem(err);
    while (!rc) {
        if (nidle && w->next(w->ctx, idle[nidle - 1])) {
            const ds_blocklook *l = idle[--nidle];
            ds_recblock_expect(w->only, l->side, l->block, w->origins);
            rc = ds_pool_submit(pool, idle[nidle], err);
            continue;
        }
        if (ds_pool_empty(pool))
            break;
        ds_blocklook *l = ds_pool_next(pool);
        idle[nidle++] = l;
        rc = l->err.code ? ds_fail(err, l->err.code, "%s", l->err.msg) : w->done(w->ctx, l, err);
        rc = rc ? rc : ds_check_interrupt(err);
    }
    ds_pool_free(pool);
    for (size_t i = 0; looks && i < WINDOW; i++) {
        ds_blocklook *l = (ds_blocklook *)(void *)(looks + i * w->size);
        ds_recblock_fini(&l->rec);
        if (w->fini)
            w->fini(l);
    }
    free(looks);
    return rc;
}
