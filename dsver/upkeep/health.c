/* health.c - see health.h. */
#include "health.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "history.h"
#include "manifest.h"
#include "oidset.h"
#include "overlay.h"
#include "refs.h"
#include "runrows.h"
#include "sig.h"
#include "shaset.h"
#include "sourcescan.h"
#include "strlist.h"

enum {
    KEPT_MAX = 10000, /* troubles kept until it is known which versions they touch */
    NAMED_MAX = 8     /* versions named for each */
};

/* A damaged piece: told of only after the manifests were read, with the versions that need it. */
typedef struct kept {
    ds_sha id;
    char *file, *reason;
    uint64_t offset;
    ds_buf versions; /* as in ds_trouble */
    uint64_t touched;
    git_oid last; /* of those */
} kept;

typedef struct health {
    ds_store *store;
    ds_health *out;
    const ds_health_opts *o;
    ds_trouble_fn fn;
    void *ctx;
    kept *kept;
    size_t nkept, cap;
    ds_oidset files;
    ds_shaset gone; /* pieces that versions need and no pack here holds */
    ds_manline line;
    bool pages_erased; /* of the version at hand */
    ds_err *err;       /* for callbacks that have none */
} health;

static void tell(health *h, const char *file, uint64_t offset, const char *id, const char *reason,
                 const char *versions)
{
    ds_trouble t = {
        .file = file, .offset = offset, .id = id, .reason = reason, .versions = versions};
    h->out->problems++;
    h->fn(h->ctx, &t);
}

/* ---- data packs ---- */

static int on_piece(void *ctx, const ds_objproblem *p)
{
    health *h = ctx;
    char hex[65] = "";
    if (!p->id || h->nkept == KEPT_MAX) {
        if (p->id)
            ds_sha_hex(hex, p->id);
        tell(h, p->file, p->offset, hex, p->reason, "");
        return 0;
    }
    if (ds_grow(&h->kept, &h->cap, h->nkept, sizeof *h->kept))
        return ds_fail_nomem(h->err);
    kept *k = h->kept + h->nkept;
    *k = (kept){
        .id = *p->id, .offset = p->offset, .file = strdup(p->file), .reason = strdup(p->reason)};
    h->nkept++;
    return k->file && k->reason ? 0 : ds_fail_nomem(h->err);
}

static int by_piece(const void *a, const void *b)
{
    return memcmp(((const kept *)a)->id.b, ((const kept *)b)->id.b, sizeof(ds_sha));
}

/* The version needs this piece: said beside the trouble. */
static void touch(health *h, const ds_sha *id, const ds_version *v)
{
    kept want = {.id = *id};
    kept *k = h->nkept ? bsearch(&want, h->kept, h->nkept, sizeof *k, by_piece) : NULL;
    if (!k)
        return;
    while (k > h->kept && by_piece(k - 1, &want) == 0)
        k--;
    for (; k < h->kept + h->nkept && by_piece(k, &want) == 0; k++) {
        if (k->touched && git_oid_equal(&k->last, &v->id))
            continue;
        k->last = v->id;
        if (k->touched++ < NAMED_MAX) /* out of memory: one name less */
            (void)ds_buf_printf(&k->versions, "%s%.128s@%.12s", k->versions.len ? " " : "",
                                v->dataset, git_oid_tostr_s(&v->id));
    }
}

static void tell_kept(health *h)
{
    for (size_t i = 0; i < h->nkept; i++) {
        kept *k = &h->kept[i];
        char hex[65];
        ds_sha_hex(hex, &k->id);
        const char *names = k->versions.len ? ds_buf_cstr(&k->versions) : "";
        const ds_trouble t = {.file = k->file,
                              .offset = k->offset,
                              .id = hex,
                              .reason = k->reason,
                              .versions = names ? names : "",
                              .more = k->touched > NAMED_MAX ? k->touched - NAMED_MAX : 0};
        h->out->problems++;
        h->fn(h->ctx, &t);
    }
}

