/* A writing transaction. The producer's thread looks for known pieces and for bases, in the order
 * of the puts; workers compress; the producer appends what they made to a pack in tmp/, again in
 * that order. So the packs depend on the puts and on what the store held, never on the threads. Two
 * rules keep it so:
 *  - a piece of this transaction can be a base only DS_TX_LAG puts later, when its job is done for
 * any number of threads;
 *  - packs are published after a fixed amount of data put in, not when they happen to be ready.
 */
#include "objtx.h"

#include <stdlib.h>
#include <string.h>

#define PUBLISH_BYTES ((uint64_t)2 << 30)
#define PUBLISH_PIECES 100000u
/* Shorter pieces are copied. Were they exchanged, too, buffers would go from column to column until
 * each had room for the longest piece of any. */
#define EXCHANGED ((size_t)32 << 10)

int ds_objtx_begin(ds_objtx **out, ds_objstore *s, int threads, ds_err *err)
{
    int64_t last = 0;
    *out = NULL;
    if (s->mode != DS_OBJ_WRITE)
        return ds_fail(err, DS_FAIL, "%s: opened for reading only", s->dir);
    ds_objtx *tx = calloc(1, sizeof *tx);
    if (!tx || !(tx->scratch = calloc(1, sizeof *tx->scratch))) {
        free(tx);
        return ds_fail_nomem(err);
    }
    tx->s = s;
    int window = threads < 1 ? 1 : 8 * threads + 8 < DS_TX_LAG ? 8 * threads + 8 : DS_TX_LAG;
    int rc = ds_pool_new(&tx->pool, threads, window, ds_txjob_run, tx, err);
    if (rc == 0)
        rc = ds_objstore_hold(s, err);
    tx->held = rc == 0;
    if (rc == 0)
        rc = ds_objindex_last_row(s->ix, &last, err);
    tx->store_empty = last == 0;
    if (rc) {
        ds_objtx_abort(tx);
        return rc;
    }
    *out = tx;
    return 0;
}

static int check_piece(const ds_objtx *tx, const ds_piece *p, ds_err *err)
{
    if (tx->failed)
        return ds_fail(err, DS_FAIL, "%s: the transaction failed before", tx->s->dir);
    if (p->len > DS_OBJ_MAX)
        return ds_fail(err, DS_FAIL, "a piece of %zu bytes is too large", p->len);
    if (p->sketch.n > DS_SKETCH_MAX)
        return ds_fail(err, DS_FAIL, "a sketch of %u hashes is too large", p->sketch.n);
    return 0;
}

/* Is it there already? 1, 0 or an error. */
static int known(ds_objtx *tx, const ds_piece *p, ds_err *err)
{
    int64_t row;
    if (ds_tx_find(tx, &p->id) != DS_TX_NONE)
        return 1;
    if (p->anew || p->known)
        return p->known;
    const int rc = tx->store_empty ? 0 : ds_objindex_row(tx->s->ix, &p->id, &row, err);
    return rc == 0 && tx->s->under ? ds_objstore_has(tx->s->under, &p->id) : rc;
}

static int take_job(ds_objtx *tx, ds_txjob **out, ds_err *err)
{
    while (ds_pool_full(tx->pool)) {
        int rc = ds_tx_take(tx, err);
        if (rc)
            return rc;
    }
    ds_txjob *j = tx->idle;
    if (j)
        tx->idle = j->next;
    else if (!(j = calloc(1, sizeof *j)))
        return ds_fail_nomem(err);
    *out = j;
    return 0;
}

static int submit(ds_objtx *tx, const ds_piece *p, ds_buf *own, ds_err *err)
{
    ds_txjob *j = NULL;
    int rc = take_job(tx, &j, err);
    if (rc)
        return rc;
    ds_buf_reset(&j->raw);
    if (own && p->len >= EXCHANGED) {
        const ds_buf empty = j->raw;
        j->raw = *own;
        *own = empty;
    } else {
        if (ds_buf_put(&j->raw, p->data, p->len))
            rc = ds_fail_nomem(err);
        if (own)
            ds_buf_reset(own);
    }
    j->head =
        (ds_objhead){.kind = p->kind, .raw = (uint32_t)p->len, .id = p->id, .sketch = p->sketch};
    j->word = p->word;
    j->row = p->row;
    if (rc == 0)
        rc = ds_tx_row(tx, p, &j->entry, err);
    if (rc == 0)
        rc = ds_tx_bases(tx, j, p, err);
    if (rc == 0)
        rc = ds_pool_submit(tx->pool, j, err);
    if (rc) {
        j->next = tx->idle;
        tx->idle = j;
        tx->failed = true;
    }
    return rc;
}

