/* fmt_csv.c - comma-separated values (RFC 4180), with a header, lines ended by LF; read with other
 * delimiters, too.
 *
 * Fields are texts: utf8 and json as they are, bytes in base64, numbers in decimal (also NaN and
 * Infinity), times as RFC 3339 has them, all else as JSON. No value is an empty field, empty text
 * is "": readers that do not tell these apart lose the difference. Read without a schema, every
 * column is text.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "csv.h"
#include "fmtguess.h"
#include "fmtin.h"
#include "fmtout.h"
#include "json.h"
#include "utf8.h"

/* ---- writing ---- */

typedef struct writer {
    ds_fmtout out; /* first: ds_fmtwriter_put */
    ds_fmtwrite o;
    ds_buf head;
    size_t *lost; /* by column of lists: number of the loss and 1 */
} writer;

static int quoted(ds_buf *b, const uint8_t *p, size_t len)
{
    bool plain = len > 0;
    for (size_t i = 0; plain && i < len; i++)
        plain = p[i] != '"' && p[i] != ',' && p[i] != '\n' && p[i] != '\r';
    if (plain)
        return ds_buf_put(b, p, len);
    if (ds_buf_putc(b, '"'))
        return DS_NOMEM;
    for (size_t at = 0; at < len;) {
        const uint8_t *q = memchr(p + at, '"', len - at);
        const size_t n = q ? (size_t)(q - p) - at + 1 : len - at;
        if (ds_buf_put(b, p + at, n) || (q && ds_buf_putc(b, '"')))
            return DS_NOMEM;
        at += n;
    }
    return ds_buf_putc(b, '"');
}

static int begin(void **out, const ds_fmtwrite *o, const ds_schema *s, ds_fmtloss *l, ds_err *err)
{
    writer *w = *out = calloc(1, sizeof *w);
    bool bad = !w || !(w->lost = calloc(s->n + 1, sizeof *w->lost));
    int rc = 0;
    for (size_t i = 0; !bad && i < s->n; i++)
        bad = (i && ds_buf_putc(&w->head, ',')) ||
              quoted(&w->head, (const uint8_t *)s->cols[i].name, strlen(s->cols[i].name));
    if (bad || ds_buf_putc(&w->head, '\n'))
        return ds_fail_nomem(err);
    w->o = *o;
    for (size_t i = 0; rc == 0 && i < s->n; i++)
        if (s->cols[i].type == DS_LIST)
            rc = ds_fmtloss_json(l, &w->lost[i], &s->cols[i], err);
    return rc;
}

static int head(void *v, ds_out *out, ds_err *err)
{
    writer *w = v;
    return ds_out_put(out, w->head.data, w->head.len, err);
}

static int open_out(void *v, ds_err *err)
{
    writer *w = v;
    w->out.ends = (ds_fmtends){.head = head, .ctx = w};
    w->out.ext = ".csv";
    w->out.shard_size = w->o.shard_size;
    return ds_fmtout_open(&w->out, w->o.path, w->o.shards, true, err);
}

static int real(ds_buf *b, double f)
{
    if (isfinite(f))
        return ds_json_real(b, f);
    return ds_buf_puts(b, isnan(f) ? "NaN" : f > 0 ? "Infinity" : "-Infinity");
}

static int field(ds_fmtblock *b, size_t i, ds_err *err)
{
    const ds_value *x = &b->row.values[i];
    ds_buf *t = &b->scratch;
    bool bad = false;
    if (x->null)
        return 0;
    switch (b->schema->cols[i].type) {
    case DS_UTF8:
    case DS_JSON:
        bad = quoted(t, x->p, x->len);
        break;
    case DS_BYTES:
        bad = x->len ? ds_base64(t, x->p, x->len) : ds_buf_puts(t, "\"\"");
        break;
    case DS_F64:
        bad = real(t, x->f);
        break;
    case DS_TIMESTAMP:
        bad = ds_time_text(t, x->i);
        break;
    default: {
        int rc = ds_fmtblock_json(b, i, err);
        if (rc)
            return rc;
        bad = quoted(t, b->row.out.data, b->row.out.len);
    }
    }
    return bad ? ds_fail_nomem(err) : 0;
}

static int row(const void *v, ds_fmtblock *b, ds_err *err)
{
    const writer *w = v;
    int rc = 0;
    ds_buf_reset(&b->scratch);
    for (size_t i = 0; rc == 0 && i < b->schema->n; i++) {
        if (w->lost[i] && ds_fmtblock_json_loses(b, i))
            b->lost[w->lost[i] - 1]++;
        rc = field(b, i, err);
        if (rc == 0 && ds_buf_putc(&b->scratch, i + 1 < b->schema->n ? ',' : '\n'))
            rc = ds_fail_nomem(err);
        if (rc == 0 && b->scratch.len > (size_t)256 << 10) {
            rc = ds_fmtblock_put(b, b->scratch.data, b->scratch.len, err);
            ds_buf_reset(&b->scratch);
        }
    }
    return rc ? rc : ds_fmtblock_put(b, b->scratch.data, b->scratch.len, err);
}

