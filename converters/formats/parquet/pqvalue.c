/* pqvalue.c - see pqvalue.h. */
#include "pqvalue.h"

#include <inttypes.h>
#include <string.h>

#include "json.h"
#include "jsonrow.h"
#include "utf8.h"

static const char RANGE[] = "the time is out of range";

static bool whole(const ds_pqnode *n)
{
    return n->type == DS_PQ_INT32 || n->type == DS_PQ_INT64;
}

enum ds_type ds_pq_type(const ds_pqnode *n)
{
    switch (n->meaning) {
    case DS_PQ_TEXT:
    case DS_PQ_DATE:
    case DS_PQ_TIME:
    case DS_PQ_UUID:
        return DS_UTF8;
    case DS_PQ_JSON:
    case DS_PQ_NOTHING:
        return DS_JSON;
    case DS_PQ_DECIMAL:
        return whole(n) && n->scale == 0 ? DS_I64 : DS_JSON;
    case DS_PQ_TIMESTAMP:
        return DS_TIMESTAMP;
    case DS_PQ_FLOAT16:
        return DS_F64;
    default:
        break;
    }
    switch (n->type) {
    case DS_PQ_BOOLEAN:
        return DS_BOOL;
    case DS_PQ_INT96:
        return DS_TIMESTAMP;
    case DS_PQ_FLOAT:
    case DS_PQ_DOUBLE:
        return DS_F64;
    default:
        return whole(n) ? DS_I64 : DS_BYTES;
    }
}

/* ---- numbers and times ---- */

/* Nanoseconds of a day, and the day's Julian number: what Impala and old Spark write. */
static int int96(const uint8_t *p, int64_t *ns)
{
    const int64_t day = (int64_t)ds_get_u32(p + 8) - 2440588, of_day = (int64_t)ds_get_u64(p);

    return __builtin_mul_overflow(day, INT64_C(86400000000000), ns) ||
           __builtin_add_overflow(*ns, of_day, ns);
}

/* What the type's bits say, with its unit; *passes: more than 63 bits. */
static int as_whole(const ds_pqnode *n, const ds_pqvalue *x, int64_t *v, bool *passes,
                    const char **why)
{
    *passes = false;
    *v = x->i;
    if (n->type == DS_PQ_INT96) {
        *why = int96(x->p, v) ? RANGE : NULL;
    } else if (n->meaning == DS_PQ_TIMESTAMP) {
        *why = __builtin_mul_overflow(x->i, n->unit, v) ? RANGE : NULL;
    } else if (n->meaning == DS_PQ_INTEGER && n->is_unsigned) {
        if (n->type == DS_PQ_INT32)
            *v = (int64_t)((uint64_t)x->i & UINT32_MAX);
        *passes = *v < 0;
    }
    return *why != NULL;
}

/* Digits of a magnitude, most significant byte first, in base 10: the magnitude is used up. */
static int digits_of(uint8_t *p, size_t len, ds_buf *out)
{
    const size_t from = out->len;
    bool any = true;

    while (any) {
        unsigned rest = 0;
        any = false;
        for (size_t i = 0; i < len; i++) {
            rest = rest << 8 | p[i];
            p[i] = (uint8_t)(rest / 10);
            any |= p[i] != 0;
            rest %= 10;
        }
        if (ds_buf_putc(out, (uint8_t)('0' + rest)))
            return DS_NOMEM;
    }
    for (size_t a = from, b = out->len - 1; a < b; a++, b--) {
        const uint8_t t = out->data[a];
        out->data[a] = out->data[b];
        out->data[b] = t;
    }
    return 0;
}

