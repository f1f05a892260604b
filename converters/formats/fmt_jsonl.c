/* fmt_jsonl.c - JSON lines (RFC 8259, one object a line), in the form of `dsprep cat --data`; and,
 * for reading, documents that hold an array of such objects (jitems.h).
 *
 * Every type has a form (jsonrow.h); what JSON cannot say is NaN and the infinities, which become
 * null, and a JSON value null beside no value. Read without a schema, columns come from the first
 * megabyte, and what does not fit them later goes into a column `rest`.
 */
#include <stdlib.h>
#include <string.h>

#include "fmtguess.h"
#include "fmtin.h"
#include "fmtout.h"
#include "jitems.h"
#include "json.h"
#include "utf8.h"

#define PEEK_LINES 1000
#define PEEK_BYTES ((size_t)64 << 10) /* what shows that it is a document */

/* ---- writing ---- */

typedef struct writer {
    ds_fmtout out; /* first: ds_fmtwriter_put */
    ds_fmtwrite o;
    size_t *lost; /* by column: number of the loss, 0 = none, else 1 more */
} writer;

static int begin(void **out, const ds_fmtwrite *o, const ds_schema *s, ds_fmtloss *l, ds_err *err)
{
    writer *w = *out = calloc(1, sizeof *w);
    if (!w || !(w->lost = calloc(s->n + 1, sizeof *w->lost)))
        return ds_fail_nomem(err);
    w->o = *o;
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < s->n; i++)
        rc = ds_fmtloss_json(l, &w->lost[i], &s->cols[i], err);
    return rc;
}

static int open_out(void *v, ds_err *err)
{
    writer *w = v;
    w->out.ext = ".jsonl";
    w->out.shard_size = w->o.shard_size;
    return ds_fmtout_open(&w->out, w->o.path, w->o.shards, true, err);
}

static int take(void *ctx, ds_buf *text, ds_err *err)
{
    ds_fmtblock *b = ctx;
    int rc = ds_fmtblock_put(b, text->data, text->len, err);
    ds_buf_reset(text);
    return rc;
}

static int row(const void *v, ds_fmtblock *b, ds_err *err)
{
    const writer *w = v;
    for (size_t i = 0; i < b->schema->n; i++)
        if (w->lost[i] && ds_fmtblock_json_loses(b, i))
            b->lost[w->lost[i] - 1]++;
    ds_buf_reset(&b->row.out);
    b->row.flush = take;
    b->row.flush_ctx = b;
    int rc = ds_buf_putc(&b->row.out, '{') ? ds_fail_nomem(err) : 0;
    if (rc == 0)
        rc = ds_jsonrow_members(&b->row, b->form, b->block, err);
    if (rc == 0 && ds_buf_puts(&b->row.out, "}\n"))
        rc = ds_fail_nomem(err);
    if (rc == 0)
        rc = take(b, &b->row.out, err);
    b->row.flush = NULL;
    return rc;
}

static void free_writer(void *v)
{
    writer *w = v;
    if (!w)
        return;
    ds_fmtout_abort(&w->out);
    free(w->lost);
    free(w);
}

/* ---- reading ---- */

typedef struct reader {
    ds_fmtin in;
    ds_fmtread o;
    ds_jscan scan;
    ds_fval *values;
    ds_buf name, rest;
    const char *at; /* the path of an array; NULL: lines */
} reader;

/* A line, or an element of an array. */
typedef struct unit {
    size_t at, len, whole; /* whole: with what stands around it */
    bool open;
    const char *why; /* it is none */
} unit;

static int read_open(void **out, const ds_fmtread *o, ds_err *err)
{
    reader *r = *out = calloc(1, sizeof *r);
    if (!r)
        return ds_fail_nomem(err);
    r->o = *o;
    int rc = ds_fmtin_open(&r->in, o, err);
    rc = rc ? rc : ds_fmtin_skip_mark(&r->in, err);
    r->at = o->records_at;
    if (rc == 0 && !r->at && (rc = ds_fmtin_want(&r->in, PEEK_BYTES, err)) == 0)
        r->at = ds_jitems_guess(ds_fmtin_at(&r->in), ds_fmtin_have(&r->in), false);
    return rc;
}

/* The next line, without its end. False: not all of it is in the window. */
static bool line_in(const uint8_t *p, size_t have, bool eof, unit *u)
{
    const uint8_t *end = have ? memchr(p, '\n', have) : NULL;
    if (!end && !(eof && have))
        return false;
    *u = (unit){.len = end ? (size_t)(end - p) : have};
    u->whole = u->len + (end != NULL);
    if (u->len && p[u->len - 1] == '\r')
        --u->len;
    return true;
}

static bool unit_in(const reader *r, size_t from, unit *u)
{
    const uint8_t *p = ds_fmtin_at(&r->in) + from;
    const size_t have = ds_fmtin_have(&r->in) - from;
    ds_jitem i;
    if (!r->at)
        return line_in(p, have, r->in.eof, u);
    if (have == 0)
        return false;
    const size_t whole = ds_jitems_next(r->at, p, have, &i);
    *u = (unit){.at = i.at, .len = i.len, .whole = whole, .open = i.open, .why = i.why};
    return i.ended || r->in.eof;
}

