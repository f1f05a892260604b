/* objstore.c - see objstore.h. */
#include "objstore.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "objcore.h"

#define CACHE_BYTES ((size_t)8 << 20) /* more is slower: it outgrows the processor's caches */

enum { REOPENED = 8 }; /* so often at most, for an index that another took the place of */

/* ---- opening ---- */

/* "<dir>/<name>", freed by the caller. */
static char *join(const char *dir, const char *name)
{
    size_t cap = strlen(dir) + strlen(name) + 2;
    char *p = malloc(cap);
    if (p)
        snprintf(p, cap, "%s/%s", dir, name);
    return p;
}

static int make_folder(const char *dir, const char *name, ds_err *err)
{
    char *p = join(dir, name);
    int rc = p ? ds_mkdirs(p, err) : ds_fail_nomem(err);
    free(p);
    return rc;
}

int ds_objstore_create(const char *dir, ds_err *err)
{
    ds_objindex *ix = NULL;
    int rc = make_folder(dir, "packs", err);
    if (rc == 0)
        rc = make_folder(dir, "tmp", err);
    if (rc == 0)
        rc = make_folder(dir, "locks", err);
    char *path = join(dir, "index.db");
    if (rc == 0 && !path)
        rc = ds_fail_nomem(err);
    if (rc == 0)
        rc = ds_objindex_open(&ix, path, DS_INDEX_CREATE, err);
    ds_objindex_close(ix);
    free(path);
    return rc;
}

/* Packs that the index does not know: a crash between rename and index left them. A reader does
 * what it can. */
static int adopt_leftovers(ds_objstore *s, ds_err *err)
{
    ds_err mine = {0};
    bool writer = s->mode == DS_OBJ_WRITE;
    int fd = -1, rc = ds_objcore_flock(&fd, s->dir, LOCK_SH | (writer ? 0 : LOCK_NB), &mine);
    if (rc == 0)
        rc = ds_objcore_adopt(s->ix, s->dir, false, NULL, NULL, NULL, &mine);
    (void)ds_close(&fd, s->dir, NULL);
    if (rc && (writer || rc == DS_CORRUPT))
        return ds_fail_as(err, &mine);
    return 0;
}

/* *still: it cannot be had so, and a reader takes it as it stands. */
static int open_shared(ds_objstore *s, const char *path, bool *still, ds_err *err)
{
    for (int tries = 0;; tries++) {
        ds_err why = {0};
        int rc = ds_objindex_open(&s->ix, path, DS_INDEX_SHARED, &why);
        *still = ds_is_io(rc) && s->mode == DS_OBJ_READ; /* a full disk is no reason not to read */
        if (rc)
            return *still ? 0 : ds_fail_as(err, &why);
        rc = adopt_leftovers(s, err);
        if (rc || !ds_objindex_moved(s->ix) || tries == REOPENED)
            return rc;
        ds_objindex_close(s->ix); /* it was waited for while another took its place */
        s->ix = NULL;
    }
}

/* One of our own, made from the packs: in a temporary file, or where there is no room for that
 * either in memory. */
static int open_own(ds_objstore *s, const char *path, ds_err *err)
{
    ds_err why = {0};
    int rc = ds_objindex_open(&s->ix, path, DS_INDEX_TEMP, &why);
    rc = rc ? rc : ds_objcore_adopt(s->ix, s->dir, true, NULL, NULL, NULL, &why);
    if (!ds_is_io(rc))
        return rc ? ds_fail_as(err, &why) : 0;
    ds_objindex_close(s->ix);
    rc = ds_objindex_open(&s->ix, path, DS_INDEX_MEMORY, err);
    return rc ? rc : ds_objcore_adopt(s->ix, s->dir, true, NULL, NULL, NULL, err);
}

/* The index of a store that this process does not write: it may not, or there is no room. SQLite
 * would have to make files beside it; so it is taken as it stands when it says all, and when it
 * does not - a log stands beside it, packs are there that it does not know, or it is not there for
 * one who would write it - one of our own is made. */
