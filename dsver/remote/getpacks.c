/* getpacks.c - pieces from a remote. See transfer.h.
 *
 * Workers fetch: packs that are wanted whole into files (wholepack.h), of others stretches of bytes
 * into memory, which this thread cuts into objects and puts into packs of our own. Packs that hold
 * whole pieces only come into the index one by one; all others get their names in packs/ first and
 * come into the index together, so that a piece is never in it without what it is built on. What a
 * killed fetch left in packs/ is taken in when the store is opened next.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "objcore.h"
#include "pool.h"
#include "sig.h"
#include "term.h"
#include "transfer.h"
#include "wholepack.h"

enum { FETCHERS = 4, WINDOW = 8 };
#define GAP_MAX                                                                                    \
    ((uint64_t)128 << 10) /* bytes not wanted that are read along with their neighbours */
#define STRETCH_MAX ((uint64_t)8 << 20) /* one request; a larger object is one of its own */

typedef struct order {
    const ds_haul *haul;
    size_t first, n;   /* places of a stretch; n = 0: the pack as a whole */
    uint64_t off, len; /* of the stretch */
    ds_buf bytes;
    char *path; /* of a whole pack in tmp/ */
    int rc;
    ds_err err;
    struct order *next;
} order;

typedef struct fetching {
    const ds_transfer *t;
    ds_moved *out;
    const ds_hauls *h;
    ds_pool *pool;
    order *idle;
    ds_packw w; /* for objects of stretches */
    bool open;
    ds_buf packs;     /* ds_packrow: named by now, not in the index yet */
    ds_shaset ranged; /* pieces that came in stretches */
    ds_buf ours;      /* ds_sha: packs of such pieces */
    ds_progress bar;
} fetching;

/* ---- workers ---- */

static void carry_out(void *job, void *ctx)
{
    order *o = job;
    const fetching *f = ctx;
    char name[80];
    o->err = (ds_err){0};
    if (o->n == 0) {
        const ds_wholepack w = {
            .dir = f->t->objs->dir, .remote = f->t->remote, .pack = &o->haul->pack};
        o->rc = ds_wholepack_get(&o->path, &w, &o->err);
        return;
    }
    ds_remote_pack_name(name, &o->haul->pack.name, "pack");
    o->rc = ds_remote_get_buf(f->t->remote, name, o->off, o->len, &o->bytes, &o->err);
}

/* ---- into the index ---- */

typedef struct adopting {
    ds_objindex *ix;
    int64_t pack;
    bool whole;  /* wants packs of whole pieces only */
    bool deltas; /* met one of others */
    ds_err *err;
    const char *path;
} adopting;

static int on_object(void *ctx, const ds_objhead *h, uint64_t off, const uint8_t *object, size_t n)
{
    adopting *a = ctx;
    (void)object;
    (void)n;
    a->deltas |= h->bases.n > 0;
    if (a->whole && a->deltas)
        return 1; /* enough is known */
    return ds_objindex_adopt_object(a->ix, a->pack, h, off, a->err);
}

static int on_bad(void *ctx, uint64_t off, const ds_sha *id, const char *reason)
{
    const adopting *a = ctx;
    (void)id;
    return ds_fail(a->err, DS_CORRUPT, "%s: offset %" PRIu64 ": %s (as it came from the remote)",
                   a->path, off, reason);
}

/* 1, or 0: it has pieces with bases, and `whole` is asked for. */
static int adopt_one(const fetching *f, const ds_packrow *p, bool whole, ds_err *err)
{
    size_t cap = strlen(f->t->objs->dir) + 80;
    char *path = malloc(cap);
    if (!path)
        return ds_fail_nomem(err);
    ds_pack_path(path, cap, f->t->objs->dir, &p->name);
    adopting a = {.ix = f->t->objs->ix, .whole = whole, .err = err, .path = path};
    ds_packscan s = {.path = path, .object = on_object, .bad = on_bad, .ctx = &a};
    int rc = ds_objindex_adopt_pack(a.ix, p, &a.pack, err);
    rc = rc ? rc : ds_pack_scan(&s, err);
    free(path);
    return rc < 0 ? rc : !(whole && a.deltas);
}

