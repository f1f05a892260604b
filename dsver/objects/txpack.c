/* The packs of a transaction: filled in the order of the puts, synced on threads of their own,
 * published together. */
#include <stdlib.h>
#include <string.h>

#include "objtx.h"

static void sync_pack(void *arg)
{
    ds_txpack *p = arg;
    p->rc = ds_packw_sync(&p->w, &p->err);
}

static int end_sync(ds_txpack *p, ds_err *err)
{
    ds_beside_end(&p->sync, true);
    return p->rc ? ds_fail(err, p->rc, "%s", p->err.msg) : 0;
}

static int open_pack(ds_objtx *tx, ds_err *err)
{
    void *v = tx->packs;
    int rc = ds_tx_grow(&v, &tx->cap_packs, tx->npacks, sizeof *tx->packs, err);
    tx->packs = v;
    if (rc)
        return rc;
    ds_txpack *p = calloc(1, sizeof *p);
    if (!p)
        return ds_fail_nomem(err);
    rc = ds_packw_open(&p->w, tx->s->dir, err);
    if (rc) {
        free(p);
        return rc;
    }
    tx->packs[tx->npacks++] = p;
    tx->writing = true;
    return 0;
}

static int close_pack(ds_objtx *tx, ds_err *err)
{
    ds_txpack *p = tx->packs[tx->npacks - 1];
    tx->writing = false;
    int rc = ds_packw_end(&p->w, err);
    if (rc == 0) /* the disk works while the next pack fills */
        ds_beside_begin(&p->sync, true, sync_pack, p);
    return rc;
}

/* Appends a worker's object to the pack. */
static int append(ds_objtx *tx, ds_txjob *j, ds_err *err)
{
    const ds_buf *b = j->in_alt ? &j->alt : &j->out;
    ds_objrow *r = &tx->rows[j->entry];
    int rc = j->rc ? ds_fail(err, j->rc, "%s", j->err.msg) : 0;
    if (rc == 0 && !tx->writing)
        rc = open_pack(tx, err);
    if (rc)
        return rc;
    ds_txpack *p = tx->packs[tx->npacks - 1];
    rc = ds_packw_put(&p->w, b->data + j->start, b->len - j->start, &r->off, err);
    if (rc)
        return rc;
    r->size = (uint32_t)(b->len - j->start);
    r->pack = tx->npacks - 1;
    r->chain = j->head.chain;
    r->bases = j->head.bases;
    tx->done[j->entry] = true;
    tx->stats.deltas += r->bases.n > 0;
    return p->w.size >= DS_PACK_TARGET ? close_pack(tx, err) : 0;
}

int ds_tx_take(ds_objtx *tx, ds_err *err)
{
    ds_txjob *j = ds_pool_next(tx->pool);
    int rc = tx->failed ? DS_FAIL : append(tx, j, err);
    j->next = tx->idle;
    tx->idle = j;
    tx->failed |= rc != 0;
    return rc;
}

int ds_tx_drain(ds_objtx *tx, ds_err *err)
{
    int rc = 0;
    while (!ds_pool_empty(tx->pool)) {
        int one = ds_tx_take(tx, err);
        rc = rc ? rc : one;
    }
    return rc;
}

void ds_tx_forget(ds_objtx *tx)
{
    if (tx->map)
        memset(tx->map, 0xff, ((size_t)tx->map_mask + 1) * sizeof *tx->map);
    if (tx->heads)
        memset(tx->heads, 0xff, ((size_t)tx->head_mask + 1) * sizeof *tx->heads);
    tx->nrows = tx->nslots = 0;
    tx->raw_since = 0;
    for (uint32_t i = 0; i < tx->npacks; i++) {
        ds_beside_end(&tx->packs[i]->sync, false);
        ds_packw_fini(&tx->packs[i]->w);
        free(tx->packs[i]);
    }
    tx->npacks = 0;
    tx->writing = false;
}

static int publish_packs(ds_objtx *tx, ds_packrow *rows, ds_err *err)
{
    int rc = 0;
    for (uint32_t i = 0; rc == 0 && i < tx->npacks; i++)
        rc = end_sync(tx->packs[i], err);
    for (uint32_t i = 0; rc == 0 && i < tx->npacks; i++) {
        ds_packw *w = &tx->packs[i]->w;
        rows[i] = (ds_packrow){.name = w->name, .size = w->size, .objects = w->objects};
        tx->stats.bytes_stored += w->size;
        tx->stats.packs++;
        rc = ds_packw_publish(w, tx->s->dir, err);
    }
    if (rc == 0) {
        size_t cap = strlen(tx->s->dir) + 80;
        char *path = malloc(cap);
        if (!path)
            return ds_fail_nomem(err);
        ds_pack_path(path, cap, tx->s->dir, &rows[0].name);
        rc = ds_fsync_parent(path, err);
        free(path);
    }
    return rc;
}

/* Everything put so far becomes durable and visible: packs first, then the index. */
int ds_tx_publish(ds_objtx *tx, ds_err *err)
{
    int rc = ds_tx_drain(tx, err);
    if (rc == 0 && tx->writing)
        rc = close_pack(tx, err);
    if (rc == 0 && tx->npacks > 0) {
        ds_packrow *rows = calloc(tx->npacks, sizeof *rows);
        rc = rows ? publish_packs(tx, rows, err) : ds_fail_nomem(err);
        if (rc == 0)
            rc = ds_objindex_publish(tx->s->ix, rows, tx->npacks, tx->rows, tx->nrows, err);
        free(rows);
        tx->store_empty = false;
    }
    if (rc == 0)
        ds_tx_forget(tx);
    tx->failed |= rc != 0;
    return rc;
}

int ds_tx_flush(ds_objtx *tx, const ds_objloc *v, size_t n, ds_err *err)
{
    if (!tx->writing)
        return 0;
    ds_packw *w = &tx->packs[tx->npacks - 1]->w;
    for (size_t i = 0; i < n; i++)
        if (v[i].fd == w->fd && v[i].off + v[i].size > w->size - w->out.len)
            return ds_packw_flush(w, err);
    return 0;
}
