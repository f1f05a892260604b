/* What a piece is stored against: candidates by votes of shared hashes, by hints, by what stands
 * beside it in the stream; then those of them that may be built on (delta.h). */
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "objtx.h"

/* Keys of pieces of the transaction: newer than all of the store. */
#define TX_KEY (INT64_MAX / 2)

static void row_loc(const ds_objtx *tx, uint32_t row, ds_objloc *out)
{
    const ds_objrow *r = &tx->rows[row];
    *out = (ds_objloc){.id = r->id,
                       .bases = r->bases,
                       .sketch = r->sketch,
                       .off = r->off,
                       .size = r->size,
                       .raw = r->raw,
                       .chain = r->chain,
                       .kind = r->kind,
                       .fd = tx->packs[r->pack]->w.fd};
}

/* A piece of the transaction or of the store: a ds_lookup_fn. One of the transaction whose job is
 * not done is asked for only when another process has published the same piece meanwhile: that one
 * is taken then. */
int ds_tx_lookup(void *ctx, const ds_sha *id, ds_objloc *out, ds_err *err)
{
    ds_objtx *tx = ctx;
    uint32_t row = ds_tx_find(tx, id);
    if (row == DS_TX_NONE || !tx->done[row])
        return ds_objindex_find(tx->s->ix, id, out, err);
    row_loc(tx, row, out);
    return 1;
}

/* limit: entries of the transaction before it count. */
static int collect_votes(ds_objtx *tx, const ds_sketch *s, uint32_t limit, ds_votes *votes,
                         ds_err *err)
{
    int64_t rows[DS_DELTA_SHARING];
    for (int k = 0; k < s->n; k++) {
        size_t n = 0;
        if (!tx->store_empty) {
            int rc = ds_objindex_sharing(tx->s->ix, s->h[k], rows, DS_DELTA_SHARING, &n, err);
            if (rc)
                return rc;
        }
        for (size_t i = 0; i < n; i++)
            ds_votes_add(votes, rows[i], k);
        n = 0;
        uint32_t v = tx->heads ? tx->heads[s->h[k] & tx->head_mask] : DS_TX_NONE;
        for (; v != DS_TX_NONE && n < DS_DELTA_SHARING; v = tx->slots[v].older)
            if (tx->slots[v].hash == s->h[k] && tx->slots[v].entry < limit) {
                ds_votes_add(votes, TX_KEY + tx->slots[v].entry, k);
                n++;
            }
    }
    return 0;
}

/* Something below it is to be avoided. */
static bool is_avoided(const ds_objtx *tx, const ds_objloc *v, size_t n)
{
    for (size_t i = 0; tx->navoid && i < n; i++)
        if (bsearch(&v[i].id, tx->avoid, tx->navoid, sizeof *tx->avoid, ds_sha_cmp))
            return true;
    return false;
}

/* A piece that is stored anew is in the store and in the transaction. Until its object is made,
 * what it will be built on is no part of what can be seen: it may be the very piece that asks, and
 * is one that is built on that. So neither it nor what is built on it may be a base: bases would
 * form a ring. (`limit`: as in collect_votes, so that threads change nothing.) */
typedef struct asking {
    ds_objtx *tx;
    uint32_t limit;
} asking;

static int look_up(void *ctx, const ds_sha *id, ds_objloc *out, ds_err *err)
{
    const asking *a = ctx;
    const uint32_t row = ds_tx_find(a->tx, id);

    return row != DS_TX_NONE && row >= a->limit && a->tx->rows[row].anew
               ? 0
               : ds_tx_lookup(a->tx, id, out, err);
}

/* 1 taken, 0 not known or to be avoided. */
static int add_candidate(ds_objtx *tx, ds_txbases *c, const ds_sha *id, uint32_t limit, ds_err *err)
{
    bool overflow;
    size_t first = c->n;
    asking a = {tx, limit};
    int rc = ds_objcore_closure(look_up, &a, id, c->v, DS_CLOSURE_CAP, &c->n, &overflow, err);
    if (rc == 1 && is_avoided(tx, c->v + first, c->n - first)) {
        c->n = first;
        return 0;
    }
    if (rc == 1 && first == 0)
        c->number = c->v[0].chain + 1u;
    if (rc == 1 && c->like.n < DS_BASES_MAX)
        c->like.id[c->like.n++] = *id;
    return rc;
}

