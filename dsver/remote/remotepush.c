/* remotepush.c - versions to a remote. See remotesync.h. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "needed.h"
#include "overlay.h"
#include "plural.h"
#include "refs.h"
#include "remotecheck.h"
#include "remoteerase.h"
#include "remotegc.h"
#include "remotesync.h"

typedef struct pushing {
    ds_link *l;
    const ds_sync_opts *o;
    ds_synced *out;
    ds_gitrefs there, here; /* here: of those that are picked */
    ds_buf said;            /* ds_syncref: what became of each of `here` */
    bool known;             /* the remote has had one of `here` before */
    bool marked;            /* its place says that it is one of ours */
    ds_buf moves;           /* ds_gitmove */
    ds_buf tips, haves;     /* git_oid: commits */
    ds_gitmove erased;      /* of what was erased, when `erasing` */
    bool erasing;
    ds_shaset want;
    char first[320]; /* the first ref that is rejected */
} pushing;

static int add_here(void *ctx, const char *name, const git_oid *id, ds_err *err)
{
    pushing *p = ctx;
    git_oid raw;
    (void)id;
    if (!ds_sync_picks(p->o, name))
        return 0;
    if (git_reference_name_to_id(&raw, ds_catalog_repo(p->l->store->cat), name) < 0)
        return ds_fail_git_read(err, "catalog ref %s", name);
    return ds_gitrefs_add(&p->here, strdup(name), &raw, err);
}

/* May `to` take the place of `from`? Only branches and runs go on; tags stay. */
static int judge(pushing *p, const char *name, const git_oid *from, const git_oid *to,
                 enum ds_syncdid *did, ds_err *err)
{
    int rc = 0;
    if (!from || git_oid_equal(from, to)) {
        *did = from ? DS_SYNC_SAME : DS_SYNC_NEW;
        return 0;
    }
    bool tag = strncmp(name, DS_REF_TAGS, sizeof DS_REF_TAGS - 1) == 0;
    *did = p->o->force ? DS_SYNC_FORCED : DS_SYNC_REJECTED;
    if (!tag && ds_sync_has_object(p->l->store, from)) {
        rc = ds_sync_goes_on(p->l->store, from, to, err);
        if (rc > 0)
            *did = DS_SYNC_MOVED;
        else if (rc == 0 && !p->o->force) {
            rc = ds_sync_goes_on(p->l->store, to, from, err);
            if (rc > 0)
                *did = DS_SYNC_BEHIND;
        }
    }
    return rc < 0 ? rc : 0;
}

static int add_move(pushing *p, const ds_gitref *r, const git_oid *from, ds_err *err)
{
    git_oid commit;
    ds_gitmove m = {.name = r->name, .to = r->id, .exists = from != NULL};
    if (from)
        m.from = *from;
    int rc = ds_sync_commit(p->l->store, &r->id, &commit, err);
    if (rc < 0)
        return rc;
    return ds_buf_put(&p->moves, &m, sizeof m) || ds_buf_put(&p->tips, &commit, sizeof commit)
               ? ds_fail_nomem(err)
               : 0;
}

static int decide(pushing *p, ds_err *err)
{
    int rc = 0;
    for (size_t i = 0; !rc && i < p->here.n; i++) {
        const ds_gitref *r = &p->here.v[i];
        const git_oid *from = ds_gitrefs_find(&p->there, r->name);
        enum ds_syncdid did = DS_SYNC_SAME;
        rc = judge(p, r->name, from, &r->id, &did, err);
        const ds_syncref said = {.ref = r->name, .from = from, .to = &r->id, .did = did};
        if (!rc && ds_buf_put(&p->said, &said, sizeof said))
            rc = ds_fail_nomem(err);
        p->known = p->known || from;
        if (did == DS_SYNC_REJECTED && p->out->rejected++ == 0)
            snprintf(p->first, sizeof p->first, "%.300s", r->name);
        if (!rc && did != DS_SYNC_SAME && did != DS_SYNC_BEHIND && did != DS_SYNC_REJECTED)
            rc = add_move(p, r, from, err);
    }
    return rc;
}

/* What became of the refs, once that is so; of a push that is refused, why. */
static void tell(const pushing *p)
{
    const ds_syncref *said = (const ds_syncref *)(const void *)p->said.data;
    for (size_t i = 0; p->o->fn && i < p->said.len / sizeof *said; i++)
        if (!p->out->rejected || said[i].did == DS_SYNC_REJECTED)
            p->o->fn(p->o->ctx, &said[i]);
}

