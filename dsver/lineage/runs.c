/* runs.c - see runs.h. */
#include "runs.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "packjoin.h"
#include "refs.h"
#include "runname.h"
#include "try.h"

enum { MOVES_MAX = 1000, NAME_MAX_LEN = 255 };
#define SEGMENT_MAX ((size_t)1 << 30)

/* ---- the tree of a run ---- */

typedef struct entry {
    char name[64];
    git_oid id;
    uint64_t step; /* of a lineage; the first of a segment */
} entry;

static entry *entries(const ds_buf *b)
{
    return (entry *)(void *)b->data;
}

static size_t count(const ds_buf *b)
{
    return b->len / sizeof(entry);
}

/* "step-000300.json" */
static void put_step(char out[64], uint64_t step)
{
    char checkpoint[32];

    ds_checkpoint_name(checkpoint, step);
    snprintf(out, 64, "%s.json", checkpoint);
}

static bool parse_step(const char *name, uint64_t *step)
{
    static const char end[] = ".json";
    char checkpoint[32];
    const size_t n = strlen(name), k = sizeof end - 1;

    if (n < k || n - k >= sizeof checkpoint || strcmp(name + n - k, end) != 0)
        return false;
    memcpy(checkpoint, name, n - k);
    checkpoint[n - k] = '\0';
    return ds_checkpoint_parse_name(checkpoint, step);
}

static int put_entry(ds_buf *list, const char *name, const git_oid *id, uint64_t step, ds_err *err)
{
    entry e = {.id = *id, .step = step};

    for (size_t i = 0; i < count(list); i++)
        if (!strcmp(entries(list)[i].name, name)) {
            entries(list)[i].id = *id;
            return 0;
        }
    snprintf(e.name, sizeof e.name, "%s", name);
    return ds_buf_put(list, &e, sizeof e) ? ds_fail_nomem(err) : 0;
}

/* lineage/ of a run's tree, in git's order. */
static int read_lineages(ds_buf *list, ds_catalog *c, const git_oid *tree, ds_err *err)
{
    git_tree *t = NULL, *sub = NULL;
    const git_tree_entry *e;
    uint64_t step;
    int rc = 0;

    if (git_tree_lookup(&t, ds_catalog_repo(c), tree) < 0)
        rc = ds_fail_git_read(err, "catalog tree %s", git_oid_tostr_s(tree));
    else if (!(e = git_tree_entry_byname(t, "lineage")))
        rc = ds_fail(err, DS_CORRUPT, "catalog tree %s: no lineage", git_oid_tostr_s(tree));
    else if (git_tree_lookup(&sub, ds_catalog_repo(c), git_tree_entry_id(e)) < 0)
        rc = ds_fail_git_read(err, "catalog tree %s: lineage", git_oid_tostr_s(tree));
    for (size_t i = 0; !rc && i < git_tree_entrycount(sub); i++) {
        e = git_tree_entry_byindex(sub, i);
        if (parse_step(git_tree_entry_name(e), &step))
            rc = put_entry(list, git_tree_entry_name(e), git_tree_entry_id(e), step, err);
        else
            rc = ds_fail(err, DS_CORRUPT, "catalog tree %s: lineage/%s is no checkpoint",
                         git_oid_tostr_s(tree), git_tree_entry_name(e));
    }
    git_tree_free(sub);
    git_tree_free(t);
    return rc;
}

static int by_name(const void *a, const void *b)
{
    return strcmp(((const entry *)a)->name, ((const entry *)b)->name);
}

static int put_list(git_oid *id, ds_gitpack *pack, bool folders, ds_buf *list, ds_err *err)
{
    ds_buf b = {0};
    int rc = 0;

    if (list->len)
        qsort(list->data, count(list), sizeof(entry), by_name);
    for (size_t i = 0; !rc && i < count(list); i++)
        rc = ds_gittree_put(&b, folders, entries(list)[i].name, &entries(list)[i].id);
    rc = rc ? ds_fail_nomem(err) : ds_gitpack_put(pack, id, GIT_OBJECT_TREE, b.data, b.len, err);
    ds_buf_fini(&b);
    return rc;
}

static int put_tree(git_oid *id, ds_gitpack *pack, ds_buf *list, ds_err *err)
{
    return put_list(id, pack, false, list, err);
}

static int put_folders(git_oid *id, ds_gitpack *pack, ds_buf *list, ds_err *err)
{
    return put_list(id, pack, true, list, err);
}

