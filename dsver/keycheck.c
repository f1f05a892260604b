/* keycheck.c - see keycheck.h. */
#include "keycheck.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "io.h"

enum { READ_ENTRIES = 2048, RUNS_MAX = 4096 };

typedef struct entry {
    ds_keyhash hash;
    uint64_t record;
} entry;

/* A sorted run, on disk; `buf` is what is read of it during the merge. */
typedef struct run {
    uint64_t start, n, taken; /* in entries of the file */
    entry *buf;
    size_t have, at;
} run;

struct ds_keycheck {
    char *dir;
    int fd;
    entry *e;
    size_t n, cap;
    uint64_t records, filed;
    run *runs;
    size_t nruns;
};

int ds_keyhash_make(ds_keyhash *out, ds_hasher *h, const void *key, size_t len, ds_err *err)
{
    static const char tag[] = "ds.keyhash";
    ds_sha s;
    int rc = ds_hasher_reset(h, err);
    if (!rc)
        rc = ds_hasher_put(h, tag, sizeof tag, err);
    if (!rc)
        rc = ds_hasher_put(h, key, len, err);
    if (!rc)
        rc = ds_hasher_end(h, &s, err);
    if (!rc)
        memcpy(out->b, s.b, sizeof out->b);
    return rc;
}

int ds_keycheck_new(ds_keycheck **out, const char *dir, size_t limit, ds_err *err)
{
    ds_keycheck *k = calloc(1, sizeof *k);
    size_t cap = (limit ? limit : (size_t)24 << 20) / sizeof(entry);
    *out = NULL;
    if (!k)
        return ds_fail_nomem(err);
    k->fd = -1;
    k->cap = cap ? cap : 1;
    k->dir = strdup(dir);
    k->e = malloc(k->cap * sizeof *k->e); /* untouched pages cost nothing */
    if (!k->dir || !k->e) {
        ds_keycheck_free(k);
        return ds_fail_nomem(err);
    }
    *out = k;
    return 0;
}

void ds_keycheck_free(ds_keycheck *k)
{
    if (!k)
        return;
    for (size_t i = 0; i < k->nruns; i++)
        free(k->runs[i].buf);
    free(k->runs);
    ds_close(&k->fd, k->dir, NULL);
    free(k->e);
    free(k->dir);
    free(k);
}

static int compare(const void *a, const void *b)
{
    const entry *x = a, *y = b;
    int c = memcmp(x->hash.b, y->hash.b, sizeof x->hash.b);
    return c ? c : x->record < y->record ? -1 : x->record > y->record;
}

static int open_runs(ds_keycheck *k, ds_err *err)
{
    char *path = NULL;
    if (asprintf(&path, "%s/keys-%ld-XXXXXX", k->dir, (long)getpid()) < 0)
        return ds_fail_nomem(err);
    k->fd = mkostemp(path, O_CLOEXEC);
    int rc = k->fd < 0 ? ds_fail_errno(err, errno, "%s", path) : 0;
    if (!rc)
        ds_io_active->unlink(path);
    free(path);
    return rc;
}

static int spill(ds_keycheck *k, ds_err *err)
{
    int rc = k->fd < 0 ? open_runs(k, err) : 0;
    if (rc)
        return rc;
    if (k->nruns == RUNS_MAX)
        return ds_fail(err, DS_FAIL, "too many records to check their keys");
    run *r = realloc(k->runs, (k->nruns + 1) * sizeof *r);
    if (!r)
        return ds_fail_nomem(err);
    k->runs = r;
    r[k->nruns++] = (run){.start = k->filed, .n = k->n};
    qsort(k->e, k->n, sizeof *k->e, compare);
    rc = ds_write_full(k->fd, k->dir, k->e, k->n * sizeof *k->e, err);
    k->filed += k->n;
    k->n = 0;
    return rc;
}

int ds_keycheck_add(ds_keycheck *k, const ds_keyhash *h, ds_err *err)
{
    int rc = k->n == k->cap ? spill(k, err) : 0;
    if (!rc)
        k->e[k->n++] = (entry){.hash = *h, .record = k->records++};
    return rc;
}

/* ---- the merge
 * ---------------------------------------------------------------------------------------- */

typedef struct found {
    entry last;
    bool any;
    uint64_t a, b;
    bool dup;
} found;

static void see(found *f, const entry *e)
{
    if (f->any && memcmp(f->last.hash.b, e->hash.b, sizeof e->hash.b) == 0) {
        if (!f->dup || e->record < f->b) {
            f->a = f->last.record;
            f->b = e->record;
        }
        f->dup = true;
    }
    f->last = *e;
    f->any = true;
}

/* The run's next entry, NULL at its end or on error. */
static const entry *head(ds_keycheck *k, run *r, int *rc, ds_err *err)
{
    if (r->at < r->have)
        return &r->buf[r->at];
    uint64_t left = r->n - r->taken;
    if (left == 0)
        return NULL;
    if (!r->buf && !(r->buf = malloc(READ_ENTRIES * sizeof *r->buf))) {
        *rc = ds_fail_nomem(err);
        return NULL;
    }
    r->have = left < READ_ENTRIES ? (size_t)left : READ_ENTRIES;
    r->at = 0;
    *rc = ds_pread_exact(k->fd, k->dir, r->buf, r->have * sizeof *r->buf,
                         (r->start + r->taken) * sizeof *r->buf, err);
    r->taken += r->have;
    return *rc ? NULL : r->buf;
}

/* A heap of runs by their next entry. */
static void sift(run **heap, size_t n, size_t i)
{
    for (;;) {
        size_t least = i, l = 2 * i + 1;
        for (size_t c = l; c < n && c <= l + 1; c++)
            if (compare(&heap[c]->buf[heap[c]->at], &heap[least]->buf[heap[least]->at]) < 0)
                least = c;
        if (least == i)
            return;
        run *t = heap[i];
        heap[i] = heap[least];
        heap[least] = t;
        i = least;
    }
}

static int merge(ds_keycheck *k, found *f, ds_err *err)
{
    run **heap = malloc((k->nruns + 1) * sizeof *heap);
    size_t n = 0;
    int rc = heap ? 0 : ds_fail_nomem(err);
    for (size_t i = 0; !rc && i < k->nruns; i++)
        if (head(k, &k->runs[i], &rc, err))
            heap[n++] = &k->runs[i];
    for (size_t i = n / 2; !rc && i-- > 0;)
        sift(heap, n, i);
    while (!rc && n > 0) {
        run *r = heap[0];
        see(f, &r->buf[r->at]);
        r->at++;
        if (!head(k, r, &rc, err))
            heap[0] = heap[--n];
        if (!rc)
            sift(heap, n, 0);
    }
    free(heap);
    return rc;
}

int ds_keycheck_end(ds_keycheck *k, uint64_t *a, uint64_t *b, ds_err *err)
{
    found f = {0};
    int rc = 0;
    if (k->nruns == 0) {
        qsort(k->e, k->n, sizeof *k->e, compare);
        for (size_t i = 0; i < k->n; i++)
            see(&f, &k->e[i]);
    } else {
        rc = k->n ? spill(k, err) : 0;
        free(k->e);
        k->e = NULL;
        k->cap = 0;
        if (!rc)
            rc = merge(k, &f, err);
    }
    *a = f.a;
    *b = f.b;
    return rc ? rc : !f.dup;
}
