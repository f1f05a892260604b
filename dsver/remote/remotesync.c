/* remotesync.c - what pushes and fetches share. See remotesync.h. */
#include "remotesync.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "io.h"
#include "pool.h"
#include "refs.h"
#include "runs.h"

const char *const ds_syncdid_name[] = {
    [DS_SYNC_SAME] = "same",       [DS_SYNC_NEW] = "new",       [DS_SYNC_MOVED] = "moved",
    [DS_SYNC_FORCED] = "forced",   [DS_SYNC_BEHIND] = "behind", [DS_SYNC_REJECTED] = "rejected",
    [DS_SYNC_DELETED] = "deleted",
};

int ds_link_open(ds_link *l, ds_store *s, const char *name, ds_err *err)
{
    *l = (ds_link){.store = s};
    int rc = ds_remoteconf_get(&l->conf, s->dir, name, err);
    rc = rc ? rc : ds_remoteconf_open(&l->remote, &l->conf, err);
    rc = rc ? rc : ds_remoteindex_open(&l->index, s->dir, l->conf.name, l->remote, err);
    if (rc)
        ds_link_close(l);
    return rc;
}

int ds_sync_check_url(const char *url, const char *catalog, ds_err *err)
{
    ds_remote_url u = {.s3 = false};
    char *cat = NULL, *sub = NULL;
    int rc = ds_remote_url_parse(&u, url, err);
    if (!rc && !u.s3 && !catalog) {
        rc = ds_store_path(&cat, u.path, "catalog.git", err);
        rc = rc ? rc : ds_store_path(&sub, u.path, DS_STORE_DIR, err);
        const bool store = !rc && (ds_store_is(u.path) || ds_store_is(sub));
        if (!rc && (store || !ds_path_exists(cat)))
            rc = ds_fail(err, DS_FAIL, "%s: %s", u.path,
                         store ? "is a store, and no remote: there, dsver remote add NAME URL and "
                                 "dsver push NAME make one (or copy the folder)"
                               : "no remote lies there (it has no catalog.git)");
    }
    ds_remote_url_fini(&u);
    free(cat);
    free(sub);
    return rc;
}

/* A look at the remote that is under way. */
struct ds_glance {
    pthread_t thread;
    ds_link *l;
    ds_remotestate state;
    int rc;
};

static void *look(void *arg)
{
    struct ds_glance *g = arg;
    ds_link *l = g->l;
    ds_err ignored = {0}; /* what fails is tried again by who asks for it */
    g->rc = ds_remoteindex_list(l->index, &ignored);
    if (!g->rc)
        (void)ds_ahead_begin(&l->ahead, l->store->objs, l->remote, l->index, &ignored);
    if (!g->rc)
        g->rc = ds_remoteindex_take(l->index, &g->state, &ignored);
    return NULL;
}

void ds_link_look(ds_link *l)
{
    struct ds_glance *g = calloc(1, sizeof *g);
    if (!g)
        return;
    g->l = l;
    if (ds_thread_begin(&g->thread, look, g))
        l->glance = g;
    else
        free(g);
}

int ds_link_looked(ds_link *l, ds_remotestate *state)
{
    struct ds_glance *g = l->glance;
    l->glance = NULL;
    if (!g)
        return 0;
    pthread_join(g->thread, NULL);
    const int well = g->rc == 0;
    *state = g->state;
    free(g);
    return well;
}

void ds_link_close(ds_link *l)
{
    ds_remotestate state;
    (void)ds_link_looked(l, &state);
    ds_ahead_free(l->ahead);
    ds_remoteindex_close(l->index);
    ds_remote_close(l->remote);
    ds_remoteconf_fini(&l->conf);
    ds_gitrefs_fini(&l->there);
    *l = (ds_link){.store = NULL};
}

