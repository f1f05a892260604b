/* idstream.c - see idstream.h. */
#include "idstream.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "fmtguess.h"

static bool is_tokens(const ds_column *c)
{
    return c->type == DS_TOKENS16 || c->type == DS_TOKENS32;
}

long ds_idschema_find(const ds_schema *s)
{
    long k = -1;
    for (size_t i = 0; i < s->n; i++)
        if (is_tokens(&s->cols[i])) {
            if (k >= 0)
                return -1;
            k = (long)i;
        }
    return k;
}

int ds_idcolumn_find(size_t *column, const ds_schema *s, const char *name, ds_fmtloss *l,
                     ds_err *err)
{
    const long k = name ? ds_schema_find(s, name) : ds_idschema_find(s);
    int rc = 0;
    if (k < 0)
        return name ? ds_fail(err, DS_FAIL, "no column '%s' in the stream", name)
                    : ds_fail(err, DS_FAIL,
                              "not one column of tokens in the stream: dsprep tokenize makes one, "
                              "--column names one of several");
    if (!is_tokens(&s->cols[k]))
        return ds_fail(err, DS_FAIL, "column '%s' is %s, not tokens", name,
                       ds_type_name(s->cols[k].type));
    *column = (size_t)k;
    for (size_t i = 0; rc == 0 && i < s->n; i++)
        if (i != *column)
            rc = ds_fmtloss_say(l, s->cols[i].name, "is not written", err);
    return rc;
}

int ds_idschema(ds_schema *s, int dtype, ds_err *err)
{
    const enum ds_type t = dtype == DS_U8 || dtype == DS_U16 ? DS_TOKENS16 : DS_TOKENS32;
    int rc = ds_fmtschema_begin(s, false, err);
    if (rc == 0)
        rc = ds_schema_add(s, NULL, "tokens", t, 0, NULL, err);
    return rc ? rc : ds_fmtschema_end(s, err);
}

/* ---- writing ---- */

typedef struct writer {
    const ds_idhead *h;
    ds_fmtout out;
    ds_fmtwrite o;
    size_t column, lost;
    enum ds_type type;
    uint64_t ids; /* of the file that is open */
    const char *ext;
} writer;

int ds_idstream_begin(void **out, const ds_idhead *h, const char *ext, const ds_fmtwrite *o,
                      const ds_schema *s, ds_fmtloss *l, ds_err *err)
{
    writer *w = *out = calloc(1, sizeof *w);
    if (!w)
        return ds_fail_nomem(err);
    w->h = h;
    w->ext = ext;
    w->o = *o;
    int rc = ds_idcolumn_find(&w->column, s, o->column, l, err);
    if (rc)
        return rc;
    w->type = s->cols[w->column].type;
    if (o->separator > UINT16_MAX && w->type == DS_TOKENS16)
        return ds_fail(err, DS_USAGE, "--separator %lld: the column has ids of 16 bits",
                       (long long)o->separator);
    rc = o->separator < 0
             ? ds_fmtloss_say(l, NULL, "where records begin and end (--separator keeps it)", err)
             : ds_fmtloss_count(l, &w->lost, s->cols[w->column].name,
                                "the separator stands in the record, and parts it", err);
    return rc;
}

static int head(void *ctx, ds_out *out, ds_err *err)
{
    writer *w = ctx;
    ds_buf b = {0};
    w->ids = 0;
    int rc = w->h->make(&b, w->type, 0, err);
    if (rc == 0)
        rc = ds_out_put(out, b.data, b.len, err);
    ds_buf_fini(&b);
    return rc;
}

/* How many ids there are is known at the end: the head is written again. */
static int tail(void *ctx, ds_out *out, int fd, ds_err *err)
{
    writer *w = ctx;
    ds_buf b = {0};
    int rc = w->h->make(&b, w->type, w->ids, err);
    if (rc == 0 && lseek(fd, 0, SEEK_SET) < 0)
        rc = ds_fail_errno(err, errno, "%s: seek", out->path);
    if (rc == 0)
        rc = ds_write_full(fd, out->path, b.data, b.len, err);
    if (rc == 0 && lseek(fd, 0, SEEK_END) < 0)
        rc = ds_fail_errno(err, errno, "%s: seek", out->path);
    ds_buf_fini(&b);
    return rc;
}

int ds_idstream_open(void *v, ds_err *err)
{
    writer *w = v;
    w->out.ends = (ds_fmtends){.head = head, .tail = tail, .ctx = w};
    w->out.ext = w->ext;
    w->out.shard_size = w->o.shard_size;
    return ds_fmtout_open(&w->out, w->o.path, w->o.shards, false, err);
}

int ds_idstream_row(const void *v, ds_fmtblock *b, ds_err *err)
{
    const writer *w = v;
    const ds_value *x = &b->row.values[w->column];
    uint8_t sep[4];
    const size_t width = w->type == DS_TOKENS16 ? 2 : 4;
    if (w->o.separator < 0)
        return ds_fmtblock_put(b, x->p, x->len, err);
    for (uint64_t i = 0; i < x->count; i++)
        if ((int64_t)ds_value_token(&b->row.views[w->column], x, i) == w->o.separator) {
            b->lost[w->lost]++;
            break;
        }
    ds_set_u32(sep, (uint32_t)w->o.separator);
    int rc = ds_fmtblock_put(b, sep, width, err);
    return rc ? rc : ds_fmtblock_put(b, x->p, x->len, err);
}

