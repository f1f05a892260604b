/* fmtblock.c - see fmtblock.h. */
#include "fmtblock.h"

#include <stdlib.h>
#include <string.h>

#include "format.h"

int ds_fmtblock_put(ds_fmtblock *b, const void *p, size_t len, ds_err *err)
{
    return len ? ds_spool_put(&b->out, p, len, err) : 0;
}

int ds_fmtblock_u32(ds_fmtblock *b, uint32_t v, ds_err *err)
{
    uint8_t p[4];
    ds_set_u32(p, v);
    return ds_spool_put(&b->out, p, sizeof p, err);
}

int ds_fmtblock_u64(ds_fmtblock *b, uint64_t v, ds_err *err)
{
    uint8_t p[8];
    ds_set_u64(p, v);
    return ds_spool_put(&b->out, p, sizeof p, err);
}

int ds_fmtblock_json(ds_fmtblock *b, size_t column, ds_err *err)
{
    ds_buf_reset(&b->row.out);
    return ds_jsonrow_value(&b->row, b->form, b->block, column, err);
}

static bool finite(double f)
{
    return f - f == 0;
}

bool ds_fmtblock_json_loses(const ds_fmtblock *b, size_t column)
{
    const ds_column *c = &b->schema->cols[column];
    const ds_value *x = &b->row.values[column];
    ds_items it;
    ds_value item;
    if (x->null)
        return false;
    if (c->type == DS_JSON)
        return c->nullable && x->len == 4 && memcmp(x->p, "null", 4) == 0;
    if (c->type == DS_F64)
        return !finite(x->f);
    if (c->type != DS_LIST || c->item != DS_F64)
        return false;
    ds_value_items(&it, &b->row.views[column], x);
    while (ds_items_next(&it, &item))
        if (!finite(item.f))
            return true;
    return false;
}

static int end_record(ds_fmtblock *b, ds_err *err)
{
    return ds_buf_u64(&b->ends, ds_spool_len(&b->out)) ? ds_fail_nomem(err) : 0;
}

/* What was read of large values need not stay in memory. */
static void release(ds_fmtblock *b)
{
    for (size_t i = 0; i < b->schema->n; i++) {
        ds_spool *s = b->block->chunks[i].spool;
        const ds_value *x = &b->row.values[i];
        if (s && x->p && x->len > (size_t)1 << 20)
            ds_spool_release(s, (size_t)(x->p - b->row.views[i].p) + x->len);
    }
}

int ds_fmtblock_encode(ds_fmtblock *b, const ds_format *f, const void *writer,
                       const ds_block *block, uint64_t first, ds_err *err)
{
    b->block = block;
    ds_spool_reset(&b->out);
    ds_buf_reset(&b->ends);
    for (size_t i = 0; i < b->nlost; i++)
        b->lost[i] = 0;
    int rc = ds_jsonrow_open(&b->row, b->form, block, err);
    if (rc == 0 && f->block) {
        b->number = first;
        rc = f->block(writer, b, err);
        return rc ? rc : end_record(b, err);
    }
    for (uint64_t i = 0; rc == 0 && i < block->rows; i++) {
        b->number = first + i;
        rc = ds_jsonrow_step(&b->row, b->form, err);
        if (rc == 0)
            rc = f->row(writer, b, err);
        if (rc == 0)
            rc = end_record(b, err);
        else
            ds_err_prefix(err, "record %llu", (unsigned long long)(first + i));
        release(b);
    }
    return rc;
}

void ds_fmtblock_fini(ds_fmtblock *b)
{
    ds_jsonrow_fini(&b->row);
    ds_spool_fini(&b->out);
    ds_buf_fini(&b->ends);
    ds_buf_fini(&b->scratch);
    free(b->lost);
    memset(b, 0, sizeof *b);
}
