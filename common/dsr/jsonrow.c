/* jsonrow.c - see jsonrow.h. */
#include "jsonrow.h"

#include <stdlib.h>
#include <string.h>

#include "json.h"

#define FLUSH_AT ((size_t)256 << 10)
#define STEP ((size_t)96 << 10) /* of a long value written at a time; divisible by 3 for base64 */

/* Where a value lies: to let go of the pages behind a long one. */
typedef struct place {
    ds_spool *spool;
    const uint8_t *base;
} place;

static int flush(ds_jsonrow *r, size_t at, ds_err *err)
{
    return r->flush && r->out.len >= at ? r->flush(r->flush_ctx, &r->out, err) : 0;
}

static void release(const place *at, const uint8_t *upto)
{
    if (at->spool && at->base && upto > at->base)
        ds_spool_release(at->spool, (size_t)(upto - at->base));
}

/* Writes a span by `put` in steps. */
static int put_span(ds_jsonrow *r, const place *at, int (*put)(ds_buf *, const uint8_t *, size_t),
                    const uint8_t *p, size_t len, ds_err *err)
{
    while (len) {
        size_t n = len < STEP ? len : STEP;
        if (put(&r->out, p, n))
            return ds_fail_nomem(err);
        int rc = flush(r, FLUSH_AT, err);
        if (rc)
            return rc;
        p += n;
        len -= n;
        if (len)
            release(at, p);
    }
    return 0;
}

static int put_raw(ds_buf *b, const uint8_t *p, size_t len)
{
    return ds_buf_put(b, p, len);
}

static int put_text(ds_jsonrow *r, const char *s, ds_err *err)
{
    return ds_buf_puts(&r->out, s) ? ds_fail_nomem(err) : 0;
}

static int put_quoted(ds_jsonrow *r, const place *at, int (*put)(ds_buf *, const uint8_t *, size_t),
                      const ds_value *x, ds_err *err)
{
    int rc =
        ds_buf_putc(&r->out, '"') ? ds_fail_nomem(err) : put_span(r, at, put, x->p, x->len, err);
    if (rc == 0 && ds_buf_putc(&r->out, '"'))
        rc = ds_fail_nomem(err);
    return rc;
}

#define IDS_STEP 4096 /* ids written at a time */

/* Up to IDS_STEP ids, each with a comma before it. */
static int put_ids(ds_buf *b, const uint8_t *p, size_t width, size_t n)
{
    if (ds_buf_reserve(b, n * 11))
        return DS_NOMEM;
    uint8_t *to = b->data + b->len;
    for (size_t i = 0; i < n; i++, p += width) {
        uint32_t v = width == 2 ? (uint32_t)(p[0] | p[1] << 8) : ds_get_u32(p);
        uint8_t text[10];
        size_t at = sizeof text;
        do {
            text[--at] = (uint8_t)('0' + v % 10);
            v /= 10;
        } while (v);
        *to++ = ',';
        memcpy(to, text + at, sizeof text - at);
        to += sizeof text - at;
    }
    b->len = (size_t)(to - b->data);
    return 0;
}

static int put_tokens(ds_jsonrow *r, const place *at, enum ds_type type, const ds_value *x,
                      ds_err *err)
{
    size_t width = type == DS_TOKENS16 ? 2 : 4;
    if (x->count == 0)
        return put_text(r, "[]", err);
    size_t first = r->out.len;
    for (uint64_t i = 0; i < x->count; i += IDS_STEP) {
        const uint8_t *p = x->p + i * width;
        size_t n = x->count - i < IDS_STEP ? (size_t)(x->count - i) : IDS_STEP;
        if (put_ids(&r->out, p, width, n))
            return ds_fail_nomem(err);
        if (i == 0)
            r->out.data[first] = '['; /* in place of the first comma */
        int rc = flush(r, FLUSH_AT, err);
        if (rc)
            return rc;
        if (i + n < x->count)
            release(at, p);
    }
    return put_text(r, "]", err);
}

