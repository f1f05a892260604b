/* mendrefs.c - see mend.h. */
#include <errno.h>
#include <fts.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "child.h"
#include "io.h"
#include "mend.h"
#include "refs.h"
#include "storefind.h"

enum { REF_MAX = 4096 };

typedef struct mendrefs {
    ds_catalog *cat, *from;
    ds_oprefs log;
    bool everything;
    ds_mended *out;
    ds_buf *refs;
} mendrefs;

/* Whether an object can be had, here or there. */
static bool is_had(const mendrefs *m, const git_oid *id)
{
    return git_odb_exists(ds_catalog_odb(m->cat), id) ||
           git_odb_exists(ds_catalog_odb(m->from), id);
}

/* Where the second store has it, when what it leads to can be had. */
static bool is_there(git_oid *id, const mendrefs *m, const char *name)
{
    git_reference *there = NULL;
    const bool found = git_reference_lookup(&there, ds_catalog_repo(m->from), name) == 0 &&
                       git_reference_target(there) && is_had(m, git_reference_target(there));
    if (found)
        *id = *git_reference_target(there);
    git_reference_free(there);
    return found;
}

/* Where the ref is to lead; false where nobody knows, or what is known cannot be had. */
static bool value_of(ds_mendref *to, const mendrefs *m, const char *name)
{
    const ds_opref *r = ds_oprefs_find(&m->log, name);
    git_oid other;
    if (r && r->has_after && is_had(m, &r->after)) {
        to->id = r->after;
        to->begun = !r->has_before && !is_there(&other, m, name);
        return true;
    }
    if (r && r->has_before && is_had(m, &r->before)) {
        to->id = r->before;
        return true;
    }
    return is_there(&to->id, m, name);
}

/* gone: not even its file is there, and what is damaged does not explain it. */
static int put_back(const mendrefs *m, const char *name, bool gone, ds_err *err)
{
    ds_mendref r = {.name = strdup(name)};
    if (!r.name)
        return ds_fail_nomem(err);
    if (value_of(&r, m, name)) {
        r.begun = r.begun && gone && !m->everything && !m->out->index;
        if (!ds_buf_put(m->refs, &r, sizeof r))
            return 0;
        free(r.name);
        return ds_fail_nomem(err);
    }
    free(r.name);
    m->out->lost++;
    snprintf(m->out->what, sizeof m->out->what, "%.280s", name);
    return 0;
}

static bool is_ref(const uint8_t *p, size_t len)
{
    git_oid id;
    if (len > 5 && memcmp(p, "ref: ", 5) == 0)
        return true;
    return (len == 40 || (len == 41 && p[40] == '\n')) &&
           git_oid_fromstrn(&id, (const char *)p, 40) == 0;
}

/* One file below refs/: read, and when it holds no ref, away with it and the ref put back. */
static int check_loose(const mendrefs *m, const char *path, const char *name, ds_err *err)
{
    const size_t n = strlen(name);
    ds_buf b = {0};
    ds_err why = {0};
    if (n > 5 && strcmp(name + n - 5, ".lock") == 0)
        return 0;
    const int got = ds_read_file(&b, path, REF_MAX, &why);
    const bool good = got == 0 && is_ref(b.data, b.len);
    ds_buf_fini(&b);
    if (good)
        return 0;
    if (got == DS_NOMEM)
        return ds_fail_nomem(err);
    if (ds_io_active->unlink(path) != 0)
        return ds_fail_errno(err, errno, "%s: cannot be removed", path);
    return put_back(m, name, false, err);
}

static int each_loose(const mendrefs *m, ds_err *err)
{
    char *root = NULL;
    int rc = ds_store_path(&root, ds_catalog_dir(m->cat), "refs", err);
    char *const paths[] = {root, NULL};
    FTS *walk = rc ? NULL : fts_open(paths, FTS_PHYSICAL | FTS_NOCHDIR, NULL);
    if (!rc && !walk)
        rc = ds_fail_errno(err, errno, "%s", root);
    for (FTSENT *e; !rc && (e = fts_read(walk)) != NULL;)
        if (e->fts_info == FTS_F)
            rc = check_loose(m, e->fts_path, e->fts_path + strlen(root) - strlen("refs"), err);
    if (walk)
        fts_close(walk);
    free(root);
    return rc;
}

/* Many refs in one file, as git pack-refs leaves them: gone when it cannot be read, and what it
 * held comes back as far as it is known. */
static int check_packed(mendrefs *m, ds_err *err)
{
    char *path = NULL, *to = NULL;
    git_reference_iterator *it = NULL;
    const char *name;
    int bad = git_reference_iterator_new(&it, ds_catalog_repo(m->cat));
    while (!bad && (bad = git_reference_next_name(&name, it)) == 0)
        continue;
    git_reference_iterator_free(it);
    if (bad == GIT_ITEROVER)
        return 0;
    int rc = ds_store_path(&path, ds_catalog_dir(m->cat), "packed-refs", err);
    rc = rc ? rc : ds_store_path(&to, ds_catalog_dir(m->cat), "packed-refs.damaged", err);
    if (!rc && ds_io_active->rename(path, to) != 0)
        rc = ds_fail_errno(err, errno, "%s", path);
    m->everything = true;
    free(path);
    free(to);
    return rc;
}

static int if_missing(const mendrefs *m, const char *name, ds_err *err)
{
    git_reference *r = NULL;
    const int there = git_reference_lookup(&r, ds_catalog_repo(m->cat), name);
    git_reference_free(r);
    for (size_t at = 0; at < m->refs->len; at += sizeof(ds_mendref))
        if (strcmp(((const ds_mendref *)(const void *)(m->refs->data + at))->name, name) == 0)
            return 0;
    return there == GIT_ENOTFOUND ? put_back(m, name, true, err) : 0;
}

static int from_other(void *ctx, const char *name, const git_oid *id, ds_err *err)
{
    const mendrefs *m = ctx;
    (void)id;
    if (strncmp(name, DS_REF_REMOTES, strlen(DS_REF_REMOTES)) == 0 || ds_oprefs_find(&m->log, name))
        return 0;
    return if_missing(m, name, err);
}

static int add_entry(void *ctx, const ds_opentry *e, ds_err *err)
{
    return ds_oprefs_add(ctx, e, err);
}

int ds_mend_refs(ds_buf *refs, ds_mended *out, const char *store, ds_catalog *c, ds_catalog *from,
                 ds_err *err)
{
    mendrefs m = {.cat = c, .from = from, .everything = out->made, .out = out, .refs = refs};
    int rc = ds_oplog_each(store, add_entry, &m.log, err);
    rc = rc ? rc : each_loose(&m, err);
    rc = rc ? rc : check_packed(&m, err);
    for (size_t i = 0; !rc && i < m.log.n; i++)
        rc = m.log.v[i].has_after ? if_missing(&m, m.log.v[i].name, err) : 0;
    if (!rc && m.everything)
        rc = ds_ref_each_raw(from, from_other, &m, err);
    ds_oprefs_fini(&m.log);
    return rc;
}
