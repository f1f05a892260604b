/* pin.c - see pin.h. */
#include "pin.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#include "io.h"
#include "objcore.h"
#include "sig.h"
#include "strlist.h"

enum { TRIES = 10 };

int ds_pin_begin(ds_pin *p, ds_store *s, ds_err *err)
{
    char *dir = NULL;
    *p = (ds_pin){.gate = -1, .fd = -1};
    int rc = ds_store_path(&dir, s->dir, "locks", err);
    /* Not through the writers' gate: a writer may be waiting for what this reader writes. */
    if (!rc && faccessat(AT_FDCWD, dir, W_OK, AT_EACCESS) == 0)
        rc = ds_objcore_flock(&p->gate, s->dir, LOCK_SH, err);
    free(dir);
    return rc;
}

static int lock(int fd)
{
    int rc;
    do
        rc = flock(fd, LOCK_EX);
    while (rc != 0 && errno == EINTR && !ds_interrupted());
    return rc;
}

/* 1 with the file made and locked; 0 when gc took it for a dead reader's in between. */
static int make(ds_pin *p, const char *before, const git_oid *commit, ds_err *err)
{
    struct stat st;
    free(p->path);
    int rc = ds_open_unique(&p->fd, &p->path, before, "", O_RDWR, 0666, err);
    if (rc)
        return rc;
    if (lock(p->fd) != 0)
        return ds_fail_errno(err, errno, "%s: cannot be locked", p->path);
    if (fstat(p->fd, &st) == 0 && st.st_nlink > 0) {
        const char *hex = git_oid_tostr_s(commit);
        rc = ds_write_full(p->fd, p->path, hex, strlen(hex), err);
        return rc ? rc : 1;
    }
    (void)ds_close(&p->fd, p->path, NULL);
    return 0;
}

static int leave_file(ds_pin *p, ds_store *s, const git_oid *commit, ds_err *err)
{
    char *dir = NULL, *before = NULL;
    int rc = ds_store_path(&dir, s->dir, "locks/readers", err);
    rc = rc ? rc : ds_mkdirs(dir, err);
    rc = rc ? rc : ds_store_path(&before, dir, "", err);
    for (int i = 0; !rc && i < TRIES; i++)
        rc = make(p, before, commit, err);
    if (!rc)
        rc = ds_fail(err, DS_LOCKED, "%s: removed again and again", p->path);
    free(before);
    free(dir);
    return rc < 0 ? rc : 0;
}

int ds_pin_set(ds_pin *p, ds_store *s, const git_oid *commit, ds_err *err)
{
    ds_err why = {0};
    if (p->gate < 0)
        return 0;
    int rc = leave_file(p, s, commit, &why);
    if (ds_is_io(rc)) { /* a full disk: gc stays out all the while */
        if (p->fd >= 0)
            ds_io_active->unlink(p->path);
        (void)ds_close(&p->fd, p->path, NULL);
        return 0;
    }
    (void)ds_close(&p->gate, s->dir, NULL);
    return rc ? ds_fail_as(err, &why) : 0;
}

void ds_pin_end(ds_pin *p)
{
    if (p->fd >= 0 && p->path)
        ds_io_active->unlink(p->path);
    (void)ds_close(&p->fd, p->path, NULL);
    (void)ds_close(&p->gate, p->path, NULL);
    free(p->path);
    *p = (ds_pin){.gate = -1, .fd = -1};
}

static int look(const char *path, ds_pin_fn fn, void *ctx, ds_err *err)
{
    char hex[GIT_OID_HEXSZ + 1] = {0};
    size_t n = 0;
    git_oid id;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return errno == ENOENT ? 0 : ds_fail_errno(err, errno, "%s", path);
    int rc = 0;
    if (flock(fd, LOCK_EX | LOCK_NB) == 0) { /* its reader is dead, or has not locked it yet */
        if (ds_io_active->unlink(path) != 0 && errno != ENOENT)
            rc = ds_fail_errno(err, errno, "%s: cannot be removed", path);
    } else if (errno != EWOULDBLOCK) {
        rc = ds_fail_errno(err, errno, "%s: cannot be locked", path);
    } else {
        rc = ds_read_full(fd, path, hex, GIT_OID_HEXSZ, &n, err);
        if (!rc && n == GIT_OID_HEXSZ && git_oid_fromstr(&id, hex) == 0)
            rc = fn(ctx, &id, err);
    }
    (void)ds_close(&fd, path, NULL);
    return rc;
}

int ds_pin_each(ds_store *s, ds_pin_fn fn, void *ctx, ds_err *err)
{
    char *dir = NULL;
    int rc = ds_store_path(&dir, s->dir, "locks/readers", err);
    ds_strlist names = {0};
    rc = rc ? rc : ds_strlist_folder_if_there(&names, dir, err);
    for (size_t i = 0; !rc && i < names.n; i++) {
        char *path = NULL;
        if (*names.v[i] == '.')
            continue;
        rc = ds_store_path(&path, dir, names.v[i], err);
        rc = rc ? rc : look(path, fn, ctx, err);
        free(path);
    }
    ds_strlist_fini(&names);
    free(dir);
    return rc;
}
