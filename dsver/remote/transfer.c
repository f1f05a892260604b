/* transfer.c - which objects of which packs are to be moved. See transfer.h. */
#include "transfer.h"

#include <stdlib.h>

#include "sig.h"

void ds_hauls_fini(ds_hauls *h)
{
    ds_buf_fini(&h->places);
    ds_buf_fini(&h->hauls);
}

/* 1 when the piece is there to stay. */
static int is_there(const ds_way *w, const ds_sha *id, ds_err *err)
{
    ds_objloc loc;
    int64_t row;
    if (!w->leaving || !w->leaving->n)
        return ds_objindex_row(w->to, id, &row, err);
    int rc = ds_objindex_find(w->to, id, &loc, err);
    return rc > 0 ? !ds_shaset_has(w->leaving, &loc.pack) : rc;
}

/* Places of all that is wanted and lacking, bases included. With both indexes frozen. */
static int close_over(ds_hauls *h, ds_moved *out, const ds_way *w, const ds_shaset *want,
                      ds_err *err)
{
    ds_shaset all = {0}; /* to be looked at, in order; it grows by bases */
    ds_objloc loc;
    int rc = 0;
    for (size_t i = 0; !rc && i < want->n; i++)
        rc = ds_shaset_add(&all, &want->ids[i], NULL, err);
    for (size_t i = 0; !rc && i < all.n; i++) {
        const ds_sha id = all.ids[i];
        rc = is_there(w, &id, err);
        if (rc) { /* it is there already */
            rc = rc < 0 ? rc : 0;
            continue;
        }
        rc = ds_objindex_find(w->from, &id, &loc, err);
        if (rc == 0 && out->missing++ == 0)
            out->first_missing = id;
        if (rc <= 0)
            continue;
        const ds_place p = {.row = loc.row, .pack = loc.packrow, .off = loc.off, .size = loc.size};
        rc = ds_buf_put(&h->places, &p, sizeof p) ? ds_fail_nomem(err) : 0;
        for (int k = 0; !rc && k < loc.bases.n; k++)
            rc = ds_shaset_add(&all, &loc.bases.id[k], NULL, err);
        if (!rc && i % 4096 == 0)
            rc = ds_check_interrupt(err);
    }
    ds_shaset_fini(&all);
    return rc;
}

static int by_place(const void *a, const void *b)
{
    const ds_place *x = a, *y = b;
    return x->pack != y->pack ? (x->pack < y->pack ? -1 : 1)
                              : (x->off < y->off ? -1 : x->off > y->off);
}

static int find_haul(const void *row, const void *haul)
{
    const int64_t a = *(const int64_t *)row, b = ((const ds_haul *)haul)->row;
    return a < b ? -1 : a > b;
}

/* Which packs are wanted whole. */
static int on_pack(void *ctx, int64_t n, const ds_packrow *p)
{
    ds_hauls *h = ctx;
    ds_haul *u = bsearch(&n, h->hauls.data, ds_hauls_n(h), sizeof(ds_haul), find_haul);
    if (u) {
        u->pack = *p;
        u->whole = p->objects == u->n;
    }
    return 0;
}

int ds_hauls_plan(ds_hauls *h, ds_moved *out, const ds_way *way, const ds_shaset *want, ds_err *err)
{
    int rc = ds_objindex_freeze(way->to, err);
    if (!rc) {
        rc = ds_objindex_freeze(way->from, err);
        if (!rc) {
            rc = close_over(h, out, way, want, err);
            ds_objindex_thaw(way->from);
        }
        ds_objindex_thaw(way->to);
    }
    size_t n = h->places.len / sizeof(ds_place);
    if (rc || n == 0)
        return rc;
    qsort(h->places.data, n, sizeof(ds_place), by_place);
    for (size_t i = 0, k; !rc && i < n; i = k) {
        ds_haul u = {.row = ds_hauls_place(h, i)->pack, .first = i};
        for (k = i; k < n && ds_hauls_place(h, k)->pack == u.row; k++)
            u.bytes += ds_hauls_place(h, k)->size;
        u.n = k - i;
        if (ds_buf_put(&h->hauls, &u, sizeof u))
            rc = ds_fail_nomem(err);
    }
    return rc ? rc : ds_objindex_packs(way->from, on_pack, h, err);
}
