/* taint.c - which runs, and which of their checkpoints, consumed certain records: see forget.h. */
#include <stdlib.h>
#include <string.h>

#include "forget.h"
#include "runrows.h"
#include "runset.h"
#include "sig.h"

typedef struct tainting {
    ds_store *store;
    ds_forgotten *out;
    const char *dataset;
    const ds_buf *(*ordinals)(void *ctx, const git_oid *version);
    void *ctx;
    ds_runset set;
    ds_buf hits; /* uint64_t, ascending: numbered through the run's datasets */
    ds_buf spans;
    uint64_t first, abandoned; /* steps; UINT64_MAX: none */
} tainting;

static int by_number(const void *a, const void *b)
{
    const uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return x < y ? -1 : x > y;
}

static int on_row(void *ctx, const ds_ledger_row *r, const ds_stretch *stretch, ds_err *err)
{
    tainting *t = ctx;
    uint64_t *first = stretch ? &t->abandoned : &t->first;
    if (r->step >= *first)
        return 0;
    ds_buf_reset(&t->spans);
    int rc = ds_spans_decode(&t->spans, r->pieces, r->pieces_len, t->set.firsts,
                             t->set.run->ndatasets, err);
    for (size_t i = 0; !rc && i < t->spans.len / sizeof(ds_span); i++) {
        const ds_span *span = (const ds_span *)(const void *)t->spans.data + i;
        if (bsearch(&span->record, t->hits.data, t->hits.len / sizeof(uint64_t), sizeof(uint64_t),
                    by_number))
            *first = r->step;
    }
    return rc ? rc : ds_check_interrupt(err);
}

/* NULL: out of memory. */
static ds_taint *new_taint(ds_forgotten *f, const ds_run_ref *ref, const ds_run_info *info)
{
    if (ds_grow(&f->taints, &f->cap_taints, f->ntaints, sizeof *f->taints))
        return NULL;
    ds_taint *v = f->taints + f->ntaints++;
    *v = (ds_taint){.run = strdup(info->name), .digest = strdup(ref->digest)};
    return v->run && v->digest ? v : NULL;
}

/* Of what is not here nobody can say that it was not consumed. */
static int add_absent(tainting *t, const ds_run_ref *ref, const ds_run_info *info, ds_err *err)
{
    for (size_t i = 0; i < t->set.run->ndatasets; i++) {
        const char *name = t->set.run->datasets[i].name;
        if (t->set.parts[i].where != DS_SET_ABSENT || (t->dataset && strcmp(name, t->dataset) != 0))
            continue;
        ds_taint *v = new_taint(t->out, ref, info);
        if (!v || !(v->absent = strdup(name)))
            return ds_fail_nomem(err);
    }
    return 0;
}

static int add_taint(tainting *t, const ds_run_ref *ref, const ds_run_info *info, ds_err *err)
{
    ds_taint *v = new_taint(t->out, ref, info);
    bool bad = !v;
    if (v) {
        v->step = t->first == UINT64_MAX ? 0 : t->first;
        v->abandoned = t->abandoned == UINT64_MAX ? 0 : t->abandoned;
    }
    for (size_t i = 0; !bad && i < info->nsteps; i++)
        if (v->step && info->steps[i] >= v->step)
            bad = ds_buf_put(&v->checkpoints, &info->steps[i], sizeof info->steps[i]);
    return bad ? ds_fail_nomem(err) : 0;
}

static int find_hits(tainting *t, ds_err *err)
{
    ds_buf_reset(&t->hits);
    for (size_t i = 0; i < t->set.run->ndatasets; i++) {
        const ds_buf *o = t->set.parts[i].where == DS_SET_ABSENT
                              ? NULL
                              : t->ordinals(t->ctx, &t->set.parts[i].commit);
        for (size_t k = 0; o && k < o->len / sizeof(uint64_t); k++) {
            const uint64_t record = ((const uint64_t *)(const void *)o->data)[k] + t->set.firsts[i];
            if (ds_buf_put(&t->hits, &record, sizeof record))
                return ds_fail_nomem(err);
        }
    }
    return 0;
}

static int on_run(void *ctx, const ds_run_ref *ref, ds_err *err)
{
    tainting *t = ctx;
    ds_run_info info = {0};
    int rc = ds_run_info_read(&info, t->store, ref, err);
    rc = rc ? rc : ds_runset_open(&t->set, t->store, &info.last.run, NULL, 0, err);
    rc = rc ? rc : add_absent(t, ref, &info, err);
    rc = rc ? rc : find_hits(t, err);
    if (!rc && t->hits.len) {
        t->first = t->abandoned = UINT64_MAX;
        rc = ds_runrows_each(t->store, ref, &info.last, true, on_row, t, err);
        rc = rc ? rc : add_taint(t, ref, &info, err);
    }
    if (t->set.run)
        ds_runset_fini(&t->set);
    ds_run_info_fini(&info);
    return rc;
}

int ds_taint_find(ds_forgotten *out, ds_store *s, const char *dataset,
                  const ds_buf *(*ordinals)(void *ctx, const git_oid *version), void *ctx,
                  ds_err *err)
{
    tainting t = {.store = s, .out = out, .dataset = dataset, .ordinals = ordinals, .ctx = ctx};
    int rc = ds_run_each(s, on_run, &t, err);
    ds_buf_fini(&t.hits);
    ds_buf_fini(&t.spans);
    return rc;
}
