/* collect.c - see collect.h. */
#include "collect.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "history.h"
#include "io.h"
#include "manifest.h"
#include "oidset.h"
#include "refs.h"
#include "sig.h"

enum { CATALOG_PACKS_MAX = 64, PACK_NAME = 5 + 40 }; /* "pack-" and a SHA-1 */

typedef struct mark {
    ds_store *store;
    ds_objgc *gc;
    ds_oidset files;
    ds_manline line;
    ds_collected *out;
} mark;

static bool seen(void *ctx, const git_oid *file)
{
    const mark *m = ctx;
    return ds_oidset_has(&m->files, file);
}

static int mark_lines(mark *m, const git_oid *tree, const char *what, ds_err *err)
{
    ds_manscan s;
    git_oid last = {{0}};
    bool fresh;
    int rc = ds_manscan_open(&s, m->store->cat, tree, what, err);
    s.skip = seen;
    s.skip_ctx = m;
    while (!rc) {
        rc = ds_manscan_next(&s, &m->line, err);
        if (rc <= 0)
            break;
        /* Noted at its first line already: a file that does not parse to its end fails the whole
         * collection. */
        rc = git_oid_equal(&s.file, &last) ? 0 : ds_oidset_add(&m->files, &s.file, &fresh, err);
        last = s.file;
        const ds_sha *p = ds_manline_pieces(&m->line);
        for (size_t i = 0; !rc && i < m->line.pieces.len / sizeof *p; i++) {
            bool known = true;
            rc = ds_objgc_mark(m->gc, &p[i], &known, err);
            m->out->missing += !known;
        }
    }
    ds_manscan_close(&s);
    return rc;
}

static int mark_version(void *ctx, const git_oid *id, const ds_version *v, const ds_err *why,
                        ds_err *err)
{
    mark *m = ctx;
    int rc = v ? ds_check_interrupt(err) : ds_fail(err, DS_CORRUPT, "%s", why->msg);
    if (!rc)
        rc = mark_lines(m, &v->tree, "blocks", err);
    if (!rc)
        rc = mark_lines(m, &v->tree, "sources", err);
    m->out->versions += v && *v->dataset; /* a run's own commits are none */
    return rc ? ds_err_prefix(err, "nothing was collected, version %s cannot be read",
                              git_oid_tostr_s(id))
              : 0;
}

/* ---- the catalog's own packs
 * ------------------------------------------------------------------------------ */

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

typedef struct copy {
    ds_gitpack *pack;
    git_odb *odb;
    ds_err *err;
} copy;

static int copy_object(const git_oid *id, void *ctx)
{
    copy *c = ctx;
    git_odb_object *o = NULL;
    git_oid got;
    if (git_odb_read(&o, c->odb, id) < 0)
        return ds_fail(c->err, DS_CORRUPT, "catalog object %s cannot be read", git_oid_tostr_s(id));
    int rc = ds_gitpack_put(c->pack, &got, git_odb_object_type(o), git_odb_object_data(o),
                            git_odb_object_size(o), c->err);
    git_odb_object_free(o);
    return rc;
}

/* All objects into one pack; then the old ones go, index first: git finds packs by their indexes.
 */
static int join_packs(const packdir *d, ds_catalog *c, ds_err *err)
{
    copy k = {.odb = ds_catalog_odb(c), .err = err};
    int rc = ds_catalog_pack(&k.pack, c, err);
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

static int tidy_catalog(ds_collected *out, ds_catalog *c, bool dry_run, ds_err *err)
{
    packdir d = {0};
    int rc = read_packdir(&d, c, err);
    out->catalog_tmp = d.njunk;
    out->catalog_packs = d.n > CATALOG_PACKS_MAX ? d.n : 0;
    for (size_t i = 0; !rc && !dry_run && i < d.njunk; i++)
        rc = unlink_in(d.path, d.junk[i], "", err);
    if (!rc && !dry_run && out->catalog_packs)
        rc = join_packs(&d, c, err);
    packdir_fini(&d);
    return rc;
}

int ds_collect_run(ds_collected *out, ds_store *s, const ds_collect_opts *o, ds_err *err)
{
    mark m = {.store = s, .out = out};
    *out = (ds_collected){0};
    int rc = ds_objgc_begin(&m.gc, s->objs, o->wait, err);
    if (!rc && git_odb_refresh(ds_catalog_odb(s->cat)) < 0)
        rc = ds_fail(err, DS_IO, "the catalog cannot be read");
    if (!rc)
        rc = ds_ref_expire(s->cat, (int64_t)time(NULL) - o->grace, o->dry_run, &out->kept_expired,
                           err);
    if (!rc)
        rc = ds_history_each(s->cat, mark_version, &m, err);
    if (!rc)
        rc = ds_objgc_sweep(m.gc, o->dry_run, &out->objs, err);
    if (!rc) /* writers of the catalog are shut out too: they hold the same lock */
        rc = tidy_catalog(out, s->cat, o->dry_run, err);
    ds_objgc_end(m.gc);
    ds_oidset_fini(&m.files);
    ds_manline_fini(&m.line);
    return rc;
}
