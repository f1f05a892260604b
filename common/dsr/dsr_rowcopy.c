/* dsr_rowcopy.c - see dsr_rowcopy.h. */
#include "dsr_rowcopy.h"

enum { STEP = 4096 };

/* Ids in parts: a value of any length needs no more memory than a part. */
static int copy_tokens(ds_colbuild *b, const ds_colview *v, const ds_value *x, ds_err *err)
{
    uint32_t ids[STEP];
    int rc = ds_colbuild_begin(b, err);
    for (uint64_t at = 0; !rc && at < x->count;) {
        size_t n = 0;
        while (n < STEP && at < x->count)
            ids[n++] = ds_value_token(v, x, at++);
        rc = ds_colbuild_part_tokens(b, ids, n, err);
    }
    return rc ? rc : ds_colbuild_end(b, err);
}

static int copy_runs(ds_colbuild *b, const ds_value *x, ds_err *err)
{
    ds_buf pairs = {0};
    int rc = 0;
    for (size_t pos = 0; !rc && pos < x->len;) {
        uint64_t pair[2];
        if (!ds_varint_get(x->p, x->len, &pos, &pair[0]) ||
            !ds_varint_get(x->p, x->len, &pos, &pair[1]))
            rc = ds_fail(err, DS_CORRUPT, "malformed runs");
        else if (ds_buf_put(&pairs, pair, sizeof pair))
            rc = ds_fail_nomem(err);
    }
    if (!rc)
        rc = ds_colbuild_runs(b, (const uint64_t *)(const void *)pairs.data,
                              pairs.len / (2 * sizeof(uint64_t)), err);
    ds_buf_fini(&pairs);
    return rc;
}

static int copy_item(ds_colbuild *b, const ds_colview *v, const ds_value *x, ds_buf *ids,
                     ds_err *err)
{
    switch (v->item) {
    case DS_F64:
        return ds_colbuild_item_f64(b, x->f, err);
    case DS_BOOL:
    case DS_I64:
    case DS_TIMESTAMP:
        return ds_colbuild_item_i64(b, x->i, err);
    case DS_TOKENS16:
    case DS_TOKENS32:
        ds_buf_reset(ids);
        for (uint64_t i = 0; i < x->count; i++) {
            const uint32_t id = ds_value_token(v, x, i);
            if (ds_buf_put(ids, &id, sizeof id))
                return ds_fail_nomem(err);
        }
        return ds_colbuild_item_tokens(b, (const uint32_t *)(const void *)ids->data, x->count, err);
    default:
        return ds_colbuild_item_bytes(b, x->p, x->len, err);
    }
}

static int copy_list(ds_colbuild *b, const ds_colview *v, const ds_value *x, ds_err *err)
{
    ds_items it;
    ds_value item;
    ds_buf ids = {0};
    int rc = ds_colbuild_list_begin(b, err);
    ds_value_items(&it, v, x);
    while (!rc && ds_items_next(&it, &item))
        rc = copy_item(b, v, &item, &ids, err);
    ds_buf_fini(&ids);
    return rc ? rc : ds_colbuild_list_end(b, err);
}

int ds_colbuild_value(ds_colbuild *b, const ds_colview *v, const ds_value *x, ds_err *err)
{
    if (x->null)
        return ds_colbuild_null(b, err);
    switch (v->type) {
    case DS_BOOL:
        return ds_colbuild_bool(b, x->i != 0, err);
    case DS_I64:
    case DS_TIMESTAMP:
        return ds_colbuild_i64(b, x->i, err);
    case DS_F64:
        return ds_colbuild_f64(b, x->f, err);
    case DS_TOKENS16:
    case DS_TOKENS32:
        return copy_tokens(b, v, x, err);
    case DS_RUNS:
        return copy_runs(b, x, err);
    case DS_TENSOR:
        return ds_colbuild_tensor(b, x->dtype, x->ndim, x->dims, x->p, x->len, err);
    case DS_LIST:
        return copy_list(b, v, x, err);
    default:
        return ds_colbuild_bytes(b, x->p, x->len, err);
    }
}

int ds_rows_copy(ds_rows *r, const ds_schema *s, const ds_colview *views, const ds_value *values,
                 ds_err *err)
{
    int rc = 0;
    for (size_t i = 0; !rc && i < s->n; i++)
        rc = ds_colbuild_value(ds_rows_col(r, i), &views[i], &values[i], err);
    return rc;
}
