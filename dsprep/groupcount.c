/* groupcount.c - see groupcount.h. */
#include "groupcount.h"

#include <stdlib.h>
#include <string.h>

struct ds_groupcell {
    uint8_t id[16];
    uint64_t n; /* 0: free */
};

static struct ds_groupcell *place(const ds_groupcount *g, const uint8_t *id)
{
    uint64_t h;
    memcpy(&h, id, sizeof h);
    size_t i = (size_t)h & (g->size - 1);
    while (g->cells[i].n && memcmp(g->cells[i].id, id, 16) != 0)
        i = (i + 1) & (g->size - 1);
    return &g->cells[i];
}

static int grow(ds_groupcount *g, ds_err *err)
{
    ds_groupcount more = {.size = g->size ? 2 * g->size : 1024};
    more.cells = calloc(more.size, sizeof *more.cells);
    if (!more.cells)
        return ds_fail_nomem(err);
    for (size_t i = 0; i < g->size; i++)
        if (g->cells[i].n)
            *place(&more, g->cells[i].id) = g->cells[i];
    more.used = g->used;
    free(g->cells);
    *g = more;
    return 0;
}

int ds_groupcount_add(ds_groupcount *g, const ds_sha *group, uint64_t *before, ds_err *err)
{
    int rc = 2 * g->used >= g->size ? grow(g, err) : 0;
    if (rc)
        return rc;
    struct ds_groupcell *c = place(g, group->b);
    *before = c->n;
    if (c->n++ == 0) {
        memcpy(c->id, group->b, 16);
        g->used++;
    }
    return 0;
}

void ds_groupcount_fini(ds_groupcount *g)
{
    free(g->cells);
    memset(g, 0, sizeof *g);
}
