/* collect.c - see collect.h. */
#include "collect.h"

#include <string.h>
#include <time.h>

#include "history.h"
#include "manifest.h"
#include "oidset.h"
#include "overlay.h"
#include "person.h"
#include "pin.h"
#include "refs.h"
#include "rmtree.h"
#include "sig.h"
#include "statcache.h"
#include "statread.h"

typedef struct mark {
    ds_store *store;
    ds_objgc *gc;
    ds_oidset files, commits;
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
            if (!known && !m->store->lazy) {
                m->out->missing++;
                ds_objgc_lacks(m->gc);
            }
        }
    }
    ds_manscan_close(&s);
    return rc;
}

static int mark_version(void *ctx, const git_oid *id, const ds_version *v, const ds_err *why,
                        ds_err *err)
{
    mark *m = ctx;
    int rc = v ? ds_check_interrupt(err) : ds_fail_as(err, why);
    if (!rc)
        rc = mark_lines(m, &v->tree, "blocks", err);
    if (!rc)
        rc = mark_lines(m, &v->tree, "sources", err);
    m->out->versions += v && *v->dataset; /* a run's own commits are none */
    return rc ? ds_err_prefix(err, "nothing was collected, version %s cannot be read",
                              git_oid_tostr_s(id))
              : 0;
}

static int pinned(void *ctx, const git_oid *commit, ds_err *err)
{
    mark *m = ctx;
    return ds_history_from(m->store->cat, commit, &m->commits, mark_version, m, err);
}

/* Everything that refs and readers lead to and that was not marked before. */
static int mark_all(mark *m, ds_err *err)
{
    ds_catalog *c = m->store->cat;
    if (git_odb_refresh(ds_catalog_odb(c)) < 0)
        return ds_fail(err, DS_IO, "the catalog cannot be read");
    int rc = ds_history_more(c, &m->commits, mark_version, m, err);
    return rc ? rc : ds_pin_each(m->store, pinned, m, err);
}

static int keep_pinned(void *ctx, const git_oid *commit, ds_err *err)
{
    return ds_tidy_keep(ctx, commit, err);
}

static int sweep(mark *m, ds_tidy *tidy, const ds_collect_opts *o, ds_err *err)
{
    int rc = o->dry_run ? 0 : ds_objgc_shut(m->gc, o->wait, err);
    if (!rc && !o->dry_run)
        rc = mark_all(m, err);
    if (!rc)
        rc = ds_objgc_sweep(m->gc, o->dry_run, &m->out->objs, err);
    if (!rc)
        rc = ds_pin_each(m->store, keep_pinned, tidy, err);
    if (!rc) /* writers of the catalog are shut out too: they hold the same lock */
        rc = ds_tidy_run(tidy, o->dry_run, &m->out->catalog, err);
    return rc;
}

int ds_collect_alone(ds_objgc **gc, ds_store *s, bool wait, ds_err *err)
{
    int rc = ds_objgc_begin(gc, s->objs, wait, err);
    if (rc)
        return rc;
    ds_objgc_purge(*gc);
    rc = ds_objgc_shut(*gc, wait, err);
    if (rc) {
        ds_objgc_end(*gc);
        *gc = NULL;
    }
    return rc;
}

static void mark_fini(mark *m)
{
    ds_oidset_fini(&m->files);
    ds_oidset_fini(&m->commits);
    ds_manline_fini(&m->line);
}

int ds_collect_purge(ds_collected *out, ds_store *s, ds_objgc *gc, int threads, ds_err *err)
{
    mark m = {.store = s, .gc = gc, .out = out};
    const ds_overlay *erased = NULL;
    ds_person who = {0};
    *out = (ds_collected){0};
    int rc = ds_catalog_overlay(&erased, s->cat, true, err);
    rc = rc ? rc : mark_all(&m, err);
    rc = rc ? rc : ds_objgc_detach(gc, threads, &out->detached, err);
    rc = rc ? rc : ds_objgc_condemn(gc, false, err);
    rc = rc ? rc : ds_objgc_sweep(gc, false, &out->objs, err);
    mark_fini(&m);
    rc = rc ? rc : ds_stats_prune(s, true, err); /* they hold values of what was erased */
    if (!rc && out->objs.stuck)
        rc = ds_fail(
            err, DS_CORRUPT,
            "%llu damaged packs were left, and what they hold of the erased: see dsver fsck",
            (unsigned long long)out->objs.stuck);
    rc = rc ? rc : ds_person_find(&who, s->dir, NULL, err);
    const ds_note_new by = {.message = "the packs hold no more of it",
                            .name = (const char *)who.name.data,
                            .mail = (const char *)who.mail.data,
                            .time = (int64_t)time(NULL)};
    rc = rc ? rc : ds_overlay_done(s->cat, &by, err);
    ds_person_fini(&who);
    return rc ? rc : ds_catalog_overlay(&erased, s->cat, true, err);
}

int ds_collect_pending(ds_collected *out, ds_store *s, bool wait, ds_err *err)
{
    const ds_overlay *erased = NULL;
    ds_objgc *gc = NULL;
    int rc = ds_catalog_overlay(&erased, s->cat, true, err);
    if (rc || !ds_overlay_pending(erased))
        return rc;
    rc = ds_collect_alone(&gc, s, wait, err);
    rc = rc ? rc : ds_collect_purge(out, s, gc, 1, err);
    ds_objgc_end(gc);
    return rc;
}