static int put(ds_objtx *tx, const ds_piece *p, ds_buf *own, bool *is_new, ds_err *err)
{
    int rc = check_piece(tx, p, err);
    if (rc)
        return rc;
    rc = known(tx, p, err);
    if (rc < 0)
        return rc;
    if (is_new)
        *is_new = rc == 0;
    if (rc == 1) {
        tx->stats.pieces_shared++;
        tx->stats.bytes_shared += p->len;
        if (own)
            ds_buf_reset(own);
        return 0;
    }
    if (!p->data && p->len)
        return ds_fail(err, DS_FAIL, "%s: a piece that was here is not any more", tx->s->dir);
    size_t len = p->len;
    rc = submit(tx, p, own, err);
    if (rc)
        return rc;
    tx->stats.pieces_new++;
    tx->stats.bytes_new += len;
    tx->raw_since += len;
    if (tx->raw_since >= PUBLISH_BYTES || tx->nrows >= PUBLISH_PIECES)
        rc = ds_tx_publish(tx, err);
    return rc;
}

int ds_objtx_put(ds_objtx *tx, const ds_piece *p, bool *is_new, ds_err *err)
{
    return put(tx, p, NULL, is_new, err);
}

int ds_objtx_put_buf(ds_objtx *tx, const ds_piece *p, ds_buf *buf, bool *is_new, ds_err *err)
{
    if (p->data != buf->data || p->len != buf->len)
        return ds_fail(err, DS_FAIL, "the piece is not what the buffer holds");
    return put(tx, p, buf, is_new, err);
}

void ds_objtx_avoid(ds_objtx *tx, const ds_sha *ids, size_t n)
{
    tx->avoid = ids;
    tx->navoid = n;
}

int ds_objtx_get(ds_objtx *tx, const ds_sha *id, ds_buf *out, ds_err *err)
{
    ds_txbases *c = tx->scratch;
    ds_codecs *scratch = NULL;
    bool overflow;
    if (ds_tx_find(tx, id) == DS_TX_NONE)
        return ds_objstore_get(tx->s, id, true, out, err);
    c->n = 0;
    int rc = ds_tx_drain(tx, err);
    if (rc == 0)
        rc = ds_objcore_closure(ds_tx_lookup, tx, id, c->v, DS_CLOSURE_CAP, &c->n, &overflow, err);
    if (rc >= 0)
        rc = ds_tx_flush(tx, c->v, c->n, err);
    if (rc == 0)
        rc = ds_objcore_codec(tx->s, &scratch, err);
    if (rc == 0) {
        int got = c->n ? ds_objcore_decode(tx->s, scratch, c->v, c->n, &c->v[0], out, err) : 0;
        rc = got == 0  ? ds_fail(err, DS_CORRUPT, "%s: a pack vanished", tx->s->dir)
             : got < 0 ? got
                       : 0;
    }
    ds_objcore_codec_back(tx->s, scratch);
    return rc ? rc : ds_objcore_verify(id, out->data, out->len, err);
}

int ds_objtx_finish(ds_objtx *tx, ds_objstats *stats, ds_err *err)
{
    int rc = tx->failed ? ds_fail(err, DS_FAIL, "%s: the transaction failed before", tx->s->dir)
                        : ds_tx_publish(tx, err);
    if (stats)
        *stats = tx->stats;
    ds_objtx_abort(tx);
    return rc;
}

void ds_objtx_abort(ds_objtx *tx)
{
    if (!tx)
        return;
    tx->failed = true;
    while (tx->pool && !ds_pool_empty(tx->pool))
        (void)ds_tx_take(tx, NULL);
    ds_pool_free(tx->pool);
    ds_tx_forget(tx);
    for (ds_txjob *j = tx->idle, *next; j; j = next) {
        next = j->next;
        ds_buf_fini(&j->raw);
        ds_buf_fini(&j->out);
        ds_buf_fini(&j->alt);
        free(j);
    }
    if (tx->held)
        ds_objstore_release(tx->s);
    free(tx->scratch);
    free(tx->packs);
    free(tx->rows);
    free(tx->done);
    free(tx->map);
    free(tx->slots);
    free(tx->heads);
    free(tx);
}