/* The dataset and the rest of a ref: 'h' a branch, 't' a tag, 'r' a run; 0 none of them. */
static char split(const char *ref, const char **set, size_t *len, const char **rest)
{
    static const struct {
        const char *prefix;
        char kind;
    } kinds[] = {{DS_REF_PREFIX, 'h'}, {DS_REF_TAGS, 't'}, {DS_RUN_REFS, 'r'}};
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
        size_t n = strlen(kinds[i].prefix);
        if (strncmp(ref, kinds[i].prefix, n) != 0)
            continue;
        const char *slash = strchr(ref + n, '/');
        *set = ref + n;
        *len = slash ? (size_t)(slash - *set) : 0;
        *rest = slash ? slash + 1 : ref + n;
        return kinds[i].kind;
    }
    return 0;
}

static bool picks(const char *what, char kind, const char *set, size_t len, const char *rest)
{
    const char *at = strchr(what, '@');
    size_t n = at ? (size_t)(at - what) : strlen(what);
    if (n != len || memcmp(what, set, n) != 0)
        return false;
    return !at || (kind == 'h' && strcmp(at + 1, rest) == 0);
}

bool ds_sync_picks(const ds_sync_opts *o, const char *ref)
{
    const char *set, *rest;
    size_t len;
    char kind = split(ref, &set, &len, &rest);
    bool yes = kind && o->n == 0;
    for (size_t i = 0; kind && !yes && i < o->n; i++)
        yes = picks(o->what[i], kind, set, len, rest);
    return yes;
}

static bool has_branch(const ds_gitrefs *refs, const char *what)
{
    bool found = false;
    for (size_t i = 0; !found && i < refs->n; i++) {
        const char *set, *rest;
        size_t len;
        char kind = split(refs->v[i].name, &set, &len, &rest);
        found = kind == 'h' && picks(what, kind, set, len, rest);
    }
    return found;
}

int ds_sync_check_names(const ds_sync_opts *o, const ds_gitrefs *refs, const ds_gitrefs *more,
                        const char *where, ds_err *err)
{
    for (size_t i = 0; i < o->n; i++)
        if (!has_branch(refs, o->what[i]) && !(more && has_branch(more, o->what[i])))
            return ds_fail(err, DS_FAIL, "no branch of '%s' %s", o->what[i], where);
    return 0;
}

bool ds_sync_tracking(char out[DS_SYNC_TRACKING_MAX], const ds_link *l, const char *ref)
{
    const size_t pre = sizeof DS_REF_PREFIX - 1;
    if (strncmp(ref, DS_REF_PREFIX, pre) != 0)
        return false;
    snprintf(out, DS_SYNC_TRACKING_MAX, DS_REF_REMOTES "%s/%s", l->conf.name, ref + pre);
    return true;
}

const char *ds_sync_tracked(const ds_link *l, const char *ref)
{
    const size_t pre = sizeof DS_REF_REMOTES - 1, n = strlen(l->conf.name);
    return strncmp(ref, DS_REF_REMOTES, pre) == 0 && strncmp(ref + pre, l->conf.name, n) == 0 &&
                   ref[pre + n] == '/'
               ? ref + pre + n + 1
               : NULL;
}

bool ds_sync_has_object(ds_store *s, const git_oid *id)
{
    return git_odb_exists(ds_catalog_odb(s->cat), id) == 1;
}

int ds_sync_objects(ds_link *l, const ds_buf *ids, ds_err *err)
{
    ds_catalog *c = l->store->cat;
    int rc =
        ds_git_fetch(ds_catalog_dir(c), l->conf.catalog, (const git_oid *)(const void *)ids->data,
                     ids->len / sizeof(git_oid), err);
    if (!rc && git_odb_refresh(ds_catalog_odb(c)) < 0)
        rc = ds_fail(err, DS_IO, "the catalog cannot be read again");
    return rc;
}

int ds_sync_commit(ds_store *s, const git_oid *id, git_oid *commit, ds_err *err)
{
    git_object *o = NULL, *c = NULL;
    if (git_object_lookup(&o, ds_catalog_repo(s->cat), id, GIT_OBJECT_ANY) < 0)
        return ds_fail_git_read(err, "catalog object %s", git_oid_tostr_s(id));
    int rc = git_object_peel(&c, o, GIT_OBJECT_COMMIT) == 0;
    if (rc)
        *commit = *git_object_id(c);
    git_object_free(c);
    git_object_free(o);
    return rc;
}