/* What was left behind up to then goes. Without any grace that is all of it: also what a clock that
 * was wrong for a day has dated years ahead. */
static int64_t grace_over(const ds_collect_opts *o)
{
    return o->grace > 0 ? (int64_t)time(NULL) - o->grace : INT64_MAX;
}

int ds_collect_run(ds_collected *out, ds_store *s, const ds_collect_opts *o, ds_err *err)
{
    mark m = {.store = s, .out = out};
    ds_tidy *tidy = NULL;
    const int64_t before = grace_over(o);
    *out = (ds_collected){0};
    int rc = o->dry_run ? 0 : ds_collect_pending(out, s, o->wait, err);
    *out = (ds_collected){0};
    if (!rc)
        rc = ds_objgc_begin(&m.gc, s->objs, o->wait, err);
    if (!rc)
        rc = ds_ref_expire(s->cat, before, o->dry_run, &out->kept_expired, err);
    if (!rc)
        rc = mark_all(&m, err);
    if (!rc)
        rc = ds_objgc_condemn(m.gc, o->dry_run, err);
    if (!rc)
        rc = ds_tidy_new(&tidy, s->cat, before, err);
    if (!rc)
        rc = sweep(&m, tidy, o, err);
    if (!rc && !o->dry_run)
        rc = ds_stats_prune(s, false, err);
    ds_tidy_free(tidy);
    ds_objgc_end(m.gc);
    mark_fini(&m);
    return rc;
}

/* ---- on a disk without room ---- */

/* They cost time to make anew, and hold nothing else. */
static int drop_caches(const ds_store *s, ds_err *err)
{
    char *files = NULL;
    int rc = ds_statcache_drop(s->dir, err);
    rc = rc ? rc : ds_store_path(&files, s->dir, DS_STORE_FILES, err);
    if (!rc)
        ds_remove_tree(files);
    free(files);
    return rc;
}

/* 1 done, 0 when there is no room for it, or an error. */
static int try_expire(mark *m, const ds_collect_opts *o, ds_err *err)
{
    ds_err why = {0};
    uint64_t n = 0;
    const int64_t until = grace_over(o);
    int rc = ds_ref_expire(m->store->cat, until, o->dry_run, &n, &why);
    m->out->kept_expired += n;
    return rc == 0 ? 1 : rc == DS_NOROOM ? 0 : ds_fail_as(err, &why);
}

/* A ref that goes takes an entry in the log. Room for that can be had: of the caches, or of the
 * index, which is made anew later. Where even that is not enough the refs stay, with what they lead
 * to. */
static int expire(mark *m, const ds_collect_opts *o, ds_err *err)
{
    int rc = try_expire(m, o, err);
    if (rc == 0) {
        rc = drop_caches(m->store, err);
        rc = rc ? rc : try_expire(m, o, err);
    }
    if (rc == 0) {
        rc = ds_objgc_unindex(m->gc, err);
        rc = rc ? rc : try_expire(m, o, err);
        if (rc < 0)
            return rc;
        ds_objgc_end(m->gc); /* begun anew it makes an index of its own */
        rc = ds_objgc_cramped(&m->gc, m->store->dir, o->wait, err);
    }
    return rc < 0 ? rc : 0;
}

static int look_for_kept(void *ctx, const char *name, const git_oid *id, ds_err *err)
{
    mark *m = ctx;
    (void)id;
    (void)err;
    m->out->kept |= strncmp(name, DS_REF_KEPT, sizeof DS_REF_KEPT - 1) == 0;
    return 0;
}

static int drop(mark *m, ds_err *err)
{
    const bool some = m->out->objs.packs_deleted > 0;
    int rc = some ? ds_objgc_unindex(m->gc, err) : 0;
    rc = rc ? rc : ds_objgc_drop(m->gc, &m->out->objs, err);
    return rc || some ? rc : drop_caches(m->store, err);
}

static int renew(mark *m, ds_err *err)
{
    ds_err why = {0};
    int rc = ds_objgc_renew(m->gc, &why);
    if (rc == DS_NOROOM && (rc = drop_caches(m->store, err)) == 0) {
        why = (ds_err){0};
        rc = ds_objgc_renew(m->gc, &why);
    }
    return rc ? ds_fail(err, rc, "the index could not be made anew (%s): run `dsver reindex`",
                        why.msg)
              : 0;
}

int ds_collect_cramped(ds_collected *out, ds_store *s, const ds_collect_opts *o, ds_err *err)
{
    mark m = {.store = s, .out = out};
    *out = (ds_collected){0};
    int rc = ds_objgc_cramped(&m.gc, s->dir, o->wait, err);
    rc = rc ? rc : expire(&m, o, err);
    rc = rc ? rc : ds_ref_each(s->cat, look_for_kept, &m, err);
    rc = rc ? rc : mark_all(&m, err);
    if (!rc && out->missing)
        rc = ds_fail(err, DS_CORRUPT,
                     "nothing was collected, %llu of the pieces that versions need are missing: "
                     "run dsver fsck",
                     (unsigned long long)out->missing);
    rc = rc ? rc : ds_objgc_dead(m.gc, &out->objs, err);
    if (!o->dry_run && m.gc) {
        rc = rc ? rc : drop(&m, err);
        const int anew = renew(&m, err); /* whatever failed */
        rc = rc ? rc : anew;
    }
    ds_objgc_end(m.gc);
    mark_fini(&m);
    return rc;
}
