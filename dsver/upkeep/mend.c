/* mend.c - see mend.h. */
#include "mend.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "child.h"
#include "gitwalk.h"
#include "io.h"
#include "objstore.h"
#include "packdir.h"
#include "refs.h"
#include "rmtree.h"
#include "sig.h"
#include "storefind.h"
#include "strlist.h"

/* Folder in the catalog: packs that are being read as far as they can be. */
#define ASIDE "damaged"

typedef struct mend {
    const char *store, *reason;
    ds_catalog *cat, *from;
    ds_gitpack *pack; /* what is put in */
    ds_buf healed;    /* git_oid */
    ds_buf refs;      /* ds_mendref: to be put back once all they lead to is here */
    ds_mended *out;
} mend;

/* ---- the repository ---- */

/* What git needs to see a repository at all; a damaged one stays beside it. */
static int set_aside(const char *dir, const char *name, ds_err *err)
{
    char *path = NULL, *to = NULL;
    int rc = asprintf(&path, "%s/%s", dir, name) < 0 ? (path = NULL, ds_fail_nomem(err)) : 0;
    if (!rc && asprintf(&to, "%s.damaged", path) < 0) {
        to = NULL;
        rc = ds_fail_nomem(err);
    }
    if (!rc && ds_path_exists(path) && ds_io_active->rename(path, to) != 0)
        rc = ds_fail(err, DS_IO, "%s: cannot be renamed", path);
    free(path);
    free(to);
    return rc;
}

static int open_catalog(mend *m, ds_err *err)
{
    char *dir = NULL, *objects = NULL;
    int rc = ds_git_begin(err);
    rc = rc ? rc : ds_store_path(&dir, m->store, "catalog.git", err);
    rc = rc ? rc : ds_store_path(&objects, dir, "objects", err);
    m->out->made = !rc && !ds_path_exists(objects);
    if (!rc && ds_catalog_closed(dir)) {
        rc = set_aside(dir, "config", err);
        rc = rc ? rc : set_aside(dir, "HEAD", err);
        rc = rc ? rc : ds_catalog_create(dir, err);
        m->out->files++;
    }
    rc = rc ? rc : ds_catalog_open(&m->cat, m->store, err);
    free(objects);
    free(dir);
    return rc;
}

/* ---- packs ---- */

/* Whether a file of a pack is there and what it was when it was written. */
static int is_whole(bool *whole, const ds_packdir *d, const char *name, const char *ext,
                    ds_err *err)
{
    char *path = NULL;
    ds_err why = {0};
    if (asprintf(&path, "%s/%s%s", d->path, name, ext) < 0)
        return ds_fail_nomem(err);
    const int rc = ds_path_exists(path) ? ds_gitpack_verify(path, &why) : DS_CORRUPT;
    free(path);
    *whole = rc == 0;
    return rc == 0 || rc == DS_CORRUPT ? 0 : ds_fail_as(err, &why);
}

/* Runs git with the catalog as its repository, fed from the file `input`; what it says is an error
 * when it fails, unless `best`: it does what it can. */
static int run_git(const mend *m, const char *verb, const char *arg, const char *input, bool best,
                   ds_err *err)
{
    char *dir = NULL;
    ds_buf text = {0}, bad = {0};
    int status = 0, in = -1;
    if (asprintf(&dir, "--git-dir=%s", ds_catalog_dir(m->cat)) < 0)
        return ds_fail_nomem(err);
    char *argv[] = {ds_child_arg("git"), dir, ds_child_arg(verb), ds_child_arg(arg), NULL};
    int rc = ds_open(&in, input, O_RDONLY, 0, err);
    rc = rc ? rc : ds_child_feed(argv, in, &text, &bad, &status, err);
    (void)ds_close(&in, input, NULL);
    if (!rc && status && !best)
        rc = ds_fail(err, DS_CORRUPT, "git %s %s: %s", verb, arg, ds_child_said(&bad));
    free(dir);
    ds_buf_fini(&text);
    ds_buf_fini(&bad);
    return rc;
}

