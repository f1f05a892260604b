/* gather.c - see gather.h. */
#include "gather.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "append.h"
#include "io.h"
#include "refs.h"
#include "streamfeed.h"

typedef struct gather {
    ds_store *store;
    ds_publish_opts o;
    ds_append a;
    ds_tail tail;
    ds_sourceend ends;
    bool on;     /* there is a version to go on, `head` */
    bool exists; /* the branch itself leads to it */
    bool append; /* what is there when it begins is gone on, too */
    bool told;   /* of a version: the input's beginning is in it */
    bool joined; /* packs of the catalog, by the last version */
    int kept;    /* a copy of what came, or -1 */
    git_oid head;
    const git_oid *parent; /* where the first version wants the branch to be; NULL: anywhere */
    ds_gather_fn tell;
    void *ctx;
} gather;

/* 1 it is there. */
static int ref_of(gather *g, const char *branch, ds_err *err)
{
    char *ref = NULL;
    if (asprintf(&ref, DS_REF_PREFIX "%s/%s", g->o.dataset, branch) < 0)
        return ds_fail_nomem(err);
    int rc = ds_ref_get(g->store->cat, ref, &g->head, err);
    free(ref);
    return rc;
}

/* What the first version goes on: the branch, or what a new branch begins with. */
static int find_head(gather *g, ds_err *err)
{
    int rc = ref_of(g, g->o.branch, err);
    g->exists = rc > 0;
    if (rc == 0)
        rc = ref_of(g, DS_BRANCH, err);
    g->on = rc > 0;
    return rc < 0 ? rc : 0;
}

/* The sources of the head, which the first stream is held against. */
static int read_ends(gather *g, ds_err *err)
{
    ds_version v = {0};
    int rc = ds_version_get(&v, g->store->cat, &g->head, err);
    rc = rc ? rc : ds_sourceend_read(&g->ends, g->store, &v.tree, err);
    ds_version_fini(&v);
    g->a.after = &g->ends;
    return rc;
}

static int open_tail(gather *g, ds_err *err)
{
    ds_tail before = g->tail;
    g->tail = (ds_tail){0};
    int rc = g->on ? ds_tail_open(&g->tail, g->store, &g->head, &before, err) : 0;
    ds_tail_fini(&before);
    g->a.tail = g->o.pass.after = g->on ? &g->tail : NULL;
    g->o.head = g->exists ? &g->head : g->parent;
    g->o.fresh = g->append && !g->exists;
    return rc;
}

static int publish(gather *g, int fd, const char *path, ds_err *err)
{
    ds_published done = {0};
    int rc = ds_publish_stream(&done, g->store, fd, path, &g->o, err);
    if (!rc) {
        g->head = done.id;
        g->on = g->exists = g->told = true;
        g->tell(g->ctx, &done);
        g->joined = done.joined;
    }
    ds_published_fini(&done);
    return rc;
}

static int write_stream(void *ctx, int fd, ds_err *err)
{
    return ds_append_write(ctx, fd, err);
}

/* Without limits the stream passes as it comes. */
static int pass_on(gather *g, const char *path, ds_err *err)
{
    ds_feed feed;
    int rc = ds_feed_begin(&feed, write_stream, &g->a, err);
    if (rc)
        return rc;
    rc = publish(g, feed.fd, path, err);
    return ds_feed_end(&feed, rc, err);
}

static int open_unnamed(int *fd, const gather *g, ds_err *err)
{
    char *path = NULL;
    int rc = asprintf(&path, "%s/tmp/gather-XXXXXX", g->store->dir) < 0 ? ds_fail_nomem(err) : 0;
    if (!rc && (*fd = mkostemp(path, O_CLOEXEC)) < 0)
        rc = ds_fail_errno(err, errno, "%s", path);
    if (!rc)
        ds_io_active->unlink(path);
    free(path);
    return rc;
}

