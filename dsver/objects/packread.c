/* packread.c - see packread.h. */
#include "packread.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#define OPEN_MAX 64
#define SCAN_CHUNK ((size_t)4 << 20)

typedef struct open_pack {
    ds_sha name;
    int fd;
    unsigned users;
    uint64_t used; /* clock of the last use */
} open_pack;

struct ds_packset {
    char *dir;
    pthread_mutex_t lock;
    open_pack v[OPEN_MAX];
    size_t n;
    uint64_t clock;
};

int ds_packset_new(ds_packset **out, const char *dir, ds_err *err)
{
    ds_packset *p = calloc(1, sizeof *p);
    *out = NULL;
    if (!p || !(p->dir = strdup(dir))) {
        free(p);
        return ds_fail_nomem(err);
    }
    pthread_mutex_init(&p->lock, NULL);
    *out = p;
    return 0;
}

void ds_packset_drop(ds_packset *p)
{
    pthread_mutex_lock(&p->lock);
    for (size_t i = 0; i < p->n; i++)
        (void)ds_close(&p->v[i].fd, p->dir, NULL);
    p->n = 0;
    pthread_mutex_unlock(&p->lock);
}

void ds_packset_free(ds_packset *p)
{
    if (!p)
        return;
    ds_packset_drop(p);
    pthread_mutex_destroy(&p->lock);
    free(p->dir);
    free(p);
}

/* With the lock held: a file that is open already. */
static open_pack *lookup(ds_packset *p, const ds_sha *name)
{
    for (size_t i = 0; i < p->n; i++)
        if (ds_sha_eq(&p->v[i].name, name))
            return &p->v[i];
    return NULL;
}

/* With the lock held: a place for one more, taken from the file not used for longest. NULL when all
 * are in use. */
static open_pack *place(ds_packset *p)
{
    open_pack *best = NULL;
    if (p->n < OPEN_MAX)
        return &p->v[p->n++];
    for (size_t i = 0; i < p->n; i++)
        if (p->v[i].users == 0 && (!best || p->v[i].used < best->used))
            best = &p->v[i];
    if (best)
        (void)ds_close(&best->fd, p->dir, NULL);
    return best;
}

/* Borrows an open file: 1, 0 when it does not exist, or an error. *own: it is in no set, the caller
 * closes it. */
static int borrow(ds_packset *p, const ds_sha *name, const char *path, int *fd, bool *own,
                  ds_err *err)
{
    *own = false;
    pthread_mutex_lock(&p->lock);
    open_pack *o = lookup(p, name);
    if (!o) {
        int f = ds_io_active->open(path, O_RDONLY | O_CLOEXEC, 0);
        if (f < 0) {
            int e = errno;
            pthread_mutex_unlock(&p->lock);
            return e == ENOENT ? 0 : ds_fail_errno(err, e, "%s: cannot be opened", path);
        }
        if (!(o = place(p))) {
            pthread_mutex_unlock(&p->lock);
            *fd = f;
            *own = true;
            return 1;
        }
        *o = (open_pack){.name = *name, .fd = f};
    }
    o->users++;
    o->used = ++p->clock;
    *fd = o->fd;
    pthread_mutex_unlock(&p->lock);
    return 1;
}

static void give_back(ds_packset *p, const ds_sha *name, int fd, bool own)
{
    if (own) {
        (void)ds_close(&fd, p->dir, NULL);
        return;
    }
    pthread_mutex_lock(&p->lock);
    open_pack *o = lookup(p, name);
    if (o)
        o->users--;
    pthread_mutex_unlock(&p->lock);
}

int ds_packset_read(ds_packset *p, const ds_objloc *loc, ds_buf *obj, ds_objhead *h,
                    const uint8_t **payload, ds_err *err)
{
    size_t cap = strlen(p->dir) + 80, head = 0;
    char *path = malloc(cap);
    int fd = loc->fd, rc = 1;
    bool own = false;
    if (!path)
        return ds_fail_nomem(err);
    ds_pack_path(path, cap, p->dir, &loc->pack);
    ds_buf_reset(obj);
    if (ds_buf_reserve(obj, loc->size))
        rc = ds_fail_nomem(err);
    if (rc == 1 && fd < 0)
        rc = borrow(p, &loc->pack, path, &fd, &own, err);
    if (rc == 1) {
        int io = ds_pread_exact(fd, path, obj->data, loc->size, loc->off, err);
        rc = io ? io : 1;
        if (loc->fd < 0)
            give_back(p, &loc->pack, fd, own);
    }
    if (rc == 1) {
        obj->len = loc->size;
        const char *bad = ds_object_check(h, &head, obj->data, obj->len);
        if (!bad && !ds_sha_eq(&h->id, &loc->id))
            bad = "another piece lies there than the index says: run `dsver reindex`";
        if (!bad && !ds_bases_eq(&h->bases, &loc->bases))
            bad = "another base than the index says: run `dsver reindex`";
        if (bad)
            rc = ds_fail(err, DS_CORRUPT, "%s: offset %llu: %s", path, (unsigned long long)loc->off,
                         bad);
        else
            *payload = obj->data + head;
    }
    free(path);
    return rc;
}

