/* remotegc.c - see remotegc.h.
 *
 * A piece may lie in several packs, and the index knows one of them. So packs that are condemned
 * are left out of it first: what versions need and only these hold is seen as missing, and they are
 * spared.
 */
#include "remotegc.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "packjoin.h"
#include "refs.h"
#include "remotedrop.h"
#include "remotepurge.h"
#include "sig.h"

enum { ROUNDS = 5 };

typedef struct farpack {
    ds_sha name;
    int64_t row; /* in the index; 0: its heads are missing, or damaged, or it is condemned */
    uint64_t size, live_bytes;
} farpack;

typedef struct farsweep {
    ds_link *l;
    ds_remoteswept *out;
    int64_t grace, now;
    bool dry_run;
    ds_marks marks;
    ds_shaset condemned; /* before this run */
    ds_shaset live;      /* what versions need, and what that is built on */
    ds_shaset missing;
    ds_buf packs; /* farpack, sorted by row */
    ds_gitrefs there;
} farsweep;

/* ---- what lies there ---- */

static farpack *pack_at(const farsweep *s, size_t i)
{
    return (farpack *)(void *)s->packs.data + i;
}

static size_t packs_n(const farsweep *s)
{
    return s->packs.len / sizeof(farpack);
}

static int on_pack(void *ctx, int64_t n, const ds_packrow *p)
{
    const farpack f = {.name = p->name, .row = n, .size = p->size};
    return ds_buf_put(ctx, &f, sizeof f);
}

static int by_row(const void *a, const void *b)
{
    const farpack *x = a, *y = b;
    return x->row < y->row ? -1 : x->row > y->row;
}

/* Packs that count, in the order of their rows. */
static int list_packs(farsweep *s, ds_err *err)
{
    ds_buf_reset(&s->packs);
    int rc = ds_objindex_packs(ds_remoteindex_get(s->l->index), on_pack, &s->packs, err);
    if (!rc && s->packs.len)
        qsort(s->packs.data, packs_n(s), sizeof(farpack), by_row);
    return rc;
}

static int note_live(farsweep *s, const ds_sha *id, ds_err *err)
{
    ds_objloc loc;
    int rc = ds_objindex_find(ds_remoteindex_get(s->l->index), id, &loc, err);
    if (rc == 0)
        return ds_shaset_add(&s->missing, id, NULL, err);
    if (rc < 0)
        return rc;
    const farpack key = {.row = loc.packrow};
    farpack *p =
        s->packs.len ? bsearch(&key, s->packs.data, packs_n(s), sizeof(farpack), by_row) : NULL;
    if (p)
        p->live_bytes += loc.size;
    rc = 0;
    for (int k = 0; !rc && k < loc.bases.n; k++)
        rc = ds_shaset_add(&s->live, &loc.bases.id[k], NULL, err);
    return rc;
}

/* ---- condemned before: needed again? ---- */

typedef struct holds {
    const ds_shaset *missing;
    bool any;
} holds;

static int on_head(void *ctx, const ds_objhead *h, uint64_t off, ds_err *err)
{
    holds *k = ctx;
    (void)off;
    (void)err;
    k->any = k->any || ds_shaset_has(k->missing, &h->id);
    return 0;
}

/* Takes the mark off those that hold what is missing. */
static int spare(farsweep *s, uint64_t *n, ds_err *err)
{
    ds_shaset still = {0};
    int rc = 0;
    for (size_t i = 0; !rc && i < s->condemned.n; i++) {
        const ds_sha *name = &s->condemned.ids[i];
        holds k = {.missing = &s->missing};
        ds_err why = {0};
        rc = ds_remoteindex_heads(s->l->index, name, on_head, &k, &why);
        if (rc && rc != DS_CORRUPT)
            ds_fail_as(err, &why);
        rc = rc == DS_CORRUPT ? 0 : rc; /* damaged heads hold nothing */
        if (!rc && k.any) {
            ++*n;
            rc = s->dry_run ? 0 : ds_marks_spare(s->l->remote, name, err);
        } else if (!rc) {
            rc = ds_shaset_add(&still, name, NULL, err);
        }
    }
    ds_shaset_fini(&s->condemned);
    s->condemned = still;
    return rc;
}

