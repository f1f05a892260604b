/* chunkpieces.c - see chunkpieces.h. */
#include "chunkpieces.h"

#include "dsr_cut.h"
#include "dsr_io.h"

const uint8_t *ds_chunk_bytes(ds_buf *window, const void *before, size_t len, const ds_chunk *c,
                              size_t at, size_t n)
{
    const size_t head = at >= c->head_len ? 0 : c->head_len - at < n ? c->head_len - at : n;

    if (len == 0 && head == 0)
        return c->body + (at - c->head_len);
    ds_buf_reset(window);
    if (ds_buf_put(window, before, len) || ds_buf_put(window, c->head + at, head) ||
        (n > head && ds_buf_put(window, c->body + (at + head - c->head_len), n - head)))
        return NULL;
    return window->data;
}

int ds_chunk_pieces(ds_refs *refs, ds_buf *window, const ds_chunk *c, ds_err *err)
{
    const size_t len = c->head_len + c->body_len;
    ds_sha id;
    int rc = 0;

    for (size_t at = 0, n; !rc && at < len; at += n) {
        const size_t left = len - at, most = left < DS_PIECE_MAX ? left : DS_PIECE_MAX;
        const uint8_t *p = ds_chunk_bytes(window, "", 0, c, at, most);
        if (!p)
            return ds_fail_nomem(err);
        n = ds_piece_len(p, left);
        rc = ds_addr_piece(&id, p, n, err);
        if (!rc && ds_refs_piece(refs, &id, (uint32_t)n))
            rc = ds_fail_nomem(err);
        if (c->spool && at + n > c->head_len)
            ds_spool_release(c->spool, at + n - c->head_len);
    }
    return rc;
}

bool ds_chunk_stored(const ds_refs *refs, ds_objstore *objs)
{
    size_t n;
    const ds_pieceref *p = ds_refs_pieces(refs, &n);

    for (size_t i = 0; i < n; i++)
        if (!ds_objstore_has(objs, &p[i].id))
            return false;
    return true;
}
