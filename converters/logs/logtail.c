/* logtail.c - see logtail.h. */
#include "logtail.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "io.h"
#include "logtable.h"

#define STEP ((size_t)256 << 10)
#define HEAD ((size_t)64 << 10)
#define NOBODY SIZE_MAX

static const ds_unpack_limits limits = {.max_members = 1};

/* ---- files ---- */

static void file_close(ds_logfile *f)
{
    ds_unpack_free(f->unpack);
    if (f->fd > STDIN_FILENO)
        (void)ds_close(&f->fd, "log", NULL);
    *f = (ds_logfile){.fd = -1};
}

static void file_look(ds_logfile *f, const struct stat *st)
{
    f->dev = (uint64_t)st->st_dev;
    f->ino = (uint64_t)st->st_ino;
    f->size = (uint64_t)st->st_size;
    f->mtime = (int64_t)st->st_mtim.tv_sec * 1000000000 + st->st_mtim.tv_nsec;
}

/* True when it is a file that can be read from its beginning. */
static bool file_open(ds_logfile *f, const char *path)
{
    struct stat st;
    uint8_t head[DS_PACKMARK_SNIFF];
    ds_member m;
    *f = (ds_logfile){.fd = -1};
    if (ds_open(&f->fd, path, O_RDONLY | O_NONBLOCK | O_NOCTTY, 0, NULL) != 0)
        return false;
    ssize_t n = pread(f->fd, head, sizeof head, 0);
    bool good = n >= 0 && fstat(f->fd, &st) == 0 && S_ISREG(st.st_mode);
    if (good) {
        file_look(f, &st);
        enum ds_packing packing = ds_packmark_sniff(head, (size_t)n);
        if (packing != DS_PACK_NONE)
            good = ds_unpack_new(&f->unpack, f->fd, path, NULL, 0, packing, &limits, NULL) == 0 &&
                   ds_unpack_next(f->unpack, &m, NULL) == 1 && !m.name;
    }
    if (!good)
        file_close(f);
    return good;
}

static int file_read(ds_logfile *f, const char *path, uint64_t at, uint8_t *p, size_t n,
                     size_t *got, ds_err *err)
{
    if (f->unpack)
        return ds_unpack_read(f->unpack, p, n, got, err);
    ssize_t k;
    do
        k = ds_io_active->pread(f->fd, p, n, (off_t)at);
    while (k < 0 && errno == EINTR);
    *got = k < 0 ? 0 : (size_t)k;
    return k < 0 ? ds_fail_errno(err, errno, "%s: read", path) : 0;
}

/* The lines of (p, n) that name fields, into heads. Returns what is kept of a line that goes on, to
 * stand before what follows; a line too long to be such a one no longer begins as they do. */
static size_t keep_heads(ds_buf *heads, uint8_t *p, size_t n, bool *good)
{
    const uint8_t *lf = memrchr(p, '\n', n);
    const size_t whole = lf ? (size_t)(lf + 1 - p) : 0, rest = n - whole;
    *good = ds_logtable_pass(heads, p, whole) == 0;
    memmove(p, p + whole, rest);
    if (rest <= STEP / 2)
        return rest;
    p[0] = 0;
    return 1;
}

/* Whether the file begins with what the part had taken; leaves it behind that, hashed into sum, its
 * beginning in t->head and the names of its fields in t->heads. */
static bool file_continues(ds_logtail *t, ds_logfile *f, const char *path, const ds_logpart *part,
                           ds_hasher *sum)
{
    uint8_t *buf = malloc(STEP);
    uint64_t at = 0;
    size_t kept = 0;
    ds_sha is;
    bool good = buf && (f->unpack || f->size >= part->taken) && ds_hasher_reset(sum, NULL) == 0;
    ds_buf_reset(&t->head);
    ds_buf_reset(&t->heads);
    while (good && at < part->taken) {
        uint64_t left = part->taken - at;
        size_t n = left < STEP - kept ? (size_t)left : STEP - kept, got = 0;
        uint8_t *p = buf + kept;
        good = file_read(f, path, at, p, n, &got, NULL) == 0 && got > 0 &&
               ds_hasher_put(sum, p, got, NULL) == 0;
        if (good && t->head.len < HEAD)
            good =
                ds_buf_put(&t->head, p, got < HEAD - t->head.len ? got : HEAD - t->head.len) == 0;
        if (good)
            kept = keep_heads(&t->heads, buf, kept + got, &good);
        at += got;
    }
    free(buf);
    return good && ds_hasher_peek(sum, &is, NULL) == 0 && ds_sha_eq(&is, &part->sha);
}