/* ---- scans ---- */

typedef struct window {
    int fd;
    const char *path;
    uint64_t size, off; /* of the file; of buf in it */
    size_t chunk;
    ds_buf buf;
} window;

/* Lends at least n bytes at off (which lie in the file), *got of them in all. */
static int window_at(window *w, uint64_t off, size_t n, const uint8_t **p, size_t *got, ds_err *err)
{
    if (off < w->off || off + n > w->off + w->buf.len) {
        size_t want = n > w->chunk ? n : w->chunk;
        if (want > w->size - off)
            want = (size_t)(w->size - off);
        ds_buf_reset(&w->buf);
        if (ds_buf_reserve(&w->buf, want))
            return ds_fail_nomem(err);
        int rc = ds_pread_exact(w->fd, w->path, w->buf.data, want, off, err);
        if (rc)
            return rc;
        w->buf.len = want;
        w->off = off;
    }
    *p = w->buf.data + (off - w->off);
    *got = w->buf.len - (size_t)(off - w->off);
    return 0;
}

/* Looks at the object at off: *bad = NULL when sound. h->id and *n are valid when *headed. */
static int look(ds_packscan *s, window *w, uint64_t off, uint64_t end, ds_objhead *h,
                const uint8_t **obj, size_t *n, bool *headed, const char **bad, ds_err *err)
{
    size_t got, head = 0, min = end - off < DS_OBJHEAD_MAX ? (size_t)(end - off) : DS_OBJHEAD_MAX;
    int rc = window_at(w, off, min, obj, &got, err);
    *headed = false;
    if (rc)
        return rc;
    *bad = ds_objhead_get(h, &head, *obj, min);
    if (*bad)
        return 0;
    *n = ds_object_size(h);
    if (*n > end - off) {
        *bad = "object reaches past the end of the pack";
        return 0;
    }
    *headed = true;
    if (s->full) {
        rc = window_at(w, off, *n, obj, &got, err);
        if (rc == 0)
            *bad = ds_object_check(h, &head, *obj, *n);
    }
    return rc;
}

/* The next place after off where a magic stands, or end. */
static int next_magic(window *w, uint64_t *off, uint64_t end, ds_err *err)
{
    const uint8_t *p;
    size_t got;
    while (++*off + sizeof ds_objmagic <= end) {
        int rc = window_at(w, *off, sizeof ds_objmagic, &p, &got, err);
        if (rc)
            return rc;
        const uint8_t *q = memchr(p, ds_objmagic[0], got);
        if (!q) {
            *off += got - 1;
            continue;
        }
        *off += (uint64_t)(q - p);
        if (end - *off < sizeof ds_objmagic)
            break;
        rc = window_at(w, *off, sizeof ds_objmagic, &p, &got, err);
        if (rc || memcmp(p, ds_objmagic, sizeof ds_objmagic) == 0)
            return rc;
    }
    *off = end;
    return 0;
}

/* Moves off on to the next sound object, or to end. */
static int resync(ds_packscan *s, window *w, uint64_t *off, uint64_t end, ds_err *err)
{
    ds_objhead h;
    const uint8_t *obj;
    size_t n;
    bool headed;
    const char *bad = NULL;
    for (;;) {
        int rc = next_magic(w, off, end, err);
        if (rc || *off >= end)
            return rc;
        rc = look(s, w, *off, end, &h, &obj, &n, &headed, &bad, err);
        if (rc || !bad)
            return rc;
    }
}

