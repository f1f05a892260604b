/* spool.c - see spool.h. */
#include "spool.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "io.h"

#define TAIL ((size_t)256 << 10) /* written to the file in pieces of this size */
#define WHAT "temporary file"

static const char *temp_dir(void)
{
    const char *d = getenv("TMPDIR");
    return d && *d ? d : "/tmp";
}

/* A file without a name, or with one that is removed at once where the file system knows no
 * O_TMPFILE. */
static int open_temp(int *fd, ds_err *err)
{
    const char *dir = temp_dir();
    *fd = ds_io_active->open(dir, O_TMPFILE | O_RDWR | O_CLOEXEC | O_EXCL, 0600);
    if (*fd >= 0)
        return 0;
    if (errno == ENOSPC || errno == EIO || errno == EMFILE || errno == ENFILE)
        return ds_fail_errno(err, errno, "%s: " WHAT, dir);
    char before[DS_PATH], *path = NULL;
    ds_err why = {0};
    int rc = ds_path_join(before, dir, "ds-spool-", err);
    if (rc)
        return rc;
    rc = ds_open_unique(fd, &path, before, "", O_RDWR, 0600, &why);
    if (rc)
        return ds_fail(err, rc, "%s: " WHAT ": %s", dir, why.msg);
    ds_io_active->unlink(path);
    free(path);
    return 0;
}

static void unmap(ds_spool *s)
{
    if (s->map)
        munmap(s->map, s->map_len);
    s->map = NULL;
    s->map_len = 0;
    s->released = 0;
}

/* Moves what is in memory to the file. */
static int flush(ds_spool *s, ds_err *err)
{
    int rc = ds_write_full(s->fd_plus1 - 1, WHAT, s->mem.data, s->mem.len, err);
    if (rc)
        return rc;
    s->filed += s->mem.len;
    ds_buf_reset(&s->mem);
    return 0;
}

static int to_file(ds_spool *s, ds_err *err)
{
    int fd;
    int rc = open_temp(&fd, err);
    if (rc)
        return rc;
    s->fd_plus1 = fd + 1;
    rc = flush(s, err);
    if (!rc && !s->limit)
        ds_buf_fini(&s->mem); /* the tail needs far less */
    return rc;
}

static bool fits(const ds_spool *s, size_t len)
{
    size_t limit = s->limit ? s->limit : DS_SPOOL_LIMIT;
    return !s->fd_plus1 && len <= limit && s->mem.len <= limit - len;
}

int ds_spool_room(ds_spool *s, size_t n, uint8_t **p, ds_err *err)
{
    *p = NULL;
    if (!fits(s, n))
        return 0;
    if (ds_buf_reserve(&s->mem, n))
        return ds_fail_nomem(err);
    *p = s->mem.data + s->mem.len;
    return 0;
}

void ds_spool_filled(ds_spool *s, size_t n)
{
    s->mem.len += n;
}

int ds_spool_put_slow(ds_spool *s, const void *data, size_t len, ds_err *err)
{
    int rc = 0;
    unmap(s);
    if (!s->fd_plus1 && !fits(s, len))
        rc = to_file(s, err);
    if (!rc && s->fd_plus1 && s->mem.len + len > TAIL) {
        rc = flush(s, err);
        if (!rc && len >= TAIL) {
            rc = ds_write_full(s->fd_plus1 - 1, WHAT, data, len, err);
            if (!rc)
                s->filed += len;
            return rc;
        }
    }
    if (!rc && ds_buf_put(&s->mem, data, len))
        rc = ds_fail_nomem(err);
    return rc;
}

int ds_spool_varint(ds_spool *s, uint64_t v, ds_err *err)
{
    uint8_t p[10];
    size_t n = 0;
    for (; v >= 0x80; v >>= 7)
        p[n++] = (uint8_t)(v | 0x80);
    p[n++] = (uint8_t)v;
    return ds_spool_put(s, p, n, err);
}

int ds_spool_view(ds_spool *s, const uint8_t **data, size_t *len, ds_err *err)
{
    static const uint8_t nothing[1];
    if (!s->fd_plus1) {
        *data = s->mem.len ? s->mem.data : nothing;
        *len = s->mem.len;
        return 0;
    }
    if (s->mem.len) {
        unmap(s);
        int rc = flush(s, err);
        if (rc)
            return rc;
    }
    if (!s->map) {
        if (s->filed > SIZE_MAX)
            return ds_fail_nomem(err);
        void *m = mmap(NULL, (size_t)s->filed, PROT_READ, MAP_SHARED, s->fd_plus1 - 1, 0);
        if (m == MAP_FAILED)
            return ds_fail_errno(err, errno, WHAT ": mmap");
        s->map = m;
        s->map_len = (size_t)s->filed;
        madvise(m, s->map_len, MADV_SEQUENTIAL);
    }
    *data = s->map;
    *len = s->map_len;
    return 0;
}

void ds_spool_release(ds_spool *s, size_t upto)
{
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    if (upto > s->map_len)
        upto = s->map_len;
    upto -= upto % page;
    if (upto < s->released) /* another walk from the beginning */
        s->released = 0;
    /* In steps: a call for every record would cost more than it gives back. */
    if (!s->map || upto < s->released + ((size_t)1 << 20))
        return;
    madvise((uint8_t *)s->map + s->released, upto - s->released, MADV_DONTNEED);
    s->released = upto;
}

int ds_spool_truncate(ds_spool *s, uint64_t len, ds_err *err)
{
    if (len >= ds_spool_len(s))
        return 0;
    unmap(s);
    if (len >= s->filed) {
        s->mem.len = (size_t)(len - s->filed);
        return 0;
    }
    int fd = s->fd_plus1 - 1;
    if (ftruncate(fd, (off_t)len) != 0 || lseek(fd, (off_t)len, SEEK_SET) < 0)
        return ds_fail_errno(err, errno, WHAT ": truncate");
    s->filed = len;
    ds_buf_reset(&s->mem);
    return 0;
}

void ds_spool_reset(ds_spool *s)
{
    unmap(s);
    if (s->fd_plus1) {
        int fd = s->fd_plus1 - 1;
        ds_close(&fd, WHAT, NULL);
    }
    s->fd_plus1 = 0;
    s->filed = 0;
    ds_buf_reset(&s->mem);
}

void ds_spool_fini(ds_spool *s)
{
    ds_spool_reset(s);
    ds_buf_fini(&s->mem);
}