/* ---- names ---- */

/* Length of the name without what rotation puts behind it: ".1", "-20240131.gz". */
static size_t bare_name(const char *path)
{
    const char *slash = strrchr(path, '/');
    const char *p = slash ? slash + 1 : path;
    while (*p && !(strchr(".-_", *p) && isdigit((unsigned char)p[1])))
        p++;
    return (size_t)(p - path);
}

static bool same_log(const char *a, const char *b)
{
    size_t n = bare_name(a);
    return n == bare_name(b) && strncmp(a, b, n) == 0;
}

/* ---- what is known ---- */

/* Spares most files from being read. */
static bool begins_alike(const ds_logfile *f, const ds_logpart *p)
{
    uint8_t now[sizeof p->first];
    return f->unpack || (pread(f->fd, now, p->nfirst, 0) == (ssize_t)p->nfirst &&
                         memcmp(now, p->first, p->nfirst) == 0);
}

/* The part of the book that the file goes on, or NOBODY; the file then stands behind it. */
static size_t find_part(ds_logtail *t, ds_logfile *f, const char *path)
{
    size_t best = NOBODY;
    const ds_logbook *b = t->book;
    for (size_t i = 0; i < b->n; i++) {
        const ds_logpart *p = &b->v[i];
        const bool ino = !p->ino || (p->ino == f->ino && p->dev == f->dev);
        ds_logfile again;
        if (p->pipe || p->taken == 0 || !same_log(p->log, path) ||
            (!ino && p->taken < DS_TAIL_SURE) || (best != NOBODY && p->taken <= b->v[best].taken))
            continue;
        if (!file_open(&again, path))
            return NOBODY;
        if (begins_alike(&again, p) && file_continues(t, &again, path, p, t->sum))
            best = i;
        file_close(&again);
    }
    if (best == NOBODY)
        return best;
    file_close(f);
    return file_open(f, path) && file_continues(t, f, path, &b->v[best], t->sum) ? best : NOBODY;
}

/* ---- rotated files ---- */

typedef struct rotated {
    char *path;
    int64_t mtime;
} rotated;

static int by_time(const void *a, const void *b)
{
    const rotated *x = a, *y = b;
    return x->mtime != y->mtime ? (x->mtime < y->mtime ? -1 : 1) : strcmp(x->path, y->path);
}

/* Files beside the log that carry its name, the oldest first. */
static size_t list_rotated(const ds_logtail *t, rotated **out)
{
    const char *slash = strrchr(t->path, '/');
    ds_buf name = {0};
    size_t n = 0, cap = 0, len = strlen(t->path);
    struct dirent *e;
    *out = NULL;
    if (ds_buf_put(&name, t->path, slash ? (size_t)(slash + 1 - t->path) : 0) != 0)
        return 0;
    const size_t dir = name.len;
    const char *text = ds_buf_cstr(&name);
    DIR *d = text ? opendir(dir ? text : ".") : NULL;
    while (d && (e = readdir(d)) != NULL) {
        struct stat st;
        name.len = dir;
        text = ds_buf_puts(&name, e->d_name) == 0 ? ds_buf_cstr(&name) : NULL;
        if (!text || name.len <= len || strncmp(text, t->path, len) != 0 ||
            !same_log(text, t->path) || stat(text, &st) != 0 || !S_ISREG(st.st_mode))
            continue;
        if (ds_grow(out, &cap, n, sizeof **out))
            break;
        rotated *r = *out + n;
        r->mtime = (int64_t)st.st_mtim.tv_sec * 1000000000 + st.st_mtim.tv_nsec;
        if ((r->path = strdup(text)) != NULL)
            n++;
    }
    if (d)
        closedir(d);
    if (n)
        qsort(*out, n, sizeof **out, by_time);
    ds_buf_fini(&name);
    return n;
}

