/* dcmlookup.c - see dcmlookup.h. */
#include "dcmlookup.h"

#include <stdlib.h>
#include <string.h>

#include "buf.h"

static void link_entry(dcm_lookup *l, uint32_t i)
{
    dcm_entry *e = &l->v[i];
    uint32_t *head = &l->heads[e->hash >> 20 & (l->nheads - 1)];
    uint64_t b = e->hash >> l->shift;
    e->next = *head;
    *head = i + 1;
    l->bits[b >> 6] |= UINT64_C(1) << (b & 63);
}

/* Twice as many heads as entries, 32 bits an entry up to 2 MiB of bits. */
int dcm_lookup_room(dcm_lookup *l, size_t more, ds_err *err)
{
    size_t cap = l->cap ? l->cap : 32, heads = 64, bytes;
    unsigned bits = 16;
    if (l->n + more <= l->cap)
        return 0;
    while (cap < l->n + more)
        cap *= 2;
    while (heads < 2 * cap)
        heads *= 2;
    while (bits < 24 && (size_t)1 << bits < 32 * cap)
        bits++;
    dcm_entry *v = ds_mul_size(cap, sizeof *v, &bytes) ? realloc(l->v, bytes) : NULL;
    if (v)
        l->v = v;
    uint32_t *h = calloc(heads, sizeof *h);
    uint64_t *b = calloc((size_t)1 << (bits - 6), sizeof *b);
    if (!v || !h || !b) {
        free(h);
        free(b);
        return ds_fail_nomem(err);
    }
    free(l->heads);
    free(l->bits);
    l->heads = h;
    l->bits = b;
    l->cap = cap;
    l->nheads = heads;
    l->shift = 64 - bits;
    for (size_t i = 0; i < l->n; i++)
        link_entry(l, (uint32_t)i);
    return 0;
}

void dcm_lookup_add(dcm_lookup *l, uint64_t hash, uint32_t id, uint32_t before)
{
    l->v[l->n] = (dcm_entry){.hash = hash, .id = id, .before = before};
    link_entry(l, (uint32_t)l->n++);
}

void dcm_lookup_clear(dcm_lookup *l)
{
    if (l->n == 0)
        return;
    memset(l->heads, 0, l->nheads * sizeof *l->heads);
    memset(l->bits, 0, (size_t)1 << (64 - l->shift - 3));
    l->n = 0;
}

void dcm_lookup_fini(dcm_lookup *l)
{
    free(l->heads);
    free(l->v);
    free(l->bits);
    *l = (dcm_lookup){0};
}
