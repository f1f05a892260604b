/* fmtout.c - see fmtout.h. */
#include "fmtout.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "io.h"
#include "rmtree.h"
#include "strlist.h"
#include "term.h"

/* ---- folders ---- */

static int refuse_used(const char *path, ds_err *err)
{
    ds_strlist names = {0};
    int rc = ds_strlist_folder_if_there(&names, path, err);
    if (rc == 0 && names.n > 0)
        rc = ds_fail(err, DS_FAIL, "%s: the folder is not empty", path);
    ds_strlist_fini(&names);
    return rc;
}

int ds_fmtdir_open(ds_fmtdir *d, const char *path, ds_err *err)
{
    int rc = refuse_used(path, err);
    if (rc)
        return rc;
    d->path = strndup(path, ds_path_len(path));
    if (!d->path || asprintf(&d->tmp, "%s.tmp-XXXXXX", d->path) < 0) {
        d->tmp = NULL;
        return ds_fail_nomem(err);
    }
    if (!mkdtemp(d->tmp)) {
        rc = ds_fail_errno(err, errno, "%s: cannot make a folder", d->tmp);
        free(d->tmp);
        d->tmp = NULL;
    } else if (chmod(d->tmp, 0755) != 0) {
        rc = ds_fail_errno(err, errno, "%s", d->tmp);
    }
    return rc;
}

int ds_fmtdir_create(const ds_fmtdir *d, const char *name, int *fd, ds_err *err)
{
    char *path;
    *fd = -1;
    if (asprintf(&path, "%s/%s", d->tmp, name) < 0)
        return ds_fail_nomem(err);
    int rc = ds_open(fd, path, O_RDWR | O_CREAT | O_EXCL, 0644, err);
    free(path);
    return rc;
}

int ds_fmtdir_write(const ds_fmtdir *d, const char *name, const void *p, size_t len, ds_err *err)
{
    int fd, rc = ds_fmtdir_create(d, name, &fd, err);
    if (rc == 0)
        rc = ds_write_full(fd, name, p, len, err);
    if (rc == 0)
        rc = ds_fsync(fd, name, err);
    const int closed = fd >= 0 ? ds_close(&fd, name, err) : 0;
    return rc ? rc : closed;
}

int ds_fmtdir_commit(ds_fmtdir *d, ds_err *err)
{
    char *inside;
    if (asprintf(&inside, "%s/.", d->tmp) < 0)
        return ds_fail_nomem(err);
    int rc = ds_fsync_parent(inside, err);
    free(inside);
    if (rc == 0 && ds_io_active->rename(d->tmp, d->path) != 0)
        rc = ds_fail_errno(err, errno, "%s: cannot be renamed to %s", d->tmp, d->path);
    if (rc)
        return rc;
    rc = ds_fsync_parent(d->path, err);
    free(d->tmp);
    free(d->path);
    *d = (ds_fmtdir){0};
    return rc;
}

void ds_fmtdir_abort(ds_fmtdir *d)
{
    if (d->tmp)
        ds_remove_tree(d->tmp);
    free(d->tmp);
    free(d->path);
    *d = (ds_fmtdir){0};
}

/* ---- files of records ---- */

static int begin_file(ds_fmtout *o, ds_err *err)
{
    char name[64];
    int rc = 0;
    if (o->folder) {
        (void)snprintf(name, sizeof name, "shard-%05llu%s", (unsigned long long)o->files, o->ext);
        rc = ds_fmtdir_create(&o->dir, name, &o->fd, err);
        if (rc == 0)
            rc = ds_out_init(&o->out, o->fd, name, err);
    }
    o->open = rc == 0;
    o->inside = 0;
    if (rc == 0 && o->ends.head)
        rc = o->ends.head(o->ends.ctx, &o->out, err);
    o->files += rc == 0;
    return rc;
}

static int end_file(ds_fmtout *o, ds_err *err)
{
    int rc = ds_out_flush(&o->out, err);
    if (rc == 0 && o->ends.tail)
        rc = o->ends.tail(o->ends.ctx, &o->out, o->regular ? o->fd : -1, err);
    if (rc == 0)
        rc = ds_out_flush(&o->out, err);
    o->bytes += o->out.pos;
    if (rc == 0 && o->folder)
        rc = ds_fsync(o->fd, o->out.path, err);
    if (rc == 0 && o->folder)
        rc = ds_close(&o->fd, o->out.path, err);
    ds_out_fini(&o->out);
    o->open = false;
    return rc;
}

int ds_fmtout_open(ds_fmtout *o, const char *path, bool folder, bool text, ds_err *err)
{
    const bool pipe = !path || strcmp(path, "-") == 0;
    struct stat st;
    int rc = 0;
    o->folder = folder;
    o->fd = -1;
    if (folder) {
        o->regular = true;
        rc = ds_fmtdir_open(&o->dir, path, err);
        return rc ? rc : begin_file(o, err);
    }
    if (pipe) {
        rc = text ? 0 : ds_refuse_tty(1, "pipe it on, or give -o FILE", err);
        o->fd = 1;
    } else if (stat(path, &st) == 0 && !S_ISREG(st.st_mode)) {
        rc = ds_fail(err, DS_USAGE, "%s: is there and no file", path);
    } else {
        rc = ds_atomic_open(&o->file, path, 0666, err);
        o->fd = o->file.fd;
        o->regular = true;
    }
    if (rc == 0)
        rc = ds_out_init(&o->out, o->fd, pipe ? "standard output" : path, err);
    return rc ? rc : begin_file(o, err);
}

int ds_fmtout_put(ds_fmtout *o, const void *p, size_t len, ds_err *err)
{
    int rc = 0;
    if (o->open && o->folder && o->shard_size && o->inside > 0 && o->out.pos + len > o->shard_size)
        rc = end_file(o, err);
    if (rc == 0 && !o->open)
        rc = begin_file(o, err);
    o->inside++;
    return rc ? rc : ds_out_put(&o->out, p, len, err);
}

int ds_fmtout_finish(ds_fmtout *o, ds_err *err)
{
    int rc = o->open ? end_file(o, err) : 0;
    if (rc == 0 && o->folder)
        rc = ds_fmtdir_commit(&o->dir, err);
    if (rc == 0 && !o->folder && o->file.path)
        rc = ds_atomic_commit(&o->file, err);
    return rc;
}

void ds_fmtout_abort(ds_fmtout *o)
{
    if (o->folder && o->fd > 2)
        (void)ds_io_active->close(o->fd);
    o->fd = -1;
    ds_out_fini(&o->out);
    ds_atomic_abort(&o->file);
    ds_fmtdir_abort(&o->dir);
}

int ds_fmtwriter_put(void *w, const uint8_t *p, size_t len, ds_err *err)
{
    return ds_fmtout_put(w, p, len, err);
}

int ds_fmtwriter_finish(void *w, ds_fmtwritten *done, ds_err *err)
{
    ds_fmtout *o = w;
    const int rc = ds_fmtout_finish(o, err);
    *done = (ds_fmtwritten){o->files, o->bytes};
    return rc;
}