/* Those that share the sketch's hashes: the best, then the best for what that one lacks, and so on.
 * Within the transaction the best must share a quarter: records that are found all over the data
 * make no likeness. */
static int voted(ds_objtx *tx, ds_txbases *c, const ds_sketch *s, uint32_t limit, ds_err *err)
{
    ds_votes votes = {.n = 0};
    unsigned left = (1u << s->n) - 1, mask = 0;
    int64_t key = 0;
    int rc = collect_votes(tx, s, limit, &votes, err);
    while (rc == 0 && ds_votes_best(&votes, left, &key, &mask)) {
        ds_objloc found;
        rc = 1;
        if (key >= TX_KEY)
            row_loc(tx, (uint32_t)(key - TX_KEY), &found);
        else
            rc = ds_objindex_at(tx->s->ix, key, &found, err);
        if (c->like.n == 0 && key >= TX_KEY && (unsigned)__builtin_popcount(mask) * 4 < s->n)
            break;
        if (rc == 1)
            rc = add_candidate(tx, c, &found.id, limit, err);
        if (rc == 0 && tx->navoid) { /* others may share as much */
            ds_votes_drop(&votes, key);
            continue;
        }
        c->stored |= key < TX_KEY;
        left &= ~mask;
        rc = rc < 0 ? rc : 0;
    }
    return rc < 0 ? rc : 0;
}

/* Without a shared hash: the caller's hints, then what the piece before in the stream was like. A
 * large piece of old that was cut into many shares its few hashes with some of them only, but they
 * follow each other. */
static int hinted(ds_objtx *tx, ds_txbases *c, const ds_piece *p, uint32_t limit, ds_err *err)
{
    int rc = 0;
    for (size_t i = 0; rc == 0 && c->n == 0 && i < p->n_hints; i++) {
        uint32_t row = ds_tx_find(tx, &p->hints[i]);
        if (row == DS_TX_NONE || row < limit)
            rc = add_candidate(tx, c, &p->hints[i], limit, err);
        rc = rc < 0 ? rc : 0;
    }
    if (c->n > 0 || tx->last[p->stream].fresh == 0)
        return rc;
    tx->last[p->stream].fresh--;
    for (int i = 0; rc >= 0 && i < tx->last[p->stream].like.n; i++)
        rc = add_candidate(tx, c, &tx->last[p->stream].like.id[i], limit, err);
    return rc < 0 ? rc : 0;
}

/* Takes a base and all below it into the job. False when that would be too much. */
static bool take_base(ds_txjob *j, ds_txbases *c, const ds_objloc *base)
{
    size_t before = j->nunder;
    ds_objloc *u = j->under;
    if (!ds_objcore_in(u, j->nunder, &base->id)) {
        if (j->nunder == DS_DELTA_PIECES)
            return false;
        u[j->nunder++] = *base;
    }
    for (size_t i = before; i < j->nunder; i++)
        for (int k = 0; k < u[i].bases.n; k++) {
            const ds_objloc *b = ds_objcore_in(c->v, c->n, &u[i].bases.id[k]);
            if (ds_objcore_in(u, j->nunder, &u[i].bases.id[k]))
                continue;
            if (!b || j->nunder == DS_DELTA_PIECES) {
                j->nunder = before;
                return false;
            }
            u[j->nunder++] = *b;
        }
    j->bases.id[j->bases.n++] = base->id;
    return true;
}

/* The first piece, going down from this one, that is not too deep. */
static const ds_objloc *down_from(const ds_txbases *c, const ds_sha *id, unsigned room)
{
    const ds_objloc *l = ds_objcore_in(c->v, c->n, id);
    for (size_t i = 0; l && l->bases.n && c->depth[l - c->v] > room; i++) /* a ring has no end */
        l = i < c->n ? ds_objcore_in(c->v, c->n, &l->bases.id[0]) : NULL;
    return l;
}

/* Adds those of `like` that the job does not build on yet, or what they are built on if they are
 * too deep. */
