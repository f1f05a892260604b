/* dupset.c - see dupset.h. */
#include "dupset.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "extsort.h"
#include "io.h"
#include "spool.h"

enum { ENTRY = DS_DUP_MARK + 4 }; /* mark, record in big endian order */

struct ds_dupset {
    ds_extsort *sort;
    uint32_t *parent; /* mapped; parent[i] <= i */
    uint32_t *size;   /* behind it: of the group that i is the first of; NULL when not wanted */
    size_t mapped;
    uint64_t n;
    bool keep, sizes;
    ds_spool keys, ends; /* bytes of all keys; u64: where each ends */
    const uint8_t *key_p, *end_p;
};

int ds_dupset_new(ds_dupset **out, size_t memory, bool keys, bool sizes, ds_err *err)
{
    ds_dupset *d = *out = calloc(1, sizeof *d);
    if (!d)
        return ds_fail_nomem(err);
    d->keep = keys;
    d->sizes = sizes;
    int rc = ds_extsort_new(&d->sort, ENTRY, memory, NULL, err);
    if (rc) {
        ds_dupset_free(d);
        *out = NULL;
    }
    return rc;
}

void ds_dupset_free(ds_dupset *d)
{
    if (!d)
        return;
    ds_extsort_free(d->sort);
    if (d->parent)
        munmap(d->parent, d->mapped);
    ds_spool_fini(&d->keys);
    ds_spool_fini(&d->ends);
    free(d);
}

int ds_dupset_record(ds_dupset *d, const void *key, size_t len, ds_err *err)
{
    uint8_t end[8];
    int rc = 0;
    if (d->n == UINT32_MAX)
        return ds_fail(err, DS_FAIL, "more than %u records: use parts", UINT32_MAX);
    d->n++;
    if (!d->keep)
        return 0;
    rc = len ? ds_spool_put(&d->keys, key, len, err) : 0;
    ds_set_u64(end, ds_spool_len(&d->keys));
    return rc ? rc : ds_spool_put(&d->ends, end, sizeof end, err);
}

int ds_dupset_mark(ds_dupset *d, const uint8_t mark[DS_DUP_MARK], ds_err *err)
{
    uint8_t e[ENTRY];
    const uint32_t i = (uint32_t)(d->n - 1);
    memcpy(e, mark, DS_DUP_MARK);
    ds_set_big32(e + DS_DUP_MARK, i);
    return ds_extsort_put(d->sort, e, err);
}

uint64_t ds_dupset_records(const ds_dupset *d)
{
    return d->n;
}

/* ---- groups ---- */

/* In a file without a name: what does not fit into memory is written back there. */
static int map_parents(ds_dupset *d, ds_err *err)
{
    const char *tmp = getenv("TMPDIR");
    char *path = NULL;
    d->mapped = (size_t)(d->n ? d->n : 1) * sizeof *d->parent * (d->sizes ? 2 : 1);
    if (asprintf(&path, "%s/groups-XXXXXX", tmp && *tmp ? tmp : "/tmp") < 0)
        return ds_fail_nomem(err);
    int fd = mkostemp(path, O_CLOEXEC), rc = 0;
    if (fd < 0)
        rc = ds_fail_errno(err, errno, "%s", path);
    else
        ds_io_active->unlink(path);
    if (rc == 0 && (errno = posix_fallocate(fd, 0, (off_t)d->mapped)) != 0)
        rc = ds_fail_errno(err, errno, "%s: %zu bytes for groups", path, d->mapped);
    void *p = rc ? MAP_FAILED : mmap(NULL, d->mapped, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (rc == 0 && p == MAP_FAILED)
        rc = ds_fail_errno(err, errno, "%s: mmap", path);
    d->parent = p == MAP_FAILED ? NULL : p;
    if (fd >= 0)
        close(fd); /* the mapping keeps it */
    free(path);
    for (uint64_t i = 0; rc == 0 && i < d->n; i++)
        d->parent[i] = (uint32_t)i;
    return rc;
}

static uint32_t find(uint32_t *parent, uint32_t i)
{
    while (parent[i] != i)
        i = parent[i] = parent[parent[i]];
    return i;
}

static void join(uint32_t *parent, uint32_t a, uint32_t b)
{
    a = find(parent, a);
    b = find(parent, b);
    if (a < b)
        parent[b] = a;
    else
        parent[a] = b;
}

int ds_dupset_join(ds_dupset *d, ds_err *err)
{
    uint8_t mark[DS_DUP_MARK];
    uint32_t first = 0;
    bool any = false;
    const void *e;
    size_t len;
    int got, rc = map_parents(d, err);
    if (rc == 0)
        rc = ds_extsort_sort(d->sort, err);
    if (rc)
        return rc;
    while ((got = ds_extsort_next(d->sort, &e, err)) > 0) {
        const uint8_t *p = (const uint8_t *)e + DS_DUP_MARK;
        const uint32_t i = ds_get_big32(p);
        if (any && memcmp(mark, e, DS_DUP_MARK) == 0) {
            join(d->parent, first, i);
            continue;
        }
        memcpy(mark, e, DS_DUP_MARK);
        first = i;
        any = true;
    }
    if (got < 0)
        return got;
    ds_extsort_free(d->sort);
    d->sort = NULL;
    for (uint64_t i = 0; i < d->n; i++) /* parents stand before: each is final by now */
        d->parent[i] = d->parent[d->parent[i]];
    d->size = d->sizes ? d->parent + d->n : NULL;
    for (uint64_t i = 0; d->size && i < d->n; i++) /* they were 0, as the file is new */
        d->size[d->parent[i]]++;
    if (d->keep)
        rc = ds_spool_view(&d->keys, &d->key_p, &len, err);
    if (rc == 0 && d->keep)
        rc = ds_spool_view(&d->ends, &d->end_p, &len, err);
    return rc;
}

uint64_t ds_dupset_first(const ds_dupset *d, uint64_t i)
{
    return d->parent[i];
}

uint32_t ds_dupset_size(const ds_dupset *d, uint64_t i)
{
    return d->size[d->parent[i]];
}

const uint8_t *ds_dupset_key(const ds_dupset *d, uint64_t i, size_t *len)
{
    const uint64_t from = i ? ds_get_u64(d->end_p + 8 * (i - 1)) : 0,
                   to = ds_get_u64(d->end_p + 8 * i);
    *len = (size_t)(to - from);
    return d->key_p + from;
}