static void drop_queue(ds_logtail *t)
{
    for (size_t i = 0; i < t->nqueue; i++)
        free(t->queue[i]);
    free(t->queue);
    t->queue = NULL;
    t->nqueue = 0;
}

/* Queues the rotated file that goes on `part`, and those written later that nobody has read. False:
 * it is not there. */
static bool queue_after(ds_logtail *t, size_t part)
{
    rotated *v;
    const size_t n = list_rotated(t, &v);
    bool found = false;
    drop_queue(t);
    t->queue = calloc(n + 1, sizeof *t->queue);
    for (size_t i = 0; i < n; i++) {
        ds_logfile f;
        size_t is = NOBODY;
        const bool opened = t->queue && file_open(&f, v[i].path);
        if (opened) {
            is = find_part(t, &f, v[i].path);
            file_close(&f);
        }
        found |= opened && is == part;
        if (opened && (is == part || (found && is == NOBODY)))
            t->queue[t->nqueue++] = v[i].path;
        else
            free(v[i].path);
    }
    free(v);
    if (!found)
        drop_queue(t);
    return found;
}

/* ---- parts ---- */

static int start_part(ds_logtail *t, size_t part, ds_err *err)
{
    ds_logbook *b = t->book;
    if (part == NOBODY) {
        if (ds_grow(&b->v, &b->cap, b->n, sizeof *b->v))
            return ds_fail_nomem(err);
        part = b->n;
        b->v[part] = (ds_logpart){.log = strdup(t->path), .pipe = t->pipe};
        if (!b->v[part].log)
            return ds_fail_nomem(err);
        b->n++;
        ds_buf_reset(&t->head);
        ds_buf_reset(&t->heads);
        if (ds_hasher_reset(t->sum, err) != 0 || ds_hasher_peek(t->sum, &b->v[part].sha, err) != 0)
            return DS_FAIL;
    }
    ds_logpart *p = &b->v[part];
    t->queued = t->left;
    p->open = true;
    p->done = false;
    p->dev = t->file.dev;
    p->ino = t->file.ino;
    t->part = part;
    t->at = t->taken = p->taken;
    t->nends = 0;
    t->fresh = true;
    return 0;
}

/* A part of this log that was not finished when the run before ended. */
static size_t unfinished(const ds_logtail *t)
{
    for (size_t i = t->book->n; i-- > 0;) {
        const ds_logpart *p = &t->book->v[i];
        if (!p->done && !p->open && strcmp(p->log, t->path) == 0)
            return i;
    }
    return NOBODY;
}

/* Few bytes are the same, and nobody knows the inode: a rotated file may begin with them, too. */
static bool is_unsure(const ds_logtail *t, size_t part)
{
    return part != NOBODY && t->book->v[part].taken < DS_TAIL_SURE && !t->book->v[part].ino;
}

/* Opens what is to be read next; with nothing there, or nothing new, file.fd stays -1. */
static int open_next(ds_logtail *t, ds_err *err)
{
    struct stat st;
    while (t->nqueue > 0) {
        char *path = t->queue[0];
        memmove(t->queue, t->queue + 1, --t->nqueue * sizeof *t->queue);
        const bool good = file_open(&t->file, path);
        const size_t part = good ? find_part(t, &t->file, path) : NOBODY;
        free(path);
        if (!good || t->file.fd < 0)
            continue;
        t->left = true;
        return start_part(t, part, err);
    }
    if (stat(t->path, &st) != 0 || (uint64_t)st.st_ino == t->passed ||
        !file_open(&t->file, t->path))
        return 0;
    size_t part = find_part(t, &t->file, t->path);
    if (t->file.fd < 0)
        return 0;
    if (part != NOBODY && t->book->v[part].open) { /* it was rotated here, and is being read */
        t->passed = t->file.ino;
        file_close(&t->file);
        return 0;
    }
    if (is_unsure(t, part) && queue_after(t, part)) { /* then the file here is another */
        file_close(&t->file);
        return open_next(t, err);
    }
    const size_t rest = part == NOBODY ? unfinished(t) : NOBODY;
    if (rest != NOBODY) {
        const bool found = t->book->v[rest].taken > 0 && queue_after(t, rest);
        t->book->v[rest].done |= !found;
        file_close(&t->file);
        return open_next(t, err);
    }
    t->left = t->file.unpack != NULL;
    return start_part(t, part, err);
}

