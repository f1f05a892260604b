/* tidy.c - see tidy.h. */
#include "tidy.h"

#include <stdlib.h>
#include <string.h>

#include "gitwalk.h"
#include "packdir.h"
#include "refs.h"

enum {
    CATALOG_PACKS_MAX = 64,
    WORTH = 4 /* packs are rewritten when one object in so many is to go */
};

struct ds_tidy {
    ds_catalog *cat;
    int64_t young;
    ds_gitwalk walk; /* what refs lead to */
    bool loose;      /* what is followed may lead to what is not there */
};

/* ---- what refs lead to ---- */

static int find(void *ctx, git_object **o, const git_oid *id, ds_err *err)
{
    const ds_tidy *t = ctx;
    if (git_object_lookup(o, ds_catalog_repo(t->cat), id, GIT_OBJECT_ANY) == 0)
        return 1;
    return t->loose
               ? 0
               : ds_fail(err, DS_CORRUPT, "catalog object %s cannot be read", git_oid_tostr_s(id));
}

int ds_tidy_keep(ds_tidy *t, const git_oid *id, ds_err *err)
{
    int rc = ds_gitwalk_add(&t->walk, id, err);
    return rc ? rc : ds_gitwalk_run(&t->walk, err);
}

static int from_ref(void *ctx, const char *name, const git_oid *id, ds_err *err)
{
    (void)name;
    return ds_tidy_keep(ctx, id, err);
}

int ds_tidy_new(ds_tidy **out, ds_catalog *c, int64_t young, ds_err *err)
{
    ds_tidy *t = calloc(1, sizeof *t);
    if (!t)
        return ds_fail_nomem(err);
    t->cat = c;
    t->young = young;
    t->walk.find = find;
    t->walk.ctx = t;
    int rc = ds_ref_each_raw(c, from_ref, t, err);
    if (rc)
        ds_tidy_free(t);
    else
        *out = t;
    return rc;
}

void ds_tidy_free(ds_tidy *t)
{
    if (!t)
        return;
    ds_gitwalk_fini(&t->walk);
    free(t);
}

/* All objects of a young pack are needed, and what they lead to: whoever wrote them did not write
 * again what was there. */
static int need_young(ds_tidy *t, const ds_packdir *d, ds_err *err)
{
    ds_buf ids = {0};
    int rc = 0;

    t->loose = true;
    for (size_t i = 0; !rc && i < d->names.n; i++) {
        rc = ds_packdir_ids(&ids, d, d->names.v[i], t->young, err);
        for (size_t at = 0; !rc && at < ids.len; at += sizeof(git_oid))
            rc = ds_gitwalk_add(&t->walk, (const git_oid *)(const void *)(ids.data + at), err);
    }
    ds_buf_fini(&ids);
    rc = rc ? rc : ds_gitwalk_run(&t->walk, err);
    t->loose = false;
    return rc;
}

typedef struct census {
    const ds_tidy *t;
    uint64_t all, idle;
} census;

static int count(const git_oid *id, void *ctx)
{
    census *c = ctx;
    c->all++;
    c->idle += !ds_oidset_has(&c->t->walk.needed, id);
    return 0;
}

typedef struct copy {
    const ds_tidy *t;
    ds_gitpack *pack;
    git_odb *odb;
    ds_err *err;
} copy;

static int copy_object(const git_oid *id, void *ctx)
{
    copy *c = ctx;
    git_odb_object *o = NULL;
    git_oid got;
    if (!ds_oidset_has(&c->t->walk.needed, id))
        return 0;
    if (git_odb_read(&o, c->odb, id) < 0)
        return ds_fail_git_read(c->err, "catalog object %s", git_oid_tostr_s(id));
    int rc = ds_gitpack_put(c->pack, &got, git_odb_object_type(o), git_odb_object_data(o),
                            git_odb_object_size(o), c->err);
    git_odb_object_free(o);
    return rc;
}

/* What is needed into one pack; then the old ones go, index first: git finds packs by their
 * indexes. */
static int join_packs(const ds_tidy *t, const ds_packdir *d, ds_err *err)
{
    copy k = {.t = t, .odb = ds_catalog_odb(t->cat), .err = err};
    int rc = ds_catalog_pack(&k.pack, t->cat, err);
    if (!rc) {
        ds_gitpack_keep_all(k.pack);
        rc = git_odb_foreach(k.odb, copy_object, &k);
        if (rc && !err->code)
            rc = ds_fail_git_read(err, "%s: its objects cannot be listed", d->path);
    }
    if (!rc)
        rc = ds_gitpack_publish(k.pack, err);
    for (size_t i = 0; !rc && i < d->names.n; i++) {
        if (strcmp(d->names.v[i], ds_gitpack_name(k.pack)) == 0)
            continue;
        rc = ds_packdir_unlink(d, d->names.v[i], ".idx", err);
        if (!rc)
            rc = ds_packdir_unlink(d, d->names.v[i], ".pack", err);
    }
    ds_gitpack_free(k.pack);
    return rc;
}

int ds_tidy_run(ds_tidy *t, bool dry_run, ds_tidied *out, ds_err *err)
{
    ds_packdir d = {0};
    census c = {.t = t};
    *out = (ds_tidied){0};
    int rc = ds_ref_each_raw(t->cat, from_ref, t, err);
    rc = rc ? rc : ds_packdir_read(&d, ds_catalog_dir(t->cat), err);
    rc = rc ? rc : need_young(t, &d, err);
    if (!rc && git_odb_foreach(ds_catalog_odb(t->cat), count, &c) < 0)
        rc = ds_fail_git_read(err, "%s: its objects cannot be listed", d.path);
    out->leftovers = d.junk.n;
    for (size_t i = 0; !rc && !dry_run && i < d.junk.n; i++)
        rc = ds_packdir_unlink(&d, d.junk.v[i], "", err);
    if (!rc && (d.names.n > CATALOG_PACKS_MAX || c.idle > c.all / WORTH)) {
        out->joined = d.names.n;
        out->pruned = c.idle;
        rc = dry_run ? 0 : join_packs(t, &d, err);
    }
    ds_packdir_fini(&d);
    return rc;
}