static int open_still(ds_objstore *s, const char *path, ds_err *err)
{
    char *log = join(s->dir, "index.db-wal");
    struct stat st;
    if (!log)
        return ds_fail_nomem(err);
    bool whole = (stat(log, &st) != 0 || st.st_size == 0) &&
                 (s->mode != DS_OBJ_STILL || ds_path_exists(path));
    free(log);
    if (whole) {
        ds_err unknown = {0};
        int rc = ds_objindex_open(&s->ix, path, DS_INDEX_STILL, err);
        if (rc || ds_objcore_adopt(s->ix, s->dir, false, NULL, NULL, NULL, &unknown) == 0)
            return rc;
        ds_objindex_close(s->ix);
        s->ix = NULL;
    }
    return open_own(s, path, err);
}

int ds_objstore_open(ds_objstore **out, const char *dir, enum ds_objmode mode, ds_err *err)
{
    ds_objstore *s = calloc(1, sizeof *s);
    char *path = join(dir, "index.db"), *packs = join(dir, "packs");
    int rc = 0;
    *out = NULL;
    if (!s || !path || !packs || !(s->dir = strdup(dir))) {
        rc = ds_fail_nomem(err);
        free(s);
        s = NULL;
        goto out;
    }
    pthread_mutex_init(&s->lock, NULL);
    s->mode = mode;
    s->lock_fd = -1;
    struct stat st;
    if (lstat(packs, &st) != 0)
        rc = errno == ENOENT ? ds_fail(err, DS_NOSTORE, "%s: no store here", dir)
                             : ds_fail_errno(err, errno, "%s", packs);
    bool still =
        rc == 0 && (mode == DS_OBJ_STILL || faccessat(AT_FDCWD, dir, W_OK, AT_EACCESS) != 0 ||
                    (ds_path_exists(path) && faccessat(AT_FDCWD, path, W_OK, AT_EACCESS) != 0));
    if (still && mode == DS_OBJ_WRITE) {
        const char *shut = faccessat(AT_FDCWD, dir, W_OK, AT_EACCESS) == 0 ? path : dir;
        rc = ds_fail_errno(err, errno, "%s: this store is only to be read%s", shut,
                           errno == EACCES ? ds_objcore_keptout(shut) : "");
    }
    if (rc == 0 && !still)
        rc = open_shared(s, path, &still, err);
    if (rc == 0 && still)
        rc = open_still(s, path, err);
    if (rc == 0)
        rc = ds_packset_new(&s->packs, dir, err);
    if (rc == 0)
        rc = ds_piececache_new(&s->cache, CACHE_BYTES, err);
    if (rc) {
        ds_objstore_close(s);
        s = NULL;
    }
    *out = s;
out:
    free(path);
    free(packs);
    return rc;
}

void ds_objstore_close(ds_objstore *s)
{
    if (!s)
        return;
    for (ds_codecs *c = s->idle, *next; c; c = next) {
        next = c->next;
        ds_codec_free(c->c);
        ds_buf_fini(&c->object);
        ds_buf_fini(&c->joined);
        ds_buf_fini(&c->places);
        free(c);
    }
    ds_piececache_free(s->cache);
    ds_packset_free(s->packs);
    ds_objindex_close(s->ix);
    (void)ds_close(&s->lock_fd, s->dir, NULL);
    pthread_mutex_destroy(&s->lock);
    free(s->dir);
    free(s);
}

int ds_objcore_current(ds_objstore *s, ds_err *err)
{
    return ds_objindex_moved(s->ix)
               ? ds_fail(err, DS_LOCKED, "%s: its index was made anew meanwhile: try again", s->dir)
               : 0;
}

int ds_objstore_hold(ds_objstore *s, ds_err *err)
{
    int rc = 0;
    pthread_mutex_lock(&s->lock);
    if (s->holds == 0)
        rc = ds_objcore_enter(&s->lock_fd, s->dir, err);
    if (rc == 0 && s->holds == 0 && (rc = ds_objcore_current(s, err)) != 0)
        (void)ds_close(&s->lock_fd, s->dir, NULL);
    if (rc == 0)
        s->holds++;
    pthread_mutex_unlock(&s->lock);
    return rc;
}

