/* packjoin.c - see packjoin.h. */
#include "packjoin.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "io.h"
#include "objcore.h"
#include "packdir.h"

enum {
    AT_ONCE = 512, /* a store from before has thousands: a part of them with each commit */
    GROWTH = 2     /* what stays is at least so many times all that is smaller */
};
static const uint64_t large = (uint64_t)64 << 20; /* these are gc's */

size_t ds_packjoin_count(const uint64_t *size, size_t n)
{
    uint64_t sum = 0;
    size_t k = n;
    while (k > 1 && size[k - 1] >= GROWTH * size[k - 2])
        k--;
    for (size_t i = 0; i < k; i++)
        sum += size[i];
    for (; k < n && size[k] < GROWTH * sum; k++)
        sum += size[k];
    return k;
}

typedef struct small {
    const char *name; /* lent by the folder's list */
    uint64_t size;
} small;

static int by_size(const void *a, const void *b)
{
    const small *x = a, *y = b;
    return x->size != y->size ? (x->size > y->size) - (x->size < y->size)
                              : strcmp(x->name, y->name);
}

static bool has(const ds_packdir *d, const char *name, const char *ext, struct stat *st)
{
    char *path = NULL;
    const bool is = asprintf(&path, "%s/%s%s", d->path, name, ext) >= 0 && stat(path, st) == 0;
    free(path);
    return is;
}

/* Packs that a git command guards, or has made more than an index for, are left to git. */
static int list(ds_buf *v, const ds_packdir *d, ds_err *err)
{
    static const char *const gits[] = {".keep", ".promisor", ".bitmap", ".mtimes"};
    struct stat st, other;
    if (has(d, "multi-pack-index", "", &other))
        return 0;
    for (size_t i = 0; i < d->names.n; i++) {
        const char *name = d->names.v[i];
        bool ours = has(d, name, ".pack", &st) && has(d, name, ".idx", &other) &&
                    (uint64_t)st.st_size < large;
        for (size_t k = 0; ours && k < sizeof gits / sizeof *gits; k++)
            ours = !has(d, name, gits[k], &other);
        const small s = {.name = name, .size = (uint64_t)st.st_size};
        if (ours && ds_buf_put(v, &s, sizeof s))
            return ds_fail_nomem(err);
    }
    return 0;
}

/* How many of the smallest go into one now. */
static int how_many(size_t *k, const small *v, size_t n, ds_err *err)
{
    uint64_t *size = calloc(n, sizeof *size);
    if (!size)
        return ds_fail_nomem(err);
    for (size_t i = 0; i < n; i++)
        size[i] = v[i].size;
    *k = ds_packjoin_count(size, n);
    *k = *k < AT_ONCE ? *k : AT_ONCE;
    free(size);
    return 0;
}

/* The index first: git finds packs by their indexes. */
static int drop(const ds_packdir *d, const char *name, ds_err *err)
{
    int rc = ds_packdir_unlink(d, name, ".idx", err);
    rc = rc ? rc : ds_packdir_unlink(d, name, ".rev", err);
    return rc ? rc : ds_packdir_unlink(d, name, ".pack", err);
}

static int join(ds_catalog *c, const ds_packdir *d, const small *v, size_t n, ds_err *err)
{
    ds_gitpack *p = NULL;
    ds_buf ids = {0};
    int rc = ds_catalog_pack(&p, c, err);
    if (!rc)
        ds_gitpack_keep_all(p);
    for (size_t i = 0; !rc && i < n; i++) {
        rc = ds_packdir_ids(&ids, d, v[i].name, INT64_MIN, err);
        if (!rc && !ids.len) /* a git command took it away, or it cannot be looked at */
            rc = ds_fail(err, DS_IO, "%s/%s.idx: nothing is listed", d->path, v[i].name);
        for (size_t at = 0; !rc && at < ids.len; at += sizeof(git_oid))
            rc = ds_gitpack_copy(p, (const git_oid *)(const void *)(ids.data + at), err);
    }
    rc = rc ? rc : ds_gitpack_publish(p, err);
    for (size_t i = 0; !rc && i < n; i++)
        if (strcmp(v[i].name, ds_gitpack_name(p)) != 0)
            rc = drop(d, v[i].name, err);
    ds_gitpack_free(p);
    ds_buf_fini(&ids);
    return rc ? rc : 1;
}

/* One of those that take packs away at a time: gc, repair, another commit. */
static int join_alone(ds_catalog *c, const char *store, ds_err *err)
{
    ds_packdir d = {0};
    ds_buf all = {0};
    ds_err busy = {0};
    int fd = -1, rc = ds_objcore_alone(&fd, store, false, &busy);
    if (rc)
        return rc == DS_LOCKED ? 0 : ds_fail_as(err, &busy);
    rc = ds_packdir_read(&d, ds_catalog_dir(c), err);
    rc = rc ? rc : list(&all, &d, err);
    small *v = (small *)(void *)all.data;
    const size_t n = all.len / sizeof *v;
    if (!rc && n > DS_PACKJOIN_MAX) {
        qsort(v, n, sizeof *v, by_size);
        size_t k = 0;
        rc = how_many(&k, v, n, err);
        rc = rc || k < 2 ? rc : join(c, &d, v, k, err);
    }
    ds_buf_fini(&all);
    ds_packdir_fini(&d);
    (void)ds_close(&fd, store, NULL);
    return rc;
}

int ds_packjoin(ds_catalog *c, const char *store, ds_err *err)
{
    ds_packdir d = {0};
    int rc = ds_packdir_read(&d, ds_catalog_dir(c), err);
    const bool many = d.names.n > DS_PACKJOIN_MAX;
    ds_packdir_fini(&d);
    return rc || !many ? rc : join_alone(c, store, err);
}