/* Versions whose pieces the remote has: those that its refs lead to, as far as they are known here.
 */
static int find_haves(pushing *p, ds_err *err)
{
    int rc = 0;
    for (size_t i = 0; !rc && !p->o->all && i < p->there.n; i++) {
        git_oid commit;
        if (!ds_sync_has_object(p->l->store, &p->there.v[i].id))
            continue;
        rc = ds_sync_commit(p->l->store, &p->there.v[i].id, &commit, err);
        if (rc > 0)
            rc = ds_buf_put(&p->haves, &commit, sizeof commit) ? ds_fail_nomem(err) : 0;
    }
    return rc;
}

/* With `all`, also what stays where it is is looked at. */
static int add_same(pushing *p, ds_err *err)
{
    int rc = 0;
    for (size_t i = 0; !rc && p->o->all && i < p->here.n; i++) {
        git_oid commit;
        rc = ds_sync_commit(p->l->store, &p->here.v[i].id, &commit, err);
        if (rc > 0)
            rc = ds_buf_put(&p->tips, &commit, sizeof commit) ? ds_fail_nomem(err) : 0;
    }
    return rc;
}

static const char format[] = "[dsver]\n\tremote = 1\n";

/* Is the place for packs one of ours? One that is not, though versions were pushed before, is
 * rather another one, or was emptied; a push that moved only refs would hide that. */
static int look_place(pushing *p, ds_err *err)
{
    ds_remote *r = p->l->remote;
    uint64_t size = 0;
    int rc = ds_remote_stat(r, "format", &size, err);
    if (rc == 0 && p->known && !p->o->all)
        return ds_fail(err, DS_FAIL,
                       "%s: none of the packs are there that versions in %s need: is it another "
                       "place, was it emptied, is a disk not mounted? (push --all sends all anew)",
                       ds_remote_place(r), p->l->conf.catalog);
    if (rc <= 0)
        return rc;
    ds_buf text = {0};
    rc = size > 4096 ? DS_CORRUPT : ds_remote_get_buf(r, "format", 0, size, &text, err);
    if (rc == DS_CORRUPT ||
        (!rc && (text.len != sizeof format - 1 || memcmp(text.data, format, text.len) != 0)))
        rc = ds_fail(err, DS_FAIL, "%sformat: not a remote of this version of dsver",
                     ds_remote_place(r));
    ds_buf_fini(&text);
    p->marked = rc == 0;
    return rc;
}

static int reread(pushing *p, ds_err *err)
{
    ds_remotechecked c;
    const int rc = ds_remotecheck(&c, &p->want, p->l, &p->there, p->o->dry_run, err);
    p->out->reread = c.packs;
    p->out->damaged = c.damaged;
    return rc;
}

/* Whoever comes first says what this place is. */
static int mark_place(pushing *p, ds_err *err)
{
    ds_remote_body b = {.data = format, .fd = -1, .n = sizeof format - 1};
    int rc = p->marked ? 0 : ds_sha_bytes(&b.sum, format, b.n, err);
    if (!rc && !p->marked)
        rc = ds_remote_put(p->l->remote, "format", &b, err);
    return rc < 0 ? rc : 0;
}

static int send_pieces(pushing *p, ds_err *err)
{
    ds_link *l = p->l;
    ds_remotestate state;
    ds_transfer t = {.objs = l->store->objs, .remote = l->remote, .index = l->index};
    int rc = mark_place(p, err);
    rc = rc ? rc : find_haves(p, err);
    rc = rc ? rc
            : ds_needed_find(&p->want, &p->out->versions, l->store,
                             (const git_oid *)(const void *)p->tips.data,
                             p->tips.len / sizeof(git_oid),
                             (const git_oid *)(const void *)p->haves.data,
                             p->haves.len / sizeof(git_oid), err);
    const enum ds_avoid avoids = ds_remoteindex_avoid(l->index, DS_AVOID_NEW);
    rc = rc ? rc : ds_remoteindex_refresh(l->index, &state, err);
    rc = rc ? rc : ds_transfer_send(&p->out->moved, &t, &p->want, err);
    (void)ds_remoteindex_avoid(l->index, avoids);
    return rc;
}

