/* sourcelist.c - see sourcelist.h. */
#include "sourcelist.h"

#include <stdlib.h>
#include <string.h>

#include "dsr_sources.h"
#include "sourcescan.h"

int ds_sourcelist_read(ds_sourcelist *l, ds_store *s, const git_oid *tree, ds_err *err)
{
    ds_sourcescan at;
    ds_source src;
    int rc = ds_sourcescan_open(&at, s, tree, err);
    while (!rc && (rc = ds_sourcescan_next(&at, &src, err)) > 0) {
        rc = ds_source_put(&l->rows, &src) ? ds_fail_nomem(err) : 0;
        l->n++;
    }
    ds_sourcescan_close(&at);
    return rc;
}

bool ds_sourcelist_next(const ds_sourcelist *l, size_t *pos, ds_source *s)
{
    return *pos < l->rows.len && ds_source_get(l->rows.data, l->rows.len, pos, s);
}

typedef struct known {
    const uint8_t *p;
    size_t len;
    uint64_t number;
} known;

static int by_bytes(const void *x, const void *y)
{
    const known *a = x, *b = y;
    const size_t n = a->len < b->len ? a->len : b->len;
    const int c = memcmp(a->p, b->p, n);
    return c ? c : (a->len > b->len) - (a->len < b->len);
}

int ds_sourcelist_join(ds_sourcelist *l, const ds_sourcelist *more, ds_buf *map, ds_err *err)
{
    known *have = malloc((size_t)(l->n + 1) * sizeof *have);
    const uint64_t before = l->n;
    ds_buf fresh = {0};
    ds_source src;
    uint64_t n = 0;
    int rc = have ? 0 : ds_fail_nomem(err);
    for (size_t pos = 0, at = 0; !rc && ds_sourcelist_next(l, &pos, &src); at = pos, n++)
        have[n] = (known){.p = l->rows.data + at, .len = pos - at, .number = n};
    if (!rc && n)
        qsort(have, n, sizeof *have, by_bytes);
    for (size_t pos = 0, at = 0; !rc && ds_sourcelist_next(more, &pos, &src); at = pos) {
        const known key = {.p = more->rows.data + at, .len = pos - at},
                    *k = before ? bsearch(&key, have, before, sizeof *have, by_bytes) : NULL;
        const uint64_t number = k ? k->number : l->n++;
        if ((!k && ds_buf_put(&fresh, key.p, key.len)) || ds_buf_put(map, &number, sizeof number))
            rc = ds_fail_nomem(err);
    }
    if (!rc && ds_buf_put(&l->rows, fresh.data, fresh.len))
        rc = ds_fail_nomem(err);
    ds_buf_fini(&fresh);
    free(have);
    return rc;
}

void ds_sourcelist_fini(ds_sourcelist *l)
{
    ds_buf_fini(&l->rows);
    *l = (ds_sourcelist){0};
}
