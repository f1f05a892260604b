/* tidy.c - see tidy.h. */
#include "tidy.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "io.h"
#include "oidset.h"
#include "refs.h"
#include "store.h"

enum {
    CATALOG_PACKS_MAX = 64,
    PACK_NAME = 5 + 40,      /* "pack-" and a SHA-1 */
    INDEX_IDS = 8 + 256 * 4, /* where an index file's ids begin: gitformat-pack(5) */
    INDEX_MAX = 1 << 30,
    WORTH = 4 /* packs are rewritten when one object in so many is to go */
};

struct ds_tidy {
    ds_catalog *cat;
    int64_t young;
    ds_oidset needed;
    ds_buf todo; /* git_oid, to be followed */
    bool loose;  /* what is followed may lead to what is not there */
};

/* ---- what refs lead to ---- */

static int need(ds_tidy *t, const git_oid *id, bool follow, ds_err *err)
{
    bool fresh = false;
    int rc = ds_oidset_add(&t->needed, id, &fresh, err);
    if (!rc && fresh && follow && ds_buf_put(&t->todo, id, sizeof *id))
        rc = ds_fail_nomem(err);
    return rc;
}

static int need_tree(ds_tidy *t, const git_tree *tree, ds_err *err)
{
    int rc = 0;
    for (size_t i = 0; !rc && i < git_tree_entrycount(tree); i++) {
        const git_tree_entry *e = git_tree_entry_byindex(tree, i);
        const git_object_t type = git_tree_entry_type(e);
        if (type != GIT_OBJECT_COMMIT) /* a submodule's is in another repository */
            rc = need(t, git_tree_entry_id(e), type == GIT_OBJECT_TREE, err);
    }
    return rc;
}

static int need_commit(ds_tidy *t, const git_commit *c, ds_err *err)
{
    int rc = need(t, git_commit_tree_id(c), true, err);
    for (unsigned i = 0; !rc && i < git_commit_parentcount(c); i++)
        rc = need(t, git_commit_parent_id(c, i), true, err);
    return rc;
}

static int follow(ds_tidy *t, ds_err *err)
{
    int rc = 0;
    while (!rc && t->todo.len) {
        git_object *o = NULL;
        git_oid id;
        t->todo.len -= sizeof id;
        memcpy(&id, t->todo.data + t->todo.len, sizeof id);
        if (git_object_lookup(&o, ds_catalog_repo(t->cat), &id, GIT_OBJECT_ANY) < 0) {
            if (t->loose)
                continue;
            return ds_fail(err, DS_CORRUPT, "catalog object %s cannot be read",
                           git_oid_tostr_s(&id));
        }
        switch (git_object_type(o)) {
        case GIT_OBJECT_COMMIT:
            rc = need_commit(t, (git_commit *)o, err);
            break;
        case GIT_OBJECT_TREE:
            rc = need_tree(t, (git_tree *)o, err);
            break;
        case GIT_OBJECT_TAG:
            rc = need(t, git_tag_target_id((git_tag *)o), true, err);
            break;
        default:
            break;
        }
        git_object_free(o);
    }
    return rc;
}

int ds_tidy_keep(ds_tidy *t, const git_oid *id, ds_err *err)
{
    int rc = need(t, id, true, err);
    return rc ? rc : follow(t, err);
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
    ds_oidset_fini(&t->needed);
    ds_buf_fini(&t->todo);
    free(t);
}

/* ---- the folder ---- */

typedef struct packdir {
    char *path;
    char **names; /* of packs, without their extensions */
    size_t n;
    char **junk; /* whole names of leftovers */
    size_t njunk;
} packdir;

static int add_name(char ***list, size_t *n, const char *name, size_t len, ds_err *err)
{
    char **l = realloc(*list, (*n + 1) * sizeof *l);
    if (!l)
        return ds_fail_nomem(err);
    *list = l;
    l[*n] = strndup(name, len);
    return l[*n] ? (++*n, 0) : ds_fail_nomem(err);
}

static void packdir_fini(packdir *d)
{
    for (size_t i = 0; i < d->n; i++)
        free(d->names[i]);
    for (size_t i = 0; i < d->njunk; i++)
        free(d->junk[i]);
    free(d->names);
    free(d->junk);
    free(d->path);
}

/* Temporaries of dead writers, this project's and libgit2's; an index without its pack. */
static bool is_junk(const char *dir, const char *name)
{
    if (strncmp(name, "tmp_", 4) == 0 || strncmp(name, "pack_git2_", 10) == 0)
        return true;
    size_t len = strlen(name);
    if (strncmp(name, "pack-", 5) != 0 || len != PACK_NAME + 4 ||
        strcmp(name + PACK_NAME, ".idx") != 0)
        return false;
    char *pack = NULL;
    bool junk = asprintf(&pack, "%s/%.*s.pack", dir, PACK_NAME, name) >= 0 && !ds_path_exists(pack);
    free(pack);
    return junk;
}

