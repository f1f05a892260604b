/* reorder.c - see reorder.h. */
#include "reorder.h"

#include <stdlib.h>
#include <string.h>

#include "blockpipe.h"
#include "dsr_prov.h"
#include "extsort.h"
#include "rowpack.h"
#include "sig.h"
#include "sourcelater.h"
#include "stageout.h"
#include "term.h"

/* Sorted bytewise but for long keys: how the key begins, where the rest of it lies plus 1 (0: that
 * was all), where the record lies. The last grows with the input, so it keeps equal ones in order.
 */
enum { REST = DS_REORDER_SHORT, AT = REST + 8, ENTRY = AT + 8 };

typedef struct run {
    const ds_reorder *r;
    const void *ctx;
    const ds_schema *schema;
    ds_instream *in;
    ds_spool store, rests; /* records; varint length and bytes of what keys have past REST */
    const uint8_t *rest;   /* the rests, while entries are compared */
    size_t rest_len;
    ds_extsort *order;
    ds_origin_state origin; /* behind the blocks that workers have */
    uint64_t base, rows;    /* sources of the files before; records so far */
    ds_buf prov;
    ds_sourcelater sources;
    ds_counts held;
    ds_progress progress;
} run;

typedef struct state {
    ds_origin_state origin;
    uint64_t base;
    ds_rowpack pack;
    ds_colview *views;
    ds_value *values;
    void *own;
    void (*fini)(void *state);
    ds_spool rows;
    ds_buf ends, keys, key_ends, ranges; /* u64 by row */
} state;

/* ---- workers ---- */

static int reorder_prepare(void *ctx, void *st, const ds_block *b, ds_err *err)
{
    run *r = ctx;
    state *s = st;
    const ds_chunk *o = &b->chunks[b->nchunks - 1];
    const size_t n = r->schema->n + 1;
    uint64_t lowest, highest;
    if (!s->own) {
        s->own = calloc(1, r->r->state_size ? r->r->state_size : 1);
        s->views = calloc(n, sizeof *s->views);
        s->values = calloc(n, sizeof *s->values);
        s->fini = r->r->fini;
        if (!s->own || !s->views || !s->values)
            return ds_fail_nomem(err);
    }
    s->origin = r->origin;
    s->base = r->base;
    return ds_origin_scan(o->body, o->body_len, b->rows, &r->origin, &lowest, &highest, err);
}

static int pack_row(const run *r, state *s, const ds_chunk *o, size_t *pos, ds_err *err)
{
    for (size_t i = 0; i < r->schema->n; i++)
        (void)ds_colview_next(&s->views[i], &s->values[i]);
    int rc = ds_origin_get(o->body, o->body_len, pos, &s->origin, &s->ranges, err);
    ds_range *g = (ds_range *)(void *)s->ranges.data;
    const size_t n = s->ranges.len / sizeof *g;
    for (size_t i = 0; i < n; i++)
        g[i].source += s->base;
    if (rc == 0)
        rc = ds_rowpack_put(&s->pack, &s->rows, r->schema, s->views, s->values, err);
    if (rc == 0)
        rc = ds_rowpack_origin(&s->rows, g, n, err);
    if (rc == 0)
        rc = r->r->key(r->ctx, s->own, s->views, s->values, g, n, &s->keys, err);
    if (rc == 0 &&
        (ds_buf_u64(&s->ends, ds_spool_len(&s->rows)) || ds_buf_u64(&s->key_ends, s->keys.len)))
        rc = ds_fail_nomem(err);
    return rc;
}

