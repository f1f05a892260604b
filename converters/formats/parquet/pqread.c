/* pqread.c - see pqread.h. */
#include "pqread.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fmtcolumns.h"
#include "fmtfile.h"
#include "io.h"
#include "pqrow.h"
#include "try.h"

#define FOOTER_MOST ((uint64_t)256 << 20)
enum { MAGIC = 4, TAIL = 8 };

typedef struct reader {
    ds_fmtread o;
    int fd;
    uint64_t size;
    ds_sha sha;
    ds_pqfile file;
    ds_pqrow row;
    ds_fval *values;
} reader;

/* ---- the footer ---- */

static int bad(const reader *r, uint64_t at, const char *why, ds_err *err)
{
    return ds_fail(err, DS_FAIL, "%s: offset %llu: %s", r->o.name, (unsigned long long)at, why);
}

static int parse_footer(reader *r, uint64_t at, size_t len, ds_err *err)
{
    const char *why;
    ds_buf b = {0};
    int rc = ds_buf_reserve(&b, len + 1) ? ds_fail_nomem(err) : 0;

    rc = rc ? rc : ds_pread_exact(r->fd, r->o.name, b.data, len, at, err);
    if (!rc) {
        rc = ds_pqfile_parse(&r->file, b.data, len, r->size, &why);
        rc = rc == DS_NOMEM ? ds_fail_nomem(err) : rc ? bad(r, at, why, err) : 0;
    }
    ds_buf_fini(&b);
    return rc;
}

/* magic, pages, footer, u32 its length, magic */
static int read_footer(reader *r, ds_err *err)
{
    uint8_t head[MAGIC], tail[TAIL];

    if (r->size < MAGIC + TAIL)
        return ds_fail(err, DS_FAIL, "%s: too short for a Parquet file", r->o.name);
    TRY(ds_pread_exact(r->fd, r->o.name, head, MAGIC, 0, err));
    TRY(ds_pread_exact(r->fd, r->o.name, tail, TAIL, r->size - TAIL, err));
    if (memcmp(tail + 4, "PARE", MAGIC) == 0)
        return ds_fail(err, DS_FAIL, "%s: a Parquet file with an encrypted footer", r->o.name);
    if (memcmp(head, "PAR1", MAGIC) != 0)
        return bad(r, 0, "it is no Parquet file: it does not begin with PAR1", err);
    if (memcmp(tail + 4, "PAR1", MAGIC) != 0)
        return bad(r, r->size - MAGIC,
                   "it does not end with PAR1: the file was cut short, and what its columns are "
                   "stands at its end",
                   err);
    const uint64_t len = ds_get_u32(tail);
    if (len > r->size - MAGIC - TAIL || len > FOOTER_MOST)
        return bad(r, r->size - TAIL, "the footer is longer than the file", err);
    return parse_footer(r, r->size - TAIL - len, (size_t)len, err);
}

int ds_pqread_open(void **out, const ds_fmtread *o, ds_err *err)
{
    reader *r = *out = calloc(1, sizeof *r);

    if (!r)
        return ds_fail_nomem(err);
    r->o = *o;
    r->fd = -1;
    TRY(ds_fmtfile_open(&r->fd, &r->size, &r->sha, o, err));
    TRY(read_footer(r, err));
    const ds_pqsource from = {.fd = r->fd,
                              .name = o->name,
                              .size = r->size,
                              .max_ratio = o->max_ratio,
                              .max_record = o->max_record};
    return ds_pqrow_init(&r->row, &r->file, &from, o->columns, o->key ? o->key : "key", err);
}

/* ---- columns ---- */

int ds_pqread_schema(void *v, ds_schema *s, ds_err *err)
{
    reader *r = v;
    const size_t n = r->row.cols.n;
    ds_fmtcolumn *cols = calloc(n + 1, sizeof *cols);
    int rc = cols ? 0 : ds_fail_nomem(err);

    for (size_t i = 0; i < n && !rc; i++) {
        const ds_pqcolumn *c = &r->row.cols.v[i];
        cols[i] = (ds_fmtcolumn){.name = c->name, .nullable = c->nullable};
        rc = ds_pqcolumn_type(c, &r->file, &r->row.from, &cols[i].type, &cols[i].item, err);
    }
    rc = rc ? rc : ds_fmtcolumns_schema(s, cols, n, r->o.key, r->o.name, err);
    free(cols);
    return rc;
}

