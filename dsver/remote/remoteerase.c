/* remoteerase.c - see remoteerase.h. */
#include "remoteerase.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "collect.h"
#include "erasecheck.h"
#include "history.h"
#include "overlay.h"
#include "person.h"
#include "recblock.h"
#include "refs.h"
#include "sig.h"
#include "tombstone.h"

/* ---- two erasures that did not know of each other ---- */

typedef struct join {
    ds_store *store;
    ds_overlay *ours, *theirs; /* lent: the catalog has one of them in use at a time */
    git_oid our_id, their_id;
    ds_shaset open; /* blocks and pages that the two replace by different lines */
    ds_shaset done;
    ds_objtx *tx;
    ds_buf lines; /* of the overlay, in place of those */
} join;

static int find_open(join *j, ds_err *err)
{
    ds_sha address;
    const uint8_t *text;
    size_t len, other = 0;
    int rc = 0;
    for (size_t i = 0; !rc && ds_overlay_line(j->ours, i, &address, &text, &len); i++) {
        const uint8_t *p = ds_overlay_find(j->theirs, &address, &other);
        if (p && (other != len || memcmp(p, text, len) != 0))
            rc = ds_shaset_add(&j->open, &address, NULL, err);
    }
    return rc;
}

static int put_line(join *j, const ds_sha *was, ds_manline *line, ds_err *err)
{
    int rc = ds_buf_hex(&j->lines, was->b, sizeof was->b);
    rc = rc ? rc : ds_buf_putc(&j->lines, ' ');
    rc = rc ? rc : ds_manline_text(&j->lines, line);
    ds_manline_fini(line);
    return rc ? ds_fail_nomem(err) : ds_shaset_add(&j->done, was, NULL, err);
}

/* The catalog reads by this one of the two from now on. */
static int use(join *j, bool theirs, ds_err *err)
{
    ds_overlay *o = NULL;
    int rc = ds_overlay_load_at(&o, j->store->cat, theirs ? &j->their_id : &j->our_id, err);
    if (!rc)
        ds_catalog_use_overlay(j->store->cat, o);
    return rc;
}

/* Our block with what both erased, where that is known; else, of erasures of old, from both blocks,
 * of which theirs is in *b, opened when first needed. */
static int join_block(join *j, ds_manline *line, const ds_verside *a, size_t i, ds_verside *b,
                      ds_err *err)
{
    ds_buf rows = {0}; /* ds_erasedrow */
    const int known = ds_overlay_joined_rows(j->ours, j->theirs, &a->was[i], &rows, err);
    int rc = known < 0 ? known : 0;
    if (known > 0) {
        rc = ds_tombstone_block(line, a, i, &rows, NULL, j->tx, err);
    } else if (known == 0) {
        if (!b->store) {
            rc = use(j, true, err);
            rc = rc ? rc : ds_verside_open_raw(b, j->store, &a->version.id, NULL, NULL, err);
        }
        rc = rc ? rc : ds_tombstone_join(line, a, i, b, i, j->tx, err);
    }
    ds_buf_fini(&rows);
    return rc;
}

static int join_blocks(join *j, const git_oid *id, ds_err *err)
{
    ds_verside a = {0}, b = {0};
    int rc = use(j, false, err);
    rc = rc ? rc : ds_verside_open_raw(&a, j->store, id, NULL, NULL, err);
    for (size_t i = 0; !rc && i < a.n; i++) {
        ds_manline line = {0};
        if (!ds_shaset_has(&j->open, &a.was[i]) || ds_shaset_has(&j->done, &a.was[i]))
            continue;
        rc = join_block(j, &line, &a, i, &b, err);
        rc = rc ? rc : put_line(j, &a.was[i], &line, err);
    }
    ds_verside_fini(&a);
    ds_verside_fini(&b);
    return rc;
}

