/* extsort.c - see extsort.h. */
#include "extsort.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "io.h"

enum { READ_BYTES = 64 << 10, RUNS_MAX = 4096, SIZE_LARGEST = 4096 };
enum { FEW = 4096, BUCKETS = 1 << 16 }; /* entries that are sorted as they are; see dealt */

/* A sorted run, on disk; `buf` is what is read of it during the merge. */
typedef struct run {
    uint64_t start, n, taken; /* in entries of the file */
    uint8_t *buf;
    size_t have, at;
} run;

struct ds_extsort {
    size_t size, n, cap; /* of an entry; entries in memory */
    char *dir;
    int fd;
    uint8_t *e;
    uint64_t count, filed;
    run *runs;
    size_t nruns, cap_runs;
    run **heap; /* by their next entry */
    size_t nheap;
    bool lent; /* the heap's first run moves on at the next call */
    size_t at; /* without runs: the next entry of e */
    int (*compare)(const void *a, const void *b, void *ctx);
    int (*ready)(void *ctx, ds_err *err);
    void *ctx;
};

static int bytewise(const void *a, const void *b, void *size)
{
    return memcmp(a, b, *(const size_t *)size);
}

void ds_extsort_by(ds_extsort *s, int (*compare)(const void *a, const void *b, void *ctx),
                   int (*ready)(void *ctx, ds_err *err), void *ctx)
{
    s->compare = compare;
    s->ready = ready;
    s->ctx = ctx;
}

int ds_extsort_new(ds_extsort **out, size_t size, size_t limit, const char *dir, ds_err *err)
{
    ds_extsort *s = calloc(1, sizeof *s);
    const char *tmp = getenv("TMPDIR");
    *out = NULL;
    if (!s)
        return ds_fail_nomem(err);
    if (size == 0 || size > SIZE_LARGEST) {
        free(s);
        return ds_fail(err, DS_FAIL, "entries of %zu bytes cannot be sorted", size);
    }
    s->fd = -1;
    s->size = size;
    ds_extsort_by(s, bytewise, NULL, &s->size);
    s->cap = (limit ? limit : (size_t)24 << 20) / size;
    s->cap += s->cap == 0;
    s->dir = strdup(dir ? dir : tmp && *tmp ? tmp : "/tmp");
    s->e = malloc(s->cap * size); /* untouched pages cost nothing */
    if (!s->dir || !s->e) {
        ds_extsort_free(s);
        return ds_fail_nomem(err);
    }
    *out = s;
    return 0;
}

void ds_extsort_free(ds_extsort *s)
{
    if (!s)
        return;
    for (size_t i = 0; i < s->nruns; i++)
        free(s->runs[i].buf);
    free(s->runs);
    free(s->heap);
    ds_close(&s->fd, s->dir, NULL);
    free(s->e);
    free(s->dir);
    free(s);
}

/* Bytes that all entries begin with. */
static size_t in_common(const ds_extsort *s)
{
    size_t same = s->size;

    for (size_t i = 1; i < s->n; i++)
        while (same && memcmp(s->e, s->e + i * s->size, same) != 0)
            same--;
    return same;
}

static unsigned bucket(const uint8_t *p)
{
    return (unsigned)p[0] << 8 | p[1];
}

/* Bytewise, by dealing the entries out into buckets, by the first two bytes in which they differ,
 * and sorting each of these: of hashes a few to a bucket. False: no memory, and nothing is done. */
static bool dealt(ds_extsort *s)
{
    const size_t same = in_common(s), skip = same + 2 <= s->size ? same : s->size - 2;
    uint8_t *to = malloc(s->cap * s->size);
    size_t *end = calloc(BUCKETS + 1, sizeof *end);

    if (!to || !end) {
        free(to);
        free(end);
        return false;
    }
    for (size_t i = 0; i < s->n; i++)
        end[bucket(s->e + i * s->size + skip) + 1]++;
    for (size_t b = 0; b < BUCKETS; b++)
        end[b + 1] += end[b];
    for (size_t i = 0; i < s->n; i++) { /* end[b] goes from the bucket's begin to its end */
        const uint8_t *e = s->e + i * s->size;
        memcpy(to + end[bucket(e + skip)]++ * s->size, e, s->size);
    }
    for (size_t b = 0, from = 0; b < BUCKETS; from = end[b++])
        if (end[b] - from > 1)
            qsort_r(to + from * s->size, end[b] - from, s->size, s->compare, s->ctx);
    free(end);
    free(s->e);
    s->e = to;
    return true;
}