static int put_runs(ds_jsonrow *r, const ds_value *x, ds_err *err)
{
    size_t pos = 0;
    if (ds_buf_putc(&r->out, '['))
        return ds_fail_nomem(err);
    for (uint64_t i = 0; i < x->count; i++) {
        uint64_t length, value;
        if (!ds_varint_get(x->p, x->len, &pos, &length) ||
            !ds_varint_get(x->p, x->len, &pos, &value))
            return ds_fail(err, DS_CORRUPT, "runs: a bad number");
        if (ds_buf_puts(&r->out, i ? ",[" : "[") || ds_decimal(&r->out, length) ||
            ds_buf_putc(&r->out, ',') || ds_decimal(&r->out, value) || ds_buf_putc(&r->out, ']'))
            return ds_fail_nomem(err);
        int rc = flush(r, FLUSH_AT, err);
        if (rc)
            return rc;
    }
    return ds_buf_putc(&r->out, ']') ? ds_fail_nomem(err) : 0;
}

static int hasher_ready(ds_jsonrow *r, ds_err *err)
{
    return r->hasher ? ds_hasher_reset(r->hasher, err) : ds_hasher_new(&r->hasher, err);
}

static int put_digest(ds_jsonrow *r, const place *at, const ds_value *x, ds_err *err)
{
    int rc = hasher_ready(r, err);
    ds_sha sha;
    for (size_t done = 0; rc == 0 && done < x->len;) {
        size_t n = x->len - done < ((size_t)1 << 20) ? x->len - done : (size_t)1 << 20;
        rc = ds_hasher_put(r->hasher, x->p + done, n, err);
        done += n;
        if (done < x->len)
            release(at, x->p + done);
    }
    if (rc == 0)
        rc = ds_hasher_end(r->hasher, &sha, err);
    if (rc)
        return rc;
    char hex[65];
    ds_sha_hex(hex, &sha);
    return ds_buf_printf(&r->out, "\"%s\"", hex) ? ds_fail_nomem(err) : 0;
}

static int put_tensor(ds_jsonrow *r, const ds_jsonform *f, const place *at, const ds_value *x,
                      ds_err *err)
{
    if (ds_buf_printf(&r->out, "{\"dtype\":\"%s\",\"shape\":[", ds_dtype_name(x->dtype)))
        return ds_fail_nomem(err);
    for (int i = 0; i < x->ndim; i++)
        if ((i && ds_buf_putc(&r->out, ',')) || ds_decimal(&r->out, x->dims[i]))
            return ds_fail_nomem(err);
    int rc = put_text(r, f->data ? "],\"data\":" : "],\"sha256\":", err);
    if (rc == 0)
        rc = f->data ? put_quoted(r, at, ds_base64, x, err) : put_digest(r, at, x, err);
    return rc ? rc : put_text(r, "}", err);
}

static int put_scalar(ds_jsonrow *r, enum ds_type type, const ds_value *x, ds_err *err)
{
    ds_buf *b = &r->out;
    bool bad;
    switch (type) {
    case DS_BOOL:
        bad = ds_buf_puts(b, x->i ? "true" : "false");
        break;
    case DS_I64:
        bad = (x->i < 0 && ds_buf_putc(b, '-')) ||
              ds_decimal(b, x->i < 0 ? 0 - (uint64_t)x->i : (uint64_t)x->i);
        break;
    case DS_F64:
        bad = ds_json_real(b, x->f);
        break;
    default:
        bad = ds_buf_putc(b, '"') || ds_time_text(b, x->i) || ds_buf_putc(b, '"');
        break;
    }
    return bad ? ds_fail_nomem(err) : 0;
}

static int put_value(ds_jsonrow *r, const ds_jsonform *f, const place *at, const ds_colview *v,
                     enum ds_type type, const ds_value *x, ds_err *err);

static int put_list(ds_jsonrow *r, const ds_jsonform *f, const place *at, const ds_colview *v,
                    const ds_value *x, ds_err *err)
{
    ds_items it;
    ds_value item;
    int rc = put_text(r, "[", err);
    ds_value_items(&it, v, x);
    for (bool first = true; rc == 0 && ds_items_next(&it, &item); first = false) {
        if (!first)
            rc = put_text(r, ",", err);
        if (rc == 0)
            rc = put_value(r, f, at, v, v->item, &item, err);
        if (rc == 0)
            rc = flush(r, FLUSH_AT, err);
    }
    return rc ? rc : put_text(r, "]", err);
}

