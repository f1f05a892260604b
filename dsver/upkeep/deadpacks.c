/* Garbage on a disk without room: packs in which nothing is live go, and no other is touched.
 *
 * Writers are shut out from the beginning, so the index may be taken as it stands, or made of the
 * packs in memory. It leaves before the packs do: whoever comes then is told to make it anew, and
 * nobody takes a piece for present that is gone. Killed before that: nothing has happened. After
 * it: the packs are whole, with some that no version needs, and reindex makes the store of them.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "gc_priv.h"
#include "sumvfs.h"

static int index_path(char **path, const char *dir, ds_err *err)
{
    const size_t cap = strlen(dir) + sizeof "/index.db";
    if (!(*path = malloc(cap)))
        return ds_fail_nomem(err);
    snprintf(*path, cap, "%s/index.db", dir);
    return 0;
}

int ds_objgc_cramped(ds_objgc **out, const char *dir, bool wait, ds_err *err)
{
    ds_objgc *gc = calloc(1, sizeof *gc);
    char *path = NULL;
    *out = NULL;
    if (!gc)
        return ds_fail_nomem(err);
    gc->cramped = gc->whole = true;
    gc->fd = gc->alone = -1;
    int rc = index_path(&path, dir, err);
    rc = rc ? rc : ds_objcore_alone(&gc->alone, dir, wait, err);
    rc = rc ? rc : ds_objcore_shut(&gc->fd, dir, wait, err);
    gc->unindexed = path && !ds_path_exists(path);
    free(path);
    rc = rc ? rc : ds_objstore_open(&gc->s, dir, DS_OBJ_STILL, err);
    rc = rc ? rc : ds_objgc_rows(gc, err);
    if (rc) {
        ds_objgc_end(gc);
        return rc;
    }
    *out = gc;
    return 0;
}

int ds_objgc_dead(ds_objgc *gc, ds_gcstats *stats, ds_err *err)
{
    int rc = ds_objgc_condemn(gc, true, err);
    rc = rc ? rc : ds_objgc_sweep(gc, true, stats, err);
    stats->dead = 0;
    for (size_t i = 0; rc == 0 && i < gc->npacks; i++)
        stats->dead += gc->packs[i].fate == DS_FATE_DELETE ? gc->packs[i].rows : 0;
    return rc;
}

/* What is open of it goes too: it would keep the room. */
int ds_objgc_unindex(ds_objgc *gc, ds_err *err)
{
    char *path = NULL;
    if (gc->unindexed)
        return 0;
    if (index_path(&path, gc->s->dir, err))
        return DS_NOMEM;
    gc->unindexed = true;
    ds_objindex_close(gc->s->ix);
    gc->s->ix = NULL;
    ds_sumdb_remove(path);
    int rc = ds_path_exists(path) ? ds_fail(err, DS_IO, "%s: cannot be removed", path)
                                  : ds_fsync_parent(path, err);
    free(path);
    return rc;
}

int ds_objgc_drop(ds_objgc *gc, ds_gcstats *stats, ds_err *err)
{
    ds_gcstats st = {0};
    int rc = ds_objgc_unlink(gc, &st, err);
    ds_objgc_clean(gc, false, &st);
    stats->packs_deleted = st.packs_deleted;
    stats->bytes_after = st.bytes_after;
    stats->tmp_removed = st.tmp_removed;
    return rc;
}

int ds_objgc_renew(ds_objgc *gc, ds_err *err)
{
    return gc->unindexed ? ds_objcore_reindex(gc->s->dir, true, NULL, NULL, NULL, err) : 0;
}