void ds_objstore_release(ds_objstore *s)
{
    pthread_mutex_lock(&s->lock);
    if (s->holds > 0 && --s->holds == 0)
        (void)ds_close(&s->lock_fd, s->dir, NULL);
    pthread_mutex_unlock(&s->lock);
}

/* ---- scratch ---- */

int ds_objcore_codec(ds_objstore *s, ds_codecs **out, ds_err *err)
{
    pthread_mutex_lock(&s->lock);
    ds_codecs *c = s->idle;
    if (c)
        s->idle = c->next;
    pthread_mutex_unlock(&s->lock);
    *out = c;
    if (c)
        return 0;
    if (!(c = calloc(1, sizeof *c)))
        return ds_fail_nomem(err);
    int rc = ds_codec_new(&c->c, err);
    if (rc) {
        free(c);
        return rc;
    }
    *out = c;
    return 0;
}

/* One that is not what its address says is told of when it is read itself. */
static void prove(ds_objstore *s, ds_codecs *c)
{
    ds_bytes v[DS_UNPROVEN_MAX] = {{NULL, 0}};
    ds_sha got[DS_UNPROVEN_MAX];
    const size_t n = c->n_unproven;
    for (size_t i = 0; i < n; i++)
        v[i].p = ds_shared_data(c->unproven[i].piece, &v[i].len);
    const bool made = ds_sha_each(got, DS_PIECE_TAG, v, n, NULL) == 0;
    for (size_t i = 0; i < n; i++) {
        if (made && ds_sha_eq(&got[i], &c->unproven[i].id))
            ds_proven_add(s->proven, c->unproven[i].row);
        ds_shared_unref(c->unproven[i].piece);
    }
    c->n_unproven = 0;
}

static void prove_later(ds_objstore *s, ds_codecs *c, const ds_objloc *loc, ds_shared *piece)
{
    if (ds_proven_has(s->proven, loc->row))
        return;
    c->unproven[c->n_unproven++] =
        (ds_unproven){.piece = ds_shared_ref(piece), .id = loc->id, .row = loc->row};
    if (c->n_unproven == DS_UNPROVEN_MAX)
        prove(s, c);
}

void ds_objcore_codec_back(ds_objstore *s, ds_codecs *c)
{
    if (!c)
        return;
    if (c->n_unproven)
        prove(s, c);
    pthread_mutex_lock(&s->lock);
    c->next = s->idle;
    s->idle = c;
    pthread_mutex_unlock(&s->lock);
}

/* ---- reading ---- */

bool ds_objstore_has(ds_objstore *s, const ds_sha *id)
{
    int64_t row;
    return ds_objindex_row(s->ix, id, &row, NULL) == 1 ||
           (s->under && ds_objstore_has(s->under, id));
}

void ds_objstore_has_each(ds_objstore *s, const ds_sha *ids, size_t n, uint8_t *has)
{
    int64_t row;
    const bool frozen = ds_objindex_freeze(s->ix, NULL) == 0;
    for (size_t i = 0; i < n; i++)
        if (ds_objindex_row(s->ix, &ids[i], &row, NULL) == 1)
            has[i] = 1;
    if (frozen)
        ds_objindex_thaw(s->ix);
    if (s->under)
        ds_objstore_has_each(s->under, ids, n, has);
}

int ds_objstore_stat(ds_objstore *s, const ds_sha *id, uint32_t *raw, uint8_t *kind,
                     uint32_t *stored, ds_err *err)
{
    ds_objloc loc;
    int rc = ds_objindex_find(s->ix, id, &loc, err);
    if (rc == 0 && s->under)
        return ds_objstore_stat(s->under, id, raw, kind, stored, err);
    if (rc == 1 && raw)
        *raw = loc.raw;
    if (rc == 1 && kind)
        *kind = loc.kind;
    if (rc == 1 && stored)
        *stored = loc.size;
    return rc;
}

const ds_objloc *ds_objcore_in(const ds_objloc *v, size_t n, const ds_sha *id)
{
    for (size_t i = 0; i < n; i++)
        if (ds_sha_eq(&v[i].id, id))
            return &v[i];
    return NULL;
}

