/* mixplan.c - see mixplan.h. */
#include "mixplan.h"

#include <stdlib.h>
#include <string.h>

#include "extsort.h"
#include "utf8.h"

/* ---- columns ---- */

static bool same_attrs(const char *a, const char *b)
{
    return a && b ? strcmp(a, b) == 0 : a == b;
}

static int join_column(ds_schema *out, const ds_schema *s, size_t i, ds_err *err)
{
    const ds_column *c = &s->cols[i];
    const long k = ds_schema_find(out, c->name);
    if (k < 0)
        return s->keyed[i]
                   ? ds_fail(err, DS_FAIL, "its keys are derived from column '%s' too", c->name)
               : c->type == DS_LIST
                   ? ds_schema_add_list(out, NULL, c->name, c->item, true, err)
                   : ds_schema_add(out, NULL, c->name, c->type, DS_COL_NULLABLE, c->attrs, err);
    ds_column *o = &out->cols[k];
    if (o->type != c->type || (c->type == DS_LIST && o->item != c->item))
        return ds_fail(err, DS_FAIL,
                       "column '%s' is %s, and was %s before (dsprep map can convert it)", c->name,
                       ds_type_name(c->type), ds_type_name(o->type));
    if (!same_attrs(o->attrs, c->attrs))
        return ds_fail(err, DS_FAIL, "column '%s' was made another way: %s, and not %s", c->name,
                       c->attrs ? c->attrs : "{}", o->attrs ? o->attrs : "{}");
    if (!out->explicit_key && out->keyed[k] != s->keyed[i])
        return ds_fail(err, DS_FAIL,
                       "keys are derived from column '%s' in one stream, and not in the other",
                       c->name);
    o->nullable = o->nullable || c->nullable;
    return 0;
}

static int join(ds_schema *out, const ds_schema *s, ds_err *err)
{
    int rc = 0;
    if (s->explicit_key != out->explicit_key)
        return ds_fail(err, DS_FAIL, "its keys are %s, and those before are not",
                       s->explicit_key ? "explicit" : "derived");
    for (size_t i = 0; rc == 0 && i < s->n; i++)
        rc = join_column(out, s, i, err);
    for (size_t i = 0; rc == 0 && i < out->n; i++) {
        const bool there = ds_schema_find(s, out->cols[i].name) >= 0;
        if (!there && !out->explicit_key && out->keyed[i])
            return ds_fail(err, DS_FAIL, "it lacks column '%s', which keys are derived from",
                           out->cols[i].name);
        out->cols[i].nullable = out->cols[i].nullable || !there;
    }
    return rc;
}

int ds_mixplan_schema(ds_schema *out, ds_mixin *in, size_t n, const char *label, ds_err *err)
{
    int rc = ds_schema_copy(out, &in[0].schema, err);
    for (size_t i = 1; rc == 0 && i < n; i++) {
        rc = join(out, &in[i].schema, err);
        if (rc)
            return ds_err_prefix(err, "%s", in[i].operand.text);
    }
    if (rc == 0 && label)
        rc = ds_schema_add(out, NULL, label, DS_UTF8, 0, NULL, err);
    if (rc && label)
        ds_err_prefix(err, "--label");
    for (size_t i = 0; rc == 0 && i < n; i++) {
        in[i].column = calloc(out->n, sizeof *in[i].column);
        if (!in[i].column)
            return ds_fail_nomem(err);
        for (size_t c = 0; c < out->n; c++)
            in[i].column[c] = (int)ds_schema_find(&in[i].schema, out->cols[c].name);
    }
    return rc;
}

/* ---- keys ---- */

enum { HASH = 16, SHOWN = 47, ENTRY = HASH + 1 + SHOWN };

int ds_mixkeys_new(ds_mixkeys *k, size_t memory, ds_err *err)
{
    return ds_extsort_new(&k->sort, ENTRY, memory, NULL, err);
}

int ds_mixkeys_put(ds_mixkeys *k, const void *key, size_t len, ds_err *err)
{
    uint8_t e[ENTRY] = {0};
    ds_sha sha;
    int rc = ds_sha_bytes(&sha, key, len, err);
    memcpy(e, sha.b, HASH);
    e[HASH] = (uint8_t)ds_utf8_whole(key, len, SHOWN);
    memcpy(e + HASH + 1, key, e[HASH]);
    return rc ? rc : ds_extsort_put(k->sort, e, err);
}

int ds_mixkeys_end(ds_mixkeys *k, ds_err *err)
{
    uint8_t last[ENTRY];
    const void *next;
    int more = 0, rc = ds_extsort_sort(k->sort, err);
    for (bool first = true; rc == 0 && (more = ds_extsort_next(k->sort, &next, err)) == 1;
         first = false) {
        if (!first && memcmp(last, next, HASH) == 0)
            return ds_fail(err, DS_FAIL,
                           "key '%.*s' is there twice: --keys prefix puts the names of the inputs "
                           "before keys",
                           last[HASH], (const char *)last + HASH + 1);
        memcpy(last, next, ENTRY);
    }
    return rc ? rc : more;
}

void ds_mixkeys_fini(ds_mixkeys *k)
{
    ds_extsort_free(k->sort);
    k->sort = NULL;
}
