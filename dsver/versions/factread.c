/* factread.c - see factread.h. */
#include "factread.h"

static int read_column(ds_recfacts *f, size_t i, ds_colread *c, const uint32_t *lengths,
                       ds_err *err)
{
    ds_buf b = {0};
    ds_colview v;
    int rc = 0;

    for (size_t k = 0; !rc && k < ds_colread_blocks(c); k++) {
        rc = ds_colread_block(c, k, &b, &v, err);
        rc = rc ? rc : ds_recfacts_take(f, i, &v, lengths, err);
    }
    ds_buf_fini(&b);
    return rc;
}

int ds_factread(ds_recfacts *f, ds_store *s, const git_oid *commit, const ds_schema *schema,
                const uint32_t *lengths, uint64_t records, ds_err *err)
{
    int rc = 0;

    for (size_t i = 0; !rc && i < f->ncols; i++) {
        ds_colread *c = NULL;
        const char *name = schema->cols[f->cols[i].column].name;
        rc = ds_colread_open(&c, s, commit, name, err);
        if (!rc && ds_colread_records(c) != records)
            rc = ds_fail(err, DS_CORRUPT, "column '%s' is of %llu records, not %llu", name,
                         (unsigned long long)ds_colread_records(c), (unsigned long long)records);
        rc = rc ? rc : read_column(f, i, c, lengths, err);
        ds_colread_close(c);
    }
    return rc;
}
