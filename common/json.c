/* json.c - see json.h. Text follows RFC 8259. */
#include "json.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "utf8.h"

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

int ds_json_text(ds_buf *b, const char *s)
{
    ds_buf clean = {0};
    size_t len = strlen(s);
    int rc = 0;
    while (len > 0 && !rc) {
        size_t ok = ds_utf8_check((const uint8_t *)s, len);
        rc = ds_buf_put(&clean, s, ok);
        if (ok < len) {
            if (!rc)
                rc = ds_buf_puts(&clean, "\xef\xbf\xbd");
            ok++;
        }
        s += ok;
        len -= ok;
    }
    if (!rc)
        rc = ds_json_str(b, clean.len ? (const char *)clean.data : "", clean.len);
    ds_buf_fini(&clean);
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

/* Text being written: on one line, or with two blanks a level. */
typedef struct text {
    ds_buf *b;
    bool pretty;
    ds_err *err;
} text;

static int dump(text *t, const json_t *v, int depth);

/* Before the first member of an object or array, and behind its last. */
static int line(text *t, int depth)
{
    int rc = t->pretty ? ds_buf_putc(t->b, '\n') : 0;
    for (int i = 0; t->pretty && !rc && i < depth; i++)
        rc = ds_buf_puts(t->b, "  ");
    return rc;
}

static int dump_object(text *t, const json_t *v, int depth)
{
    /* jansson's iterators want a non-const object though they only read it. */
    json_t *o = json_incref((json_t *)(uintptr_t)v);
    int rc = ds_buf_putc(t->b, '{');
    bool first = true;
    for (void *it = json_object_iter(o); it && !rc; it = json_object_iter_next(o, it)) {
        const char *key = json_object_iter_key(it);
        rc = first ? 0 : ds_buf_putc(t->b, ',');
        first = false;
        rc = rc ? rc : line(t, depth + 1);
        rc = rc ? rc : ds_json_str(t->b, key, strlen(key));
        rc = rc ? rc : ds_buf_puts(t->b, t->pretty ? ": " : ":");
        rc = rc ? rc : dump(t, json_object_iter_value(it), depth + 1);
    }
    json_decref(o);
    rc = rc || first ? rc : line(t, depth);
    return rc ? rc : ds_buf_putc(t->b, '}');
}

static int dump_array(text *t, const json_t *v, int depth)
{
    const size_t n = json_array_size(v);
    int rc = ds_buf_putc(t->b, '[');
    for (size_t i = 0; i < n && !rc; i++) {
        rc = i ? ds_buf_putc(t->b, ',') : 0;
        rc = rc ? rc : line(t, depth + 1);
        rc = rc ? rc : dump(t, json_array_get(v, i), depth + 1);
    }
    rc = rc || !n ? rc : line(t, depth);
    return rc ? rc : ds_buf_putc(t->b, ']');
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

static int dump(text *t, const json_t *v, int depth)
{
    if (depth >= DEPTH_MAX && (json_is_object(v) || json_is_array(v)))
        return ds_fail(t->err, DS_FAIL, "JSON nested deeper than %d", DEPTH_MAX);
    switch (json_typeof(v)) {
    case JSON_OBJECT:
        return dump_object(t, v, depth);
    case JSON_ARRAY:
        return dump_array(t, v, depth);
    case JSON_STRING:
        return ds_json_str(t->b, json_string_value(v), json_string_length(v));
    case JSON_INTEGER:
        return ds_buf_printf(t->b, "%" JSON_INTEGER_FORMAT, json_integer_value(v));
    case JSON_REAL:
        return dump_real(t->b, json_real_value(v));
    case JSON_TRUE:
        return ds_buf_puts(t->b, "true");
    case JSON_FALSE:
        return ds_buf_puts(t->b, "false");
    default:
        return ds_buf_puts(t->b, "null");
    }
}

static int dump_text(text *t, const json_t *v)
{
    const size_t before = t->b->len;
    int rc = v ? dump(t, v, 0) : ds_fail(t->err, DS_FAIL, "JSON value is absent");
    if (rc)
        t->b->len = before;
    return rc == DS_NOMEM ? ds_fail_nomem(t->err) : rc;
}

int ds_json_dump(ds_buf *b, const json_t *v, ds_err *err)
{
    return dump_text(&(text){.b = b, .err = err}, v);
}

int ds_json_dump_pretty(ds_buf *b, const json_t *v, ds_err *err)
{
    return dump_text(&(text){.b = b, .pretty = true, .err = err}, v);
}
