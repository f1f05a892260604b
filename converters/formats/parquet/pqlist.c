/* pqlist.c - see pqlist.h. */
#include "pqlist.h"

int ds_pqlist_dtype(const ds_pqnode *n)
{
    static const int whole[2][4] = {{DS_I8, DS_I16, DS_I32, DS_I64T},
                                    {DS_U8, DS_U16, DS_U32, DS_U64}};

    switch (ds_pq_type(n)) {
    case DS_F64:
        return n->type == DS_PQ_DOUBLE ? DS_F64T : DS_F32;
    case DS_BOOL:
        return DS_U8;
    case DS_TIMESTAMP:
        return DS_I64T;
    case DS_I64:
        if (n->meaning == DS_PQ_INTEGER && n->bits >= 8 && n->bits <= 32)
            return whole[n->is_unsigned][n->bits == 8 ? 0 : n->bits == 16 ? 1 : 2];
        return n->type == DS_PQ_INT32 ? DS_I32 : whole[n->is_unsigned][3];
    default:
        return 0;
    }
}

static int put_number(ds_buf *text, int dtype, const ds_fval *v, const ds_pqvalue *x)
{
    const float f = (float)v->f;
    const int64_t i = v->kind == DS_FV_INT ? v->i : x->i; /* u64: all of its bits */

    if (dtype == DS_F64T)
        return ds_buf_put(text, &v->f, sizeof v->f);
    if (dtype == DS_F32)
        return ds_buf_put(text, &f, sizeof f);
    return ds_buf_put(text, &i, ds_dtype_size(dtype)); /* little endian */
}

int ds_pqlist_add(ds_buf *text, ds_buf *items, const ds_pqnode *item, int dtype,
                  const ds_pqvalue *x, size_t most, const char **why)
{
    const size_t from = text->len;
    ds_fval v;

    *why = x ? NULL : "items of a list cannot be null";
    if (!x)
        return 1;
    int rc = ds_pq_fval(item, x, text, &v, why);
    if (!rc && dtype) {
        text->len = from;
        rc = put_number(text, dtype, &v, x);
    } else if (!rc) {
        if (v.p) { /* what it points to does not stay */
            v.i = (int64_t)from;
            rc = ds_buf_put(text, v.p, v.len);
            v.p = NULL;
        }
        rc = rc || ds_buf_put(items, &v, sizeof v) ? DS_NOMEM : 0;
    }
    if (rc || text->len + items->len <= most)
        return rc;
    text->len = items->len = 0;
    *why = "it is longer than --max-record";
    return 1;
}

ds_fval ds_pqlist_value(ds_buf *text, ds_buf *items, int dtype)
{
    ds_fval *v = (ds_fval *)(void *)items->data;
    const size_t n = items->len / sizeof *v;

    if (dtype)
        return ds_fval_ids(dtype, text->data, text->len / ds_dtype_size(dtype));
    for (size_t i = 0; i < n; i++)
        ds_pq_settle(&v[i], text);
    return (ds_fval){.kind = DS_FV_LIST, .items = v, .n = n};
}

bool ds_pqlist_shape(ds_fval *v, const ds_buf *text)
{
    if (text->len > sizeof v->dims)
        return false;
    for (v->ndim = 0; (size_t)v->ndim < text->len / 8; v->ndim++)
        v->dims[v->ndim] = ds_get_u64(text->data + 8 * v->ndim);
    return true;
}
