/* needed.c - see needed.h. */
#include "needed.h"

#include "manifest.h"
#include "sig.h"

typedef struct finding {
    ds_store *store;
    ds_shaset *out;
    ds_oidset files; /* of manifests, seen already */
    ds_manline line;
    bool only_erased;
} finding;

static bool every(void *ctx, const git_oid *file)
{
    (void)ctx;
    (void)file;
    return true;
}

static int scan(finding *f, const git_oid *tree, const char *what, bool only_note, ds_err *err)
{
    ds_manscan s;
    int rc = ds_manscan_open(&s, f->store->cat, tree, what, err);
    s.once = &f->files;
    s.skip = only_note ? every : NULL;
    while (!rc && (rc = ds_manscan_next(&s, &f->line, err)) > 0) {
        const ds_sha *p = ds_manline_pieces(&f->line);
        rc = 0;
        if (f->only_erased && !s.erased)
            continue;
        for (size_t i = 0; !rc && i < f->line.pieces.len / sizeof *p; i++)
            rc = ds_shaset_add(f->out, &p[i], NULL, err);
    }
    ds_manscan_close(&s);
    return rc;
}

static int scan_commit(finding *f, const git_oid *id, bool only_note, ds_err *err)
{
    git_commit *c = NULL;
    if (git_commit_lookup(&c, ds_catalog_repo(f->store->cat), id) < 0)
        return ds_fail_git_read(err, "catalog commit %s", git_oid_tostr_s(id));
    git_oid tree = *git_commit_tree_id(c);
    git_commit_free(c);
    int rc = scan(f, &tree, "blocks", only_note, err);
    rc = rc ? rc : scan(f, &tree, "sources", only_note, err);
    return rc ? rc : ds_check_interrupt(err);
}

static int walk(finding *f, git_revwalk *w, uint64_t *versions, ds_err *err)
{
    git_oid id;
    int rc = 0, g = 0;
    while (!rc && (g = git_revwalk_next(&id, w)) == 0) {
        rc = scan_commit(f, &id, false, err);
        if (versions)
            ++*versions;
    }
    if (!rc && g != GIT_ITEROVER)
        rc = ds_fail_git_read(err, "catalog: its history cannot be followed");
    return rc;
}

static int find(finding *f, uint64_t *versions, const git_oid *tips, size_t ntips,
                const git_oid *haves, size_t nhaves, ds_err *err)
{
    git_revwalk *w = NULL;
    int rc = git_revwalk_new(&w, ds_catalog_repo(f->store->cat)) < 0 ? ds_fail_nomem(err) : 0;
    for (size_t i = 0; !rc && i < nhaves; i++) {
        rc = scan_commit(f, &haves[i], true, err);
        if (!rc && git_revwalk_hide(w, &haves[i]) < 0)
            rc = ds_fail_git_read(err, "catalog commit %s", git_oid_tostr_s(&haves[i]));
    }
    for (size_t i = 0; !rc && i < ntips; i++)
        if (git_revwalk_push(w, &tips[i]) < 0)
            rc = ds_fail_git_read(err, "catalog commit %s", git_oid_tostr_s(&tips[i]));
    rc = rc ? rc : walk(f, w, versions, err);
    git_revwalk_free(w);
    ds_oidset_fini(&f->files);
    ds_manline_fini(&f->line);
    return rc;
}

int ds_needed_find(ds_shaset *out, uint64_t *versions, ds_store *s, const git_oid *tips,
                   size_t ntips, const git_oid *haves, size_t nhaves, ds_err *err)
{
    finding f = {.store = s, .out = out};
    return find(&f, versions, tips, ntips, haves, nhaves, err);
}

int ds_needed_erased(ds_shaset *out, ds_store *s, const git_oid *tips, size_t ntips, ds_err *err)
{
    finding f = {.store = s, .out = out, .only_erased = true};
    return find(&f, NULL, tips, ntips, NULL, 0, err);
}
