/* publish.c - see publish.h. */
#include "publish.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "packjoin.h"
#include "person.h"
#include "plural.h"
#include "pool.h"
#include "refs.h"
#include "revision.h"
#include "statcache.h"

enum { MOVES_MAX = 1000 }; /* only commands from outside can win more than once */

void ds_published_fini(ds_published *p)
{
    ds_pass_fini(&p->pass);
    ds_buf_fini(&p->gone);
    *p = (ds_published){0};
}

/* ---- the branch ---- */

typedef struct branch {
    char *ref;
    bool exists; /* the ref is there, at `id` */
    bool has_parent;
    git_oid id, parent;
    ds_signer *signer;
    bool same; /* its version holds the same records from the same places */
} branch;

/* found: the branch is at `id`; else it is not there. */
static int check_head(const ds_publish_opts *o, const char *ref, bool found, const git_oid *id,
                      ds_err *err)
{
    char is[11] = "";
    if (o->fresh ? !found : !o->head || (found && git_oid_equal(id, o->head)))
        return 0;
    if (found)
        git_oid_tostr(is, sizeof is, id);
    if (o->fresh)
        return ds_fail(err, DS_LOCKED, "%s was made meanwhile, at %s: nothing was changed", ref,
                       is);
    return ds_fail(err, DS_LOCKED, "%s %s%s, not at %.10s: nothing was changed", ref,
                   found ? "has moved: it is at " : "is not there", is, git_oid_tostr_s(o->head));
}

static int look(branch *b, ds_store *s, const ds_publish_opts *o, const ds_meta *m, ds_err *err)
{
    ds_version v = {0};
    ds_meta old = {0};
    b->same = false;
    int rc = ds_ref_get(s->cat, b->ref, &b->id, err);
    if (rc < 0)
        return rc;
    if (check_head(o, b->ref, rc > 0, &b->id, err))
        return DS_LOCKED;
    b->exists = b->has_parent = rc > 0;
    b->parent = b->id;
    if (rc > 0) {
        rc = ds_version_get(&v, s->cat, &b->id, err);
        if (!rc)
            rc = ds_version_meta(&old, s->cat, &v, err);
        if (!rc)
            b->same = !o->merged && ds_sha_eq(&old.root, &m->root) &&
                      ds_sha_eq(&old.origin_root, &m->origin_root);
    } else if (strcmp(o->branch, DS_BRANCH) != 0) { /* a new branch goes on from the default one */
        char *ref = NULL;
        rc = asprintf(&ref, DS_REF_PREFIX "%s/" DS_BRANCH, o->dataset) < 0 ? ds_fail_nomem(err) : 0;
        if (!rc) {
            rc = ds_ref_get(s->cat, ref, &b->parent, err);
            b->has_parent = rc > 0;
            rc = rc < 0 ? rc : 0;
            free(ref);
        }
    }
    ds_version_fini(&v);
    ds_meta_fini(&old);
    return rc;
}

/* Version objects and ref. 1 moved, 0 somebody else was first. */
static int move(ds_published *out, ds_store *s, ds_gitpack *pack, const branch *b,
                const ds_person *p, const ds_publish_opts *o, ds_err *err)
{
    char subject[64];
    const ds_meta *m = &out->pass.meta;
    snprintf(subject, sizeof subject, "%" PRIu64 " record%s", m->records, ds_s(m->records));
    ds_version_new v = {.tree = out->pass.tree,
                        .parent = b->has_parent ? &b->parent : NULL,
                        .merged = o->merged,
                        .dataset = o->dataset,
                        .message = o->message && *o->message ? o->message : subject,
                        .name = (const char *)p->name.data,
                        .mail = (const char *)p->mail.data,
                        .time = o->time ? o->time : (int64_t)time(NULL),
                        .root = m->root,
                        .records = m->records,
                        .signer = b->signer};
    int rc = ds_version_put(pack, &out->id, &v, err);
    if (!rc)
        rc = ds_gitpack_publish(pack, err);
    out->catalog_bytes = ds_gitpack_bytes(pack);
    return rc ? rc : ds_ref_move(s->cat, b->ref, b->exists ? &b->id : NULL, &out->id, err);
}

/* What is there to be told of the columns; the version stands, whatever comes of that. A merge is
 * asked about its columns itself. */
static void find_gone(ds_published *out, ds_store *s, const git_oid *before)
{
    ds_version v = {0};
    ds_schema was, is;
    ds_schema_init(&was);
    ds_schema_init(&is);
    int rc = ds_version_get(&v, s->cat, before, NULL);
    rc = rc ? rc : ds_version_schema(&was, s->cat, &v.tree, NULL);
    rc = rc ? rc : ds_version_schema(&is, s->cat, &out->pass.tree, NULL);
    for (size_t i = 0; !rc && i < was.n; i++)
        if (ds_schema_find(&is, was.cols[i].name) < 0)
            rc = ds_buf_put(&out->gone, was.cols[i].name, strlen(was.cols[i].name) + 1);
    ds_schema_fini(&was);
    ds_schema_fini(&is);
    ds_version_fini(&v);
}

/* ---- statistics, into their cache ---- */

