/* dcmtree.c - see dcmtree.h: the tree and its arena. Values are in dcmvalue.c. */
#include "dcmtree.h"

#include <stdlib.h>
#include <string.h>

#define CHUNK ((size_t)64 << 10)

typedef struct chunk {
    struct chunk *next;
    size_t used, cap;
    _Alignas(16) uint8_t mem[];
} chunk;

struct dcm_tree {
    chunk *chunks;
    dcm_set meta, main;
    dcm_set rest; /* one sequence: sets of elements that stood there once more */
};

#define REST DCM_TAG(0xfffe, 0xe000)

int dcm_tree_new(dcm_tree **t, ds_err *err)
{
    *t = calloc(1, sizeof **t);
    return *t ? 0 : ds_fail_nomem(err);
}

void dcm_tree_free(dcm_tree *t)
{
    if (!t)
        return;
    for (chunk *c = t->chunks, *next; c; c = next) {
        next = c->next;
        free(c);
    }
    free(t);
}

dcm_set *dcm_tree_meta(dcm_tree *t)
{
    return &t->meta;
}

dcm_set *dcm_tree_main(dcm_tree *t)
{
    return &t->main;
}

void *dcm_tree_alloc(dcm_tree *t, size_t n, ds_err *err)
{
    size_t want;
    if (!ds_add_size(n, 15, &want)) {
        ds_fail_nomem(err);
        return NULL;
    }
    want &= ~(size_t)15;
    chunk *c = t->chunks;
    if (!c || c->cap - c->used < want) {
        size_t cap = want > CHUNK ? want : CHUNK, all;
        chunk *fresh = ds_add_size(cap, sizeof *fresh, &all) ? malloc(all) : NULL;
        if (!fresh) {
            ds_fail_nomem(err);
            return NULL;
        }
        fresh->cap = cap;
        fresh->used = 0;
        /* A large value has a chunk of its own, behind the one that still has room. */
        if (c && want > CHUNK / 4) {
            fresh->next = c->next;
            c->next = fresh;
        } else {
            fresh->next = c;
            t->chunks = fresh;
        }
        c = fresh;
    }
    void *p = c->mem + c->used;
    c->used += want;
    return p;
}

/* The first element that is not below tag. */
static uint32_t place(const dcm_set *s, uint32_t tag)
{
    uint32_t lo = 0, hi = s->n;
    if (hi > 0 && s->elems[hi - 1].tag < tag)
        return hi; /* files come in order */
    while (lo < hi) {
        uint32_t mid = lo + (hi - lo) / 2;
        if (s->elems[mid].tag < tag)
            lo = mid + 1;
        else
            hi = mid;
    }
    return lo;
}

dcm_elem *dcm_set_find(const dcm_set *s, uint32_t tag)
{
    uint32_t at = place(s, tag);
    return at < s->n && s->elems[at].tag == tag ? &s->elems[at] : NULL;
}

/* Room for one more of `size` bytes in an array of n with room for *cap. */
static int grow(dcm_tree *t, void **array, uint32_t n, uint32_t *cap, size_t size, ds_err *err)
{
    if (n < *cap)
        return 0;
    size_t more = *cap ? (size_t)*cap * 2 : 8, bytes;
    if (more > UINT32_MAX || !ds_mul_size(more, size, &bytes))
        return ds_fail_nomem(err);
    void *p = dcm_tree_alloc(t, bytes, err);
    if (!p)
        return DS_NOMEM;
    if (n)
        memcpy(p, *array, n * size);
    *array = p;
    *cap = (uint32_t)more;
    return 0;
}

static int slot(dcm_tree *t, dcm_set *s, uint32_t tag, dcm_elem **out, ds_err *err)
{
    uint32_t at = place(s, tag);
    if (at == s->n || s->elems[at].tag != tag) {
        void *elems = s->elems;
        int rc = grow(t, &elems, s->n, &s->cap, sizeof *s->elems, err);
        if (rc != 0)
            return rc;
        s->elems = elems;
        memmove(s->elems + at + 1, s->elems + at, (s->n - at) * sizeof *s->elems);
        memset(&s->elems[at], 0, sizeof *s->elems);
        s->elems[at].tag = tag;
        s->n++;
    }
    *out = &s->elems[at];
    return 0;
}