/* Those that are new here, when there are many. What is not made is left to note_moved. */
static int note_new(pushing *p, const ds_gitmove *m, size_t n, ds_err *err)
{
    ds_catalog *c = p->l->store->cat;
    char(*names)[DS_SYNC_TRACKING_MAX] = n < DS_REF_MANY ? NULL : calloc(n, sizeof *names);
    ds_newref *v = names ? calloc(n, sizeof *v) : NULL;
    size_t new = 0;
    int rc = n < DS_REF_MANY || v ? 0 : ds_fail_nomem(err);
    for (size_t i = 0; v && !rc && i < n; i++) {
        git_oid at;
        if (!ds_sync_tracking(names[i], p->l, m[i].name))
            continue;
        rc = ds_ref_get(c, names[i], &at, err);
        if (rc == 0)
            v[new ++] = (ds_newref){.name = names[i], .to = m[i].to};
        rc = rc < 0 ? rc : 0;
    }
    if (!rc && new >= DS_REF_MANY)
        rc = ds_ref_make(c, v, new, err);
    free(v);
    free(names);
    return rc;
}

/* refs/remotes/NAME/... follow what is there now. */
static int note_moved(pushing *p, const ds_gitmove *m, size_t n, ds_err *err)
{
    int rc = note_new(p, m, n, err);
    for (size_t i = 0; !rc && i < n; i++) {
        char name[DS_SYNC_TRACKING_MAX];
        git_oid at;
        if (!ds_sync_tracking(name, p->l, m[i].name))
            continue;
        rc = ds_ref_get(p->l->store->cat, name, &at, err);
        if (rc == 0 || (rc > 0 && !git_oid_equal(&at, &m[i].to)))
            rc = ds_ref_move(p->l->store->cat, name, rc ? &at : NULL, &m[i].to, err);
        rc = rc < 0 ? rc : 0; /* another process was faster: it knows better */
    }
    return rc;
}

static int note_push(pushing *p, size_t n, ds_err *err)
{
    char text[160];
    snprintf(text, sizeof text, "%zu ref%s of %.100s", n, ds_s(n), p->l->conf.name);
    return ds_ref_note(p->l->store->cat, text, err);
}

static bool erasing_news(const pushing *p)
{
    return p->erasing && !(p->erased.exists && git_oid_equal(&p->erased.from, &p->erased.to));
}

/* What was erased goes along in any case: when it moved there meanwhile, nothing else may. */
static int move_all(pushing *p, const ds_gitmove *m, size_t n, ds_err *err)
{
    ds_link *l = p->l;
    ds_buf moves = {0};
    int rc = 0;
    if (ds_buf_put(&moves, m, n * sizeof *m) ||
        (p->erasing && ds_buf_put(&moves, &p->erased, sizeof p->erased)))
        rc = ds_fail_nomem(err);
    rc = rc ? rc
            : ds_git_push(ds_catalog_dir(l->store->cat), l->conf.catalog,
                          (const ds_gitmove *)(const void *)moves.data, n + p->erasing, err);
    ds_buf_fini(&moves);
    if (!rc && p->erasing) {
        p->erased.from = p->erased.to;
        p->erased.exists = true;
    }
    return rc ? rc : note_moved(p, m, n, err);
}

static int move_there(pushing *p, ds_err *err)
{
    const ds_gitmove *m = (const ds_gitmove *)(const void *)p->moves.data;
    const size_t n = p->moves.len / sizeof *m, all = n + erasing_news(p);
    int rc = all ? note_push(p, all, err) : 0;
    if (rc || !all)
        return rc;
    rc = move_all(p, m, n, err);
    p->out->refs = rc ? 0 : all;
    return rc;
}

/* A gc whose grace was shorter than this push may have removed what the refs lead to now: as long
 * as it is here, that is sent again. */
static int keep_there(pushing *p, ds_err *err)
{
    ds_link *l = p->l;
    ds_moved again = {.pieces = 0};
    const ds_transfer t = {.objs = l->store->objs, .remote = l->remote, .index = l->index};
    const enum ds_avoid avoids = ds_remoteindex_avoid(l->index, DS_AVOID_NEW);
    int rc = p->want.n ? ds_transfer_send(&again, &t, &p->want, err) : 0;
    (void)ds_remoteindex_avoid(l->index, avoids);
    p->out->moved.pieces += again.pieces;
    p->out->moved.packs += again.packs;
    p->out->moved.bytes += again.bytes;
    return rc ? ds_err_prefix(
                    err, "the refs are pushed, but not everything was found to stay there (run "
                         "dsver push --all)")
              : 0;
}

