/* remotedir.c - a remote in a folder, also of a network file system: no locks, only renames.
 *
 * A file is written beside its place as NAME.tmp-XXXX, synced, and linked or renamed; what killed
 * writers left is removed by who lists the folder, once a file there is a day younger: of clocks
 * only the folder's is asked, for whoever lists may have one that is wrong, and others be writing.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "io.h"
#include "remote.h"
#include "sharing.h"
#include "sig.h"
#include "strlist.h"

enum { CHUNK = 1 << 20, STALE_SECONDS = 86400 };

typedef struct folder {
    char *path;
} folder;

static int join(char **out, const folder *f, const char *name, ds_err *err)
{
    if (asprintf(out, "%s/%s", f->path, name) < 0) {
        *out = NULL;
        return ds_fail_nomem(err);
    }
    return 0;
}

static bool is_temporary(const char *name)
{
    return strstr(name, ".tmp-") != NULL;
}

/* newest: the time of the youngest file there. */
static void drop_stale(const char *dir, const ds_strlist *names, int64_t newest)
{
    for (size_t i = 0; i < names->n; i++) {
        char *path = NULL;
        struct stat st;
        if (!is_temporary(names->v[i]) || asprintf(&path, "%s/%s", dir, names->v[i]) < 0)
            continue;
        if (stat(path, &st) == 0 && (int64_t)st.st_mtime + STALE_SECONDS < newest)
            ds_io_active->unlink(path);
        free(path);
    }
}

static int list_entry(const char *dir, const char *name, int64_t *newest, ds_remote_list_fn fn,
                      void *ctx, ds_err *err)
{
    char *path = NULL;
    struct stat st;
    int rc = 0;
    if (asprintf(&path, "%s/%s", dir, name) < 0)
        return ds_fail_nomem(err);
    if (stat(path, &st) != 0)
        rc = errno == ENOENT ? 0 : ds_fail_errno(err, errno, "%s", path);
    else if (S_ISREG(st.st_mode) && !is_temporary(name)) {
        *newest = st.st_mtime > *newest ? st.st_mtime : *newest;
        const ds_remote_file f = {.name = name, .size = (uint64_t)st.st_size, .time = st.st_mtime};
        rc = fn(ctx, &f, err);
    }
    free(path);
    return rc;
}

/* Temporary files of `format` and the like, which nobody lists. */
static void drop_stale_above(const folder *f, int64_t newest)
{
    ds_strlist names = {0};
    if (ds_strlist_folder_if_there(&names, f->path, NULL) == 0)
        drop_stale(f->path, &names, newest);
    ds_strlist_fini(&names);
}

static int dir_list(void *self, const char *name, ds_remote_list_fn fn, void *ctx, ds_err *err)
{
    char *path = NULL;
    int64_t newest = 0;
    int rc = join(&path, self, name, err);
    ds_strlist names = {0};
    rc = rc ? rc : ds_strlist_folder_if_there(&names, path, err);
    for (size_t i = 0; !rc && i < names.n; i++)
        if (*names.v[i] != '.')
            rc = list_entry(path, names.v[i], &newest, fn, ctx, err);
    if (!rc)
        drop_stale(path, &names, newest);
    ds_strlist_fini(&names);
    if (!rc && strcmp(name, "packs/") == 0)
        drop_stale_above(self, newest);
    free(path);
    return rc;
}

static int copy_range(int fd, const char *path, uint64_t off, uint64_t n, ds_remote_sink_fn sink,
                      void *ctx, ds_err *err)
{
    size_t cap = n < CHUNK ? (size_t)n : CHUNK;
    void *buf = malloc(cap);
    int rc = buf ? 0 : ds_fail_nomem(err);
    while (!rc && n > 0) {
        size_t part = n < cap ? (size_t)n : cap;
        rc = ds_pread_exact(fd, path, buf, part, off, err);
        rc = rc ? rc : sink(ctx, buf, part, err);
        rc = rc ? rc : ds_check_interrupt(err);
        off += part;
        n -= part;
    }
    free(buf);
    return rc;
}

