/* givenids.c - see givenids.h. */
#include "givenids.h"

#include "fmtjson.h"

static bool is_tokens(enum ds_type t)
{
    return t == DS_TOKENS16 || t == DS_TOKENS32;
}

int ds_given_find(ds_textref *r, const ds_schema *s, const char *name, ds_err *err)
{
    const long i = ds_schema_find(s, name);
    const ds_column *c = i < 0 ? NULL : &s->cols[i];

    if (c && (is_tokens(c->type) || (c->type == DS_LIST && c->item == DS_I64))) {
        *r = (ds_textref){.column = (size_t)i};
        return 0;
    }
    return ds_textref_init(r, s, name, err);
}

static int put(ds_buf *out, int64_t v, ds_err *err)
{
    return ds_buf_put(out, &v, sizeof v) ? ds_fail_nomem(err) : 0;
}

static int of_json(const ds_textat *at, ds_jscan *scan, ds_buf *out, ds_err *err)
{
    ds_jspan list, s;
    int64_t v;
    int rc = ds_jspan_of(&list, scan, at->p, at->len);

    if (rc == DS_NOMEM)
        return ds_fail_nomem(err);
    if (rc || list.kind != DS_J_ARRAY)
        return ds_fail(err, DS_FAIL, "it is no list");
    rc = 0;
    for (ds_jspan_enter(&list); !rc && ds_jspan_next(&list, &s);)
        rc = s.kind == DS_J_NUMBER && ds_jspan_int(&s, &v)
                 ? put(out, v, err)
                 : ds_fail(err, DS_FAIL, "it is no list of whole numbers");
    return rc;
}

int ds_given_get(const ds_textref *r, const ds_column *col, const ds_colview *v, const ds_value *x,
                 ds_jscan *scan, ds_buf *out, bool *null, ds_err *err)
{
    ds_textat at;
    ds_items it;
    ds_value item;
    int rc = 0;

    ds_buf_reset(out);
    *null = x->null;
    if (*null)
        return 0;
    if (is_tokens(col->type)) {
        for (uint64_t i = 0; i < x->count && !rc; i++)
            rc = put(out, ds_value_token(v, x, i), err);
        return rc;
    }
    if (col->type == DS_LIST) {
        for (ds_value_items(&it, v, x); !rc && ds_items_next(&it, &item);)
            rc = put(out, item.i, err);
        return rc;
    }
    rc = ds_textref_get(r, col, x, scan, &at, err);
    *null = !rc && at.null;
    return rc || at.null ? rc : of_json(&at, scan, out, err);
}
