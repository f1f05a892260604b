/* remotedrop.c - see remotedrop.h. */
#include "remotedrop.h"

#include <string.h>

#include "clock.h"
#include "sig.h"

enum { BATCH = 256 };

typedef struct dropping {
    const ds_remotedrop *d;
    ds_marks marks; /* as they are now */
    ds_shaset *gone;
    double begun; /* ds_seconds */
    bool moved;   /* the refs, or too much time went by */
} dropping;

static bool same_refs(const ds_gitrefs *a, const ds_gitrefs *b)
{
    bool same = a->n == b->n;
    for (size_t i = 0; same && i < a->n; i++)
        same = strcmp(a->v[i].name, b->v[i].name) == 0 && git_oid_equal(&a->v[i].id, &b->v[i].id);
    return same;
}

/* The marks first, then the refs. */
static int look(dropping *k, ds_err *err)
{
    ds_gitrefs now = {0};
    int rc = ds_marks_list(&k->marks, k->d->l->remote, err);
    rc = rc ? rc : ds_git_refs(&now, k->d->l->conf.catalog, err);
    k->moved = !rc && !same_refs(&now, k->d->refs);
    ds_gitrefs_fini(&now);
    return rc;
}

/* Nobody took our mark away, nor the first one, or put that anew. */
static bool may_go(const dropping *k, const ds_sha *pack)
{
    const ds_packmark *m = ds_marks_find(&k->marks, pack);
    const ds_packmark *was = k->d->seen ? ds_marks_find(k->d->seen, pack) : NULL;
    if (!m || !m->mine)
        return false;
    return !k->d->seen || (was && m->condemned && m->condemned == was->condemned);
}

static int drop_one(dropping *k, const ds_sha *pack, ds_err *err)
{
    ds_remote *r = k->d->l->remote;
    char name[80];
    ds_remote_pack_name(name, pack, "pack"); /* the bytes first */
    int rc = ds_remote_delete(r, name, err);
    ds_remote_pack_name(name, pack, "heads");
    rc = rc ? rc : ds_remote_delete(r, name, err);
    rc = rc ? rc : ds_marks_spare(r, pack, err);
    return rc ? rc : ds_shaset_add(k->gone, pack, NULL, err);
}

static int drop_batch(dropping *k, const ds_sha *packs, size_t n, ds_err *err)
{
    ds_remote *r = k->d->l->remote;
    size_t claimed = 0;
    int rc = 0;
    k->begun = ds_seconds();
    for (; !rc && claimed < n; claimed++)
        rc = ds_marks_claim(&k->marks, r, &packs[claimed], err);
    rc = rc ? rc : look(k, err);
    for (size_t i = 0; i < claimed; i++) {
        k->moved = k->moved || ds_seconds() - k->begun > DS_MARK_LEASE;
        if (!rc && !k->moved && may_go(k, &packs[i]))
            rc = drop_one(k, &packs[i], err);
        const int end = ds_marks_let_go(&k->marks, r, &packs[i], rc ? NULL : err);
        rc = rc ? rc : end;
        rc = rc ? rc : ds_check_interrupt(err);
    }
    return rc;
}

int ds_remotedrop_run(ds_shaset *gone, const ds_remotedrop *d, const ds_shaset *packs, ds_err *err)
{
    dropping k = {.d = d, .gone = gone};
    int rc = ds_marks_me(&k.marks, err);
    for (size_t i = 0; !rc && !k.moved && i < packs->n; i += BATCH)
        rc = drop_batch(&k, packs->ids + i, packs->n - i < BATCH ? packs->n - i : BATCH, err);
    ds_marks_fini(&k.marks);
    return rc ? rc : !k.moved;
}
