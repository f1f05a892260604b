/* io.c - see io.h. */
#include "io.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

#include "sharing.h"
#include "sig.h"

#define OUT_SIZE ((size_t)256 << 10)
#define IN_SIZE ((size_t)256 << 10)
#define IN_MAX ((size_t)2 << 20)
#define COPY_CHUNK ((size_t)256 << 10)
/* A single read or write: the kernel takes 2 GiB - 4 KiB at most. */
#define CALL_MAX ((size_t)1 << 30)

/* A call that a signal broke off is made again, unless the signal asks us to stop. */
static bool again(int errnum)
{
    return errnum == EINTR && !ds_interrupted();
}

/* The message for a failed transfer. */
static int transfer_fail(ds_err *err, int errnum, const char *path, const char *what)
{
    if (errnum == EINTR)
        return ds_check_interrupt(err);
    return ds_fail_errno(err, errnum, "%s: %s", path, what);
}

static int sys_open(const char *path, int flags, mode_t mode)
{
    const int fd = open(path, flags, mode);
    if (fd < 0 || !(flags & O_CREAT) || ds_sharing_file(path, fd) == 0)
        return fd;
    const int why = errno;
    (void)close(fd);
    if (flags & O_EXCL)
        (void)unlink(path);
    errno = why;
    return -1;
}

static int sys_mkdir(const char *path, mode_t mode)
{
    if (mkdir(path, mode) != 0)
        return -1;
    if (ds_sharing_path(path) == 0)
        return 0;
    const int why = errno;
    (void)rmdir(path);
    errno = why;
    return -1;
}

static int sys_exchange(const char *a, const char *b)
{
    return renameat2(AT_FDCWD, a, AT_FDCWD, b, RENAME_EXCHANGE);
}

const ds_io_ops ds_io_system = {
    .open = sys_open,
    .read = read,
    .pread = pread,
    .write = write,
    .fsync = fsync,
    .close = close,
    .rename = rename,
    .exchange = sys_exchange,
    .unlink = unlink,
    .mkdir = sys_mkdir,
    .fstat = fstat,
};
const ds_io_ops *ds_io_active = &ds_io_system;

int ds_open(int *fd, const char *path, int flags, mode_t mode, ds_err *err)
{
    do
        *fd = ds_io_active->open(path, flags | O_CLOEXEC, mode);
    while (*fd < 0 && errno == EINTR);
    if (*fd >= 0)
        return 0;
    *fd = -1;
    return ds_fail_errno(err, errno, "%s", path);
}

int ds_close(int *fd, const char *path, ds_err *err)
{
    int f = *fd;
    *fd = -1;
    /* On Linux the descriptor is gone whatever close says; EINTR is no loss. */
    if (f < 0 || ds_io_active->close(f) == 0 || errno == EINTR)
        return 0;
    return ds_fail_errno(err, errno, "%s: close", path);
}

int ds_read_full(int fd, const char *path, void *buf, size_t n, size_t *got, ds_err *err)
{
    uint8_t *p = buf;
    *got = 0;
    while (*got < n) {
        size_t want = n - *got < CALL_MAX ? n - *got : CALL_MAX;
        ssize_t r = ds_io_active->read(fd, p + *got, want);
        if (r < 0 && again(errno))
            continue;
        if (r < 0)
            return transfer_fail(err, errno, path, "read");
        if (r == 0)
            break;
        *got += (size_t)r;
    }
    return 0;
}

int ds_read_ended(int fd, const char *path, uint64_t had, uint64_t taken, ds_err *err)
{
    struct stat st;
    if (taken >= had || ds_io_active->fstat(fd, &st) != 0 || !S_ISREG(st.st_mode) ||
        (uint64_t)st.st_size >= had)
        return 0;
    return ds_fail(err, DS_IO,
                   "%s: it shrank while it was read: of %" PRIu64 " bytes the last %" PRIu64
                   " are gone",
                   path, had, had - taken);
}

