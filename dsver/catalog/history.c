/* history.c - see history.h. */
#include "history.h"

#include <stdlib.h>

#include "refs.h"

typedef struct walk {
    ds_catalog *cat;
    ds_oidset *seen;
    ds_buf stack; /* git_oid */
    ds_history_fn fn;
    void *ctx;
} walk;

static int push(walk *w, const git_oid *id, ds_err *err)
{
    bool fresh;
    int rc = ds_oidset_add(w->seen, id, &fresh, err);
    if (!rc && fresh && ds_buf_put(&w->stack, id, sizeof *id))
        rc = ds_fail_nomem(err);
    return rc;
}

static int push_parents(walk *w, const git_oid *id, ds_err *err)
{
    git_commit *c = NULL;
    int rc = 0;
    if (git_commit_lookup(&c, ds_catalog_repo(w->cat), id) < 0)
        return ds_fail_git_read(err, "catalog commit %s", git_oid_tostr_s(id));
    for (unsigned i = git_commit_parentcount(c); !rc && i-- > 0;)
        rc = push(w, git_commit_parent_id(c, i), err);
    git_commit_free(c);
    return rc;
}

static int from_ref(void *ctx, const char *name, const git_oid *id, ds_err *err)
{
    walk *w = ctx;
    ds_version v = {0};
    (void)name;
    int rc = push(w, id, err);
    while (!rc && w->stack.len) {
        const git_oid *top =
            (const git_oid *)(const void *)w->stack.data + w->stack.len / sizeof *top - 1;
        git_oid at = *top;
        ds_err why = {0};
        w->stack.len -= sizeof at;
        if (ds_version_get(&v, w->cat, &at, &why)) {
            rc = w->fn(w->ctx, &at, NULL, &why, err);
            continue;
        }
        rc = push_parents(w, &at, err);
        if (!rc)
            rc = w->fn(w->ctx, &at, &v, NULL, err);
    }
    ds_version_fini(&v);
    return rc;
}

int ds_history_more(ds_catalog *c, ds_oidset *seen, ds_history_fn fn, void *ctx, ds_err *err)
{
    walk w = {.cat = c, .seen = seen, .fn = fn, .ctx = ctx};
    int rc = ds_ref_each(c, from_ref, &w, err);
    ds_buf_fini(&w.stack);
    return rc;
}

int ds_history_from(ds_catalog *c, const git_oid *id, ds_oidset *seen, ds_history_fn fn, void *ctx,
                    ds_err *err)
{
    walk w = {.cat = c, .seen = seen, .fn = fn, .ctx = ctx};
    int rc = from_ref(&w, "", id, err);
    ds_buf_fini(&w.stack);
    return rc;
}

int ds_history_each(ds_catalog *c, ds_history_fn fn, void *ctx, ds_err *err)
{
    ds_oidset seen = {0};
    int rc = ds_history_more(c, &seen, fn, ctx, err);
    ds_oidset_fini(&seen);
    return rc;
}
