/* Garbage: marking by row, deleting dead packs, rewriting those mostly dead, gathering small ones.
 *
 * Writers and readers go on while pieces are marked and packs are copied. Then writers are shut out
 * for the moment in which what they made meanwhile is marked too, and the index changes: a piece
 * that became live after its pack was condemned is carried over before the pack goes.
 *
 * What stays in a pack that is kept stays in the index, dead or not: index and packs always say the
 * same. So a base of such a piece stays too, and which packs are kept is found by going round until
 * nothing changes. Order: new packs synced and named, index in one transaction, old packs unlinked.
 * A crash in between leaves packs that the next opening adopts and the next gc deletes.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "gc_priv.h"


/* What came after the beginning is live. */
bool ds_objgc_marked(const ds_objgc *gc, int64_t row)
{
    return row > gc->rows || (row >= 0 && (gc->bits[row / 8] >> row % 8 & 1));
}

static void set_mark(ds_objgc *gc, int64_t row)
{
    gc->bits[row / 8] |= (uint8_t)(1u << row % 8);
}

/* ---- marking ---- */

int ds_objgc_rows(ds_objgc *gc, ds_err *err)
{
    int rc = ds_objindex_last_row(gc->s->ix, &gc->rows, err);
    free(gc->bits);
    gc->bits = NULL;
    if (rc == 0 && !(gc->bits = calloc((size_t)(gc->rows / 8) + 1, 1)))
        rc = ds_fail_nomem(err);
    return rc;
}

/* One at a time; who only looks at a store that he may not write does so without the lock. */
static int alone(ds_objgc *gc, bool wait, ds_err *err)
{
    ds_err why = {0};
    const int rc = ds_objcore_alone(&gc->alone, gc->s->dir, wait, &why);
    return rc && !(gc->s->mode == DS_OBJ_READ && ds_is_io(rc)) ? ds_fail_as(err, &why) : 0;
}

int ds_objgc_begin(ds_objgc **out, ds_objstore *s, bool wait, ds_err *err)
{
    ds_objgc *gc = calloc(1, sizeof *gc);
    *out = NULL;
    if (!gc)
        return ds_fail_nomem(err);
    gc->s = s;
    gc->fd = gc->alone = -1;
    pthread_mutex_lock(&s->lock);
    bool held = s->holds > 0;
    pthread_mutex_unlock(&s->lock);
    int rc = held /* waiting would be for ourselves */
                 ? ds_fail(err, DS_LOCKED, "%s: a transaction is open", s->dir)
                 : alone(gc, wait, err);
    rc = rc ? rc : ds_objcore_current(s, err);
    if (rc == 0 && s->mode == DS_OBJ_WRITE)
        rc = ds_objcore_adopt(s->ix, s->dir, false, NULL, NULL, NULL, err);
    rc = rc ? rc : ds_objgc_rows(gc, err);
    if (rc) {
        ds_objgc_end(gc);
        return rc;
    }
    *out = gc;
    return 0;
}

int ds_objgc_mark(ds_objgc *gc, const ds_sha *id, bool *known, ds_err *err)
{
    ds_buf todo = {0};
    ds_objloc loc;
    int rc = ds_objindex_find(gc->s->ix, id, &loc, err);
    if (known)
        *known = rc == 1;
    for (;;) {
        /* A base lost already is for scrub to tell. */
        if (rc == 1 && loc.row <= gc->rows && !ds_objgc_marked(gc, loc.row)) {
            set_mark(gc, loc.row);
            if ((!gc->purge && ds_buf_put(&todo, loc.bases.id, 32u * loc.bases.n)) ||
                (gc->condemned && ds_buf_put(&gc->late, &loc, sizeof loc)))
                rc = ds_fail_nomem(err);
        }
        if (rc < 0 || todo.len == 0)
            break;
        ds_sha base;
        todo.len -= sizeof base;
        memcpy(&base, todo.data + todo.len, sizeof base);
        rc = ds_objindex_find(gc->s->ix, &base, &loc, err);
    }
    ds_buf_fini(&todo);
    return rc < 0 ? rc : 0;
}

void ds_objgc_lacks(ds_objgc *gc)
{
    gc->lacks = true;
}

void ds_objgc_purge(ds_objgc *gc)
{
    gc->purge = true;
}

static int take_bases(void *ctx, const ds_objloc *loc)
{
    return ds_buf_put(ctx, loc->bases.id, 32u * loc->bases.n);
}

