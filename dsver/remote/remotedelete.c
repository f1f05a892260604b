/* remotedelete.c - branches and tags leave a remote. See remotesync.h. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "refs.h"
#include "remotesync.h"

typedef struct deleting {
    ds_link *l;
    const ds_sync_opts *o;
    ds_gitrefs there;
    ds_buf moves; /* ds_gitmove: names and places of `there` */
} deleting;

static const ds_gitmove *moves(const deleting *d, size_t *n)
{
    *n = d->moves.len / sizeof(ds_gitmove);
    return (const ds_gitmove *)(const void *)d->moves.data;
}

static bool goes(const deleting *d, const char *ref)
{
    size_t n;
    const ds_gitmove *m = moves(d, &n);
    for (size_t i = 0; i < n; i++)
        if (strcmp(m[i].name, ref) == 0)
            return true;
    return false;
}

static const ds_gitref *find(const deleting *d, const char *prefix, const char *what)
{
    const char *at = strchr(what, '@');
    const size_t pre = strlen(prefix), set = (size_t)(at - what);
    for (size_t i = 0; i < d->there.n; i++) {
        const char *name = d->there.v[i].name;
        if (strncmp(name, prefix, pre) == 0 && strncmp(name + pre, what, set) == 0 &&
            name[pre + set] == '/' && strcmp(name + pre + set + 1, at + 1) == 0)
            return &d->there.v[i];
    }
    return NULL;
}

/* The branch or the tag that is meant. */
static int add_move(deleting *d, const char *what, ds_err *err)
{
    const ds_gitref *branch = find(d, DS_REF_PREFIX, what), *tag = find(d, DS_REF_TAGS, what);
    const ds_gitref *r = branch ? branch : tag;
    if (!r)
        return ds_fail(err, DS_FAIL, "no branch or tag '%s' at '%s'", what, d->l->conf.name);
    if (branch && tag)
        return ds_fail(err, DS_FAIL,
                       "'%s' is a branch and a tag at '%s': git push %s :%s, or :%s, deletes one",
                       what, d->l->conf.name, d->l->conf.catalog, branch->name, tag->name);
    const ds_gitmove m = {.name = r->name, .from = r->id, .exists = true};
    return !goes(d, r->name) && ds_buf_put(&d->moves, &m, sizeof m) ? ds_fail_nomem(err) : 0;
}

/* What nobody here has seen is not deleted: a branch is where it was when last seen, a tag what it
 * is here; of one that is not here what it names is known at least. */
static int check_seen(const deleting *d, const ds_gitmove *m, ds_err *err)
{
    ds_store *s = d->l->store;
    char name[DS_SYNC_TRACKING_MAX];
    git_oid seen;
    const bool branch = ds_sync_tracking(name, d->l, m->name);
    const bool is_seen =
        git_reference_name_to_id(&seen, ds_catalog_repo(s->cat), branch ? name : m->name) == 0;
    if (is_seen ? git_oid_equal(&seen, &m->from) : ds_sync_has_object(s, &m->from))
        return 0;
    return ds_fail(err, DS_FAIL,
                   "%s at '%s' is %s (nothing was deleted): dsver fetch first, or push --delete "
                   "--force",
                   m->name, d->l->conf.name,
                   !is_seen ? "at what is not known here"
                   : branch ? "not where it was last seen"
                            : "another than here");
}

/* A dataset without branches is one that nobody who clones hears of. */
static int check_last(const deleting *d, const ds_gitmove *m, ds_err *err)
{
    const size_t pre = sizeof DS_REF_PREFIX - 1;
    if (strncmp(m->name, DS_REF_PREFIX, pre) != 0)
        return 0;
    const char *set = m->name + pre, *slash = strchr(set, '/');
    const size_t len = (size_t)(slash - m->name) + 1;
    for (size_t i = 0; i < d->there.n; i++)
        if (strncmp(d->there.v[i].name, m->name, len) == 0 && !goes(d, d->there.v[i].name))
            return 0;
    return ds_fail(err, DS_FAIL,
                   "%.*s@%s: no branch of '%.*s' would be left at '%s' (nothing was deleted; push "
                   "--delete --force deletes it)",
                   (int)(slash - set), set, slash + 1, (int)(slash - set), set, d->l->conf.name);
}

static int decide(deleting *d, ds_err *err)
{
    int rc = 0;
    size_t n;
    for (size_t i = 0; !rc && i < d->o->n; i++)
        rc = add_move(d, d->o->what[i], err);
    const ds_gitmove *m = moves(d, &n);
    for (size_t i = 0; !rc && !d->o->force && i < n; i++) {
        rc = check_last(d, &m[i], err);
        rc = rc ? rc : check_seen(d, &m[i], err);
    }
    return rc;
}

/* An entry for each: of a tag that is not here nothing else tells where it was. */
static int note(const deleting *d, const ds_gitmove *m, ds_err *err)
{
    char text[800];
    snprintf(text, sizeof text, "deletes %.560s of %.100s, at %s", m->name, d->l->conf.name,
             git_oid_tostr_s(&m->from));
    return ds_ref_note(d->l->store->cat, text, err);
}

/* Where it was when last seen is kept here as when a branch of ours is deleted. */
static int untrack(const deleting *d, const ds_gitmove *m, ds_err *err)
{
    ds_catalog *c = d->l->store->cat;
    char name[DS_SYNC_TRACKING_MAX];
    git_oid at;
    if (!ds_sync_tracking(name, d->l, m->name))
        return 0;
    int rc = ds_ref_get(c, name, &at, err);
    if (rc > 0)
        rc = ds_ref_drop(c, name, &at, err);
    return rc < 0 ? rc : 0; /* another process was faster: it knows better */
}

static int delete_there(const deleting *d, ds_err *err)
{
    ds_store *s = d->l->store;
    size_t n;
    const ds_gitmove *m = moves(d, &n);
    int rc = 0;
    for (size_t i = 0; !rc && i < n; i++)
        rc = note(d, &m[i], err);
    return rc ? rc : ds_git_push(ds_catalog_dir(s->cat), d->l->conf.catalog, m, n, err);
}

static int work(deleting *d, ds_synced *out, ds_err *err)
{
    size_t n;
    int rc = ds_git_refs(&d->there, d->l->conf.catalog, err);
    rc = rc ? rc : decide(d, err);
    rc = rc || d->o->dry_run ? rc : delete_there(d, err);
    if (rc)
        return rc;
    const ds_gitmove *m = moves(d, &n);
    out->refs = n;
    for (size_t i = 0; d->o->fn && i < n; i++) {
        const ds_syncref said = {.ref = m[i].name, .from = &m[i].from, .did = DS_SYNC_DELETED};
        d->o->fn(d->o->ctx, &said);
    }
    for (size_t i = 0; !rc && !d->o->dry_run && i < n; i++)
        rc = untrack(d, &m[i], err);
    return rc ? ds_err_prefix(err,
                              "deleted there, but not forgotten here (run dsver fetch --prune)")
              : 0;
}

int ds_sync_delete(ds_synced *out, ds_link *l, const ds_sync_opts *o, ds_err *err)
{
    deleting d = {.l = l, .o = o};
    *out = (ds_synced){.refs = 0};
    const int rc = work(&d, out, err);
    ds_gitrefs_fini(&d.there);
    ds_buf_fini(&d.moves);
    return rc;
}
