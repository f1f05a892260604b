/* draft.c - see draft.h. */
#include "draft.h"

#include <stdio.h>
#include <stdlib.h>

#include "gather.h"
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

static void take_id(void *ctx, const ds_published *p)
{
    ds_draft *d = ctx;
    d->id = p->id;
}

static int publish(ds_draft *d, const ds_draft_input *in, const ds_publish_opts *o, ds_err *err)
{
    const ds_gather_opts g = {.files = in->more};
    ds_published done = {0};
    if (in->more && in->more->n)
        return ds_gather_run(&d->store, in->fd, in->path, o, &g, take_id, d, err);
    const int rc = ds_publish_stream(&done, &d->store, in->fd, in->path, o, err);
    d->id = done.id;
    ds_published_fini(&done);
    return rc;
}

int ds_draft_make(ds_draft *d, ds_store *s, const ds_revision *on, const ds_draft_input *in,
                  int threads, ds_err *err)
{
    const ds_publish_opts o = {.dataset = on->dataset,
                               .branch = DS_BRANCH,
                               .sign = DS_SIGN_NO,
                               .pass = {.threads = threads}};
    *d = (ds_draft){.dir = NULL, .id = on->id};
    if (ds_objstore_hold(s->objs, NULL) == 0) /* a store that is only to be read has no gc either */
        d->held = s;
    int rc = begin(d, s, on, err);
    rc = rc ? rc : publish(d, in, &o, err);
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
