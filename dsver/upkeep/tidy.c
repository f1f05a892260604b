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

static uint64_t count_idle(const ds_tidy *t, const git_oid *ids, size_t n)
{
    uint64_t idle = 0;
    for (size_t i = 0; i < n; i++)
        idle += !ds_oidset_has(&t->walk.needed, &ids[i]);
    return idle;
}

/* What is needed into one pack; then the old ones go, index first: git finds packs by their
 * indexes. */
static int join_packs(const ds_tidy *t, const ds_packdir *d, const git_oid *ids, size_t n,
                      ds_err *err)
{
    ds_gitpack *pack = NULL;
    int rc = ds_catalog_pack(&pack, t->cat, err);
    if (!rc)
        ds_gitpack_keep_all(pack);
    for (size_t i = 0; !rc && i < n; i++)
        if (ds_oidset_has(&t->walk.needed, &ids[i]))
            rc = ds_gitpack_copy(pack, &ids[i], err);
    if (!rc)
        rc = ds_gitpack_publish(pack, err);
    for (size_t i = 0; !rc && i < d->names.n; i++) {
        if (strcmp(d->names.v[i], ds_gitpack_name(pack)) == 0)
            continue;
        rc = ds_packdir_unlink(d, d->names.v[i], ".idx", err);
        if (!rc)
            rc = ds_packdir_unlink(d, d->names.v[i], ".pack", err);
    }
    ds_gitpack_free(pack);
    return rc;
}

int ds_tidy_run(ds_tidy *t, bool dry_run, ds_tidied *out, ds_err *err)
{
    ds_packdir d = {0};
    ds_buf all = {0};
    *out = (ds_tidied){0};
    int rc = ds_ref_each_raw(t->cat, from_ref, t, err);
    rc = rc ? rc : ds_packdir_read(&d, ds_catalog_dir(t->cat), err);
    rc = rc ? rc : need_young(t, &d, err);
    rc = rc ? rc : ds_catalog_objects(&all, t->cat, err);
    const git_oid *ids = (const git_oid *)(const void *)all.data;
    const size_t n = all.len / sizeof *ids;
    const uint64_t idle = rc ? 0 : count_idle(t, ids, n);
    out->leftovers = d.junk.n;
    for (size_t i = 0; !rc && !dry_run && i < d.junk.n; i++)
        rc = ds_packdir_unlink(&d, d.junk.v[i], "", err);
    if (!rc && (d.names.n > CATALOG_PACKS_MAX || idle > n / WORTH)) {
        out->joined = d.names.n;
        out->pruned = idle;
        rc = dry_run ? 0 : join_packs(t, &d, ids, n, err);
    }
    ds_buf_fini(&all);
    ds_packdir_fini(&d);
    return rc;
}
