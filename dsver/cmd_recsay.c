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

int recsay_text(recsay *r, size_t column, const ds_buf **out, ds_err *err)
{
    *out = &r->row.out;
    ds_buf_reset(&r->row.out);
    return ds_jsonrow_value(&r->row, &r->form, &r->rec.lent, column, err);
}

int recsay_value(recsay *r, size_t column, ds_err *err)
{
    const ds_buf *text;
    const int rc = recsay_text(r, column, &text, err);
    if (!rc)
        fwrite(text->data, 1, text->len, stdout);
    return rc;
}

ds_x128 recsay_digest(const recsay *r, size_t column)
{
    return ds_value_digest(&r->rec.views[column], &r->rec.values[column], 0);
}

bool recsay_differs(const recsay *a, size_t column_a, const recsay *b, size_t column_b)
{
    const ds_x128 x = recsay_digest(a, column_a), y = recsay_digest(b, column_b);
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
