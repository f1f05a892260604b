/* fmtvalue.c - see fmtvalue.h. */
#include "fmtvalue.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "fmtjson.h"
#include "json.h"
#include "logtime.h"
#include "textrow.h"
#include "utf8.h"

/* What a conversion works with; `why` is set when the value does not fit. */
typedef struct conv {
    ds_fvalwork *w;
    ds_colbuild *b;
    const ds_column *c;
    const char *why;
    ds_err *err;
} conv;

static int unfit(conv *k, const char *why)
{
    k->why = why;
    return 1;
}

static bool is_utf8(const uint8_t *p, size_t len)
{
    return ds_utf8_check(p, len) == len;
}

/* JSON, or text that is JSON, as one scanned value. */
static int scan(conv *k, const ds_fval *v, ds_jspan *s)
{
    if (!is_utf8(v->p, v->len))
        return unfit(k, "it is not UTF-8");
    int rc = ds_jspan_of(s, &k->w->scan, v->p, v->len);
    return rc == DS_NOMEM ? ds_fail_nomem(k->err) : rc ? unfit(k, k->w->scan.why) : 0;
}

static int as_text(conv *k, const ds_fval *v, const uint8_t **p, size_t *len)
{
    ds_buf *t = &k->w->text;
    ds_jspan s;
    ds_buf_reset(t);
    *p = v->p;
    *len = v->len;
    if (v->kind == DS_FV_TEXT)
        return 0;
    if (v->kind == DS_FV_INT || v->kind == DS_FV_REAL) {
        if (v->kind == DS_FV_INT ? ds_buf_printf(t, "%lld", (long long)v->i)
                                 : ds_json_real(t, v->f))
            return ds_fail_nomem(k->err);
    } else if (v->kind == DS_FV_JSON) {
        int rc = scan(k, v, &s);
        if (rc)
            return rc;
        if (ds_jspan_text(&s, t))
            return ds_fail_nomem(k->err);
    } else {
        return unfit(k, "an array is no text");
    }
    *p = t->data ? t->data : (const uint8_t *)"";
    *len = t->len;
    return 0;
}

static int put_utf8(conv *k, const ds_fval *v)
{
    const uint8_t *p;
    size_t len;
    int rc = as_text(k, v, &p, &len);
    if (rc)
        return rc;
    return is_utf8(p, len) ? ds_colbuild_bytes(k->b, p, len, k->err) : unfit(k, "it is not UTF-8");
}

static int put_bytes(conv *k, const ds_fval *v)
{
    ds_jspan s;
    if (v->kind == DS_FV_TEXT)
        return ds_colbuild_bytes(k->b, v->p, v->len, k->err);
    if (v->kind != DS_FV_JSON)
        return unfit(k, "bytes are text, or base64 in JSON");
    int rc = scan(k, v, &s);
    if (rc)
        return rc;
    ds_buf_reset(&k->w->text);
    rc = ds_jspan_base64(&s, &k->w->text);
    if (rc)
        return rc < 0 ? ds_fail_nomem(k->err) : unfit(k, "it is not base64");
    return ds_colbuild_bytes(k->b, k->w->text.data, k->w->text.len, k->err);
}

static int put_json(conv *k, const ds_fval *v)
{
    ds_buf *t = &k->w->text;
    ds_jspan s;
    if (v->kind == DS_FV_INT || v->kind == DS_FV_REAL) {
        const uint8_t *p;
        size_t len;
        int rc = as_text(k, v, &p, &len);
        return rc ? rc : ds_colbuild_bytes(k->b, p, len, k->err);
    }
    if (v->kind != DS_FV_JSON && v->kind != DS_FV_TEXT)
        return unfit(k, "an array is no JSON");
    int rc = scan(k, v, &s);
    if (rc)
        return rc;
    ds_buf_reset(t);
    if (ds_jscan_minify(t, s.p, s.len))
        return ds_fail_nomem(k->err);
    return ds_colbuild_bytes(k->b, t->data, t->len, k->err);
}