/* Pages of a version by their addresses, as one of the two leaves them. */
static int read_page(join *j, bool theirs, const git_oid *tree, const ds_sha *was, ds_buf *page,
                     ds_err *err)
{
    ds_manscan at = {0};
    ds_manline line = {0};
    int rc = use(j, theirs, err);
    rc = rc ? rc : ds_manscan_open(&at, j->store->cat, tree, "sources", err);
    while (!rc && (rc = ds_manscan_next(&at, &line, err)) > 0) {
        ds_sha address, origin;
        rc = ds_manscan_addr(&at, &line, &address, &origin, err);
        if (!rc && ds_sha_eq(&address, was)) {
            rc = ds_objstore_get(j->store->objs, ds_manline_pieces(&line), true, page, err);
            break;
        }
    }
    ds_manscan_close(&at);
    ds_manline_fini(&line);
    return rc;
}

static int join_page(join *j, const git_oid *tree, const ds_sha *was, uint64_t rows, ds_err *err)
{
    ds_buf a = {0}, b = {0}, erased = {0}; /* ds_erasedrow */
    ds_manline line = {0};
    ds_objstore *objs = j->store->objs;
    int rc = read_page(j, false, tree, was, &a, err);
    const int known = rc ? rc : ds_overlay_joined_rows(j->ours, j->theirs, was, &erased, err);
    rc = known < 0 ? known : 0;
    if (known > 0) {
        rc = ds_tombstone_page(&line, &a, rows, &erased, NULL, objs, j->tx, err);
    } else if (known == 0) {
        rc = read_page(j, true, tree, was, &b, err);
        rc = rc ? rc : ds_tombstone_join_page(&line, &a, &b, rows, objs, j->tx, err);
    }
    rc = rc ? rc : put_line(j, was, &line, err);
    ds_buf_fini(&a);
    ds_buf_fini(&b);
    ds_buf_fini(&erased);
    return rc;
}

static int join_pages(join *j, const git_oid *tree, ds_err *err)
{
    ds_manscan at = {0};
    ds_manline line = {0};
    int rc = ds_manscan_open(&at, j->store->cat, tree, "sources", err);
    while (!rc && (rc = ds_manscan_next(&at, &line, err)) > 0) {
        ds_sha was, origin;
        rc = ds_manscan_addr(&at, &line, &was, &origin, err);
        if (rc || !ds_shaset_has(&j->open, &was) || ds_shaset_has(&j->done, &was))
            continue;
        /* the scan keeps what it was opened with; what is in use afterwards is another */
        rc = join_page(j, tree, &was, line.rows, err);
        if (rc)
            break;
        ds_manscan_close(&at);
        rc = use(j, false, err);
        rc = rc ? rc : ds_manscan_open(&at, j->store->cat, tree, "sources", err);
    }
    ds_manscan_close(&at);
    ds_manline_fini(&line);
    return rc;
}

static int join_version(void *ctx, const git_oid *id, const ds_version *v, const ds_err *why,
                        ds_err *err)
{
    join *j = ctx;
    (void)why;
    if (!v || !*v->dataset || j->done.n == j->open.n)
        return 0;
    int rc = join_blocks(j, id, err);
    rc = rc ? rc : use(j, false, err);
    rc = rc ? rc : join_pages(j, &v->tree, err);
    return rc ? rc : ds_check_interrupt(err);
}

static int join_lines(join *j, ds_err *err)
{
    ds_oidset seen = {0};
    int rc = find_open(j, err);
    if (rc || !j->open.n)
        return rc;
    rc = ds_objtx_begin(&j->tx, j->store->objs, 1, err);
    rc = rc ? rc : ds_history_more(j->store->cat, &seen, join_version, j, err);
    if (!rc)
        rc = ds_objtx_finish(j->tx, NULL, err);
    else
        ds_objtx_abort(j->tx);
    j->tx = NULL;
    if (!rc && j->done.n != j->open.n)
        rc = ds_fail(err, DS_CORRUPT, "%s: a block that two erasures replace is in no version here",
                     DS_REF_ERASED);
    ds_oidset_fini(&seen);
    return rc;
}

