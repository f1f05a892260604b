/* append.c - see append.h. */
#include "append.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#include "clock.h"
#include "dsr_prov.h"
#include "dsr_rowcopy.h"
#include "sig.h"

typedef struct pen {
    ds_append *a;
    const ds_schema *schema;
    ds_rows *rows;
    ds_counts counts;
    ds_colview *views;
    ds_value *values;
    ds_buf ranges;
    uint64_t sources; /* that came before the stream in hand */
    uint64_t told;    /* sources of the stream in hand so far */
    ds_buf used; /* uint64_t: numbers of those that its records come from, while it is checked */
    int64_t end; /* by the monotonic clock, ms; 0: not begun */
} pen;

int ds_append_open(ds_append *a, int fd, const char *path, ds_err *err)
{
    int rc = ds_reader_new(&a->in, fd, path, err);
    if (!rc)
        ds_reader_expect_more(a->in);
    return rc;
}

static void close_input(ds_append *a)
{
    int fd = a->own - 1;
    ds_reader_free(a->in);
    a->in = NULL;
    if (a->own)
        (void)ds_close(&fd, "a file", NULL); /* it was only read */
    a->own = 0;
}

void ds_append_fini(ds_append *a)
{
    close_input(a);
    *a = (ds_append){0};
}

static int64_t now_ms(void)
{
    return (int64_t)(ds_seconds() * 1e3);
}

/* ---- records ---- */

/* Which sources the open record comes from; neighbours mostly come from the same. */
static int note_used(pen *p, ds_err *err)
{
    const ds_range *r = (const ds_range *)(const void *)p->ranges.data;
    for (size_t i = 0; i < p->ranges.len / sizeof *r; i++) {
        const uint64_t *last = p->used.len ? (const uint64_t *)(const void *)p->used.data +
                                                 p->used.len / sizeof *last - 1
                                           : NULL;
        if ((!last || *last != r[i].source) &&
            ds_buf_put(&p->used, &r[i].source, sizeof r[i].source))
            return ds_fail_nomem(err);
    }
    return 0;
}

/* Of the source that comes next: a block stands before the sources of its records. */
static bool is_used(const pen *p)
{
    const uint64_t *v = (const uint64_t *)(const void *)p->used.data;
    for (size_t i = 0; i < p->used.len / sizeof *v; i++)
        if (v[i] == p->told)
            return true;
    return false;
}

/* Of the open record, its origins shifted by the sources that came before. */
static int put_record(pen *p, const ds_schema *s, const ds_colview *views, const ds_value *values,
                      uint64_t shift, ds_err *err)
{
    int rc = ds_rows_begin(p->rows, err);
    rc = rc ? rc : ds_rows_copy(p->rows, s, views, values, err);
    for (size_t i = 0; !rc && i < p->ranges.len / sizeof(ds_range); i++) {
        const ds_range *r = (const ds_range *)(const void *)p->ranges.data + i;
        rc = ds_rows_origin(p->rows, r->source + shift, r->offset, r->len, err);
    }
    return rc ? rc : ds_rows_end(p->rows, err);
}

static int origins_begin(const ds_chunk *c, uint64_t rows, size_t *pos, ds_err *err)
{
    uint64_t n;
    *pos = 0;
    return ds_varint_get(c->body, c->body_len, pos, &n) && n == rows
               ? 0
               : ds_fail(err, DS_CORRUPT, "origins are not of as many records as the block");
}

static int put_tail(pen *p, const ds_tail *t, ds_err *err)
{
    ds_recblock b = {0};
    ds_origin_state st = t->origin;
    size_t pos = 0;
    ds_rows_resume(p->rows, t->window, t->nwindow, &t->origin);
    if (!t->side.n)
        return 0;
    int rc = ds_recblock_load(&b, &t->side, t->keep, true, err);
    const ds_chunk *c = rc ? NULL : &b.lent.chunks[t->side.schema.n];
    rc = rc ? rc : origins_begin(c, b.lent.rows, &pos, err);
    while (!rc && ds_recblock_next(&b)) {
        rc = ds_origin_get(c->body, c->body_len, &pos, &st, &p->ranges, err);
        rc = rc ? rc : put_record(p, &t->side.schema, b.views, b.values, 0, err);
    }
    ds_recblock_fini(&b);
    return rc;
}