/* The value as one number or truth. */
static int as_number(conv *k, const ds_fval *v, ds_fval *out)
{
    ds_jspan s;
    int rc;
    *out = *v;
    if (v->kind == DS_FV_INT || v->kind == DS_FV_REAL)
        return 0;
    if (v->kind != DS_FV_JSON && v->kind != DS_FV_TEXT)
        return unfit(k, "an array is no number");
    if (ds_jspan_special(v->p, v->len, &out->f)) {
        out->kind = DS_FV_REAL;
        return 0;
    }
    if ((rc = scan(k, v, &s)) != 0)
        return rc;
    if (s.kind == DS_J_TRUE || s.kind == DS_J_FALSE) {
        out->kind = DS_FV_INT;
        out->i = s.kind == DS_J_TRUE;
        return 0;
    }
    if (s.kind == DS_J_NULL && (k->c->type == DS_LIST ? k->c->item : k->c->type) == DS_F64) {
        *out = (ds_fval){.kind = DS_FV_REAL, .f = (double)NAN};
        return 0;
    }
    if (s.kind == DS_J_STRING && ds_jspan_special(s.p + 1, s.len - 2, &out->f)) {
        out->kind = DS_FV_REAL;
        return 0;
    }
    if (s.kind != DS_J_NUMBER)
        return unfit(k, "it is no number");
    if (ds_jspan_int(&s, &out->i)) {
        out->kind = DS_FV_INT;
        return 0;
    }
    out->kind = DS_FV_REAL;
    return ds_jspan_real(&s, &k->w->text, &out->f) ? 0 : unfit(k, "the number is too large");
}

static int put_whole(conv *k, const ds_fval *v)
{
    ds_fval n;
    int rc = as_number(k, v, &n);
    if (rc)
        return rc;
    if (n.kind != DS_FV_INT)
        return unfit(k, "it is no whole number of 64 bits");
    if (k->c->type != DS_BOOL)
        return ds_colbuild_i64(k->b, n.i, k->err);
    return n.i == 0 || n.i == 1 ? ds_colbuild_bool(k->b, n.i, k->err)
                                : unfit(k, "it is neither true nor false");
}

static int put_real(conv *k, const ds_fval *v)
{
    ds_fval n;
    int rc = as_number(k, v, &n);
    return rc ? rc : ds_colbuild_f64(k->b, n.kind == DS_FV_INT ? (double)n.i : n.f, k->err);
}

static bool digits(const uint8_t *p, size_t n, int64_t *v)
{
    *v = 0;
    for (size_t i = 0; i < n; i++) {
        if (p[i] < '0' || p[i] > '9')
            return false;
        *v = *v * 10 + (p[i] - '0');
    }
    return true;
}

/* "YYYY-MM-DDTHH:MM:SS.nnnnnnnnnZ", as times are written here, up to both ends of 64 bits. */
static bool own_time(const uint8_t *p, size_t len, int64_t *ns)
{
    static const uint8_t form[] = "0000-00-00T00:00:00.000000000Z";
    static const uint8_t month_days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    int64_t y, mo, d, h, mi, s, n, days;
    if (len != sizeof form - 1)
        return false;
    for (size_t i = 0; i < len; i++)
        if (form[i] != '0' && p[i] != form[i])
            return false;
    if (!digits(p, 4, &y) || !digits(p + 5, 2, &mo) || !digits(p + 8, 2, &d) ||
        !digits(p + 11, 2, &h) || !digits(p + 14, 2, &mi) || !digits(p + 17, 2, &s) ||
        !digits(p + 20, 9, &n) || mo < 1 || mo > 12 || h > 23 || mi > 59 || s > 59)
        return false;
    const bool leap = (y % 4 == 0 && y % 100 != 0) || y % 400 == 0;
    if (d < 1 || d > month_days[mo - 1] + (mo == 2 && leap))
        return false;
    /* Days since 1970-01-01; years begin in March, so that a leap day is a year's last. */
    y -= mo <= 2;
    const int64_t era = (y >= 0 ? y : y - 399) / 400, yoe = y - era * 400;
    const int64_t doy = (153 * (mo + (mo > 2 ? -3 : 9)) + 2) / 5 + d - 1;
    days = era * 146097 + yoe * 365 + yoe / 4 - yoe / 100 + doy - 719468;
    const int64_t seconds = days * 86400 + h * 3600 + mi * 60 + s;
    /* The first seconds of the range are only just in it. */
    const bool low = seconds < 0 && n > 0;
    return !__builtin_mul_overflow(seconds + low, 1000000000, ns) &&
           !__builtin_add_overflow(*ns, n - (low ? 1000000000 : 0), ns);
}

