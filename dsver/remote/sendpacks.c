/* sendpacks.c - pieces to a remote. See transfer.h.
 *
 * This thread picks the objects and makes new packs in tmp/; workers send. A pack's heads follow
 * it: a pack without heads is a push that died, and counts for nothing.
 */
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#include "backoff.h"
#include "objcore.h"
#include "packheads.h"
#include "pool.h"
#include "relied.h"
#include "sig.h"
#include "term.h"
#include "transfer.h"

enum { SENDERS = 4, ROUNDS = 3 };

typedef struct parcel {
    char *path;
    ds_sha name;
    uint64_t size;
    bool temporary; /* the file is ours, and goes away after */
    ds_remote *remote;
    ds_remoteindex *index;
    int rc;
    ds_err err;
} parcel;

typedef struct sending {
    const ds_transfer *t;
    ds_moved *out;
    ds_pool *pool;
    ds_packw w; /* the new pack, when open */
    bool open;
    ds_buf object;
    ds_shaset packs; /* that were sent */
    ds_progress bar;
} sending;

/* ---- workers ---- */

/* Heads that are right stay, whoever put them there meanwhile: others may rely on the pack. */
static int drop_wrong_heads(const parcel *p, bool pack_too, ds_err *err)
{
    char name[80];
    ds_buf right = {0}, there = {0};
    uint64_t n = 0;
    ds_remote_pack_name(name, &p->name, "heads");
    int rc = ds_packheads_make(&right, p->path, err);
    const int has = rc ? rc : ds_remote_stat(p->remote, name, &n, err);
    bool same = has > 0 && !pack_too && n == right.len &&
                ds_remote_get_buf(p->remote, name, 0, n, &there, NULL) == 0 &&
                memcmp(there.data, right.data, right.len) == 0;
    if (has > 0 && !same)
        rc = ds_remote_delete(p->remote, name, err);
    ds_buf_fini(&right);
    ds_buf_fini(&there);
    return has < 0 ? has : rc;
}

static int put_pack(parcel *p, ds_err *err)
{
    char name[80];
    uint64_t there = 0;
    ds_remote_body body = {.fd = -1, .n = p->size, .sum = p->name};
    ds_remote_pack_name(name, &p->name, "pack");
    int rc = 0;
    if (ds_remoteindex_listed(p->index, &p->name, &there)) {
        /* It lay there and counted for nothing: its heads were missing or wrong, or it is not
         * whole. */
        rc = drop_wrong_heads(p, there != p->size, err);
        if (!rc && there != p->size)
            rc = ds_remote_delete(p->remote, name, err);
    }
    rc = rc ? rc : ds_open(&body.fd, p->path, O_RDONLY, 0, err);
    rc = rc ? rc : ds_remote_put(p->remote, name, &body, err);
    (void)ds_close(&body.fd, p->path, NULL);
    return rc < 0 ? rc : 0;
}

static int put_heads(parcel *p, ds_err *err)
{
    char name[80];
    ds_buf heads = {0};
    ds_remote_pack_name(name, &p->name, "heads");
    int rc = ds_packheads_make(&heads, p->path, err);
    ds_remote_body body = {.data = heads.data, .fd = -1, .n = heads.len};
    rc = rc ? rc : ds_sha_bytes(&body.sum, heads.data, heads.len, err);
    rc = rc ? rc : ds_remote_put(p->remote, name, &body, err);
    ds_buf_fini(&heads);
    return rc < 0 ? rc : 0;
}

/* A pack that rotted here must not be sent on under its name. */
static int check_pack(const parcel *p, ds_err *err)
{
    ds_sha sum;
    uint64_t size = 0;
    int rc = p->temporary ? 0 : ds_sha_file(&sum, &size, p->path, err);
    if (!rc && !p->temporary && (!ds_sha_eq(&sum, &p->name) || size != p->size))
        rc = ds_fail(err, DS_CORRUPT, "%s: damaged, so it is not sent: run dsver fsck --read-data",
                     p->path);
    return rc;
}

static void send_parcel(void *job, void *ctx)
{
    parcel *p = job;
    (void)ctx;
    p->rc = check_pack(p, &p->err);
    if (!p->rc)
        p->rc = put_pack(p, &p->err);
    if (!p->rc)
        p->rc = put_heads(p, &p->err);
}

