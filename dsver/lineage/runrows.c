/* runrows.c - see runrows.h. */
#include "runrows.h"

#include "sig.h"

typedef struct following {
    ds_chain chain;
    ds_stretches stretches;
    const ds_stretch *self; /* NULL: the ledger */
    ds_runrow_fn fn;        /* NULL: nobody wants the rows */
    void *ctx;
    int stopped; /* what fn returned */
} following;

static int follow(void *ctx, const ds_ledger_row *r, ds_err *err)
{
    following *f = ctx;
    int rc = ds_chain_row(&f->chain, r, err);

    if (!rc && r->row % f->chain.run->rows == f->chain.run->rows - 1)
        ds_stretches_step(&f->stretches, f->self, r->step, &f->chain);
    if (!rc && f->fn)
        rc = f->stopped = f->fn(f->ctx, r, f->self, err);
    return rc;
}

static int follow_ledger(following *f, ds_store *s, const ds_run_ref *r, const ds_lineage *last,
                         ds_err *err)
{
    ds_segments l = {0};
    int rc = ds_chain_begin(&f->chain, &last->run, err);

    if (!rc)
        ds_stretches_step(&f->stretches, NULL, 0, &f->chain);
    rc = rc ? rc : ds_segments_tree(&l, s->cat, &r->tree, err);
    rc = rc ? rc : ds_segments_check(&l, 0, last->step, err);
    rc = rc ? rc : ds_segments_scan(&l, s->cat, follow, f, err);
    if (!rc && (f->chain.rows != last->rows || !ds_sha_eq(&f->chain.value, &last->head)))
        rc = ds_fail(err, DS_CORRUPT, "its ledger is not the one that its lineage.json tells of");
    ds_segments_fini(&l);
    return rc;
}

static int follow_abandoned(following *f, ds_store *s, const ds_lineage *last, ds_err *err)
{
    int rc = 0;

    for (size_t i = 0; !rc && i < f->stretches.n; i++) {
        f->self = &f->stretches.v[i];
        rc = ds_stretch_begin(&f->chain, f->self, &last->run, err);
        rc = rc ? rc : ds_segments_scan(&f->self->segments, s->cat, follow, f, err);
    }
    return rc;
}

int ds_runrows_each(ds_store *s, const ds_run_ref *r, const ds_lineage *last, bool abandoned,
                    ds_runrow_fn fn, void *ctx, ds_err *err)
{
    following f = {.fn = fn, .ctx = ctx};
    ds_err why = {0};
    int rc = abandoned ? ds_stretches_tree(&f.stretches, s->cat, &r->tree, &why) : 0;

    rc = rc ? rc : follow_ledger(&f, s, r, last, &why);
    rc = rc ? rc : follow_abandoned(&f, s, last, &why);
    ds_stretches_fini(&f.stretches);
    /* what a ledger says of itself that is not so is damage */
    const bool damage = rc == DS_FAIL && !f.stopped && !ds_interrupted();
    return rc ? ds_fail(err, damage ? DS_CORRUPT : rc, "%s: %s", r->name, why.msg) : 0;
}

int ds_runrows_check(ds_store *s, const ds_run_ref *r, ds_err *err)
{
    ds_run_info info = {0};
    int rc = ds_run_info_read(&info, s, r, err);

    rc = rc ? rc : ds_runrows_each(s, r, &info.last, true, NULL, NULL, err);
    ds_run_info_fini(&info);
    return rc;
}