static int as_time(conv *k, const ds_fval *v, int64_t *ns)
{
    const uint8_t *p;
    size_t len;
    ds_logtime t;
    if (v->kind == DS_FV_INT) {
        *ns = v->i;
        return 0;
    }
    int rc = as_text(k, v, &p, &len);
    if (rc)
        return rc;
    if (own_time(p, len, ns))
        return 0;
    if (len == 0 || ds_logtime_iso(p, len, 0, &t) != len || t.yearless)
        return unfit(k, "it is no time as RFC 3339 has it");
    *ns = t.ns;
    return 0;
}

static int put_time(conv *k, const ds_fval *v)
{
    int64_t ns;
    int rc = as_time(k, v, &ns);
    return rc ? rc : ds_colbuild_i64(k->b, ns, k->err);
}

/* ---- arrays ---- */

static bool whole_dtype(int d)
{
    return d >= DS_U8 && d <= DS_I64T;
}

/* Element i of an array of whole numbers; false when it is none or passes 64 bits. */
static bool element(const ds_fval *v, size_t i, int64_t *out)
{
    const size_t w = ds_dtype_size(v->dtype);
    const uint8_t *p = v->p + i * w;
    uint64_t u = 0;
    for (size_t k = 0; k < w; k++)
        u |= (uint64_t)p[k] << 8 * k;
    const bool is_signed = v->dtype == DS_I8 || v->dtype == DS_I16 || v->dtype == DS_I32;
    if (is_signed && u >> (8 * w - 1))
        u |= ~(uint64_t)0 << (8 * w - 1);
    *out = (int64_t)u;
    return v->dtype != DS_U64 || *out >= 0;
}

static double real_element(const ds_fval *v, size_t i)
{
    double d;
    float f;
    if (v->dtype == DS_F64T) {
        memcpy(&d, v->p + i * 8, 8);
        return d;
    }
    memcpy(&f, v->p + i * 4, 4);
    return (double)f;
}

static size_t elements(const ds_fval *v)
{
    const size_t w = ds_dtype_size(v->dtype);
    return w ? v->len / w : 0;
}

/* Ids into w->ids, as u32. */
static int ids_of_array(conv *k, const ds_fval *v, uint32_t most)
{
    const size_t n = elements(v);
    ds_buf_reset(&k->w->ids);
    if (!whole_dtype(v->dtype) || v->ndim != 1)
        return unfit(k, "token ids are a list of whole numbers");
    if (ds_buf_reserve(&k->w->ids, n * 4))
        return ds_fail_nomem(k->err);
    for (size_t i = 0; i < n; i++) {
        int64_t id;
        if (!element(v, i, &id) || id < 0 || id > most)
            return unfit(k, "a token id does not fit the column");
        const uint32_t u = (uint32_t)id;
        memcpy(k->w->ids.data + i * 4, &u, 4);
    }
    k->w->ids.len = n * 4;
    return 0;
}

static int ids_of_json(conv *k, const ds_jspan *list, uint32_t most)
{
    ds_jspan s, at = *list;
    ds_buf_reset(&k->w->ids);
    if (list->kind != DS_J_ARRAY)
        return unfit(k, "token ids are a list of whole numbers");
    for (ds_jspan_enter(&at); ds_jspan_next(&at, &s);) {
        int64_t id;
        if (s.kind != DS_J_NUMBER || !ds_jspan_int(&s, &id) || id < 0 || id > most)
            return unfit(k, "a token id does not fit the column");
        const uint32_t u = (uint32_t)id;
        if (ds_buf_put(&k->w->ids, &u, 4))
            return ds_fail_nomem(k->err);
    }
    return 0;
}

static uint32_t most_id(enum ds_type t)
{
    return t == DS_TOKENS16 ? UINT16_MAX : UINT32_MAX;
}

static const uint32_t *ids(const conv *k)
{
    static const uint32_t none;
    return k->w->ids.len ? (const uint32_t *)(const void *)k->w->ids.data : &none;
}

static int put_tokens(conv *k, const ds_fval *v)
{
    ds_jspan s;
    int rc;
    if (v->kind == DS_FV_ARRAY) {
        rc = ids_of_array(k, v, most_id(k->c->type));
    } else if (v->kind == DS_FV_JSON || v->kind == DS_FV_TEXT) {
        rc = scan(k, v, &s);
        rc = rc ? rc : ids_of_json(k, &s, most_id(k->c->type));
    } else {
        rc = unfit(k, "token ids are a list of whole numbers");
    }
    return rc ? rc : ds_colbuild_tokens(k->b, ids(k), k->w->ids.len / 4, k->err);
}

