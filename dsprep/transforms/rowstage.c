/* rowstage.c - see rowstage.h. */
#include "rowstage.h"

#include <stdlib.h>
#include <string.h>

#include "blockpipe.h"
#include "dsr_prov.h"
#include "dsr_rowcopy.h"
#include "stageout.h"
#include "term.h"

/* ---- made columns ---- */

static int cell_put(ds_madecol *m, const ds_cell *c, ds_err *err)
{
    return ds_buf_put(&m->cells, c, sizeof *c) ? ds_fail_nomem(err) : 0;
}

int ds_made_null(ds_madecol *m, ds_err *err)
{
    return cell_put(m, &(ds_cell){.null = true}, err);
}

int ds_made_bytes(ds_madecol *m, const void *p, size_t len, ds_err *err)
{
    const uint64_t at = ds_spool_len(&m->data);
    int rc = len ? ds_spool_put(&m->data, p, len, err) : 0;
    return rc ? rc : ds_made_end(m, at, err);
}

int ds_made_i64(ds_madecol *m, int64_t v, ds_err *err)
{
    return cell_put(m, &(ds_cell){.i = v}, err);
}

int ds_made_f64(ds_madecol *m, double v, ds_err *err)
{
    return cell_put(m, &(ds_cell){.f = v}, err);
}

int ds_made_end(ds_madecol *m, uint64_t began, ds_err *err)
{
    return cell_put(m, &(ds_cell){.at = began, .len = ds_spool_len(&m->data) - began}, err);
}

int ds_rowblock_drop(ds_rowblock *b, uint64_t row, uint32_t reason, const char *note, ds_err *err)
{
    b->verdict[row] = DS_VERDICT_DROP | reason;
    if (!b->notes || !note || !*note)
        return 0;
    if (ds_buf_puts(&b->note, note) || ds_buf_u64(&b->note_at, row) ||
        ds_buf_u64(&b->note_at, b->note.len))
        return ds_fail_nomem(err);
    return 0;
}

/* ---- plans ---- */

int ds_rowplan_init(ds_rowplan *p, const ds_schema *in, ds_err *err)
{
    memset(p, 0, sizeof *p);
    int rc = ds_schema_copy(&p->schema, in, err);
    p->from = calloc(in->n + 1, sizeof *p->from);
    if (rc == 0 && !p->from)
        rc = ds_fail_nomem(err);
    for (size_t i = 0; rc == 0 && i < in->n; i++)
        p->from[i] = (int)i;
    return rc;
}

static int next_made(ds_rowplan *p, enum ds_type type, int *from, ds_err *err)
{
    if (p->nmade == DS_ROWPLAN_MADE)
        return ds_fail(err, DS_USAGE, "more than %d columns are made at once", DS_ROWPLAN_MADE);
    *from = -1 - (int)p->nmade;
    p->made[p->nmade++] = type;
    return 0;
}

int ds_rowplan_add(ds_rowplan *p, const char *name, enum ds_type type, bool nullable,
                   const char *attrs, ds_err *err)
{
    size_t at;
    int rc = ds_schema_add(&p->schema, &at, name, type, nullable ? DS_COL_NULLABLE : 0, attrs, err);
    int *from = rc ? NULL : reallocarray(p->from, p->schema.n + 1, sizeof *from);
    if (rc)
        return rc;
    if (!from)
        return ds_fail_nomem(err);
    p->from = from;
    return next_made(p, type, &p->from[at], err);
}

int ds_rowplan_replace(ds_rowplan *p, size_t column, size_t *made, ds_err *err)
{
    *made = p->nmade;
    for (size_t i = 0; i < p->schema.n; i++)
        if (p->from[i] == (int)column)
            return next_made(p, p->schema.cols[i].type, &p->from[i], err);
    return ds_fail(err, DS_FAIL, "column %zu is not in the result", column);
}

int ds_rowplan_make(ds_rowplan *p, const char *name, enum ds_type type, size_t *made, ds_err *err)
{
    const long k = ds_schema_find(&p->schema, name);
    *made = p->nmade;
    if (k < 0)
        return ds_rowplan_add(p, name, type, true, NULL, err);
    if (k == 0 && p->schema.explicit_key)
        return ds_fail(err, DS_USAGE, "explicit keys stay as they are");
    if (p->from[k] < 0)
        return ds_fail(err, DS_USAGE, "column '%s' is made twice", name);
    ds_column *c = &p->schema.cols[k];
    free(c->attrs);
    *c = (ds_column){.name = c->name, .type = type, .nullable = true};
    return next_made(p, type, &p->from[k], err);
}