int ds_pread_exact(int fd, const char *path, void *buf, size_t n, uint64_t off, ds_err *err)
{
    uint8_t *p = buf;
    if (off > INT64_MAX || n > (uint64_t)INT64_MAX - off)
        return ds_fail(err, DS_CORRUPT, "%s: offset %" PRIu64 " is out of range", path, off);
    for (size_t got = 0; got < n;) {
        size_t want = n - got < CALL_MAX ? n - got : CALL_MAX;
        ssize_t r = ds_io_active->pread(fd, p + got, want, (off_t)(off + got));
        if (r < 0 && errno == EINTR)
            continue;
        if (r < 0)
            return ds_fail_errno(err, errno, "%s: read at byte %" PRIu64, path, off + got);
        if (r == 0)
            return ds_fail(err, DS_CORRUPT, "%s: ends at byte %" PRIu64 ", needed %zu more", path,
                           off + got, n - got);
        got += (size_t)r;
    }
    return 0;
}

int ds_write_full(int fd, const char *path, const void *buf, size_t n, ds_err *err)
{
    const uint8_t *p = buf;
    while (n > 0) {
        ssize_t w = ds_io_active->write(fd, p, n < CALL_MAX ? n : CALL_MAX);
        if (w < 0 && again(errno))
            continue;
        if (w < 0)
            return transfer_fail(err, errno, path, "write");
        if (w == 0)
            return ds_fail_errno(err, EIO, "%s: write", path);
        p += w;
        n -= (size_t)w;
    }
    return 0;
}

int ds_fsync(int fd, const char *path, ds_err *err)
{
    int r;
    do
        r = ds_io_active->fsync(fd);
    while (r != 0 && errno == EINTR);
    /* Pipes, and folders on some file systems, cannot be synced and say EINVAL. */
    if (r == 0 || errno == EINVAL || errno == ENOTSUP)
        return 0;
    return ds_fail_errno(err, errno, "%s: fsync", path);
}

/* The folder that holds path; the caller frees. NULL: out of memory. */
static char *parent_of(const char *path)
{
    size_t len = ds_path_len(path);
    while (len > 0 && path[len - 1] != '/')
        len--;
    while (len > 1 && path[len - 1] == '/')
        len--;
    return len ? strndup(path, len) : strdup(".");
}

void ds_write_behind(int fd, uint64_t *sent, uint64_t written)
{
    enum { BEHIND = 8 << 20 };
    if (written - *sent < BEHIND)
        return;
    /* a hint: whether it was taken shows in fsync */
    (void)sync_file_range(fd, (off_t)*sent, (off_t)(written - *sent), SYNC_FILE_RANGE_WRITE);
    *sent = written;
}

int ds_fsync_parent(const char *path, ds_err *err)
{
    int fd = -1;
    char *dir = parent_of(path);
    if (!dir)
        return ds_fail_nomem(err);
    int rc = ds_open(&fd, dir, O_RDONLY | O_DIRECTORY, 0, err);
    if (!rc)
        rc = ds_fsync(fd, dir, err);
    int rc2 = ds_close(&fd, dir, err);
    free(dir);
    return rc ? rc : rc2;
}

int ds_read_file(ds_buf *out, const char *path, size_t max, ds_err *err)
{
    int fd = -1;
    struct stat st;
    size_t before = out->len, got = 0;
    int rc = ds_open(&fd, path, O_RDONLY, 0, err);
    if (rc)
        return rc;
    if (ds_io_active->fstat(fd, &st) != 0) {
        rc = ds_fail_errno(err, errno, "%s: stat", path);
        goto out;
    }
    /* The size is a hint: files of /proc say 0, and a file may grow while it is read. */
    size_t step = st.st_size > 0 && (uint64_t)st.st_size < max ? (size_t)st.st_size + 1 : 4096;
    for (;;) {
        if (ds_buf_reserve(out, step)) {
            rc = ds_fail_nomem(err);
            goto out;
        }
        rc = ds_read_full(fd, path, out->data + out->len, step, &got, err);
        if (rc)
            goto out;
        out->len += got;
        if (out->len - before > max) {
            rc = ds_fail(err, DS_FAIL, "%s: larger than %zu bytes", path, max);
            goto out;
        }
        if (got < step)
            break;
        step = 65536;
    }
out:
    if (rc)
        out->len = before;
    ds_close(&fd, path, NULL);
    return rc;
}

static bool is_dir(const char *path)
{
    struct stat st;
    return stat(path, &st) == 0 && S_ISDIR(st.st_mode);
}

