/* tally.c - see tally.h. */
#include "tally.h"

#include <stdlib.h>
#include <string.h>

#include "hash.h"

enum { CAP_MIN = 64 };

static uint64_t sum(uint64_t a, uint64_t b)
{
    uint64_t r;
    return __builtin_add_overflow(a, b, &r) ? UINT64_MAX : r;
}

/* ---- numbers ---- */

static ds_tallied *slot_of(ds_tallied *slots, size_t cap, int64_t key)
{
    size_t i = (size_t)(((uint64_t)key * 0x9e3779b97f4a7c15u) >> 32) & (cap - 1);
    while (slots[i].n && slots[i].key != key)
        i = (i + 1) & (cap - 1);
    return &slots[i];
}

static int grow(ds_tally *t)
{
    const size_t cap = t->cap ? 2 * t->cap : CAP_MIN;
    ds_tallied *slots = calloc(cap, sizeof *slots);
    if (!slots)
        return DS_NOMEM;
    for (size_t i = 0; i < t->cap; i++)
        if (t->slots[i].n)
            *slot_of(slots, cap, t->slots[i].key) = t->slots[i];
    free(t->slots);
    t->slots = slots;
    t->cap = cap;
    return 0;
}

int ds_tally_add(ds_tally *t, int64_t key, uint64_t n)
{
    if (!n)
        return 0;
    if (2 * t->used >= t->cap && grow(t))
        return DS_NOMEM;
    ds_tallied *s = slot_of(t->slots, t->cap, key);
    t->used += !s->n;
    s->key = key;
    s->n = sum(s->n, n);
    return 0;
}

void ds_tally_reset(ds_tally *t)
{
    if (t->slots)
        memset(t->slots, 0, t->cap * sizeof *t->slots);
    t->used = 0;
}

void ds_tally_fini(ds_tally *t)
{
    free(t->slots);
    *t = (ds_tally){0};
}

static int by_key(const void *a, const void *b)
{
    const int64_t x = ((const ds_tallied *)a)->key, y = ((const ds_tallied *)b)->key;
    return (x > y) - (x < y);
}

int ds_tally_sorted(ds_buf *out, const ds_tally *t)
{
    ds_buf_reset(out);
    for (size_t i = 0; i < t->cap; i++)
        if (t->slots[i].n && ds_buf_put(out, &t->slots[i], sizeof t->slots[i]))
            return DS_NOMEM;
    if (t->used)
        qsort(out->data, t->used, sizeof(ds_tallied), by_key);
    return 0;
}

int ds_tally_put(ds_buf *out, const ds_tally *t)
{
    ds_buf sorted = {0};
    int64_t before = 0;
    int rc = ds_tally_sorted(&sorted, t);
    rc = rc ? rc : ds_buf_varint(out, t->used);
    for (size_t i = 0; !rc && i < t->used; i++) {
        const ds_tallied *x = (const ds_tallied *)(const void *)sorted.data + i;
        const int64_t step = (int64_t)((uint64_t)x->key - (uint64_t)before);
        rc = ds_buf_varint(out, ds_zigzag(step));
        rc = rc ? rc : ds_buf_varint(out, x->n);
        before = x->key;
    }
    ds_buf_fini(&sorted);
    return rc ? DS_NOMEM : 0;
}

bool ds_tally_get(ds_tally *t, const uint8_t *p, size_t len, size_t *pos)
{
    uint64_t n, step, count;
    int64_t key = 0;
    if (!ds_varint_get(p, len, pos, &n))
        return false;
    while (n--) {
        if (!ds_varint_get(p, len, pos, &step) || !ds_varint_get(p, len, pos, &count) || !count)
            return false;
        key = (int64_t)((uint64_t)key + (uint64_t)ds_unzigzag(step));
        if (ds_tally_add(t, key, count))
            return false;
    }
    return true;
}

/* ---- names ---- */

static bool is(const ds_names *t, const ds_named *s, uint64_t hash, const void *p, size_t len)
{
    return s->hash == hash && s->len == len && (!len || memcmp(t->bytes.data + s->at, p, len) == 0);
}

static size_t begin_at(uint64_t hash, size_t cap)
{
    return (size_t)((hash * 0x9e3779b97f4a7c15u) >> 32) & (cap - 1);
}

/* Where the table says where it is, or would say it. */
static uint32_t *index_of(const ds_names *t, uint64_t hash, const void *p, size_t len)
{
    size_t i = begin_at(hash, t->cap);
    while (t->index[i] && !is(t, &t->named[t->index[i] - 1], hash, p, len))
        i = (i + 1) & (t->cap - 1);
    return &t->index[i];
}

static int grow_names(ds_names *t)
{
    const size_t cap = t->cap ? 2 * t->cap : CAP_MIN;
    uint32_t *index = cap <= UINT32_MAX ? calloc(cap, sizeof *index) : NULL;
    ds_named *named = index ? reallocarray(t->named, cap / 2, sizeof *named) : NULL;
    if (!named) {
        free(index);
        return DS_NOMEM;
    }
    for (size_t i = 0; i < t->used; i++) {
        size_t at = begin_at(named[i].hash, cap);
        while (index[at])
            at = (at + 1) & (cap - 1);
        index[at] = (uint32_t)i + 1;
    }
    free(t->index);
    t->index = index;
    t->named = named;
    t->cap = cap;
    return 0;
}

