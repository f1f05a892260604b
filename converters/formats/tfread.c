/* tfread.c - see tfread.h. A checksum that does not fit costs the record; one of a length, the rest
 * of the file. Fields of the messages that are not known are passed over; the last of two features
 * of one name counts, as everywhere in protocol buffers. */
#include "tfread.h"

#include <stdlib.h>
#include <string.h>

#include "crc32c.h"
#include "fmtguess.h"
#include "fmtin.h"

#define ITEMS_MAX 1000000 /* texts of one feature: each costs more memory than its bytes */

/* One feature of a record: what it holds lies in nums or items, from `from` on. */
typedef struct feature {
    const char *name;
    size_t name_len, from, n;
    int kind; /* 1 bytes, 2 floats, 3 whole numbers; 0: nothing */
} feature;

typedef struct reader {
    ds_fmtin in;
    ds_fmtread o;
    ds_buf features, nums, items; /* of feature; of i64, float; of ds_fval */
    ds_fval *values;
    ds_fval *beside; /* two a column: shape and dtype of a tensor */
} reader;

/* ---- protocol buffers ---- */

typedef struct span {
    const uint8_t *p, *end;
} span;

static bool varint(span *s, uint64_t *v)
{
    size_t at = 0;
    const bool good = ds_varint_get_any(s->p, (size_t)(s->end - s->p), &at, v);
    s->p += at;
    return good;
}

/* The next field: its number, and for lengths what it spans; false at the end or when it is bad. */
static bool field(span *s, unsigned *number, unsigned *wire, span *body, bool *bad)
{
    uint64_t tag, n;
    if (s->p == s->end)
        return false;
    *bad = true;
    if (!varint(s, &tag) || tag >> 3 == 0 || tag >> 3 > 536870911)
        return false;
    *number = (unsigned)(tag >> 3);
    *wire = (unsigned)(tag & 7);
    body->p = s->p;
    if (*wire == 2) {
        if (!varint(s, &n) || n > (uint64_t)(s->end - s->p))
            return false;
        body->p = s->p;
    } else if (*wire == 0) {
        if (!varint(s, &n))
            return false;
        n = 0;
    } else {
        n = *wire == 1 ? 8 : *wire == 5 ? 4 : UINT64_MAX;
        if (n > (uint64_t)(s->end - s->p))
            return false;
    }
    s->p += n;
    body->end = s->p;
    *bad = false;
    return true;
}

static int add_number(reader *r, feature *f, uint64_t u)
{
    f->n++;
    return ds_buf_u64(&r->nums, u);
}

static int add_float(reader *r, feature *f, const uint8_t *p)
{
    f->n++;
    return ds_buf_put(&r->nums, p, 4);
}

/* One entry of a list: 1 when it is bad. */
static int entry(reader *r, feature *f, unsigned wire, span body)
{
    uint64_t u;
    if (f->kind == 1) {
        const ds_fval v = {.kind = DS_FV_TEXT, .p = body.p, .len = (size_t)(body.end - body.p)};
        f->n++;
        return wire != 2 || f->n > ITEMS_MAX ? 1 : ds_buf_put(&r->items, &v, sizeof v);
    }
    if (f->kind == 2) {
        if (wire == 5)
            return add_float(r, f, body.p);
        if (wire != 2 || (body.end - body.p) % 4)
            return 1;
        for (; body.p < body.end; body.p += 4)
            if (add_float(r, f, body.p))
                return DS_NOMEM;
        return 0;
    }
    if (wire == 0)
        return varint(&body, &u) ? add_number(r, f, u) : 1;
    if (wire != 2)
        return 1;
    while (body.p < body.end) {
        if (!varint(&body, &u))
            return 1;
        if (add_number(r, f, u))
            return DS_NOMEM;
    }
    return 0;
}

