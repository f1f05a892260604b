/* fmtguess.c - see fmtguess.h. */
#include "fmtguess.h"

#include <stdlib.h>
#include <string.h>

#include "fmtjson.h"
#include "utf8.h"

enum {
    SAW_TEXT = 1,
    SAW_BYTES = 2,
    SAW_INT = 4,
    SAW_REAL = 8,
    SAW_BOOL = 16,
    SAW_JSON = 32,
    SAW_TENSOR = 64,
    SAW_INTS = 128,
    SAW_REALS = 256,
    SAW_TEXTS = 512,
    SAW_BLOBS = 1024
};

void ds_fguess_init(ds_fguess *g)
{
    memset(g, 0, sizeof *g);
    ds_schema_init(&g->names);
}

static unsigned saw_json(const ds_fval *v)
{
    ds_jspan s = {v->p, v->len, DS_J_NUMBER};
    int64_t i;
    switch (v->len ? v->p[0] : 0) {
    case '"':
        return SAW_TEXT;
    case '{':
    case '[':
        return SAW_JSON;
    case 't':
    case 'f':
        return SAW_BOOL;
    case 'n':
        return 0;
    default:
        return ds_jspan_int(&s, &i) ? SAW_INT : SAW_REAL;
    }
}

static unsigned saw(const ds_fval *v)
{
    unsigned bits = 0;
    switch (v->kind) {
    case DS_FV_TEXT:
        return ds_utf8_check(v->p, v->len) == v->len ? SAW_TEXT : SAW_BYTES;
    case DS_FV_JSON:
        return saw_json(v);
    case DS_FV_INT:
        return SAW_INT;
    case DS_FV_REAL:
        return SAW_REAL;
    case DS_FV_ARRAY:
        return !v->listed ? SAW_TENSOR : v->dtype <= DS_I64T ? SAW_INTS : SAW_REALS;
    case DS_FV_LIST:
        for (size_t i = 0; i < v->n; i++)
            bits |= saw(&v->items[i]) & SAW_BYTES ? SAW_BLOBS : SAW_TEXTS;
        return v->n ? bits : SAW_TEXTS;
    default:
        return 0;
    }
}

int ds_fguess_see(ds_fguess *g, const char *name, size_t len, const ds_fval *v, ds_err *err)
{
    char copy[129];
    if (len == 0 || len > 128 || memchr(name, 0, len) ||
        ds_utf8_check((const uint8_t *)name, len) != len)
        return ds_fail(err, DS_FAIL, "a field's name is empty, longer than 128 bytes or not UTF-8");
    memcpy(copy, name, len);
    copy[len] = '\0';
    long k = ds_schema_find(&g->names, copy);
    if (k < 0) {
        size_t at;
        if (g->names.n == 256)
            return ds_fail(err, DS_FAIL, "more than 256 fields: name those that are wanted");
        int rc = ds_schema_add(&g->names, &at, copy, DS_UTF8, DS_COL_NULLABLE, NULL, err);
        if (rc)
            return rc;
        k = (long)at;
    }
    g->seen[k] |= (uint16_t)saw(v);
    return 0;
}

/* The type for what was seen; *item for lists. */
static enum ds_type settle(unsigned s, enum ds_type *item)
{
    if (s == SAW_TEXT || s == 0)
        return DS_UTF8;
    if (!(s & ~(unsigned)(SAW_TEXT | SAW_BYTES)))
        return DS_BYTES;
    if (s == SAW_INT)
        return DS_I64;
    if (!(s & ~(unsigned)(SAW_INT | SAW_REAL)))
        return DS_F64;
    if (s == SAW_BOOL)
        return DS_BOOL;
    if (s == SAW_TENSOR)
        return DS_TENSOR;
    *item = DS_I64;
    if (!(s & ~(unsigned)(SAW_INT | SAW_INTS)))
        return DS_LIST;
    *item = DS_F64;
    if (!(s & ~(unsigned)(SAW_INT | SAW_INTS | SAW_REAL | SAW_REALS)))
        return DS_LIST;
    *item = DS_UTF8;
    if (!(s & ~(unsigned)(SAW_TEXT | SAW_TEXTS)))
        return DS_LIST;
    *item = DS_BYTES;
    if (!(s & ~(unsigned)(SAW_TEXT | SAW_BYTES | SAW_TEXTS | SAW_BLOBS)))
        return DS_LIST;
    return DS_JSON;
}

int ds_fguess_schema(const ds_fguess *g, ds_schema *s, const char *key, ds_err *err)
{
    const long k = ds_schema_find(&g->names, key ? key : "key");
    if (key && k < 0)
        return ds_fail(err, DS_FAIL, "no field '%s' at the beginning of the input", key);
    int rc = ds_fmtschema_begin(s, k >= 0, err);
    for (size_t i = 0; rc == 0 && i < g->names.n; i++) {
        enum ds_type item = DS_UTF8, t = settle(g->seen[i], &item);
        const char *name = g->names.cols[i].name;
        if ((long)i == k)
            continue;
        rc = t == DS_LIST ? ds_schema_add_list(s, NULL, name, item, true, err)
                          : ds_schema_add(s, NULL, name, t, DS_COL_NULLABLE, NULL, err);
    }
    return rc ? rc : ds_fmtschema_end(s, err);
}

void ds_fguess_fini(ds_fguess *g)
{
    ds_schema_fini(&g->names);
}

int ds_fmtschema_begin(ds_schema *s, bool explicit_key, ds_err *err)
{
    s->explicit_key = explicit_key;
    return explicit_key ? ds_schema_add(s, NULL, "key", DS_UTF8, 0, NULL, err) : 0;
}

static bool makes_keys(const ds_column *c)
{
    return c->type != DS_RUNS && c->type != DS_LIST;
}

/* Keys are made of JSON, and not of lists: where there is nothing else, lists are JSON. */
static void settle_lists(ds_schema *s)
{
    for (size_t i = 0; i < s->n; i++)
        if (makes_keys(&s->cols[i]))
            return;
    for (size_t i = 0; i < s->n; i++)
        if (s->cols[i].type == DS_LIST)
            s->cols[i].type = DS_JSON;
}

int ds_fmtschema_end(ds_schema *s, ds_err *err)
{
    long primary = ds_schema_find(s, "text");
    bool any = false;
    settle_lists(s);
    for (size_t i = 0; i < s->n; i++) {
        const bool may = makes_keys(&s->cols[i]);
        const bool key = s->explicit_key && i == 0;
        if (primary < 0 && may && !key)
            primary = (long)i;
        s->keyed[i] = !s->explicit_key && may;
        any |= may;
    }
    if (primary < 0 && s->explicit_key)
        primary = 0;
    if (primary < 0 || !any)
        return ds_fail(err, DS_FAIL, "no field that records could be told apart by");
    s->primary[primary] = 1;
    return ds_schema_check(s, err);
}

long ds_fmtschema_column(const ds_schema *s, const char *key, const char *name, size_t len)
{
    const char *k = key ? key : "key";
    if (s->explicit_key && strlen(k) == len && memcmp(k, name, len) == 0)
        return 0;
    for (size_t i = s->explicit_key; i < s->n; i++)
        if (strlen(s->cols[i].name) == len && memcmp(s->cols[i].name, name, len) == 0)
            return (long)i;
    return -1;
}
