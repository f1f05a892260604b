/* strlist.c - see strlist.h. */
#include "strlist.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "buf.h"

int ds_strlist_take(ds_strlist *l, char *s, ds_err *err)
{
    if (!s || ds_grow(&l->v, &l->cap, l->n, sizeof *l->v)) {
        free(s);
        return ds_fail_nomem(err);
    }
    l->v[l->n++] = s;
    return 0;
}

int ds_strlist_add(ds_strlist *l, const char *s, ds_err *err)
{
    return ds_strlist_take(l, strdup(s), err);
}

int ds_strlist_add_part(ds_strlist *l, const char *s, size_t len, ds_err *err)
{
    return ds_strlist_take(l, strndup(s, len), err);
}

static int by_bytes(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

void ds_strlist_sort(ds_strlist *l)
{
    if (l->n)
        qsort(l->v, l->n, sizeof *l->v, by_bytes);
}

void ds_strlist_fini(ds_strlist *l)
{
    for (size_t i = 0; i < l->n; i++)
        free(l->v[i]);
    free(l->v);
    *l = (ds_strlist){0};
}

/* ---- folders ---- */

/* The type stands behind the name's end. */
static int add_name(ds_strlist *l, const struct dirent *e, ds_err *err)
{
    const size_t n = strlen(e->d_name) + 1;
    char *s = malloc(n + 1);

    if (s) {
        memcpy(s, e->d_name, n);
        s[n] = (char)e->d_type;
    }
    return ds_strlist_take(l, s, err);
}

unsigned char ds_strlist_type(const char *name)
{
    return (unsigned char)name[strlen(name) + 1];
}

/* Closes d. */
static int read_names(ds_strlist *l, DIR *d, const char *dir, ds_err *err)
{
    int rc = 0, why;
    while (!rc) {
        errno = 0;
        const struct dirent *e = readdir(d);
        if (!e && errno)
            rc = ds_fail_errno(err, errno, "%s: cannot read the folder", dir);
        if (!e)
            break;
        if (strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0)
            rc = add_name(l, e, err);
    }
    why = errno;
    closedir(d);
    errno = why;
    ds_strlist_sort(l);
    return rc;
}

static int folder(ds_strlist *l, const char *dir, bool needed, ds_err *err)
{
    DIR *d = opendir(dir);
    if (!d)
        return errno == ENOENT && !needed ? 0 : ds_fail_errno(err, errno, "%s", dir);
    return read_names(l, d, dir, err);
}

int ds_strlist_folder(ds_strlist *l, const char *dir, ds_err *err)
{
    return folder(l, dir, true, err);
}

int ds_strlist_folder_if_there(ds_strlist *l, const char *dir, ds_err *err)
{
    return folder(l, dir, false, err);
}

int ds_strlist_folder_at(ds_strlist *l, int fd, const char *dir, ds_err *err)
{
    int copy = openat(fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *d = copy >= 0 ? fdopendir(copy) : NULL;
    if (!d) {
        const int why = errno;
        if (copy >= 0)
            close(copy);
        errno = why;
        return ds_fail_errno(err, why, "%s: cannot read the folder", dir);
    }
    return read_names(l, d, dir, err);
}