static void free_kept(health *h)
{
    for (size_t i = 0; i < h->nkept; i++) {
        free(h->kept[i].file);
        free(h->kept[i].reason);
        ds_buf_fini(&h->kept[i].versions);
    }
    free(h->kept);
}

/* ---- the catalog's files and objects ---- */

static int check_packs(health *h, ds_err *err)
{
    char *path = NULL, *file = NULL;
    int rc = ds_store_path(&path, ds_catalog_dir(h->store->cat), "objects/pack", err);
    ds_strlist names = {0};
    rc = rc ? rc : ds_strlist_folder(&names, path, err);
    for (size_t i = 0; !rc && i < names.n; i++) {
        const char *name = names.v[i];
        const size_t len = strlen(name);
        ds_err why = {0};
        if (strncmp(name, "pack-", 5) != 0 || len < 10 ||
            (strcmp(name + len - 5, ".pack") != 0 && strcmp(name + len - 4, ".idx") != 0))
            continue;
        rc = ds_store_path(&file, path, name, err);
        int bad = rc ? 0 : ds_gitpack_verify(file, &why);
        if (bad == DS_NOMEM) {
            rc = ds_fail_nomem(err);
        } else if (bad && ds_path_exists(file)) { /* else it was joined with others just now */
            char where[300];
            snprintf(where, sizeof where, "catalog.git/objects/pack/%s", name);
            tell(h, where, 0, "", why.msg, "");
        }
        free(file);
        file = NULL;
    }
    ds_strlist_fini(&names);
    free(path);
    return rc;
}

static int check_object(health *h, const git_oid *id)
{
    git_odb_object *o = NULL;
    h->out->git_objects++;
    int rc = git_odb_read(&o, ds_catalog_odb(h->store->cat), id); /* hashes what it reads */
    if (rc < 0 && git_error_last() && git_error_last()->klass == GIT_ERROR_NOMEMORY)
        return ds_fail_nomem(h->err);
    if (rc < 0)
        tell(h, "catalog.git", 0, git_oid_tostr_s(id),
             git_error_last() ? git_error_last()->message : "unreadable", "");
    git_odb_object_free(o);
    return ds_check_interrupt(h->err);
}

static int check_objects(health *h, ds_err *err)
{
    ds_buf ids = {0};
    ds_err why = {0};
    int rc = ds_catalog_objects(&ids, h->store->cat, &why);
    if (rc == DS_NOMEM) {
        ds_fail_nomem(err);
    } else if (rc) {
        tell(h, "catalog.git", 0, "", "its objects cannot be listed", "");
        rc = 0;
    }
    for (size_t at = 0; !rc && at < ids.len; at += sizeof(git_oid))
        rc = check_object(h, (const git_oid *)(const void *)(ids.data + at));
    ds_buf_fini(&ids);
    return rc;
}

static int check_run(void *ctx, const ds_run_ref *r, ds_err *err)
{
    health *h = ctx;
    ds_err why = {0};
    const int rc = ds_runrows_check(h->store, r, &why);
    if (rc == DS_NOMEM || ds_interrupted())
        return ds_fail_as(err, &why);
    if (rc)
        tell(h, "catalog.git", 0, git_oid_tostr_s(&r->commit), why.msg, "");
    return 0;
}

static void on_bad_ref(void *ctx, const char *name, const ds_err *why)
{
    (void)name; /* why has it */
    tell(ctx, "catalog.git/refs", 0, "", why->msg, "");
}

/* What cannot be read is told of, and the rest of the check goes on with the others. */
static int check_refs(health *h, ds_err *err)
{
    ds_err why = {0};
    uint64_t n;
    const int rc = ds_ref_damaged(h->store->cat, on_bad_ref, h, &n, &why);
    if (rc == DS_NOMEM)
        return ds_fail_nomem(err);
    if (rc) {
        tell(h, "catalog.git/refs", 0, "", why.msg, "");
        return 0;
    }
    if (n)
        ds_catalog_pass_damaged(h->store->cat);
    return ds_run_each(h->store, check_run, h, err);
}

