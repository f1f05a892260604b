/* shaset.c - see shaset.h. */
#include "shaset.h"

#include <stdlib.h>
#include <string.h>

#include "buf.h"

static size_t find(const ds_shaset *s, const ds_sha *id)
{
    size_t i = (size_t)ds_get_u64(id->b) & (s->nslots - 1);
    while (s->slots[i] && !ds_sha_eq(&s->ids[s->slots[i] - 1], id))
        i = (i + 1) & (s->nslots - 1);
    return i;
}

static int grow(ds_shaset *s, ds_err *err)
{
    if (ds_grow(&s->ids, &s->cap, s->n, sizeof *s->ids))
        return ds_fail_nomem(err);
    if (2 * (s->n + 1) <= s->nslots)
        return 0;
    size_t n = s->nslots ? s->nslots * 2 : 512, *slots = calloc(n, sizeof *slots);
    if (!slots)
        return ds_fail_nomem(err);
    free(s->slots);
    s->slots = slots;
    s->nslots = n;
    for (size_t i = 0; i < s->n; i++)
        slots[find(s, &s->ids[i])] = i + 1;
    return 0;
}

int ds_shaset_add(ds_shaset *s, const ds_sha *id, bool *fresh, ds_err *err)
{
    int rc = grow(s, err);
    if (rc)
        return rc;
    size_t i = find(s, id);
    if (fresh)
        *fresh = !s->slots[i];
    if (!s->slots[i]) {
        s->ids[s->n++] = *id;
        s->slots[i] = s->n;
    }
    return 0;
}

bool ds_shaset_has(const ds_shaset *s, const ds_sha *id)
{
    return s->nslots && s->slots[find(s, id)];
}

void ds_shaset_fini(ds_shaset *s)
{
    free(s->ids);
    free(s->slots);
    *s = (ds_shaset){0};
}