static int on_waiting(void *ctx, const ds_objhead *h, uint64_t off, ds_err *err)
{
    farsweep *s = ctx;
    int64_t row;
    int rc = 0;
    (void)off;
    for (int k = 0; !rc && ds_shaset_has(&s->missing, &h->id) && k < h->bases.n; k++) {
        rc = ds_objindex_row(ds_remoteindex_get(s->l->index), &h->bases.id[k], &row, err);
        rc = rc ? (rc < 0 ? rc : 0) : ds_shaset_add(&s->missing, &h->bases.id[k], NULL, err);
    }
    return rc;
}

/* What is missing may lie in a pack that counts, and be built on what only condemned ones hold:
 * that is missing as well. */
static int miss_bases(farsweep *s, ds_err *err)
{
    int rc = 0;
    size_t before = 0;
    for (int round = 0; !rc && round < DS_CLOSURE_CAP && before != s->missing.n; round++) {
        before = s->missing.n;
        rc = ds_remoteindex_waiting(s->l->index, on_waiting, s, err);
    }
    return rc;
}

/* Marks all that is needed; repeated while condemned packs turn out to be. */
static int mark(farsweep *s, ds_err *err)
{
    ds_remotestate state;
    uint64_t spared = 1;
    int rc = 0;
    while (!rc && spared) {
        spared = 0;
        ds_shaset_fini(&s->missing);
        ds_remoteindex_skip(s->l->index, &s->condemned);
        rc = ds_remoteindex_refresh(s->l->index, &state, err);
        rc = rc ? rc : list_packs(s, err);
        for (size_t i = 0; !rc && i < s->live.n; i++)
            rc = note_live(s, &s->live.ids[i], err);
        if (!rc && s->missing.n && s->condemned.n)
            rc = spare(s, &spared, err);
        if (!rc && s->missing.n && s->condemned.n && !spared) {
            rc = miss_bases(s, err);
            rc = rc ? rc : spare(s, &spared, err);
        }
        s->out->spared += spared;
        rc = rc ? rc : ds_check_interrupt(err);
    }
    s->out->missing = s->missing.n;
    return rc;
}

/* ---- the end of those whose time is over ---- */

/* What a gc had marked that died in the middle was over then. */
static bool over(const farsweep *s, const ds_packmark *m)
{
    return m->condemned && (m->condemned <= s->now - s->grace ||
                            (m->deleting >= m->condemned && m->deleting < s->now - DS_MARK_DEAD));
}

static int delete_marked(farsweep *s, const ds_shaset *doomed, ds_err *err)
{
    const ds_remotedrop drop = {.l = s->l, .refs = &s->there, .seen = &s->marks};
    ds_shaset gone = {0};
    const int rc = ds_remotedrop_run(&gone, &drop, doomed, err);
    for (size_t i = 0; i < gone.n; i++) {
        uint64_t size = 0;
        s->out->deleted += ds_remoteindex_listed(s->l->index, &gone.ids[i], &size);
        s->out->deleted_bytes += size;
    }
    ds_shaset_fini(&gone);
    return rc;
}

/* 1 done, 0 the refs have moved meanwhile: what else is over is to be looked at anew. */
static int delete_old(farsweep *s, ds_err *err)
{
    ds_shaset doomed = {0};
    int rc = 0;
    s->out->waiting = s->out->waiting_bytes = 0;
    for (size_t i = 0; !rc && i < s->condemned.n; i++) {
        const ds_packmark *m = ds_marks_find(&s->marks, &s->condemned.ids[i]);
        uint64_t size = 0;
        const bool there = ds_remoteindex_listed(s->l->index, &s->condemned.ids[i], &size);
        if (m && over(s, m)) {
            s->out->deleted += s->dry_run && there;
            s->out->deleted_bytes += s->dry_run ? size : 0;
            rc = ds_shaset_add(&doomed, &s->condemned.ids[i], NULL, err);
        } else {
            s->out->waiting++;
            s->out->waiting_bytes += size;
        }
    }
    if (!rc)
        rc = s->dry_run || !doomed.n ? 1 : delete_marked(s, &doomed, err);
    ds_shaset_fini(&doomed);
    return rc;
}

/* ---- condemning ---- */