/* A tree of segments, and of what `more` holds already. */
static int put_ledger(git_oid *id, ds_gitpack *pack, const ds_segments *l, ds_buf *more,
                      ds_err *err)
{
    ds_buf b = {0};
    git_oid blob;
    int rc = 0;

    for (size_t i = 0; !rc && i < l->n; i++) {
        ds_buf_reset(&b);
        rc = ds_read_file(&b, l->v[i].path, SEGMENT_MAX, err);
        rc = rc ? rc : ds_gitpack_put(pack, &blob, GIT_OBJECT_BLOB, b.data, b.len, err);
        rc = rc ? rc : put_entry(more, strrchr(l->v[i].path, '/') + 1, &blob, l->v[i].first, err);
    }
    rc = rc ? rc : put_tree(id, pack, more, err);
    ds_buf_fini(&b);
    return rc;
}

/* ---- registering ---- */

typedef struct job {
    ds_store *store;
    const ds_lineage *lineage;
    const void *json;
    size_t len;
    const char *name;
    ds_sha digest;
    char *ref;
    ds_segments ledger;
    ds_stretches abandoned;
    ds_gitpack *pack;
    git_oid ledger_tree;
} job;

/* The ref of a checkpoint's run, and the run's digest. */
static int ref_of(char **ref, ds_sha *digest, const ds_lineage *l, ds_err *err)
{
    char hex[65];

    *ref = NULL;
    TRY(ds_run_digest(digest, &l->run, err));
    TRY(ds_dataset_check(l->run.datasets[0].name, err));
    ds_sha_hex(hex, digest);
    if (asprintf(ref, DS_RUN_REFS "%s/%.16s", l->run.datasets[0].name, hex) < 0)
        return *ref = NULL, ds_fail_nomem(err);
    return 0;
}

/* A stretch that the catalog does not have yet: lineages of checkpoints that were abandoned with it
 * move there. */
static int put_stretch(ds_buf *list, job *j, const ds_stretch *s, const char *name,
                       ds_buf *lineages, ds_err *err)
{
    ds_buf more = {0};
    git_oid id;
    size_t kept = 0;
    int rc = 0;

    for (size_t i = 0; !rc && i < count(lineages); i++) {
        const entry e = entries(lineages)[i];
        if (e.step > s->from)
            rc = put_entry(&more, e.name, &e.id, e.step, err);
        else
            entries(lineages)[kept++] = e;
    }
    lineages->len = kept * sizeof(entry);
    rc = rc ? rc : put_ledger(&id, j->pack, &s->segments, &more, err);
    rc = rc ? rc : put_entry(list, name, &id, s->number, err);
    ds_buf_fini(&more);
    return rc;
}

/* Stretches of the checkpoint, those of the old tree as they are there; the oldest first. Returns 1
 * when there is a tree. */
static int put_abandoned(git_oid *id, job *j, const git_oid *old, ds_buf *lineages, ds_err *err)
{
    ds_buf list = {0};
    int rc = 0;

    for (size_t i = j->abandoned.n; !rc && i-- > 0;) {
        const ds_stretch *s = &j->abandoned.v[i];
        char name[48], path[64];
        git_oid there;
        ds_stretch_name(name, s->number, s->from);
        snprintf(path, sizeof path, "abandoned/%s", name);
        const int has = old ? ds_catalog_entry(&there, j->store->cat, old, path, err) : 0;
        if (has)
            rc = has < 0 ? has : put_entry(&list, name, &there, s->number, err);
        else
            rc = put_stretch(&list, j, s, name, lineages, err);
    }
    if (!rc && count(&list))
        rc = put_folders(id, j->pack, &list, err);
    rc = rc ? rc : count(&list) > 0;
    ds_buf_fini(&list);
    return rc;
}

/* The new tree: what `old` (may be NULL) has, and this checkpoint. The ledger is that of the
 * checkpoint with the most steps. */