/* What one version gets, and then the version. */
static int gather_one(gather *g, const char *path, ds_err *err)
{
    int fd = -1, rc = open_unnamed(&fd, g, err);
    rc = rc ? rc : ds_append_write(&g->a, fd, err);
    if (!rc && lseek(fd, 0, SEEK_SET) != 0)
        rc = ds_fail_errno(err, errno, "%s: what was gathered", path);
    if (!rc && !g->a.empty)
        rc = publish(g, fd, path, err);
    (void)ds_close(&fd, path, NULL);
    return rc;
}

/* ---- the input once more ---- */

/* Of what cannot be read twice a copy: *fd is then that one. */
static int keep_input(gather *g, int *fd, const char *path, ds_err *err)
{
    uint8_t buf[1 << 15];
    size_t got = sizeof buf;
    if (lseek(*fd, 0, SEEK_CUR) >= 0)
        return 0;
    int rc = open_unnamed(&g->kept, g, err);
    while (!rc && got == sizeof buf) {
        rc = ds_read_full(*fd, path, buf, sizeof buf, &got, err);
        rc = rc ? rc : ds_write_full(g->kept, path, buf, got, err);
    }
    if (!rc && lseek(g->kept, 0, SEEK_SET) != 0)
        rc = ds_fail_errno(err, errno, "%s: what was kept of it", path);
    *fd = g->kept;
    return rc;
}

/* The branch is not where the input was to go on, and nothing of the input is in a version. */
static bool is_overtaken(gather *g)
{
    const git_oid was = g->head;
    const bool was_there = g->exists;
    return !g->told && ref_of(g, g->o.branch, NULL) > 0 &&
           (!was_there || !git_oid_equal(&was, &g->head));
}

/* All of it, on what is there now. */
static int gather_all(gather *g, int fd, const char *path, const ds_gather_opts *o, ds_err *err)
{
    const bool limits = o->seconds || o->records || o->bytes;
    g->a = (ds_append){
        .seconds = o->seconds, .records = o->records, .bytes = o->bytes, .files = o->files};
    g->o.head = g->parent;
    g->o.fresh = false;
    int rc = ds_publish_check(g->store, &g->o, err);
    rc = rc ? rc : ds_append_open(&g->a, fd, path, err);
    if (!rc && g->append)
        rc = find_head(g, err);
    if (!rc && o->gapless && g->on)
        rc = read_ends(g, err);
    while (!rc && !g->a.over) {
        rc = open_tail(g, err);
        if (!rc)
            rc = limits ? gather_one(g, path, err) : pass_on(g, path, err);
        if (!rc && g->joined) /* else what libgit2 knows of packs grows with each version */
            rc = ds_catalog_reopen(g->store->cat, err);
        g->joined = false;
    }
    ds_append_fini(&g->a);
    ds_tail_fini(&g->tail);
    ds_sourceend_fini(&g->ends);
    g->tail = (ds_tail){0};
    g->ends = (ds_sourceend){0};
    return rc;
}

int ds_gather_run(ds_store *s, int fd, const char *path, const ds_publish_opts *o,
                  const ds_gather_opts *g, ds_gather_fn tell, void *ctx, ds_err *err)
{
    gather x = {.store = s,
                .o = *o,
                .append = g->append,
                .kept = -1,
                .parent = o->head,
                .tell = tell,
                .ctx = ctx};
    int rc = g->retry ? keep_input(&x, &fd, path, err) : 0;
    const off_t start = g->retry ? lseek(fd, 0, SEEK_CUR) : 0;
    for (bool again = !rc; again;) {
        ds_err why = {0};
        rc = gather_all(&x, fd, path, g, &why);
        /* Each time somebody else has got on, so all come to an end. */
        again = rc == DS_LOCKED && g->retry && is_overtaken(&x);
        if (again && lseek(fd, start, SEEK_SET) != start)
            again = false;
        if (rc && !again)
            ds_fail_as(err, &why);
    }
    (void)ds_close(&x.kept, path, NULL);
    return rc;
}
