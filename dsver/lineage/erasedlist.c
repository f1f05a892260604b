/* erasedlist.c - see erasedlist.h. */
#include "erasedlist.h"

#include <stdlib.h>

#include "tombstone.h"

static int add(ds_buf *out, size_t from, uint64_t record, ds_err *err)
{
    const ds_records one = {record, 1};

    if (out->len > from) {
        ds_records *last = (ds_records *)(void *)(out->data + out->len - sizeof *last);
        if (last->first + last->n == record) {
            last->n++;
            return 0;
        }
    }
    return ds_buf_put(out, &one, sizeof one) ? ds_fail_nomem(err) : 0;
}

static int read_block(ds_buf *out, size_t from, ds_recblock *b, const ds_verside *v, size_t block,
                      uint64_t first, ds_err *err)
{
    int rc = ds_recblock_load(b, v, block, false, err);

    for (uint64_t i = first; !rc && ds_recblock_next(b); i++)
        if (ds_tombstone_is(b))
            rc = add(out, from, i, err);
    return rc;
}

int ds_erasedlist(ds_buf *out, ds_store *s, const git_oid *commit, ds_err *err)
{
    const size_t from = out->len;
    ds_verside v = {0};
    ds_recblock b = {0};
    ds_sha now, origin;
    uint64_t first = 0;
    bool *only = NULL;
    int rc = ds_verside_open(&v, s, commit, NULL, NULL, err);

    if (!rc && !(only = calloc(v.schema.n + 1, sizeof *only)))
        rc = ds_fail_nomem(err);
    if (!rc && v.schema.explicit_key) {
        only[0] = true;
        b.only = only;
    }
    for (size_t i = 0; !rc && v.erased && i < v.n; i++) {
        rc = ds_manline_addr(&v.lines[i], &now, &origin, err);
        if (!rc && !ds_sha_eq(&now, &v.was[i]))
            rc = read_block(out, from, &b, &v, i, first, err);
        first += v.lines[i].rows;
    }
    ds_recblock_fini(&b);
    ds_verside_fini(&v);
    free(only);
    return rc;
}

uint64_t ds_erasedlist_lacks(const ds_records *all, size_t nall, const ds_records *some,
                             size_t nsome)
{
    size_t k = 0;

    for (size_t i = 0; i < nsome; i++) {
        const uint64_t first = some[i].first, end = first + some[i].n;
        while (k < nall && all[k].first + all[k].n <= first)
            k++;
        if (k == nall || all[k].first > first)
            return first;
        if (all[k].first + all[k].n < end)
            return all[k].first + all[k].n;
    }
    return UINT64_MAX;
}
