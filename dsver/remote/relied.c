/* relied.c - see relied.h. */
#include "relied.h"

#include "backoff.h"
#include "remotemarks.h"
#include "sig.h"

typedef struct relying {
    const ds_transfer *t;
    const ds_shaset *want;  /* or: */
    const ds_shaset *packs; /* by their names */
    ds_relied *out;
    ds_marks marks;
    ds_shaset marked; /* packs that are relied on and have a mark */
} relying;

/* ---- which packs ---- */

/* What is in the index has its bases there too: they only matter for marks. */
static int look_at(relying *r, ds_objindex *ix, ds_shaset *all, size_t i, ds_err *err)
{
    const ds_sha id = all->ids[i];
    ds_objloc loc;
    int64_t row;
    if (!r->marks.v.len)
        return ds_objindex_row(ix, &id, &row, err);
    const int there = ds_objindex_find(ix, &id, &loc, err);
    if (there <= 0)
        return there;
    int rc =
        ds_marks_find(&r->marks, &loc.pack) ? ds_shaset_add(&r->marked, &loc.pack, NULL, err) : 0;
    for (int k = 0; !rc && k < loc.bases.n; k++)
        rc = ds_shaset_add(all, &loc.bases.id[k], NULL, err);
    return rc ? rc : 1;
}

static int find_packs(relying *r, ds_err *err)
{
    ds_objindex *ix = ds_remoteindex_get(r->t->index);
    ds_shaset all = {0};
    int rc = 0, there = 1;
    for (size_t i = 0; !rc && i < r->want->n; i++)
        rc = ds_shaset_add(&all, &r->want->ids[i], NULL, err);
    rc = rc ? rc : ds_objindex_freeze(ix, err);
    if (!rc) {
        for (size_t i = 0; there > 0 && i < all.n; i++) {
            there = look_at(r, ix, &all, i, err);
            r->out->lacks = all.ids[i];
        }
        ds_objindex_thaw(ix);
    }
    ds_shaset_fini(&all);
    return rc ? rc : there;
}

static int find_named(relying *r, ds_err *err)
{
    int rc = 0;
    for (size_t i = 0; !rc && i < r->packs->n; i++)
        if (ds_marks_find(&r->marks, &r->packs->ids[i]))
            rc = ds_shaset_add(&r->marked, &r->packs->ids[i], NULL, err);
    return rc ? rc : 1;
}

/* Marks first, packs after: what is there without a mark stays for now. */
static int look(relying *r, ds_err *err)
{
    ds_shaset_fini(&r->marked);
    int rc = ds_marks_list(&r->marks, r->t->remote, err);
    if (!rc && r->packs)
        return find_named(r, err);
    r->out->gc = r->out->gc || r->marks.v.len;
    rc = rc ? rc : ds_remoteindex_refresh(r->t->index, &r->out->state, err);
    return rc ? rc : find_packs(r, err);
}

/* ---- their marks ---- */

static const ds_packmark *going(const relying *r)
{
    for (size_t i = 0; i < r->marked.n; i++) {
        const ds_packmark *m = ds_marks_find(&r->marks, &r->marked.ids[i]);
        if (m && m->deleting)
            return m;
    }
    return NULL;
}

/* A mark of a gc that died, which nobody would take away: 1 when there were such. */
static int bury(const relying *r, ds_err *err)
{
    int64_t now = 0;
    uint64_t n = 0;
    int rc = ds_marks_now(&now, r->t->remote, err);
    rc = rc ? rc : ds_marks_bury(&n, r->t->remote, now, err);
    return rc ? rc : n > 0;
}

/* As long as that gc gets on, which is seen by its marks. */
static int wait_for_end(relying *r, ds_backoff *b, size_t *marks, const ds_packmark *m, ds_err *err)
{
    char hex[65];
    if (*marks != r->marks.v.len)
        b->made = 0;
    *marks = r->marks.v.len;
    if (ds_backoff_wait(b, 0))
        return 0;
    int rc = ds_check_interrupt(err);
    ds_sha_hex(hex, &m->pack);
    return rc ? rc
              : ds_fail(err, DS_LOCKED,
                        "%s: a gc deletes pack %.16s at this moment: try again (when that gc died, "
                        "its mark counts for nothing after %d minutes)",
                        ds_remote_place(r->t->remote), hex, DS_MARK_DEAD / 60);
}

/* Takes the first mark away from those that are relied on, or waits while a gc deletes one. */
static int take_back(relying *r, ds_backoff *b, size_t *marks, ds_err *err)
{
    const ds_packmark *m = going(r);
    int rc = m ? bury(r, err) : 0;
    if (m && rc == 0)
        rc = wait_for_end(r, b, marks, m, err);
    for (size_t i = 0; !rc && !m && i < r->marked.n; i++)
        rc = ds_marks_spare(r->t->remote, &r->marked.ids[i], err);
    return rc < 0 ? rc : ds_check_interrupt(err);
}

/* As long as some are relied on that have a mark: what they hold may lie in others too (gc joins
 * packs), which is looked at once; then they are taken back. */
static int settle_all(relying *r, ds_err *err)
{
    ds_remoteindex *x = r->t->index;
    ds_backoff b = {.tries = ds_remote_tries(r->t->remote)};
    size_t marks = 0;
    bool others = false;
    int rc = 0;
    while (rc >= 0 && (rc = look(r, err)) >= 0) {
        const bool whole = rc > 0 && !r->marked.n;
        const enum ds_avoid avoids = ds_remoteindex_avoid(x, DS_AVOID_NONE);
        if (whole || (rc == 0 && avoids == DS_AVOID_NONE))
            break;
        if (rc == 0 || avoids == DS_AVOID_ALL)
            continue;
        if (!others && r->want)
            (void)ds_remoteindex_avoid(x, DS_AVOID_ALL);
        else
            rc = take_back(r, &b, &marks, err);
        others = true;
    }
    return rc;
}

static int settle(relying *r, ds_err *err)
{
    const enum ds_avoid was = ds_remoteindex_avoid(r->t->index, DS_AVOID_NONE);
    (void)ds_remoteindex_avoid(r->t->index, was);
    const int rc = settle_all(r, err);
    (void)ds_remoteindex_avoid(r->t->index, was);
    ds_shaset_fini(&r->marked);
    ds_marks_fini(&r->marks);
    return rc;
}

int ds_relied_settle(ds_relied *out, const ds_transfer *t, const ds_shaset *want, ds_err *err)
{
    relying r = {.t = t, .want = want, .out = out};
    return settle(&r, err);
}

int ds_relied_spare(const ds_transfer *t, const ds_shaset *packs, ds_err *err)
{
    relying r = {.t = t, .packs = packs};
    int rc = packs->n ? settle(&r, err) : 0;
    return rc < 0 ? rc : 0;
}
