#include "delta.h"

void ds_votes_add(ds_votes *v, int64_t key)
{
    for (size_t i = 0; i < v->n; i++)
        if (v->v[i].key == key) {
            v->v[i].votes++;
            return;
        }
    if (v->n < sizeof v->v / sizeof v->v[0]) {
        v->v[v->n].key = key;
        v->v[v->n++].votes = 1;
    }
}

bool ds_votes_best(const ds_votes *v, unsigned n, int64_t *key)
{
    unsigned best = 0;
    for (size_t i = 0; i < v->n; i++) {
        unsigned votes = v->v[i].votes;
        if (votes * 4 < n || votes < best || (votes == best && v->v[i].key < *key))
            continue;
        best = votes;
        *key = v->v[i].key;
    }
    return best > 0;
}

bool ds_delta_base(const ds_objloc *chain, size_t n, size_t *at, uint16_t *number)
{
    size_t i = 0;
    if (n == 0 || chain[0].chain >= DS_DELTA_LAST)
        return false;
    *number = (uint16_t)(chain[0].chain + 1);
    unsigned want = *number & chain[0].chain;
    while (i + 1 < n && chain[i].chain > want)
        i++;
    *at = i;
    return n - i <= DS_DELTA_DEPTH;
}