/* ---- fetching ---- */

/* Pieces that are read instead, of all versions here. */
static int want_instead(ds_shaset *want, ds_store *s, ds_err *err)
{
    ds_buf heads = {0};
    int rc = ds_ref_commits(&heads, s->cat, err);
    rc = rc ? rc
            : ds_needed_erased(want, s, (const git_oid *)(const void *)heads.data,
                               heads.len / sizeof(git_oid), err);
    ds_buf_fini(&heads);
    return rc;
}

typedef struct lacking {
    ds_store *store;
    const ds_sha *piece;
    char name[256];
} lacking;

static int find_lacking(void *ctx, const char *name, const git_oid *id, ds_err *err)
{
    lacking *k = ctx;
    ds_shaset needs = {0};
    int rc = ds_needed_erased(&needs, k->store, id, 1, err);
    if (!rc && ds_shaset_has(&needs, k->piece)) {
        snprintf(k->name, sizeof k->name, "%.200s", name);
        rc = 1;
    }
    ds_shaset_fini(&needs);
    return rc;
}

/* The remote has only what its own versions need. */
static int say_lacking(ds_link *l, const ds_sha *piece, ds_err *err)
{
    lacking k = {.store = l->store, .piece = piece, .name = "a version here"};
    char hex[65];
    const int rc = ds_ref_each(l->store->cat, find_lacking, &k, err);
    if (rc < 0)
        return rc;
    ds_sha_hex(hex, piece);
    return ds_fail(
        err, DS_CORRUPT,
        "%s: lacks what is read in place of erased records: piece %s, of %s (who erased "
        "them has it: dsver push there brings the branch back, and this store up to "
        "date; or give that version up here: dsver branch -d, fetch --prune, gc --grace 0)",
        ds_remote_place(l->remote), hex, k.name);
}

/* `old` is read by here, `fresh` is to be, and in use. may_lack: what is still not here then may
 * not be needed. */
static int fetch_instead(ds_link *l, const ds_overlay *old, const ds_overlay *fresh,
                         const ds_shaset *want, bool may_lack, ds_err *err)
{
    ds_objstore *objs = l->store->objs;
    ds_remotestate state;
    ds_moved moved = {.pieces = 0};
    ds_transfer t = {.objs = objs, .remote = l->remote, .index = l->index, .quiet = true};
    if (!want->n)
        return 0;
    int rc = ds_remoteindex_refresh(l->index, &state, err);
    rc = rc ? rc : ds_sync_get(&moved, &state, l, &t, want, err);
    if (rc || !moved.missing)
        return rc;
    rc = ds_erasecheck_make(l->store, old, fresh, err);
    for (size_t i = 0; !rc && !may_lack && i < want->n; i++)
        if (!ds_objstore_has(objs, &want->ids[i]))
            rc = say_lacking(l, &want->ids[i], err);
    return rc;
}

/* Brings what is read instead, but of a lazy store only what is to be compared, and compares what
 * is here of what it replaces. `fresh` is in use. */
static int take_instead(ds_link *l, const git_oid *here, const ds_overlay *fresh, bool lazy,
                        ds_err *err)
{
    ds_store *s = l->store;
    ds_overlay *old = NULL;
    ds_shaset want = {0};
    ds_err why = {0};
    int rc = here ? ds_overlay_load_at(&old, s->cat, here, err) : 0;
    if (!rc)
        rc = lazy ? ds_erasecheck_want(&want, s, old, fresh, err) : want_instead(&want, s, err);
    rc = rc ? rc : fetch_instead(l, old, fresh, &want, false, err);
    if (!rc && (rc = ds_erasecheck(s, old, fresh, &why)) == DS_CORRUPT)
        rc = ds_fail(
            err, rc,
            "%s: its erasure is refused, as it changes more than it erases: %s (nothing was "
            "taken over; see there who made it, git log " DS_REF_ERASED ", and put that ref back)",
            l->conf.name, why.msg);
    else if (rc && why.code)
        rc = ds_fail_as(err, &why);
    ds_overlay_free(old);
    ds_shaset_fini(&want);
    return rc;
}