/* Beside the packs' way to the disk and into the index. */
typedef struct keeping {
    ds_pass *pass;
    const char *dir;
    ds_beside beside;
    int rc;
    ds_err err;
} keeping;

/* When others keep the cache to themselves for too long, whoever wants the statistics makes them.
 */
static void keep(void *arg)
{
    keeping *k = arg;
    ds_statcache *cache = NULL;
    const uint8_t *data;
    size_t len;

    k->rc = ds_spool_view(&k->pass->stats, &data, &len, &k->err);
    if (k->rc || !len)
        return;
    k->rc = ds_statcache_open(&cache, k->dir, &k->err);
    k->rc = k->rc ? k->rc : ds_statcache_store(cache, data, len, &k->err);
    ds_statcache_close(cache);
    if (k->rc == DS_LOCKED)
        k->rc = 0;
}

/* `rc`: of what went on beside it, and of both. */
static int keep_end(keeping *k, int rc, ds_err *err)
{
    ds_beside_end(&k->beside, !rc);
    return rc || !k->rc ? rc : ds_fail(err, k->rc, "%s", k->err.msg);
}

static int publish(ds_published *out, ds_store *s, ds_objtx **tx, ds_gitpack *pack,
                   const ds_person *p, const ds_publish_opts *o, ds_err *err)
{
    branch b = {0};
    keeping stats = {.pass = &out->pass, .dir = s->dir};
    char *who = NULL;
    int rc =
        asprintf(&b.ref, DS_REF_PREFIX "%s/%s", o->dataset, o->branch) < 0 ? ds_fail_nomem(err) : 0;
    rc = rc ? rc : ds_person_text(&who, p, err);
    rc = rc ? rc : ds_signer_find(&b.signer, s->dir, o->sign, false, who, err);
    /* Before anything that leads to its pieces. When nothing is new this writes nothing; in a store
     * that had lost pieces of this very version it brings them back. */
    if (!rc) {
        ds_beside_begin(&stats.beside, o->pass.threads > 1, keep, &stats);
        rc = ds_objtx_finish(*tx, &out->objs, err);
        *tx = NULL;
        rc = keep_end(&stats, rc, err);
    }
    for (int tries = 0; !rc; tries++) {
        rc = look(&b, s, o, &out->pass.meta, err);
        if (rc)
            break;
        if (b.same) {
            out->id = b.id;
            out->unchanged = true;
            break;
        }
        rc = move(out, s, pack, &b, p, o, err);
        if (rc > 0 && b.exists && !o->merged)
            find_gone(out, s, &b.id);
        if (rc > 0)
            break;
        if (!rc && tries == MOVES_MAX)
            rc = ds_fail(err, DS_LOCKED, "%s keeps moving", b.ref);
    }
    free(b.ref);
    free(who);
    ds_signer_free(b.signer);
    return rc > 0 ? 0 : rc;
}

int ds_publish_check(ds_store *s, const ds_publish_opts *o, ds_err *err)
{
    char *ref = NULL;
    git_oid head;
    if (asprintf(&ref, DS_REF_PREFIX "%s/%s", o->dataset, o->branch) < 0)
        return ds_fail_nomem(err);
    int rc = ds_ref_get(s->cat, ref, &head, err);
    if (rc >= 0 && check_head(o, ref, rc > 0, &head, err))
        rc = DS_LOCKED;
    else if (rc == 0) {
        rc = ds_name_check(s, o->dataset, o->branch, false, err);
        rc = rc ? rc : ds_ref_check_new(s->cat, ref, err);
    }
    free(ref);
    return rc < 0 ? rc : 0;
}

int ds_publish_stream(ds_published *out, ds_store *s, int fd, const char *path,
                      const ds_publish_opts *o, ds_err *err)
{
    ds_objtx *tx = NULL;
    ds_gitpack *pack = NULL;
    ds_person p = {0};
    ds_pass_opts opts = o->pass;
    char *ref = NULL;
    *out = (ds_published){0};
    int rc = ds_person_find(&p, s->dir, o->author, err);
    if (!rc && asprintf(&ref, DS_REF_PREFIX "%s/%s", o->dataset, o->branch) < 0) {
        ref = NULL;
        rc = ds_fail_nomem(err);
    }
    if (rc)
        goto out;
    opts.ref = ref;
    rc = ds_publish_check(s, o, err);
    if (rc)
        goto out;
    rc = ds_objstore_hold(s->objs, err); /* gc keeps out until the ref has moved */
    if (rc)
        goto out;
    rc = ds_objtx_begin(&tx, s->objs, o->pass.threads, err);
    if (!rc)
        rc = ds_catalog_pack(&pack, s->cat, err);
    if (!rc)
        rc = ds_pass_run(&out->pass, s, tx, pack, fd, path, &opts, err);
    if (!rc)
        rc = publish(out, s, &tx, pack, &p, o, err);
    ds_objtx_abort(tx);
    ds_gitpack_free(pack);
    if (!rc && !out->unchanged) /* the version stands, whatever comes of it */
        out->joined = ds_packjoin(s->cat, s->dir, NULL) > 0;
    ds_objstore_release(s->objs);
out:
    free(ref);
    ds_person_fini(&p);
    if (rc)
        ds_published_fini(out);
    return rc;
}
