/* fmtfile.c - see fmtfile.h. */
#include "fmtfile.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "io.h"

enum { STEP = 256 << 10 };

static int copy(int to, const char *path, int from, const char *name, uint64_t *size, ds_hasher *h,
                ds_err *err)
{
    uint8_t *buf = malloc(STEP);
    size_t got = STEP;
    int rc = buf ? 0 : ds_fail_nomem(err);

    while (rc == 0 && got == STEP) {
        rc = ds_read_full(from, name, buf, STEP, &got, err);
        rc = rc ? rc : ds_write_full(to, path, buf, got, err);
        rc = rc ? rc : ds_hasher_put(h, buf, got, err);
        *size += got;
    }
    free(buf);
    return rc;
}

static int copy_to_tmp(int *fd, int from, uint64_t *size, ds_sha *sha, const ds_fmtread *o,
                       ds_err *err)
{
    const char *tmp = getenv("TMPDIR");
    char *path = NULL;
    ds_hasher *h = NULL;
    int rc = ds_hasher_new(&h, err);

    if (rc == 0 && asprintf(&path, "%s/ds-input-XXXXXX", tmp && *tmp ? tmp : "/tmp") < 0) {
        path = NULL;
        rc = ds_fail_nomem(err);
    }
    if (rc == 0 && (*fd = mkostemp(path, O_CLOEXEC)) < 0)
        rc = ds_fail_errno(err, errno, "%s", path);
    if (*fd >= 0)
        ds_io_active->unlink(path);
    rc = rc ? rc : copy(*fd, path, from, o->name, size, h, err);
    rc = rc ? rc : ds_hasher_end(h, sha, err);
    if (rc == 0 && lseek(*fd, 0, SEEK_SET) != 0)
        rc = ds_fail_errno(err, errno, "%s: seek", path);
    ds_hasher_free(h);
    free(path);
    return rc;
}

int ds_fmtfile_open(int *fd, uint64_t *size, ds_sha *sha, const ds_fmtread *o, ds_err *err)
{
    const bool standard = strcmp(o->path, "-") == 0;
    struct stat st;
    int from = STDIN_FILENO, rc = 0;

    *fd = -1;
    *size = 0;
    if (!standard && (rc = ds_open(&from, o->path, O_RDONLY, 0, err)) != 0)
        return rc;
    if (!standard && ds_io_active->fstat(from, &st) == 0 && S_ISREG(st.st_mode)) {
        *fd = from;
        return ds_sha_file(sha, size, o->path, err);
    }
    rc = copy_to_tmp(fd, from, size, sha, o, err);
    if (!standard)
        (void)ds_close(&from, o->path, NULL);
    return rc;
}
