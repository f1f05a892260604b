/* remotepurge.c - what was erased goes from a remote's packs. See remotepurge.h, remotegc.h. */
#include "remotepurge.h"

#include <stdio.h>
#include <stdlib.h>

#include "io.h"
#include "objcore.h"
#include "overlay.h"
#include "remotegc.h"
#include "remotedrop.h"
#include "rmtree.h"

enum { ROUNDS = 5 };

/* ---- what is needed there ---- */

int ds_remote_needed(ds_shaset *out, uint64_t *versions, ds_link *l, const ds_gitrefs *there,
                     ds_err *err)
{
    ds_buf tips = {0};
    int rc = ds_sync_commits(&tips, l, there, err);
    rc = rc ? rc
            : ds_needed_find(out, versions, l->store, (const git_oid *)(const void *)tips.data,
                             tips.len / sizeof(git_oid), NULL, 0, err);
    ds_buf_fini(&tips);
    return rc;
}

/* ---- by way of a store in tmp/ ---- */

static int scratch_open(ds_objstore **out, char **path, const char *dir, ds_err *err)
{
    uint64_t r = 0;
    *out = NULL;
    int rc = ds_random(&r, sizeof r, err);
    if (rc)
        return rc;
    if (asprintf(path, "%s/tmp/" DS_OBJ_SCRATCH "%016llx", dir, (unsigned long long)r) < 0) {
        *path = NULL;
        return ds_fail_nomem(err);
    }
    rc = ds_objstore_create(*path, err);
    return rc ? rc : ds_objstore_open(out, *path, DS_OBJ_WRITE, err);
}

/* `keep` and what it is built on stay, but for `hot`: what is built on that is stored anew. */
static int detach(ds_objstore *s, const ds_shaset *keep, const ds_shaset *hot, ds_err *err)
{
    ds_objgc *gc = NULL;
    ds_shaset all = {0};
    ds_gcstats st;
    ds_objloc loc;
    uint64_t stored = 0;
    int rc = ds_objgc_begin(&gc, s, true, err);
    if (rc)
        return rc;
    ds_objgc_purge(gc);
    rc = ds_objgc_shut(gc, true, err);
    for (size_t i = 0; !rc && i < keep->n; i++)
        rc = ds_shaset_add(&all, &keep->ids[i], NULL, err);
    for (size_t i = 0; !rc && i < all.n; i++) {
        rc = ds_objgc_mark(gc, &all.ids[i], NULL, err);
        int found = rc ? 0 : ds_objindex_find(s->ix, &all.ids[i], &loc, err);
        for (int k = 0; found > 0 && !rc && k < loc.bases.n; k++)
            if (!ds_shaset_has(hot, &loc.bases.id[k]))
                rc = ds_shaset_add(&all, &loc.bases.id[k], NULL, err);
        rc = found < 0 ? found : rc;
    }
    rc = rc ? rc : ds_objgc_detach(gc, 1, &stored, err);
    rc = rc ? rc : ds_objgc_condemn(gc, false, err);
    rc = rc ? rc : ds_objgc_sweep(gc, false, &st, err);
    ds_objgc_end(gc);
    ds_shaset_fini(&all);
    return rc;
}

static int send_afar(ds_link *l, const ds_shaset *leaving, const ds_shaset *keep,
                     const ds_shaset *hot, ds_err *err)
{
    ds_objstore *s = NULL;
    char *path = NULL, hex[65];
    ds_moved moved = {.pieces = 0};
    int rc = scratch_open(&s, &path, l->store->objs->dir, err);
    ds_transfer t = {.objs = s, .remote = l->remote, .index = l->index, .quiet = true};
    rc = rc ? rc : ds_transfer_fetch(&moved, &t, keep, err);
    if (!rc && moved.missing) {
        ds_sha_hex(hex, &moved.first_missing);
        rc = ds_fail(err, DS_CORRUPT, "%s: lacks what pieces there are built on, first %s",
                     ds_remote_place(l->remote), hex);
    }
    if (!rc && hot->n)
        rc = detach(s, keep, hot, err);
    t.leaving = leaving;
    rc = rc ? rc : ds_transfer_send(&moved, &t, keep, err);
    ds_objstore_close(s);
    if (path)
        ds_remove_tree(path);
    free(path);
    return rc;
}

int ds_remote_rewrite(ds_link *l, const ds_shaset *leaving, const ds_shaset *keep,
                      const ds_shaset *hot, ds_err *err)
{
    ds_shaset near = {0}, far = {0};
    ds_moved moved = {.pieces = 0};
    ds_transfer t = {.objs = l->store->objs,
                     .remote = l->remote,
                     .index = l->index,
                     .quiet = true,
                     .leaving = leaving};
    int rc = 0;
    for (size_t i = 0; !rc && i < keep->n; i++)
        rc = ds_shaset_add(ds_objstore_has(l->store->objs, &keep->ids[i]) ? &near : &far,
                           &keep->ids[i], NULL, err);
    if (!rc && far.n)
        rc = send_afar(l, leaving, &far, hot, err);
    if (!rc && near.n)
        rc = ds_transfer_send(&moved, &t, &near, err);
    ds_shaset_fini(&near);
    ds_shaset_fini(&far);
    return rc;
}

/* ---- erased pieces ---- */