/* The unscaled number is in two's complement: of 4 or 8 bytes, or big endian of any number. */
static int decimal(const ds_pqnode *n, const ds_pqvalue *x, ds_buf *out, const char **why)
{
    uint8_t m[DS_PQ_DECIMAL_MOST], digits[3 * DS_PQ_DECIMAL_MOST];
    ds_buf text = {.data = digits, .cap = sizeof digits};
    size_t len = x->len;

    if (whole(n)) {
        ds_set_big(m, (uint64_t)x->i);
        len = 8;
    } else {
        *why = len > sizeof m ? "a decimal of more than 256 bytes" : NULL;
        if (*why)
            return 1;
        memcpy(m, x->p, len);
    }
    const bool negative = len && m[0] >> 7;
    for (size_t i = len, carry = 1; negative && i-- > 0;) {
        const unsigned v = (uint8_t)~m[i] + (unsigned)carry;
        m[i] = (uint8_t)v;
        carry = v >> 8;
    }
    if (digits_of(m, len, &text)) /* they fit: less than 2.5 digits a byte */
        return DS_NOMEM;
    const size_t scale = (size_t)n->scale, have = text.len;
    int rc = negative ? ds_buf_putc(out, '-') : 0;
    if (have > scale)
        rc = rc ? rc : ds_buf_put(out, digits, have - scale);
    else
        rc = rc ? rc : ds_buf_putc(out, '0');
    rc = rc || !scale ? rc : ds_buf_putc(out, '.');
    for (size_t i = have; !rc && i < scale; i++)
        rc = ds_buf_putc(out, '0');
    const size_t behind = have < scale ? have : scale;
    return rc ? rc : ds_buf_put(out, digits + have - behind, behind);
}

static int clock_text(const ds_pqnode *n, int64_t v, ds_buf *out, const char **why)
{
    const int64_t second = INT64_C(1000000000) / n->unit, all = v / second;
    const int places = n->unit == 1 ? 9 : n->unit == 1000 ? 6 : 3;

    *why = v < 0 || all >= 86400 ? "a time of day that is none" : NULL;
    if (*why)
        return 1;
    return ds_buf_printf(out, "%02d:%02d:%02d.%0*d", (int)(all / 3600), (int)(all / 60 % 60),
                         (int)(all % 60), places, (int)(v % second));
}

static int uuid_text(const uint8_t *p, ds_buf *out)
{
    int rc = 0;

    for (size_t i = 0; i < 16 && !rc; i++) {
        rc = i == 4 || i == 6 || i == 8 || i == 10 ? ds_buf_putc(out, '-') : 0;
        rc = rc ? rc : ds_buf_hex(out, p + i, 1);
    }
    return rc;
}

/* Is the value's text made, rather than there? */
static bool is_made(const ds_pqnode *n)
{
    return n->meaning == DS_PQ_DATE || n->meaning == DS_PQ_TIME || n->meaning == DS_PQ_UUID ||
           (n->meaning == DS_PQ_DECIMAL && ds_pq_type(n) == DS_JSON);
}

static int make_text(const ds_pqnode *n, const ds_pqvalue *x, ds_buf *out, const char **why)
{
    switch (n->meaning) {
    case DS_PQ_DATE:
        return ds_day_text(out, (int32_t)x->i);
    case DS_PQ_TIME:
        return clock_text(n, x->i, out, why);
    case DS_PQ_UUID:
        return uuid_text(x->p, out);
    default:
        return decimal(n, x, out, why);
    }
}

static double real(const ds_pqnode *n, const ds_pqvalue *x)
{
    ds_fval half;

    if (n->type != DS_PQ_FIXED)
        return x->f;
    (void)ds_fval_number(&half, DS_F16, x->p);
    return half.f;
}

/* ---- a value of a column ---- */