static int run_pair(conv *k, uint64_t length, uint64_t value)
{
    const uint64_t pair[2] = {length, value};
    if (length < 1)
        return unfit(k, "a run has no length");
    return ds_buf_put(&k->w->ids, pair, sizeof pair) ? ds_fail_nomem(k->err) : 0;
}

static int runs_of_json(conv *k, const ds_jspan *list)
{
    ds_jspan pair, at = *list;
    int rc = list->kind == DS_J_ARRAY ? 0 : unfit(k, "runs are a list of pairs");
    for (ds_jspan_enter(&at); rc == 0 && ds_jspan_next(&at, &pair);) {
        ds_jspan a, b, more;
        uint64_t length, value;
        if (pair.kind != DS_J_ARRAY)
            return unfit(k, "a run is a length and a value");
        ds_jspan_enter(&pair);
        if (!ds_jspan_next(&pair, &a) || !ds_jspan_next(&pair, &b) || ds_jspan_next(&pair, &more) ||
            !ds_jspan_uint(&a, &length) || !ds_jspan_uint(&b, &value))
            return unfit(k, "a run is a length and a value");
        rc = run_pair(k, length, value);
    }
    return rc;
}

static int put_runs(conv *k, const ds_fval *v)
{
    ds_jspan s;
    int rc = 0;
    ds_buf_reset(&k->w->ids);
    if (v->kind == DS_FV_ARRAY) {
        const size_t n = elements(v);
        if (!whole_dtype(v->dtype) || n % 2)
            return unfit(k, "runs are pairs of whole numbers");
        for (size_t i = 0; rc == 0 && i < n; i += 2) {
            int64_t a, b;
            rc = (element(v, i, &a) || v->dtype == DS_U64) &&
                         (element(v, i + 1, &b) || v->dtype == DS_U64)
                     ? run_pair(k, (uint64_t)a, (uint64_t)b)
                     : unfit(k, "a run is a length and a value");
        }
    } else if (v->kind == DS_FV_JSON || v->kind == DS_FV_TEXT) {
        rc = scan(k, v, &s);
        rc = rc ? rc : runs_of_json(k, &s);
    } else {
        rc = unfit(k, "runs are pairs of whole numbers");
    }
    return rc ? rc
              : ds_colbuild_runs(k->b, (const uint64_t *)(const void *)k->w->ids.data,
                                 k->w->ids.len / 16, k->err);
}

bool ds_fval_is_tensor(const ds_fval *v)
{
    uint64_t bytes;
    if (!ds_tensor_size(&bytes, v->dtype, v->ndim, v->dims))
        return false;
    for (int i = 0; i < v->ndim; i++)
        if (v->dims[i] > INT64_MAX)
            return false;
    return bytes == v->len;
}

static int tensor_of_json(conv *k, const ds_jspan *o)
{
    ds_jscan *j = &k->w->scan;
    bool twice;
    const ds_jmember *dtype, *shape, *data;
    ds_fval t = {.kind = DS_FV_ARRAY};
    if (o->kind != DS_J_OBJECT || !(dtype = ds_jscan_find(j, "dtype", 5, &twice)) ||
        !(shape = ds_jscan_find(j, "shape", 5, &twice)) ||
        !(data = ds_jscan_find(j, "data", 4, &twice)) || shape->kind != DS_J_ARRAY ||
        dtype->kind != DS_J_STRING || data->kind != DS_J_STRING)
        return unfit(k, "a tensor has dtype, shape and data");
    t.dtype = ds_dtype_named(dtype->value + 1, dtype->value_len - 2);
    ds_jspan s, at = {shape->value, shape->value_len, DS_J_ARRAY},
                text = {data->value, data->value_len, DS_J_STRING};
    for (ds_jspan_enter(&at); ds_jspan_next(&at, &s); t.ndim++) {
        int64_t v;
        if (t.ndim == 8 || !ds_jspan_int(&s, &v) || v < 0)
            return unfit(k, "the tensor's shape is none");
        t.dims[t.ndim] = (uint64_t)v;
    }
    ds_buf_reset(&k->w->text);
    int rc = ds_jspan_base64(&text, &k->w->text);
    if (rc < 0)
        return ds_fail_nomem(k->err);
    t.p = k->w->text.data;
    t.len = k->w->text.len;
    if (rc || !ds_fval_is_tensor(&t))
        return unfit(k, "the tensor's data is not what dtype and shape demand");
    return ds_colbuild_tensor(k->b, t.dtype, t.ndim, t.dims, t.p, t.len, k->err);
}

