/* tok_runs.c - see tok_runs.h. */
#include "tok_runs.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "buf.h"
#include "hash.h"
#include "spool.h"

enum {
    FAN = 32,
    IN_MEMORY = 64 << 10, /* a run of a small table makes no file */
    TICK = 1 << 16        /* words between two calls of tick */
};

typedef struct run {
    ds_spool text;
    unsigned level;
    uint64_t words, bytes;
} run;

struct ds_word_runs {
    pthread_mutex_t lock;
    run **v;
    size_t n, cap;
    struct cursor *walk; /* over the joined run */
};

/* Where a run is being read. */
typedef struct cursor {
    ds_spool *text;
    const uint8_t *p;
    size_t len, at;
    uint64_t hash;
    tok_run_word w;
} cursor;

int ds_word_runs_new(ds_word_runs **out, ds_err *err)
{
    ds_word_runs *r = calloc(1, sizeof *r);
    *out = r;
    if (r == NULL)
        return ds_fail_nomem(err);
    pthread_mutex_init(&r->lock, NULL);
    return 0;
}

static void run_free(run *r)
{
    if (r == NULL)
        return;
    ds_spool_fini(&r->text);
    free(r);
}

void ds_word_runs_free(ds_word_runs *r)
{
    if (r == NULL)
        return;
    for (size_t i = 0; i < r->n; i++)
        run_free(r->v[i]);
    free(r->v);
    free(r->walk);
    pthread_mutex_destroy(&r->lock);
    free(r);
}

static run *run_new(unsigned level, ds_err *err)
{
    run *r = calloc(1, sizeof *r);
    if (r == NULL) {
        ds_fail_nomem(err);
        return NULL;
    }
    r->text.limit = IN_MEMORY;
    r->level = level;
    return r;
}

static int run_put(run *r, const uint8_t *p, size_t len, uint64_t count, ds_err *err)
{
    int rc = ds_spool_varint(&r->text, len, err);
    rc = rc ? rc : ds_spool_put(&r->text, p, len, err);
    rc = rc ? rc : ds_spool_varint(&r->text, count, err);
    r->words++;
    r->bytes += len;
    return rc;
}

/* ---- merging ---- */

static int cursor_open(cursor *c, run *r, ds_err *err)
{
    *c = (cursor){.text = &r->text};
    return ds_spool_view(&r->text, &c->p, &c->len, err);
}

/* 1 and the next word in c->w; 0 at the end; < 0 error. */
static int cursor_next(cursor *c, ds_err *err)
{
    uint64_t len = 0;
    if (c->at == c->len)
        return 0;
    if (!ds_varint_get(c->p, c->len, &c->at, &len) || len > c->len - c->at)
        return ds_fail(err, DS_CORRUPT, "temporary file: a run of words is damaged");
    ds_spool_release(c->text, c->at);
    c->w.p = c->p + c->at;
    c->w.len = (size_t)len;
    c->at += (size_t)len;
    if (!ds_varint_get(c->p, c->len, &c->at, &c->w.count))
        return ds_fail(err, DS_CORRUPT, "temporary file: a run of words is damaged");
    c->hash = ds_xxh64(c->w.p, c->w.len);
    return 1;
}

static int compare_texts(const uint8_t *a, size_t na, const uint8_t *b, size_t nb)
{
    return na != nb ? (na < nb ? -1 : 1) : memcmp(a, b, na);
}

static int compare(const cursor *a, const cursor *b)
{
    if (a->hash != b->hash)
        return a->hash < b->hash ? -1 : 1;
    return compare_texts(a->w.p, a->w.len, b->w.p, b->w.len);
}

static void sift(cursor *h, size_t n, size_t i)
{
    cursor c = h[i];
    for (size_t k; (k = 2 * i + 1) < n; i = k) {
        if (k + 1 < n && compare(&h[k + 1], &h[k]) < 0)
            k++;
        if (compare(&h[k], &c) >= 0)
            break;
        h[i] = h[k];
    }
    h[i] = c;
}

/* Moves the least cursor on. */
static int advance(cursor *h, size_t *n, ds_err *err)
{
    int more = cursor_next(&h[0], err);
    if (more == 0)
        h[0] = h[--*n];
    if (more >= 0 && *n > 0)
        sift(h, *n, 0);
    return more < 0 ? more : 0;
}

/* The words of h[0..n), a heap by their words, to one run. */
static int merge_heap(run *to, cursor *h, size_t n,
                      int (*tick)(void *ctx, uint64_t words, ds_err *err), void *ctx, ds_err *err)
{
    int rc = 0;
    while (n > 0 && rc == 0) {
        cursor least = h[0]; /* its bytes stay readable */
        uint64_t count = 0;
        while (n > 0 && rc == 0 && compare(&h[0], &least) == 0) {
            count += h[0].w.count;
            rc = advance(h, &n, err);
        }
        rc = rc ? rc : run_put(to, least.w.p, least.w.len, count, err);
        if (rc == 0 && tick != NULL && to->words % TICK == 0)
            rc = tick(ctx, to->words, err);
    }
    return rc;
}

