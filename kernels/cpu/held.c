/* held.c - see held.h. */
#include "held.h"

#include <stdlib.h>
#include <string.h>

#include "cpu.h"

static ds_packed *find(ds_held *h, const void *x)
{
    for (int i = 0; x && i < DS_HELD_MAX; i++)
        if (h->p[i].x == x)
            return &h->p[i];
    return NULL;
}

void ds_held_take(ds_held *h, const void *x)
{
    ds_packed *p = find(h, x);

    for (int i = 0; x && !p && i < DS_HELD_MAX; i++)
        if (!h->p[i].x) {
            p = &h->p[i];
            p->x = x;
            p->taken = 0;
            p->m = 0;
        }
    if (p)
        p->taken++;
}

void ds_held_drop(ds_held *h, const void *x)
{
    ds_packed *p = find(h, x);

    if (p && --p->taken == 0)
        p->x = NULL;
    for (int i = 0; !x && i < DS_HELD_MAX; i++)
        h->p[i].x = NULL;
}

float *ds_held_find(ds_held *h, const ds_panels *p, const void *x, int64_t m, int64_t k,
                    int64_t rows, bool *packed)
{
    ds_packed *e = find(h, x);
    const int64_t depth = ds_panels_depth(p, k);

    *packed = e && e->m == m && e->k == k && e->pairs == p->pairs;
    if (!e || *packed)
        return e ? e->at : NULL;
    const size_t need = (size_t)rows * (size_t)depth;
    e->m = 0;
    if (e->len < need) {
        free(e->at);
        e->at = ds_cpu_scratch(need);
        e->len = e->at ? need : 0;
        if (!e->at)
            return NULL;
    }
    e->m = m;
    e->k = k;
    e->pairs = p->pairs;
    return e->at;
}

void ds_held_fini(ds_held *h)
{
    for (int i = 0; i < DS_HELD_MAX; i++)
        free(h->p[i].at);
    memset(h, 0, sizeof *h);
}
