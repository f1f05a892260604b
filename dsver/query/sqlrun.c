/* sqlrun.c - tables of runs and what they consumed; see sqlview_priv.h. */
#include <stdlib.h>
#include <string.h>

#include "runrows.h"
#include "runset.h"
#include "sig.h"
#include "sqlview_priv.h"

typedef struct runs {
    ds_sqlput *p;
    int what; /* 0: runs, 1: checkpoints, 2: what they consumed */
    const ds_run_ref *ref;
    ds_run_info info;
    ds_runset set;
    ds_buf spans;
} runs;

static int one_row(void *ctx, const ds_ledger_row *l, const ds_stretch *stretch, ds_err *err)
{
    (void)stretch;
    runs *r = ctx;
    ds_sqlput *p = r->p;
    ds_buf_reset(&r->spans);
    int rc = ds_spans_decode(&r->spans, l->pieces, l->pieces_len, r->set.firsts,
                             r->set.run->ndatasets, err);
    for (size_t i = 0; !rc && i < r->spans.len / sizeof(ds_span); i++) {
        const ds_span *s = (const ds_span *)(const void *)r->spans.data + i;
        const size_t d = ds_runset_part_of(&r->set, s->record);
        const ds_runset_part *part = &r->set.parts[d];
        ds_sqlput_str(p, r->info.name);
        ds_sqlput_str(p, r->ref->digest);
        ds_sqlput_num(p, l->step);
        ds_sqlput_num(p, l->row);
        ds_sqlput_str(p, r->set.run->datasets[d].name);
        ds_sqlput_oid(p, part->where == DS_SET_COMMIT || part->where == DS_SET_ROOT ? &part->commit
                                                                                    : NULL);
        ds_sqlput_num(p, s->record - r->set.firsts[d]);
        ds_sqlput_num(p, s->offset);
        ds_sqlput_num(p, s->len);
        rc = ds_sqlput_row(p, err);
    }
    return rc ? rc : ds_check_interrupt(err);
}

static int consumed(runs *r, ds_err *err)
{
    int rc = ds_runset_open(&r->set, r->p->v->store, &r->info.last.run, NULL, 0, err);
    rc = rc ? rc : ds_runrows_each(r->p->v->store, r->ref, &r->info.last, false, one_row, r, err);
    if (r->set.run)
        ds_runset_fini(&r->set);
    return rc;
}

static int one_run(void *ctx, const ds_run_ref *ref, ds_err *err)
{
    runs *r = ctx;
    ds_sqlput *p = r->p;
    int rc = ds_run_info_read(&r->info, p->v->store, ref, err);
    r->ref = ref;
    if (!rc && r->what == 0) {
        ds_sqlput_str(p, r->info.name);
        ds_sqlput_str(p, ref->digest);
        ds_sqlput_num(p, r->info.last.step);
        ds_sqlput_num(p, r->info.last.run.rows);
        ds_sqlput_num(p, r->info.last.run.seq_len);
        ds_sqlput_num(p, r->info.last.run.seed);
        ds_sqlput_str(p, r->info.last.model_name);
        ds_sqlput_str(p, r->info.last.run.trainer);
        rc = ds_sqlput_row(p, err);
    }
    for (size_t i = 0; !rc && r->what == 1 && i < r->info.nsteps; i++) {
        ds_sqlput_str(p, r->info.name);
        ds_sqlput_str(p, ref->digest);
        ds_sqlput_num(p, r->info.steps[i]);
        rc = ds_sqlput_row(p, err);
    }
    if (!rc && r->what == 2)
        rc = consumed(r, err);
    ds_run_info_fini(&r->info);
    return rc;
}

static int each_run(ds_sqlput *p, int what, ds_err *err)
{
    runs r = {.p = p, .what = what};
    const int rc = ds_run_each(p->v->store, one_run, &r, err);
    ds_buf_fini(&r.spans);
    return rc;
}

int ds_sqlfill_runs(ds_sqlput *p, ds_err *err)
{
    return each_run(p, 0, err);
}

int ds_sqlfill_checkpoints(ds_sqlput *p, ds_err *err)
{
    return each_run(p, 1, err);
}

int ds_sqlfill_consumed(ds_sqlput *p, ds_err *err)
{
    return each_run(p, 2, err);
}