/* Nobody writes now: what others wrote since the beginning counts as what was there. */
static int begin_again(ds_objgc *gc, ds_err *err)
{
    int rc = ds_objcore_adopt(gc->s->ix, gc->s->dir, false, NULL, NULL, NULL, err);
    return rc ? rc : ds_objgc_rows(gc, err);
}

static int mark_newer(ds_objgc *gc, ds_err *err)
{
    ds_buf bases = {0};
    int rc = ds_objindex_newer(gc->s->ix, gc->rows, take_bases, &bases, err);
    for (size_t i = 0; rc == 0 && i < bases.len; i += sizeof(ds_sha)) {
        ds_sha id;
        memcpy(&id, bases.data + i, sizeof id);
        rc = ds_objgc_mark(gc, &id, NULL, err);
    }
    ds_buf_fini(&bases);
    return rc;
}

int ds_objgc_shut(ds_objgc *gc, bool wait, ds_err *err)
{
    int rc = gc->s->mode != DS_OBJ_WRITE
                 ? ds_fail(err, DS_FAIL, "%s: opened for reading only", gc->s->dir)
                 : ds_objcore_shut(&gc->fd, gc->s->dir, wait, err);
    if (rc)
        return rc;
    gc->shut = true;
    pthread_mutex_lock(&gc->s->lock);
    gc->s->holds++; /* our own transactions need no lock beside this one */
    pthread_mutex_unlock(&gc->s->lock);
    return gc->purge ? begin_again(gc, err) : mark_newer(gc, err);
}

/* ---- planning ---- */

static int by_number(const void *a, const void *b)
{
    int64_t x = ((const ds_gcpack *)a)->n, y = ((const ds_gcpack *)b)->n;
    return x < y ? -1 : x > y;
}

static ds_gcpack *pack_of(const ds_objgc *gc, int64_t n)
{
    ds_gcpack want = {.n = n};
    return gc->npacks ? bsearch(&want, gc->packs, gc->npacks, sizeof want, by_number) : NULL;
}

static int collect_pack(void *ctx, int64_t n, const ds_packrow *p)
{
    ds_gcpack g = {.name = p->name, .n = n, .size = p->size, .objects = p->objects};
    return ds_buf_put(ctx, &g, sizeof g);
}

static int count_piece(void *ctx, const ds_objloc *loc)
{
    ds_objgc *gc = ctx;
    ds_gcpack *p = pack_of(gc, loc->packrow);
    if (!p)
        return 0;
    p->rows++;
    if (ds_objgc_marked(gc, loc->row)) {
        p->live++;
        p->live_bytes += loc->size;
    }
    return 0;
}

typedef struct closure {
    ds_objgc *gc;
    ds_buf bases; /* ids of bases of dead pieces that stay */
} closure;

static int collect_base(void *ctx, const ds_objloc *loc)
{
    closure *c = ctx;
    const ds_gcpack *p = pack_of(c->gc, loc->packrow);
    if (!p || p->fate != DS_FATE_KEEP || ds_objgc_marked(c->gc, loc->row))
        return 0;
    set_mark(c->gc, loc->row);
    return ds_buf_put(&c->bases, loc->bases.id, 32u * loc->bases.n);
}

/* Objects of it are not in the index: damaged, or in another pack too. */
static bool is_in_part(const ds_gcpack *p)
{
    return p->rows != p->objects;
}

static bool is_left(const ds_objgc *gc, const ds_gcpack *p)
{
    return p->stuck || (is_in_part(p) && gc->lacks && !gc->purge);
}

/* Decides by what is marked. */
static void decide(ds_objgc *gc)
{
    size_t small = 0;
    for (size_t i = 0; i < gc->npacks; i++) {
        ds_gcpack *p = &gc->packs[i];
        p->fate =
            is_left(gc, p) ? DS_FATE_KEEP
            : p->live == 0 ? DS_FATE_DELETE
            : gc->whole    ? DS_FATE_KEEP
            : p->live_bytes * 2 < p->size || (gc->purge && p->live != p->objects) || is_in_part(p)
                ? DS_FATE_REWRITE
                : DS_FATE_KEEP;
        small += p->fate != DS_FATE_DELETE && p->size < DS_PACK_SMALL;
    }
    for (size_t i = 0; small > DS_PACK_SMALL_MAX && !gc->whole && i < gc->npacks; i++)
        if (gc->packs[i].fate == DS_FATE_KEEP && gc->packs[i].size < DS_PACK_SMALL &&
            !is_left(gc, &gc->packs[i]))
            gc->packs[i].fate = DS_FATE_REWRITE;
}