static int check_catalog(health *h, ds_err *err)
{
    ds_err why = {0};
    const ds_overlay *erased = NULL;
    char where[32];
    const char *closed = ds_catalog_closed(ds_catalog_dir(h->store->cat));
    if (closed) {
        snprintf(where, sizeof where, "catalog.git/%s", closed);
        tell(h, where, 0, "", "git cannot read it: no push or fetch will do; run `dsver repair`",
             "");
    }
    int rc = check_packs(h, err);
    rc = rc ? rc : check_objects(h, err);
    if (!rc && err->code)
        rc = err->code;
    rc = rc ? rc : check_refs(h, err);
    if (!rc && ds_catalog_overlay(&erased, h->store->cat, true, &why) == DS_CORRUPT)
        tell(h, "catalog.git", 0, "", why.msg, "");
    if (!rc && ds_overlay_pending(erased))
        tell(h, "packs", 0, "", "an erasure was not carried through: run `dsver gc`", "");
    return rc;
}

/* ---- the operation log ---- */

typedef struct opscan {
    health *h;
    bool found, broken; /* the entry that must be there, in a chain that is whole up to it */
    ds_oprefs refs;
} opscan;

/* A note, but where the log is held against an entry of it: then it is what was asked for. */
static void tell_ref(health *h, const char *ref, const char *what)
{
    char reason[800];
    snprintf(reason, sizeof reason, "%.600s %s", ref, what);
    const ds_trouble t = {
        .note = !h->o->since, .file = "catalog.git", .id = "", .reason = reason, .versions = ""};
    h->out->problems += !t.note;
    h->fn(h->ctx, &t);
}

static int check_entry(void *ctx, const ds_opentry *e, ds_err *err)
{
    opscan *o = ctx;
    const ds_sha *since = o->h->o->since;
    const bool later = o->found;
    o->h->out->operations++;
    o->broken |= e->trouble != NULL;
    o->found |= since && !o->broken && ds_sha_eq(&e->hash, since);
    if (e->trouble)
        tell(o->h, "oplog", e->offset, "", e->trouble, "");
    const int rc = ds_oprefs_add(&o->refs, e, err);
    const ds_opref *r = rc || !later || !*e->ref ? NULL : ds_oprefs_find(&o->refs, e->ref);
    if (r && r->gap) {
        char what[80];
        snprintf(what, sizeof what,
                 "was moved by something other than dsver before operation %" PRIu64, e->seq);
        tell_ref(o->h, e->ref, what);
    }
    return rc;
}

/* Git's own commands may have moved it, which nothing forbids. */
static int check_logged(void *ctx, const char *name, const git_oid *id, ds_err *err)
{
    opscan *o = ctx;
    const ds_opref *r = ds_oprefs_find(&o->refs, name);
    (void)err;
    if (r && r->has_after && git_oid_equal(&r->after, id))
        return 0;
    if (r && r->has_before && git_oid_equal(&r->before, id)) {
        o->h->out->undone++;
        tell_ref(o->h, name,
                 "is where it was before its last operation in the log: the command "
                 "died, or something other than dsver put it back");
        return 0;
    }
    o->h->out->unlogged++;
    tell_ref(o->h, name, "was moved by something other than dsver");
    return 0;
}

static int check_deleted(const opscan *o, ds_err *err)
{
    for (size_t i = 0; i < o->refs.n; i++) {
        const ds_opref *r = &o->refs.v[i];
        git_reference *ref = NULL;
        const int rc = git_reference_lookup(&ref, ds_catalog_repo(o->h->store->cat), r->name);
        git_reference_free(ref);
        if (rc != GIT_ENOTFOUND || !r->has_after)
            continue;
        o->h->out->unlogged++;
        tell_ref(o->h, r->name,
                 r->has_before ? "was deleted by something other than dsver"
                               : "was not made by a command that died, or was deleted by something "
                                 "other than dsver");
    }
    return ds_check_interrupt(err);
}