static int list(reader *r, feature *f, span s)
{
    unsigned number, wire;
    bool bad = false;
    span body;
    int rc = 0;
    while (rc == 0 && field(&s, &number, &wire, &body, &bad))
        if (number == 1)
            rc = entry(r, f, wire, body);
    return rc ? rc : bad;
}

static int one_feature(reader *r, span s)
{
    feature f = {0};
    unsigned number, wire;
    bool bad = false;
    span body;
    int rc = 0;
    while (rc == 0 && field(&s, &number, &wire, &body, &bad)) {
        if (number == 1 && wire == 2) {
            f.name = (const char *)body.p;
            f.name_len = (size_t)(body.end - body.p);
        } else if (number == 2 && wire == 2) {
            span value = body;
            while (rc == 0 && field(&value, &number, &wire, &body, &bad))
                if (wire == 2 && number <= 3) {
                    f.kind = (int)number;
                    /* Numbers are aligned to their width: floats come in pairs of four bytes. */
                    while (r->nums.len % 8)
                        if (ds_buf_putc(&r->nums, 0))
                            return DS_NOMEM;
                    f.from = f.kind == 1 ? r->items.len / sizeof(ds_fval) : r->nums.len;
                    f.n = 0;
                    rc = list(r, &f, body);
                }
        }
    }
    if (rc || bad || !f.name)
        return rc ? rc : 1;
    return ds_buf_put(&r->features, &f, sizeof f);
}

/* Example → Features → entries. 0, 1 = it is none, DS_NOMEM. */
static int parse(reader *r, const uint8_t *p, size_t len)
{
    span s = {p, p + len}, features;
    unsigned number, wire;
    bool bad = false;
    int rc = 0;
    ds_buf_reset(&r->features);
    ds_buf_reset(&r->nums);
    ds_buf_reset(&r->items);
    while (rc == 0 && field(&s, &number, &wire, &features, &bad)) {
        if (number != 1 || wire != 2)
            continue;
        span one;
        while (rc == 0 && field(&features, &number, &wire, &one, &bad))
            if (number == 1 && wire == 2)
                rc = one_feature(r, one);
    }
    return rc ? rc : bad;
}

/* ---- values ---- */

static const feature *features_of(const reader *r, size_t *n)
{
    *n = r->features.len / sizeof(feature);
    return (const feature *)(const void *)r->features.data;
}

/* As a value; several of a kind as a list, and one too where `many`. */
static ds_fval value_of(const reader *r, const feature *f, bool many)
{
    const ds_fval *items = (const ds_fval *)(const void *)r->items.data;
    if (f->kind == 1 && f->n == 1 && !many)
        return items[f->from];
    if (f->kind == 1)
        return (ds_fval){.kind = DS_FV_LIST, .items = f->n ? items + f->from : NULL, .n = f->n};
    if (f->kind == 0)
        return (ds_fval){.kind = DS_FV_NULL};
    const uint8_t *p = f->n ? r->nums.data + f->from : (const uint8_t *)"";
    if (many || f->n != 1)
        return ds_fval_ids(f->kind == 2 ? DS_F32 : DS_I64T, p, f->n);
    if (f->kind == 3)
        return (ds_fval){.kind = DS_FV_INT, .i = (int64_t)ds_get_u64(p)};
    float x;
    memcpy(&x, p, 4);
    return (ds_fval){.kind = DS_FV_REAL, .f = (double)x};
}

/* The column of a tensor that "NAME/shape" or "NAME/dtype" belongs to. */
static long tensor_of(const reader *r, const ds_schema *s, const feature *f, const char *suffix)
{
    const size_t n = strlen(suffix);
    if (f->name_len <= n || memcmp(f->name + f->name_len - n, suffix, n) != 0)
        return -1;
    const long k = ds_fmtschema_column(s, r->o.key, f->name, f->name_len - n);
    return k >= 0 && s->cols[k].type == DS_TENSOR ? k : -1;
}