/* A ds_lookup_fn. */
static int lookup(void *store, const ds_sha *id, ds_objloc *out, ds_err *err)
{
    return ds_objindex_find(((ds_objstore *)store)->ix, id, out, err);
}

int ds_objcore_closure(ds_lookup_fn fn, void *ctx, const ds_sha *id, ds_objloc *v, size_t max,
                       size_t *n, bool *overflow, ds_err *err)
{
    size_t first = *n, end = *n;
    int rc = 1;
    *overflow = false;
    if (ds_objcore_in(v, end, id))
        return 1;
    if (end == max) {
        *overflow = true;
        return 0;
    }
    if ((rc = fn(ctx, id, &v[end], err)) != 1)
        return rc;
    end++;
    for (size_t i = first; i < end; i++)
        for (int k = 0; k < v[i].bases.n; k++) {
            if (ds_objcore_in(v, end, &v[i].bases.id[k]))
                continue;
            *overflow = end == max;
            rc = *overflow ? 0 : fn(ctx, &v[i].bases.id[k], &v[end], err);
            if (rc != 1)
                return rc;
            end++;
        }
    *n = end;
    return 1;
}

int ds_objcore_places(ds_objstore *s, const ds_sha *id, ds_objloc v[DS_CLOSURE_CAP], size_t *n,
                      bool *overflow, ds_err *err)
{
    *n = 0;
    return ds_objcore_closure(lookup, s, id, v, DS_CLOSURE_CAP, n, overflow, err);
}

static int shared_piece(ds_objstore *s, ds_codecs *c, const ds_objloc *v, size_t n,
                        const ds_sha *id, unsigned depth, ds_shared **out, ds_err *err);

void ds_objcore_prefix_drop(ds_prefix *p)
{
    for (int i = 0; i < DS_BASES_MAX; i++)
        ds_shared_unref(p->held[i]);
    memset(p, 0, sizeof *p);
}

/* Bases one after the other, the first one last. All are decoded before they are joined: joined is
 * scratch that decoding uses too. */
static int join_bases(ds_objstore *s, ds_codecs *c, const ds_objloc *v, size_t n,
                      const ds_bases *bases, unsigned depth, ds_prefix *out, ds_err *err)
{
    size_t len, all = 0;
    int rc = 1;
    memset(out, 0, sizeof *out);
    for (int i = 0; rc == 1 && i < bases->n; i++) {
        rc = shared_piece(s, c, v, n, &bases->id[i], depth, &out->held[i], err);
        if (rc == 1) {
            out->p = ds_shared_data(out->held[i], &out->len);
            all += out->len;
        }
    }
    if (rc == 1 && bases->n > 1) {
        ds_buf_reset(&c->joined);
        if (ds_buf_reserve(&c->joined, all))
            rc = ds_fail_nomem(err);
        for (int i = bases->n; rc == 1 && i-- > 0;) {
            const uint8_t *p = ds_shared_data(out->held[i], &len);
            (void)ds_buf_put(&c->joined, p, len);
        }
        out->p = c->joined.data;
        out->len = all;
    }
    if (rc != 1)
        ds_objcore_prefix_drop(out);
    return rc;
}

static void drop_below(ds_codecs *c, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        ds_shared_unref(c->below[i]);
        c->below[i] = NULL;
    }
}

int ds_objcore_prefix(ds_objstore *s, ds_codecs *c, const ds_objloc *v, size_t n,
                      const ds_bases *bases, ds_prefix *out, ds_err *err)
{
    const int rc = join_bases(s, c, v, n, bases, 0, out, err);
    drop_below(c, n);
    return rc;
}

static int damaged(ds_objstore *s, const ds_objloc *loc, const char *what, ds_err *err)
{
    char hex[65];
    ds_sha_hex(hex, &loc->pack);
    return ds_fail(err, DS_CORRUPT, "%s/packs/%s.pack: offset %llu: %s", s->dir, hex,
                   (unsigned long long)loc->off, what);
}

