/* blockcopy.c - see blockcopy.h. */
#include "blockcopy.h"

#include <string.h>

size_t ds_block_bytes(const ds_block *b)
{
    size_t sum = 0;
    for (size_t i = 0; i < b->nchunks; i++) {
        size_t n;
        if (!ds_add_size(b->chunks[i].head_len, b->chunks[i].body_len, &n) ||
            !ds_add_size(sum, n, &sum))
            return SIZE_MAX;
    }
    return sum;
}

/* Makes `b` exactly len bytes long, contents undefined. */
static int buf_size(ds_buf *b, size_t len)
{
    ds_buf_reset(b);
    int rc = ds_buf_reserve(b, len ? len : 1);
    if (rc == 0)
        b->len = len;
    return rc;
}

int ds_blockcopy_set(ds_blockcopy *c, const ds_block *b, ds_err *err)
{
    size_t n = b->nchunks, total = ds_block_bytes(b), nends = 0;
    for (size_t i = 0; i < n; i++)
        nends += b->npieces[i];
    if (buf_size(&c->bytes, total) || buf_size(&c->chunks, n * sizeof(ds_chunk)) ||
        buf_size(&c->npieces, n * sizeof(size_t)) || buf_size(&c->ends, nends * sizeof(size_t)) ||
        buf_size(&c->lists, n * sizeof(size_t *)))
        return ds_fail_nomem(err);

    ds_chunk *chunks = (void *)c->chunks.data;
    size_t *npieces = (void *)c->npieces.data, *ends = (void *)c->ends.data;
    size_t **lists = (void *)c->lists.data;
    uint8_t *p = c->bytes.data;
    for (size_t i = 0; i < n; i++) {
        const ds_chunk *from = &b->chunks[i];
        chunks[i] = (ds_chunk){.body = p, .body_len = from->head_len + from->body_len};
        if (from->head_len)
            memcpy(p, from->head, from->head_len);
        if (from->body_len)
            memcpy(p + from->head_len, from->body, from->body_len);
        p += chunks[i].body_len;
        npieces[i] = b->npieces[i];
        lists[i] = ends;
        if (npieces[i])
            memcpy(ends, b->piece_ends[i], npieces[i] * sizeof *ends);
        ends += npieces[i];
    }
    c->block = (ds_block){.rows = b->rows,
                          .offset = b->offset,
                          .sources = b->sources,
                          .path = b->path,
                          .nchunks = n,
                          .chunks = chunks,
                          .piece_ends = lists,
                          .npieces = npieces};
    return 0;
}

void ds_blockcopy_fini(ds_blockcopy *c)
{
    ds_buf_fini(&c->bytes);
    ds_buf_fini(&c->chunks);
    ds_buf_fini(&c->npieces);
    ds_buf_fini(&c->ends);
    ds_buf_fini(&c->lists);
    memset(&c->block, 0, sizeof c->block);
}