static bool blank(const uint8_t *p, size_t len)
{
    for (size_t i = 0; i < len; i++)
        if (p[i] != ' ' && p[i] != '\t')
            return false;
    return true;
}

/* A member's name as it is meant. */
static int name_of(reader *r, const ds_jmember *m, const char **p, size_t *len)
{
    *p = (const char *)m->name;
    *len = m->name_len;
    if (!m->name_escaped)
        return 0;
    ds_buf_reset(&r->name);
    if (ds_buf_reserve(&r->name, m->name_len + DS_JSTRING_SLACK))
        return DS_NOMEM;
    *len = ds_jstring_unescape(r->name.data, m->name, m->name_len);
    *p = (const char *)r->name.data;
    return 0;
}

/* Why a line is none, and where; reason NULL: it is one, and scanned. */
typedef struct fault {
    const char *reason, *why;
    size_t at;
} fault;

static int find_fault(reader *r, const uint8_t *p, const unit *u, fault *f, ds_err *err)
{
    const size_t good = ds_utf8_check(p, u->len);
    *f = (fault){"json", u->why, 0};
    if (u->why)
        return 0;
    *f = (fault){"utf8", "it is not UTF-8", good};
    if (good < u->len)
        return 0;
    const int rc = ds_jscan_text(&r->scan, p, u->len, DS_JSCAN_DEPTH_RECORD);
    if (rc == DS_NOMEM)
        return ds_fail_nomem(err);
    *f = (fault){0};
    if (rc)
        *f = (fault){"json", r->scan.why, r->scan.at};
    else if (r->scan.kind != DS_J_OBJECT)
        *f = (fault){"no_object", "it is no object", 0};
    return 0;
}

static int see_members(reader *r, ds_fguess *g, ds_err *err)
{
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < r->scan.n; i++) {
        const ds_fval x = ds_fval_json(&r->scan.v[i]);
        const char *name;
        size_t len;
        rc = name_of(r, &r->scan.v[i], &name, &len) ? ds_fail_nomem(err) : 0;
        if (rc == 0)
            rc = ds_fguess_see(g, name, len, &x, err);
    }
    return rc;
}

/* The first megabyte, or the first line where that is longer. */
static int want_lines(reader *r, ds_err *err)
{
    unit u;
    size_t want = DS_FMTIN_PEEK;
    int rc = ds_fmtin_want(&r->in, want, err);
    while (rc == 0 && !r->in.eof && want <= r->o.max_record && !unit_in(r, 0, &u))
        rc = ds_fmtin_want(&r->in, want *= 2, err);
    return rc;
}

/* No line was an object that columns could be taken from. first: the fault of the first one. */
static int no_object(const reader *r, const fault *first, ds_err *err)
{
    if (first->reason)
        return ds_fail(err, DS_FAIL,
                       "%s: offset %llu: %s; columns are taken from lines that are objects, and no "
                       "line at the beginning is one",
                       r->o.name, (unsigned long long)(r->in.pos + first->at), first->why);
    if (ds_fmtin_have(&r->in) && !r->in.eof)
        return ds_fail(err, DS_FAIL, "%s: its first line is longer than --max-record", r->o.name);
    return ds_fail(err, DS_FAIL,
                   "%s: it has no records with members, so its columns are not known "
                   "(--schema says them)",
                   r->o.name);
}

static int schema(void *v, ds_schema *s, ds_err *err)
{
    reader *r = v;
    ds_fguess g;
    fault first = {0}, f;
    size_t at = 0;
    unit u;
    ds_fguess_init(&g);
    int rc = want_lines(r, err);
    for (int n = 0; rc == 0 && n < PEEK_LINES && unit_in(r, at, &u); n++, at += u.whole) {
        const uint8_t *p = ds_fmtin_at(&r->in) + at + u.at;
        if (blank(p, u.len))
            continue;
        rc = find_fault(r, p, &u, &f, err);
        if (rc == 0 && !f.reason)
            rc = see_members(r, &g, err);
        else if (rc == 0 && !first.reason)
            first = (fault){f.reason, f.why, at + u.at + f.at};
    }
    if (rc == 0 && g.names.n == 0)
        rc = no_object(r, &first, err);
    if (rc == 0 && ds_schema_find(&g.names, "rest") < 0 && g.names.n < 255) {
        const ds_fval any = {.kind = DS_FV_JSON, .p = (const uint8_t *)"{}", .len = 2};
        rc = ds_fguess_see(&g, "rest", 4, &any, err);
    }
    if (rc == 0)
        rc = ds_fguess_schema(&g, s, r->o.key, err);
    ds_fguess_fini(&g);
    return rc;
}