static int decode(ds_objstore *s, ds_codecs *c, const ds_objloc *v, size_t n,
                  const ds_objloc *piece, unsigned depth, ds_buf *out, ds_err *err)
{
    ds_prefix prefix = {.len = 0};
    ds_objhead h;
    const uint8_t *payload = NULL;
    int rc = 1;
    if (depth > DS_CLOSURE_CAP) /* only an index that was tampered with has rings */
        return damaged(s, piece, "its bases form a ring: run `dsver reindex`", err);
    if (piece->bases.n)
        rc = join_bases(s, c, v, n, &piece->bases, depth + 1, &prefix, err);
    if (rc == 1)
        rc = ds_packset_read(s->packs, piece, &c->object, &h, &payload, err);
    if (rc == 1) {
        const char *bad = ds_codec_unpack(c->c, &h, payload, prefix.p, prefix.len, out);
        if (bad)
            rc = damaged(s, piece, bad, err);
    }
    ds_objcore_prefix_drop(&prefix);
    return rc;
}

static int shared_piece(ds_objstore *s, ds_codecs *c, const ds_objloc *v, size_t n,
                        const ds_sha *id, unsigned depth, ds_shared **out, ds_err *err)
{
    ds_buf b = {0};
    const ds_objloc *loc = ds_objcore_in(v, n, id);
    if (!loc)
        return ds_fail(err, DS_CORRUPT, "%s: a base is not where it was: run `dsver reindex`",
                       s->dir);
    ds_shared **below = &c->below[loc - v];
    if (!*below) /* what is kept there may be dropped for others' any time */
        *below = ds_piececache_get(s->cache, id);
    if (*below) {
        *out = ds_shared_ref(*below);
        return 1;
    }
    int rc = ds_piececache_buf(s->cache, &b, loc->raw, err);
    if (rc == 0)
        rc = decode(s, c, v, n, loc, depth, &b, err);
    if (rc == 1 && !(*out = ds_piececache_take(s->cache, &b)))
        rc = ds_fail_nomem(err);
    if (rc == 1 && s->proven)
        prove_later(s, c, loc, *out);
    if (rc == 1) {
        ds_piececache_put(s->cache, id, *out);
        *below = ds_shared_ref(*out);
    }
    ds_buf_fini(&b);
    return rc;
}

int ds_objcore_decode(ds_objstore *s, ds_codecs *c, const ds_objloc *v, size_t n,
                      const ds_objloc *piece, ds_buf *out, ds_err *err)
{
    const int rc = decode(s, c, v, n, piece, 0, out, err);
    drop_below(c, n);
    return rc;
}

int ds_objcore_match(const ds_sha *id, const ds_sha *got, ds_err *err)
{
    char want[65], have[65];
    if (ds_sha_eq(got, id))
        return 0;
    ds_sha_hex(want, id);
    ds_sha_hex(have, got);
    return ds_fail(err, DS_CORRUPT, "piece %s: its bytes have the address %s", want, have);
}

int ds_objcore_verify(const ds_sha *id, const void *data, size_t len, ds_err *err)
{
    ds_sha got;
    int rc = ds_sha_tagged(&got, DS_PIECE_TAG, data, len, err);
    return rc ? rc : ds_objcore_match(id, &got, err);
}

/* Looks up and decodes: 1, 0 when the piece is not known (*known) or a pack is gone, or an error.
 */
static int get_once(ds_objstore *s, ds_codecs *c, const ds_sha *id, ds_objloc *v, bool *known,
                    ds_buf *out, ds_err *err)
{
    char hex[65];
    size_t n = 0;
    bool overflow = false;
    int rc = ds_objindex_freeze(s->ix, err);
    if (rc == 0) {
        rc = ds_objcore_places(s, id, v, &n, &overflow, err);
        ds_objindex_thaw(s->ix);
    }
    *known = true;
    if (rc == 1)
        return ds_objcore_decode(s, c, v, n, &v[0], out, err);
    if (rc == 0 && !overflow)
        *known = ds_objindex_find(s->ix, id, &v[0], err) == 1;
    if (rc < 0 || !*known)
        return rc;
    ds_sha_hex(hex, id);
    return overflow ? ds_fail(err, DS_CORRUPT, "%s: piece %s: %s", s->dir, hex, DS_OBJ_TOO_DEEP)
                    : ds_fail(err, DS_CORRUPT,
                              "%s: piece %s: a base of it is not in the index: run `dsver reindex`",
                              s->dir, hex);
}