static int dir_get(void *self, const char *name, uint64_t off, uint64_t n, ds_remote_sink_fn sink,
                   void *ctx, ds_err *err)
{
    char *path = NULL;
    int fd = -1, rc = join(&path, self, name, err);
    if (!rc && (fd = ds_io_active->open(path, O_RDONLY | O_CLOEXEC, 0)) < 0)
        rc = errno == ENOENT ? ds_fail(err, DS_CORRUPT, "%s: the remote lacks this file", path)
                             : ds_fail_errno(err, errno, "%s", path);
    rc = rc ? rc : copy_range(fd, path, off, n, sink, ctx, err);
    (void)ds_close(&fd, path, NULL);
    free(path);
    return rc;
}

static int dir_stat(void *self, const char *name, uint64_t *size, ds_err *err)
{
    char *path = NULL;
    struct stat st;
    int rc = join(&path, self, name, err);
    if (!rc && stat(path, &st) != 0)
        rc = errno == ENOENT ? 0 : ds_fail_errno(err, errno, "%s", path);
    else if (!rc) {
        *size = (uint64_t)st.st_size;
        rc = 1;
    }
    free(path);
    return rc;
}

typedef struct to_file {
    int fd;
    const char *path;
} to_file;

static int into_file(void *ctx, const void *data, size_t len, ds_err *err)
{
    const to_file *t = ctx;
    return ds_write_full(t->fd, t->path, data, len, err);
}

/* The folder that a file goes to. */
static int make_parent(const char *path, ds_err *err)
{
    const char *slash = strrchr(path, '/');
    char *dir = strndup(path, (size_t)(slash - path));
    int rc = dir ? ds_mkdirs(dir, err) : ds_fail_nomem(err);
    free(dir);
    return rc;
}

static int dir_put(void *self, const char *name, const ds_remote_body *b, ds_err *err)
{
    char *path = NULL;
    ds_atomic a = {.fd = -1};
    int rc = join(&path, self, name, err);
    struct stat st;
    if (!rc && stat(path, &st) == 0 && (uint64_t)st.st_size == b->n) {
        free(path);
        return 0;
    }
    rc = rc ? rc : make_parent(path, err);
    rc = rc ? rc : ds_atomic_open(&a, path, 0444, err);
    to_file t = {.fd = a.fd, .path = a.tmp};
    if (!rc && b->data)
        rc = ds_write_full(a.fd, a.tmp, b->data, (size_t)b->n, err);
    else if (!rc)
        rc = copy_range(b->fd, name, 0, b->n, into_file, &t, err);
    /* a file that came to be there meanwhile has the same name, so the same bytes */
    rc = rc ? rc : ds_atomic_commit(&a, err);
    ds_atomic_abort(&a);
    free(path);
    return rc ? rc : 1;
}

static int dir_del(void *self, const char *name, ds_err *err)
{
    char *path = NULL;
    int rc = join(&path, self, name, err);
    if (!rc && ds_io_active->unlink(path) != 0 && errno != ENOENT)
        rc = ds_fail_errno(err, errno, "%s: cannot be removed", path);
    free(path);
    return rc;
}

static void dir_close(void *self)
{
    folder *f = self;
    free(f->path);
    free(f);
}

int ds_remotedir_open(ds_remote *r, const char *path, ds_err *err)
{
    static const ds_remote_ops ops = {.list = dir_list,
                                      .get = dir_get,
                                      .stat = dir_stat,
                                      .put = dir_put,
                                      .del = dir_del,
                                      .close = dir_close};
    folder *f = calloc(1, sizeof *f);
    if (!f || !(f->path = strdup(path)) || asprintf(&r->place, "%s/", path) < 0) {
        free(f ? f->path : NULL);
        free(f);
        r->place = NULL;
        return ds_fail_nomem(err);
    }
    r->ops = &ops;
    r->self = f;
    return ds_sharing_follow(path, err);
}