/* ---- the producer ---- */

static void parcel_free(parcel *p)
{
    if (p->temporary)
        (void)ds_io_active->unlink(p->path);
    free(p->path);
    free(p);
}

static int take_one(sending *s, ds_err *err)
{
    parcel *p = ds_pool_next(s->pool);
    int rc = p->rc ? ds_fail(err, p->rc, "%s", p->err.msg) : 0;
    rc = rc ? rc : ds_shaset_add(&s->packs, &p->name, NULL, err);
    if (!rc) {
        s->out->packs++;
        s->out->bytes += p->size;
        ds_progress_at(&s->bar, s->out->bytes);
    }
    parcel_free(p);
    return rc;
}

/* Takes over path. */
static int submit(sending *s, char *path, const ds_sha *name, uint64_t size, bool temporary,
                  ds_err *err)
{
    parcel *p = calloc(1, sizeof *p);
    int rc = p && path ? 0 : ds_fail_nomem(err);
    while (!rc && ds_pool_full(s->pool))
        rc = take_one(s, err);
    if (!p || !path) {
        free(p);
        free(path);
        return rc;
    }
    *p = (parcel){.path = path,
                  .name = *name,
                  .size = size,
                  .temporary = temporary,
                  .remote = s->t->remote,
                  .index = s->t->index};
    rc = rc ? rc : ds_check_interrupt(err);
    rc = rc ? rc : ds_pool_submit(s->pool, p, err);
    if (rc)
        parcel_free(p);
    return rc;
}

static int end_pack(sending *s, ds_err *err)
{
    if (!s->open)
        return 0;
    s->open = false;
    int rc = ds_packw_end(&s->w, err);
    char *path = rc ? NULL : strdup(s->w.path);
    if (!rc)
        s->w.published = path != NULL; /* from here on the parcel removes the file */
    rc = rc ? rc : submit(s, path, &s->w.name, s->w.size, true, err);
    ds_packw_fini(&s->w);
    return rc;
}

/* Into the new pack. The object is checked as it is read. */
static int copy_object(sending *s, const ds_place *p, ds_err *err)
{
    ds_objloc loc;
    ds_objhead h;
    const uint8_t *payload;
    int rc = ds_objindex_at(s->t->objs->ix, p->row, &loc, err);
    if (rc == 1)
        rc = ds_packset_read(s->t->objs->packs, &loc, &s->object, &h, &payload, err);
    if (rc == 0)
        return ds_fail(err, DS_CORRUPT, "%s: a pack vanished: run dsver reindex", s->t->objs->dir);
    rc = rc < 0 ? rc : 0;
    if (!rc && !s->open) {
        rc = ds_packw_open(&s->w, s->t->objs->dir, err);
        s->open = rc == 0;
    }
    rc = rc ? rc : ds_packw_put(&s->w, s->object.data, s->object.len, NULL, err);
    return !rc && s->w.size >= DS_PACK_TARGET ? end_pack(s, err) : rc;
}

static int send_haul(sending *s, const ds_hauls *h, const ds_haul *u, ds_err *err)
{
    const bool joins = s->t->leaving && u->pack.size < DS_PACK_SMALL; /* with its neighbours */
    int rc = 0;
    if (u->whole && !joins) {
        size_t cap = strlen(s->t->objs->dir) + 80;
        char *path = malloc(cap);
        if (path)
            ds_pack_path(path, cap, s->t->objs->dir, &u->pack.name);
        return submit(s, path, &u->pack.name, u->pack.size, false, err);
    }
    for (size_t i = 0; !rc && i < u->n; i++)
        rc = copy_object(s, ds_hauls_place(h, u->first + i), err);
    return rc;
}

static int send_all(sending *s, const ds_hauls *h, ds_err *err)
{
    uint64_t total = 0;
    for (size_t i = 0; i < ds_hauls_n(h); i++)
        total += ds_hauls_at(h)[i].bytes;
    if (!s->t->quiet)
        ds_progress_begin(&s->bar, "sending", total, true);
    int rc = ds_pool_new(&s->pool, SENDERS, SENDERS, send_parcel, NULL, err);
    for (size_t i = 0; !rc && i < ds_hauls_n(h); i++) {
        rc = send_haul(s, h, &ds_hauls_at(h)[i], err);
        s->out->pieces += ds_hauls_at(h)[i].n;
    }
    rc = rc ? rc : end_pack(s, err);
    while (s->pool && !ds_pool_empty(s->pool)) {
        int one = take_one(s, err);
        rc = rc ? rc : one;
    }
    if (s->open)
        ds_packw_fini(&s->w);
    ds_pool_free(s->pool);
    ds_buf_fini(&s->object);
    if (!s->t->quiet)
        ds_progress_end(&s->bar);
    return rc;
}