static int map_columns(reader *r, const ds_schema *s, ds_err *err)
{
    const size_t n = r->row.cols.n;
    const ds_fmtnamed named = {r->row.cols.v, n, sizeof *r->row.cols.v};
    long *to = calloc(n + 1, sizeof *to);

    r->values = calloc(s->n + 1, sizeof *r->values);
    int rc = to && r->values ? 0 : ds_fail_nomem(err);
    rc = rc ? rc : ds_fmtcolumns_map(to, &named, s, r->o.key, r->o.name, err);
    for (size_t i = 0; i < n && !rc; i++) {
        ds_pqcolumn *c = &r->row.cols.v[i];
        c->to = to[i];
        c->form = ds_pqform_for(c->form, s->cols[c->to].type);
    }
    free(to);
    return rc;
}

/* ---- records ---- */

/* Where a group's pages lie: the records are of there. */
static void span_of(const reader *r, const ds_pqgroup *g, uint64_t *at, uint64_t *len)
{
    uint64_t end = 0;

    *at = UINT64_MAX;
    for (size_t i = 0; i < r->file.nleaves; i++) {
        const ds_pqchunk *c = &r->file.chunks[g->chunks + i];
        *at = c->at < *at ? c->at : *at;
        end = c->at + c->len > end ? c->at + c->len : end;
    }
    *len = end - *at;
}

static int one_record(reader *r, const ds_fmtsink *sink, uint64_t number, uint64_t at, uint64_t len,
                      const char **why, ds_err *err)
{
    char text[512];

    for (size_t k = 0; k < sink->schema->n; k++)
        r->values[k] = (ds_fval){.kind = DS_FV_NULL};
    r->row.unfit = NULL;
    for (size_t k = 0; k < r->row.cols.n; k++) {
        ds_pqcolumn *c = &r->row.cols.v[k];
        TRY(ds_pqrow_value(&r->row, c, &r->values[c->to], why, err));
    }
    if (!r->row.unfit)
        return sink->row(sink->ctx, r->values, at, len, err);
    (void)snprintf(text, sizeof text, "row %llu: %s: %s", (unsigned long long)number,
                   r->row.of->name, r->row.unfit);
    return sink->bad(sink->ctx, "value", at, at, NULL, (size_t)len, false, text, err);
}

static int one_group(reader *r, const ds_fmtsink *sink, const ds_pqgroup *g, uint64_t first,
                     ds_err *err)
{
    uint64_t at, len, i = 0;
    const char *why = NULL;
    char text[512];
    int rc = 0;

    span_of(r, g, &at, &len);
    ds_pqrow_group(&r->row, g);
    for (; i < g->rows && !rc; i += !rc)
        rc = one_record(r, sink, first + i, at, len, &why, err);
    if (!rc)
        rc = ds_pqrow_end(&r->row, &why, err);
    if (rc != 1)
        return rc;
    const uint64_t here = r->row.last->here;
    (void)snprintf(text, sizeof text, "column %s: %s; %llu rows from row %llu on are lost",
                   r->row.last->node->name, why, (unsigned long long)(g->rows - i),
                   (unsigned long long)(first + i));
    return sink->bad(sink->ctx, "damaged", here, here, NULL, 0, g->rows > i, text, err);
}

int ds_pqread_read(void *v, const ds_fmtsink *sink, ds_err *err)
{
    reader *r = v;
    uint64_t first = 0;

    TRY(map_columns(r, sink->schema, err));
    for (size_t i = 0; i < r->file.ngroups; i++) {
        TRY(one_group(r, sink, &r->file.groups[i], first, err));
        first += r->file.groups[i].rows;
    }
    return sink->source(sink->ctx, r->o.name, r->size, &r->sha, err);
}

void ds_pqread_close(void *v)
{
    reader *r = v;

    if (!r)
        return;
    ds_pqrow_fini(&r->row);
    ds_pqfile_fini(&r->file);
    (void)ds_close(&r->fd, r->o.name, NULL);
    free(r->values);
    free(r);
}