static int read_packdir(packdir *d, ds_catalog *c, ds_err *err)
{
    int rc = ds_store_path(&d->path, ds_catalog_dir(c), "objects/pack", err);
    DIR *dir = rc ? NULL : opendir(d->path);
    if (!rc && !dir)
        return ds_fail_errno(err, errno, "%s", d->path);
    for (struct dirent *e; !rc && (e = readdir(dir));) {
        if (is_junk(d->path, e->d_name))
            rc = add_name(&d->junk, &d->njunk, e->d_name, strlen(e->d_name), err);
        else if (strlen(e->d_name) == PACK_NAME + 5 && strcmp(e->d_name + PACK_NAME, ".pack") == 0)
            rc = add_name(&d->names, &d->n, e->d_name, PACK_NAME, err);
    }
    if (dir)
        closedir(dir);
    return rc;
}

static int unlink_in(const char *dir, const char *name, const char *ext, ds_err *err)
{
    char *path = NULL;
    if (asprintf(&path, "%s/%s%s", dir, name, ext) < 0)
        return ds_fail_nomem(err);
    int rc = ds_io_active->unlink(path) && errno != ENOENT
                 ? ds_fail_errno(err, errno, "%s: cannot remove", path)
                 : 0;
    free(path);
    return rc;
}

/* All objects of a young pack are needed, and what they lead to: whoever wrote them did not write
 * again what was there. */
static int need_young(ds_tidy *t, const packdir *d, ds_err *err)
{
    ds_buf b = {0};
    int rc = 0;

    t->loose = true;
    for (size_t i = 0; !rc && i < d->n; i++) {
        char *path = NULL;
        struct stat st;
        if (asprintf(&path, "%s/%s.idx", d->path, d->names[i]) < 0)
            return ds_fail_nomem(err);
        if (stat(path, &st) == 0 && st.st_mtime > t->young) {
            rc = ds_read_file(&b, path, INDEX_MAX, err);
            const size_t room = b.len > INDEX_IDS ? (b.len - INDEX_IDS) / GIT_OID_RAWSZ : 0;
            const uint8_t *n = b.data ? b.data + INDEX_IDS - 4 : NULL;
            const size_t count =
                !rc && room ? (size_t)n[0] << 24 | (size_t)n[1] << 16 | (size_t)n[2] << 8 | n[3]
                            : 0;
            if (!rc && count > room)
                rc = ds_fail(err, DS_CORRUPT, "%s: not a whole index", path);
            for (size_t k = 0; !rc && k < count; k++) {
                git_oid id;
                git_oid_fromraw(&id, b.data + INDEX_IDS + k * GIT_OID_RAWSZ);
                rc = need(t, &id, true, err);
            }
        }
        free(path);
    }
    ds_buf_fini(&b);
    rc = rc ? rc : follow(t, err);
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
    c->idle += !ds_oidset_has(&c->t->needed, id);
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
    if (!ds_oidset_has(&c->t->needed, id))
        return 0;
    if (git_odb_read(&o, c->odb, id) < 0)
        return ds_fail(c->err, DS_CORRUPT, "catalog object %s cannot be read", git_oid_tostr_s(id));
    int rc = ds_gitpack_put(c->pack, &got, git_odb_object_type(o), git_odb_object_data(o),
                            git_odb_object_size(o), c->err);
    git_odb_object_free(o);
    return rc;
}

/* What is needed into one pack; then the old ones go, index first: git finds packs by their
 * indexes. */
static int join_packs(const ds_tidy *t, const packdir *d, ds_err *err)
{
    copy k = {.t = t, .odb = ds_catalog_odb(t->cat), .err = err};
    int rc = ds_catalog_pack(&k.pack, t->cat, err);
    if (!rc) {
        ds_gitpack_keep_all(k.pack);
        rc = git_odb_foreach(k.odb, copy_object, &k);
        if (rc && !err->code)
            rc = ds_fail(err, DS_CORRUPT, "%s: its objects cannot be listed", d->path);
    }
    if (!rc)
        rc = ds_gitpack_publish(k.pack, err);
    for (size_t i = 0; !rc && i < d->n; i++) {
        if (strcmp(d->names[i], ds_gitpack_name(k.pack)) == 0)
            continue;
        rc = unlink_in(d->path, d->names[i], ".idx", err);
        if (!rc)
            rc = unlink_in(d->path, d->names[i], ".pack", err);
    }
    ds_gitpack_free(k.pack);
    return rc;
}

int ds_tidy_run(ds_tidy *t, bool dry_run, ds_tidied *out, ds_err *err)
{
    packdir d = {0};
    census c = {.t = t};
    *out = (ds_tidied){0};
    int rc = ds_ref_each_raw(t->cat, from_ref, t, err);
    rc = rc ? rc : read_packdir(&d, t->cat, err);
    rc = rc ? rc : need_young(t, &d, err);
    if (!rc && git_odb_foreach(ds_catalog_odb(t->cat), count, &c) < 0)
        rc = ds_fail(err, DS_CORRUPT, "%s: its objects cannot be listed", d.path);
    out->leftovers = d.njunk;
    for (size_t i = 0; !rc && !dry_run && i < d.njunk; i++)
        rc = unlink_in(d.path, d.junk[i], "", err);
    if (!rc && (d.n > CATALOG_PACKS_MAX || c.idle > c.all / WORTH)) {
        out->joined = d.n;
        out->pruned = c.idle;
        rc = dry_run ? 0 : join_packs(t, &d, err);
    }
    packdir_fini(&d);
    return rc;
}