/* *id: a commit of both. */
static int join_both(git_oid *id, ds_link *l, const git_oid *ours, const git_oid *theirs, bool lazy,
                     ds_err *err)
{
    ds_store *s = l->store;
    join j = {.store = s, .our_id = *ours, .their_id = *theirs};
    ds_shaset want = {0};
    ds_person who = {0};
    int rc = ds_overlay_load_at(&j.ours, s->cat, ours, err);
    rc = rc ? rc : ds_overlay_load_at(&j.theirs, s->cat, theirs, err);
    rc = rc ? rc : use(&j, true, err);
    rc = rc || lazy ? rc : want_instead(&want, s, err);
    rc = rc ? rc : fetch_instead(l, j.ours, j.theirs, &want, true, err);
    rc = rc ? rc : join_lines(&j, err);
    rc = rc ? rc : ds_person_find(&who, s->dir, NULL, err);
    const ds_note_new by = {.message = "erasures of two stores joined",
                            .name = (const char *)who.name.data,
                            .mail = (const char *)who.mail.data,
                            .time = (int64_t)time(NULL)};
    rc = rc ? rc : ds_overlay_join(id, s->cat, j.ours, j.theirs, &j.lines, &by, err);
    ds_person_fini(&who);
    ds_overlay_free(j.ours);
    ds_overlay_free(j.theirs);
    ds_shaset_fini(&want);
    ds_shaset_fini(&j.open);
    ds_shaset_fini(&j.done);
    ds_buf_fini(&j.lines);
    return rc;
}

/* Erased pieces are in this store's packs. */
static bool holds_gone(ds_store *s, const ds_overlay *o)
{
    size_t n = 0;
    const ds_sha *gone = ds_overlay_gone(o, &n);
    for (size_t i = 0; i < n; i++)
        if (ds_objstore_has(s->objs, &gone[i]))
            return true;
    return false;
}

/* Where the ref is to go: *to. */
static int decide(enum ds_syncdid *did, git_oid *to, ds_link *l, const git_oid *here,
                  const git_oid *there, bool lazy, ds_err *err)
{
    ds_store *s = l->store;
    *to = *there;
    *did = here ? DS_SYNC_MOVED : DS_SYNC_NEW;
    if (!here)
        return 0;
    int rc = ds_sync_goes_on(s, here, there, err);
    if (rc)
        return rc < 0 ? rc : 0;
    rc = ds_sync_goes_on(s, there, here, err);
    if (rc > 0)
        *did = DS_SYNC_SAME;
    return rc ? (rc < 0 ? rc : 0) : join_both(to, l, here, there, lazy, err);
}

int ds_erasure_fetch(enum ds_syncdid *did, ds_link *l, const ds_gitrefs *there, bool lazy,
                     ds_err *err)
{
    ds_catalog *c = l->store->cat;
    const git_oid *far = ds_gitrefs_find(there, DS_REF_ERASED);
    ds_overlay *o = NULL;
    const ds_overlay *now;
    git_oid here, to;
    *did = DS_SYNC_SAME;
    int has = far ? ds_ref_get(c, DS_REF_ERASED, &here, err) : 0;
    if (!far || has < 0 || (has && git_oid_equal(&here, far)))
        return has < 0 ? has : 0;
    int rc = decide(did, &to, l, has ? &here : NULL, far, lazy, err);
    if (rc || *did == DS_SYNC_SAME)
        return rc ? rc : ds_catalog_overlay(&now, c, true, err);
    rc = ds_overlay_load_at(&o, c, &to, err);
    if (rc)
        return rc;
    ds_catalog_use_overlay(c, o);
    rc = take_instead(l, has ? &here : NULL, o, lazy, err);
    if (!rc && holds_gone(l->store, o))
        rc = ds_overlay_adopt(c, has ? &here : NULL, &to, err);
    else if (!rc && (rc = ds_ref_move(c, DS_REF_ERASED, has ? &here : NULL, &to, err)) == 0)
        rc = ds_fail(err, DS_LOCKED, "%s moved meanwhile: try again", DS_REF_ERASED);
    rc = rc < 0 ? rc : 0;
    /* whatever happened, what counts is what the ref says */
    ds_err lost = {0};
    int again = ds_catalog_overlay(&now, c, true, rc ? &lost : err);
    return rc ? rc : again;
}