/* ---- what was sent is there now, says the remote itself ---- */

static int not_there(const ds_transfer *t, const ds_sha *id, const ds_remotestate *state,
                     ds_err *err)
{
    char hex[65];
    ds_sha_hex(hex, id);
    return ds_fail(err, DS_IO, "%s: does not hold piece %s, although it was sent%s%s",
                   ds_remote_place(t->remote), hex, state->damaged ? "; " : "", state->first);
}

static int on_pack(void *ctx, int64_t n, const ds_packrow *p)
{
    size_t *seen = ((void **)ctx)[1];
    (void)n;
    *seen += ds_shaset_has(((void **)ctx)[0], &p->name);
    return 0;
}

/* Pieces that lie in packs that leave as well are not looked for: their new packs are. */
static int confirm_packs(const sending *s, const ds_remotestate *state, ds_err *err)
{
    size_t seen = 0;
    ds_shaset packs = s->packs;
    void *ctx[] = {&packs, &seen};
    int rc = ds_objindex_packs(ds_remoteindex_get(s->t->index), on_pack, ctx, err);
    return !rc && seen != packs.n
               ? ds_fail(err, DS_IO, "%s: lacks a pack that was sent%s%s",
                         ds_remote_place(s->t->remote), state->damaged ? "; " : "", state->first)
               : rc;
}

/* What gc puts anew lives, also where it lay condemned under the name of its pack. */
static int settle_anew(const sending *s, ds_err *err)
{
    ds_remotestate state;
    int rc = ds_relied_spare(s->t, &s->packs, err);
    ds_remoteindex_skip(s->t->index, NULL);
    rc = rc ? rc : ds_remoteindex_refresh(s->t->index, &state, err);
    return rc ? rc : confirm_packs(s, &state, err);
}

/* Everything that is lacking by what is known of the remote now. */
static int send_lacking(sending *s, const ds_shaset *want, ds_err *err)
{
    ds_hauls h = {.places = {0}};
    char hex[65];
    const ds_way way = {
        .from = s->t->objs->ix, .to = ds_remoteindex_get(s->t->index), .leaving = s->t->leaving};
    int rc = ds_hauls_plan(&h, s->out, &way, want, err);
    if (!rc && s->out->missing) {
        ds_sha_hex(hex, &s->out->first_missing);
        rc = ds_fail(err, DS_CORRUPT,
                     "%llu pieces of these versions are neither here nor at the remote, first %s",
                     (unsigned long long)s->out->missing, hex);
    }
    if (!rc && ds_hauls_n(&h) > 0)
        rc = send_all(s, &h, err);
    ds_hauls_fini(&h);
    return rc;
}

/* Between the plan and the last look a gc may have removed what the plan relied on: then that is
 * sent too. Where no gc is at work, the remote lies about what it has. */
static int send_until_there(sending *s, const ds_shaset *want, ds_err *err)
{
    ds_relied relied = {.gc = false};
    ds_backoff pause = {.tries = ds_remote_tries(s->t->remote) + ROUNDS};
    for (int round = 1;; round++) {
        int rc = send_lacking(s, want, err);
        if (!rc && s->t->leaving)
            return settle_anew(s, err);
        rc = rc ? rc : ds_relied_settle(&relied, s->t, want, err);
        if (rc)
            return rc < 0 ? rc : 0;
        if (round >= ROUNDS && (!relied.gc || !ds_backoff_wait(&pause, 0)))
            return not_there(s->t, &relied.lacks, &relied.state, err);
    }
}

int ds_transfer_send(ds_moved *out, const ds_transfer *t, const ds_shaset *want, ds_err *err)
{
    sending s = {.t = t, .out = out};
    *out = (ds_moved){.pieces = 0};
    int rc = send_until_there(&s, want, err);
    ds_shaset_fini(&s.packs);
    return rc;
}