static void free_writer(void *v)
{
    writer *w = v;
    if (!w)
        return;
    ds_fmtout_abort(&w->out);
    ds_buf_fini(&w->head);
    free(w->lost);
    free(w);
}

/* ---- reading ---- */

typedef struct reader {
    ds_fmtin in;
    ds_fmtread o;
    ds_csvrec rec;
    ds_buf names, text; /* NUL after each name; of a record, without doubled quotes */
    size_t nfields;
    long *column; /* by field: -1 = none */
    ds_fval *values;
} reader;

/* The next record into r->rec; *used with its end. 1: there is none. Other codes: see csv.h. */
static int next(reader *r, size_t *used, bool *good, ds_err *err)
{
    for (size_t want = (size_t)64 << 10;; want *= 2) {
        int rc = ds_fmtin_want(&r->in, want, err);
        if (rc)
            return rc;
        const size_t have = ds_fmtin_have(&r->in);
        if (have == 0)
            return 1;
        rc = ds_csv_record(&r->rec, ds_fmtin_at(&r->in), have, r->in.eof,
                           r->o.delimiter ? r->o.delimiter : ',', used);
        *good = rc == 0;
        if (rc == DS_NOMEM)
            return ds_fail_nomem(err);
        if (rc != DS_CSV_MORE)
            return 0;
        if (want > r->o.max_record)
            return ds_fail(err, DS_FAIL, "%s: offset %llu: a record is longer than --max-record",
                           r->o.name, (unsigned long long)r->in.pos);
    }
}

/* A header of one field with what separates fields elsewhere in it. */
static int check_comma(const ds_csvfield *f, const ds_fmtread *o, ds_err *err)
{
    static const char *const others[] = {";", "\t", "|"}, *const words[] = {"';'", "tab", "'|'"};
    for (size_t i = 0; i < 3; i++)
        if (f->len && memchr(f->p, *others[i], f->len))
            return ds_fail(err, DS_FAIL,
                           "%s: the header is one field with a %s in it: --delimiter %s, or "
                           "--delimiter ',' where that is its name",
                           o->name, words[i], words[i]);
    return 0;
}

static int read_open(void **out, const ds_fmtread *o, ds_err *err)
{
    reader *r = *out = calloc(1, sizeof *r);
    size_t used;
    bool good;
    if (!r)
        return ds_fail_nomem(err);
    r->o = *o;
    int rc = ds_fmtin_open(&r->in, o, err);
    rc = rc ? rc : ds_fmtin_skip_mark(&r->in, err);
    rc = rc ? rc : next(r, &used, &good, err);
    if (rc == 1)
        rc = ds_fail(err, DS_FAIL, "%s: it is empty: there is no header", o->name);
    if (rc == 0 && !good)
        rc = ds_fail(err, DS_FAIL, "%s: offset %llu: the header is not one: %s", o->name,
                     (unsigned long long)(r->in.pos + r->rec.at), r->rec.why);
    if (rc == 0 && !o->delimiter && r->rec.n == 1)
        rc = check_comma(&r->rec.v[0], o, err);
    for (size_t i = 0; rc == 0 && i < r->rec.n; i++) {
        const ds_csvfield *f = &r->rec.v[i];
        if (ds_buf_reserve(&r->names, f->len + 1))
            return ds_fail_nomem(err);
        const size_t n = ds_csv_unquote(r->names.data + r->names.len, f);
        if (memchr(r->names.data + r->names.len, 0, n))
            rc = ds_fail(err, DS_FAIL, "%s: header: field %zu has a NUL in its name", o->name,
                         i + 1);
        r->names.data[r->names.len + n] = '\0';
        r->names.len += n + 1;
        r->nfields++;
    }
    if (rc == 0)
        ds_fmtin_skip(&r->in, used);
    return rc;
}

static int schema(void *v, ds_schema *s, ds_err *err)
{
    reader *r = v;
    ds_fguess g;
    const ds_fval text = {.kind = DS_FV_TEXT, .p = (const uint8_t *)""};
    const char *name = (const char *)r->names.data;
    int rc = 0;
    ds_fguess_init(&g);
    for (size_t i = 0; rc == 0 && i < r->nfields; i++, name += strlen(name) + 1)
        rc = !*name ? ds_fail(err, DS_FAIL, "field %zu has no name: give it one", i + 1)
                    : ds_fguess_see(&g, name, strlen(name), &text, err);
    if (rc == 0)
        rc = ds_fguess_schema(&g, s, r->o.key, err);
    ds_fguess_fini(&g);
    return rc ? ds_err_prefix(err, "%s: header", r->o.name) : 0;
}

