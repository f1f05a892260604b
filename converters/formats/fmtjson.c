/* fmtjson.c - see fmtjson.h. */
#include "fmtjson.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "jsonrow.h"

static bool space(uint8_t c)
{
    return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

static enum ds_jkind kind_of(uint8_t c)
{
    switch (c) {
    case '{':
        return DS_J_OBJECT;
    case '[':
        return DS_J_ARRAY;
    case '"':
        return DS_J_STRING;
    case 't':
        return DS_J_TRUE;
    case 'f':
        return DS_J_FALSE;
    case 'n':
        return DS_J_NULL;
    default:
        return DS_J_NUMBER;
    }
}

int ds_jspan_of(ds_jspan *s, ds_jscan *scan, const uint8_t *p, size_t len)
{
    int rc = ds_jscan_text(scan, p, len, DS_JSCAN_DEPTH_RECORD);
    if (rc)
        return rc;
    while (len && space(*p)) {
        p++;
        len--;
    }
    while (len && space(p[len - 1]))
        len--;
    *s = (ds_jspan){p, len, kind_of(*p)};
    return 0;
}

void ds_jspan_enter(ds_jspan *s)
{
    s->p++;
    s->len -= s->len > 0;
}

/* Length of the value that begins at p. */
static size_t value_len(const uint8_t *p, size_t len)
{
    size_t depth = 0, i = 0;
    bool text = false;
    for (; i < len; i++) {
        const uint8_t c = p[i];
        if (text) {
            i += c == '\\';
            text = c != '"';
            if (!text && depth == 0)
                return i + 1;
        } else if (c == '"') {
            text = true;
        } else if (c == '[' || c == '{') {
            depth++;
        } else if ((c == ']' || c == '}') && depth > 0) {
            if (--depth == 0)
                return i + 1;
        } else if (depth == 0 && (c == ',' || c == ']' || c == '}' || space(c))) {
            return i;
        }
    }
    return len;
}

bool ds_jspan_next(ds_jspan *s, ds_jspan *item)
{
    while (s->len && (space(*s->p) || *s->p == ',')) {
        s->p++;
        s->len--;
    }
    if (!s->len || *s->p == ']')
        return false;
    const size_t n = value_len(s->p, s->len);
    *item = (ds_jspan){s->p, n, kind_of(*s->p)};
    s->p += n;
    s->len -= n;
    return n > 0;
}

static bool digits(const uint8_t *p, size_t len, uint64_t *u)
{
    *u = 0;
    for (size_t i = 0; i < len; i++)
        if (p[i] < '0' || p[i] > '9' || __builtin_mul_overflow(*u, 10, u) ||
            __builtin_add_overflow(*u, (uint64_t)(p[i] - '0'), u))
            return false;
    return len > 0;
}

bool ds_jspan_uint(const ds_jspan *s, uint64_t *v)
{
    return digits(s->p, s->len, v);
}

bool ds_jspan_int(const ds_jspan *s, int64_t *v)
{
    const bool minus = s->len > 0 && s->p[0] == '-';
    uint64_t u;
    if (!digits(s->p + minus, s->len - minus, &u) || u > (uint64_t)INT64_MAX + minus ||
        (minus && u == 0))
        return false;
    *v = minus ? (int64_t)(0 - u) : (int64_t)u;
    return true;
}

bool ds_jspan_real(const ds_jspan *s, ds_buf *scratch, double *v)
{
    ds_buf_reset(scratch);
    if (ds_buf_put(scratch, s->p, s->len))
        return false;
    const char *text = ds_buf_cstr(scratch);
    if (!text)
        return false;
    *v = strtod(text, NULL);
    return isfinite(*v);
}

bool ds_jspan_special(const uint8_t *p, size_t len, double *v)
{
    if (len == 3 && memcmp(p, "NaN", 3) == 0)
        *v = (double)NAN;
    else if (len == 8 && memcmp(p, "Infinity", 8) == 0)
        *v = (double)INFINITY;
    else if (len == 9 && memcmp(p, "-Infinity", 9) == 0)
        *v = (double)-INFINITY;
    else
        return false;
    return true;
}

int ds_jspan_text(const ds_jspan *s, ds_buf *out)
{
    if (s->kind != DS_J_STRING)
        return ds_jscan_minify(out, s->p, s->len);
    if (ds_buf_reserve(out, s->len + DS_JSTRING_SLACK))
        return DS_NOMEM;
    out->len += ds_jstring_unescape(out->data + out->len, s->p + 1, s->len - 2);
    return 0;
}

int ds_jspan_base64(const ds_jspan *s, ds_buf *out)
{
    if (s->kind != DS_J_STRING || (s->len - 2) % 4)
        return 1;
    const uint8_t *p = s->p + 1;
    const size_t len = s->len - 2;
    const size_t pad = len == 0 ? 0 : (size_t)(p[len - 1] == '=') + (size_t)(p[len - 2] == '=');
    if (ds_buf_reserve(out, len / 4 * 3))
        return DS_NOMEM;
    for (size_t i = 0; i < len; i += 4) {
        const size_t skip = i + 4 == len ? pad : 0;
        uint32_t v = 0;
        for (size_t k = 0; k < 4; k++) {
            const int d = k < 4 - skip ? ds_base64_digit(p[i + k]) : 0;
            if (d < 0)
                return 1;
            v = v << 6 | (uint32_t)d;
        }
        if ((skip == 1 && (v & 0xff)) || (skip == 2 && (v & 0xffff)))
            return 1; /* bits that are in no byte */
        const uint8_t bytes[3] = {(uint8_t)(v >> 16), (uint8_t)(v >> 8), (uint8_t)v};
        memcpy(out->data + out->len, bytes, 3 - skip);
        out->len += 3 - skip;
    }
    return 0;
}
