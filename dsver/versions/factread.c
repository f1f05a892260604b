/* factread.c - see factread.h. */
#include "factread.h"

#include "sourcescan.h"

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

static int read_sources(ds_recfacts *f, ds_store *s, const git_oid *tree, ds_err *err)
{
    ds_sourcescan scan;
    ds_source x;
    int rc = ds_sourcescan_open(&scan, s, tree, err);

    while (!rc && (rc = ds_sourcescan_next(&scan, &x, err)) > 0)
        rc = ds_srcfacet_source(&f->origins, &x, err);
    ds_sourcescan_close(&scan);
    return rc;
}

static int read_origins(ds_recfacts *f, ds_store *s, const git_oid *commit, ds_err *err)
{
    ds_colread *c = NULL;
    ds_buf b = {0};
    int rc = ds_colread_origins(&c, s, commit, err);

    for (size_t k = 0; !rc && k < ds_colread_blocks(c); k++) {
        const uint64_t rows = ds_colread_first(c, k + 1) - ds_colread_first(c, k);
        rc = ds_colread_bytes(c, k, &b, err);
        rc = rc ? rc : ds_srcfacet_block(&f->origins, b.data, b.len, rows, err);
    }
    rc = rc ? rc : read_sources(f, s, &ds_colread_version(c)->tree, err);
    ds_buf_fini(&b);
    ds_colread_close(c);
    return rc ? rc : ds_recfacts_end(f, err);
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
    return rc ? rc : read_origins(f, s, commit, err);
}