static int index_anew(const mend *m, const ds_packdir *d, const char *name, ds_err *err)
{
    char *path = NULL;
    int rc = ds_packdir_unlink(d, name, ".idx", err);
    if (!rc && asprintf(&path, "%s/%s.pack", d->path, name) < 0) {
        path = NULL;
        rc = ds_fail_nomem(err);
    }
    rc = rc ? rc : run_git(m, "index-pack", path, "/dev/null", false, err);
    free(path);
    return rc;
}

static int put(mend *m, git_odb *odb, const git_oid *id, bool *there, ds_err *err)
{
    git_odb_object *o = NULL;
    git_oid got;
    int rc = git_odb_read(&o, odb, id); /* hashes what it reads */
    *there = rc == 0;
    const git_error *why = rc < 0 ? git_error_last() : NULL;
    if (why && (why->klass == GIT_ERROR_NOMEMORY || why->klass == GIT_ERROR_OS))
        return ds_fail_git(err, rc, "catalog object %s", git_oid_tostr_s(id));
    rc = *there ? ds_gitpack_put(m->pack, &got, git_odb_object_type(o), git_odb_object_data(o),
                                 git_odb_object_size(o), err)
                : 0;
    git_odb_object_free(o);
    return rc;
}

static int move_pack(const ds_packdir *d, const char *name, const char *to, ds_err *err)
{
    char *a = NULL, *b = NULL;
    int rc = asprintf(&a, "%s/%s.pack", d->path, name) < 0 ? (a = NULL, ds_fail_nomem(err)) : 0;
    if (!rc && asprintf(&b, "%s/%s.pack", to, name) < 0) {
        b = NULL;
        rc = ds_fail_nomem(err);
    }
    if (!rc && ds_io_active->rename(a, b) != 0)
        rc = ds_fail_errno(err, errno, "%s", a);
    free(a);
    free(b);
    return rc;
}

static char *loose_path(const mend *m, const git_oid *id)
{
    const char *hex = git_oid_tostr_s(id);
    char *path = NULL;
    return asprintf(&path, "%s/objects/%.2s/%s", ds_catalog_dir(m->cat), hex, hex + 2) < 0 ? NULL
                                                                                           : path;
}

/* Objects in files of their own that are in a pack now; one that is not what its name says would
 * be in its way. */
static int drop_loose(const mend *m, const ds_buf *ids, ds_err *err)
{
    int rc = 0;
    for (size_t at = 0; !rc && at < ids->len; at += sizeof(git_oid)) {
        char *path = loose_path(m, (const git_oid *)(const void *)(ids->data + at));
        if (!path)
            return ds_fail_nomem(err);
        if (ds_path_exists(path) && ds_io_active->unlink(path) != 0)
            rc = ds_fail(err, DS_IO, "%s: cannot be removed", path);
        free(path);
    }
    return rc;
}

static int find_bad(mend *m, const ds_packdir *d, ds_err *err)
{
    char *aside = NULL;
    int rc = ds_store_path(&aside, ds_catalog_dir(m->cat), ASIDE, err);
    for (size_t i = 0; !rc && i < d->names.n; i++) {
        const char *name = d->names.v[i];
        bool pack = false, index = false;
        rc = is_whole(&pack, d, name, ".pack", err);
        rc = rc ? rc : is_whole(&index, d, name, ".idx", err);
        if (rc || (pack && index))
            continue;
        m->out->files++;
        if (pack) {
            rc = index_anew(m, d, name, err);
            continue;
        }
        rc = ds_mkdirs(aside, err);
        rc = rc ? rc : ds_packdir_unlink(d, name, ".idx", err); /* git finds packs by it */
        rc = rc ? rc : move_pack(d, name, aside, err);
    }
    free(aside);
    return rc;
}

typedef struct gathering {
    mend *m;
    ds_buf ids; /* git_oid */
    ds_err *err;
} gathering;