int ds_idstream_put(void *v, const uint8_t *p, size_t len, ds_err *err)
{
    writer *w = v;
    int rc = ds_fmtout_put(&w->out, p, len, err);
    w->ids += len / (w->type == DS_TOKENS16 ? 2 : 4);
    return rc;
}

int ds_idstream_finish(void *v, ds_fmtwritten *done, ds_err *err)
{
    writer *w = v;
    int rc = ds_fmtout_finish(&w->out, err);
    *done = (ds_fmtwritten){w->out.files, w->out.bytes};
    return rc;
}

void ds_idstream_free(void *v)
{
    writer *w = v;
    if (!w)
        return;
    ds_fmtout_abort(&w->out);
    free(w);
}

/* ---- reading ---- */

typedef struct reader {
    const ds_idhead *h;
    ds_fmtin in;
    ds_fmtread o;
    uint64_t left; /* ids */
    int dtype;
    ds_fval *values;
} reader;

int ds_idread_open(void **out, const ds_idhead *h, const ds_fmtread *o, ds_err *err)
{
    reader *r = *out = calloc(1, sizeof *r);
    size_t used = 0;
    if (!r)
        return ds_fail_nomem(err);
    r->h = h;
    r->o = *o;
    int rc = ds_fmtin_open(&r->in, o, err);
    if (rc == 0)
        rc = ds_fmtin_want(&r->in, (size_t)64 << 10, err);
    if (rc)
        return rc;
    const char *why =
        h->parse(ds_fmtin_at(&r->in), ds_fmtin_have(&r->in), &used, &r->left, &r->dtype);
    if (why)
        return ds_fail(err, DS_FAIL, "%s: offset 0: %s", o->name, why);
    if (r->dtype > DS_I64T)
        return ds_fail(err, DS_FAIL, "%s: offset 0: its numbers are no token ids", o->name);
    if (o->separator >= 0 && r->dtype < DS_U64 &&
        (uint64_t)o->separator >> (8 * ds_dtype_size(r->dtype)))
        return ds_fail(err, DS_USAGE, "--separator %lld: the ids of %s have %zu bits",
                       (long long)o->separator, o->name, 8 * ds_dtype_size(r->dtype));
    ds_fmtin_skip(&r->in, used);
    return 0;
}

int ds_idread_schema(void *v, ds_schema *s, ds_err *err)
{
    return ds_idschema(s, ((reader *)v)->dtype, err);
}

/* Elements until the next separator among the first n of the window; n when there is none. */
static size_t until(const reader *r, size_t n)
{
    const uint8_t *p = ds_fmtin_at(&r->in);
    const size_t w = ds_dtype_size(r->dtype);
    uint8_t sep[8];
    ds_set_u64(sep, (uint64_t)r->o.separator);
    for (size_t i = 0; r->o.separator >= 0 && i < n; i++)
        if (memcmp(p + i * w, sep, w) == 0)
            return i;
    return n;
}

/* The next record's ids. 1: there is none; 2: the file ends too early, or it is too long. */
static int next(reader *r, size_t *n, const char **why, ds_err *err)
{
    const size_t w = ds_dtype_size(r->dtype);
    for (size_t want = (size_t)64 << 10;; want *= 2) {
        int rc = ds_fmtin_want(&r->in, want, err);
        if (rc)
            return rc;
        size_t have = ds_fmtin_have(&r->in) / w;
        have = have > r->left ? (size_t)r->left : have;
        *n = until(r, have);
        if (*n < have || have == r->left)
            return *n > r->o.max_record / w ? (*why = "a record is longer than --max-record", 2)
                                            : 0;
        if (r->in.eof)
            return *why = "the file ends before as many ids as its head says", 2;
        if (want > r->o.max_record)
            return *why = "a record is longer than --max-record; --separator ID parts the file", 2;
    }
}

int ds_idread_read(void *v, const ds_fmtsink *sink, ds_err *err)
{
    reader *r = v;
    const size_t w = ds_dtype_size(r->dtype);
    const long k = ds_idschema_find(sink->schema);
    const bool parted = r->o.separator >= 0;
    const char *why = NULL;
    size_t n;
    if (k < 0)
        return ds_fail(err, DS_FAIL, "%s: not one column of tokens in the schema", r->o.name);
    r->values = calloc(sink->schema->n + 1, sizeof *r->values);
    int rc = r->values ? 0 : ds_fail_nomem(err);
    for (bool first = true; rc == 0 && r->left > 0; first = false) {
        rc = next(r, &n, &why, err);
        if (rc)
            break;
        /* What is in front of the first separator is a record when it is anything. */
        if (!parted || !first || n > 0) {
            r->values[k] = ds_fval_ids(r->dtype, ds_fmtin_at(&r->in), n);
            rc = sink->row(sink->ctx, r->values, r->in.pos, n * w, err);
        }
        r->left -= n;
        ds_fmtin_skip(&r->in, n * w);
        if (rc == 0 && r->left > 0) { /* the separator; behind the last one a record is empty */
            ds_fmtin_skip(&r->in, w);
            if (--r->left == 0) {
                r->values[k] = ds_fval_ids(r->dtype, ds_fmtin_at(&r->in), 0);
                rc = sink->row(sink->ctx, r->values, r->in.pos, 0, err);
            }
        }
    }
    if (rc == 2)
        rc = sink->bad(sink->ctx, "ids", r->in.pos, r->in.pos, NULL, 0, true, why, err);
    return rc ? rc : ds_fmtin_end(&r->in, sink, err);
}

void ds_idread_close(void *v)
{
    reader *r = v;
    if (!r)
        return;
    ds_fmtin_close(&r->in);
    free(r->values);
    free(r);
}
