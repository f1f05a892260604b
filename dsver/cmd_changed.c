/* cmd_changed.c - see cmd_changed.h. */
#include "cmd_changed.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sig.h"

typedef struct record {
    ds_recplace was;
    size_t item, nth; /* its number among the items, and among those that changed */
    size_t first, n;  /* its columns */
} record;

static record *records_of(const changed *c, size_t *n)
{
    *n = c->records.len / sizeof(record);
    return (record *)(void *)c->records.data;
}

static int by_place(const void *x, const void *y)
{
    const record *a = x, *b = y;
    return a->was.block != b->was.block
               ? (a->was.block > b->was.block) - (a->was.block < b->was.block)
               : (a->was.row > b->was.row) - (a->was.row < b->was.row);
}

static int by_item(const void *x, const void *y)
{
    const record *a = x, *b = y;
    return (a->item > b->item) - (a->item < b->item);
}

/* ---- reading ---- */

static int read_after(changed *c, recsay *after, const ds_diffitem *v, size_t n, ds_err *err)
{
    const size_t columns = after->side->schema.n;
    size_t nth = 0;
    int rc = 0;
    for (size_t i = 0; !rc && i < n; i++) {
        if (v[i].change != DS_CHANGED)
            continue;
        const record r = {.was = v[i].a, .item = i, .nth = nth++};
        rc = ds_buf_put(&c->records, &r, sizeof r) ? ds_fail_nomem(err) : 0;
        rc = rc ? rc : recsay_seek(after, v[i].b, err);
        for (size_t k = 0; !rc && k < columns; k++) {
            const ds_x128 x = recsay_digest(after, k);
            rc = ds_buf_put(&c->digests, &x, sizeof x) ? ds_fail_nomem(err) : 0;
        }
        rc = rc ? rc : ds_check_interrupt(err);
    }
    return rc;
}

static int put_column(changed *c, recsay *before, size_t was, size_t column, bool texts,
                      ds_err *err)
{
    changed_column k = {.column = column, .at = (size_t)ds_spool_len(&c->texts)};
    const ds_buf *text = NULL;
    int rc = texts ? recsay_text(before, was, &text, err) : 0;
    if (!rc && texts) {
        k.len = text->len;
        rc = ds_spool_put(&c->texts, text->data, text->len, err);
    }
    return rc || !ds_buf_put(&c->columns, &k, sizeof k) ? rc : ds_fail_nomem(err);
}

static int read_before(changed *c, recsay rec[2], const long *columns, bool texts, ds_err *err)
{
    const size_t all = rec[1].side->schema.n;
    const ds_x128 *after = (const ds_x128 *)(const void *)c->digests.data;
    size_t n;
    record *r = records_of(c, &n);
    int rc = 0;
    for (size_t i = 0; !rc && i < n; i++) {
        rc = recsay_seek(&rec[0], r[i].was, err);
        r[i].first = c->columns.len / sizeof(changed_column);
        for (size_t k = 0; !rc && k < all; k++) {
            if (columns[k] < 0)
                continue;
            const ds_x128 x = recsay_digest(&rec[0], (size_t)columns[k]);
            if (memcmp(x.b, after[r[i].nth * all + k].b, sizeof x.b) != 0)
                rc = put_column(c, &rec[0], (size_t)columns[k], k, texts, err);
        }
        r[i].n = c->columns.len / sizeof(changed_column) - r[i].first;
        rc = rc ? rc : ds_check_interrupt(err);
    }
    return rc;
}

int changed_read(changed *c, recsay rec[2], const long *columns, const ds_diffitem *v, size_t n,
                 bool texts, ds_err *err)
{
    size_t count;
    ds_buf_reset(&c->records);
    ds_buf_reset(&c->digests);
    ds_buf_reset(&c->columns);
    ds_spool_reset(&c->texts);
    int rc = read_after(c, &rec[1], v, n, err);
    record *r = records_of(c, &count);
    if (!rc && count) {
        qsort(r, count, sizeof *r, by_place);
        rc = read_before(c, rec, columns, texts, err);
        qsort(r, count, sizeof *r, by_item);
    }
    return rc;
}

/* ---- asking ---- */

size_t changed_of(const changed *c, size_t item, const changed_column **first)
{
    size_t n;
    const record key = {.item = item}, *r = records_of(c, &n);
    r = n ? bsearch(&key, r, n, sizeof *r, by_item) : NULL;
    *first = (const changed_column *)(const void *)c->columns.data + (r ? r->first : 0);
    return r ? r->n : 0;
}

int changed_say(changed *c, const changed_column *k, ds_err *err)
{
    const uint8_t *data;
    size_t len;
    const int rc = ds_spool_view(&c->texts, &data, &len, err);
    if (!rc)
        fwrite(data + k->at, 1, k->len, stdout);
    return rc;
}

void changed_fini(changed *c)
{
    ds_buf_fini(&c->records);
    ds_buf_fini(&c->digests);
    ds_buf_fini(&c->columns);
    ds_spool_fini(&c->texts);
}
