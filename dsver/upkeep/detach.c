/* Pieces that stay and are stored as deltas against pieces that go, directly or not, are stored
 * anew against others. */
#include <stdlib.h>
#include <string.h>

#include "gc_priv.h"

#define RENEW ((uint64_t)2 << 20)

typedef struct delta { /* a piece that stays and has bases */
    ds_objloc loc;
    int64_t bases[DS_BASES_MAX]; /* rows; -1: goes, or is lost */
} delta;

typedef struct detaching {
    ds_objgc *gc;
    ds_buf deltas; /* delta */
    ds_buf going;  /* ds_sha */
} detaching;

static int sort_out(void *ctx, const ds_objloc *loc)
{
    detaching *d = ctx;
    if (!ds_objgc_marked(d->gc, loc->row))
        return ds_buf_put(&d->going, &loc->id, sizeof loc->id);
    const delta one = {.loc = *loc};
    return loc->bases.n ? ds_buf_put(&d->deltas, &one, sizeof one) : 0;
}

static int by_row(const void *a, const void *b)
{
    const int64_t x = ((const delta *)a)->loc.row, y = ((const delta *)b)->loc.row;
    return x < y ? -1 : x > y;
}

static int find_bases(const detaching *d, delta *v, size_t n, ds_err *err)
{
    for (size_t i = 0; i < n; i++)
        for (int k = 0; k < v[i].loc.bases.n; k++) {
            int64_t row = -1;
            int rc = ds_objindex_row(d->gc->s->ix, &v[i].loc.bases.id[k], &row, err);
            if (rc < 0)
                return rc;
            v[i].bases[k] = rc && ds_objgc_marked(d->gc, row) ? row : -1;
        }
    return 0;
}

/* Round by round: what is built on what goes, or on such. */
static void spread(const delta *v, size_t n, bool *hit)
{
    for (bool more = true; more;) {
        more = false;
        for (size_t i = 0; i < n; i++)
            for (int k = 0; !hit[i] && k < v[i].loc.bases.n; k++) {
                const delta key = {.loc = {.row = v[i].bases[k]}};
                const delta *b = bsearch(&key, v, n, sizeof *v, by_row);
                hit[i] = v[i].bases[k] < 0 || (b && hit[b - v]);
                more |= hit[i];
            }
    }
}

/* One that cannot be read is damaged already, and left to fsck. */
static int store_anew(ds_objgc *gc, ds_objtx *tx, const ds_objloc *loc, ds_buf *data,
                      uint64_t *stored, ds_err *err)
{
    ds_err why = {0};
    int rc = ds_objstore_get(gc->s, &loc->id, true, data, &why);
    if (rc == DS_CORRUPT || rc == DS_FAIL)
        return 0;
    if (rc)
        return ds_fail_as(err, &why);
    ++*stored;
    const ds_piece p = {.id = loc->id,
                        .data = data->data,
                        .len = data->len,
                        .kind = loc->kind,
                        .sketch = loc->sketch,
                        .anew = true};
    return ds_objtx_put(tx, &p, NULL, err);
}

/* What was put is published, so that what follows can be stored against it. */
static int renew_tx(const detaching *d, ds_objtx **tx, int threads, ds_err *err)
{
    int rc = *tx ? ds_objtx_finish(*tx, NULL, err) : 0;
    *tx = NULL;
    rc = rc ? rc : ds_objtx_begin(tx, d->gc->s, threads, err);
    if (!rc)
        ds_objtx_avoid(*tx, (const ds_sha *)(const void *)d->going.data,
                       d->going.len / sizeof(ds_sha));
    return rc;
}

int ds_objgc_detach(ds_objgc *gc, int threads, uint64_t *stored, ds_err *err)
{
    detaching d = {.gc = gc};
    ds_objtx *tx = NULL;
    ds_buf data = {0};
    uint64_t put = 0;
    *stored = 0;
    int rc = ds_objindex_pieces(gc->s->ix, 0, sort_out, &d, err);
    delta *v = (delta *)(void *)d.deltas.data;
    const size_t n = d.deltas.len / sizeof *v;
    bool *hit = calloc(n + 1, sizeof *hit);
    rc = rc ? rc : hit ? find_bases(&d, v, n, err) : ds_fail_nomem(err);
    if (!rc) { /* in order of row already */
        spread(v, n, hit);
        if (d.going.len)
            qsort(d.going.data, d.going.len / sizeof(ds_sha), sizeof(ds_sha), ds_sha_cmp);
        rc = renew_tx(&d, &tx, threads, err);
    }
    for (size_t i = 0; !rc && i < n; i++) {
        if (!hit[i])
            continue;
        rc = store_anew(gc, tx, &v[i].loc, &data, stored, err);
        if (!rc && (put += v[i].loc.raw) >= RENEW)
            rc = renew_tx(&d, &tx, threads, err);
        put = put < RENEW ? put : 0;
    }
    if (!rc) {
        rc = ds_objtx_finish(tx, NULL, err);
        tx = NULL;
    }
    ds_objtx_abort(tx);
    free(hit);
    ds_buf_fini(&data);
    ds_buf_fini(&d.deltas);
    ds_buf_fini(&d.going);
    return rc;
}
