#include "piececache.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#define SLOTS 1024 /* pieces at most; also bounds the bookkeeping for tiny ones */
#define BUCKETS 2048

struct ds_shared {
    atomic_uint refs;
    ds_buf bytes;
};

ds_shared *ds_shared_take(ds_buf *b)
{
    ds_shared *s = calloc(1, sizeof *s);
    if (!s)
        return NULL;
    atomic_init(&s->refs, 1);
    s->bytes = *b;
    memset(b, 0, sizeof *b);
    return s;
}

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

void ds_shared_unref(ds_shared *s)
{
    if (s && atomic_fetch_sub(&s->refs, 1) == 1) {
        ds_buf_fini(&s->bytes);
        free(s);
    }
}

typedef struct slot {
    ds_sha id;
    ds_shared *s;
    int chain;       /* next in the bucket, -1 ends */
    int newer, older; /* in order of use */
} slot;

struct ds_piececache {
    pthread_mutex_t lock;
    size_t limit, bytes;
    int bucket[BUCKETS], newest, oldest, used;
    slot v[SLOTS];
};

int ds_piececache_new(ds_piececache **out, size_t bytes, ds_err *err)
{
    ds_piececache *c = calloc(1, sizeof *c);
    *out = c;
    if (!c)
        return ds_fail_nomem(err);
    pthread_mutex_init(&c->lock, NULL);
    c->limit = bytes;
    c->newest = c->oldest = -1;
    for (int i = 0; i < BUCKETS; i++)
        c->bucket[i] = -1;
    return 0;
}

static int *bucket_of(ds_piececache *c, const ds_sha *id) { return &c->bucket[ds_get_u32(id->b) % BUCKETS]; }

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
    c->bytes -= c->v[i].s->bytes.len;
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
    if (s->bytes.len <= c->limit && lookup(c, id) < 0) {
        while (c->bytes + s->bytes.len > c->limit)
            (void)evict(c);
        int i = free_slot(c), *b = bucket_of(c, id);
        c->v[i].id = *id;
        c->v[i].s = ds_shared_ref(s);
        c->v[i].chain = *b;
        *b = i;
        list_front(c, i);
        c->bytes += s->bytes.len;
    }
    pthread_mutex_unlock(&c->lock);
}

void ds_piececache_free(ds_piececache *c)
{
    if (!c)
        return;
    while (c->oldest >= 0)
        (void)evict(c);
    pthread_mutex_destroy(&c->lock);
    free(c);
}
