/* stagedir.c - see stagedir.h. */
#include "stagedir.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "buf.h"
#include "io.h"
#include "rmtree.h"
#include "strlist.h"

struct ds_stagedir {
    char *dir, *work, *good;
    bool made; /* dir was not there before */
};

int ds_stagedir_new(ds_stagedir **out, const char *dir, ds_err *err)
{
    ds_stagedir *s = *out = calloc(1, sizeof *s);
    if (!s)
        return ds_fail_nomem(err);
    s->made = !ds_path_exists(dir);
    s->dir = strdup(dir);
    char path[DS_PATH];
    int rc = s->dir ? ds_mkdirs(dir, err) : ds_fail_nomem(err);
    rc = rc ? rc : ds_path_join(path, dir, ".unfinished-XXXXXX", err);
    if (rc == 0 && !mkdtemp(path))
        rc = ds_fail_errno(err, errno, "%s", dir);
    if (rc == 0 && !(s->work = strdup(path)))
        rc = ds_fail_nomem(err);
    rc = rc ? rc : ds_path_join(path, s->work, "good", err);
    if (rc == 0 && !(s->good = strdup(path)))
        rc = ds_fail_nomem(err);
    return rc ? rc : ds_mkdirs(s->good, err);
}

const char *ds_stagedir_work(const ds_stagedir *s)
{
    return s->work;
}

const char *ds_stagedir_good(const ds_stagedir *s)
{
    return s->good;
}

static int sync_folder(const char *path, ds_err *err)
{
    char below[DS_PATH];
    int rc = ds_path_join(below, path, ".", err);
    return rc ? rc : ds_fsync_parent(below, err);
}

/* What is in one folder, to another one. Folders that are there are gone into. */
static int move_into(const char *from, const char *to, ds_err *err)
{
    ds_strlist names = {0};
    int rc = ds_strlist_folder(&names, from, err);
    rc = rc ? rc : ds_mkdirs(to, err);
    for (size_t i = 0; rc == 0 && i < names.n; i++) {
        struct stat st;
        char a[DS_PATH], b[DS_PATH];
        rc = ds_path_join(a, from, names.v[i], err);
        rc = rc ? rc : ds_path_join(b, to, names.v[i], err);
        if (rc)
            break;
        if (lstat(a, &st) != 0)
            rc = ds_fail_errno(err, errno, "%s", a);
        else if (S_ISDIR(st.st_mode))
            rc = move_into(a, b, err);
        else if (ds_io_active->rename(a, b) != 0)
            rc = ds_fail_errno(err, errno, "%s", b);
    }
    ds_strlist_fini(&names);
    return rc == 0 ? sync_folder(to, err) : rc;
}

int ds_stagedir_publish(ds_stagedir *s, ds_err *err)
{
    s->made = false;
    return move_into(s->good, s->dir, err);
}

void ds_stagedir_free(ds_stagedir *s)
{
    if (!s)
        return;
    if (s->work)
        ds_remove_tree(s->work);
    if (s->made && s->dir)
        rmdir(s->dir);
    free(s->dir);
    free(s->work);
    free(s->good);
    free(s);
}