void ds_rowplan_drop(ds_rowplan *p, size_t column)
{
    const size_t behind = p->schema.n - column - 1;
    ds_schema_drop(&p->schema, column);
    memmove(p->from + column, p->from + column + 1, behind * sizeof *p->from);
}

static void plan_fini(ds_rowplan *p)
{
    ds_schema_fini(&p->schema);
    free(p->from);
    json_decref(p->options);
    json_decref(p->digests);
    memset(p, 0, sizeof *p);
}

void ds_rowjob_fini(ds_rowjob *j)
{
    ds_rowresult_fini(&j->result);
    plan_fini(&j->plan);
    ds_instream_free(j->in);
    j->in = NULL;
}

void ds_rowresult_fini(ds_rowresult *r)
{
    free(r->dropped);
    free(r->routed);
    memset(r, 0, sizeof *r);
}

void ds_rowresult_text(ds_buf *out, const ds_rowresult *r, const ds_rowplan *p)
{
    (void)ds_buf_printf(out, "%s: %llu input = %llu output + %llu held", p->tool,
                        (unsigned long long)r->input, (unsigned long long)r->output,
                        (unsigned long long)r->held);
    const char *sep = ": ";
    for (size_t i = 0; r->dropped && i < p->nreasons; i++)
        if (r->dropped[i]) {
            (void)ds_buf_printf(out, "%s%llu %s", sep, (unsigned long long)r->dropped[i],
                                p->reasons[i]);
            sep = ", ";
        }
}

int ds_rowcolumn_find(size_t *column, ds_instream *in, const char *name, unsigned types,
                      ds_err *err)
{
    const ds_colnames names = ds_colnames_of(in);
    int rc = ds_colname_column(&names, name, column, err);
    const enum ds_type t = rc ? DS_NTYPES : names.schema->cols[*column].type;
    if (rc == 0 && !(types >> t & 1))
        rc = ds_fail(err, DS_FAIL, "column '%s' is %s, which is of no use here", name,
                     ds_type_name(t));
    return rc;
}

/* ---- outputs ---- */

/* A stream that rows go to. */
typedef struct sink {
    ds_stageout out;
    ds_rows *rows;
    ds_schema schema;
} sink;

typedef struct run {
    const ds_rowplan *p;
    const ds_rowops *ops;
    void *ctx;
    ds_instream *in;
    sink *sinks; /* the outputs, then the rejects */
    size_t nsinks;
    sink *rejects;
    ds_counts held; /* of the inputs, and what this stage dropped */
    ds_rowresult *res;
    ds_origin_state origin;
    uint64_t base;       /* sources of the files before */
    uint64_t rows;       /* handed to workers */
    ds_buf ranges, prov; /* of one row; of the input */
    ds_value *values;
    ds_progress progress;
} run;

typedef struct state {
    ds_rowblock b;
    ds_buf verdicts;
    bool ready;
    size_t nmade;
    void *own;
    const ds_rowops *ops;
    uint64_t first;
} state;

static int sink_open(sink *s, const char *path, const ds_schema *schema, const ds_buf *prov,
                     int64_t level, ds_err *err)
{
    int rc = ds_schema_copy(&s->schema, schema, err);
    if (rc == 0)
        rc = ds_stageout_open(&s->out, path, &s->schema, prov->data, prov->len,
                              ds_stageout_level(path, level), err);
    return rc ? rc : ds_rows_new(&s->rows, s->out.writer, &s->schema, err);
}

static int rejects_schema(ds_schema *s, const ds_schema *in, ds_err *err)
{
    int rc = ds_schema_copy(s, in, err);
    if (rc == 0)
        rc = ds_schema_add(s, NULL, "reason", DS_UTF8, 0, NULL, err);
    if (rc == 0)
        rc = ds_schema_add(s, NULL, "note", DS_UTF8, DS_COL_NULLABLE, NULL, err);
    return rc ? ds_err_prefix(err, "--rejects") : 0;
}