/* A log that is not there, or empty, as it is of a store that is older than logs. */
static int check_begun(health *h, ds_err *err)
{
    const int rc = ds_ref_any(h->store->cat, err);
    const ds_trouble t = {.note = true,
                          .file = "oplog",
                          .id = "",
                          .reason = "holds nothing, and there are refs: it was taken away, or the "
                                    "store is older than operation logs",
                          .versions = ""};
    if (rc > 0)
        h->fn(h->ctx, &t);
    return rc < 0 ? rc : 0;
}

/* Writers move refs meanwhile: so refs.lock is held while log and refs are compared. */
static int check_oplog(health *h, ds_err *err)
{
    opscan o = {.h = h};
    ds_err why = {0};
    int fd = -1, rc = ds_ref_hold(h->store->cat, &fd, err);
    rc = rc ? rc : ds_oplog_each(h->store->dir, check_entry, &o, &why);
    if (rc == DS_CORRUPT) {
        tell(h, "oplog", 0, "", why.msg, "");
        rc = 0;
    } else if (rc) {
        ds_fail_as(err, &why);
    }
    ds_err_clear(&why);
    if (!rc && h->o->since && !o.found)
        tell(h, "oplog", 0, "",
             o.broken ? "the chain is broken before it comes to the entry with the hash that was "
                        "given"
                      : "no entry has the hash that was given: entries were cut off or written "
                        "anew, or the store is an older copy, or another",
             "");
    if (!rc)
        rc = h->out->operations ? ds_ref_each_raw(h->store->cat, check_logged, &o, &why)
                                : check_begun(h, &why);
    if (rc == DS_CORRUPT) /* a ref: told of already */
        rc = 0;
    else if (rc)
        ds_fail_as(err, &why);
    if (!rc && h->out->operations)
        rc = check_deleted(&o, err);
    ds_ref_release(h->store->cat, &fd);
    ds_oprefs_fini(&o.refs);
    return rc;
}

/* ---- versions ---- */

static bool seen(void *ctx, const git_oid *file)
{
    const health *h = ctx;
    return ds_oidset_has(&h->files, file);
}

static int check_pieces(health *h, ds_err *err)
{
    const ds_sha *p = ds_manline_pieces(&h->line);
    const size_t n = h->line.pieces.len / sizeof *p;
    int rc = 0;
    h->out->pieces += n;
    for (size_t i = 0; rc >= 0 && i < n; i++) {
        uint32_t raw;
        bool first = false;
        rc = ds_objstore_stat(h->store->objs, &p[i], &raw, NULL, NULL, err);
        if (rc == 0)
            rc = ds_shaset_add(&h->gone, &p[i], &first, err);
        if (rc == 0 && first && h->store->lazy)
            h->out->afar++;
        else if (rc == 0 && first)
            rc = on_piece(h, &(ds_objproblem){.file = "packs",
                                              .id = &p[i],
                                              .reason = "missing: no pack holds this piece"});
    }
    return rc < 0 ? rc : 0;
}

/* Lines of "blocks" or "sources"; sum: NULL, or the roots to add to. Files that another version had
 * are looked into again only for the roots. */
static int check_lines(health *h, const ds_version *v, const char *what, ds_rootsum *sum,
                       uint64_t *rows, uint64_t *lines, ds_err *err)
{
    ds_manscan s;
    git_oid last = {{0}};
    bool fresh = false;
    int rc = ds_manscan_open(&s, h->store->cat, &v->tree, what, err);
    if (!sum) {
        s.skip = seen;
        s.skip_ctx = h;
    }
    while (!rc) {
        ds_sha block, origin;
        rc = ds_manscan_next(&s, &h->line, err);
        if (rc <= 0)
            break;
        rc = 0;
        if (!git_oid_equal(&s.file, &last)) {
            rc = ds_oidset_add(&h->files, &s.file, &fresh, err);
            last = s.file;
        }
        h->out->erased += fresh && s.erased;
        h->pages_erased |= s.pages && s.erased;
        *rows += h->line.rows;
        ++*lines;
        h->out->blocks++;
        if (!rc && fresh)
            rc = check_pieces(h, err);
        if (!rc && sum && strcmp(what, "blocks") == 0) {
            rc = ds_manscan_addr(&s, &h->line, &block, &origin, err);
            if (!rc)
                rc = ds_rootsum_block(sum, &block, &origin, err);
        }
    }
    ds_manscan_close(&s);
    return rc;
}