/* Erased pieces leave the remote's packs. */
static int purge_there(pushing *p, ds_err *err)
{
    ds_remotestate state;
    int rc = ds_remoteindex_refresh(p->l->index, &state, err);
    rc = rc ? rc : ds_remotegc_purge(&p->out->purged, p->l, err);
    return rc ? ds_err_prefix(err, "the refs are pushed, but the remote's packs may still hold "
                                   "what was erased (push again, or dsver gc --remote)")
              : 0;
}

static int is_tracked(void *ctx, const char *name, const git_oid *id, ds_err *err)
{
    (void)id;
    (void)err;
    return ds_sync_tracked(ctx, name) != NULL;
}

/* The first push makes the remote. One that was there and is not is rather on a disk that is not
 * mounted, and another in its place would hide that. */
static int look_there(pushing *p, ds_err *err)
{
    const ds_remoteconf *c = &p->l->conf;
    const int lacks = ds_git_lacks(c->catalog, err);
    int rc = lacks > 0 && !p->o->force ? ds_ref_each(p->l->store->cat, is_tracked, p->l, err) : 0;
    if (rc > 0)
        return ds_fail(err, DS_FAIL,
                       "%s: remote '%s' is gone, which was there when it was last seen: is a disk "
                       "not mounted? (push --force makes it anew)",
                       c->catalog, c->name);
    rc = lacks < 0 ? lacks : rc;
    if (rc || (lacks && p->o->dry_run)) /* nothing is there */
        return rc;
    rc = lacks ? ds_git_make(c->catalog, err) : 0;
    return rc ? rc : ds_git_refs(&p->there, c->catalog, err);
}

static int push(pushing *p, ds_err *err)
{
    ds_link *l = p->l;
    int rc = ds_ref_each(l->store->cat, add_here, p, err);
    rc = rc ? rc : ds_sync_check_names(p->o, &p->here, NULL, "here", err);
    rc = rc ? rc : look_there(p, err);
    rc = rc ? rc : decide(p, err);
    if (!rc && p->out->rejected) {
        tell(p);
        rc = ds_fail(err, DS_FAIL,
                     "%s: the remote has gone on in another way (%llu rejected, nothing was sent): "
                     "dsver pull first, or push --force to leave behind what is there",
                     p->first, (unsigned long long)p->out->rejected);
    }
    rc = rc ? rc : look_place(p, err);
    if (!rc && p->o->reread)
        rc = reread(p, err);
    rc = rc ? rc : ds_erasure_push(&p->erased, &p->erasing, &p->want, l, &p->there, err);
    if (!rc && erasing_news(p)) {
        const ds_syncref said = {.ref = DS_REF_ERASED,
                                 .from = p->erased.exists ? &p->erased.from : NULL,
                                 .to = &p->erased.to,
                                 .did = p->erased.exists ? DS_SYNC_MOVED : DS_SYNC_NEW};
        rc = ds_buf_put(&p->said, &said, sizeof said) ? ds_fail_nomem(err) : 0;
    }
    if (rc || p->o->dry_run) {
        p->out->refs = p->moves.len / sizeof(ds_gitmove) + erasing_news(p);
        if (!rc)
            tell(p);
        return rc;
    }
    rc = add_same(p, err);
    if (!rc && (p->tips.len || p->want.n))
        rc = send_pieces(p, err);
    rc = rc ? rc : move_there(p, err);
    if (!rc || p->out->refs)
        tell(p);
    rc = rc ? rc : keep_there(p, err);
    return rc || !p->erasing ? rc : purge_there(p, err);
}

int ds_sync_push(ds_synced *out, ds_link *l, const ds_sync_opts *o, ds_err *err)
{
    pushing p = {.l = l, .o = o, .out = out};
    *out = (ds_synced){.refs = 0};
    int rc = o->dry_run ? 0 : ds_erasure_settle(l->store, err);
    rc = rc ? rc : ds_objstore_hold(l->store->objs, err);
    if (rc)
        return rc;
    rc = push(&p, err);
    ds_objstore_release(l->store->objs);
    ds_gitrefs_fini(&p.there);
    ds_gitrefs_fini(&p.here);
    ds_buf_fini(&p.said);
    ds_buf_fini(&p.moves);
    ds_buf_fini(&p.tips);
    ds_buf_fini(&p.haves);
    ds_shaset_fini(&p.want);
    return rc;
}
