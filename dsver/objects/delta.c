/* delta.c - see delta.h. */
#include "delta.h"

static unsigned bits(unsigned x)
{
    return (unsigned)__builtin_popcount(x);
}

void ds_votes_add(ds_votes *v, int64_t key, int hash)
{
    for (size_t i = 0; i < v->n; i++)
        if (v->v[i].key == key) {
            v->v[i].mask |= 1u << hash;
            return;
        }
    if (v->n < sizeof v->v / sizeof v->v[0]) {
        v->v[v->n].key = key;
        v->v[v->n++].mask = 1u << hash;
    }
}

void ds_votes_drop(ds_votes *v, int64_t key)
{
    for (size_t i = 0; i < v->n; i++)
        if (v->v[i].key == key)
            v->v[i].mask = 0;
}

bool ds_votes_best(const ds_votes *v, unsigned of, int64_t *key, unsigned *mask)
{
    unsigned best = 0;
    for (size_t i = 0; i < v->n; i++) {
        unsigned n = bits(v->v[i].mask & of);
        if (n == 0 || n < best || (n == best && v->v[i].key < *key))
            continue;
        best = n;
        *key = v->v[i].key;
        *mask = v->v[i].mask;
    }
    return best > 0;
}

static size_t index_of(const ds_objloc *v, size_t n, const ds_sha *id)
{
    size_t i = 0;
    while (i < n && !ds_sha_eq(&v[i].id, id))
        i++;
    return i;
}

void ds_delta_depths(const ds_objloc *v, size_t n, unsigned *depth)
{
    bool changed = true;
    for (size_t i = 0; i < n; i++)
        depth[i] = 0;
    for (size_t round = 0; changed && round < n; round++) {
        changed = false;
        for (size_t i = 0; i < n; i++)
            for (int k = 0; k < v[i].bases.n; k++) {
                size_t b = index_of(v, n, &v[i].bases.id[k]);
                if (b < n && depth[i] < depth[b] + 1) {
                    depth[i] = depth[b] + 1;
                    changed = true;
                }
            }
    }
}

unsigned ds_delta_room(unsigned number)
{
    unsigned sum = number % 3 + number / 3 % 4 + bits(number / 12);
    return sum ? sum - 1 : 0;
}

static unsigned cover(const ds_sketch *s, const ds_sketch *base)
{
    unsigned mask = 0;
    for (int i = 0, k = 0; i < s->n; i++) {
        while (k < base->n && base->h[k] < s->h[i])
            k++;
        if (k < base->n && base->h[k] == s->h[i])
            mask |= 1u << i;
    }
    return mask;
}

const ds_objloc *ds_delta_best(const ds_sketch *s, const ds_objloc *v, const unsigned *depth,
                               size_t n, unsigned room, unsigned of, const ds_bases *taken,
                               unsigned *mask)
{
    const ds_objloc *best = NULL;
    unsigned most = 0;
    for (size_t i = 0; i < n; i++) {
        bool used = false;
        for (int k = 0; k < taken->n; k++)
            used |= ds_sha_eq(&taken->id[k], &v[i].id);
        unsigned m = cover(s, &v[i].sketch);
        if (used || depth[i] > room || bits(m & of) <= most)
            continue;
        most = bits(m & of);
        best = &v[i];
        *mask = m;
    }
    return best;
}