void ds_objstore_on_miss(ds_objstore *s, ds_objmiss_fn miss, ds_objexpect_fn expect, void *ctx)
{
    s->miss = miss;
    s->expect = expect;
    s->miss_ctx = ctx;
}

void ds_objstore_lay_over(ds_objstore *s, ds_objstore *under)
{
    s->under = under;
}

bool ds_objstore_expect(ds_objstore *s, const ds_sha *ids, size_t n)
{
    if (s->under)
        return ds_objstore_expect(s->under, ids, n);
    for (size_t i = 0; s->expect && i < n; i++)
        s->expect(s->miss_ctx, &ids[i]);
    return s->expect != NULL;
}

void ds_objstore_on_unknown(ds_objstore *s, ds_objexplain_fn explain, void *ctx)
{
    s->explain = explain;
    s->explain_ctx = ctx;
}

/* 1, 0 when it is not known (*known) or a pack is gone, or an error. */
static int get_here(ds_objstore *s, const ds_sha *id, ds_objloc *v, bool *known, ds_buf *out,
                    ds_err *err)
{
    ds_codecs *c = NULL;
    int rc = ds_objcore_codec(s, &c, err);
    if (rc)
        return rc;
    /* A pack that vanished was consolidated: the index knows the new place. Once is enough but for
     * bad luck. */
    *known = true;
    for (int i = 0; i < 3 && rc == 0 && *known; i++)
        rc = get_once(s, c, id, v, known, out, err);
    ds_objcore_codec_back(s, c);
    return rc;
}

int ds_objstore_get(ds_objstore *s, const ds_sha *id, bool verify, ds_buf *out, ds_err *err)
{
    ds_objloc v[DS_CLOSURE_CAP];
    bool known = true;
    int rc = get_here(s, id, v, &known, out, err);
    if (rc == 0 && !known && s->under)
        return ds_objstore_get(s->under, id, verify, out, err);
    if (rc == 0 && !known && s->miss) {
        rc = s->miss(s->miss_ctx, id, err);
        if (rc > 0)
            rc = get_here(s, id, v, &known, out, err);
        else if (rc == DS_CORRUPT && s->explain) {
            ds_err why = {0};
            if (s->explain(s->explain_ctx, id, &why) < 0)
                return ds_fail_as(err, &why);
        }
    }
    if (rc == 0) {
        char hex[65], pack[65];
        ds_sha_hex(hex, id);
        if (s->explain && (rc = s->explain(s->explain_ctx, id, err)) < 0)
            return rc;
        if (!known)
            return ds_fail(err, DS_FAIL, "%s: no piece %s in this store", s->dir, hex);
        ds_sha_hex(pack, &v[0].pack);
        return ds_fail(err, DS_CORRUPT,
                       "%s/packs/%s.pack: missing; piece %s needs it or another lost pack", s->dir,
                       pack, hex);
    }
    if (rc < 0)
        return rc;
    return verify ? ds_objcore_verify(id, out->data, out->len, err) : 0;
}

int ds_objstore_get_all(ds_objstore *s, const ds_sha *ids, size_t n, ds_buf *out, ds_err *err)
{
    ds_buf piece = {0};
    int rc = 0;
    ds_buf_reset(out);
    if (n == 1)
        return ds_objstore_get(s, ids, true, out, err);
    for (size_t i = 0; !rc && i < n; i++) {
        rc = ds_objstore_get(s, &ids[i], true, &piece, err);
        if (!rc && ds_buf_put(out, piece.data, piece.len))
            rc = ds_fail_nomem(err);
    }
    ds_buf_fini(&piece);
    return rc;
}

/* ---- the index as a whole ---- */

int ds_objstore_dump(ds_objstore *s, bool places, ds_buf *out, ds_err *err)
{
    return ds_objindex_dump(s->ix, places, out, err);
}

int ds_objstore_totals(ds_objstore *s, ds_objtotals *out, ds_err *err)
{
    return ds_objindex_totals(s->ix, out, err);
}
