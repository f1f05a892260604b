/* remotefetch.c - versions from a remote. See remotesync.h.
 *
 * Git's objects come first, without a ref that leads to them; then the pieces; then the refs.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "child.h"
#include "needed.h"
#include "overlay.h"
#include "packjoin.h"
#include "refs.h"
#include "remoteerase.h"
#include "remotesync.h"

typedef struct fetching {
    ds_link *l;
    const ds_sync_opts *o;
    ds_synced *out;
    ds_gitrefs seen; /* the picked of its branches, where they were when last seen */
    ds_buf tips;     /* git_oid: commits of what is picked */
    char first[320];
    bool looked; /* the remote was looked at, before its refs were */
    ds_remotestate state;
} fetching;

static void say(fetching *f, const char *ref, const git_oid *from, const git_oid *to,
                enum ds_syncdid did)
{
    ds_syncref r = {.ref = ref, .from = from, .to = to, .did = did};
    if (f->o->fn)
        f->o->fn(f->o->ctx, &r);
    f->out->refs += did == DS_SYNC_NEW || did == DS_SYNC_MOVED || did == DS_SYNC_FORCED ||
                    did == DS_SYNC_DELETED;
    if (did == DS_SYNC_REJECTED && f->out->rejected++ == 0)
        snprintf(f->first, sizeof f->first, "%.300s", ref);
}

/* ---- objects of the catalog ---- */

static int fetch_objects(fetching *f, ds_err *err)
{
    ds_store *s = f->l->store;
    ds_buf lack = {0};
    int rc = 0;
    for (size_t i = 0; !rc && i < f->l->there.n; i++)
        if ((ds_sync_picks(f->o, f->l->there.v[i].name) ||
             strcmp(f->l->there.v[i].name, DS_REF_ERASED) == 0) &&
            !ds_sync_has_object(s, &f->l->there.v[i].id) &&
            ds_buf_put(&lack, &f->l->there.v[i].id, sizeof(git_oid)))
            rc = ds_fail_nomem(err);
    rc = rc ? rc : ds_sync_objects(f->l, &lack, err);
    ds_buf_fini(&lack);
    return rc;
}

static int find_tips(fetching *f, ds_err *err)
{
    int rc = 0;
    for (size_t i = 0; !rc && i < f->l->there.n; i++) {
        git_oid commit;
        if (!ds_sync_picks(f->o, f->l->there.v[i].name))
            continue;
        rc = ds_sync_commit(f->l->store, &f->l->there.v[i].id, &commit, err);
        if (rc > 0)
            rc = ds_buf_put(&f->tips, &commit, sizeof commit) ? ds_fail_nomem(err) : 0;
    }
    return rc;
}

/* ---- pieces ---- */

static int fetch_pieces(fetching *f, ds_err *err)
{
    ds_link *l = f->l;
    ds_shaset want = {0};
    ds_buf haves = {0};
    char hex[65];
    ds_transfer t = {
        .objs = l->store->objs, .remote = l->remote, .index = l->index, .ahead = l->ahead};
    int rc = f->o->all ? 0 : ds_ref_commits(&haves, l->store->cat, err);
    rc = rc ? rc
            : ds_needed_find(
                  &want, &f->out->versions, l->store, (const git_oid *)(const void *)f->tips.data,
                  f->tips.len / sizeof(git_oid), (const git_oid *)(const void *)haves.data,
                  haves.len / sizeof(git_oid), err);
    if (!rc && want.n && !f->looked)
        rc = ds_remoteindex_refresh(l->index, &f->state, err);
    if (!rc && want.n)
        rc = ds_sync_get(&f->out->moved, &f->state, l, &t, &want, err);
    if (!rc && f->out->moved.missing) {
        ds_sha_hex(hex, &f->out->moved.first_missing);
        rc = ds_fail(err, DS_CORRUPT,
                     "%s: lacks %llu pieces that its versions need, first %s%s%s; no ref was moved",
                     ds_remote_place(l->remote), (unsigned long long)f->out->moved.missing, hex,
                     f->state.damaged ? "; damaged there: " : "", f->state.first);
    }
    ds_shaset_fini(&want);
    ds_buf_fini(&haves);
    return rc;
}

/* ---- refs ---- */

/* What a ref of ours was at, before it goes where its remote did not go on from that. */
static int keep(fetching *f, const char *name, const git_oid *at, ds_err *err)
{
    git_oid commit;
    int rc = ds_sync_commit(f->l->store, at, &commit, err);
    return rc > 0 ? ds_ref_keep(f->l->store->cat, name, &commit, err) : rc;
}

