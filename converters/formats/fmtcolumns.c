/* fmtcolumns.c - see fmtcolumns.h. */
#include "fmtcolumns.h"

#include <string.h>

#include "fmtguess.h"
#include "try.h"

enum { COLUMNS_MOST = 256 };

static const char *name_of(const ds_fmtnamed *c, size_t i)
{
    const char *name;

    memcpy(&name, (const uint8_t *)c->v + i * c->size, sizeof name);
    return name;
}

/* Is the column this one, or a field of the group? */
static bool is_of(const char *column, const char *name, size_t len)
{
    return strncmp(column, name, len) == 0 && (column[len] == '\0' || column[len] == '.');
}

int ds_fmtcolumns_choose(bool *keep, const ds_fmtnamed *c, const char *only, const char *key,
                         const char *input, ds_err *err)
{
    for (size_t i = 0; i < c->n; i++)
        keep[i] = !only || strcmp(name_of(c, i), key) == 0;
    for (const char *p = only; p && *p; p += strcspn(p, ","), p += *p == ',') {
        const int len = (int)strcspn(p, ",");
        bool there = false;
        for (size_t i = 0; i < c->n; i++)
            if (is_of(name_of(c, i), p, (size_t)len))
                keep[i] = there = true;
        if (!there)
            return ds_fail(err, DS_USAGE, "%s: no column '%.*s' for --columns", input, len, p);
    }
    return 0;
}

int ds_fmtcolumns_schema(ds_schema *s, const ds_fmtcolumn *v, size_t n, const char *key,
                         const char *input, ds_err *err)
{
    const char *k = key ? key : "key";
    bool keyed = false;

    if (n > COLUMNS_MOST)
        return ds_fail(err, DS_FAIL,
                       "%s: %zu columns, and a stream has at most %d: --columns A,B "
                       "reads some of them",
                       input, n, COLUMNS_MOST);
    for (size_t i = 0; i < n; i++)
        keyed |= strcmp(v[i].name, k) == 0;
    if (key && !keyed)
        return ds_fail(err, DS_FAIL, "%s: no column '%s' for --key-field", input, key);
    TRY(ds_fmtschema_begin(s, keyed, err));
    for (size_t i = 0; i < n; i++) {
        const ds_fmtcolumn *c = &v[i];
        if (keyed && strcmp(c->name, k) == 0)
            continue;
        if (c->type == DS_LIST)
            TRY(ds_schema_add_list(s, NULL, c->name, c->item, c->nullable, err));
        else
            TRY(ds_schema_add(s, NULL, c->name, c->type, c->nullable ? DS_COL_NULLABLE : 0, NULL,
                              err));
    }
    return ds_fmtschema_end(s, err);
}

int ds_fmtcolumns_map(long *to, const ds_fmtnamed *c, const ds_schema *s, const char *key,
                      const char *input, ds_err *err)
{
    for (size_t i = 0; i < c->n; i++) {
        const char *name = name_of(c, i);
        to[i] = ds_fmtschema_column(s, key, name, strlen(name));
        if (to[i] < 0)
            return ds_fail(err, DS_FAIL, "%s: '%s' is in no column of the schema", input, name);
        for (size_t k = 0; k < i; k++)
            if (to[k] == to[i])
                return ds_fail(err, DS_FAIL, "%s: column '%s' is there twice", input, name);
    }
    return 0;
}
