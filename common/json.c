/* json.c - see json.h. Text follows RFC 8259. */
#include "json.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define DEPTH_MAX 512

int ds_json_str(ds_buf *b, const char *s, size_t len)
{
    static const char hex[] = "0123456789abcdef";
    size_t before = b->len, run = 0;
    int rc = ds_buf_putc(b, '"');
    for (size_t i = 0; i < len && !rc; i++) {
        unsigned char c = (unsigned char)s[i];
        if (c >= 0x20 && c != '"' && c != '\\')
            continue;
        char esc[6] = {'\\', 0, '0', '0', 0, 0};
        size_t n = 2;
        switch (c) {
        case '"':
        case '\\':
            esc[1] = (char)c;
            break;
        case '\b':
            esc[1] = 'b';
            break;
        case '\f':
            esc[1] = 'f';
            break;
        case '\n':
            esc[1] = 'n';
            break;
        case '\r':
            esc[1] = 'r';
            break;
        case '\t':
            esc[1] = 't';
            break;
        default:
            esc[1] = 'u';
            esc[4] = hex[c >> 4];
            esc[5] = hex[c & 15];
            n = 6;
        }
        rc = ds_buf_put(b, s + run, i - run);
        if (!rc)
            rc = ds_buf_put(b, esc, n);
        run = i + 1;
    }
    if (!rc)
        rc = ds_buf_put(b, s + run, len - run);
    if (!rc)
        rc = ds_buf_putc(b, '"');
    if (rc)
        b->len = before;
    return rc;
}

int ds_json_real(ds_buf *b, double v)
{
    char text[40];
    if (!isfinite(v))
        return ds_buf_puts(b, "null");
    for (int digits = 15; digits <= 17; digits++) {
        snprintf(text, sizeof text, "%.*g", digits, v);
        if (strtod(text, NULL) == v)
            break;
    }
    return ds_buf_puts(b, text);
}

int ds_json_parse(json_t **out, const void *data, size_t len, const char *what, ds_err *err)
{
    json_error_t e;
    *out = NULL;
    /* NUL inside strings is refused: manifests and configuration are read as C strings. */
    json_t *v = json_loadb(data, len, JSON_REJECT_DUPLICATES | JSON_DECODE_ANY, &e);
    if (v) {
        *out = v;
        return 0;
    }
    if (json_error_code(&e) == json_error_out_of_memory)
        return ds_fail_nomem(err);
    return ds_fail(err, DS_FAIL, "%s: line %d, byte %d: %s", what, e.line, e.position, e.text);
}

static int dump(ds_buf *b, const json_t *v, int depth, ds_err *err);

static int dump_object(ds_buf *b, const json_t *v, int depth, ds_err *err)
{
    /* jansson's iterators want a non-const object though they only read it. */
    json_t *o = json_incref((json_t *)(uintptr_t)v);
    int rc = ds_buf_putc(b, '{');
    bool first = true;
    for (void *it = json_object_iter(o); it && !rc; it = json_object_iter_next(o, it)) {
        const char *key = json_object_iter_key(it);
        if (!first)
            rc = ds_buf_putc(b, ',');
        first = false;
        if (!rc)
            rc = ds_json_str(b, key, strlen(key));
        if (!rc)
            rc = ds_buf_putc(b, ':');
        if (!rc)
            rc = dump(b, json_object_iter_value(it), depth + 1, err);
    }
    json_decref(o);
    return rc ? rc : ds_buf_putc(b, '}');
}

static int dump_array(ds_buf *b, const json_t *v, int depth, ds_err *err)
{
    int rc = ds_buf_putc(b, '[');
    for (size_t i = 0; i < json_array_size(v) && !rc; i++) {
        if (i)
            rc = ds_buf_putc(b, ',');
        if (!rc)
            rc = dump(b, json_array_get(v, i), depth + 1, err);
    }
    return rc ? rc : ds_buf_putc(b, ']');
}

/* A real that happens to be whole keeps ".0", so that it is read back as a real. */
static int dump_real(ds_buf *b, double v)
{
    size_t at = b->len;
    int rc = ds_json_real(b, v);
    if (rc || !isfinite(v))
        return rc;
    for (; at < b->len; at++)
        if (b->data[at] == '.' || b->data[at] == 'e')
            return 0;
    return ds_buf_puts(b, ".0");
}

static int dump(ds_buf *b, const json_t *v, int depth, ds_err *err)
{
    if (depth >= DEPTH_MAX && (json_is_object(v) || json_is_array(v)))
        return ds_fail(err, DS_FAIL, "JSON nested deeper than %d", DEPTH_MAX);
    switch (json_typeof(v)) {
    case JSON_OBJECT:
        return dump_object(b, v, depth, err);
    case JSON_ARRAY:
        return dump_array(b, v, depth, err);
    case JSON_STRING:
        return ds_json_str(b, json_string_value(v), json_string_length(v));
    case JSON_INTEGER:
        return ds_buf_printf(b, "%" JSON_INTEGER_FORMAT, json_integer_value(v));
    case JSON_REAL:
        return dump_real(b, json_real_value(v));
    case JSON_TRUE:
        return ds_buf_puts(b, "true");
    case JSON_FALSE:
        return ds_buf_puts(b, "false");
    default:
        return ds_buf_puts(b, "null");
    }
}

int ds_json_dump(ds_buf *b, const json_t *v, ds_err *err)
{
    size_t before = b->len;
    int rc = v ? dump(b, v, 0, err) : ds_fail(err, DS_FAIL, "JSON value is absent");
    if (rc)
        b->len = before;
    if (rc == DS_NOMEM)
        return ds_fail_nomem(err);
    return rc;
}
