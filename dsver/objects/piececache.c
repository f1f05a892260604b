/* piececache.c - see piececache.h. */
#include "piececache.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#define SLOTS 1024 /* pieces at most; also bounds the bookkeeping for tiny ones */
#define BUCKETS 2048
/* Buffers of 64 KiB to 1 MiB have powers of two for sizes and are kept, a few of each, when
 * dropped. */
#define CLASS_MIN 16
#define CLASSES 5
#define SPARES 32
#define SPARE_BYTES ((size_t)8 << 20) /* of all of them */

struct ds_shared {
    atomic_uint refs;
    ds_buf bytes;
    ds_piececache *home;
};

const uint8_t *ds_shared_data(const ds_shared *s, size_t *len)
{
    *len = s->bytes.len;
    return s->bytes.data;
}

ds_shared *ds_shared_ref(ds_shared *s)
{
    atomic_fetch_add(&s->refs, 1);
    return s;
}

typedef struct slot {
    ds_sha id;
    ds_shared *s;
    int chain;        /* next in the bucket, -1 ends */
    int newer, older; /* in order of use */
} slot;

struct ds_piececache {
    pthread_mutex_t lock;
    size_t limit, bytes;
    int bucket[BUCKETS], newest, oldest, used;
    slot v[SLOTS];
    pthread_mutex_t spare_lock; /* taken with `lock` held, never the other way round */
    ds_buf spare[CLASSES][SPARES];
    int spares[CLASSES];
    size_t spare_bytes;
};

/* Smallest class whose buffers hold n bytes; CLASSES when none does or n is small. */
static int class_of(size_t n)
{
    int k = 0;
    if (n <= (size_t)1 << (CLASS_MIN - 1))
        return CLASSES;
    while (k < CLASSES && n > (size_t)1 << (CLASS_MIN + k))
        k++;
    return k;
}

int ds_piececache_buf(ds_piececache *c, ds_buf *b, size_t n, ds_err *err)
{
    int k = class_of(n);
    memset(b, 0, sizeof *b);
    if (k < CLASSES) {
        pthread_mutex_lock(&c->spare_lock);
        if (c->spares[k] > 0) {
            *b = c->spare[k][--c->spares[k]];
            c->spare_bytes -= b->cap;
        }
        pthread_mutex_unlock(&c->spare_lock);
        n = (size_t)1 << (CLASS_MIN + k);
    }
    b->len = 0;
    if (!b->data && n > 0) {
        if (!(b->data = malloc(n)))
            return ds_fail_nomem(err);
        b->cap = n;
    }
    return 0;
}

static void drop_buf(ds_piececache *c, ds_buf *b)
{
    int k = class_of(b->cap);
    if (k < CLASSES && b->cap == (size_t)1 << (CLASS_MIN + k)) {
        pthread_mutex_lock(&c->spare_lock);
        if (c->spares[k] < SPARES && c->spare_bytes + b->cap <= SPARE_BYTES) {
            c->spare_bytes += b->cap;
            c->spare[k][c->spares[k]++] = *b;
            memset(b, 0, sizeof *b);
        }
        pthread_mutex_unlock(&c->spare_lock);
    }
    ds_buf_fini(b);
}

ds_shared *ds_piececache_take(ds_piececache *c, ds_buf *b)
{
    ds_shared *s = calloc(1, sizeof *s);
    if (!s)
        return NULL;
    atomic_init(&s->refs, 1);
    s->bytes = *b;
    s->home = c;
    memset(b, 0, sizeof *b);
    return s;
}

void ds_shared_unref(ds_shared *s)
{
    if (s && atomic_fetch_sub(&s->refs, 1) == 1) {
        drop_buf(s->home, &s->bytes);
        free(s);
    }
}

int ds_piececache_new(ds_piececache **out, size_t bytes, ds_err *err)
{
    ds_piececache *c = calloc(1, sizeof *c);
    *out = c;
    if (!c)
        return ds_fail_nomem(err);
    pthread_mutex_init(&c->lock, NULL);
    pthread_mutex_init(&c->spare_lock, NULL);
    c->limit = bytes;
    c->newest = c->oldest = -1;
    for (int i = 0; i < BUCKETS; i++)
        c->bucket[i] = -1;
    return 0;
}

static int *bucket_of(ds_piececache *c, const ds_sha *id)
{
    return &c->bucket[ds_get_u32(id->b) % BUCKETS];
}

static int lookup(ds_piececache *c, const ds_sha *id)
{
    int i = *bucket_of(c, id);
    while (i >= 0 && !ds_sha_eq(&c->v[i].id, id))
        i = c->v[i].chain;
    return i;
}

static void list_out(ds_piececache *c, int i)
{
    slot *s = &c->v[i];
    *(s->newer >= 0 ? &c->v[s->newer].older : &c->newest) = s->older;
    *(s->older >= 0 ? &c->v[s->older].newer : &c->oldest) = s->newer;
}

static void list_front(ds_piececache *c, int i)
{
    c->v[i].newer = -1;
    c->v[i].older = c->newest;
    *(c->newest >= 0 ? &c->v[c->newest].newer : &c->oldest) = i;
    c->newest = i;
}

/* Takes the oldest out; its slot is free after. */
static int evict(ds_piececache *c)
{
    int i = c->oldest;
    int *p = bucket_of(c, &c->v[i].id);
    while (*p != i)
        p = &c->v[*p].chain;
    *p = c->v[i].chain;
    list_out(c, i);
    c->bytes -= c->v[i].s->bytes.cap; /* what it takes, not what it holds */
    ds_shared_unref(c->v[i].s);
    c->v[i].s = NULL;
    return i;
}

ds_shared *ds_piececache_get(ds_piececache *c, const ds_sha *id)
{
    ds_shared *s = NULL;
    pthread_mutex_lock(&c->lock);
    int i = lookup(c, id);
    if (i >= 0) {
        list_out(c, i);
        list_front(c, i);
        s = ds_shared_ref(c->v[i].s);
    }
    pthread_mutex_unlock(&c->lock);
    return s;
}

/* A slot not in use; slots fill up in order, then come back through eviction. */
static int free_slot(ds_piececache *c)
{
    for (int i = 0; i < c->used; i++)
        if (!c->v[i].s)
            return i;
    return c->used < SLOTS ? c->used++ : evict(c);
}

void ds_piececache_put(ds_piececache *c, const ds_sha *id, ds_shared *s)
{
    pthread_mutex_lock(&c->lock);
    if (s->bytes.cap <= c->limit && lookup(c, id) < 0) {
        while (c->bytes + s->bytes.cap > c->limit)
            (void)evict(c);
        int i = free_slot(c), *b = bucket_of(c, id);
        c->v[i].id = *id;
        c->v[i].s = ds_shared_ref(s);
        c->v[i].chain = *b;
        *b = i;
        list_front(c, i);
        c->bytes += s->bytes.cap;
    }
    pthread_mutex_unlock(&c->lock);
}

void ds_piececache_free(ds_piececache *c)
{
    if (!c)
        return;
    while (c->oldest >= 0)
        (void)evict(c);
    for (int k = 0; k < CLASSES; k++)
        while (c->spares[k] > 0)
            ds_buf_fini(&c->spare[k][--c->spares[k]]);
    pthread_mutex_destroy(&c->spare_lock);
    pthread_mutex_destroy(&c->lock);
    free(c);
}