/* Moves a ref of ours. may_leave: it goes wherever the remote's is. */
static int follow(fetching *f, const char *name, const git_oid *to, bool may_leave, bool may_go_on,
                  ds_err *err)
{
    ds_catalog *c = f->l->store->cat;
    git_oid at;
    for (int tries = 0; tries < 100; tries++) {
        bool there = git_reference_name_to_id(&at, ds_catalog_repo(c), name) == 0;
        enum ds_syncdid did = there ? DS_SYNC_REJECTED : DS_SYNC_NEW;
        int rc = 0;
        if (there && git_oid_equal(&at, to)) {
            did = DS_SYNC_SAME;
        } else if (there) {
            rc = may_go_on ? ds_sync_goes_on(f->l->store, &at, to, err) : 0;
            if (rc > 0)
                did = DS_SYNC_MOVED;
            else if (rc == 0 && may_go_on &&
                     (rc = ds_sync_goes_on(f->l->store, to, &at, err)) > 0 && !may_leave)
                did = DS_SYNC_BEHIND;
            else if (may_leave)
                did = DS_SYNC_FORCED;
        }
        if (rc >= 0 && did == DS_SYNC_FORCED)
            rc = keep(f, name, &at, err);
        if (rc >= 0 && (did == DS_SYNC_NEW || did == DS_SYNC_MOVED || did == DS_SYNC_FORCED))
            rc = ds_ref_move(c, name, there ? &at : NULL, to, err);
        else if (rc >= 0)
            rc = 1;
        if (rc < 0)
            return rc;
        if (rc > 0) {
            say(f, name, there ? &at : NULL, to, did);
            return 0;
        }
    }
    return ds_fail(err, DS_LOCKED, "%s: others keep moving it", name);
}

static int add_seen(void *ctx, const char *name, const git_oid *id, ds_err *err)
{
    fetching *f = ctx;
    const char *branch = ds_sync_tracked(f->l, name);
    char *ref = NULL;
    if (!branch || !strchr(branch, '/')) /* git's own "HEAD" is of no dataset */
        return 0;
    if (asprintf(&ref, DS_REF_PREFIX "%s", branch) < 0)
        return ds_fail_nomem(err);
    if (ds_sync_picks(f->o, ref))
        return ds_gitrefs_add(&f->seen, ref, id, err);
    free(ref);
    return 0;
}

/* Before others move: a branch that is gone may be in the way of one below its name. */
static int prune(fetching *f, ds_err *err)
{
    int rc = 0;
    for (size_t i = 0; !rc && i < f->seen.n; i++) {
        const ds_gitref *r = &f->seen.v[i];
        char name[DS_SYNC_TRACKING_MAX];
        if (ds_gitrefs_find(&f->l->there, r->name) || !ds_sync_tracking(name, f->l, r->name))
            continue;
        rc = ds_ref_drop(f->l->store->cat, name, &r->id, err);
        if (rc > 0)
            say(f, name, &r->id, NULL, DS_SYNC_DELETED);
        rc = rc < 0 ? rc : 0; /* one that moved meanwhile is there again */
    }
    return rc;
}

/* What a ref of the remote is here; NULL: it is not wanted. local: as a branch of ours. */
static const char *name_here(const fetching *f, const char *ref, bool local,
                             char name[DS_SYNC_TRACKING_MAX])
{
    if (!ds_sync_picks(f->o, ref))
        return NULL;
    const bool tracked = ds_sync_tracking(name, f->l, ref);
    return local ? (tracked ? ref : NULL) : tracked ? name : ref;
}

typedef struct newrefs {
    ds_newref *v; /* sorted by name */
    size_t n;
} newrefs;

static void newrefs_fini(newrefs *r)
{
    for (size_t i = 0; i < r->n; i++)
        free((char *)(uintptr_t)r->v[i].name);
    free(r->v);
}

static bool was_made(const newrefs *r, const char *name)
{
    const ds_newref key = {.name = name};
    const ds_newref *v = r->n ? bsearch(&key, r->v, r->n, sizeof key, ds_newref_cmp) : NULL;
    return v && v->made;
}

/* Many that are new here are made together; what is not made is left to follow. */
static int make_new(newrefs *r, fetching *f, bool local, ds_err *err)
{
    const size_t all = f->l->there.n;
    *r = (newrefs){.v = calloc(all + 1, sizeof *r->v)};
    int rc = r->v ? 0 : ds_fail_nomem(err);
    for (size_t i = 0; !rc && i < all; i++) {
        char buf[DS_SYNC_TRACKING_MAX];
        git_oid at;
        const char *name = name_here(f, f->l->there.v[i].name, local, buf);
        if (!name ||
            git_reference_name_to_id(&at, ds_catalog_repo(f->l->store->cat), name) != GIT_ENOTFOUND)
            continue;
        r->v[r->n] = (ds_newref){.name = strdup(name), .to = f->l->there.v[i].id};
        rc = r->v[r->n++].name ? 0 : ds_fail_nomem(err);
    }
    if (!rc && r->n < DS_REF_MANY) {
        newrefs_fini(r);
        *r = (newrefs){0};
    }
    return rc ? rc : ds_ref_make(f->l->store->cat, r->v, r->n, err);
}

