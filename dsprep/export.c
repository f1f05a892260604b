/* export.c - see export.h. */
#include "export.h"

#include <stdlib.h>

#include "blockpipe.h"
#include "term.h"

typedef struct run {
    const ds_format *f;
    void *writer;
    ds_instream *in;
    ds_exported *done;
    bool strict;
    ds_jsonform form;
    uint64_t rows;
    ds_progress progress;
} run;

typedef struct state {
    ds_fmtblock b;
    uint64_t first;
} state;

static int export_prepare(void *ctx, void *st, const ds_block *b, ds_err *err)
{
    run *r = ctx;
    state *s = st;
    s->first = r->rows;
    r->rows += b->rows;
    s->b.schema = ds_instream_schema(r->in);
    s->b.form = &r->form;
    s->b.nlost = r->done->loss.n;
    if (!s->b.lost && !(s->b.lost = calloc(s->b.nlost + 1, sizeof *s->b.lost)))
        return ds_fail_nomem(err);
    return 0;
}

static int export_work(void *ctx, void *st, const ds_block *b, ds_err *err)
{
    const run *r = ctx;
    state *s = st;
    return ds_fmtblock_encode(&s->b, r->f, r->writer, b, s->first, err);
}

static int count_losses(run *r, const state *s, ds_err *err)
{
    ds_fmtloss *l = &r->done->loss;
    for (size_t i = 0; i < l->n; i++) {
        l->v[i].count += s->b.lost[i];
        if (r->strict && s->b.lost[i])
            return ds_fail(err, DS_FAIL, "--strict: records from %llu on: %s: %s",
                           (unsigned long long)s->first, l->v[i].column ? l->v[i].column : "stream",
                           l->v[i].what);
    }
    return 0;
}

static int export_done(void *ctx, void *st, const ds_block *b, ds_err *err)
{
    run *r = ctx;
    state *s = st;
    const uint8_t *data;
    size_t len, at = 0;
    int rc = count_losses(r, s, err);
    if (rc == 0)
        rc = ds_spool_view(&s->b.out, &data, &len, err);
    for (size_t i = 0; rc == 0 && i < s->b.ends.len; i += 8) {
        const size_t end = (size_t)ds_get_u64(s->b.ends.data + i);
        rc = r->f->put(r->writer, data + at, end - at, err);
        if (end - at > (size_t)1 << 20)
            ds_spool_release(&s->b.out, end);
        at = end;
    }
    r->done->records += b->rows;
    ds_progress_at(&r->progress, ds_instream_pos(r->in));
    return rc;
}

static void export_fini(void *st)
{
    state *s = st;
    ds_fmtblock_fini(&s->b);
}

static const ds_blockpipe_ops export_ops = {
    .state_size = sizeof(state),
    .prepare = export_prepare,
    .work = export_work,
    .done = export_done,
    .fini = export_fini,
};

static int refuse_losses(const ds_fmtloss *l, const char *format, ds_err *err)
{
    for (size_t i = 0; i < l->n; i++)
        if (!l->v[i].counted)
            return ds_fail(err, DS_FAIL, "--strict: %s: %s: %s (%zu losses in all)", format,
                           l->v[i].column ? l->v[i].column : "stream", l->v[i].what,
                           ds_fmtloss_lost(l));
    return 0;
}

int ds_export_run(ds_exported *done, ds_instream *in, const ds_format *f, const ds_fmtwrite *o,
                  bool strict, ds_err *err)
{
    run r = {.f = f, .in = in, .done = done, .strict = strict};
    const ds_schema *s = ds_instream_schema(in);
    size_t len;
    const char *prov = ds_reader_provenance(ds_instream_reader(in), &len);
    int rc = ds_buf_put(&done->provenance, prov, len) ? ds_fail_nomem(err) : 0;
    if (rc == 0)
        rc = ds_jsonform_init(&r.form, s, NULL, true, true, false, err);
    if (rc == 0)
        rc = f->begin(&r.writer, o, s, &done->loss, err);
    if (rc == 0 && strict)
        rc = refuse_losses(&done->loss, f->name, err);
    if (rc == 0)
        rc = f->open(r.writer, err);
    if (rc == 0) {
        ds_progress_begin(&r.progress, "reading", ds_instream_size(in), true);
        rc = ds_blockpipe_run(in, &export_ops, &r, o->threads, err);
        ds_progress_end(&r.progress);
    }
    if (rc == 0 && done->whole)
        rc = done->whole(done->ctx, err);
    if (rc == 0)
        rc = f->finish(r.writer, &done->written, err);
    f->free(r.writer);
    ds_jsonform_fini(&r.form);
    return rc;
}

void ds_exported_fini(ds_exported *e)
{
    ds_fmtloss_fini(&e->loss);
    ds_buf_fini(&e->provenance);
}