static int map_fields(reader *r, const ds_schema *s, ds_err *err)
{
    const char *name = (const char *)r->names.data;
    r->column = calloc(r->nfields + 1, sizeof *r->column);
    r->values = calloc(s->n + 1, sizeof *r->values);
    if (!r->column || !r->values)
        return ds_fail_nomem(err);
    for (size_t i = 0; i < r->nfields; i++, name += strlen(name) + 1) {
        r->column[i] = ds_fmtschema_column(s, r->o.key, name, strlen(name));
        if (r->column[i] < 0)
            return ds_fail(err, DS_FAIL, "%s: the field '%s' is in no column of the schema",
                           r->o.name, name);
        for (size_t k = 0; k < i; k++)
            if (r->column[k] == r->column[i])
                return ds_fail(err, DS_FAIL, "%s: the field '%s' is there twice", r->o.name, name);
    }
    return 0;
}

/* A field as a value: of bytes, as base64 in JSON. */
static int value_of(reader *r, const ds_csvfield *f, bool bytes, ds_fval *v)
{
    const size_t at = r->text.len;
    *v = (ds_fval){.kind = DS_FV_TEXT, .p = f->p, .len = f->len};
    if (!f->doubled && !bytes)
        return 0;
    if (ds_buf_reserve(&r->text, f->len + 2))
        return DS_NOMEM;
    if (bytes)
        r->text.data[r->text.len++] = '"';
    r->text.len += ds_csv_unquote(r->text.data + r->text.len, f);
    if (bytes)
        r->text.data[r->text.len++] = '"';
    *v = (ds_fval){
        .kind = bytes ? DS_FV_JSON : DS_FV_TEXT, .p = r->text.data + at, .len = r->text.len - at};
    return 0;
}

static int one_record(reader *r, const ds_fmtsink *sink, size_t used, ds_err *err)
{
    const ds_schema *s = sink->schema;
    const uint8_t *p = ds_fmtin_at(&r->in);
    const uint64_t at = r->in.pos;
    if (r->rec.n != r->nfields)
        return r->rec.n == 1 && r->rec.v[0].len == 0
                   ? 0
                   : sink->bad(sink->ctx, "fields", at, at, p, used, false,
                               "not as many fields as the header has", err);
    for (size_t i = 0; i < s->n; i++)
        r->values[i] = (ds_fval){.kind = DS_FV_NULL};
    ds_buf_reset(&r->text);
    /* All at once, so that the buffer does not move under values. */
    if (ds_buf_reserve(&r->text, used + 2 * r->nfields + 16))
        return ds_fail_nomem(err);
    for (size_t i = 0; i < r->nfields; i++) {
        const ds_csvfield *f = &r->rec.v[i];
        const ds_column *c = &s->cols[r->column[i]];
        if (f->len == 0 && !(f->p > p && f->p[-1] == '"') && c->nullable)
            continue;
        if (value_of(r, f, c->type == DS_BYTES, &r->values[r->column[i]]))
            return ds_fail_nomem(err);
    }
    return sink->row(sink->ctx, r->values, at, used, err);
}

static int read_all(void *v, const ds_fmtsink *sink, ds_err *err)
{
    reader *r = v;
    size_t used;
    bool good;
    int rc = map_fields(r, sink->schema, err), more = 0;
    while (rc == 0 && (more = next(r, &used, &good, err)) == 0) {
        const uint64_t at = r->in.pos;
        rc = good ? one_record(r, sink, used, err)
                  : sink->bad(sink->ctx, "csv", at + r->rec.at, at, ds_fmtin_at(&r->in), used,
                              false, r->rec.why, err);
        ds_fmtin_skip(&r->in, used);
    }
    rc = rc ? rc : more < 0 ? more : 0;
    return rc ? rc : ds_fmtin_end(&r->in, sink, err);
}

static void close_reader(void *v)
{
    reader *r = v;
    if (!r)
        return;
    ds_fmtin_close(&r->in);
    ds_csv_fini(&r->rec);
    ds_buf_fini(&r->names);
    ds_buf_fini(&r->text);
    free(r->column);
    free(r->values);
    free(r);
}

extern const ds_format ds_format_csv;
const ds_format ds_format_csv = {
    .name = "csv",
    .summary = "comma-separated values with a header",
    .ext = ".csv",
    .flags = DS_FORMAT_PIPE | DS_FORMAT_SHARDS,
    .begin = begin,
    .open = open_out,
    .row = row,
    .put = ds_fmtwriter_put,
    .finish = ds_fmtwriter_finish,
    .free = free_writer,
    .read_open = read_open,
    .schema = schema,
    .read = read_all,
    .close = close_reader,
};