/* Every ref that is wanted, as it is called here; local: as a branch of ours. */
static int each_wanted(fetching *f, bool local, ds_err *err)
{
    newrefs new;
    int rc = make_new(&new, f, local, err);
    for (size_t i = 0; !rc && i < f->l->there.n; i++) {
        const ds_gitref *r = &f->l->there.v[i];
        char buf[DS_SYNC_TRACKING_MAX];
        const char *name = name_here(f, r->name, local, buf);
        const bool tracked = name == buf,
                   tag = strncmp(r->name, DS_REF_TAGS, sizeof DS_REF_TAGS - 1) == 0;
        if (name && was_made(&new, name))
            say(f, name, NULL, &r->id, DS_SYNC_NEW);
        else if (name)
            rc = follow(f, name, &r->id, tracked || (!local && f->o->force), !tag, err);
    }
    newrefs_fini(&new);
    return rc;
}

/* Before pieces: what was erased is not to be had any more. */
static int fetch_erasures(fetching *f, ds_err *err)
{
    enum ds_syncdid did;
    const git_oid *to = ds_gitrefs_find(&f->l->there, DS_REF_ERASED);
    int rc = ds_erasure_fetch(&did, f->l, &f->l->there, f->o->lazy, err);
    if (!rc && to && did != DS_SYNC_SAME)
        say(f, DS_REF_ERASED, NULL, to, did);
    return rc;
}

static int look_there(ds_link *l, ds_err *err)
{
    ds_gitrefs_fini(&l->there);
    return ds_git_refs(&l->there, l->conf.catalog, err);
}

static int fetch(fetching *f, ds_err *err)
{
    if (f->o->anew && !f->o->lazy)
        ds_link_look(f->l);
    int rc = look_there(f->l, err);
    if (!rc && f->o->prune)
        rc = ds_ref_each(f->l->store->cat, add_seen, f, err);
    rc = rc ? rc : ds_sync_check_names(f->o, &f->l->there, &f->seen, "there", err);
    rc = rc ? rc : fetch_objects(f, err);
    f->looked = ds_link_looked(f->l, &f->state);
    if (!rc && f->o->prune)
        rc = prune(f, err);
    rc = rc ? rc : fetch_erasures(f, err);
    rc = rc ? rc : find_tips(f, err);
    if (!rc && !f->o->lazy)
        rc = fetch_pieces(f, err);
    rc = rc ? rc : each_wanted(f, false, err);
    if (!rc && f->out->rejected)
        rc = ds_fail(err, DS_FAIL,
                     "%s: is another here than at the remote (%llu such, left as they are; --force "
                     "takes the remote's)",
                     f->first, (unsigned long long)f->out->rejected);
    return rc;
}

static int with_hold(int (*fn)(fetching *f, ds_err *err), fetching *f, ds_err *err)
{
    *f->out = (ds_synced){.refs = 0};
    int rc = ds_objstore_hold(f->l->store->objs, err);
    if (rc)
        return rc;
    rc = fn(f, err);
    if (!rc) /* git has written one more; the versions are here, whatever comes of it */
        (void)ds_packjoin(f->l->store->cat, f->l->store->dir, NULL);
    ds_objstore_release(f->l->store->objs);
    ds_gitrefs_fini(&f->seen);
    ds_buf_fini(&f->tips);
    return rc;
}

int ds_sync_fetch(ds_synced *out, ds_link *l, const ds_sync_opts *o, ds_err *err)
{
    fetching f = {.l = l, .o = o, .out = out};
    const enum ds_avoid avoids = ds_remoteindex_avoid(l->index, DS_AVOID_NEW);
    int rc = with_hold(fetch, &f, err);
    (void)ds_remoteindex_avoid(l->index, avoids);
    ds_err lost = {0};
    int settled = ds_erasure_settle(l->store, rc ? &lost : err);
    return rc ? rc : settled;
}

static int fetch_only_erasures(fetching *f, ds_err *err)
{
    ds_sync_opts none = {.lazy = f->l->conf.lazy};
    char *const nothing[] = {ds_child_arg("")};
    none.what = nothing;
    none.n = 1;
    f->o = &none;
    int rc = look_there(f->l, err);
    rc = rc ? rc : fetch_objects(f, err);
    return rc ? rc : fetch_erasures(f, err);
}

int ds_sync_erasures(ds_link *l, ds_err *err)
{
    ds_synced out;
    fetching f = {.l = l, .out = &out};
    int rc = with_hold(fetch_only_erasures, &f, err);
    return rc ? rc : ds_erasure_settle(l->store, err);
}

/* ---- local branches ---- */

static int branches(fetching *f, ds_err *err)
{
    int rc = each_wanted(f, true, err);
    if (!rc && f->out->rejected) {
        const char *set = f->first + sizeof DS_REF_PREFIX - 1, *slash = strchr(set, '/');
        const char *branch = slash ? slash + 1 : "";
        int len = slash ? (int)(slash - set) : 0;
        rc = ds_fail(err, DS_FAIL, "%.*s@%s and %s's have both gone on: dsver merge %.*s@%s %s/%s",
                     len, set, branch, f->l->conf.name, len, set, branch, f->l->conf.name, branch);
    }
    return rc;
}

int ds_sync_branches(ds_synced *out, ds_link *l, const ds_sync_opts *o, ds_err *err)
{
    fetching f = {.l = l, .o = o, .out = out};
    return with_hold(branches, &f, err);
}