/* 1, or 0: nothing was taken in, as there are pieces with bases and `whole` is asked for. */
static int adopt(const fetching *f, const ds_packrow *p, size_t n, bool whole, ds_err *err)
{
    ds_objindex *ix = f->t->objs->ix;
    bool later = false;
    char *path = NULL;
    if (asprintf(&path, "%s/packs/x", f->t->objs->dir) < 0)
        return ds_fail_nomem(err);
    int rc = ds_fsync_parent(path, err);
    free(path);
    if (rc)
        return rc;
    rc = ds_objindex_adopt_begin(ix, err);
    bool begun = rc == 0;
    for (size_t i = 0; !rc && !later && i < n; i++) {
        rc = adopt_one(f, &p[i], whole, err);
        later = rc == 0;
        rc = rc < 0 ? rc : 0;
    }
    rc = rc || later ? rc : ds_objindex_adopt_end(ix, NULL, NULL, err);
    if (begun && (rc || later))
        ds_objindex_adopt_cancel(ix);
    return rc ? rc : !later;
}

static int adopt_rest(fetching *f, ds_err *err)
{
    ds_packrow *p = (ds_packrow *)(void *)f->packs.data;
    size_t n = f->packs.len / sizeof *p;
    if (n == 0)
        return 0;
    qsort(p, n, sizeof *p, ds_sha_cmp);
    int rc = adopt(f, p, n, false, err);
    return rc < 0 ? rc : 0;
}

/* A pack in tmp/. One of whole pieces goes into the index while others are on their way. */
static int has_come(fetching *f, const ds_haul *u, char *path, ds_err *err)
{
    int rc = ds_wholepack_name(f->t->objs->dir, path, &u->pack.name, err);
    free(path);
    if (rc)
        return rc;
    f->out->bytes += u->pack.size;
    f->out->packs++;
    f->out->pieces += u->n;
    ds_progress_at(&f->bar, f->out->bytes);
    rc = adopt(f, &u->pack, 1, true, err);
    if (rc == 0 && ds_buf_put(&f->packs, &u->pack, sizeof u->pack))
        rc = ds_fail_nomem(err);
    return rc < 0 ? rc : 0;
}

/* ---- objects of stretches ---- */

static int end_pack(fetching *f, ds_err *err)
{
    if (!f->open)
        return 0;
    f->open = false;
    int rc = ds_packw_end(&f->w, err);
    rc = rc ? rc : ds_packw_sync(&f->w, err);
    rc = rc ? rc : ds_packw_publish(&f->w, f->t->objs->dir, err);
    ds_packrow p = {.name = f->w.name, .size = f->w.size, .objects = f->w.objects};
    if (!rc &&
        (ds_buf_put(&f->packs, &p, sizeof p) || ds_buf_put(&f->ours, &p.name, sizeof p.name)))
        rc = ds_fail_nomem(err);
    ds_packw_fini(&f->w);
    return rc;
}

static int keep_object(fetching *f, const order *o, const ds_place *p, ds_err *err)
{
    const uint8_t *at = o->bytes.data + (p->off - o->off);
    ds_objhead h;
    ds_objloc loc;
    size_t head;
    char name[80];
    int rc = ds_objindex_at(ds_remoteindex_get(f->t->index), p->row, &loc, err);
    if (rc == 0)
        rc = ds_fail(err, DS_LOCKED, "another process changes what is known of the remote");
    if (rc < 0)
        return rc;
    const char *bad = ds_object_check(&h, &head, at, p->size);
    if (!bad && !ds_sha_eq(&h.id, &loc.id))
        bad = "another piece lies there than its heads say";
    if (bad) {
        ds_remote_pack_name(name, &o->haul->pack.name, "pack");
        return ds_fail(err, DS_CORRUPT, "%s%s: damaged at the remote: offset %" PRIu64 ": %s",
                       ds_remote_place(f->t->remote), name, p->off, bad);
    }
    rc = ds_shaset_add(&f->ranged, &h.id, NULL, err);
    if (!rc && !f->open) {
        rc = ds_packw_open(&f->w, f->t->objs->dir, err);
        f->open = rc == 0;
    }
    rc = rc ? rc : ds_packw_put(&f->w, at, p->size, NULL, err);
    return !rc && f->w.size >= DS_PACK_TARGET ? end_pack(f, err) : rc;
}

static int take_one(fetching *f, ds_err *err)
{
    order *o = ds_pool_next(f->pool);
    int rc = o->rc ? ds_fail(err, o->rc, "%s", o->err.msg) : 0;
    for (size_t i = 0; !rc && i < o->n; i++)
        rc = keep_object(f, o, ds_hauls_place(f->h, o->first + i), err);
    if (!rc && o->n == 0) {
        rc = has_come(f, o->haul, o->path, err);
        o->path = NULL;
    } else if (!rc) {
        f->out->bytes += o->len;
        f->out->pieces += o->n;
        ds_progress_at(&f->bar, f->out->bytes);
    }
    o->next = f->idle;
    f->idle = o;
    return rc;
}

