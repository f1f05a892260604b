/* cmd_recsay.c - see cmd_recsay.h. */
#include "cmd_recsay.h"

#include <stdio.h>
#include <string.h>

int recsay_open(recsay *r, const ds_verside *side, bool data, ds_err *err)
{
    r->side = side;
    return ds_jsonform_init(&r->form, &side->schema, NULL, true, data, false, err);
}

int recsay_seek(recsay *r, ds_recplace at, ds_err *err)
{
    ds_recblock *b = &r->rec;
    const bool fresh = !b->loaded || b->block != at.block || b->at > at.row;
    int rc = 0;
    if (fresh)
        rc = ds_recblock_load(b, r->side, at.block, false, err);
    if (!rc && fresh)
        rc = ds_jsonrow_open(&r->row, &r->form, &b->lent, err);
    ds_buf_reset(&r->row.out);
    while (!rc && b->at <= at.row) {
        ds_recblock_next(b);
        rc = ds_jsonrow_step(&r->row, &r->form, err);
    }
    return rc;
}

int recsay_key(recsay *r, const ds_buf **out, ds_err *err)
{
    ds_jsonform only = r->form;
    bool none[256] = {false};
    only.want = none; /* the key alone */
    *out = &r->row.out;
    ds_buf_reset(&r->row.out);
    return ds_jsonrow_members(&r->row, &only, &r->rec.lent, err);
}

int recsay_values(recsay *r, ds_err *err)
{
    ds_jsonform values = r->form;
    values.key = false;
    ds_buf_reset(&r->row.out);
    int rc = ds_jsonrow_members(&r->row, &values, &r->rec.lent, err);
    if (!rc)
        fwrite(r->row.out.data, 1, r->row.out.len, stdout);
    return rc;
}

int recsay_value(recsay *r, size_t column, ds_err *err)
{
    ds_buf_reset(&r->row.out);
    int rc = ds_jsonrow_value(&r->row, &r->form, &r->rec.lent, column, err);
    if (!rc)
        fwrite(r->row.out.data, 1, r->row.out.len, stdout);
    return rc;
}

bool recsay_differs(const recsay *a, size_t column_a, const recsay *b, size_t column_b)
{
    const ds_x128 x = ds_value_digest(&a->rec.views[column_a], &a->rec.values[column_a], 0);
    const ds_x128 y = ds_value_digest(&b->rec.views[column_b], &b->rec.values[column_b], 0);
    return memcmp(x.b, y.b, sizeof x.b) != 0;
}

void recsay_fini(recsay *r)
{
    ds_jsonrow_fini(&r->row);
    ds_recblock_fini(&r->rec);
    if (r->form.schema)
        ds_jsonform_fini(&r->form);
    *r = (recsay){0};
}
