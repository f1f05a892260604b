/* draft.c - see draft.h. */
#include "draft.h"

#include <stdio.h>
#include <stdlib.h>

#include "refs.h"

/* The branch is where the draft's version is to begin, under whatever name it was given. */
static int begin_branch(ds_draft *d, const ds_revision *on, ds_err *err)
{
    char *ref = NULL;
    if (asprintf(&ref, DS_REF_PREFIX "%s/" DS_BRANCH, on->dataset) < 0)
        return ds_fail_nomem(err);
    const int rc = ds_ref_move(d->store.cat, ref, NULL, &on->id, err);
    free(ref);
    return rc < 0 ? rc : 0;
}

static int begin(ds_draft *d, ds_store *s, const ds_revision *on, ds_err *err)
{
    int rc = ds_store_open_temp(&d->store, &d->dir, err);
    rc = rc ? rc : ds_store_lay_over(&d->store, s, err);
    return rc ? rc : begin_branch(d, on, err);
}

int ds_draft_make(ds_draft *d, ds_store *s, const ds_revision *on, int fd, const char *path,
                  int threads, ds_err *err)
{
    const ds_publish_opts o = {.dataset = on->dataset,
                               .branch = DS_BRANCH,
                               .sign = DS_SIGN_NO,
                               .pass = {.threads = threads}};
    ds_published done = {0};
    *d = (ds_draft){.dir = NULL};
    if (ds_objstore_hold(s->objs, NULL) == 0) /* a store that is only to be read has no gc either */
        d->held = s;
    int rc = begin(d, s, on, err);
    rc = rc ? rc : ds_publish_stream(&done, &d->store, fd, path, &o, err);
    d->id = done.id;
    ds_published_fini(&done);
    if (rc)
        ds_draft_close(d);
    return rc;
}

void ds_draft_close(ds_draft *d)
{
    ds_store_close_temp(&d->store, &d->dir);
    if (d->held)
        ds_objstore_release(d->held->objs);
    *d = (ds_draft){.dir = NULL};
}
