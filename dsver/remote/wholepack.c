/* wholepack.c - see wholepack.h. */
#include "wholepack.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "io.h"
#include "remoteindex.h"

/* Connections give a few kilobytes at a time: they are summed and written by the megabyte, and sent
 * on to the disk while more come, so that little is left to wait for at the end. */
enum { TRIES = 3, GATHER = 1 << 20 };

typedef struct incoming {
    const ds_wholepack *w;
    int fd;
    char *path;
    ds_hasher *hash;
    ds_buf got;             /* not written yet */
    uint64_t written, sent; /* to the file; of that on to the disk */
} incoming;

static int write_out(incoming *in, ds_err *err)
{
    int rc = ds_hasher_put(in->hash, in->got.data, in->got.len, err);
    rc = rc ? rc : ds_write_full(in->fd, in->path, in->got.data, in->got.len, err);
    in->written += in->got.len;
    ds_buf_reset(&in->got);
    if (!rc)
        ds_write_behind(in->fd, &in->sent, in->written);
    return rc;
}

static int on_bytes(void *ctx, const void *data, size_t len, ds_err *err)
{
    incoming *in = ctx;
    if (in->w->stop && atomic_load_explicit(in->w->stop, memory_order_relaxed))
        return ds_fail(err, DS_FAIL, "not wanted any more");
    if (ds_buf_put(&in->got, data, len))
        return ds_fail_nomem(err);
    return in->got.len >= GATHER ? write_out(in, err) : 0;
}

static int open_incoming(incoming *in, const ds_wholepack *w, ds_err *err)
{
    *in = (incoming){.w = w, .fd = -1};
    int rc = ds_pack_new(&in->fd, &in->path, w->dir, err);
    return rc ? rc : ds_hasher_new(&in->hash, err);
}

/* *path when its bytes have the SHA-256 that is its name; *sum: what they have. */
static int get_once(char **path, const ds_wholepack *w, ds_sha *sum, ds_err *err)
{
    incoming in;
    char name[80];
    ds_remote_pack_name(name, &w->pack->name, "pack");
    int rc = open_incoming(&in, w, err);
    rc = rc ? rc : ds_remote_get(w->remote, name, 0, w->pack->size, on_bytes, &in, err);
    rc = rc ? rc : write_out(&in, err);
    rc = rc ? rc : ds_hasher_end(in.hash, sum, err);
    int closed = ds_close(&in.fd, in.path, rc ? NULL : err);
    rc = rc ? rc : closed;
    if (!rc && ds_sha_eq(sum, &w->pack->name)) {
        *path = in.path;
        in.path = NULL;
    } else if (in.path) {
        (void)ds_io_active->unlink(in.path);
    }
    ds_hasher_free(in.hash);
    ds_buf_fini(&in.got);
    free(in.path);
    return rc;
}

int ds_wholepack_get(char **path, const ds_wholepack *w, ds_err *err)
{
    char name[80], hex[65];
    ds_sha sum;
    int rc = 0;
    *path = NULL;
    /* Bytes may have been hurt on the way: those that are wrong every time are wrong over there. */
    for (int i = 0; !rc && !*path && i < TRIES; i++)
        rc = get_once(path, w, &sum, err);
    if (rc || *path)
        return rc;
    ds_remote_pack_name(name, &w->pack->name, "pack");
    ds_sha_hex(hex, &sum);
    return ds_fail(err, DS_CORRUPT,
                   "%s%s: damaged at the remote: its bytes have the SHA-256 %s (dsver push "
                   "--read-data sends it anew, from a store that has it)",
                   ds_remote_place(w->remote), name, hex);
}

int ds_wholepack_name(const char *dir, const char *path, const ds_sha *name, ds_err *err)
{
    const size_t cap = strlen(dir) + 80;
    char *to = malloc(cap);
    int fd = -1, rc = to ? ds_open(&fd, path, O_RDONLY, 0, err) : ds_fail_nomem(err);
    rc = rc ? rc : ds_fsync(fd, path, err);
    (void)ds_close(&fd, path, NULL);
    if (!rc)
        ds_pack_path(to, cap, dir, name);
    if (!rc && ds_io_active->rename(path, to) != 0)
        rc = ds_fail_errno(err, errno, "%s: cannot be renamed to %s", path, to);
    if (rc)
        (void)ds_io_active->unlink(path);
    free(to);
    return rc;
}
