/* dsr_addr.c - addresses; see dsr_io.h and docs/dsr-format.md, section 7. */
#include <stdlib.h>

#include "dsr_io.h"
#include "dsr_sources.h"

int ds_addr_pieces(ds_sha *out, const ds_bytes *v, size_t n, ds_err *err)
{
    return ds_sha_each(out, "ds.piece", v, n, err);
}

int ds_addr_piece(ds_sha *out, const void *p, size_t len, ds_err *err)
{
    return ds_addr_pieces(out, &(ds_bytes){p, len}, 1, err);
}

/* tag || a || n || addresses */
static int addr_list(ds_sha *out, const char *tag, size_t tag_len, uint64_t a, const ds_sha *addrs,
                     size_t n, ds_err *err)
{
    ds_hasher *h = NULL;
    int rc = ds_hasher_new(&h, err);
    if (!rc)
        rc = ds_hasher_put(h, tag, tag_len, err);
    if (!rc)
        rc = ds_hasher_u64(h, a, err);
    if (!rc)
        rc = ds_hasher_u64(h, n, err);
    for (size_t i = 0; i < n && !rc; i++)
        rc = ds_hasher_put(h, addrs[i].b, sizeof addrs[i].b, err);
    if (!rc)
        rc = ds_hasher_end(h, out, err);
    ds_hasher_free(h);
    return rc;
}

int ds_addr_chunk(ds_sha *out, uint64_t len, const ds_sha *pieces, size_t n, ds_err *err)
{
    static const char tag[] = "ds.chunk";
    return addr_list(out, tag, sizeof tag, len, pieces, n, err);
}

int ds_addr_block(ds_sha *out, uint64_t rows, const ds_sha *chunks, size_t n, ds_err *err)
{
    static const char tag[] = "ds.block";
    return addr_list(out, tag, sizeof tag, rows, chunks, n, err);
}

struct ds_rootsum {
    ds_hasher *blocks, *origins, *sources;
    ds_spool addrs; /* block addresses, kept: the schema digest goes before them and is known only
                       at the end */
    ds_buf row;
    uint64_t nblocks, nsources;
};

int ds_rootsum_new(ds_rootsum **r, ds_err *err)
{
    static const char origin[] = "ds.origin", sources[] = "ds.sources";
    *r = calloc(1, sizeof **r);
    if (!*r)
        return ds_fail_nomem(err);
    int rc = ds_hasher_new(&(*r)->blocks, err);
    if (!rc)
        rc = ds_hasher_new(&(*r)->origins, err);
    if (!rc)
        rc = ds_hasher_new(&(*r)->sources, err);
    if (!rc)
        rc = ds_hasher_put((*r)->origins, origin, sizeof origin, err);
    if (!rc)
        rc = ds_hasher_put((*r)->sources, sources, sizeof sources, err);
    if (rc) {
        ds_rootsum_free(*r);
        *r = NULL;
    }
    return rc;
}

int ds_rootsum_block(ds_rootsum *r, const ds_sha *block, const ds_sha *origin_chunk, ds_err *err)
{
    int rc = ds_spool_put(&r->addrs, block->b, sizeof block->b, err);
    if (rc)
        return rc;
    r->nblocks++;
    return ds_hasher_put(r->origins, origin_chunk->b, sizeof origin_chunk->b, err);
}

int ds_rootsum_source(ds_rootsum *r, const ds_source *s, ds_err *err)
{
    ds_buf_reset(&r->row);
    if (ds_source_put(&r->row, s))
        return ds_fail_nomem(err);
    r->nsources++;
    return ds_hasher_put(r->sources, r->row.data, r->row.len, err);
}

int ds_rootsum_end(ds_rootsum *r, const ds_sha *schema_digest, ds_sha *root, ds_sha *origin_root,
                   ds_err *err)
{
    static const char tag[] = "ds.root";
    ds_sha sources;
    const uint8_t *addrs = NULL;
    size_t len = 0;
    int rc = ds_spool_view(&r->addrs, &addrs, &len, err);
    if (!rc)
        rc = ds_hasher_put(r->blocks, tag, sizeof tag, err);
    if (!rc)
        rc = ds_hasher_put(r->blocks, schema_digest->b, sizeof schema_digest->b, err);
    if (!rc)
        rc = ds_hasher_put(r->blocks, addrs, len, err);
    if (!rc)
        rc = ds_hasher_u64(r->blocks, r->nblocks, err);
    if (!rc)
        rc = ds_hasher_end(r->blocks, root, err);
    if (!rc)
        rc = ds_hasher_u64(r->sources, r->nsources, err);
    if (!rc)
        rc = ds_hasher_end(r->sources, &sources, err);
    if (!rc)
        rc = ds_hasher_u64(r->origins, r->nblocks, err);
    if (!rc)
        rc = ds_hasher_put(r->origins, sources.b, sizeof sources.b, err);
    return rc ? rc : ds_hasher_end(r->origins, origin_root, err);
}

void ds_rootsum_free(ds_rootsum *r)
{
    if (!r)
        return;
    ds_hasher_free(r->blocks);
    ds_hasher_free(r->origins);
    ds_hasher_free(r->sources);
    ds_spool_fini(&r->addrs);
    ds_buf_fini(&r->row);
    free(r);
}
