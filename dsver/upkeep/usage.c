/* usage.c - see usage.h. */
#include "usage.h"

#include <fts.h>
#include <stdlib.h>
#include <string.h>

#include "history.h"
#include "manifest.h"
#include "objuse.h"
#include "sig.h"

/* ---- versions by dataset ---- */

typedef struct commit {
    char *dataset;
    git_oid id, tree;
    uint64_t added;
} commit;

typedef struct commits {
    const char *only; /* this dataset's; NULL: all */
    commit *v;
    size_t n, cap;
} commits;

static void commits_fini(commits *c)
{
    for (size_t i = 0; i < c->n; i++)
        free(c->v[i].dataset);
    free(c->v);
    *c = (commits){.n = 0};
}

static int note_commit(void *ctx, const git_oid *id, const ds_version *v, const ds_err *why,
                       ds_err *err)
{
    commits *c = ctx;
    if (!v)
        return ds_fail_as(err, why);
    if (c->only && strcmp(c->only, v->dataset) != 0)
        return 0;
    if (ds_grow(&c->v, &c->cap, c->n, sizeof *c->v))
        return ds_fail_nomem(err);
    c->v[c->n] = (commit){.dataset = strdup(v->dataset), .id = *id, .tree = v->tree};
    return c->v[c->n++].dataset ? ds_check_interrupt(err) : ds_fail_nomem(err);
}

static int by_dataset(const void *a, const void *b)
{
    const commit *x = a, *y = b;
    const int d = strcmp(x->dataset, y->dataset);
    return d ? d : git_oid_cmp(&x->id, &y->id);
}

/* ---- pieces ---- */

typedef struct noting {
    ds_store *store;
    ds_objuse *use;
    ds_oidset files; /* that were gone through for this user */
    ds_manline line;
    uint64_t afar;
} noting;

static int note_lines(noting *k, const git_oid *tree, const char *what, uint64_t *bytes,
                      ds_err *err)
{
    ds_manscan s;
    int rc = ds_manscan_open(&s, k->store->cat, tree, what, err);
    s.once = &k->files;
    while (!rc && (rc = ds_manscan_next(&s, &k->line, err)) > 0) {
        const ds_sha *p = ds_manline_pieces(&k->line);
        rc = 0;
        for (size_t i = 0; !rc && i < k->line.pieces.len / sizeof *p; i++) {
            const int known = ds_objuse_note(k->use, &p[i], bytes, err);
            k->afar += known == 0;
            rc = known < 0 ? known : 0;
        }
        rc = rc ? rc : ds_check_interrupt(err);
    }
    ds_manscan_close(&s);
    return rc;
}

static int note_version(noting *k, const git_oid *tree, uint64_t *bytes, ds_err *err)
{
    const int rc = note_lines(k, tree, "blocks", bytes, err);
    return rc ? rc : note_lines(k, tree, "sources", bytes, err);
}

static int begin(noting *k, ds_store *s, ds_err *err)
{
    *k = (noting){.store = s};
    return ds_objuse_new(&k->use, s->objs, err);
}

static void end(noting *k)
{
    ds_objuse_free(k->use);
    ds_oidset_fini(&k->files);
    ds_manline_fini(&k->line);
}

/* ---- files ---- */

/* What the files of a folder, or a file, take; of what is not there nothing. */
static int add_files(uint64_t *bytes, const char *dir, const char *name, ds_err *err)
{
    char *path = NULL;
    int rc = ds_store_path(&path, dir, name, err);
    char *const paths[] = {path, NULL};
    FTS *walk = rc ? NULL : fts_open(paths, FTS_PHYSICAL | FTS_NOCHDIR, NULL);
    for (const FTSENT *e; walk && (e = fts_read(walk));)
        if (e->fts_info == FTS_F)
            *bytes += (uint64_t)e->fts_statp->st_size;
    if (walk)
        fts_close(walk);
    free(path);
    return rc;
}

static int add_all_files(ds_usage *u, const char *dir, ds_err *err)
{
    int rc = add_files(&u->catalog, dir, "catalog.git", err);
    rc = rc ? rc : add_files(&u->index, dir, "index.db", err);
    rc = rc ? rc : add_files(&u->index, dir, "index.db-wal", err);
    rc = rc ? rc : add_files(&u->caches, dir, "stats.db", err);
    rc = rc ? rc : add_files(&u->caches, dir, "stats.db-wal", err);
    return rc ? rc : add_files(&u->caches, dir, DS_STORE_FILES, err);
}

/* ---- a store ---- */

void ds_usage_fini(ds_usage *u)
{
    for (size_t i = 0; i < u->n; i++)
        free(u->v[i].dataset);
    free(u->v);
    *u = (ds_usage){.n = 0};
}