static int scan_objects(ds_packscan *s, window *w, uint64_t end, bool *damaged, ds_err *err)
{
    uint64_t off = DS_PACK_HEADER;
    ds_objhead h;
    const uint8_t *obj = NULL;
    size_t n = 0;
    bool headed;
    int rc = 0;
    while (rc == 0 && off < end) {
        const char *bad = NULL;
        rc = look(s, w, off, end, &h, &obj, &n, &headed, &bad, err);
        if (rc)
            break;
        if (!bad) {
            s->objects++;
            rc = s->object ? s->object(s->ctx, &h, off, s->full ? obj : NULL, n) : 0;
            off += n;
            continue;
        }
        *damaged = true;
        rc = s->bad(s->ctx, off, headed ? &h.id : NULL, bad);
        if (rc == 0 && headed)
            off += n; /* the head has a checksum of its own: its length is right */
        else if (rc == 0)
            rc = resync(s, w, &off, end, err);
    }
    return rc;
}

static int scan_open_pack(ds_packscan *s, window *w, ds_err *err)
{
    uint8_t header[DS_PACK_HEADER];
    const uint8_t *p;
    size_t got;
    uint64_t objects = 0, end = w->size, said = 0;
    bool damaged = false;
    if (w->size < DS_PACK_HEADER + DS_PACK_TRAILER)
        return s->bad(s->ctx, 0, NULL, "too short for a pack");
    int rc = window_at(w, w->size - DS_PACK_TRAILER, DS_PACK_TRAILER, &p, &got, err);
    bool sound = rc == 0 && ds_pack_trailer_get(&objects, &said, p);
    if (sound)
        end = w->size - DS_PACK_TRAILER;
    if (rc == 0 && (!sound || said != end)) {
        damaged = true;
        rc = s->bad(s->ctx, w->size - DS_PACK_TRAILER, NULL,
                    sound ? "the pack has another length than its trailer says"
                          : "trailer is missing or damaged");
    }
    if (rc == 0)
        rc = window_at(w, 0, DS_PACK_HEADER, &p, &got, err);
    ds_pack_header(header);
    if (rc == 0 && memcmp(p, header, sizeof header) != 0) {
        damaged = true;
        rc = s->bad(s->ctx, 0, NULL, "pack header is damaged");
    }
    if (rc == 0)
        rc = scan_objects(s, w, end, &damaged, err);
    if (rc == 0 && !damaged && objects != s->objects)
        rc = s->bad(s->ctx, end, NULL, "trailer counts other objects than there are");
    return rc;
}

int ds_pack_scan(ds_packscan *s, ds_err *err)
{
    window w = {.fd = -1, .path = s->path, .chunk = s->full ? SCAN_CHUNK : DS_OBJHEAD_MAX};
    struct stat st;
    s->size = s->objects = 0;
    int rc = ds_open(&w.fd, s->path, O_RDONLY, 0, err);
    if (rc == 0 && ds_io_active->fstat(w.fd, &st) != 0)
        rc = ds_fail_errno(err, errno, "%s", s->path);
    if (rc == 0) {
        s->size = w.size = (uint64_t)st.st_size;
        rc = scan_open_pack(s, &w, err);
    }
    (void)ds_close(&w.fd, s->path, NULL);
    ds_buf_fini(&w.buf);
    return rc;
}

/* ---- the folder ---- */

int ds_pack_list(const char *dir, ds_sha **names, size_t *n, size_t *strange, ds_err *err)
{
    ds_buf path = {0}, list = {0};
    ds_sha name;
    int rc = 0;
    DIR *d = NULL;
    *names = NULL;
    *n = *strange = 0;
    if (ds_buf_printf(&path, "%s/packs", dir) || !ds_buf_cstr(&path))
        rc = ds_fail_nomem(err);
    if (rc == 0 && !(d = opendir(ds_buf_cstr(&path))))
        rc = ds_fail_errno(err, errno, "%s", ds_buf_cstr(&path));
    for (struct dirent *e; rc == 0 && (errno = 0, e = readdir(d));) {
        size_t len = strlen(e->d_name);
        if (len == 69 && memcmp(e->d_name + 64, ".pack", 5) == 0 &&
            ds_sha_parse(&name, e->d_name, 64)) {
            if (ds_buf_put(&list, name.b, sizeof name))
                rc = ds_fail_nomem(err);
        } else if (e->d_name[0] != '.') {
            ++*strange;
        }
    }
    if (rc == 0 && errno != 0)
        rc = ds_fail_errno(err, errno, "%s", ds_buf_cstr(&path));
    if (d)
        closedir(d);
    ds_buf_fini(&path);
    if (rc) {
        ds_buf_fini(&list);
        return rc;
    }
    *n = list.len / sizeof name;
    if (*n)
        qsort(list.data, *n, sizeof name, ds_sha_cmp);
    *names = (ds_sha *)(void *)list.data;
    return 0;
}