/* 1 when some are that no version needs, 0, < 0: the same records may have been committed again. */
static int holds_dead(ds_store *s, const ds_overlay *o, ds_err *err)
{
    ds_buf heads = {0};
    ds_shaset need = {0};
    size_t n = 0;
    bool dead = false;
    if (!holds_gone(s, o))
        return 0;
    const ds_sha *gone = ds_overlay_gone(o, &n);
    int rc = ds_ref_commits(&heads, s->cat, err);
    rc = rc ? rc
            : ds_needed_find(&need, NULL, s, (const git_oid *)(const void *)heads.data,
                             heads.len / sizeof(git_oid), NULL, 0, err);
    for (size_t i = 0; !rc && !dead && i < n; i++)
        dead = ds_objstore_has(s->objs, &gone[i]) && !ds_shaset_has(&need, &gone[i]);
    ds_buf_fini(&heads);
    ds_shaset_fini(&need);
    return rc ? rc : dead;
}

int ds_erasure_settle(ds_store *s, ds_err *err)
{
    const ds_overlay *o = NULL;
    ds_collected gone;
    git_oid at;
    int rc = ds_catalog_overlay(&o, s->cat, true, err);
    if (rc || !o)
        return rc;
    /* what fetched pieces are built on may be a piece that was erased */
    if (!ds_overlay_pending(o) && (rc = holds_dead(s, o, err)) > 0) {
        rc = ds_ref_get(s->cat, DS_REF_ERASED, &at, err);
        rc = rc > 0 ? ds_ref_move(s->cat, DS_REF_ERASING, NULL, &at, err) : rc;
    }
    return rc < 0 ? rc : ds_collect_pending(&gone, s, true, err);
}

/* ---- pushing ---- */

int ds_erasure_push(ds_gitmove *move, bool *any, ds_shaset *want, ds_link *l,
                    const ds_gitrefs *there, ds_err *err)
{
    ds_store *s = l->store;
    const git_oid *far = ds_gitrefs_find(there, DS_REF_ERASED);
    git_oid here;
    ds_buf commits = {0};
    *any = false;
    int rc = ds_ref_get(s->cat, DS_REF_ERASED, &here, err);
    if (rc < 0 || (rc == 0 && !far))
        return rc;
    bool known = rc > 0 && far && ds_sync_has_object(s, far);
    rc = known ? ds_sync_goes_on(s, far, &here, err) : rc > 0 && !far;
    if (rc < 0)
        return rc;
    if (rc == 0)
        return ds_fail(err, DS_FAIL,
                       "%s: records were erased there that this store may still hold: dsver fetch "
                       "first (nothing was sent)",
                       l->conf.name);
    *any = true;
    *move = (ds_gitmove){.name = DS_REF_ERASED, .to = here, .exists = far != NULL};
    if (far)
        move->from = *far;
    if (far && git_oid_equal(far, &here))
        return 0;
    rc = ds_sync_commits(&commits, l, there, err);
    rc = rc ? rc
            : ds_needed_erased(want, s, (const git_oid *)(const void *)commits.data,
                               commits.len / sizeof(git_oid), err);
    ds_buf_fini(&commits);
    return rc;
}