static int condemn(farsweep *s, const ds_sha *pack, uint64_t size, ds_err *err)
{
    s->out->condemned++;
    s->out->condemned_bytes += size;
    return s->dry_run ? 0 : ds_marks_condemn(s->l->remote, pack, err);
}

typedef struct living {
    const ds_shaset *live;
    ds_shaset *keep;
    ds_err *err;
} living;

static int on_piece(void *ctx, const ds_objloc *loc)
{
    const living *k = ctx;
    return ds_shaset_has(k->live, &loc->id) ? ds_shaset_add(k->keep, &loc->id, NULL, k->err) : 0;
}

/* ---- what is needed of them goes into other packs ---- */

static int by_size(const void *a, const void *b)
{
    const farpack *x = *(farpack *const *)a, *y = *(farpack *const *)b;
    return x->size != y->size ? (x->size > y->size) - (x->size < y->size)
                              : ds_sha_cmp(&x->name, &y->name);
}

/* Those that are small, when they are many: a clone asks for each. */
static int choose_small(ds_shaset *leaving, const farsweep *s, ds_err *err)
{
    farpack **v = calloc(packs_n(s) + 1, sizeof(farpack *));
    uint64_t *size = calloc(packs_n(s) + 1, sizeof *size);
    int rc = v && size ? 0 : ds_fail_nomem(err);
    size_t n = 0, k = 0;
    for (size_t i = 0; !rc && i < packs_n(s); i++)
        if (pack_at(s, i)->live_bytes > pack_at(s, i)->size / 2 &&
            pack_at(s, i)->size < DS_PACK_SMALL)
            v[n++] = pack_at(s, i);
    if (n)
        qsort(v, n, sizeof(farpack *), by_size);
    for (size_t i = 0; i < n; i++)
        size[i] = v[i]->size;
    if (n > DS_PACK_SMALL_MAX)
        k = ds_packjoin_count(size, n);
    for (size_t i = 0; !rc && k > 1 && i < k; i++) {
        s->out->joined_bytes += v[i]->size;
        rc = ds_shaset_add(leaving, &v[i]->name, NULL, err);
    }
    s->out->joined = k > 1 ? k : 0;
    free(v);
    free(size);
    return rc;
}

/* Those of which less than half is needed. */
static int choose_half(ds_shaset *leaving, const farsweep *s, ds_err *err)
{
    int rc = 0;
    for (size_t i = 0; !rc && i < packs_n(s); i++)
        if (pack_at(s, i)->live_bytes && pack_at(s, i)->live_bytes <= pack_at(s, i)->size / 2) {
            s->out->rewritten++;
            rc = ds_shaset_add(leaving, &pack_at(s, i)->name, NULL, err);
        }
    return rc;
}

static int put_anew(farsweep *s, ds_err *err)
{
    ds_shaset leaving = {0}, keep = {0}, none = {0};
    living k = {.live = &s->live, .keep = &keep, .err = err};
    int rc = choose_half(&leaving, s, err);
    rc = rc ? rc : choose_small(&leaving, s, err);
    for (size_t i = 0; !rc && i < packs_n(s); i++)
        if (ds_shaset_has(&leaving, &pack_at(s, i)->name))
            rc = ds_objindex_pieces(ds_remoteindex_get(s->l->index), pack_at(s, i)->row, on_piece,
                                    &k, err);
    if (!rc && leaving.n && !s->dry_run)
        rc = ds_remote_rewrite(s->l, &leaving, &keep, &none, err);
    for (size_t i = 0; !rc && i < packs_n(s); i++)
        if (ds_shaset_has(&leaving, &pack_at(s, i)->name))
            rc = condemn(s, &pack_at(s, i)->name, pack_at(s, i)->size, err);
    ds_shaset_fini(&leaving);
    ds_shaset_fini(&keep);
    return rc;
}

/* What pushes left that died: packs that do not count, heads without a pack. */
static int condemn_bare(farsweep *s, const ds_shaset *counted, ds_err *err)
{
    ds_listed e;
    int rc = 0;
    for (size_t i = 0; !rc && ds_remoteindex_entry(s->l->index, i, &e); i++)
        if (!ds_shaset_has(counted, &e.name) && !ds_shaset_has(&s->condemned, &e.name))
            rc = condemn(s, &e.name, e.pack == UINT64_MAX ? 0 : e.pack, err);
    return rc;
}