typedef struct purge {
    ds_link *l;
    ds_shaset hot;     /* erased pieces that lie there and that no version needs */
    ds_shaset leaving; /* packs with such, or with what is built on such */
    ds_shaset keep;    /* the other pieces of these */
    ds_buf packs;      /* known */
    ds_gitrefs there;
    ds_err *err;
} purge;

typedef struct known {
    int64_t row;
    ds_packrow pack;
} known;

static int on_pack(void *ctx, int64_t n, const ds_packrow *p)
{
    const known k = {.row = n, .pack = *p};
    return ds_buf_put(ctx, &k, sizeof k);
}

typedef struct looking {
    purge *p;
    uint64_t rows;
    bool hot;
    ds_shaset cold;
} looking;

static bool is_hot(const purge *p, const ds_sha *id, const ds_bases *b)
{
    bool hot = ds_shaset_has(&p->hot, id);
    for (int k = 0; !hot && k < b->n; k++)
        hot = ds_shaset_has(&p->hot, &b->id[k]);
    return hot;
}

static int on_piece(void *ctx, const ds_objloc *loc)
{
    looking *k = ctx;
    k->rows++;
    k->hot = k->hot || is_hot(k->p, &loc->id, &loc->bases);
    return ds_shaset_has(&k->p->hot, &loc->id) ? 0
                                               : ds_shaset_add(&k->cold, &loc->id, NULL, k->p->err);
}

static int on_head(void *ctx, const ds_objhead *h, uint64_t off, ds_err *err)
{
    looking *k = ctx;
    (void)off;
    (void)err;
    k->hot = k->hot || is_hot(k->p, &h->id, &h->bases);
    return 0;
}

static int look_at(purge *p, const known *at, ds_err *err)
{
    looking k = {.p = p};
    int rc = ds_objindex_pieces(ds_remoteindex_get(p->l->index), at->row, on_piece, &k, err);
    if (!rc && !k.hot && k.rows < at->pack.objects)
        rc = ds_remoteindex_heads(p->l->index, &at->pack.name, on_head, &k, err);
    if (!rc && k.hot)
        rc = ds_shaset_add(&p->leaving, &at->pack.name, NULL, err);
    for (size_t i = 0; !rc && k.hot && i < k.cold.n; i++)
        rc = ds_shaset_add(&p->keep, &k.cold.ids[i], NULL, err);
    ds_shaset_fini(&k.cold);
    return rc;
}

/* Erased pieces that lie there, and of these the ones that no version at the remote needs. */
static int find_hot(purge *p, ds_err *err)
{
    const ds_overlay *erased = NULL;
    ds_shaset there = {0}, live = {0};
    size_t n = 0;
    int64_t row;
    int rc = ds_catalog_overlay(&erased, p->l->store->cat, false, err);
    const ds_sha *gone = ds_overlay_gone(erased, &n);
    for (size_t i = 0; !rc && i < n; i++) {
        rc = ds_objindex_row(ds_remoteindex_get(p->l->index), &gone[i], &row, err);
        if (rc > 0)
            rc = ds_shaset_add(&there, &gone[i], NULL, err);
    }
    if (!rc && there.n)
        rc = ds_git_refs(&p->there, p->l->conf.catalog, err);
    if (!rc && there.n)
        rc = ds_remote_needed(&live, NULL, p->l, &p->there, err);
    for (size_t i = 0; !rc && i < there.n; i++)
        if (!ds_shaset_has(&live, &there.ids[i]))
            rc = ds_shaset_add(&p->hot, &there.ids[i], NULL, err);
    ds_shaset_fini(&there);
    ds_shaset_fini(&live);
    return rc;
}

/* 1 done, 0 the refs there have moved meanwhile. */
static int purge_hot(purge *p, ds_shaset *gone, ds_err *err)
{
    ds_link *l = p->l;
    const ds_remotedrop drop = {.l = l, .refs = &p->there};
    int rc = ds_objindex_packs(ds_remoteindex_get(l->index), on_pack, &p->packs, err);
    const known *v = (const known *)(const void *)p->packs.data;
    for (size_t i = 0; !rc && i < p->packs.len / sizeof *v; i++)
        rc = look_at(p, &v[i], err);
    rc = rc ? rc : ds_remote_rewrite(l, &p->leaving, &p->keep, &p->hot, err);
    return rc ? rc : ds_remotedrop_run(gone, &drop, &p->leaving, err);
}

static int purge_once(ds_shaset *gone, ds_link *l, ds_err *err)
{
    purge p = {.l = l, .err = err};
    ds_remotestate state;
    int rc = find_hot(&p, err);
    const bool any = !rc && p.hot.n;
    int done = any ? purge_hot(&p, gone, err) : 1;
    if (any && done >= 0)
        rc = ds_remoteindex_refresh(l->index, &state, err);
    ds_shaset_fini(&p.hot);
    ds_shaset_fini(&p.leaving);
    ds_shaset_fini(&p.keep);
    ds_buf_fini(&p.packs);
    ds_gitrefs_fini(&p.there);
    return rc ? rc : done;
}

int ds_remotegc_purge(uint64_t *packs, ds_link *l, ds_err *err)
{
    ds_shaset gone = {0};
    int rc = 0;
    for (int round = 0; rc == 0 && round < ROUNDS; round++)
        rc = purge_once(&gone, l, err);
    if (rc == 0)
        rc = ds_fail(err, DS_LOCKED, "%s: its refs keep moving: try again", l->conf.catalog);
    *packs = gone.n;
    ds_shaset_fini(&gone);
    return rc < 0 ? rc : 0;
}