int ds_mkdirs(const char *path, ds_err *err)
{
    char *p = strdup(path);
    if (!p)
        return ds_fail_nomem(err);
    int rc = 0;
    size_t len = strlen(p);
    for (size_t i = 1; i <= len && !rc; i++) {
        if (p[i] != '/' && p[i] != '\0')
            continue;
        char c = p[i];
        p[i] = '\0';
        if (ds_io_active->mkdir(p, 0777) != 0) {
            int e = errno;
            if (!is_dir(p))
                rc = ds_fail_errno(err, e == EEXIST ? ENOTDIR : e, "%s: mkdir", p);
        }
        p[i] = c;
    }
    free(p);
    return rc;
}

size_t ds_path_len(const char *path)
{
    size_t len = strlen(path);
    while (len > 1 && path[len - 1] == '/')
        len--;
    return len;
}

/* The slashes at its end are not in *len. */
static const char *last_part(const char *path, size_t *len)
{
    const size_t end = ds_path_len(path);
    size_t at = end;

    while (at && path[at - 1] != '/')
        at--;
    *len = end - at;
    return path + at;
}

int ds_path_name(char **out, const char *path, ds_err *err)
{
    size_t len;
    const char *part = last_part(path, &len);
    char *real = NULL;

    *out = NULL;
    if (len <= 2 && strspn(part, ".") >= len) {
        if (!(real = realpath(path, NULL)))
            return ds_fail_errno(err, errno, "%s", path);
        part = last_part(real, &len);
    }
    *out = strndup(part, len);
    free(real);
    return *out ? 0 : ds_fail_nomem(err);
}

int ds_path_join(char out[DS_PATH], const char *dir, const char *name, ds_err *err)
{
    return snprintf(out, DS_PATH, "%s/%s", dir, name) >= DS_PATH
               ? ds_fail(err, DS_FAIL, "%s/%s: path too long", dir, name)
               : 0;
}

bool ds_path_exists(const char *path)
{
    struct stat st;
    return lstat(path, &st) == 0;
}

bool ds_path_is_store(int at, const char *name)
{
    return strcmp(name, ".dsver") == 0 && faccessat(at, ".dsver/config", F_OK, 0) == 0 &&
           faccessat(at, ".dsver/catalog.git", F_OK, 0) == 0;
}

/* ---- files that appear whole ------------------------------ */

int ds_random(void *out, size_t n, ds_err *err)
{
    ssize_t got;
    do
        got = getrandom(out, n, 0);
    while (got < 0 && errno == EINTR);
    if (got != (ssize_t)n)
        return ds_fail_errno(err, got < 0 ? errno : EIO, "no random bytes from the system");
    return 0;
}

int ds_open_unique(int *fd, char **path, const char *before, const char *after, int flags,
                   mode_t mode, ds_err *err)
{
    size_t size = strlen(before) + strlen(after) + 17;
    char *name = malloc(size);
    *fd = -1;
    *path = NULL;
    if (!name)
        return ds_fail_nomem(err);
    for (int tries = 0; tries < 100; tries++) {
        uint64_t r = 0;
        int rc = ds_random(&r, sizeof r, err);
        if (rc) {
            free(name);
            return rc;
        }
        snprintf(name, size, "%s%016" PRIx64 "%s", before, r, after);
        do
            *fd = ds_io_active->open(name, flags | O_CREAT | O_EXCL | O_CLOEXEC, mode);
        while (*fd < 0 && errno == EINTR);
        if (*fd >= 0) {
            *path = name;
            return 0;
        }
        if (errno != EEXIST)
            break;
    }
    *fd = -1;
    int rc = ds_fail_errno(err, errno, "%s: create", name);
    free(name);
    return rc;
}

/* Whether a file can take the place of what is at path: told before there is work to lose. */
static int refuse_place(const char *path, ds_err *err)
{
    struct stat st;
    if (strcmp(path, "-") == 0)
        return ds_fail(
            err, DS_USAGE,
            "-: a file is wanted here, not standard output (./- is a file of that name)");
    if (stat(path, &st) != 0 || S_ISREG(st.st_mode))
        return 0;
    if (S_ISDIR(st.st_mode))
        return ds_fail_errno(err, EISDIR, "%s", path);
    return ds_fail(err, DS_FAIL, "%s: a device or a pipe, which a file would take the place of",
                   path);
}