static int reorder_work(void *ctx, void *st, const ds_block *b, ds_err *err)
{
    const run *r = ctx;
    state *s = st;
    const ds_chunk *o = &b->chunks[b->nchunks - 1];
    uint64_t rows;
    size_t pos = 0;
    ds_spool_reset(&s->rows);
    ds_buf_reset(&s->ends);
    ds_buf_reset(&s->keys);
    ds_buf_reset(&s->key_ends);
    int rc = ds_block_texts(b, r->schema, s->views, err);
    if (rc == 0 && (!ds_varint_get(o->body, o->body_len, &pos, &rows) || rows != b->rows))
        rc = ds_fail(err, DS_CORRUPT, "origins: not of as many records as the block has");
    for (uint64_t row = 0; rc == 0 && row < b->rows; row++)
        rc = pack_row(r, s, o, &pos, err);
    return rc;
}

static int put_entry(run *r, const uint8_t *key, size_t len, ds_err *err)
{
    uint8_t e[ENTRY] = {0};
    const size_t more = len > REST ? len - REST : 0;
    int rc = 0;
    memcpy(e, key, len - more);
    if (more) {
        ds_set_big(e + REST, ds_spool_len(&r->rests) + 1);
        rc = ds_spool_varint(&r->rests, more, err);
        rc = rc ? rc : ds_spool_put(&r->rests, key + REST, more, err);
    }
    ds_set_big(e + AT, ds_spool_len(&r->store));
    return rc ? rc : ds_extsort_put(r->order, e, err);
}

static int reorder_done(void *ctx, void *st, const ds_block *b, ds_err *err)
{
    run *r = ctx;
    state *s = st;
    const uint8_t *data;
    size_t len, at = 0, from = 0;
    int rc = ds_spool_view(&s->rows, &data, &len, err);
    for (uint64_t row = 0; rc == 0 && row < b->rows; row++) {
        const size_t end = (size_t)ds_get_u64(s->ends.data + 8 * row),
                     to = (size_t)ds_get_u64(s->key_ends.data + 8 * row);
        rc = put_entry(r, s->keys.data + from, to - from, err);
        if (rc == 0)
            rc = ds_spool_put(&r->store, data + at, end - at, err);
        at = end;
        from = to;
    }
    r->rows += b->rows;
    ds_progress_at(&r->progress, ds_instream_pos(r->in));
    return rc;
}

static int reorder_source(void *ctx, const ds_source *src, ds_err *err)
{
    run *r = ctx;
    return ds_sourcelater_put(&r->sources, src, err);
}

static int reorder_end(void *ctx, ds_instream *in, ds_err *err)
{
    run *r = ctx;
    int rc = ds_instream_sameprov(in, &r->prov, err);
    r->base += ds_reader_counts(ds_instream_reader(in))->sources;
    r->origin = (ds_origin_state){0};
    return rc ? rc : ds_counts_join(&r->held, ds_reader_counts(ds_instream_reader(in)), err);
}

static void state_fini(void *st)
{
    state *s = st;
    if (s->own && s->fini)
        s->fini(s->own);
    free(s->own);
    ds_rowpack_fini(&s->pack);
    ds_spool_fini(&s->rows);
    free(s->views);
    free(s->values);
    ds_buf_fini(&s->ends);
    ds_buf_fini(&s->keys);
    ds_buf_fini(&s->key_ends);
    ds_buf_fini(&s->ranges);
}

static const ds_blockpipe_ops reorder_ops = {
    .state_size = sizeof(state),
    .prepare = reorder_prepare,
    .work = reorder_work,
    .done = reorder_done,
    .source = reorder_source,
    .end = reorder_end,
    .fini = state_fini,
};

/* ---- the order ---- */

static int rests_ready(void *ctx, ds_err *err)
{
    run *r = ctx;
    return ds_spool_view(&r->rests, &r->rest, &r->rest_len, err);
}

/* What a key has past REST: written by put_entry, so it is there. */
static const uint8_t *rest_of(const run *r, const uint8_t *e, size_t *len)
{
    size_t at = (size_t)ds_get_big(e + REST) - 1;
    uint64_t n = 0;
    (void)ds_varint_get(r->rest, r->rest_len, &at, &n);
    *len = (size_t)n;
    return r->rest + at;
}