static void take_like(ds_txjob *j, ds_txbases *c, const ds_bases *like, size_t least)
{
    for (int i = 0; i < like->n && j->bases.n < DS_BASES_MAX; i++) {
        const ds_objloc *l = down_from(c, &like->id[i], ds_delta_room(c->number));
        if (l && l->raw >= least && !ds_objcore_in(j->under, j->nunder, &l->id))
            (void)take_base(j, c, l);
    }
}

/* What the piece before was like may have a tail that this one begins with: too short to share a
 * hash with us. */
static int neighbours(ds_objtx *tx, ds_txjob *j, ds_txbases *c, const ds_piece *p, uint32_t limit,
                      ds_err *err)
{
    uint64_t raw = 0;
    int rc = 0;
    for (int i = 0; i < j->bases.n; i++)
        raw += ds_objcore_in(j->under, j->nunder, &j->bases.id[i])->raw;
    if (j->bases.n == 0 || j->bases.n == DS_BASES_MAX || raw + raw / 32 >= p->len ||
        tx->last[p->stream].fresh == 0)
        return 0;
    ds_bases like = tx->last[p->stream].like;
    for (int i = 0; rc >= 0 && i < like.n; i++)
        rc = add_candidate(tx, c, &like.id[i], limit, err);
    if (rc >= 0) {
        ds_delta_depths(c->v, c->n, c->depth);
        take_like(j, c, &like, p->len / 16);
    }
    return rc < 0 ? rc : 0;
}

static void choose(ds_txjob *j, ds_txbases *c, const ds_sketch *s)
{
    unsigned left = (1u << s->n) - 1, mask = 0, room = ds_delta_room(c->number);
    if (c->n == 0)
        return;
    j->number = (uint16_t)c->number;
    ds_delta_depths(c->v, c->n, c->depth);
    while (j->bases.n < DS_BASES_MAX) {
        const ds_objloc *b = ds_delta_best(s, c->v, c->depth, c->n, room, left, &j->bases, &mask);
        if (!b)
            break;
        if (take_base(j, c, b))
            left &= ~mask;
        else /* built on too many: another one then */
            c->depth[b - c->v] = UINT_MAX;
    }
    if (j->bases.n == 0)
        take_like(j, c, &c->like, 1);
}

/* What is like older versions' pieces gets one number for all of the version (delta.h). */
static void set_number(ds_objtx *tx, ds_txbases *c, uint8_t stream)
{
    unsigned *highest = &tx->last[stream].number;
    if (c->n == 0)
        return;
    if (c->v[0].fd >= 0) { /* its like is in this transaction */
        if (c->number > DS_DELTA_OWN)
            c->n = 0;
        return;
    }
    if (c->number > UINT16_MAX)
        c->number = UINT16_MAX;
    if (*highest < c->number)
        *highest = c->number;
    c->number = *highest;
}

/* limit: as in collect_votes. */
static int find_bases(ds_objtx *tx, ds_txjob *j, const ds_piece *p, uint32_t limit, ds_err *err)
{
    ds_txbases *c = tx->scratch;
    c->n = c->like.n = 0;
    c->stored = false;
    int rc = voted(tx, c, &p->sketch, limit, err);
    ds_bases like = c->like; /* before the hints */
    if (rc == 0 && c->n == 0)
        rc = hinted(tx, c, p, limit, err);
    if (rc)
        return rc;
    set_number(tx, c, p->stream);
    choose(j, c, &p->sketch);
    rc = neighbours(tx, j, c, p, limit, err);
    if (c->stored) {
        tx->last[p->stream].like = like;
        tx->last[p->stream].fresh = 8;
    }
    return rc;
}

/* Fills in the job's bases. */
int ds_tx_bases(ds_objtx *tx, ds_txjob *j, const ds_piece *p, ds_err *err)
{
    /* entries before it are done whatever the number of threads */
    uint32_t limit = j->entry >= DS_TX_LAG ? j->entry - DS_TX_LAG : 0;
    j->nunder = j->bases.n = 0;
    if (p->len < DS_DELTA_MIN || (tx->store_empty && limit == 0))
        return 0;
    int rc = ds_objindex_freeze(tx->s->ix, err); /* many questions, one set of locks */
    if (rc == 0) {
        rc = find_bases(tx, j, p, limit, err);
        ds_objindex_thaw(tx->s->ix);
    }
    return rc ? rc : ds_tx_flush(tx, j->under, j->nunder, err);
}