static int keep(reader *r, const ds_jmember *m)
{
    return ds_buf_puts(&r->rest, r->rest.len ? ",\"" : "{\"") ||
           ds_buf_put(&r->rest, m->name, m->name_len) || ds_buf_puts(&r->rest, "\":") ||
           ds_jscan_minify(&r->rest, m->value, m->value_len);
}

/* Members to columns; what has none goes into `rest`, when there is one. 1: *why it cannot. */
static int distribute(reader *r, const ds_schema *s, long rest, const char **why, ds_err *err)
{
    for (size_t i = 0; i < s->n; i++)
        r->values[i] = (ds_fval){.kind = DS_FV_NULL};
    ds_buf_reset(&r->rest);
    for (size_t i = 0; i < r->scan.n; i++) {
        const ds_jmember *m = &r->scan.v[i];
        const char *name;
        size_t len;
        if (name_of(r, m, &name, &len))
            return ds_fail_nomem(err);
        const long k = ds_fmtschema_column(s, r->o.key, name, len);
        if (k >= 0 && r->values[k].kind != DS_FV_NULL)
            return *why = "a member is there twice", 1;
        if (k >= 0 && k != rest)
            r->values[k] = ds_fval_json(m);
        else if (k < 0 && !s->explicit_key && len == 3 && memcmp(name, "key", 3) == 0)
            continue; /* derived keys are made anew */
        else if (k < 0 && rest < 0)
            return *why = "a member has no column", 1;
        else if (k == rest && m->kind == DS_J_NULL)
            continue;
        else if (k == rest && k >= 0)
            r->values[k] = ds_fval_json(m);
        else if (keep(r, m))
            return ds_fail_nomem(err);
    }
    if (r->rest.len && ds_buf_putc(&r->rest, '}'))
        return ds_fail_nomem(err);
    if (r->rest.len && r->values[rest].kind != DS_FV_NULL)
        return *why = "a member has no column, and the member rest is there", 1;
    if (r->rest.len)
        r->values[rest] = (ds_fval){.kind = DS_FV_JSON, .p = r->rest.data, .len = r->rest.len};
    return 0;
}

static int one_unit(reader *r, const ds_fmtsink *sink, long rest, const unit *u, ds_err *err)
{
    const uint8_t *p = ds_fmtin_at(&r->in) + u->at;
    const uint64_t at = r->in.pos + u->at;
    const char *why = NULL;
    fault f;
    if (blank(p, u->len))
        return 0;
    int rc = find_fault(r, p, u, &f, err);
    if (rc)
        return rc;
    if (f.reason)
        return sink->bad(sink->ctx, f.reason, at + f.at, at, p, u->len, false, f.why, err);
    rc = distribute(r, sink->schema, rest, &why, err);
    if (rc == 1)
        return sink->bad(sink->ctx, "member", at, at, p, u->len, false, why, err);
    rc = rc ? rc : sink->row(sink->ctx, r->values, at, r->at ? u->len : u->whole, err);
    if (rc == 0 && u->open)
        rc = sink->bad(sink->ctx, "json", at + u->len, at + u->len, NULL, 0, true, DS_JITEMS_OPEN,
                       err);
    return rc;
}

static int read_all(void *v, const ds_fmtsink *sink, ds_err *err)
{
    reader *r = v;
    const long k = ds_schema_find(sink->schema, "rest");
    const long rest = k > 0 && sink->schema->cols[k].type == DS_JSON ? k : -1;
    size_t want = (size_t)64 << 10;
    unit u;
    r->values = calloc(sink->schema->n + 1, sizeof *r->values);
    int rc = r->values ? 0 : ds_fail_nomem(err);
    while (rc == 0) {
        rc = ds_fmtin_want(&r->in, want, err);
        if (rc || ds_fmtin_have(&r->in) == 0)
            break;
        if (!unit_in(r, 0, &u)) {
            if (want > r->o.max_record) {
                rc = sink->bad(sink->ctx, "too_large", r->in.pos, r->in.pos, NULL, 0, true,
                               r->at ? "an element is longer than --max-record"
                                     : "a line is longer than --max-record",
                               err);
                break;
            }
            want *= 2;
            continue;
        }
        rc = one_unit(r, sink, rest, &u, err);
        ds_fmtin_skip(&r->in, u.whole);
        want = (size_t)64 << 10;
        /* The window is used up before it is moved. */
        while (rc == 0 && ds_fmtin_have(&r->in) && unit_in(r, 0, &u)) {
            rc = one_unit(r, sink, rest, &u, err);
            ds_fmtin_skip(&r->in, u.whole);
        }
    }
    return rc ? rc : ds_fmtin_end(&r->in, sink, err);
}

static void close_reader(void *v)
{
    reader *r = v;
    if (!r)
        return;
    ds_fmtin_close(&r->in);
    ds_jscan_fini(&r->scan);
    ds_buf_fini(&r->name);
    ds_buf_fini(&r->rest);
    free(r->values);
    free(r);
}

extern const ds_format ds_format_jsonl;
const ds_format ds_format_jsonl = {
    .name = "jsonl",
    .summary = "JSON lines",
    .ext = ".jsonl",
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