static int compare(const void *a, const void *b, void *ctx)
{
    const run *r = ctx;
    const uint8_t *x = a, *y = b;
    size_t xn, yn;
    int c = memcmp(x, y, REST);
    if (c == 0 && ds_get_big(x + REST) && ds_get_big(y + REST)) {
        const uint8_t *p = rest_of(r, x, &xn), *q = rest_of(r, y, &yn);
        c = memcmp(p, q, xn < yn ? xn : yn);
    }
    return c ? c : memcmp(x + AT, y + AT, ENTRY - AT);
}

static int put_records(run *r, ds_rows *rows, ds_err *err)
{
    const uint8_t *data;
    const void *entry;
    size_t len, used;
    int more = 0, rc = ds_extsort_sort(r->order, err);
    if (rc == 0)
        rc = ds_spool_view(&r->store, &data, &len, err);
    while (rc == 0 && (more = ds_extsort_next(r->order, &entry, err)) == 1) {
        const size_t at = (size_t)ds_get_big((const uint8_t *)entry + AT);
        rc = at <= len ? ds_rowpack_get(rows, &used, r->schema, data + at, len - at, err)
                       : ds_fail(err, DS_FAIL, "a record was put where there is none");
        if (rc == 0)
            rc = ds_check_interrupt(err);
    }
    return rc ? rc : more;
}

static int write_stream(run *r, const ds_buf *prov, const ds_rowopts *o, ds_err *err)
{
    ds_stageout out = {0};
    ds_rows *rows = NULL;
    int rc = ds_stageout_open(&out, o->output, r->schema, prov->data, prov->len,
                              ds_stageout_level(o->output, o->level), err);
    if (rc == 0)
        rc = ds_rows_new(&rows, out.writer, r->schema, err);
    if (rc == 0)
        rc = put_records(r, rows, err);
    if (rc == 0)
        rc = ds_sourcelater_tell(&r->sources, rows, err);
    if (rc == 0)
        rc = ds_rows_finish(rows, err);
    if (rc == 0)
        rc = ds_stageout_end(&out, &r->held, err);
    if (rc)
        ds_stageout_abort(&out, err->msg);
    ds_rows_free(rows);
    ds_stageout_fini(&out);
    return rc;
}

int ds_reorder_run(uint64_t *records, ds_instream *in, const ds_reorder *p, const void *ctx,
                   const ds_rowopts *o, ds_err *err)
{
    run r = {.r = p, .ctx = ctx, .in = in, .schema = ds_instream_schema(in)};
    ds_buf prov = {0};
    size_t len;
    const char *before = ds_reader_provenance(ds_instream_reader(in), &len);
    int rc = o->output ? 0 : ds_refuse_tty(1, "pipe it on, or give -o FILE", err);
    if (rc == 0 && ds_buf_put(&r.prov, before, len))
        rc = ds_fail_nomem(err);
    if (rc == 0)
        rc = ds_prov_append(&prov, before, len, p->tool, p->options, NULL, err);
    if (rc == 0)
        rc = ds_extsort_new(&r.order, ENTRY, p->memory, NULL, err);
    if (rc == 0) {
        ds_extsort_by(r.order, compare, rests_ready, &r);
        ds_progress_begin(&r.progress, "reading", ds_instream_size(in), true);
        rc = ds_blockpipe_run(in, &reorder_ops, &r, (int)o->threads, err);
        ds_progress_end(&r.progress);
    }
    if (rc == 0)
        rc = write_stream(&r, &prov, o, err);
    *records = r.rows;
    ds_extsort_free(r.order);
    ds_spool_fini(&r.store);
    ds_spool_fini(&r.rests);
    ds_sourcelater_fini(&r.sources);
    ds_counts_fini(&r.held);
    ds_buf_fini(&r.prov);
    ds_buf_fini(&prov);
    return rc;
}