static int put_value(ds_jsonrow *r, const ds_jsonform *f, const place *at, const ds_colview *v,
                     enum ds_type type, const ds_value *x, ds_err *err)
{
    if (x->null)
        return put_text(r, "null", err);
    switch (type) {
    case DS_UTF8:
        return put_quoted(r, at, ds_json_escape, x, err);
    case DS_BYTES:
        return put_quoted(r, at, ds_base64, x, err);
    case DS_JSON:
        return put_span(r, at, put_raw, x->p, x->len, err);
    case DS_TOKENS16:
    case DS_TOKENS32:
        return put_tokens(r, at, type, x, err);
    case DS_RUNS:
        return put_runs(r, x, err);
    case DS_TENSOR:
        return put_tensor(r, f, at, x, err);
    case DS_LIST:
        return put_list(r, f, at, v, x, err);
    default:
        return put_scalar(r, type, x, err);
    }
}

/* The key of a record whose values lie in r->values. */
static int put_key(ds_jsonrow *r, const ds_jsonform *f, const place *at, ds_err *err)
{
    const ds_schema *s = f->schema;
    int rc = put_text(r, "\"key\":", err);
    if (rc)
        return rc;
    if (s->explicit_key)
        return put_quoted(r, at, ds_json_escape, &r->values[0], err);
    char hex[33];
    if (!r->hasher)
        rc = ds_hasher_new(&r->hasher, err);
    if (rc == 0)
        rc = ds_key_derive(hex, r->hasher, s, r->views, r->values, err);
    if (rc == 0 && ds_buf_printf(&r->out, "\"%s\"", hex))
        rc = ds_fail_nomem(err);
    return rc;
}

static int put_origin(ds_jsonrow *r, const ds_jsonform *f, uint64_t base, ds_err *err)
{
    int rc = put_text(r, f->members ? ",\"origin\":[" : "\"origin\":[", err);
    for (size_t i = 0; rc == 0 && i + sizeof(ds_range) <= r->ranges.len; i += sizeof(ds_range)) {
        ds_range g;
        memcpy(&g, r->ranges.data + i, sizeof g);
        if (ds_buf_puts(&r->out, i ? ",[" : "[") || ds_decimal(&r->out, base + g.source) ||
            ds_buf_putc(&r->out, ',') || ds_decimal(&r->out, g.offset) ||
            ds_buf_putc(&r->out, ',') || ds_decimal(&r->out, g.len) || ds_buf_putc(&r->out, ']'))
            rc = ds_fail_nomem(err);
    }
    return rc ? rc : put_text(r, "]", err);
}

/* Where a block's origins begin, having looked at the row count before them. */
static int origin_begin(const ds_block *b, const uint8_t **p, size_t *len, size_t *pos, ds_err *err)
{
    uint64_t rows;
    const ds_chunk *c = &b->chunks[b->nchunks - 1];
    *p = c->body;
    *len = c->body_len;
    *pos = 0;
    if (!ds_varint_get(*p, *len, pos, &rows) || rows != b->rows)
        return ds_fail(err, DS_CORRUPT, "origins are not of as many records as the block");
    return 0;
}

static int ready(ds_jsonrow *r, const ds_jsonform *f, const ds_block *b, ds_err *err)
{
    size_t n = f->schema->n;
    if (r->n != n) {
        free(r->views);
        free(r->values);
        r->views = calloc(n, sizeof *r->views);
        r->values = calloc(n, sizeof *r->values);
        r->n = r->views && r->values ? n : 0;
        if (!r->n)
            return ds_fail_nomem(err);
    }
    int rc = ds_block_views(b, f->schema, r->views, err);
    for (size_t i = 0; rc == 0 && i < n; i++) {
        bool shown = f->want[i] || (i == 0 && f->key && f->schema->explicit_key);
        if (shown)
            rc = ds_colview_check(&r->views[i], b->chunks[i].spool, err);
        ds_colview_rewind(&r->views[i]);
    }
    return rc;
}

int ds_jsonrow_open(ds_jsonrow *r, const ds_jsonform *f, const ds_block *b, ds_err *err)
{
    return ready(r, f, b, err);
}

int ds_jsonrow_step(ds_jsonrow *r, const ds_jsonform *f, ds_err *err)
{
    const ds_schema *s = f->schema;
    for (size_t i = 0; i < s->n; i++)
        if (!ds_colview_next(&r->views[i], &r->values[i]))
            return ds_fail(err, DS_CORRUPT, "column %s has too few rows", s->cols[i].name);
    return 0;
}

int ds_jsonrow_value(ds_jsonrow *r, const ds_jsonform *f, const ds_block *b, size_t column,
                     ds_err *err)
{
    const place at = {b->chunks[column].spool, b->chunks[column].body};
    const ds_value *x = &r->values[column];
    int rc = put_value(r, f, &at, &r->views[column], f->schema->cols[column].type, x, err);
    if (rc == 0 && !x->null && x->len > STEP)
        release(&at, x->p + x->len);
    return rc;
}