int ds_logtail_open(ds_logtail *t, const char *path, ds_logbook *book, ds_err *err)
{
    struct stat st;
    *t = (ds_logtail){.path = path, .book = book, .file = {.fd = -1}};
    int rc = ds_hasher_new(&t->sum, err);
    const bool std = strcmp(path, "-") == 0;
    t->pipe = std || (stat(path, &st) == 0 && !S_ISREG(st.st_mode));
    if (rc || !t->pipe)
        return rc;
    if (!std && S_ISDIR(st.st_mode))
        return ds_fail(err, DS_USAGE, "%s: a folder cannot be followed: name its files", path);
    if (std)
        t->file.fd = STDIN_FILENO;
    else
        rc = ds_open(&t->file.fd, path, O_RDONLY | O_NOCTTY, 0, err);
    return rc ? rc : start_part(t, NOBODY, err);
}

void ds_logtail_fini(ds_logtail *t)
{
    if (t->path)
        file_close(&t->file);
    ds_hasher_free(t->sum);
    ds_buf_fini(&t->head);
    ds_buf_fini(&t->heads);
    drop_queue(t);
    *t = (ds_logtail){.file = {.fd = -1}};
}

/* ---- reading ---- */

/* Keeps the bytes before `at` in mind. */
static void keep_ends(ds_logtail *t, const uint8_t *p, size_t n)
{
    if (n >= DS_TAIL_ENDS) {
        memcpy(t->ends, p + n - DS_TAIL_ENDS, DS_TAIL_ENDS);
        t->nends = DS_TAIL_ENDS;
        return;
    }
    size_t keep = t->nends < DS_TAIL_ENDS - n ? t->nends : DS_TAIL_ENDS - n;
    memmove(t->ends, t->ends + t->nends - keep, keep);
    memcpy(t->ends + keep, p, n);
    t->nends = keep + n;
}

/* The file still holds what was read of it. */
static bool is_same(const ds_logtail *t, int fd)
{
    uint8_t now[DS_TAIL_ENDS];
    return pread(fd, now, t->nends, (off_t)(t->at - t->nends)) == (ssize_t)t->nends &&
           memcmp(now, t->ends, t->nends) == 0;
}

/* The file was cut: the copy that was made of it before has the rest. */
static int go_on_in_copy(ds_logtail *t, ds_err *err)
{
    rotated *v;
    ds_logpart *p;
    ds_hasher *probe = NULL;
    const size_t n = list_rotated(t, &v);
    bool found = false;
    int rc = ds_logtail_mark(t, &p, err);
    rc = rc ? rc : ds_hasher_new(&probe, err);
    for (size_t i = n; i-- > 0;) { /* the newest first */
        ds_logfile f;
        if (!rc && !found && file_open(&f, v[i].path)) {
            found = !f.unpack && f.size >= t->at && is_same(t, f.fd) &&
                    file_continues(t, &f, v[i].path, p, probe);
            if (found) {
                file_close(&t->file);
                t->file = f;
            } else
                file_close(&f);
        }
        free(v[i].path);
    }
    free(v);
    ds_hasher_free(probe); /* sum goes on: it has hashed the same bytes */
    t->left = true;
    if (!rc && !found) { /* what was taken is all that there is */
        file_close(&t->file);
        t->file.fd = ds_io_active->open("/dev/null", O_RDONLY | O_CLOEXEC, 0);
        rc = t->file.fd < 0 ? ds_fail_errno(err, errno, "/dev/null") : 0;
    }
    return rc;
}