static int condemn_dead(farsweep *s, ds_err *err)
{
    ds_shaset counted = {0};
    int rc = 0;
    for (size_t i = 0; !rc && i < packs_n(s); i++) {
        const farpack *p = pack_at(s, i);
        rc = ds_shaset_add(&counted, &p->name, NULL, err);
        if (!rc && !p->live_bytes)
            rc = condemn(s, &p->name, p->size, err);
    }
    rc = rc ? rc : condemn_bare(s, &counted, err); /* before new packs appear */
    rc = rc ? rc : put_anew(s, err);
    ds_shaset_fini(&counted);
    return rc;
}

/* ---- the whole ---- */

static void look_fini(farsweep *s)
{
    ds_marks_fini(&s->marks);
    ds_shaset_fini(&s->condemned);
    ds_shaset_fini(&s->live);
    ds_shaset_fini(&s->missing);
    ds_buf_fini(&s->packs);
    ds_gitrefs_fini(&s->there);
}

/* Marks come first, refs after: whoever relied on a pack before it was condemned has moved his by
 * now. */
static int look(farsweep *s, ds_err *err)
{
    ds_listed e;
    s->now = (int64_t)time(NULL);
    s->out->versions = s->out->packs = s->out->bytes = 0;
    int rc = s->dry_run ? 0 : ds_marks_now(&s->now, s->l->remote, err);
    rc = rc ? rc : ds_marks_list(&s->marks, s->l->remote, err);
    const ds_packmark *m = (const ds_packmark *)(const void *)s->marks.v.data;
    for (size_t i = 0; !rc && i < s->marks.v.len / sizeof *m; i++)
        rc = ds_shaset_add(&s->condemned, &m[i].pack, NULL, err);
    rc = rc ? rc : ds_git_refs(&s->there, s->l->conf.catalog, err);
    rc = rc ? rc : ds_remote_needed(&s->live, &s->out->versions, s->l, &s->there, err);
    rc = rc ? rc : mark(s, err);
    for (size_t i = 0; !rc && ds_remoteindex_entry(s->l->index, i, &e); i++)
        if (e.pack != UINT64_MAX) {
            s->out->packs++;
            s->out->bytes += e.pack;
        }
    return rc;
}

static int look_and_delete(farsweep *s, ds_err *err)
{
    char hex[65];
    int rc = look(s, err);
    if (!rc && s->out->missing) {
        ds_sha_hex(hex, &s->missing.ids[0]);
        rc = ds_fail(err, DS_CORRUPT,
                     "%s: lacks %llu pieces that its versions need, first %s: nothing was "
                     "removed; dsver push --all from a store that has them",
                     ds_remote_place(s->l->remote), (unsigned long long)s->out->missing, hex);
    }
    return rc ? rc : delete_old(s, err);
}

static int run(farsweep *s, ds_err *err)
{
    ds_remotestate state;
    uint64_t dead;
    int rc = ds_remoteindex_refresh(s->l->index, &state, err);
    rc = rc || s->dry_run ? rc : ds_remotegc_purge(&s->out->erased, s->l, err);
    rc = rc ? rc : look_and_delete(s, err);
    for (int round = 1; rc == 0 && round < ROUNDS; round++) {
        look_fini(s);
        rc = look_and_delete(s, err);
    }
    rc = rc < 0 ? rc : condemn_dead(s, err);
    rc = rc ? rc
            : ds_remote_end_uploads(s->l->remote, "packs/", s->now - s->grace, s->dry_run,
                                    &s->out->uploads, err);
    return rc || s->dry_run ? rc : ds_marks_bury(&dead, s->l->remote, s->now, err);
}

int ds_remotegc_run(ds_remoteswept *out, ds_link *l, int64_t grace, bool dry_run, ds_err *err)
{
    farsweep s = {.l = l, .out = out, .grace = grace, .dry_run = dry_run};
    *out = (ds_remoteswept){0};
    int rc = ds_objstore_hold(l->store->objs, err);
    if (rc)
        return rc;
    rc = run(&s, err);
    ds_objstore_release(l->store->objs);
    ds_remoteindex_skip(l->index, NULL);
    look_fini(&s);
    return rc;
}
