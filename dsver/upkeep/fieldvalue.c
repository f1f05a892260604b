/* fieldvalue.c - see fieldvalue.h. */
#include "fieldvalue.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "colpath.h"
#include "jsonmember.h"
#include "jstring.h"

/* The = that ends the field; NULL: there is none. */
static const char *field_end(const char *text)
{
    bool quoted = false;
    for (; *text && (quoted || *text != '='); text++)
        quoted ^= *text == '`';
    return *text ? text : NULL;
}

int ds_fieldvalue_init(ds_fieldvalue *f, const char *text, ds_err *err)
{
    const char *eq = field_end(text);
    *f = (ds_fieldvalue){0};
    if (!eq || eq == text)
        return ds_fail(err, DS_USAGE, "--where wants FIELD=VALUE");
    const size_t len = (size_t)(eq - text);
    f->field = strdup(text);
    f->parts = ds_colpath_parts(text, len, &f->nparts);
    if (!f->field || !f->parts) {
        ds_fieldvalue_fini(f);
        return ds_fail_nomem(err);
    }
    f->field[len] = 0;
    f->value = f->field + len + 1;
    return 0;
}

void ds_fieldvalue_fini(ds_fieldvalue *f)
{
    free(f->field);
    free(f->parts);
    *f = (ds_fieldvalue){0};
}

/* ---- where it is ---- */

static int whole_column(ds_fieldplace *out, const ds_fieldvalue *f, enum ds_type type, ds_err *err)
{
    char *end;
    switch (type) {
    case DS_UTF8:
    case DS_BYTES:
    case DS_JSON:
        return 1;
    case DS_BOOL:
        out->number = strcmp(f->value, "true") == 0;
        if (!out->number && strcmp(f->value, "false") != 0)
            return ds_fail(err, DS_USAGE, "--where %s: true or false is wanted", f->field);
        return 1;
    case DS_I64:
        errno = 0;
        out->number = strtoll(f->value, &end, 10);
        if (errno || !*f->value || *end)
            return ds_fail(err, DS_USAGE, "--where %s: a number is wanted", f->field);
        return 1;
    default:
        return ds_fail(err, DS_USAGE, "--where %s: a column of texts or whole numbers is wanted",
                       f->field);
    }
}

int ds_fieldvalue_place(ds_fieldplace *out, const ds_fieldvalue *f, const ds_schema *s, ds_err *err)
{
    const char *below = NULL;
    long k = ds_schema_find(s, f->field);
    if (k < 0 && !ds_colpath_named(f->parts, f->nparts))
        return ds_fail(err, DS_USAGE, "--where %s: a part of the name is empty", f->field);
    if (k < 0)
        k = ds_colpath_find(s, f->parts, f->nparts, &below);
    const bool guessed = k < 0;
    if (guessed) {
        k = ds_colpath_rest(s);
        below = f->parts;
    }
    if (k < 0 || (below && s->cols[k].type != DS_JSON))
        return 0;
    *out = (ds_fieldplace){.column = (size_t)k, .below = below, .guessed = guessed};
    return below ? 1 : whole_column(out, f, s->cols[k].type, err);
}

/* ---- what it is ---- */

/* What stands between the quotes of a string of JSON is `text`. 1, 0 or DS_NOMEM. */
static int is_text(const uint8_t *p, size_t len, const char *text, ds_err *err)
{
    const size_t n = strlen(text);
    if (!len || !memchr(p, '\\', len))
        return len == n && memcmp(p, text, n) == 0;
    uint8_t *plain = malloc(len + DS_JSTRING_SLACK);
    if (!plain)
        return ds_fail_nomem(err);
    const size_t got = ds_jstring_unescape(plain, p, len);
    const int same = got == n && memcmp(plain, text, n) == 0;
    free(plain);
    return same;
}

/* Numbers are compared as they are written: as others read them, two long ones could be alike. */
static int is_value(const char *value, const ds_jsonmember *m, ds_fieldmet *met, ds_err *err)
{
    const uint8_t c = *m->value;
    met->member = true;
    met->inner |= c == '{' || c == '[';
    if (c == '"')
        return is_text(m->value + 1, m->value_len - 2, value, err);
    return c != 'n' && c != '{' && c != '[' && m->value_len == strlen(value) &&
           memcmp(m->value, value, m->value_len) == 0;
}

/* No deeper than names have parts. */
static int in_members(const char *value, const char *below, const void *p, size_t len,
                      ds_fieldmet *met, ds_err *err)
{
    const char *next = below + strlen(below) + 1;
    ds_jsonmembers it;
    ds_jsonmember m;
    int rc = 0;
    ds_jsonmembers_begin(&it, p, len);
    while (!rc && ds_jsonmembers_next(&it, &m)) {
        rc = is_text(m.name, m.name_len, below, err);
        if (rc > 0)
            rc = *next ? in_members(value, next, m.value, m.value_len, met, err)
                       : is_value(value, &m, met, err);
    }
    return rc;
}

int ds_fieldvalue_is(const ds_fieldvalue *f, const ds_fieldplace *at, enum ds_type type,
                     const ds_value *x, ds_fieldmet *met, ds_err *err)
{
    if (x->null)
        return 0;
    if (at->below)
        return in_members(f->value, at->below, x->p, x->len, met, err);
    met->member = true;
    if (type == DS_I64 || type == DS_BOOL)
        return x->i == at->number;
    return x->len == strlen(f->value) && memcmp(x->p, f->value, x->len) == 0;
}