/* A tensor out of its bytes, its shape and its dtype; false when they do not fit. */
static bool join_tensor(ds_fval *v, const ds_fval *shape, const ds_fval *dtype)
{
    ds_fval t = {.kind = DS_FV_ARRAY, .p = v->p, .len = v->len};
    if (v->kind != DS_FV_TEXT || shape->kind != DS_FV_ARRAY || dtype->kind != DS_FV_TEXT ||
        shape->len / 8 > 8)
        return false;
    t.dtype = ds_dtype_named(dtype->p, dtype->len);
    for (size_t i = 0; i < shape->len / 8; i++)
        t.dims[t.ndim++] = ds_get_u64(shape->p + 8 * i);
    *v = t;
    return ds_fval_is_tensor(v);
}

/* Features to columns: NULL, or why not. */
static const char *distribute(reader *r, const ds_schema *s)
{
    size_t n;
    const feature *f = features_of(r, &n);
    for (size_t i = 0; i < s->n; i++) {
        r->values[i] = r->beside[2 * i] = r->beside[2 * i + 1] = (ds_fval){.kind = DS_FV_NULL};
    }
    for (size_t i = 0; i < n; i++) {
        const long k = ds_fmtschema_column(s, r->o.key, f[i].name, f[i].name_len);
        const long shape = tensor_of(r, s, &f[i], "/shape"),
                   dtype = tensor_of(r, s, &f[i], "/dtype");
        if (k >= 0) {
            const enum ds_type t = s->cols[k].type;
            const bool texts = f[i].kind == 1 && t == DS_LIST && s->cols[k].item != DS_TOKENS16 &&
                               s->cols[k].item != DS_TOKENS32;
            const bool many = f[i].kind == 1 ? texts : t >= DS_TENSOR; /* up to lists */
            r->values[k] = value_of(r, &f[i], many);
        } else if (shape >= 0) {
            r->beside[2 * shape] = value_of(r, &f[i], true);
        } else if (dtype >= 0) {
            r->beside[2 * dtype + 1] = value_of(r, &f[i], false);
        } else if (f[i].kind) {
            return "a feature has no column";
        }
    }
    for (size_t i = 0; i < s->n; i++)
        if (s->cols[i].type == DS_TENSOR && r->values[i].kind != DS_FV_NULL &&
            !join_tensor(&r->values[i], &r->beside[2 * i], &r->beside[2 * i + 1]))
            return "a tensor's data is not what its shape and dtype demand";
    return NULL;
}

/* ---- records ---- */

int ds_tfread_open(void **out, const ds_fmtread *o, ds_err *err)
{
    reader *r = *out = calloc(1, sizeof *r);
    if (!r)
        return ds_fail_nomem(err);
    r->o = *o;
    return ds_fmtin_open(&r->in, o, err);
}

/* Looks at the record `from` bytes on: its length, when head and checksum of it are good. */
static bool head_good(const uint8_t *p, uint64_t *len)
{
    *len = ds_get_u64(p);
    return ds_get_u32(p + 8) == ds_crc32c_mask(ds_crc32c(0, p, 8));
}

int ds_tfread_schema(void *v, ds_schema *s, ds_err *err)
{
    reader *r = v;
    ds_fguess g;
    size_t at = 0, n = 0;
    uint64_t len;
    ds_fguess_init(&g);
    int rc = ds_fmtin_want(&r->in, DS_FMTIN_PEEK, err);
    /* The first record counts however long it is. */
    if (rc == 0 && ds_fmtin_have(&r->in) >= 12 && head_good(ds_fmtin_at(&r->in), &len) &&
        len <= r->o.max_record)
        rc = ds_fmtin_want(&r->in, (size_t)len + 16, err);
    while (rc == 0 && ds_fmtin_have(&r->in) - at >= 16) {
        const uint8_t *p = ds_fmtin_at(&r->in) + at;
        if (!head_good(p, &len) || len > ds_fmtin_have(&r->in) - at - 16)
            break;
        const feature *f;
        if (parse(r, p + 12, (size_t)len) == 0) {
            f = features_of(r, &n);
            for (size_t i = 0; rc == 0 && i < n; i++) {
                const ds_fval x = value_of(r, &f[i], false);
                rc = ds_fguess_see(&g, f[i].name, f[i].name_len, &x, err);
            }
        }
        at += (size_t)len + 16;
    }
    if (rc == 0 && g.names.n == 0)
        rc = ds_fail(err, DS_FAIL, "%s: no tf.train.Example at its beginning", r->o.name);
    if (rc == 0)
        rc = ds_fguess_schema(&g, s, r->o.key, err);
    ds_fguess_fini(&g);
    return rc;
}

