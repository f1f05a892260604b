/* rowpack.c - see rowpack.h. */
#include "rowpack.h"

#include <stdlib.h>
#include <string.h>

#include "dsr_rowcopy.h"

static int ready(ds_rowpack *k, const ds_schema *s, ds_err *err)
{
    if (k->cols)
        return 0;
    k->cols = calloc(s->n + 1, sizeof *k->cols);
    if (!k->cols)
        return ds_fail_nomem(err);
    k->n = s->n;
    for (size_t i = 0; i < s->n; i++)
        ds_colbuild_init(&k->cols[i], s->cols[i].type, s->cols[i].item, s->cols[i].nullable);
    return 0;
}

int ds_rowpack_put(ds_rowpack *k, ds_spool *out, const ds_schema *s, const ds_colview *views,
                   const ds_value *values, ds_err *err)
{
    int rc = ready(k, s, err);
    for (size_t i = 0; rc == 0 && i < s->n; i++) {
        ds_chunk c;
        ds_colbuild_reset(&k->cols[i]);
        rc = ds_colbuild_value(&k->cols[i], &views[i], &values[i], err);
        if (rc == 0)
            rc = ds_colbuild_chunk(&k->cols[i], &k->head, &c, err);
        if (rc == 0)
            rc = ds_spool_varint(out, (uint64_t)c.head_len + c.body_len, err);
        if (rc == 0)
            rc = ds_spool_put(out, c.head, c.head_len, err);
        if (rc == 0 && c.body_len)
            rc = ds_spool_put(out, c.body, c.body_len, err);
    }
    return rc;
}

int ds_rowpack_origin(ds_spool *out, const ds_range *ranges, size_t n, ds_err *err)
{
    int rc = ds_spool_varint(out, n, err);
    for (size_t i = 0; rc == 0 && i < n; i++) {
        rc = ds_spool_varint(out, ranges[i].source, err);
        rc = rc ? rc : ds_spool_varint(out, ranges[i].offset, err);
        rc = rc ? rc : ds_spool_varint(out, ranges[i].len, err);
    }
    return rc;
}

static int damaged(ds_err *err)
{
    return ds_fail(err, DS_FAIL, "a record that was put aside did not come back as it was");
}

int ds_rowpack_get(ds_rows *rows, size_t *used, const ds_schema *s, const uint8_t *p, size_t len,
                   ds_err *err)
{
    uint64_t n, range[3];
    int rc = ds_rows_begin(rows, err);
    *used = 0;
    for (size_t i = 0; rc == 0 && i < s->n; i++) {
        ds_colview v;
        ds_value x;
        if (!ds_varint_get(p, len, used, &n) || n > len - *used)
            return damaged(err);
        rc = ds_colview_open(&v, &s->cols[i], p + *used, (size_t)n, 1, err);
        if (rc == 0 && !ds_colview_next(&v, &x))
            return damaged(err);
        if (rc == 0)
            rc = ds_colbuild_value(ds_rows_col(rows, i), &v, &x, err);
        *used += (size_t)n;
    }
    if (rc == 0 && !ds_varint_get(p, len, used, &n))
        return damaged(err);
    for (uint64_t i = 0; rc == 0 && i < n; i++) {
        for (int k = 0; k < 3; k++)
            if (!ds_varint_get(p, len, used, &range[k]))
                return damaged(err);
        rc = ds_rows_origin(rows, range[0], range[1], range[2], err);
    }
    return rc ? rc : ds_rows_end(rows, err);
}

void ds_rowpack_fini(ds_rowpack *k)
{
    for (size_t i = 0; i < k->n; i++)
        ds_colbuild_fini(&k->cols[i]);
    free(k->cols);
    ds_buf_fini(&k->head);
    memset(k, 0, sizeof *k);
}
