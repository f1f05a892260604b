#include "objstore.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#include "objcore.h"

#define CACHE_BYTES ((size_t)32 << 20)

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
        rc = ds_objindex_open(&ix, path, true, err);
    ds_objindex_close(ix);
    free(path);
    return rc;
}

int ds_objcore_flock(int *fd, const char *dir, int how, ds_err *err)
{
    char *p = join(dir, "locks/gc.lock");
    int rc = p ? 0 : ds_fail_nomem(err);
    if (rc == 0 && *fd < 0)
        rc = ds_open(fd, p, O_RDWR | O_CREAT, 0666, err);
    while (rc == 0 && flock(*fd, how) != 0) {
        if (errno == EWOULDBLOCK)
            rc = ds_fail(err, DS_LOCKED, "%s: another process is at work in this store", dir);
        else if (errno != EINTR)
            rc = ds_fail_errno(err, errno, "%s: cannot be locked", p);
    }
    free(p);
    return rc;
}

/* Packs that the index does not know: a crash between rename and index left them. A reader does what it can. */
static int adopt_leftovers(ds_objstore *s, ds_err *err)
{
    ds_err mine = {0};
    bool writer = s->mode == DS_OBJ_WRITE;
    int fd = -1, rc = ds_objcore_flock(&fd, s->dir, LOCK_SH | (writer ? 0 : LOCK_NB), &mine);
    if (rc == 0)
        rc = ds_objcore_adopt(s->ix, s->dir, false, NULL, NULL, NULL, &mine);
    (void)ds_close(&fd, s->dir, NULL);
    if (rc && (writer || rc == DS_CORRUPT))
        return ds_fail(err, mine.code, "%s", mine.msg);
    return 0;
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
    if (!ds_path_exists(packs))
        rc = ds_fail(err, DS_NOSTORE, "%s: no store here", dir);
    if (rc == 0)
        rc = ds_objindex_open(&s->ix, path, false, err);
    if (rc == 0)
        rc = ds_packset_new(&s->packs, dir, err);
    if (rc == 0)
        rc = ds_piececache_new(&s->cache, CACHE_BYTES, err);
    if (rc == 0)
        rc = adopt_leftovers(s, err);
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

int ds_objstore_hold(ds_objstore *s, ds_err *err)
{
    int rc = 0;
    pthread_mutex_lock(&s->lock);
    if (s->holds == 0)
        rc = ds_objcore_flock(&s->lock_fd, s->dir, LOCK_SH, err);
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

void ds_objcore_codec_back(ds_objstore *s, ds_codecs *c)
{
    if (!c)
        return;
    pthread_mutex_lock(&s->lock);
    c->next = s->idle;
    s->idle = c;
    pthread_mutex_unlock(&s->lock);
}

/* ---- reading ---- */

bool ds_objstore_has(ds_objstore *s, const ds_sha *id)
{
    int64_t row;
    return ds_objindex_row(s->ix, id, &row, NULL) == 1;
}

int ds_objstore_stat(ds_objstore *s, const ds_sha *id, uint32_t *raw, uint8_t *kind, uint32_t *stored, ds_err *err)
{
    ds_objloc loc;
    int rc = ds_objindex_find(s->ix, id, &loc, err);
    if (rc == 1 && raw)
        *raw = loc.raw;
    if (rc == 1 && kind)
        *kind = loc.kind;
    if (rc == 1 && stored)
        *stored = loc.size;
    return rc;
}

int ds_objcore_resolve(ds_objstore *s, const ds_sha *id, ds_objloc chain[DS_CHAIN_CAP], size_t *n, ds_err *err)
{
    char hex[65];
    *n = 0;
    for (const ds_sha *want = id; *n < DS_CHAIN_CAP; want = &chain[*n - 1].base) {
        int rc = ds_objindex_find(s->ix, want, &chain[*n], err);
        if (rc < 0)
            return rc;
        if (rc == 0 && *n == 0)
            return 0;
        if (rc == 0) {
            ds_sha_hex(hex, id);
            return ds_fail(err, DS_CORRUPT, "piece %s: its base is not in the index: run `dsver reindex`", hex);
        }
        if (!chain[(*n)++].has_base)
            return 0;
    }
    ds_sha_hex(hex, id);
    return ds_fail(err, DS_CORRUPT, "piece %s: too many bases: run `dsver reindex`", hex);
}

int ds_objcore_base(ds_objstore *s, ds_codec *c, const ds_objloc *chain, size_t n, ds_shared **out, ds_err *err)
{
    ds_buf b = {0};
    if ((*out = ds_piececache_get(s->cache, &chain[0].id)))
        return 1;
    int rc = ds_objcore_decode(s, c, chain, n, &b, err);
    if (rc == 1 && !(*out = ds_shared_take(&b)))
        rc = ds_fail_nomem(err);
    if (rc == 1)
        ds_piececache_put(s->cache, &chain[0].id, *out);
    ds_buf_fini(&b);
    return rc;
}

int ds_objcore_decode(ds_objstore *s, ds_codec *c, const ds_objloc *chain, size_t n, ds_buf *out, ds_err *err)
{
    ds_shared *base = NULL;
    ds_buf obj = {0};
    ds_objhead h;
    const uint8_t *payload = NULL, *prefix = NULL;
    size_t prefix_len = 0;
    int rc = 1;
    if (n > 1) { /* as deep as the chain, which is bounded */
        rc = ds_objcore_base(s, c, chain + 1, n - 1, &base, err);
        if (rc == 1)
            prefix = ds_shared_data(base, &prefix_len);
    }
    if (rc == 1)
        rc = ds_packset_read(s->packs, &chain[0], &obj, &h, &payload, err);
    if (rc == 1) {
        const char *bad = ds_codec_unpack(c, &h, payload, prefix, prefix_len, out);
        if (bad) {
            char hex[65];
            ds_sha_hex(hex, &chain[0].pack);
            rc = ds_fail(err, DS_CORRUPT, "%s/packs/%s.pack: offset %llu: %s", s->dir, hex,
                         (unsigned long long)chain[0].off, bad);
        }
    }
    ds_shared_unref(base);
    ds_buf_fini(&obj);
    return rc;
}

int ds_objcore_verify(const ds_sha *id, const void *data, size_t len, ds_err *err)
{
    ds_sha got;
    int rc = ds_sha_tagged(&got, DS_PIECE_TAG, data, len, err);
    if (rc || ds_sha_eq(&got, id))
        return rc;
    char want[65], have[65];
    ds_sha_hex(want, id);
    ds_sha_hex(have, &got);
    return ds_fail(err, DS_CORRUPT, "piece %s: its bytes have the address %s", want, have);
}

int ds_objstore_get(ds_objstore *s, const ds_sha *id, bool verify, ds_buf *out, ds_err *err)
{
    ds_objloc chain[DS_CHAIN_CAP];
    ds_codecs *c = NULL;
    size_t n = 0;
    int rc = ds_objcore_codec(s, &c, err);
    if (rc)
        return rc;
    /* A pack that vanished was consolidated: the index knows the new place. Once is enough but for bad luck. */
    int got = 0;
    for (int i = 0; i < 3 && rc == 0 && got == 0; i++) {
        rc = ds_objcore_resolve(s, id, chain, &n, err);
        if (rc || n == 0)
            break;
        got = ds_objcore_decode(s, c->c, chain, n, out, err);
        rc = got < 0 ? got : 0;
    }
    ds_objcore_codec_back(s, c);
    if (rc == 0 && got == 0) {
        char hex[65], pack[65];
        ds_sha_hex(hex, id);
        if (n == 0)
            return ds_fail(err, DS_FAIL, "%s: no piece %s in this store", s->dir, hex);
        ds_sha_hex(pack, &chain[0].pack);
        return ds_fail(err, DS_CORRUPT, "%s/packs/%s.pack: missing; piece %s needs it or another lost pack", s->dir,
                       pack, hex);
    }
    return rc == 0 && verify ? ds_objcore_verify(id, out->data, out->len, err) : rc;
}

/* ---- the index as a whole ---- */

int ds_objstore_dump(ds_objstore *s, bool places, ds_buf *out, ds_err *err)
{
    return ds_objindex_dump(s->ix, places, out, err);
}

int ds_objstore_totals(ds_objstore *s, ds_objtotals *out, ds_err *err) { return ds_objindex_totals(s->ix, out, err); }