static int open_sinks(run *r, const ds_rowopts *o, const ds_buf *prov, ds_err *err)
{
    const ds_rowplan *p = r->p;
    const size_t n = p->outputs ? p->noutputs : 1;
    ds_schema rejected = {0};
    int rc = 0;
    r->sinks = calloc(n + 1, sizeof *r->sinks);
    r->res->dropped = calloc(p->nreasons + 1, sizeof *r->res->dropped);
    r->res->routed = calloc(n + 1, sizeof *r->res->routed);
    if (!r->sinks || !r->res->dropped || !r->res->routed)
        return ds_fail_nomem(err);
    for (size_t i = 0; rc == 0 && i < n; i++) {
        r->nsinks++;
        rc = sink_open(&r->sinks[i], p->outputs ? p->outputs[i] : o->output, &p->schema, prov,
                       o->level, err);
    }
    if (rc == 0 && o->rejects) {
        if (strcmp(o->rejects, "-") == 0)
            return ds_fail(err, DS_USAGE, "--rejects: a file is wanted");
        rc = rejects_schema(&rejected, ds_instream_schema(r->in), err);
        r->rejects = &r->sinks[r->nsinks++];
        if (rc == 0)
            rc = sink_open(r->rejects, o->rejects, &rejected, prov, o->level, err);
        ds_schema_fini(&rejected);
    }
    return rc;
}

/* ---- workers ---- */

static int state_begin(state *s, run *r, ds_err *err)
{
    if (s->ready)
        return 0;
    s->ops = r->ops;
    s->nmade = r->p->nmade;
    s->own = calloc(1, r->ops->state_size ? r->ops->state_size : 1);
    s->b.views = calloc(ds_instream_schema(r->in)->n + 1, sizeof *s->b.views);
    s->b.made = calloc(s->nmade + 1, sizeof *s->b.made);
    if (!s->own || !s->b.views || !s->b.made)
        return ds_fail_nomem(err);
    for (size_t i = 0; i < s->nmade; i++)
        s->b.made[i].type = r->p->made[i];
    s->b.schema = ds_instream_schema(r->in);
    s->b.notes = r->rejects != NULL;
    s->ready = true;
    return 0;
}

static int stage_prepare(void *ctx, void *st, const ds_block *b, ds_err *err)
{
    run *r = ctx;
    state *s = st;
    s->first = r->rows;
    r->rows += b->rows;
    return state_begin(s, r, err);
}

static int stage_work(void *ctx, void *st, const ds_block *b, ds_err *err)
{
    const run *r = ctx;
    state *s = st;
    ds_rowblock *rb = &s->b;
    size_t bytes;
    rb->block = b;
    rb->first = s->first;
    ds_buf_reset(&s->verdicts);
    ds_buf_reset(&rb->note);
    ds_buf_reset(&rb->note_at);
    if (!ds_mul_size((size_t)b->rows, sizeof *rb->verdict, &bytes) ||
        ds_buf_reserve(&s->verdicts, bytes))
        return ds_fail_nomem(err);
    memset(s->verdicts.data, 0, bytes);
    rb->verdict = (void *)s->verdicts.data;
    for (size_t i = 0; i < s->nmade; i++) {
        ds_spool_reset(&rb->made[i].data);
        ds_buf_reset(&rb->made[i].cells);
    }
    int rc = ds_block_texts(b, rb->schema, rb->views, err);
    return rc ? rc : r->ops->work(r->ctx, s->own, rb, err);
}

static void stage_fini(void *st)
{
    state *s = st;
    if (s->own && s->ops && s->ops->fini)
        s->ops->fini(s->own);
    free(s->own);
    free(s->b.views);
    for (size_t i = 0; s->b.made && i < s->nmade; i++) {
        ds_spool_fini(&s->b.made[i].data);
        ds_buf_fini(&s->b.made[i].cells);
    }
    free(s->b.made);
    ds_buf_fini(&s->verdicts);
    ds_buf_fini(&s->b.note);
    ds_buf_fini(&s->b.note_at);
}

/* ---- rows out ---- */

static int put_made(ds_colbuild *b, const ds_madecol *m, const uint8_t *data, uint64_t row,
                    ds_err *err)
{
    const ds_cell *c = (const ds_cell *)(const void *)m->cells.data + row;
    const ds_colview v = {.type = m->type};
    const ds_value x = {.null = c->null,
                        .i = c->i,
                        .f = c->f,
                        .p = c->len ? data + c->at : (const uint8_t *)"",
                        .len = (size_t)c->len};
    return ds_colbuild_value(b, &v, &x, err);
}