/* A record that is whole in the window, of `len` bytes of data. */
static int one_record(reader *r, const ds_fmtsink *sink, size_t len, ds_err *err)
{
    const uint8_t *p = ds_fmtin_at(&r->in);
    const uint64_t at = r->in.pos;
    if (ds_get_u32(p + 12 + len) != ds_crc32c_mask(ds_crc32c(0, p + 12, len)))
        return sink->bad(sink->ctx, "checksum", at + 12, at, p, len + 16, false,
                         "its checksum is another one", err);
    int rc = parse(r, p + 12, len);
    if (rc == DS_NOMEM)
        return ds_fail_nomem(err);
    const char *why = rc ? "it is no tf.train.Example" : distribute(r, sink->schema);
    if (why)
        return sink->bad(sink->ctx, "example", at + 12, at, p, len + 16, false, why, err);
    return sink->row(sink->ctx, r->values, at, len + 16, err);
}

/* One record or what is in its place. 1: the file's rest is lost, and was told of. */
static int next(reader *r, const ds_fmtsink *sink, ds_err *err)
{
    const uint64_t at = r->in.pos;
    uint64_t len, got;
    int rc = ds_fmtin_want(&r->in, 12, err);
    if (rc || ds_fmtin_have(&r->in) == 0)
        return rc ? rc : 1;
    if (ds_fmtin_have(&r->in) < 12 || !head_good(ds_fmtin_at(&r->in), &len)) {
        rc = sink->bad(sink->ctx, "length", at, at, NULL, 0, true,
                       "no record begins here, so that the rest cannot be found", err);
        return rc ? rc : 1;
    }
    if (len > r->o.max_record) {
        rc = ds_fmtin_pass(&r->in, len + 16 < len ? UINT64_MAX : len + 16, &got, err);
        return rc ? rc
                  : sink->bad(sink->ctx, "too_large", at, at, NULL, 0, false,
                              "a record is longer than --max-record", err);
    }
    rc = ds_fmtin_want(&r->in, (size_t)len + 16, err);
    if (rc == 0 && ds_fmtin_have(&r->in) < len + 16) {
        rc = sink->bad(sink->ctx, "truncated", at, at, NULL, 0, true,
                       "the file ends within a record", err);
        return rc ? rc : 1;
    }
    if (rc == 0)
        rc = one_record(r, sink, (size_t)len, err);
    ds_fmtin_skip(&r->in, (size_t)len + 16);
    return rc;
}

int ds_tfread_read(void *v, const ds_fmtsink *sink, ds_err *err)
{
    reader *r = v;
    r->values = calloc(sink->schema->n + 1, sizeof *r->values);
    r->beside = calloc(2 * sink->schema->n + 2, sizeof *r->beside);
    int rc = r->values && r->beside ? 0 : ds_fail_nomem(err);
    while (rc == 0)
        rc = next(r, sink, err);
    return rc < 0 ? rc : ds_fmtin_end(&r->in, sink, err);
}

void ds_tfread_close(void *v)
{
    reader *r = v;
    if (!r)
        return;
    ds_fmtin_close(&r->in);
    ds_buf_fini(&r->features);
    ds_buf_fini(&r->nums);
    ds_buf_fini(&r->items);
    free(r->values);
    free(r->beside);
    free(r);
}
