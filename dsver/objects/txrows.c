/* The pieces of a transaction since it was last published: by id, and by the hashes of their
 * sketches. */
#include <stdlib.h>
#include <string.h>

#include "objtx.h"

int ds_tx_grow(void **p, uint32_t *cap, uint32_t n, size_t size, ds_err *err)
{
    if (n < *cap)
        return 0;
    uint32_t want = *cap ? *cap * 2 : 256;
    void *q = realloc(*p, want * size);
    if (!q)
        return ds_fail_nomem(err);
    *p = q;
    *cap = want;
    return 0;
}

uint32_t ds_tx_find(const ds_objtx *tx, const ds_sha *id)
{
    if (!tx->map)
        return DS_TX_NONE;
    for (uint32_t i = ds_get_u32(id->b) & tx->map_mask; tx->map[i] != DS_TX_NONE;
         i = (i + 1) & tx->map_mask)
        if (ds_sha_eq(&tx->rows[tx->map[i]].id, id))
            return tx->map[i];
    return DS_TX_NONE;
}

static void map_put(ds_objtx *tx, uint32_t row)
{
    uint32_t i = ds_get_u32(tx->rows[row].id.b) & tx->map_mask;
    while (tx->map[i] != DS_TX_NONE)
        i = (i + 1) & tx->map_mask;
    tx->map[i] = row;
}

static int new_table(uint32_t **t, uint32_t n, ds_err *err)
{
    uint32_t *q = malloc(n * sizeof *q);
    if (!q)
        return ds_fail_nomem(err);
    memset(q, 0xff, n * sizeof *q);
    free(*t);
    *t = q;
    return 0;
}

static int map_reserve(ds_objtx *tx, ds_err *err)
{
    uint32_t n = tx->map ? tx->map_mask + 1 : 0;
    if (tx->map && tx->nrows < n / 2)
        return 0;
    n = n ? n * 2 : 1024;
    int rc = new_table(&tx->map, n, err);
    if (rc)
        return rc;
    tx->map_mask = n - 1;
    for (uint32_t i = 0; i < tx->nrows; i++)
        map_put(tx, i);
    return 0;
}

static void slot_link(ds_objtx *tx, uint32_t i)
{
    ds_txslot *v = &tx->slots[i];
    uint32_t *head = &tx->heads[v->hash & tx->head_mask];
    v->older = *head;
    *head = i;
}

static int slots_add(ds_objtx *tx, uint32_t entry, const ds_sketch *s, ds_err *err)
{
    int rc = 0;
    uint32_t n = tx->heads ? tx->head_mask + 1 : 0;
    if (tx->nslots + DS_SKETCH_MAX > n) {
        n = n ? n * 2 : 4096;
        rc = new_table(&tx->heads, n, err);
        if (rc)
            return rc;
        tx->head_mask = n - 1;
        for (uint32_t i = 0; i < tx->nslots; i++)
            slot_link(tx, i);
    }
    for (int k = 0; rc == 0 && k < s->n; k++) {
        void *p = tx->slots;
        rc = ds_tx_grow(&p, &tx->cap_slots, tx->nslots, sizeof *tx->slots, err);
        tx->slots = p;
        if (rc == 0) {
            tx->slots[tx->nslots] = (ds_txslot){.hash = s->h[k], .entry = entry};
            slot_link(tx, tx->nslots++);
        }
    }
    return rc;
}

int ds_tx_row(ds_objtx *tx, const ds_piece *p, uint32_t *row, ds_err *err)
{
    uint32_t cap = tx->cap_rows;
    void *rows = tx->rows, *done = tx->done;
    int rc = ds_tx_grow(&rows, &cap, tx->nrows, sizeof *tx->rows, err);
    tx->rows = rows;
    if (rc == 0 && cap != tx->cap_rows) {
        if (!(done = realloc(tx->done, cap * sizeof *tx->done)))
            return ds_fail_nomem(err); /* cap_rows stays: rows is merely larger than said */
        tx->done = done;
        tx->cap_rows = cap;
    }
    if (rc == 0)
        rc = map_reserve(tx, err);
    if (rc)
        return rc;
    *row = tx->nrows++;
    tx->rows[*row] = (ds_objrow){.id = p->id,
                                 .raw = (uint32_t)p->len,
                                 .kind = p->kind,
                                 .anew = p->anew,
                                 .sketch = p->sketch};
    tx->done[*row] = false;
    map_put(tx, *row);
    return slots_add(tx, *row, &p->sketch, err);
}