static int gather(const git_oid *id, void *ctx)
{
    gathering *g = ctx;
    bool there;
    char *path = loose_path(g->m, id);
    const bool loose = path && ds_path_exists(path);
    int rc = path ? 0 : ds_fail_nomem(g->err);
    free(path);
    if (rc || !loose)
        return rc;
    rc = put(g->m, ds_catalog_odb(g->m->cat), id, &there, g->err);
    if (!rc && there && ds_buf_put(&g->ids, id, sizeof *id))
        rc = ds_fail_nomem(g->err);
    return rc;
}

/* What git could read of damaged packs stands in files of its own: into a pack. */
static int gather_loose(mend *m, ds_err *err)
{
    gathering g = {.m = m, .err = err};
    int rc = ds_catalog_pack(&m->pack, m->cat, err);
    if (!rc) {
        ds_gitpack_keep_all(m->pack);
        rc = git_odb_foreach(ds_catalog_odb(m->cat), gather, &g);
        if (rc && !err->code)
            rc = ds_fail_git_read(err, "%s: its objects cannot be listed", ds_catalog_dir(m->cat));
    }
    rc = rc ? rc : ds_gitpack_publish(m->pack, err);
    rc = rc ? rc : drop_loose(m, &g.ids, err);
    ds_gitpack_free(m->pack);
    m->pack = NULL;
    ds_buf_fini(&g.ids);
    return rc;
}

/* All that can be read of packs that were set aside, now or by a repair that died. */
static int rescue(mend *m, ds_err *err)
{
    char *aside = NULL;
    int rc = ds_store_path(&aside, ds_catalog_dir(m->cat), ASIDE, err);
    ds_strlist names = {0};
    const bool any = !rc && ds_path_exists(aside);
    rc = rc ? rc : ds_strlist_folder_if_there(&names, aside, err);
    for (size_t i = 0; !rc && i < names.n; i++) {
        char *path = NULL;
        if (names.v[i][0] == '.')
            continue;
        rc = ds_store_path(&path, aside, names.v[i], err);
        rc = rc ? rc : run_git(m, "unpack-objects", "-r", path, true, err);
        free(path);
    }
    ds_strlist_fini(&names);
    rc = rc ? rc : ds_catalog_reopen(m->cat, err);
    rc = rc || !any ? rc : gather_loose(m, err);
    if (!rc && any)
        ds_remove_tree(aside);
    free(aside);
    return rc ? rc : ds_catalog_reopen(m->cat, err);
}

static int mend_packs(mend *m, ds_err *err)
{
    ds_packdir d = {0};
    int rc = ds_packdir_read(&d, ds_catalog_dir(m->cat), err);
    rc = rc ? rc : find_bad(m, &d, err);
    ds_packdir_fini(&d);
    return rc ? rc : rescue(m, err);
}

/* ---- objects ---- */

static int find(void *ctx, git_object **o, const git_oid *id, ds_err *err)
{
    mend *m = ctx;
    bool there = false;
    int rc = ds_check_interrupt(err);
    if (rc || git_object_lookup(o, ds_catalog_repo(m->cat), id, GIT_OBJECT_ANY) == 0)
        return rc ? rc : 1;
    rc = put(m, ds_catalog_odb(m->from), id, &there, err);
    if (!rc && there && ds_buf_put(&m->healed, id, sizeof *id))
        rc = ds_fail_nomem(err);
    if (rc)
        return rc;
    if (there && git_object_lookup(o, ds_catalog_repo(m->from), id, GIT_OBJECT_ANY) == 0) {
        m->out->objects++;
        return 1;
    }
    m->out->lost++;
    snprintf(m->out->what, sizeof m->out->what, "catalog object %s", git_oid_tostr_s(id));
    return 0;
}

static int add_tip(void *ctx, const char *name, const git_oid *id, ds_err *err)
{
    (void)name;
    return ds_gitwalk_add(ctx, id, err);
}

