/* sourcenums.c - see sourcenums.h. */
#include "sourcenums.h"

#include <stdlib.h>
#include <string.h>

static size_t *place(const ds_sourcenums *s, uint64_t input, uint64_t local)
{
    /* Numbers follow each other: the multiplications spread them. */
    uint64_t h = local * UINT64_C(0x9e3779b97f4a7c15) + input;
    h = (h ^ h >> 32) * UINT64_C(0xbf58476d1ce4e5b9);
    size_t i = (size_t)(h >> 20) & (s->nslots - 1);
    for (; s->slots[i]; i = (i + 1) & (s->nslots - 1)) {
        const ds_sourcenum *x = &s->v[s->slots[i] - 1];
        if (x->input == input && x->local == local)
            break;
    }
    return &s->slots[i];
}

static int grow(ds_sourcenums *s, ds_err *err)
{
    ds_sourcenums more = {.v = s->v, .n = s->n, .nslots = s->nslots ? 2 * s->nslots : 64};
    ds_sourcenum *v = reallocarray(s->v, more.nslots / 2, sizeof *v);
    if (!v)
        return ds_fail_nomem(err);
    s->v = more.v = v;
    s->cap = more.cap = more.nslots / 2;
    more.slots = calloc(more.nslots, sizeof *more.slots);
    if (!more.slots)
        return ds_fail_nomem(err);
    for (size_t i = 0; i < s->n; i++)
        *place(&more, v[i].input, v[i].local) = i + 1;
    free(s->slots);
    *s = more;
    return 0;
}

int ds_sourcenums_of(ds_sourcenums *s, uint64_t input, uint64_t local, uint64_t *number,
                     ds_err *err)
{
    int rc = s->n == s->cap ? grow(s, err) : 0;
    if (rc)
        return rc;
    size_t *slot = place(s, input, local);
    if (!*slot) {
        s->v[s->n++] = (ds_sourcenum){input, local};
        *slot = s->n;
    }
    *number = *slot - 1;
    return 0;
}

void ds_sourcenums_fini(ds_sourcenums *s)
{
    free(s->v);
    free(s->slots);
    memset(s, 0, sizeof *s);
}