static int plan(ds_objgc *gc, ds_gcstats *st, ds_err *err)
{
    ds_buf list = {0};
    closure c = {.gc = gc};
    int rc = ds_objindex_packs(gc->s->ix, collect_pack, &list, err);
    free(gc->packs);
    gc->packs = (ds_gcpack *)(void *)list.data;
    gc->npacks = list.len / sizeof(ds_gcpack);
    if (gc->npacks)
        qsort(gc->packs, gc->npacks, sizeof(ds_gcpack), by_number);
    for (bool first = true; rc == 0; first = false) {
        for (size_t i = 0; i < gc->npacks; i++)
            gc->packs[i].live = gc->packs[i].live_bytes = gc->packs[i].rows = 0;
        rc = ds_objindex_pieces(gc->s->ix, 0, count_piece, gc, err);
        if (rc)
            break;
        decide(gc);
        for (size_t i = 0; first && i < gc->npacks; i++) {
            st->pieces += gc->packs[i].rows;
            st->live += gc->packs[i].live;
            st->bytes_before += gc->packs[i].size;
        }
        ds_buf_reset(&c.bases);
        rc = ds_objindex_pieces(gc->s->ix, 0, collect_base, &c, err);
        /* Marks what stays anyway, and its bases: when those are in packs that go, think again. */
        for (size_t i = 0; rc == 0 && i < c.bases.len; i += sizeof(ds_sha)) {
            ds_sha id;
            memcpy(&id, c.bases.data + i, sizeof id);
            rc = ds_objgc_mark(gc, &id, NULL, err);
        }
        if (rc == 0 && c.bases.len == 0)
            break;
    }
    st->dead = st->pieces - st->live;
    ds_buf_fini(&c.bases);
    return rc;
}

/* ---- rewriting ---- */

static int next_out(ds_objgc *gc, ds_err *err)
{
    if (ds_grow(&gc->out, &gc->cap_out, gc->nout, sizeof *gc->out))
        return ds_fail_nomem(err);
    int rc = ds_packw_open(&gc->out[gc->nout], gc->s->dir, err);
    if (rc == 0) {
        gc->nout++;
        gc->writing = true;
    }
    return rc;
}

/* A whole new pack: synced, and its file closed, so that a large gc does not hold them all open. */
static int end_out(ds_objgc *gc, ds_err *err)
{
    ds_packw *w = &gc->out[gc->nout - 1];
    gc->writing = false;
    int rc = ds_packw_end(w, err);
    if (rc == 0)
        rc = ds_packw_sync(w, err);
    if (rc == 0)
        rc = ds_close(&w->fd, w->path, err);
    return rc;
}

static int collect_live(void *ctx, const ds_objloc *loc)
{
    closure *c = ctx;
    return ds_objgc_marked(c->gc, loc->row) ? ds_buf_put(&c->bases, loc, sizeof *loc) : 0;
}

static int copy_object(ds_objgc *gc, const ds_objloc *loc, ds_buf *obj, bool *damaged, ds_err *err)
{
    ds_objhead h;
    const uint8_t *payload;
    ds_err mine = {0};
    ds_gcmove m = {.row = loc->row};
    int rc = ds_packset_read(gc->s->packs, loc, obj, &h, &payload, &mine);
    if (rc == 0 || rc == DS_CORRUPT) {
        *damaged = true;
        return 0;
    }
    if (rc < 0)
        return ds_fail_as(err, &mine);
    rc = gc->writing ? 0 : next_out(gc, err);
    if (rc == 0)
        rc = ds_packw_put(&gc->out[gc->nout - 1], obj->data, obj->len, &m.off, err);
    m.pack = (uint32_t)gc->nout - 1;
    if (rc == 0 && ds_buf_put(&gc->moves, &m, sizeof m))
        rc = ds_fail_nomem(err);
    if (rc == 0 && gc->out[gc->nout - 1].size >= DS_PACK_TARGET)
        rc = end_out(gc, err);
    return rc;
}

static int rewrite_pack(ds_objgc *gc, ds_gcpack *p, ds_err *err)
{
    closure c = {.gc = gc};
    ds_buf obj = {0};
    bool damaged = false;
    int rc = ds_objindex_pieces(gc->s->ix, p->n, collect_live, &c, err);
    for (size_t i = 0; rc == 0 && i < c.bases.len; i += sizeof(ds_objloc)) {
        ds_objloc loc;
        memcpy(&loc, c.bases.data + i, sizeof loc);
        rc = copy_object(gc, &loc, &obj, &damaged, err);
    }
    if (damaged) /* what can be read has moved, the rest stays where `repair` may find it */
        p->stuck = true;
    ds_buf_fini(&c.bases);
    ds_buf_fini(&obj);
    return rc;
}