int dcm_set_put(dcm_tree *t, dcm_set *s, uint32_t tag, uint16_t vr, const void *val, size_t len,
                dcm_elem **out, ds_err *err)
{
    dcm_elem *e;
    uint8_t *copy = NULL;
    if (len > UINT32_MAX)
        return ds_fail(err, DS_FAIL, "(%04x,%04x): a value of %zu bytes", tag >> 16, tag & 0xffff,
                       len);
    if (len > 0) {
        copy = dcm_tree_alloc(t, len, err);
        if (!copy)
            return DS_NOMEM;
        memcpy(copy, val, len);
    }
    int rc = slot(t, s, tag, &e, err);
    if (rc != 0)
        return rc;
    *e = (dcm_elem){.tag = tag, .vr = vr, .len = (uint32_t)len, .val = copy, .creator = e->creator};
    if (out)
        *out = e;
    return 0;
}

static unsigned depth_of(const dcm_set *s)
{
    unsigned d = 0;
    for (; s->parent; s = s->parent)
        d++;
    return d;
}

int dcm_set_item(dcm_tree *t, dcm_set *s, uint32_t tag, dcm_set **item, ds_err *err)
{
    dcm_elem *e;
    if (depth_of(s) >= DCM_TREE_DEPTH)
        return ds_fail(err, DS_FAIL, "(%04x,%04x): sequences nest deeper than %d", tag >> 16,
                       tag & 0xffff, DCM_TREE_DEPTH);
    int rc = slot(t, s, tag, &e, err);
    if (rc != 0)
        return rc;
    if (e->vr != DCM_VR('S', 'Q'))
        *e = (dcm_elem){.tag = tag, .vr = DCM_VR('S', 'Q'), .creator = e->creator};
    /* Capacity is the next power of two, from 8. */
    uint32_t cap = e->nitems == 0 ? 0 : 8;
    while (cap && cap < e->nitems)
        cap *= 2;
    void *items = e->items;
    dcm_set *fresh = dcm_tree_alloc(t, sizeof *fresh, err);
    if (!fresh)
        return DS_NOMEM;
    rc = grow(t, &items, e->nitems, &cap, sizeof(dcm_set *), err);
    if (rc != 0)
        return rc;
    e->items = items;
    memset(fresh, 0, sizeof *fresh);
    fresh->parent = s;
    e->items[e->nitems++] = fresh;
    *item = fresh;
    return 0;
}

int dcm_tree_aside(dcm_tree *t, uint32_t tag, uint16_t vr, const void *val, size_t len, ds_err *err)
{
    const dcm_elem *e = dcm_set_find(&t->rest, REST);
    dcm_set *s = e ? e->items[e->nitems - 1] : NULL;
    int rc = 0;
    if (!s || dcm_set_find(s, tag)) {
        rc = dcm_set_item(t, &t->rest, REST, &s, err);
        if (rc == 0)
            s->parent = &t->main; /* whose character set it has */
    }
    return rc == 0 ? dcm_set_put(t, s, tag, vr, val, len, NULL, err) : rc;
}

dcm_set *dcm_tree_asides(const dcm_tree *t, uint32_t i)
{
    const dcm_elem *e = dcm_set_find(&t->rest, REST);
    return e && i < e->nitems ? e->items[i] : NULL;
}

const dcm_set *dcm_set_first(const dcm_set *s, uint32_t tag)
{
    const dcm_elem *e = s ? dcm_set_find(s, tag) : NULL;
    return e && e->nitems ? e->items[0] : NULL;
}

bool dcm_set_drop(dcm_set *s, uint32_t tag)
{
    dcm_elem *e = dcm_set_find(s, tag);
    if (!e)
        return false;
    size_t after = (size_t)(s->elems + s->n - (e + 1));
    memmove(e, e + 1, after * sizeof *e);
    s->n--;
    return true;
}
