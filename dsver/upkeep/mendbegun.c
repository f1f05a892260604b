/* mendbegun.c - see mend.h. */
#include <stdio.h>
#include <stdlib.h>

#include "mend.h"
#include "needed.h"
#include "refs.h"

/* Whether every piece of what the ref leads to is known here or can be had: 1, 0, < 0 error. */
static int has_pieces(ds_store *s, ds_store *from, const git_oid *tip, ds_err *err)
{
    ds_shaset needed = {0};
    ds_buf data = {0};
    ds_err why = {0};
    int rc = ds_needed_find(&needed, NULL, s, tip, 1, NULL, 0, &why);
    int all = 1;
    for (size_t i = 0; !rc && all && i < needed.n; i++) {
        if (ds_objstore_has(s->objs, &needed.ids[i]))
            continue;
        rc = ds_objstore_get(from->objs, &needed.ids[i], false, &data, &why);
        if (rc == DS_FAIL || rc == DS_CORRUPT) {
            ds_err_clear(&why);
            rc = all = 0;
        }
    }
    ds_shaset_fini(&needed);
    ds_buf_fini(&data);
    if (rc == DS_CORRUPT) /* a catalog that lacks objects has been told of */
        return 1;
    return rc ? ds_fail_as(err, &why) : all;
}

static int put_or_leave(ds_mended *out, ds_store *s, ds_store *from, const ds_mendref *r,
                        ds_err *err)
{
    git_object *o = NULL, *commit = NULL;
    const bool version =
        git_object_lookup(&o, ds_catalog_repo(s->cat), &r->id, GIT_OBJECT_ANY) == 0 &&
        git_object_peel(&commit, o, GIT_OBJECT_COMMIT) == 0;
    int all = 1, moved = 0;
    if (version && !s->lazy)
        all = has_pieces(s, from, git_object_id(commit), err);
    git_object_free(commit);
    git_object_free(o);
    if (all < 0)
        return all;
    if (all == 0) {
        out->unmade++;
        snprintf(out->left, sizeof out->left, "%.280s", r->name);
        return 0;
    }
    moved = ds_ref_move(s->cat, r->name, NULL, &r->id, err);
    out->refs += moved == 1;
    return moved < 0 ? moved : 0;
}

int ds_mend_begun(ds_mended *m, ds_store *s, ds_store *from, ds_err *err)
{
    int rc = 0;
    for (size_t at = 0; !rc && at < m->begun.len; at += sizeof(ds_mendref))
        rc = put_or_leave(m, s, from, (const ds_mendref *)(const void *)(m->begun.data + at), err);
    return rc;
}

void ds_mended_fini(ds_mended *m)
{
    for (size_t at = 0; at < m->begun.len; at += sizeof(ds_mendref))
        free(((ds_mendref *)(void *)(m->begun.data + at))->name);
    ds_buf_fini(&m->begun);
}