/* The failure to make a temporary, as one of the file that was asked for. */
static int name_the_file(const char *path, const ds_err *why, ds_err *err)
{
    const char *reason = strstr(why->msg, ": create: ");
    return ds_fail(err, why->code, "%s: %s", path, reason ? reason + 2 : why->msg);
}

int ds_atomic_open(ds_atomic *a, const char *path, mode_t mode, ds_err *err)
{
    ds_err why = {0};
    *a = (ds_atomic){.fd = -1};
    int rc = refuse_place(path, err);
    if (rc)
        return rc;
    char *before = NULL;
    if (!(a->path = strdup(path)) || asprintf(&before, "%s.tmp-", path) < 0) {
        ds_atomic_abort(a);
        return ds_fail_nomem(err);
    }
    rc = ds_open_unique(&a->fd, &a->tmp, before, "", O_WRONLY, mode, &why);
    free(before);
    if (rc) {
        name_the_file(path, &why, err);
        ds_atomic_abort(a);
    }
    return rc;
}

int ds_atomic_commit(ds_atomic *a, ds_err *err)
{
    if (!a->tmp)
        return ds_fail(err, DS_FAIL, "commit of a file that is not open");
    int rc = ds_fsync(a->fd, a->path, err);
    int rc2 = ds_close(&a->fd, a->path, err);
    if (!rc)
        rc = rc2;
    if (!rc && ds_io_active->rename(a->tmp, a->path) != 0)
        rc = ds_fail_errno(err, errno, "%s: rename", a->path);
    if (!rc) {
        free(a->tmp); /* the name is gone: nothing to remove from here on */
        a->tmp = NULL;
        rc = ds_fsync_parent(a->path, err);
    }
    ds_atomic_abort(a);
    return rc;
}

void ds_atomic_abort(ds_atomic *a)
{
    /* fd 0 in a zeroed object is not ours; an open object has a temporary. */
    if (a->tmp) {
        ds_close(&a->fd, a->path, NULL);
        ds_io_active->unlink(a->tmp);
    }
    free(a->tmp);
    free(a->path);
    *a = (ds_atomic){.fd = -1};
}

int ds_atomic_write(const char *path, mode_t mode, const void *data, size_t len, ds_err *err)
{
    ds_atomic a = {0};
    int rc = ds_atomic_open(&a, path, mode, err);
    if (!rc)
        rc = ds_write_full(a.fd, path, data, len, err);
    if (!rc)
        rc = ds_atomic_commit(&a, err);
    ds_atomic_abort(&a);
    return rc;
}

int ds_copy_file(const char *from, const char *to, mode_t mode, ds_err *err)
{
    uint8_t *buf = malloc(COPY_CHUNK);
    ds_atomic a = {.fd = -1};
    size_t got = COPY_CHUNK;
    int fd = -1;
    int rc = buf ? ds_open(&fd, from, O_RDONLY, 0, err) : ds_fail_nomem(err);

    rc = rc ? rc : ds_atomic_open(&a, to, mode, err);
    while (!rc && got == COPY_CHUNK) {
        rc = ds_read_full(fd, from, buf, COPY_CHUNK, &got, err);
        rc = rc ? rc : ds_write_full(a.fd, to, buf, got, err);
    }
    rc = rc ? rc : ds_atomic_commit(&a, err);
    ds_atomic_abort(&a);
    ds_close(&fd, from, NULL);
    free(buf);
    return rc;
}

/* ---- buffered output ------------------------------ */

int ds_out_init(ds_out *o, int fd, const char *path, ds_err *err)
{
    *o = (ds_out){.fd = fd, .path = strdup(path), .buf = malloc(OUT_SIZE)};
    if (o->path && o->buf)
        return 0;
    ds_out_fini(o);
    return ds_fail_nomem(err);
}

static int out_write(ds_out *o, const void *p, size_t n, ds_err *err)
{
    int rc = o->tap ? o->tap(o->tap_ctx, p, n, err) : 0;
    return rc ? rc : ds_write_full(o->fd, o->path, p, n, err);
}

int ds_out_flush(ds_out *o, ds_err *err)
{
    size_t n = o->len;
    o->len = 0;
    return n ? out_write(o, o->buf, n, err) : 0;
}

