/* logexport.c - one entry of journald's export format: NAME=text lines, or NAME, a length in eight
 * bytes and that many bytes. */
#include "logrow.h"

#include <string.h>

#include "json.h"
#include "utf8.h"

#define FIELDS_MAX 1024

typedef struct jfield {
    const uint8_t *name, *v;
    size_t name_len, len;
} jfield;

/* The field at *at. False with l's refusal. */
static bool next_field(ds_logline *l, const uint8_t *p, size_t len, size_t *at, jfield *f)
{
    size_t i = *at;
    while (i < len && p[i] != '=' && p[i] != '\n')
        i++;
    *f = (jfield){.name = p + *at, .name_len = i - *at};
    if (f->name_len == 0 || f->name_len > 256) {
        ds_logfail(l, *at, "a field's name of at most 256 bytes is expected here");
        return false;
    }
    for (size_t k = 0; k < f->name_len; k++) {
        uint8_t c = f->name[k];
        if (c != '_' && (c < 'A' || c > 'Z') && (c < '0' || c > '9')) {
            ds_logfail(l, *at + k, "a field's name is of capitals, digits and _");
            return false;
        }
    }
    if (i < len && p[i] == '=') {
        const uint8_t *lf = memchr(p + i, '\n', len - i);
        f->v = p + i + 1;
        f->len = (size_t)((lf ? lf : p + len) - f->v);
        *at = i + 1 + f->len + (lf != NULL);
        return true;
    }
    if (len - i < 9 || ds_get_u64(p + i + 1) > len - i - 9) {
        ds_logfail(l, *at, "a field's bytes do not end within the entry");
        return false;
    }
    f->len = (size_t)ds_get_u64(p + i + 1);
    f->v = p + i + 9;
    i += 9 + f->len;
    if (i < len && p[i] != '\n') {
        ds_logfail(l, i, "a line end is expected behind a field's bytes");
        return false;
    }
    *at = i + (i < len);
    return true;
}

static bool is_text(const jfield *f)
{
    return ds_utf8_check(f->v, f->len) == f->len && !memchr(f->v, 0, f->len);
}

/* A text, or what is none as an array of its bytes, as journald's own JSON has it. */
static int put_value(ds_buf *b, const jfield *f)
{
    if (is_text(f))
        return ds_json_str(b, (const char *)f->v, f->len);
    int rc = 0;
    for (size_t i = 0; i < f->len && rc == 0; i++)
        rc = ds_buf_printf(b, "%c%u", i ? ',' : '[', f->v[i]);
    return rc ? rc : ds_buf_putc(b, ']');
}

static bool same(const jfield *a, const jfield *b)
{
    return a->name_len == b->name_len && memcmp(a->name, b->name, a->name_len) == 0;
}

/* A field that may be there several times is then an array. */
static int put_field(ds_logline *l, const jfield *v, size_t n, size_t i)
{
    ds_buf *f = &l->fields;
    for (size_t k = 0; k < i; k++)
        if (same(&v[k], &v[i]))
            return 0;
    size_t more = 0;
    for (size_t k = i + 1; k < n; k++)
        more += same(&v[k], &v[i]);
    if (ds_buf_putc(f, f->len ? ',' : '{') != 0 ||
        ds_json_str(f, (const char *)v[i].name, v[i].name_len) != 0 || ds_buf_putc(f, ':') != 0 ||
        (more && ds_buf_putc(f, '[') != 0) || put_value(f, &v[i]) != 0)
        return DS_NOMEM;
    for (size_t k = i + 1; k < n && more; k++)
        if (same(&v[k], &v[i]) && (ds_buf_putc(f, ',') != 0 || put_value(f, &v[k]) != 0))
            return DS_NOMEM;
    return more && ds_buf_putc(f, ']') != 0 ? DS_NOMEM : 0;
}

int ds_logparse_export(ds_logline *l, const uint8_t *p, size_t len)
{
    jfield v[FIELDS_MAX];
    size_t n = 0, at = 0;
    unsigned rank;
    while (at < len) {
        if (n == FIELDS_MAX)
            return ds_logfail(l, at, "an entry of more than 1024 fields");
        if (!next_field(l, p, len, &at, &v[n++]))
            return DS_FAIL;
    }
    for (size_t i = 0; i < n; i++) {
        int col = ds_logcol_of(v[i].name, v[i].name_len, &rank);
        if (col >= 0 && is_text(&v[i]) && ds_logtake(l, col, v[i].v, v[i].len))
            continue;
        if (put_field(l, v, n, i) != 0)
            return DS_NOMEM;
    }
    if (!l->row->v[DS_LC_TIME].p)
        return ds_logfail(l, 0, "the entry has no __REALTIME_TIMESTAMP");
    if (!l->row->v[DS_LC_TEXT].p)
        ds_logset(l, DS_LC_TEXT, (const uint8_t *)"", 0);
    return 0;
}