int ds_pq_fval(const ds_pqnode *n, const ds_pqvalue *x, ds_buf *text, ds_fval *v, const char **why)
{
    const enum ds_type t = ds_pq_type(n);
    const size_t from = text->len;
    bool passes;
    int rc;

    *why = NULL;
    if (is_made(n)) {
        rc = make_text(n, x, text, why);
        *v = (ds_fval){.kind = t == DS_JSON ? DS_FV_JSON : DS_FV_TEXT,
                       .i = (int64_t)from,
                       .len = text->len - from};
        return rc;
    }
    switch (t) {
    case DS_F64:
        *v = (ds_fval){.kind = DS_FV_REAL, .f = real(n, x)};
        return 0;
    case DS_BOOL:
    case DS_I64:
    case DS_TIMESTAMP:
        *v = (ds_fval){.kind = DS_FV_INT};
        rc = as_whole(n, x, &v->i, &passes, why);
        if (rc || !passes)
            return rc;
        rc = ds_decimal(text, (uint64_t)v->i);
        *v = (ds_fval){.kind = DS_FV_JSON, .i = (int64_t)from, .len = text->len - from};
        return rc;
    default:
        *v = (ds_fval){.kind = DS_FV_TEXT, .p = x->len ? x->p : (const uint8_t *)"", .len = x->len};
        return 0;
    }
}

void ds_pq_settle(ds_fval *v, const ds_buf *text)
{
    if (!v->p && (v->kind == DS_FV_TEXT || v->kind == DS_FV_JSON)) {
        v->p = text->data + v->i;
        v->i = 0;
    }
}

/* ---- JSON ---- */

static int json_text(const uint8_t *p, size_t len, ds_buf *out, const char **why)
{
    *why = ds_utf8_check(p, len) == len ? NULL : "it is not UTF-8";
    return *why ? 1 : ds_json_str(out, (const char *)p, len);
}

static int json_document(const ds_pqvalue *x, ds_buf *out, const char **why)
{
    ds_jscan scan = {0};
    int rc = ds_jscan_text(&scan, x->p, x->len, DS_JSCAN_DEPTH_RECORD);

    if (rc && rc != DS_NOMEM)
        *why = "it is no JSON";
    rc = rc == DS_NOMEM || *why ? rc : ds_jscan_minify(out, x->p, x->len);
    ds_jscan_fini(&scan);
    return *why ? 1 : rc;
}

/* What JSON has no numbers for are texts, as they may be in columns of numbers. */
static int json_float(double f, ds_buf *out)
{
    if (f - f == 0)
        return ds_json_real(out, f);
    return ds_buf_puts(out, f != f ? "\"NaN\"" : f > 0 ? "\"Infinity\"" : "\"-Infinity\"");
}

static int json_whole(const ds_pqnode *n, const ds_pqvalue *x, ds_buf *out, const char **why)
{
    bool passes;
    int64_t v;
    int rc = as_whole(n, x, &v, &passes, why);

    if (rc)
        return rc;
    if (ds_pq_type(n) == DS_BOOL)
        return ds_buf_puts(out, v ? "true" : "false");
    if (ds_pq_type(n) != DS_TIMESTAMP) {
        const bool negative = v < 0 && !passes;
        rc = negative ? ds_buf_putc(out, '-') : 0;
        return rc ? rc : ds_decimal(out, negative ? -(uint64_t)v : (uint64_t)v);
    }
    rc = ds_buf_putc(out, '"');
    rc = rc ? rc : ds_time_text(out, v);
    return rc ? rc : ds_buf_putc(out, '"');
}

int ds_pq_json(const ds_pqnode *n, const ds_pqvalue *x, ds_buf *out, const char **why)
{
    const enum ds_type t = ds_pq_type(n);
    const bool quoted = t == DS_UTF8;
    int rc = 0;

    *why = NULL;
    if (is_made(n)) {
        rc = quoted ? ds_buf_putc(out, '"') : 0;
        rc = rc ? rc : make_text(n, x, out, why);
        return rc || !quoted ? rc : ds_buf_putc(out, '"');
    }
    switch (t) {
    case DS_UTF8:
        return json_text(x->p, x->len, out, why);
    case DS_JSON:
        return n->meaning == DS_PQ_JSON ? json_document(x, out, why) : ds_buf_puts(out, "null");
    case DS_F64:
        return json_float(real(n, x), out);
    case DS_BYTES:
        rc = ds_buf_putc(out, '"');
        rc = rc ? rc : ds_base64(out, x->p, x->len);
        return rc ? rc : ds_buf_putc(out, '"');
    default:
        return json_whole(n, x, out, why);
    }
}