static int make_tree(git_oid *id, job *j, const git_oid *old, ds_err *err)
{
    ds_buf list = {0}, b = {0};
    git_oid blob, lineage, ledger = j->ledger_tree, name, abandoned;
    char file[64];
    bool newest = true;
    int away = 0, rc = old ? read_lineages(&list, j->store->cat, old, err) : 0;

    if (!rc)
        rc = away = put_abandoned(&abandoned, j, old, &list, err);
    rc = rc > 0 ? 0 : rc;
    for (size_t i = 0; i < count(&list); i++)
        newest &= entries(&list)[i].step <= j->lineage->step;
    const int has = rc || newest ? 1 : ds_catalog_entry(&ledger, j->store->cat, old, "ledger", err);
    if (has <= 0)
        rc = has ? has
                 : ds_fail(err, DS_CORRUPT, "catalog tree %s: no ledger", git_oid_tostr_s(old));
    put_step(file, j->lineage->step);
    rc = rc ? rc : ds_gitpack_put(j->pack, &blob, GIT_OBJECT_BLOB, j->json, j->len, err);
    rc = rc ? rc : put_entry(&list, file, &blob, j->lineage->step, err);
    rc = rc ? rc : put_tree(&lineage, j->pack, &list, err);
    if (!rc && ds_buf_printf(&b, "%s\n", j->name))
        rc = ds_fail_nomem(err);
    rc = rc ? rc : ds_gitpack_put(j->pack, &name, GIT_OBJECT_BLOB, b.data, b.len, err);
    ds_buf_reset(&b);
    if (!rc &&
        ((away && ds_gittree_put(&b, true, "abandoned", &abandoned)) ||
         ds_gittree_put(&b, true, "ledger", &ledger) ||
         ds_gittree_put(&b, true, "lineage", &lineage) || ds_gittree_put(&b, false, "name", &name)))
        rc = ds_fail_nomem(err);
    rc = rc ? rc : ds_gitpack_put(j->pack, id, GIT_OBJECT_TREE, b.data, b.len, err);
    ds_buf_fini(&b);
    ds_buf_fini(&list);
    return rc;
}

/* Parents: the commit before, then each version consumed that the store has. */
static int put_parents(ds_buf *b, const job *j, const git_oid *before, ds_err *err)
{
    const ds_run *r = &j->lineage->run;
    int rc = before ? ds_buf_printf(b, "parent %s\n", git_oid_tostr_s(before)) : 0;

    for (size_t i = 0; !rc && i < r->ndatasets; i++) {
        const char *commit = r->datasets[i].commit;
        git_commit *k = NULL;
        git_oid id;
        bool again = false;
        for (size_t n = 0; n < i; n++)
            again |= !strcmp(commit, r->datasets[n].commit);
        if (again || !*commit || git_oid_fromstr(&id, commit) < 0)
            continue;
        const int there = git_commit_lookup(&k, ds_catalog_repo(j->store->cat), &id);
        git_commit_free(k);
        if (there == GIT_ENOTFOUND)
            continue;
        if (there < 0) /* what is here is kept, or nothing is said of it */
            return ds_fail_git_read(err, "catalog commit %s", commit);
        rc = ds_buf_printf(b, "parent %s\n", commit);
    }
    return rc ? ds_fail_nomem(err) : 0;
}

static int put_commit(git_oid *id, const job *j, const git_oid *tree, const git_oid *before,
                      ds_err *err)
{
    const int64_t now = (int64_t)time(NULL);
    static const char who[] = "dsver <dsver@localhost>";
    char hex[65];
    ds_buf b = {0};
    int rc = ds_buf_printf(&b, "tree %s\n", git_oid_tostr_s(tree));

    ds_sha_hex(hex, &j->digest);
    rc = rc ? ds_fail_nomem(err) : put_parents(&b, j, before, err);
    if (rc) {
        ds_buf_fini(&b);
        return rc;
    }
    rc = ds_buf_printf(&b, "author %s %" PRId64 " +0000\ncommitter %s %" PRId64 " +0000\n\n", who,
                       now, who, now);
    rc = rc ? rc
            : ds_buf_printf(&b, "%s: step %" PRIu64 "\n\nDsver-Run: sha256:%s\n", j->name,
                            j->lineage->step, hex);
    rc = rc ? ds_fail_nomem(err)
            : ds_gitpack_put(j->pack, id, GIT_OBJECT_COMMIT, b.data, b.len, err);
    ds_buf_fini(&b);
    return rc;
}

/* 1 moved or there already, 0 somebody else was first. */
static int try_move(job *j, ds_err *err)
{
    git_oid at, tree, id;
    ds_version v = {0};
    const int there = ds_ref_get(j->store->cat, j->ref, &at, err);
    int rc = there > 0 ? ds_version_get(&v, j->store->cat, &at, err) : there;

    rc = rc ? rc : make_tree(&tree, j, there > 0 ? &v.tree : NULL, err);
    if (!rc && there > 0 && git_oid_equal(&tree, &v.tree)) {
        ds_version_fini(&v);
        return 1;
    }
    ds_version_fini(&v);
    rc = rc ? rc : put_commit(&id, j, &tree, there > 0 ? &at : NULL, err);
    rc = rc ? rc : ds_gitpack_publish(j->pack, err);
    return rc ? rc : ds_ref_move(j->store->cat, j->ref, there > 0 ? &at : NULL, &id, err);
}