int ds_sync_commits(ds_buf *commits, ds_link *l, const ds_gitrefs *there, ds_err *err)
{
    ds_buf lack = {0};
    int rc = 0;
    for (size_t i = 0; !rc && i < there->n; i++)
        if (!ds_sync_has_object(l->store, &there->v[i].id) &&
            ds_buf_put(&lack, &there->v[i].id, sizeof(git_oid)))
            rc = ds_fail_nomem(err);
    rc = rc ? rc : ds_sync_objects(l, &lack, err);
    for (size_t i = 0; !rc && i < there->n; i++) {
        git_oid commit;
        rc = ds_sync_commit(l->store, &there->v[i].id, &commit, err);
        if (rc > 0)
            rc = ds_buf_put(commits, &commit, sizeof commit) ? ds_fail_nomem(err) : 0;
    }
    ds_buf_fini(&lack);
    return rc;
}

int ds_sync_goes_on(ds_store *s, const git_oid *a, const git_oid *b, ds_err *err)
{
    git_oid x, y;
    int rc = ds_sync_commit(s, a, &x, err);
    if (rc > 0)
        rc = ds_sync_commit(s, b, &y, err);
    if (rc <= 0)
        return rc;
    if (git_oid_equal(&x, &y))
        return git_oid_equal(a, b);
    rc = git_graph_descendant_of(ds_catalog_repo(s->cat), &y, &x);
    return rc < 0 ? ds_fail_git_read(err, "catalog: its history cannot be followed") : rc;
}

/* 1 when it may go better now than it did, with `was`: what is known of the remote is of now. */
static int look_again(ds_remotestate *state, ds_link *l, int was, ds_err *err)
{
    const enum ds_avoid avoids = ds_remoteindex_avoid(l->index, DS_AVOID_NONE);
    const int rc = ds_remoteindex_refresh(l->index, state, err);
    (void)ds_remoteindex_avoid(l->index, avoids);
    return rc ? rc : !was || state->gone;
}

int ds_sync_get(ds_moved *out, ds_remotestate *state, ds_link *l, const ds_transfer *t,
                const ds_shaset *want, ds_err *err)
{
    ds_transfer anew = *t;
    ds_err why = {0};
    int rc = ds_transfer_fetch(out, t, want, &why);
    if (!rc && !out->missing)
        return 0;
    if (rc && rc != DS_CORRUPT)
        return ds_fail_as(err, &why);
    const int more = look_again(state, l, rc, rc ? NULL : err);
    if (more <= 0)
        return rc ? ds_fail_as(err, &why) : more;
    const ds_moved first = *out;
    anew.ahead = NULL;
    rc = ds_transfer_fetch(out, &anew, want, err);
    out->pieces += first.pieces;
    out->packs += first.packs;
    out->bytes += first.bytes;
    return rc;
}

static int pieces(ds_moved *out, ds_link *l, const ds_shaset *want, ds_err *err)
{
    ds_remotestate state;
    char hex[65];
    ds_transfer t = {.objs = l->store->objs, .remote = l->remote, .index = l->index};
    const enum ds_avoid avoids = ds_remoteindex_avoid(l->index, DS_AVOID_NEW);
    int rc = ds_remoteindex_refresh(l->index, &state, err);
    rc = rc ? rc : ds_sync_get(out, &state, l, &t, want, err);
    (void)ds_remoteindex_avoid(l->index, avoids);
    if (!rc && out->missing) {
        ds_sha_hex(hex, &out->first_missing);
        rc = ds_fail(err, DS_CORRUPT, "%s: lacks %llu of these pieces, first %s",
                     ds_remote_place(l->remote), (unsigned long long)out->missing, hex);
    }
    return rc;
}

int ds_sync_pieces(ds_moved *out, ds_link *l, const ds_shaset *want, ds_err *err)
{
    *out = (ds_moved){.pieces = 0};
    int rc = ds_objstore_hold(l->store->objs, err);
    if (rc)
        return rc;
    rc = pieces(out, l, want, err);
    ds_objstore_release(l->store->objs);
    return rc;
}