int ds_jsonrow_members(ds_jsonrow *r, const ds_jsonform *f, const ds_block *b, ds_err *err)
{
    bool comma = false;
    int rc = 0;
    if (f->key) {
        const place at = {b->chunks[0].spool, b->chunks[0].body};
        rc = put_key(r, f, &at, err);
        comma = true;
    }
    for (size_t i = 0; rc == 0 && i < f->schema->n; i++) {
        if (!f->want[i])
            continue;
        const ds_buf *name = &f->name[i];
        if ((comma && ds_buf_putc(&r->out, ',')) || ds_buf_put(&r->out, name->data, name->len))
            return ds_fail_nomem(err);
        comma = true;
        rc = ds_jsonrow_value(r, f, b, i, err);
    }
    return rc;
}

int ds_jsonrow_block(ds_jsonrow *r, const ds_jsonform *f, const ds_block *b,
                     const ds_origin_state *from, uint64_t base, uint64_t max_rows, ds_err *err)
{
    const uint8_t *origins = NULL;
    size_t olen = 0, opos = 0;
    ds_origin_state st = {0};
    int rc = ready(r, f, b, err);
    if (rc == 0 && f->origin) {
        st = *from;
        rc = origin_begin(b, &origins, &olen, &opos, err);
    }
    for (uint64_t row = 0; rc == 0 && row < b->rows && row < max_rows; row++) {
        rc = put_text(r, "{", err);
        if (rc == 0)
            rc = ds_jsonrow_step(r, f, err);
        if (rc == 0)
            rc = ds_jsonrow_members(r, f, b, err);
        if (rc == 0 && f->origin)
            rc = ds_origin_get(origins, olen, &opos, &st, &r->ranges, err);
        if (rc == 0 && f->origin)
            rc = put_origin(r, f, base, err);
        if (rc == 0)
            rc = put_text(r, "}\n", err);
        if (rc == 0)
            rc = flush(r, FLUSH_AT, err);
    }
    return rc;
}

void ds_jsonrow_fini(ds_jsonrow *r)
{
    free(r->views);
    free(r->values);
    ds_hasher_free(r->hasher);
    ds_buf_fini(&r->out);
    ds_buf_fini(&r->ranges);
    memset(r, 0, sizeof *r);
}

/* ---- which columns ---- */

static int want_named(ds_jsonform *f, const char *columns, ds_err *err)
{
    for (const char *p = columns;;) {
        size_t len = strcspn(p, ",");
        char name[129];
        long i = -1;
        if (len > 0 && len < sizeof name) {
            memcpy(name, p, len);
            name[len] = '\0';
            i = ds_schema_find(f->schema, name);
        }
        if (i < 0)
            return ds_fail(err, DS_USAGE, "no column '%.*s' in this stream",
                           len < 128 ? (int)len : 128, p);
        f->want[i] = true;
        if (!p[len])
            return 0;
        p += len + 1;
    }
}

int ds_jsonform_init(ds_jsonform *f, const ds_schema *s, const char *columns, bool key, bool data,
                     bool origin, ds_err *err)
{
    *f = (ds_jsonform){.schema = s, .key = key, .data = data, .origin = origin};
    f->want = calloc(s->n, sizeof *f->want);
    f->name = calloc(s->n, sizeof *f->name);
    int rc = f->want && f->name ? 0 : ds_fail_nomem(err);
    for (size_t i = 0; rc == 0 && i < s->n; i++) {
        f->want[i] = !columns;
        if (ds_json_str(&f->name[i], s->cols[i].name, strlen(s->cols[i].name)) ||
            ds_buf_putc(&f->name[i], ':'))
            rc = ds_fail_nomem(err);
    }
    if (rc == 0 && columns)
        rc = want_named(f, columns, err);
    if (rc == 0 && s->explicit_key)
        f->want[0] = false; /* it is shown as the key, or not at all */
    f->members = key;
    for (size_t i = 0; rc == 0 && i < s->n; i++)
        f->members += f->want[i];
    if (rc)
        ds_jsonform_fini(f);
    return rc;
}

void ds_jsonform_fini(ds_jsonform *f)
{
    for (size_t i = 0; f->name && i < f->schema->n; i++)
        ds_buf_fini(&f->name[i]);
    free(f->name);
    free(f->want);
    memset(f, 0, sizeof *f);
}