static int put_block(pen *p, ds_origin_state *st, ds_err *err)
{
    const ds_block *b = ds_reader_block(p->a->in);
    const ds_chunk *c = &b->chunks[p->schema->n];
    size_t pos = 0;
    int rc = ds_block_views(b, p->schema, p->views, err);
    rc = rc ? rc : origins_begin(c, b->rows, &pos, err);
    for (uint64_t i = 0; !rc && i < b->rows; i++) {
        for (size_t k = 0; k < p->schema->n; k++)
            ds_colview_next(&p->views[k], &p->values[k]);
        rc = ds_origin_get(c->body, c->body_len, &pos, st, &p->ranges, err);
        rc = rc || !p->a->after ? rc : note_used(p, err);
        rc = rc ? rc : put_record(p, p->schema, p->views, p->values, p->sources, err);
    }
    return rc;
}

/* ---- streams ---- */

static int end_stream(pen *p, ds_err *err)
{
    const ds_counts *c = ds_reader_counts(p->a->in);
    int rc = ds_counts_join(&p->counts, c, err);
    p->sources += c->sources;
    p->told = 0;
    p->a->got += c->records;
    p->a->taken += ds_reader_pos(p->a->in);
    return rc;
}

static int put_source(pen *p, const ds_source *s, ds_err *err)
{
    int rc = p->a->after ? ds_sourceend_check(p->a->after, s, is_used(p), err) : 0;
    p->told++;
    return rc ? rc : ds_rows_source(p->rows, s, err);
}

/* The stream in hand, whole. */
static int copy_stream(pen *p, ds_err *err)
{
    ds_origin_state st = {0};
    enum ds_event ev = DS_EV_BLOCK;
    int rc = 0;
    while (!rc && ev != DS_EV_END) {
        rc = ds_reader_next(p->a->in, &ev, err);
        if (!rc && ev == DS_EV_BLOCK)
            rc = put_block(p, &st, err);
        else if (!rc && ev == DS_EV_SOURCE)
            rc = put_source(p, ds_reader_source(p->a->in), err);
        rc = rc ? rc : ds_check_interrupt(err);
    }
    return rc ? rc : end_stream(p, err);
}

/* What was gathered is enough, or nothing comes in time. */
static int is_enough(const pen *p, bool *enough, ds_err *err)
{
    const ds_append *a = p->a;
    *enough = (a->records && a->got >= a->records) || (a->bytes && a->taken >= a->bytes);
    if (*enough || !p->end)
        return 0;
    for (int64_t left; (left = p->end - now_ms()) > 0;) {
        int rc = ds_reader_wait(a->in, left, err);
        if (rc)
            return rc < 0 ? rc : 0;
    }
    *enough = true;
    return 0;
}

/* The stream of the next file. */
static int open_next(ds_append *a, ds_err *err)
{
    const char *path = a->files->v[a->next++];
    int fd = -1;
    close_input(a);
    int rc = ds_open(&fd, path, O_RDONLY, 0, err);
    a->own = fd + 1;
    return rc ? rc : ds_append_open(a, fd, path, err);
}

/* The next stream; *same: its records were made as those before. */
static int next_stream(pen *p, bool *same, ds_err *err)
{
    ds_append *a = p->a;
    ds_reader *was = a->in;
    ds_buf steps = {0};
    size_t len, now;
    const char *prov = ds_reader_provenance(was, &len);
    const bool more = ds_reader_has_more(was);
    if (!more && (!a->files || a->next == a->files->n)) {
        a->over = true;
        return 0;
    }
    if (ds_buf_put(&steps, prov, len))
        return ds_fail_nomem(err);
    if (more)
        a->in = NULL;
    int rc = more ? ds_reader_follow(&a->in, was, err) : open_next(a, err);
    if (!rc) {
        prov = ds_reader_provenance(a->in, &now);
        *same = now == steps.len && memcmp(prov, steps.data, now) == 0;
        if (!more && !*same)
            rc = ds_fail(err, DS_FAIL,
                         "%s: it was made by other steps than the file before it, and is no part "
                         "of one stream with it (commit them one by one, with --append)",
                         a->files->v[a->next - 1]);
    }
    ds_buf_fini(&steps);
    return rc;
}