/* The record as it came, why it goes, and what was found. */
static int put_reject(run *r, ds_rowblock *b, uint64_t row, size_t *note, ds_err *err)
{
    ds_rows *rows = r->rejects->rows;
    const size_t n = b->schema->n;
    const char *why = r->p->reasons[b->verdict[row] & ~DS_VERDICT_DROP];
    int rc = ds_rows_copy(rows, b->schema, b->views, r->values, err);
    if (rc == 0)
        rc = ds_colbuild_bytes(ds_rows_col(rows, n), why, strlen(why), err);
    if (rc)
        return rc;
    while (*note + 16 <= b->note_at.len && ds_get_u64(b->note_at.data + *note) < row)
        *note += 16;
    if (*note + 16 > b->note_at.len || ds_get_u64(b->note_at.data + *note) != row)
        return ds_colbuild_null(ds_rows_col(rows, n + 1), err);
    const size_t from = *note ? (size_t)ds_get_u64(b->note_at.data + *note - 8) : 0,
                 to = (size_t)ds_get_u64(b->note_at.data + *note + 8);
    return ds_colbuild_bytes(ds_rows_col(rows, n + 1), b->note.data + from, to - from, err);
}

static int put_output(run *r, size_t out, ds_rowblock *b, const uint8_t *const *data, uint64_t row,
                      ds_err *err)
{
    ds_rows *rows = r->sinks[out].rows;
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < r->p->schema.n; i++) {
        const int from = r->p->from[i];
        ds_colbuild *col = ds_rows_col(rows, i);
        rc = from < 0 ? put_made(col, &b->made[-1 - from], data[-1 - from], row, err)
                      : ds_colbuild_value(col, &b->views[from], &r->values[from], err);
    }
    return rc;
}

static int put_row(run *r, ds_rowblock *b, const uint8_t *const *data, uint64_t row, size_t *note,
                   ds_err *err)
{
    const uint32_t v = b->verdict[row];
    const bool drop = v & DS_VERDICT_DROP;
    sink *s = drop ? r->rejects : &r->sinks[v];
    if (drop)
        r->res->dropped[v & ~DS_VERDICT_DROP]++;
    else
        r->res->routed[v]++;
    if (!s)
        return 0;
    int rc = ds_rows_begin(s->rows, err);
    if (rc == 0)
        rc = drop ? put_reject(r, b, row, note, err) : put_output(r, v, b, data, row, err);
    const ds_range *g = (const ds_range *)(const void *)r->ranges.data;
    for (size_t i = 0; rc == 0 && i < r->ranges.len / sizeof *g; i++)
        rc = ds_rows_origin(s->rows, g[i].source + r->base, g[i].offset, g[i].len, err);
    return rc ? rc : ds_rows_end(s->rows, err);
}

void ds_block_release(const ds_block *b, const ds_colview *views, const ds_value *values, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (b->chunks[i].spool && values[i].p && values[i].len > (size_t)1 << 20)
            ds_spool_release(b->chunks[i].spool,
                             (size_t)(values[i].p - views[i].p) + values[i].len);
}

static int put_rows(run *r, ds_rowblock *rb, const ds_block *b, ds_err *err)
{
    const uint8_t *data[DS_ROWPLAN_MADE];
    const ds_chunk *o = &b->chunks[b->nchunks - 1];
    size_t pos = 0, note = 0;
    uint64_t rows;
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < r->p->nmade; i++) {
        size_t len;
        if (rb->made[i].cells.len != b->rows * sizeof(ds_cell))
            rc = ds_fail(err, DS_FAIL, "made column %zu has not one value a row", i);
        else
            rc = ds_spool_view(&rb->made[i].data, &data[i], &len, err);
    }
    if (rc == 0 && (!ds_varint_get(o->body, o->body_len, &pos, &rows) || rows != b->rows))
        rc = ds_fail(err, DS_CORRUPT, "origins: not of as many records as the block has");
    for (size_t i = 0; i < rb->schema->n; i++)
        ds_colview_rewind(&rb->views[i]);
    for (uint64_t row = 0; rc == 0 && row < b->rows; row++) {
        for (size_t i = 0; i < rb->schema->n; i++)
            (void)ds_colview_next(&rb->views[i], &r->values[i]);
        rc = ds_origin_get(o->body, o->body_len, &pos, &r->origin, &r->ranges, err);
        if (rc == 0)
            rc = put_row(r, rb, data, row, &note, err);
        ds_block_release(b, rb->views, r->values, rb->schema->n);
    }
    return rc;
}