/* ---- index and files ---- */

static int collect_dead(void *ctx, const ds_objloc *loc)
{
    closure *c = ctx;
    const ds_gcpack *p = pack_of(c->gc, loc->packrow);
    bool dies = p && p->fate != DS_FATE_KEEP && !ds_objgc_marked(c->gc, loc->row);
    return dies ? ds_buf_put(&c->bases, &loc->row, sizeof loc->row) : 0;
}

/* A new pack may have the very name of an old one: the same objects in the same order. */
static bool is_new_name(const ds_objgc *gc, const ds_sha *name)
{
    for (size_t i = 0; i < gc->nout; i++)
        if (ds_sha_eq(&gc->out[i].name, name))
            return true;
    return false;
}

static int index_changes(ds_objgc *gc, const ds_buf *dead, ds_err *err)
{
    int64_t *at = calloc(gc->nout + 1, sizeof *at);
    int rc = at ? 0 : ds_fail_nomem(err);
    for (size_t i = 0; rc == 0 && i < gc->nout; i++) {
        ds_packrow row = {
            .name = gc->out[i].name, .size = gc->out[i].size, .objects = gc->out[i].objects};
        rc = ds_objindex_add_pack(gc->s->ix, &row, &at[i], err);
    }
    for (size_t i = 0; rc == 0 && i < gc->moves.len; i += sizeof(ds_gcmove)) {
        ds_gcmove m;
        memcpy(&m, gc->moves.data + i, sizeof m);
        rc = ds_objindex_move(gc->s->ix, m.row, at[m.pack], m.off, err);
    }
    for (size_t i = 0; rc == 0 && i < dead->len; i += sizeof(int64_t)) {
        int64_t row;
        memcpy(&row, dead->data + i, sizeof row);
        rc = ds_objindex_remove(gc->s->ix, row, err);
    }
    for (size_t i = 0; rc == 0 && i < gc->npacks; i++)
        if (gc->packs[i].fate != DS_FATE_KEEP && !gc->packs[i].stuck &&
            !is_new_name(gc, &gc->packs[i].name))
            rc = ds_objindex_remove_pack(gc->s->ix, gc->packs[i].n, err);
    free(at);
    return rc;
}

/* New packs get their names. */
static int name_out(ds_objgc *gc, ds_err *err)
{
    size_t cap = strlen(gc->s->dir) + 80;
    char *path = malloc(cap);
    int rc = path ? 0 : ds_fail_nomem(err);
    if (rc == 0 && gc->writing)
        rc = end_out(gc, err);
    for (size_t i = 0; rc == 0 && i < gc->nout; i++)
        rc = ds_packw_publish(&gc->out[i], gc->s->dir, err);
    if (rc == 0 && gc->nout) {
        ds_pack_path(path, cap, gc->s->dir, &gc->out[0].name);
        rc = ds_fsync_parent(path, err);
    }
    free(path);
    return rc;
}

static int publish(ds_objgc *gc, ds_err *err)
{
    closure dead = {.gc = gc};
    int rc = name_out(gc, err);
    if (rc == 0)
        rc = ds_objindex_pieces(gc->s->ix, 0, collect_dead, &dead, err);
    if (rc == 0)
        rc = ds_objindex_begin(gc->s->ix, err);
    if (rc == 0) {
        rc = index_changes(gc, &dead.bases, err);
        if (rc == 0)
            rc = ds_objindex_commit(gc->s->ix, err);
        if (rc)
            ds_objindex_rollback(gc->s->ix);
    }
    ds_buf_fini(&dead.bases);
    return rc;
}

int ds_objgc_unlink(ds_objgc *gc, ds_gcstats *st, ds_err *err)
{
    size_t cap = strlen(gc->s->dir) + 80;
    char *path = malloc(cap);
    int rc = path ? 0 : ds_fail_nomem(err);
    ds_packset_drop(gc->s->packs);
    for (size_t i = 0; rc == 0 && i < gc->npacks; i++) {
        const ds_gcpack *p = &gc->packs[i];
        if (p->fate == DS_FATE_KEEP || p->stuck) {
            st->bytes_after += p->size;
            st->stuck += p->stuck;
            continue;
        }
        if (is_new_name(gc, &p->name))
            continue;
        ds_pack_path(path, cap, gc->s->dir, &p->name);
        if (ds_io_active->unlink(path) != 0 && errno != ENOENT)
            rc = ds_fail_errno(err, errno, "%s: cannot be removed", path);
        st->packs_deleted += p->fate == DS_FATE_DELETE;
        st->packs_rewritten += p->fate == DS_FATE_REWRITE;
    }
    free(path);
    return rc;
}