/* One run of many, which are freed. */
static int merge_runs(run **out, run **v, size_t n,
                      int (*tick)(void *ctx, uint64_t words, ds_err *err), void *ctx, ds_err *err)
{
    cursor *h = calloc(n, sizeof *h);
    run *to = h != NULL ? run_new(n > 0 ? v[0]->level + 1 : 0, err) : NULL;
    size_t live = 0;
    int rc = to == NULL ? ds_fail_nomem(err) : 0;
    for (size_t i = 0; i < n && rc == 0; i++) {
        rc = cursor_open(&h[live], v[i], err);
        int more = rc == 0 ? cursor_next(&h[live], err) : 0;
        live += more > 0;
        rc = more < 0 ? more : rc;
    }
    for (size_t i = live / 2; i-- > 0 && rc == 0;)
        sift(h, live, i);
    rc = rc ? rc : merge_heap(to, h, live, tick, ctx, err);
    for (size_t i = 0; i < n; i++)
        run_free(v[i]);
    free(h);
    if (rc != 0)
        run_free(to);
    *out = rc == 0 ? to : NULL;
    return rc;
}

/* ---- handing over ---- */

/* Takes FAN runs of a level out, when there are as many. */
static bool take_level(ds_word_runs *r, unsigned level, run *v[FAN])
{
    size_t n = 0, kept = 0;
    for (size_t i = 0; i < r->n; i++)
        n += r->v[i]->level == level;
    if (n < FAN)
        return false;
    n = 0;
    for (size_t i = 0; i < r->n; i++) {
        if (r->v[i]->level == level && n < FAN)
            v[n++] = r->v[i];
        else
            r->v[kept++] = r->v[i];
    }
    r->n = kept;
    return true;
}

/* Adds a run, and merges those of its level while there are enough of them; the others go on. */
static int add_run(ds_word_runs *r, run *x, ds_err *err)
{
    run *v[FAN];
    for (;;) {
        unsigned level = x->level;
        pthread_mutex_lock(&r->lock);
        bool fits = ds_grow(&r->v, &r->cap, r->n, sizeof(run *)) == 0, many = false;
        if (fits) {
            r->v[r->n++] = x;
            many = take_level(r, level, v);
        }
        pthread_mutex_unlock(&r->lock);
        if (!fits) {
            run_free(x);
            return ds_fail_nomem(err);
        }
        if (!many)
            return 0;
        int rc = merge_runs(&x, v, FAN, NULL, NULL, err);
        if (rc != 0)
            return rc;
    }
}

static int by_hash(const void *pa, const void *pb, void *bytes)
{
    const tok_word *a = pa, *b = pb;
    const uint8_t *text = ((const ds_buf *)bytes)->data;
    if (a->hash != b->hash)
        return a->hash < b->hash ? -1 : 1;
    return compare_texts(text + a->at, a->len, text + b->at, b->len);
}

int ds_word_runs_put(ds_word_runs *r, tok_word *slots, size_t n, const ds_buf *bytes, ds_err *err)
{
    run *x = run_new(0, err);
    ds_buf text = *bytes;
    if (x == NULL)
        return DS_NOMEM;
    qsort_r(slots, n, sizeof *slots, by_hash, &text);
    int rc = 0;
    for (size_t i = 0; i < n && rc == 0; i++)
        rc = run_put(x, bytes->data + slots[i].at, slots[i].len, slots[i].count, err);
    if (rc != 0) {
        run_free(x);
        return rc;
    }
    return add_run(r, x, err);
}

bool ds_word_runs_empty(ds_word_runs *r)
{
    pthread_mutex_lock(&r->lock);
    bool empty = r->n == 0;
    pthread_mutex_unlock(&r->lock);
    return empty;
}

int ds_word_runs_join(ds_word_runs *r, int (*tick)(void *ctx, uint64_t words, ds_err *err),
                      void *ctx, ds_err *err)
{
    int rc = 0;
    if (r->n > 1) {
        size_t n = r->n;
        r->n = 0; /* they are given away */
        rc = merge_runs(&r->v[0], r->v, n, tick, ctx, err);
        r->n = rc == 0;
    }
    return rc;
}

int ds_word_runs_next(ds_word_runs *r, tok_run_word *w, ds_err *err)
{
    if (r->n == 0)
        return 0;
    if (r->walk == NULL) {
        r->walk = calloc(1, sizeof *r->walk);
        int rc = r->walk == NULL ? ds_fail_nomem(err) : cursor_open(r->walk, r->v[0], err);
        if (rc != 0)
            return rc;
    }
    int more = cursor_next(r->walk, err);
    *w = r->walk->w;
    return more;
}

void ds_word_runs_size(const ds_word_runs *r, uint64_t *words, uint64_t *bytes)
{
    *words = r->n > 0 ? r->v[0]->words : 0;
    *bytes = r->n > 0 ? r->v[0]->bytes : 0;
}