static int check_name(const char *name, ds_err *err)
{
    const size_t n = strlen(name);

    if (n < 1 || n > NAME_MAX_LEN)
        return ds_fail(err, DS_USAGE, "a run's name of %zu bytes", n);
    for (size_t i = 0; i < n; i++)
        if ((unsigned char)name[i] < 0x20 || name[i] == 0x7f || name[i] == '/')
            return ds_fail(err, DS_USAGE, "'%s' cannot be a run's name", name);
    return 0;
}

int ds_run_name(char **out, const char *folder, ds_err *err)
{
    int rc = ds_path_name(out, folder, err);

    rc = rc ? rc : check_name(*out, err);
    if (rc) {
        free(*out);
        *out = NULL;
    }
    return rc;
}

static int prepare(job *j, const char *checkpoint, ds_err *err)
{
    const ds_lineage *l = j->lineage;
    char *ledger = NULL;
    int rc = check_name(j->name, err);

    rc = rc ? rc : ref_of(&j->ref, &j->digest, l, err);
    if (!rc && asprintf(&ledger, "%s/ledger", checkpoint) < 0)
        rc = (ledger = NULL, ds_fail_nomem(err));
    rc = rc ? rc : ds_segments_dir(&j->ledger, ledger, err);
    free(ledger);
    rc = rc ? rc : ds_segments_check(&j->ledger, 0, l->step, err);
    return rc ? rc : ds_stretches_dir(&j->abandoned, checkpoint, err);
}

int ds_run_register(ds_store *s, const ds_lineage *l, const void *lineage_json, size_t len,
                    const char *run_name, const char *checkpoint, ds_err *err)
{
    job j = {.store = s, .lineage = l, .json = lineage_json, .len = len, .name = run_name};
    ds_buf segments = {0};
    bool held = false;
    int rc = prepare(&j, checkpoint, err);

    if (!rc) {
        rc = ds_objstore_hold(s->objs, err); /* gc keeps out until the ref has moved */
        held = !rc;
    }
    rc = rc ? rc : ds_catalog_pack(&j.pack, s->cat, err);
    rc = rc ? rc : put_ledger(&j.ledger_tree, j.pack, &j.ledger, &segments, err);
    ds_buf_fini(&segments);
    for (int tries = 0; !rc; tries++) {
        rc = try_move(&j, err);
        if (!rc && tries == MOVES_MAX)
            rc = ds_fail(err, DS_LOCKED, "%s is moved by others all the time", j.ref);
    }
    ds_gitpack_free(j.pack);
    if (rc > 0) /* it is registered, whatever comes of that */
        (void)ds_packjoin(s->cat, s->dir, NULL);
    if (held)
        ds_objstore_release(s->objs);
    ds_segments_fini(&j.ledger);
    ds_stretches_fini(&j.abandoned);
    free(j.ref);
    return rc > 0 ? 0 : rc;
}

/* ---- reading ---- */

/* The blob that the catalog has of a lineage.json, if it has it. */
static int blob_of(git_oid *id, const ds_lineage *l, ds_err *err)
{
    ds_buf b = {0};
    int rc = ds_lineage_dump(&b, l, err);

    if (!rc && git_odb_hash(id, b.data, b.len, GIT_OBJECT_BLOB) < 0)
        rc = ds_fail_nomem(err);
    ds_buf_fini(&b);
    return rc;
}

typedef struct lastword {
    const char *ref;
    bool there;
} lastword;

static int on_entry(void *ctx, const ds_opentry *e, ds_err *err)
{
    lastword *w = ctx;
    (void)err;
    if (strcmp(e->ref, w->ref) == 0)
        w->there = e->has_after;
    return 0;
}

/* Whether the operation log leaves the ref, which is not there, somewhere. A log that is damaged
 * tells as much as it does. */
static int was_logged(bool *was, ds_store *s, const char *ref, ds_err *err)
{
    lastword w = {.ref = ref};
    ds_err why = {0};
    const int rc = ds_oplog_each(s->dir, on_entry, &w, &why);
    *was = w.there;
    return rc && rc != DS_CORRUPT ? ds_fail_as(err, &why) : 0;
}

/* A checkpoint that was registered again, of a run made twice, takes the place of the first: so all
 * that the ref ever led to is looked through, back to a commit that is no run's. */