/* At the end of the file: whether it is over. */
static int look_around(ds_logtail *t, bool *more, ds_err *err)
{
    struct stat is, there;
    *more = false;
    if (t->left || fstat(t->file.fd, &is) != 0)
        return 0;
    if ((uint64_t)is.st_size < t->at) {
        *more = true;
        return go_on_in_copy(t, err);
    }
    /* Whoever writes has left it when there is something in the other. */
    if (stat(t->path, &there) == 0 && there.st_size > 0 &&
        (there.st_ino != is.st_ino || there.st_dev != is.st_dev))
        *more = t->left = true;
    return 0;
}

static int read_pipe(ds_logtail *t, uint8_t *p, size_t *got, bool *nothing, ds_err *err)
{
    struct pollfd f = {.fd = t->file.fd, .events = POLLIN};
    *nothing = poll(&f, 1, 0) <= 0;
    if (*nothing)
        return 0;
    ssize_t n = ds_io_active->read(t->file.fd, p, STEP);
    *nothing = n < 0 && (errno == EINTR || errno == EAGAIN);
    if (n < 0 && !*nothing)
        return ds_fail_errno(err, errno, "%s: read", t->path);
    *got = n < 0 ? 0 : (size_t)n;
    return 0;
}

int ds_logtail_read(ds_logtail *t, ds_buf *out, enum ds_tail_event *ev, ds_err *err)
{
    int rc = 0;
    *ev = t->over ? DS_TAIL_OVER : DS_TAIL_NOTHING;
    if (!t->over && t->file.fd < 0)
        rc = open_next(t, err);
    if (rc || t->over || t->file.fd < 0)
        return rc;
    if (ds_buf_reserve(out, STEP) != 0)
        return ds_fail_nomem(err);
    for (bool more = true, nothing = false; !rc && more;) {
        uint8_t *p = out->data + out->len;
        size_t got = 0;
        more = false;
        if (t->pipe)
            rc = read_pipe(t, p, &got, &nothing, err);
        else
            rc = file_read(&t->file, t->path, t->at, p, STEP, &got, err);
        if (!rc && got > 0 && !t->pipe && !t->left && !is_same(t, t->file.fd)) {
            more = true; /* it was cut and has grown again since */
            rc = go_on_in_copy(t, err);
        } else if (!rc && got > 0) {
            keep_ends(t, p, got);
            out->len += got;
            t->at += got;
            *ev = DS_TAIL_BYTES;
        } else if (!rc && t->pipe) {
            *ev = nothing ? DS_TAIL_NOTHING : DS_TAIL_PART;
        } else if (!rc) {
            *ev = t->left ? DS_TAIL_PART : DS_TAIL_NOTHING;
            rc = look_around(t, &more, err);
        }
    }
    return rc;
}

int ds_logtail_take(ds_logtail *t, const uint8_t *p, size_t n, ds_err *err)
{
    ds_logpart *part = &t->book->v[t->part];
    if (t->taken < sizeof part->first && part->nfirst == t->taken) {
        size_t room = sizeof part->first - part->nfirst, k = n < room ? n : room;
        memcpy(part->first + part->nfirst, p, k);
        part->nfirst += k;
    }
    t->taken += n;
    return ds_hasher_put(t->sum, p, n, err);
}

int ds_logtail_mark(ds_logtail *t, ds_logpart **part, ds_err *err)
{
    *part = NULL;
    if (t->file.fd < 0)
        return 0;
    ds_logpart *p = *part = &t->book->v[t->part];
    p->taken = t->taken;
    return ds_hasher_peek(t->sum, &p->sha, err);
}

int ds_logtail_part(ds_logtail *t, ds_err *err)
{
    ds_logpart *p;
    const size_t part = t->part;
    int rc = ds_logtail_mark(t, &p, err);
    if (rc || !p)
        return rc;
    p->done = true;
    p->open = false;
    file_close(&t->file);
    t->left = false;
    t->over = t->pipe;
    if (!t->pipe && !t->queued && p->taken > 0)
        (void)queue_after(t, part); /* those that were rotated away unread */
    return 0;
}