/* The next dataset's number, from its first version. */
static int add_set(ds_usage *u, size_t *cap, noting *k, commit *c, ds_err *err)
{
    if (u->n) {
        const int rc = ds_objuse_next(k->use, err);
        if (rc)
            return rc;
        ds_oidset_fini(&k->files);
    }
    if (ds_grow(&u->v, cap, u->n, sizeof *u->v))
        return ds_fail_nomem(err);
    u->v[u->n++] = (ds_usage_set){.dataset = c->dataset};
    c->dataset = NULL;
    return 0;
}

static int note_all(ds_usage *u, noting *k, commits *c, ds_err *err)
{
    size_t cap = 0;
    int rc = 0;
    for (size_t i = 0; !rc && i < c->n; i++) {
        if (!u->n || strcmp(u->v[u->n - 1].dataset, c->v[i].dataset) != 0)
            rc = add_set(u, &cap, k, &c->v[i], err);
        if (rc)
            break;
        ds_usage_set *s = &u->v[u->n - 1];
        k->afar = 0;
        rc = note_version(k, &c->v[i].tree, &s->bytes, err);
        s->afar += k->afar;
        s->versions++;
    }
    return rc;
}

static int sum(ds_usage *u, const noting *k, ds_err *err)
{
    uint64_t *alone = calloc(u->n + 1, sizeof *alone);
    ds_objtotals t;
    int rc = alone ? ds_objuse_sum(k->use, alone, u->n, &u->idle, err) : ds_fail_nomem(err);
    rc = rc ? rc : ds_objstore_totals(k->store->objs, &t, err);
    for (size_t i = 0; !rc && i < u->n; i++)
        u->v[i].alone = alone[i];
    u->packs = rc ? 0 : t.pack_bytes;
    free(alone);
    return rc;
}

int ds_usage_read(ds_usage *out, ds_store *s, ds_err *err)
{
    commits c = {.n = 0};
    noting k;
    *out = (ds_usage){.n = 0};
    int rc = begin(&k, s, err);
    rc = rc ? rc : ds_history_each(s->cat, note_commit, &c, err);
    if (!rc && c.n)
        qsort(c.v, c.n, sizeof *c.v, by_dataset);
    rc = rc ? rc : note_all(out, &k, &c, err);
    rc = rc ? rc : sum(out, &k, err);
    rc = rc ? rc : add_all_files(out, s->dir, err);
    end(&k);
    commits_fini(&c);
    if (rc)
        ds_usage_fini(out);
    return rc;
}

/* ---- a dataset ---- */

/* So that parents come before their children. */
static int sort_oldest_first(commits *c, ds_store *s, ds_err *err)
{
    git_revwalk *w = NULL;
    git_oid id;
    size_t n = 0;
    int rc = git_revwalk_new(&w, ds_catalog_repo(s->cat));
    rc = rc < 0 ? rc
                : git_revwalk_sorting(w, GIT_SORT_TOPOLOGICAL | GIT_SORT_TIME | GIT_SORT_REVERSE);
    for (size_t i = 0; rc >= 0 && i < c->n; i++)
        rc = git_revwalk_push(w, &c->v[i].id);
    commit *sorted = calloc(c->n + 1, sizeof *sorted);
    if (rc < 0 || !sorted)
        rc = rc < 0 ? ds_fail_git(err, rc, "the history cannot be walked") : ds_fail_nomem(err);
    while (rc >= 0 && git_revwalk_next(&id, w) == 0) {
        const commit key = {.dataset = (char *)(uintptr_t)c->only, .id = id};
        commit *at = bsearch(&key, c->v, c->n, sizeof key, by_dataset);
        if (at)
            sorted[n++] = *at;
    }
    git_revwalk_free(w);
    if (rc >= 0 && n != c->n)
        rc = ds_fail(err, DS_CORRUPT, "the history of '%s' cannot be walked", c->only);
    if (rc < 0) {
        free(sorted);
        return rc;
    }
    free(c->v);
    c->v = sorted;
    return 0;
}

int ds_usage_versions(ds_store *s, const char *dataset, ds_usage_fn fn, void *ctx, ds_err *err)
{
    commits c = {.only = dataset};
    noting k;
    ds_version v = {0};
    int rc = begin(&k, s, err);
    rc = rc ? rc : ds_history_each(s->cat, note_commit, &c, err);
    if (!rc && c.n) {
        qsort(c.v, c.n, sizeof *c.v, by_dataset);
        rc = sort_oldest_first(&c, s, err);
    }
    for (size_t i = 0; !rc && i < c.n; i++)
        rc = note_version(&k, &c.v[i].tree, &c.v[i].added, err);
    for (size_t i = c.n; !rc && i-- > 0;) {
        rc = ds_version_get(&v, s->cat, &c.v[i].id, err);
        rc = rc ? rc : fn(ctx, &v, c.v[i].added, err);
    }
    ds_version_fini(&v);
    end(&k);
    commits_fini(&c);
    return rc;
}