static void forget_out(ds_objgc *gc)
{
    for (size_t i = 0; i < gc->nout; i++)
        ds_packw_fini(&gc->out[i]);
    free(gc->out);
    gc->out = NULL;
    gc->nout = gc->cap_out = 0;
    gc->writing = false;
    ds_buf_fini(&gc->moves);
}

static int rewrite(ds_objgc *gc, ds_err *err)
{
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < gc->npacks; i++)
        if (gc->packs[i].fate == DS_FATE_REWRITE)
            rc = rewrite_pack(gc, &gc->packs[i], err);
    return rc == 0 && gc->writing ? end_out(gc, err) : rc; /* while writers are not shut out yet */
}

/* Without the room to copy: what was to be rewritten stays, with what its dead pieces are stored
 * against. */
static int leave(ds_objgc *gc, ds_err *err)
{
    ds_gcstats ignored = {0};
    forget_out(gc);
    for (size_t i = 0; i < gc->npacks; i++)
        gc->st.packs_left += gc->packs[i].fate == DS_FATE_REWRITE;
    gc->whole = true;
    return plan(gc, &ignored, err);
}

int ds_objgc_condemn(ds_objgc *gc, bool dry_run, ds_err *err)
{
    ds_err why = {0};
    gc->st = (ds_gcstats){0};
    int rc = plan(gc, &gc->st, err);
    if (rc == 0 && !dry_run && (rc = rewrite(gc, &why)) != 0)
        rc = rc == DS_NOROOM && !gc->purge ? leave(gc, err) : ds_fail_as(err, &why);
    gc->condemned = true;
    return rc;
}

/* What was marked after its pack was condemned. */
static int carry_over(ds_objgc *gc, ds_err *err)
{
    ds_buf obj = {0};
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < gc->late.len; i += sizeof(ds_objloc)) {
        ds_objloc loc;
        bool damaged = false;
        memcpy(&loc, gc->late.data + i, sizeof loc);
        ds_gcpack *p = pack_of(gc, loc.packrow);
        if (!p || p->fate == DS_FATE_KEEP)
            continue;
        gc->st.revived++;
        rc = copy_object(gc, &loc, &obj, &damaged, err);
        p->stuck |= damaged;
    }
    ds_buf_fini(&obj);
    return rc;
}

static void foretell(const ds_objgc *gc, ds_gcstats *st)
{
    for (size_t i = 0; i < gc->npacks; i++) {
        const ds_gcpack *p = &gc->packs[i];
        st->packs_deleted += p->fate == DS_FATE_DELETE;
        st->packs_rewritten += p->fate == DS_FATE_REWRITE;
        st->bytes_after += p->fate == DS_FATE_KEEP      ? p->size
                           : p->fate == DS_FATE_REWRITE ? p->live_bytes
                                                        : 0;
    }
}

int ds_objgc_sweep(ds_objgc *gc, bool dry_run, ds_gcstats *stats, ds_err *err)
{
    int rc = 0;
    if (!dry_run && !gc->shut)
        return ds_fail(err, DS_FAIL, "%s: writers are not shut out", gc->s->dir);
    if (!dry_run)
        rc = carry_over(gc, err);
    if (rc == 0 && !dry_run)
        rc = publish(gc, err);
    if (rc == 0 && !dry_run)
        rc = ds_objgc_unlink(gc, &gc->st, err);
    for (size_t i = 0; rc == 0 && i < gc->nout; i++) {
        gc->st.packs_written++;
        gc->st.bytes_after += gc->out[i].size;
    }
    if (dry_run)
        foretell(gc, &gc->st);
    if (rc == 0)
        ds_objgc_clean(gc, dry_run, &gc->st);
    forget_out(gc);
    if (stats)
        *stats = gc->st;
    return rc;
}

void ds_objgc_end(ds_objgc *gc)
{
    if (!gc)
        return;
    forget_out(gc);
    if (gc->shut)
        ds_objstore_release(gc->s);
    if (gc->cramped)
        ds_objstore_close(gc->s);
    (void)ds_close(&gc->fd, "gc.lock", NULL);
    (void)ds_close(&gc->alone, "collect.lock", NULL);
    ds_buf_fini(&gc->late);
    free(gc->bits);
    free(gc->packs);
    free(gc);
}
