/* gitwalk.c - see gitwalk.h. */
#include "gitwalk.h"

#include <string.h>

static int need(ds_gitwalk *w, const git_oid *id, bool follow, ds_err *err)
{
    bool fresh = false;
    int rc = ds_oidset_add(&w->needed, id, &fresh, err);
    if (!rc && fresh && follow && ds_buf_put(&w->todo, id, sizeof *id))
        rc = ds_fail_nomem(err);
    return rc;
}

static int need_tree(ds_gitwalk *w, const git_tree *tree, ds_err *err)
{
    int rc = 0;
    for (size_t i = 0; !rc && i < git_tree_entrycount(tree); i++) {
        const git_tree_entry *e = git_tree_entry_byindex(tree, i);
        const git_object_t type = git_tree_entry_type(e);
        if (type != GIT_OBJECT_COMMIT) /* a submodule's is in another repository */
            rc = need(w, git_tree_entry_id(e), type == GIT_OBJECT_TREE || w->blobs, err);
    }
    return rc;
}

static int need_commit(ds_gitwalk *w, const git_commit *c, ds_err *err)
{
    int rc = need(w, git_commit_tree_id(c), true, err);
    for (unsigned i = 0; !rc && i < git_commit_parentcount(c); i++)
        rc = need(w, git_commit_parent_id(c, i), true, err);
    return rc;
}

static int need_of(ds_gitwalk *w, git_object *o, ds_err *err)
{
    switch (git_object_type(o)) {
    case GIT_OBJECT_COMMIT:
        return need_commit(w, (git_commit *)o, err);
    case GIT_OBJECT_TREE:
        return need_tree(w, (git_tree *)o, err);
    case GIT_OBJECT_TAG:
        return need(w, git_tag_target_id((git_tag *)o), true, err);
    default:
        return 0;
    }
}

int ds_gitwalk_add(ds_gitwalk *w, const git_oid *id, ds_err *err)
{
    return need(w, id, true, err);
}

int ds_gitwalk_run(ds_gitwalk *w, ds_err *err)
{
    int rc = 0;
    while (!rc && w->todo.len) {
        git_object *o = NULL;
        git_oid id;
        w->todo.len -= sizeof id;
        memcpy(&id, w->todo.data + w->todo.len, sizeof id);
        rc = w->find(w->ctx, &o, &id, err);
        if (rc > 0)
            rc = need_of(w, o, err);
        git_object_free(o);
    }
    return rc;
}

void ds_gitwalk_fini(ds_gitwalk *w)
{
    ds_oidset_fini(&w->needed);
    ds_buf_fini(&w->todo);
}