static int check_schema(const pen *p, ds_err *err)
{
    ds_sha want, is;
    int rc = ds_schema_digest(&want, p->schema, err);
    rc = rc ? rc : ds_schema_digest(&is, ds_reader_schema(p->a->in), err);
    if (!rc && !ds_sha_eq(&want, &is))
        rc = ds_fail(err, DS_FAIL,
                     "the stream's columns are not those of the records that it goes on");
    return rc;
}

static int copy_streams(pen *p, ds_err *err)
{
    bool enough = false, same = true;
    int rc = 0;
    while (!rc && !enough && same && !p->a->over) {
        rc = check_schema(p, err);
        rc = rc ? rc : copy_stream(p, err);
        p->a->after = NULL; /* the streams behind it come from the same producer */
        if (!rc && p->a->seconds && p->a->got && !p->end)
            p->end = now_ms() + p->a->seconds * 1000;
        rc = rc ? rc : next_stream(p, &same, err);
        if (!rc && same && !p->a->over)
            rc = is_enough(p, &enough, err);
    }
    return rc;
}

static int begin(pen *p, ds_writer **w, ds_out *out, ds_schema *schema, ds_err *err)
{
    const ds_tail *t = p->a->tail;
    const ds_writer_opts raw = {0};
    ds_buf both = {0};
    size_t len;
    const char *prov = ds_reader_provenance(p->a->in, &len);
    int rc = ds_schema_copy(schema, t ? &t->side.schema : ds_reader_schema(p->a->in), err);
    p->schema = schema;
    if (!rc && t)
        rc = ds_prov_union(&both, t->provenance.data, t->provenance.len, prov, len, err);
    else if (!rc && ds_buf_put(&both, prov, len))
        rc = ds_fail_nomem(err);
    rc = rc ? rc : check_schema(p, err);
    rc = rc ? rc : ds_writer_new(w, out, schema, both.data, both.len, &raw, err);
    rc = rc ? rc : ds_rows_new(&p->rows, *w, schema, err);
    p->views = calloc(schema->n + 1, sizeof *p->views);
    p->values = calloc(schema->n + 1, sizeof *p->values);
    if (!rc && (!p->views || !p->values))
        rc = ds_fail_nomem(err);
    p->sources = t ? t->meta.sources : 0;
    ds_buf_fini(&both);
    return !rc && t ? put_tail(p, t, err) : rc;
}

int ds_append_write(ds_append *a, int fd, ds_err *err)
{
    pen p = {.a = a};
    ds_out out = {.fd = -1};
    ds_writer *w = NULL;
    ds_schema schema;
    ds_schema_init(&schema);
    a->got = a->taken = 0;
    int rc = ds_out_init(&out, fd, "a stream that goes on", err);
    rc = rc ? rc : begin(&p, &w, &out, &schema, err);
    rc = rc ? rc : copy_streams(&p, err);
    a->empty = a->got == 0 && p.sources == (a->tail ? a->tail->meta.sources : 0) &&
               p.counts.nheld + p.counts.nfailed == 0;
    rc = rc ? rc : ds_rows_finish(p.rows, err);
    rc = rc ? rc : ds_writer_end(w, &p.counts, NULL, err);
    rc = rc ? rc : ds_out_flush(&out, err);
    if (rc && w)
        ds_writer_abort(w, err->msg);
    ds_rows_free(p.rows);
    ds_writer_free(w);
    ds_out_fini(&out);
    ds_schema_fini(&schema);
    ds_counts_fini(&p.counts);
    ds_buf_fini(&p.ranges);
    ds_buf_fini(&p.used);
    free(p.views);
    free(p.values);
    return rc;
}