static int add_sources(health *h, const ds_version *v, ds_rootsum *sum, uint64_t *n, ds_err *err)
{
    ds_sourcescan at;
    ds_source src;
    int rc = ds_sourcescan_open(&at, h->store, &v->tree, err);
    while (!rc && (rc = ds_sourcescan_next(&at, &src, err)) > 0) {
        rc = ds_rootsum_source(sum, &src, err);
        ++*n;
    }
    ds_sourcescan_close(&at);
    return rc;
}

/* Everything about one version; what is wrong with it stands in err. */
static int check_version(health *h, const ds_version *v, ds_err *err)
{
    ds_meta m = {0};
    ds_schema schema;
    ds_rootsum *sum = NULL;
    ds_sha digest, root, origin;
    uint64_t rows = 0, blocks = 0, sources = 0, pages = 0;
    h->pages_erased = false; /* then what remains of them does not give their digest */
    ds_schema_init(&schema);
    int rc = ds_version_meta(&m, h->store->cat, v, err);
    if (!rc)
        rc = ds_version_schema(&schema, h->store->cat, &v->tree, err);
    if (!rc && h->o->read_data)
        rc = ds_rootsum_new(&sum, err);
    if (!rc)
        rc = check_lines(h, v, "blocks", sum, &rows, &blocks, err);
    if (!rc)
        rc = check_lines(h, v, "sources", sum, &sources, &pages, err);
    if (!rc && sum) {
        sources = 0;
        rc = add_sources(h, v, sum, &sources, err);
        if (!rc)
            rc = ds_schema_digest(&digest, &schema, err);
        if (!rc)
            rc = ds_rootsum_end(sum, &digest, &root, &origin, err);
        if (!rc && (!ds_sha_eq(&root, &m.root) ||
                    (!h->pages_erased && !ds_sha_eq(&origin, &m.origin_root))))
            rc = ds_fail(err, DS_CORRUPT, "its blocks do not give its root");
        if (!rc && (rows != m.records || blocks != m.blocks || sources != m.sources))
            rc = ds_fail(err, DS_CORRUPT, "its blocks do not add up to its counts");
    }
    ds_rootsum_free(sum);
    ds_schema_fini(&schema);
    ds_meta_fini(&m);
    return rc;
}

/* A version of ours whose message was damaged or rewritten: no other command would miss it. What is
 * neither that nor a version is somebody's own, or a run, and left alone. */
static bool was_version(const health *h, const ds_version *v, ds_err *why)
{
    ds_buf meta = {0};
    const bool was = ds_version_claimed(v->message) ||
                     ds_catalog_file(&meta, h->store->cat, &v->tree, "meta.json", why) == 0;
    ds_buf_fini(&meta);
    return was;
}

static void tell_no_version(health *h, const ds_version *v)
{
    tell(h, "catalog.git", 0, git_oid_tostr_s(&v->id),
         "counts as no version: its message does not end with the lines Dsver-Root, Dsver-Records "
         "and Dsver-Dataset",
         "");
}

/* A branch of a dataset that somebody went on with by other means. */
static int on_branch(void *ctx, const char *name, const git_oid *id, ds_err *err)
{
    health *h = ctx;
    ds_version v = {0}, parent = {0};
    ds_err why = {0};
    if (strncmp(name, DS_REF_PREFIX, sizeof DS_REF_PREFIX - 1) == 0 &&
        ds_version_get(&v, h->store->cat, id, &why) == 0 && !*v.dataset && v.has_parent &&
        !was_version(h, &v, &why) && why.code != DS_NOMEM &&
        ds_version_get(&parent, h->store->cat, &v.parent, &why) == 0 && *parent.dataset)
        tell_no_version(h, &v);
    ds_version_fini(&v);
    ds_version_fini(&parent);
    return why.code == DS_NOMEM ? ds_fail_nomem(err) : ds_check_interrupt(err);
}