static int mend_objects(mend *m, ds_err *err)
{
    ds_gitwalk w = {.find = find, .ctx = m, .blobs = true};
    int rc = ds_catalog_pack(&m->pack, m->cat, err);
    if (!rc)
        ds_gitpack_keep_all(m->pack);
    rc = rc ? rc : ds_ref_each_raw(m->cat, add_tip, &w, err);
    for (size_t at = 0; !rc && at < m->refs.len; at += sizeof(ds_mendref))
        rc = ds_gitwalk_add(&w, &((const ds_mendref *)(const void *)(m->refs.data + at))->id, err);
    rc = rc ? rc : ds_gitwalk_run(&w, err);
    rc = rc ? rc : ds_gitpack_publish(m->pack, err);
    rc = rc ? rc : drop_loose(m, &m->healed, err);
    ds_gitwalk_fini(&w);
    return rc;
}

static int put_refs(mend *m, ds_err *err)
{
    int rc = ds_catalog_reopen(m->cat, err);
    rc = rc ? rc : ds_oplog_act(ds_catalog_oplog(m->cat), "repair", NULL, m->reason, err);
    for (size_t at = 0; !rc && at < m->refs.len; at += sizeof(ds_mendref)) {
        ds_mendref *r = (ds_mendref *)(void *)(m->refs.data + at);
        if (r->begun) {
            rc = ds_buf_put(&m->out->begun, r, sizeof *r) ? ds_fail_nomem(err) : 0;
            r->name = rc ? r->name : NULL; /* handed over */
            continue;
        }
        const int moved = ds_ref_move(m->cat, r->name, NULL, &r->id, err);
        m->out->refs += moved == 1;
        rc = moved < 0 ? moved : 0;
    }
    return rc;
}

static int mend_all(mend *m, ds_err *err)
{
    int rc = open_catalog(m, err);
    rc = rc ? rc : mend_packs(m, err);
    rc = rc ? rc : ds_mend_refs(&m->refs, m->out, m->store, m->cat, m->from, err);
    rc = rc ? rc : mend_objects(m, err);
    rc = rc ? rc : put_refs(m, err);
    for (size_t at = 0; at < m->refs.len; at += sizeof(ds_mendref))
        free(((ds_mendref *)(void *)(m->refs.data + at))->name);
    ds_buf_fini(&m->refs);
    ds_buf_fini(&m->healed);
    ds_gitpack_free(m->pack);
    ds_catalog_close(m->cat);
    return rc;
}

static int tell_nobody(void *ctx, const ds_objproblem *p)
{
    (void)ctx;
    (void)p;
    return 0; /* pieces are looked at later */
}

/* An index that cannot be read is made anew from the packs: locks and pieces go by it. */
static int open_objects(ds_objstore **objs, mend *m, ds_err *err)
{
    ds_err why = {0};
    ds_scrubstats st = {0};
    int rc = ds_objstore_open(objs, m->store, DS_OBJ_WRITE, &why);
    if (rc != DS_CORRUPT)
        return rc ? ds_fail_as(err, &why) : 0;
    rc = ds_objstore_reindex(m->store, tell_nobody, NULL, &st, err);
    m->out->index = !rc;
    return rc ? rc : ds_objstore_open(objs, m->store, DS_OBJ_WRITE, err);
}

int ds_mend_store(ds_mended *out, const char *store, ds_catalog *from, const char *reason,
                  bool wait, ds_err *err)
{
    mend m = {.store = store, .from = from, .reason = reason, .out = out};
    ds_objstore *objs = NULL;
    ds_objgc *gc = NULL;
    *out = (ds_mended){0};
    int rc = open_objects(&objs, &m, err);
    rc = rc ? rc : ds_objgc_begin(&gc, objs, wait, err);
    rc = rc ? rc : ds_objgc_shut(gc, wait, err);
    rc = rc ? rc : mend_all(&m, err);
    ds_objgc_end(gc);
    ds_objstore_close(objs);
    return rc;
}
