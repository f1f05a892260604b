/* plainfile.c - see plainfile.h. */
#include "plainfile.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "io.h"

enum { FILES = 1024, FEW = 64 }; /* of a batch; so many that the next folder begins another one */
#define BYTES ((size_t)2 << 20)

struct ds_batched {
    size_t name, last; /* in `bytes`; in the name */
    size_t data, len;  /* in `bytes` */
    size_t folder;     /* in `folders` */
    mode_t mode;
    bool has_mtime;
    int64_t mtime;
};

static int failed(const ds_plainfile *p, ds_err *err)
{
    return ds_fail_errno(err, errno, "%s/%s", p->root, p->name);
}

/* Made with the permissions that it is to have, as far as the umask lets it: most files need no
 * second call. */
int ds_plainfile_open(ds_plainfile *p, int at, const char *last, ds_err *err)
{
    p->fd = openat(at, last, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, p->mode & 0777);
    return p->fd < 0 ? failed(p, err) : 0;
}

int ds_plainfile_write(ds_plainfile *p, const void *data, size_t len, ds_err *err)
{
    const uint8_t *at = data;

    while (len > 0) {
        const ssize_t n = ds_io_active->write(p->fd, at, len);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return failed(p, err);
        at += n;
        len -= (size_t)n;
    }
    return 0;
}

void ds_mtime_set(struct timespec times[2], int64_t ns)
{
    const int64_t s = ns / 1000000000 - (ns % 1000000000 < 0);

    times[0] = (struct timespec){.tv_nsec = UTIME_OMIT};
    times[1] = (struct timespec){.tv_sec = (time_t)s, .tv_nsec = (long)(ns - s * 1000000000)};
}

int ds_plainfile_close(ds_plainfile *p, ds_err *err)
{
    struct timespec times[2];
    struct stat st;
    int rc = 0;

    ds_mtime_set(times, p->mtime);
    if (fstat(p->fd, &st) != 0 || ((st.st_mode & 07777) != p->mode && fchmod(p->fd, p->mode)) ||
        (p->has_mtime && futimens(p->fd, times) != 0))
        rc = failed(p, err);
    if (ds_io_active->close(p->fd) != 0 && !rc)
        rc = failed(p, err);
    p->fd = -1;
    return rc;
}

/* ---- many ---- */

bool ds_filebatch_full(const ds_filebatch *b, size_t len, bool anew)
{
    const size_t room = sizeof b->folders / sizeof *b->folders;

    return b->n == FILES || (b->n > 0 && b->bytes.len + len > BYTES) ||
           (anew && (b->n >= FEW || b->nfolders == room));
}

int ds_filebatch_put(ds_filebatch *b, const ds_plainfile *p, size_t last, int at, bool anew,
                     const void *data, size_t len, ds_err *err)
{
    if (anew || b->nfolders == 0) {
        const int fd = fcntl(at, F_DUPFD_CLOEXEC, 0);
        if (fd < 0)
            return failed(p, err);
        b->folders[b->nfolders++] = fd;
    }
    if (ds_grow(&b->files, &b->cap, b->n, sizeof *b->files))
        return ds_fail_nomem(err);
    const size_t name = b->bytes.len, after = name + strlen(p->name) + 1;
    if (ds_buf_put(&b->bytes, p->name, after - name) || ds_buf_put(&b->bytes, data, len))
        return ds_fail_nomem(err);
    b->root = p->root;
    b->files[b->n++] = (struct ds_batched){.name = name,
                                           .last = last,
                                           .data = after,
                                           .len = len,
                                           .folder = b->nfolders - 1,
                                           .mode = p->mode,
                                           .has_mtime = p->has_mtime,
                                           .mtime = p->mtime};
    return 0;
}

void ds_filebatch_make(ds_filebatch *b)
{
    int rc = 0;

    for (size_t i = 0; i < b->n && !rc; i++) {
        const struct ds_batched *f = &b->files[i];
        ds_plainfile p = {
            b->root, (const char *)b->bytes.data + f->name, f->mode, f->has_mtime, f->mtime, -1};
        rc = ds_plainfile_open(&p, b->folders[f->folder], p.name + f->last, &b->err);
        rc = rc ? rc : ds_plainfile_write(&p, b->bytes.data + f->data, f->len, &b->err);
        if (p.fd >= 0 && ds_plainfile_close(&p, &b->err) && !rc)
            rc = b->err.code;
    }
}

void ds_filebatch_reset(ds_filebatch *b)
{
    while (b->nfolders > 0)
        close(b->folders[--b->nfolders]);
    b->n = 0;
    ds_buf_reset(&b->bytes);
    ds_err_clear(&b->err);
}

void ds_filebatch_fini(ds_filebatch *b)
{
    ds_filebatch_reset(b);
    ds_buf_fini(&b->bytes);
    free(b->files);
    *b = (ds_filebatch){0};
}