static int on_version(void *ctx, const git_oid *id, const ds_version *v, const ds_err *why,
                      ds_err *err)
{
    health *h = ctx;
    ds_err what = {0};
    char name[300], reason[DS_ERR_MAX + 64];
    if (!v) {
        if (why->code == DS_NOMEM || ds_is_io(why->code))
            return ds_fail_as(err, why);
        tell(h, "catalog.git", 0, git_oid_tostr_s(id), why->msg, "");
        return 0;
    }
    if (!*v->dataset) {
        if (was_version(h, v, &what))
            tell_no_version(h, v);
        return what.code == DS_NOMEM ? ds_fail_nomem(err) : 0;
    }
    h->out->versions++;
    int rc = check_version(h, v, &what);
    if (rc == DS_NOMEM || ds_is_io(rc))
        return ds_fail_as(err, &what);
    if (rc) {
        snprintf(name, sizeof name, "%.128s@%.12s", v->dataset, git_oid_tostr_s(id));
        snprintf(reason, sizeof reason, "the version cannot be read: %s", what.msg);
        tell(h, "catalog.git", 0, git_oid_tostr_s(id), reason, name);
    }
    return ds_check_interrupt(err);
}

/* ---- which versions need damaged pieces ---- */

static void name_lines(health *h, const ds_version *v, const char *what, ds_err *err)
{
    ds_manscan s;
    int rc = ds_manscan_open(&s, h->store->cat, &v->tree, what, err);
    while (!rc && ds_manscan_next(&s, &h->line, err) > 0) {
        const ds_sha *p = ds_manline_pieces(&h->line);
        for (size_t i = 0; i < h->line.pieces.len / sizeof *p; i++)
            touch(h, &p[i], v);
    }
    ds_manscan_close(&s);
}

/* What cannot be read was told of. */
static int name_version(void *ctx, const git_oid *id, const ds_version *v, const ds_err *why,
                        ds_err *err)
{
    ds_err what = {0};
    (void)id;
    (void)why;
    if (v && *v->dataset) {
        name_lines(ctx, v, "blocks", &what);
        name_lines(ctx, v, "sources", &what);
    }
    return what.code == DS_NOMEM ? ds_fail_nomem(err) : ds_check_interrupt(err);
}

/* What a walk over refs ends with: one that is damaged was told of already. */
static int walked(int rc, const ds_err *why, ds_err *err)
{
    return rc == 0 || rc == DS_CORRUPT ? 0 : ds_fail_as(err, why);
}

static int each_version(health *h, ds_history_fn fn, ds_err *err)
{
    ds_err why = {0};
    return walked(ds_history_each(h->store->cat, fn, h, &why), &why, err);
}

static int check_branches(health *h, ds_err *err)
{
    ds_err why = {0};
    return walked(ds_ref_each(h->store->cat, on_branch, h, &why), &why, err);
}

int ds_health_check(ds_health *out, ds_store *s, const ds_health_opts *o, ds_trouble_fn fn,
                    void *ctx, ds_err *err)
{
    ds_err none = {0};
    if (!err)
        err = &none;
    health h = {.store = s, .out = out, .o = o, .fn = fn, .ctx = ctx, .err = err};
    *out = (ds_health){0};
    int rc = ds_objstore_scrub(s->objs, o->read_data, o->part, o->parts, o->threads, on_piece, &h,
                               &out->objs, err);
    if (!rc)
        rc = check_catalog(&h, err);
    rc = rc ? rc : check_oplog(&h, err);
    rc = rc ? rc : each_version(&h, on_version, err);
    rc = rc ? rc : check_branches(&h, err);
    if (!rc && h.nkept) {
        qsort(h.kept, h.nkept, sizeof *h.kept, by_piece);
        rc = each_version(&h, name_version, err);
    }
    if (!rc)
        tell_kept(&h);
    free_kept(&h);
    ds_shaset_fini(&h.gone);
    ds_oidset_fini(&h.files);
    ds_manline_fini(&h.line);
    return rc;
}