int ds_out_put(ds_out *o, const void *data, size_t len, ds_err *err)
{
    int rc = 0;
    if (len == 0)
        return 0;
    if (len > OUT_SIZE - o->len) {
        rc = ds_out_flush(o, err);
        if (!rc && len >= OUT_SIZE) {
            rc = out_write(o, data, len, err);
            if (!rc)
                o->pos += len;
            return rc;
        }
    }
    if (rc)
        return rc;
    memcpy(o->buf + o->len, data, len);
    o->len += len;
    o->pos += len;
    return 0;
}

void ds_out_fini(ds_out *o)
{
    free(o->path);
    free(o->buf);
    *o = (ds_out){.fd = -1};
}

/* ---- buffered input ------------------------------ */

int ds_in_init(ds_in *in, int fd, const char *path, ds_err *err)
{
    *in = (ds_in){
        .fd = fd, .path = strdup(path), .buf = malloc(IN_SIZE), .cap = IN_SIZE, .step = IN_MAX};
    if (in->path && in->buf)
        return 0;
    ds_in_fini(in);
    return ds_fail_nomem(err);
}

void ds_in_before(ds_in *in, const void *p, size_t n)
{
    memcpy(in->buf, p, n);
    in->len = n;
}

/* Makes room for n bytes from start, moving or growing. */
static int in_room(ds_in *in, size_t n, ds_err *err)
{
    if (in->cap - in->start >= n)
        return 0;
    if (in->start > 0) {
        memmove(in->buf, in->buf + in->start, in->len);
        in->start = 0;
    }
    if (in->cap >= n)
        return 0;
    size_t cap = in->cap;
    while (cap < n)
        cap *= 2;
    uint8_t *p = realloc(in->buf, cap);
    if (!p)
        return ds_fail_nomem(err);
    in->buf = p;
    in->cap = cap;
    return 0;
}

/* Up to n bytes by one call, past signals; 0 at the end of input, which is noted. */
static int in_read(ds_in *in, void *to, size_t n, size_t *got, ds_err *err)
{
    ssize_t r;
    *got = 0;
    while ((r = ds_io_active->read(in->fd, to, n)) < 0 && again(errno))
        ;
    if (r < 0 && errno == EINTR)
        return ds_check_interrupt(err);
    if (r < 0)
        return ds_fail_errno(err, errno, "%s: read at byte %" PRIu64, in->path, in->pos + in->len);
    in->eof = r == 0;
    *got = (size_t)r;
    return 0;
}

int ds_in_peek(ds_in *in, size_t n, const uint8_t **p, size_t *got, ds_err *err)
{
    *got = 0;
    *p = in->buf + in->start;
    if (n > IN_MAX)
        return ds_fail(err, DS_FAIL, "%s: a look ahead of %zu bytes is too far", in->path, n);
    if (in->len < n && !in->eof) {
        int rc = in_room(in, n, err);
        if (rc)
            return rc;
    }
    while (in->len < n && !in->eof) {
        const size_t end = in->start + in->len;
        size_t most = n - in->len > in->step ? n - in->len : in->step, more;
        if (most > in->cap - end)
            most = in->cap - end;
        int rc = in_read(in, in->buf + end, most, &more, err);
        if (rc)
            return rc;
        in->len += more;
    }
    *p = in->buf + in->start;
    *got = in->len < n ? in->len : n;
    return 0;
}

int ds_in_take(ds_in *in, void *to, size_t n, size_t *got, ds_err *err)
{
    uint8_t *p = to;
    *got = in->len < n ? in->len : n;
    memcpy(p, in->buf + in->start, *got);
    ds_in_skip(in, *got);
    while (*got < n && !in->eof) {
        size_t more;
        int rc = in_read(in, p + *got, n - *got, &more, err);
        if (rc)
            return rc;
        *got += more;
        in->pos += more;
    }
    return 0;
}

void ds_in_skip(ds_in *in, size_t n)
{
    if (n > in->len)
        n = in->len;
    in->start += n;
    in->len -= n;
    in->pos += n;
    if (in->len == 0)
        in->start = 0;
}

void ds_in_fini(ds_in *in)
{
    free(in->path);
    free(in->buf);
    *in = (ds_in){.fd = -1};
}