int ds_run_standing(enum ds_run_standing *out, ds_store *s, const ds_lineage *l, ds_err *err)
{
    git_oid at, blob, there;
    ds_version v = {.has_parent = true};
    char *ref, path[64];
    ds_sha digest;
    int rc = ref_of(&ref, &digest, l, err);

    *out = DS_RUN_NEW;
    rc = rc ? rc : blob_of(&blob, l, err);
    rc = rc ? rc : ds_ref_get(s->cat, ref, &at, err);
    if (rc == 0) {
        bool was = false;
        rc = was_logged(&was, s, ref, err);
        *out = was ? DS_RUN_LOST : DS_RUN_ABSENT;
    }
    snprintf(path, sizeof path, "lineage/%s.json", l->name);
    while (rc > 0 && *out != DS_RUN_KNOWN && v.has_parent) {
        rc = ds_version_get(&v, s->cat, &at, err);
        rc = rc ? rc : ds_catalog_entry(&there, s->cat, &v.tree, "lineage", err);
        if (rc <= 0)
            break;
        rc = ds_catalog_entry(&there, s->cat, &v.tree, path, err);
        if (rc > 0)
            *out = git_oid_equal(&there, &blob) ? DS_RUN_KNOWN : DS_RUN_OTHER;
        at = v.parent;
        rc = rc < 0 ? rc : 1;
    }
    ds_version_fini(&v);
    free(ref);
    return rc > 0 ? 0 : rc;
}

typedef struct each {
    ds_store *store;
    ds_run_fn fn;
    void *ctx;
} each;

static int on_ref(void *ctx, const char *name, const git_oid *id, ds_err *err)
{
    const each *e = ctx;
    const char *slash = strrchr(name, '/');
    ds_version v = {0};
    int rc;

    if (strncmp(name, DS_RUN_REFS, sizeof DS_RUN_REFS - 1) != 0 || !slash ||
        slash < name + sizeof DS_RUN_REFS)
        return 0;
    rc = ds_version_get(&v, e->store->cat, id, err);
    if (!rc) {
        const ds_run_ref r = {.name = name, .digest = slash + 1, .commit = *id, .tree = v.tree};
        rc = e->fn(e->ctx, &r, err);
    }
    ds_version_fini(&v);
    return rc;
}

int ds_run_each(ds_store *s, ds_run_fn fn, void *ctx, ds_err *err)
{
    each e = {s, fn, ctx};

    return ds_ref_each(s->cat, on_ref, &e, err);
}

void ds_run_info_fini(ds_run_info *i)
{
    free(i->name);
    free(i->steps);
    ds_lineage_fini(&i->last);
    *i = (ds_run_info){0};
}

static int by_u64(const void *a, const void *b)
{
    const uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

    return x < y ? -1 : x > y;
}

static int read_info(ds_run_info *i, ds_store *s, const ds_run_ref *r, const ds_buf *list,
                     ds_err *err)
{
    const entry *newest = NULL;
    ds_buf b = {0};
    int rc;

    i->steps = calloc(count(list) + 1, sizeof *i->steps);
    if (!i->steps)
        return ds_fail_nomem(err);
    for (size_t k = 0; k < count(list); k++) {
        const entry *e = &entries(list)[k];
        i->steps[i->nsteps++] = e->step;
        if (!newest || e->step > newest->step)
            newest = e;
    }
    qsort(i->steps, i->nsteps, sizeof *i->steps, by_u64);
    rc = newest ? ds_catalog_blob(&b, s->cat, &newest->id, err)
                : ds_fail(err, DS_CORRUPT, "%s: no checkpoint", r->name);
    rc = rc ? rc : ds_lineage_parse(&i->last, b.data, b.len, r->name, err);
    if (!rc) {
        ds_buf_reset(&b);
        rc = ds_catalog_file(&b, s->cat, &r->tree, "name", err);
    }
    if (!rc) {
        i->name =
            strndup((const char *)b.data, b.len && b.data[b.len - 1] == '\n' ? b.len - 1 : b.len);
        rc = i->name ? 0 : ds_fail_nomem(err);
    }
    if (!rc && check_name(i->name, NULL))
        rc = ds_fail(err, DS_CORRUPT, "%s: '%s' cannot be a run's name", r->name, i->name);
    ds_buf_fini(&b);
    return rc;
}

int ds_run_info_read(ds_run_info *i, ds_store *s, const ds_run_ref *r, ds_err *err)
{
    ds_buf list = {0};
    int rc = read_lineages(&list, s->cat, &r->tree, err);

    *i = (ds_run_info){0};
    rc = rc ? rc : read_info(i, s, r, &list, err);
    if (rc)
        ds_run_info_fini(i);
    ds_buf_fini(&list);
    return rc;
}
