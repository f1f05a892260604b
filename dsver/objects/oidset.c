/* oidset.c - see oidset.h. */
#include "oidset.h"

#include <stdlib.h>
#include <string.h>

#include "buf.h"

static size_t find(const ds_oidset *s, const git_oid *id)
{
    size_t i = ds_get_u32(id->id) & (s->cap - 1);
    while (s->used[i] && git_oid_cmp(&s->ids[i], id) != 0)
        i = (i + 1) & (s->cap - 1);
    return i;
}

static int grow(ds_oidset *s, ds_err *err)
{
    ds_oidset t = {.cap = s->cap ? s->cap * 2 : 256};
    t.ids = calloc(t.cap, sizeof *t.ids);
    t.used = calloc(t.cap, 1);
    if (!t.ids || !t.used) {
        ds_oidset_fini(&t);
        return ds_fail_nomem(err);
    }
    for (size_t i = 0; i < s->cap; i++)
        if (s->used[i]) {
            size_t k = find(&t, &s->ids[i]);
            t.ids[k] = s->ids[i];
            t.used[k] = 1;
        }
    t.n = s->n;
    ds_oidset_fini(s);
    *s = t;
    return 0;
}

int ds_oidset_add(ds_oidset *s, const git_oid *id, bool *fresh, ds_err *err)
{
    if (2 * (s->n + 1) > s->cap) {
        int rc = grow(s, err);
        if (rc)
            return rc;
    }
    size_t i = find(s, id);
    *fresh = !s->used[i];
    if (*fresh) {
        s->ids[i] = *id;
        s->used[i] = 1;
        s->n++;
    }
    return 0;
}

bool ds_oidset_has(const ds_oidset *s, const git_oid *id)
{
    return s->cap && s->used[find(s, id)];
}

void ds_oidset_fini(ds_oidset *s)
{
    free(s->ids);
    free(s->used);
    *s = (ds_oidset){0};
}