static int submit(fetching *f, const order *what, ds_err *err)
{
    int rc = ds_check_interrupt(err);
    while (!rc && ds_pool_full(f->pool))
        rc = take_one(f, err);
    if (rc)
        return rc;
    order *o = f->idle;
    if (o)
        f->idle = o->next;
    else if (!(o = calloc(1, sizeof *o)))
        return ds_fail_nomem(err);
    ds_buf keep = o->bytes;
    *o = *what;
    o->bytes = keep;
    rc = ds_pool_submit(f->pool, o, err);
    if (rc) {
        o->next = f->idle;
        f->idle = o;
    }
    return rc;
}

/* Neighbours that are wanted are read together. */
static int order_stretches(fetching *f, const ds_haul *u, ds_err *err)
{
    int rc = 0;
    for (size_t i = 0, k; !rc && i < u->n; i = k) {
        const ds_place *p = ds_hauls_place(f->h, u->first + i);
        uint64_t end = p->off + p->size;
        for (k = i + 1; k < u->n; k++) {
            const ds_place *q = ds_hauls_place(f->h, u->first + k);
            if (q->off - end > GAP_MAX || q->off + q->size - p->off > STRETCH_MAX)
                break;
            end = q->off + q->size;
        }
        order o = {
            .haul = u, .first = u->first + i, .n = k - i, .off = p->off, .len = end - p->off};
        rc = submit(f, &o, err);
    }
    return rc;
}

/* ---- pieces that came in stretches have the addresses that their heads say ---- */

static int on_row(void *ctx, const ds_objloc *loc)
{
    return ds_buf_put(ctx, &loc->row, sizeof loc->row);
}

typedef struct hunt {
    const ds_buf *names; /* ds_sha */
    ds_buf rows;         /* int64_t, of those packs */
} hunt;

static int on_pack(void *ctx, int64_t n, const ds_packrow *p)
{
    hunt *u = ctx;
    const ds_sha *v = (const ds_sha *)(const void *)u->names->data;
    for (size_t i = 0; i < u->names->len / sizeof *v; i++)
        if (ds_sha_eq(&v[i], &p->name))
            return ds_buf_put(&u->rows, &n, sizeof n);
    return 0;
}

/* What lies is taken out again: it would stand in the way of the true piece. */
static void drop_ours(fetching *f)
{
    ds_objindex *ix = f->t->objs->ix;
    ds_buf pieces = {0};
    hunt u = {.names = &f->ours};
    int rc = ds_objindex_packs(ix, on_pack, &u, NULL);
    const int64_t *packs = (const int64_t *)(const void *)u.rows.data;
    size_t n = u.rows.len / sizeof *packs;
    for (size_t i = 0; !rc && i < n; i++)
        rc = ds_objindex_pieces(ix, packs[i], on_row, &pieces, NULL);
    rc = rc ? rc : ds_objindex_begin(ix, NULL);
    for (size_t i = 0; !rc && i < pieces.len / sizeof(int64_t); i++)
        rc = ds_objindex_remove(ix, ((const int64_t *)(const void *)pieces.data)[i], NULL);
    for (size_t i = 0; !rc && i < n; i++)
        rc = ds_objindex_remove_pack(ix, packs[i], NULL);
    if (rc || (rc = ds_objindex_commit(ix, NULL)))
        ds_objindex_rollback(ix);
    const ds_sha *v = (const ds_sha *)(const void *)f->ours.data;
    char *path = NULL;
    for (size_t i = 0; !rc && i < f->ours.len / sizeof *v; i++) {
        size_t cap = strlen(f->t->objs->dir) + 80;
        if (!(path = malloc(cap)))
            break;
        ds_pack_path(path, cap, f->t->objs->dir, &v[i]);
        (void)ds_io_active->unlink(path);
        free(path);
    }
    ds_buf_fini(&pieces);
    ds_buf_fini(&u.rows);
}