static int put_tensor(conv *k, const ds_fval *v)
{
    ds_jspan s;
    if (v->kind == DS_FV_ARRAY)
        return ds_colbuild_tensor(k->b, v->dtype, v->ndim, v->dims, v->p, v->len, k->err);
    if (v->kind == DS_FV_INT)
        return ds_colbuild_tensor(k->b, DS_I64T, 0, NULL, &v->i, 8, k->err);
    if (v->kind == DS_FV_REAL)
        return ds_colbuild_tensor(k->b, DS_F64T, 0, NULL, &v->f, 8, k->err);
    if (v->kind == DS_FV_LIST)
        return unfit(k, "a list of texts is no tensor");
    int rc = scan(k, v, &s);
    return rc ? rc : tensor_of_json(k, &s);
}

/* ---- lists ---- */

static int put_item(conv *k, const ds_fval *v)
{
    ds_fval n;
    const uint8_t *p;
    size_t len;
    int64_t ns;
    ds_jspan s;
    int rc;
    switch (k->c->item) {
    case DS_UTF8:
        rc = as_text(k, v, &p, &len);
        if (rc == 0 && !is_utf8(p, len))
            rc = unfit(k, "an item is not UTF-8");
        return rc ? rc : ds_colbuild_item_bytes(k->b, p, len, k->err);
    case DS_BYTES:
        if (v->kind == DS_FV_TEXT)
            return ds_colbuild_item_bytes(k->b, v->p, v->len, k->err);
        rc = v->kind == DS_FV_JSON ? scan(k, v, &s) : unfit(k, "an item is no text");
        ds_buf_reset(&k->w->text);
        if (rc == 0 && (rc = ds_jspan_base64(&s, &k->w->text)) > 0)
            rc = unfit(k, "an item is not base64");
        return rc ? rc : ds_colbuild_item_bytes(k->b, k->w->text.data, k->w->text.len, k->err);
    case DS_JSON:
        rc = v->kind == DS_FV_JSON || v->kind == DS_FV_TEXT ? scan(k, v, &s)
                                                            : unfit(k, "an item is no JSON");
        ds_buf_reset(&k->w->text);
        if (rc == 0 && ds_jscan_minify(&k->w->text, s.p, s.len))
            rc = ds_fail_nomem(k->err);
        return rc ? rc : ds_colbuild_item_bytes(k->b, k->w->text.data, k->w->text.len, k->err);
    case DS_TIMESTAMP:
        rc = as_time(k, v, &ns);
        return rc ? rc : ds_colbuild_item_i64(k->b, ns, k->err);
    case DS_F64:
        rc = as_number(k, v, &n);
        return rc ? rc
                  : ds_colbuild_item_f64(k->b, n.kind == DS_FV_INT ? (double)n.i : n.f, k->err);
    case DS_TOKENS16:
    case DS_TOKENS32:
        rc = v->kind == DS_FV_ARRAY ? ids_of_array(k, v, most_id(k->c->item)) : scan(k, v, &s);
        if (rc == 0 && v->kind != DS_FV_ARRAY)
            rc = ids_of_json(k, &s, most_id(k->c->item));
        return rc ? rc : ds_colbuild_item_tokens(k->b, ids(k), k->w->ids.len / 4, k->err);
    default:
        rc = as_number(k, v, &n);
        if (rc == 0 && (n.kind != DS_FV_INT || (k->c->item == DS_BOOL && n.i != 0 && n.i != 1)))
            rc = unfit(k, "an item is no whole number");
        return rc ? rc : ds_colbuild_item_i64(k->b, n.i, k->err);
    }
}

static int items_of_json(conv *k, const ds_fval *v)
{
    ds_jspan s, at;
    int rc = scan(k, v, &at);
    if (rc == 0 && at.kind != DS_J_ARRAY)
        rc = unfit(k, "it is no list");
    if (rc)
        return rc;
    for (ds_jspan_enter(&at); rc == 0 && ds_jspan_next(&at, &s);) {
        const ds_fval item = {.kind = DS_FV_JSON, .p = s.p, .len = s.len};
        if (s.kind == DS_J_NULL && k->c->item == DS_F64)
            rc = ds_colbuild_item_f64(k->b, (double)NAN, k->err);
        else if (s.kind == DS_J_NULL && k->c->item != DS_JSON)
            rc = unfit(k, "items of a list cannot be null");
        else
            rc = put_item(k, &item);
    }
    return rc;
}