static int sort_memory(ds_extsort *s, ds_err *err)
{
    int rc = s->ready ? s->ready(s->ctx, err) : 0;
    if (rc)
        return rc;
    if (s->compare != bytewise || s->n < FEW || s->size < 2 || !dealt(s))
        qsort_r(s->e, s->n, s->size, s->compare, s->ctx);
    return 0;
}

static int open_file(ds_extsort *s, ds_err *err)
{
    char *path = NULL;
    if (asprintf(&path, "%s/sort-%ld-XXXXXX", s->dir, (long)getpid()) < 0)
        return ds_fail_nomem(err);
    s->fd = mkostemp(path, O_CLOEXEC);
    int rc = s->fd < 0 ? ds_fail_errno(err, errno, "%s", path) : 0;
    if (!rc)
        ds_io_active->unlink(path);
    free(path);
    return rc;
}

static int spill(ds_extsort *s, ds_err *err)
{
    int rc = s->fd < 0 ? open_file(s, err) : 0;
    if (rc)
        return rc;
    if (s->nruns == RUNS_MAX)
        return ds_fail(err, DS_FAIL, "too much to sort: %llu entries",
                       (unsigned long long)s->count);
    if (ds_grow(&s->runs, &s->cap_runs, s->nruns, sizeof *s->runs))
        return ds_fail_nomem(err);
    s->runs[s->nruns++] = (run){.start = s->filed, .n = s->n};
    rc = sort_memory(s, err);
    if (!rc)
        rc = ds_write_full(s->fd, s->dir, s->e, s->n * s->size, err);
    s->filed += s->n;
    s->n = 0;
    return rc;
}

int ds_extsort_put(ds_extsort *s, const void *entry, ds_err *err)
{
    int rc = s->n == s->cap ? spill(s, err) : 0;
    if (rc)
        return rc;
    memcpy(s->e + s->n++ * s->size, entry, s->size);
    s->count++;
    return 0;
}

/* ---- the merge ---- */

static const uint8_t *head(const ds_extsort *s, const run *r)
{
    return r->buf + r->at * s->size;
}

/* Makes sure that the run's next entry is in its buffer: 1, or 0 at its end. */
static int fill(ds_extsort *s, run *r, ds_err *err)
{
    if (r->at < r->have)
        return 1;
    const uint64_t left = r->n - r->taken;
    const size_t most = READ_BYTES / s->size;
    if (left == 0)
        return 0;
    if (!r->buf && !(r->buf = malloc(most * s->size)))
        return ds_fail_nomem(err);
    r->have = left < most ? (size_t)left : most;
    r->at = 0;
    int rc = ds_pread_exact(s->fd, s->dir, r->buf, r->have * s->size,
                            (r->start + r->taken) * s->size, err);
    r->taken += r->have;
    return rc ? rc : 1;
}

static void sift(ds_extsort *s, size_t i)
{
    for (;;) {
        size_t least = i, l = 2 * i + 1;
        for (size_t c = l; c < s->nheap && c <= l + 1; c++)
            if (s->compare(head(s, s->heap[c]), head(s, s->heap[least]), s->ctx) < 0)
                least = c;
        if (least == i)
            return;
        run *t = s->heap[i];
        s->heap[i] = s->heap[least];
        s->heap[least] = t;
        i = least;
    }
}

int ds_extsort_sort(ds_extsort *s, ds_err *err)
{
    int rc = 0;
    if (s->nruns == 0)
        return sort_memory(s, err);
    if (s->n)
        rc = spill(s, err);
    free(s->e);
    s->e = NULL;
    s->heap = rc ? NULL : malloc(s->nruns * sizeof(run *));
    if (!rc && !s->heap)
        rc = ds_fail_nomem(err);
    for (size_t i = 0; !rc && i < s->nruns; i++) {
        rc = fill(s, &s->runs[i], err);
        if (rc > 0)
            s->heap[s->nheap++] = &s->runs[i];
        rc = rc > 0 ? 0 : rc;
    }
    for (size_t i = s->nheap / 2; !rc && i-- > 0;)
        sift(s, i);
    return rc;
}

int ds_extsort_next(ds_extsort *s, const void **entry, ds_err *err)
{
    if (s->nruns == 0) {
        if (s->at == s->n)
            return 0;
        *entry = s->e + s->at++ * s->size;
        return 1;
    }
    if (s->lent) {
        run *r = s->heap[0];
        s->lent = false;
        r->at++;
        int rc = fill(s, r, err);
        if (rc < 0)
            return rc;
        if (rc == 0)
            s->heap[0] = s->heap[--s->nheap];
        sift(s, 0);
    }
    if (s->nheap == 0)
        return 0;
    s->lent = true;
    *entry = head(s, s->heap[0]);
    return 1;
}