static int verify_ranged(fetching *f, ds_err *err)
{
    ds_objreader *r = NULL;
    ds_objread got;
    size_t put = 0;
    if (f->ranged.n == 0)
        return 0;
    int rc = ds_objreader_new(&r, f->t->objs, ds_cpu_count(), true, err), more = 1;
    while (!rc && more) {
        for (; !rc && put < f->ranged.n && !ds_objreader_full(r); put++)
            /* one whose base nobody has is not in the index */
            if (ds_objstore_has(f->t->objs, &f->ranged.ids[put]))
                rc = ds_objreader_put(r, &f->ranged.ids[put], NULL, err);
        more = rc ? 0 : ds_objreader_next(r, &got, err);
        rc = more < 0 ? more : rc;
    }
    ds_objreader_free(r);
    if (rc == DS_CORRUPT) {
        ds_err_prefix(err, "%s: a piece that it sent is another", ds_remote_place(f->t->remote));
        drop_ours(f);
    }
    return rc;
}

/* ---- all of it ---- */

/* Those that began to come before, and are wanted as they are. */
static int take_ahead(fetching *f, ds_err *err)
{
    ds_ahead *a = f->t->ahead;
    const void *who;
    char *path;
    ds_err ignored = {0};
    int rc = 0, one;
    for (size_t i = 0; i < ds_hauls_n(f->h); i++) {
        ds_haul *u = &ds_hauls_at(f->h)[i];
        u->ahead = u->whole && ds_ahead_claim(a, &u->pack.name, u);
    }
    ds_ahead_settle(a);
    while ((one = ds_ahead_next(a, &who, &path, rc ? &ignored : err)) != 0) {
        one = one < 0 ? one : has_come(f, who, path, rc ? &ignored : err);
        if (one) /* those that are here already count */
            ds_ahead_stop(a);
        rc = rc ? rc : one;
    }
    return rc;
}

static int fetch_all(fetching *f, ds_err *err)
{
    uint64_t total = 0;
    for (size_t i = 0; i < ds_hauls_n(f->h); i++)
        total += ds_hauls_at(f->h)[i].bytes;
    if (!f->t->quiet)
        ds_progress_begin(&f->bar, "fetching", total, true);
    int rc = f->t->ahead ? take_ahead(f, err) : 0;
    rc = rc ? rc : ds_pool_new(&f->pool, FETCHERS, WINDOW, carry_out, f, err);
    for (size_t i = 0; !rc && i < ds_hauls_n(f->h); i++) {
        const ds_haul *u = &ds_hauls_at(f->h)[i];
        order whole = {.haul = u};
        if (!u->ahead)
            rc = u->whole ? submit(f, &whole, err) : order_stretches(f, u, err);
    }
    while (f->pool && !ds_pool_empty(f->pool)) {
        ds_err ignored = {0};
        int one = take_one(f, rc ? &ignored : err);
        rc = rc ? rc : one;
    }
    rc = rc ? rc : end_pack(f, err);
    if (f->open)
        ds_packw_fini(&f->w);
    ds_pool_free(f->pool);
    for (order *o = f->idle, *next; o; o = next) {
        next = o->next;
        ds_buf_fini(&o->bytes);
        free(o);
    }
    if (!f->t->quiet)
        ds_progress_end(&f->bar);
    return rc;
}

/* Where pieces are missing: is it a remote at all? A folder that a disk is to be mounted on, or a
 * bucket of that name made anew, lacks nothing: it is another place. */
static int check_marked(ds_remote *r, ds_err *err)
{
    uint64_t size;
    const int rc = ds_remote_stat(r, "format", &size, err);
    if (rc == 0)
        return ds_fail(err, DS_IO,
                       "%s: no remote is there: was it moved or emptied, is a disk not mounted?",
                       ds_remote_place(r));
    return rc < 0 ? rc : 0;
}

int ds_transfer_fetch(ds_moved *out, const ds_transfer *t, const ds_shaset *want, ds_err *err)
{
    ds_hauls h = {.places = {0}};
    fetching f = {.t = t, .out = out, .h = &h};
    *out = (ds_moved){.pieces = 0};
    const ds_way way = {.from = ds_remoteindex_get(t->index), .to = t->objs->ix};
    int rc = ds_hauls_plan(&h, out, &way, want, err);
    if (!rc && ds_hauls_n(&h)) {
        rc = fetch_all(&f, err);
        /* what has come counts, also when not all did */
        int adopted = adopt_rest(&f, rc ? NULL : err);
        rc = rc ? rc : adopted;
        rc = rc ? rc : verify_ranged(&f, err);
    }
    if (!rc && out->missing)
        rc = check_marked(t->remote, err);
    ds_hauls_fini(&h);
    ds_buf_fini(&f.packs);
    ds_buf_fini(&f.ours);
    ds_shaset_fini(&f.ranged);
    return rc;
}