static int stage_done(void *ctx, void *st, const ds_block *b, ds_err *err)
{
    run *r = ctx;
    state *s = st;
    int rc = r->ops->done ? r->ops->done(r->ctx, s->own, &s->b, err) : 0;
    if (rc == 0)
        rc = put_rows(r, &s->b, b, err);
    r->res->input += b->rows;
    ds_progress_at(&r->progress, ds_instream_pos(r->in));
    return rc;
}

static int stage_source(void *ctx, const ds_source *s, ds_err *err)
{
    run *r = ctx;
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < r->nsinks; i++)
        rc = ds_rows_source(r->sinks[i].rows, s, err);
    return rc;
}

static int stage_end(void *ctx, ds_instream *in, ds_err *err)
{
    run *r = ctx;
    const ds_counts *c = ds_reader_counts(ds_instream_reader(in));
    int rc = ds_instream_sameprov(in, &r->prov, err);
    r->base += c->sources;
    r->origin = (ds_origin_state){0};
    return rc ? rc : ds_counts_join(&r->held, c, err);
}

static const ds_blockpipe_ops stage_ops = {
    .state_size = sizeof(state),
    .prepare = stage_prepare,
    .work = stage_work,
    .done = stage_done,
    .source = stage_source,
    .end = stage_end,
    .fini = stage_fini,
};

/* ---- the whole ---- */

/* Every reason of this stage, as "filter: gopher.words_min". */
static int count_dropped(run *r, ds_err *err)
{
    const char *name = strrchr(r->p->tool, ' ');
    ds_buf text = {0};
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < r->p->nreasons; i++) {
        ds_buf_reset(&text);
        if (ds_buf_printf(&text, "%s: %s", name ? name + 1 : r->p->tool, r->p->reasons[i]) ||
            !ds_buf_cstr(&text))
            rc = ds_fail_nomem(err);
        else if (r->res->dropped[i])
            rc = ds_counts_add(&r->held, false, (const char *)text.data, r->res->dropped[i], err);
    }
    ds_buf_fini(&text);
    return rc;
}

static int finish(run *r, ds_err *err)
{
    int rc = count_dropped(r, err);
    for (size_t i = 0; rc == 0 && i < r->nsinks; i++) {
        sink *s = &r->sinks[i];
        rc = ds_rows_finish(s->rows, err);
        if (rc == 0)
            rc = ds_stageout_end(&s->out, s == r->rejects ? NULL : &r->held, err);
    }
    for (size_t i = 0; i < r->p->nreasons; i++)
        r->res->held += r->res->dropped[i];
    r->res->output = r->res->input - r->res->held;
    return rc;
}

static int provenance(ds_buf *out, run *r, ds_err *err)
{
    size_t len;
    const char *in = ds_reader_provenance(ds_instream_reader(r->in), &len);
    if (ds_buf_put(&r->prov, in, len))
        return ds_fail_nomem(err);
    return ds_prov_append(out, in, len, r->p->tool, r->p->options, r->p->digests, err);
}

int ds_rowstage_run(ds_rowresult *res, ds_instream *in, const ds_rowplan *p, const ds_rowops *ops,
                    void *ctx, const ds_rowopts *o, ds_err *err)
{
    run r = {.p = p, .ops = ops, .ctx = ctx, .in = in, .res = res};
    ds_buf prov = {0};
    const size_t columns = ds_instream_schema(in)->n;
    r.values = calloc(columns + 1, sizeof *r.values);
    int rc = r.values ? provenance(&prov, &r, err) : ds_fail_nomem(err);
    if (rc == 0)
        rc = open_sinks(&r, o, &prov, err);
    if (rc == 0) {
        ds_progress_begin(&r.progress, "reading", ds_instream_size(in), true);
        rc = ds_blockpipe_run(in, &stage_ops, &r, (int)o->threads, err);
        ds_progress_end(&r.progress);
    }
    if (rc == 0)
        rc = finish(&r, err);
    for (size_t i = 0; i < r.nsinks; i++) {
        if (rc)
            ds_stageout_abort(&r.sinks[i].out, err->msg);
        ds_rows_free(r.sinks[i].rows);
        ds_stageout_fini(&r.sinks[i].out);
        ds_schema_fini(&r.sinks[i].schema);
    }
    free(r.sinks);
    free(r.values);
    ds_counts_fini(&r.held);
    ds_buf_fini(&r.ranges);
    ds_buf_fini(&r.prov);
    ds_buf_fini(&prov);
    return rc;
}