static int items_of_array(conv *k, const ds_fval *v)
{
    const bool whole = whole_dtype(v->dtype), real = v->dtype == DS_F32 || v->dtype == DS_F64T;
    int rc = v->ndim == 1 && (whole || real) ? 0 : unfit(k, "it is no list of numbers");
    for (size_t i = 0; rc == 0 && i < elements(v); i++) {
        ds_fval item = {.kind = whole ? DS_FV_INT : DS_FV_REAL};
        if (whole && !element(v, i, &item.i))
            return unfit(k, "an item passes 63 bits");
        if (real)
            item.f = real_element(v, i);
        rc = put_item(k, &item);
    }
    return rc;
}

static int put_list(conv *k, const ds_fval *v)
{
    int rc = ds_colbuild_list_begin(k->b, k->err);
    if (rc)
        return rc;
    if (v->kind == DS_FV_ARRAY)
        rc = items_of_array(k, v);
    else if (v->kind == DS_FV_JSON || v->kind == DS_FV_TEXT)
        rc = items_of_json(k, v);
    else if (v->kind != DS_FV_LIST)
        rc = put_item(k, v);
    else
        for (size_t i = 0; rc == 0 && i < v->n; i++)
            rc = put_item(k, &v->items[i]);
    return rc ? rc : ds_colbuild_list_end(k->b, k->err);
}

static bool is_json_null(const ds_fval *v)
{
    return v->kind == DS_FV_JSON && v->len == 4 && memcmp(v->p, "null", 4) == 0;
}

int ds_fval_put(ds_fvalwork *w, ds_colbuild *b, const ds_column *c, const ds_fval *v,
                const char **why, ds_err *err)
{
    static int (*const put[DS_NTYPES])(conv *, const ds_fval *) = {
        [DS_UTF8] = put_utf8,       [DS_BYTES] = put_bytes,   [DS_JSON] = put_json,
        [DS_BOOL] = put_whole,      [DS_I64] = put_whole,     [DS_F64] = put_real,
        [DS_TIMESTAMP] = put_time,  [DS_TENSOR] = put_tensor, [DS_TOKENS16] = put_tokens,
        [DS_TOKENS32] = put_tokens, [DS_RUNS] = put_runs,     [DS_LIST] = put_list,
    };
    conv k = {.w = w, .b = b, .c = c, .err = err};
    const bool json_null = is_json_null(v);
    int rc;
    /* A column of JSON that may be null takes null for no value. */
    if (json_null && c->type == DS_F64 && !c->nullable)
        rc = ds_colbuild_f64(b, (double)NAN, err);
    else if (v->kind == DS_FV_NULL || (json_null && (c->nullable || c->type != DS_JSON)))
        rc = c->nullable ? ds_colbuild_null(b, err) : unfit(&k, "it is missing");
    else
        rc = put[c->type](&k, v);
    *why = k.why;
    return rc;
}

int ds_fval_key(ds_fvalwork *w, ds_colbuild *b, const ds_column *c, const ds_fval *v,
                const char **why, ds_err *err)
{
    conv k = {.w = w, .b = b, .c = c, .err = err};
    const uint8_t *p;
    size_t len;
    if (v->kind == DS_FV_NULL || is_json_null(v)) {
        *why = "it is missing";
        return 1;
    }
    int rc = as_text(&k, v, &p, &len);
    if (!rc && !is_utf8(p, len))
        rc = unfit(&k, "it is not UTF-8");
    if (!rc && (k.why = ds_key_unfit(p, len)))
        rc = 1;
    *why = k.why;
    return rc ? rc : ds_colbuild_bytes(b, p, len, err);
}

void ds_fvalwork_fini(ds_fvalwork *w)
{
    ds_buf_fini(&w->text);
    ds_buf_fini(&w->ids);
    ds_jscan_fini(&w->scan);
}

ds_fval ds_fval_json(const ds_jmember *m)
{
    return (ds_fval){.kind = DS_FV_JSON, .p = m->value, .len = m->value_len};
}

ds_fval ds_fval_ids(int dtype, const void *p, size_t n)
{
    return (ds_fval){.kind = DS_FV_ARRAY,
                     .p = p,
                     .len = n * ds_dtype_size(dtype),
                     .dtype = dtype,
                     .ndim = 1,
                     .listed = true,
                     .dims = {n}};
}