int ds_names_add(ds_names *t, uint64_t hash, const void *p, size_t len, uint64_t n)
{
    if (!n)
        return 0;
    if (2 * t->used >= t->cap && grow_names(t))
        return DS_NOMEM;
    uint32_t *at = index_of(t, hash, p, len);
    if (!*at) {
        if (t->used == t->most || len > UINT32_MAX - t->bytes.len) {
            t->full = true;
            return 0;
        }
        t->named[t->used] =
            (ds_named){.hash = hash, .at = (uint32_t)t->bytes.len, .len = (uint32_t)len};
        if (ds_buf_put(&t->bytes, p, len))
            return DS_NOMEM;
        *at = (uint32_t)++t->used;
    }
    ds_named *s = &t->named[*at - 1];
    s->n = sum(s->n, n);
    return 0;
}

uint64_t ds_names_of(const ds_names *t, uint64_t hash, const void *p, size_t len)
{
    const uint32_t at = t->cap ? *index_of(t, hash, p, len) : 0;
    return at ? t->named[at - 1].n : 0;
}

void ds_names_reset(ds_names *t)
{
    if (t->used)
        memset(t->index, 0, t->cap * sizeof *t->index);
    ds_buf_reset(&t->bytes);
    t->used = 0;
    t->full = false;
}

void ds_names_fini(ds_names *t)
{
    free(t->named);
    free(t->index);
    ds_buf_fini(&t->bytes);
    *t = (ds_names){.most = t->most};
}

typedef struct ranked {
    const ds_named *named;
    const uint8_t *p;
} ranked;

static ranked ranked_of(const ds_names *t, size_t i)
{
    const ds_named *n = &t->named[i];

    return (ranked){.named = n, .p = ds_named_bytes(t, n)};
}

static int by_bytes(const void *a, const void *b)
{
    const ranked *x = a, *y = b;
    const size_t n = x->named->len < y->named->len ? x->named->len : y->named->len;
    const int c = n ? memcmp(x->p, y->p, n) : 0;
    return c ? c : (x->named->len > y->named->len) - (x->named->len < y->named->len);
}

static int by_count(const void *a, const void *b)
{
    const uint64_t x = ((const ranked *)a)->named->n, y = ((const ranked *)b)->named->n;
    return x != y ? (x < y) - (x > y) : by_bytes(a, b);
}

/* The first `most` by count, without sorting the rest. */
static size_t best(ranked *top, const ds_names *t, size_t most)
{
    size_t n = 0;
    for (size_t i = 0; i < t->used; i++) {
        const ranked r = ranked_of(t, i);
        size_t at = n;
        if (n == most && by_count(&r, &top[n - 1]) >= 0)
            continue;
        while (at && by_count(&r, &top[at - 1]) < 0)
            at--;
        n += n < most;
        memmove(top + at + 1, top + at, (n - 1 - at) * sizeof *top);
        top[at] = r;
    }
    return n;
}

static size_t all_of(ranked *out, const ds_names *t, enum ds_nameorder order)
{
    for (size_t i = 0; i < t->used; i++)
        out[i] = ranked_of(t, i);
    if (t->used)
        qsort(out, t->used, sizeof *out, order == DS_BY_BYTES ? by_bytes : by_count);
    return t->used;
}

/* The first `most` in order. */
static int sort_names(ds_buf *out, const ds_names *t, enum ds_nameorder order, size_t most)
{
    const bool few = order == DS_BY_COUNT && most <= t->used / 4;
    ranked *all = malloc((few ? most : t->used) * sizeof *all + 1);
    int rc = 0;
    ds_buf_reset(out);
    if (!all)
        return DS_NOMEM;
    const size_t n = few ? best(all, t, most) : all_of(all, t, order);
    for (size_t i = 0; !rc && i < n && i < most; i++)
        rc = ds_buf_put(out, &all[i].named, sizeof all[i].named);
    free(all);
    return rc;
}

int ds_names_sorted(ds_buf *out, const ds_names *t, enum ds_nameorder order)
{
    return sort_names(out, t, order, SIZE_MAX);
}

int ds_names_prune(ds_names *t, size_t keep)
{
    ds_names fresh = {.most = t->most};
    ds_buf sorted = {0};
    int rc = ds_names_sorted(&sorted, t, DS_BY_COUNT);
    for (size_t i = 0; !rc && i < t->used && i < keep; i++) {
        const ds_named *s = ((const ds_named *const *)(const void *)sorted.data)[i];
        rc = ds_names_add(&fresh, s->hash, ds_named_bytes(t, s), s->len, s->n);
    }
    ds_buf_fini(&sorted);
    ds_names_fini(rc ? &fresh : t);
    if (!rc)
        *t = fresh;
    return rc;
}

int ds_names_put(ds_buf *out, const ds_names *t, enum ds_nameorder order, size_t most)
{
    ds_buf sorted = {0};
    const size_t n = t->used < most ? t->used : most;
    int rc = sort_names(&sorted, t, order, most);
    rc = rc ? rc : ds_buf_varint(out, n);
    for (size_t i = 0; !rc && i < n; i++) {
        const ds_named *s = ((const ds_named *const *)(const void *)sorted.data)[i];
        rc = ds_buf_varint(out, s->len);
        rc = rc ? rc : ds_buf_put(out, ds_named_bytes(t, s), s->len);
        rc = rc ? rc : ds_buf_varint(out, s->n);
    }
    ds_buf_fini(&sorted);
    return rc ? DS_NOMEM : 0;
}

bool ds_names_get(ds_names *t, const uint8_t *p, size_t len, size_t *pos)
{
    uint64_t n, size, count;
    if (!ds_varint_get(p, len, pos, &n))
        return false;
    while (n--) {
        if (!ds_varint_get(p, len, pos, &size) || size > len - *pos)
            return false;
        const uint8_t *name = p + *pos;
        *pos += (size_t)size;
        if (!ds_varint_get(p, len, pos, &count) || !count ||
            ds_names_add(t, ds_xxh64(name, (size_t)size), name, (size_t)size, count))
            return false;
    }
    return true;
}
