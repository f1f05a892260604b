/* sourcepage.c - see sourcepage.h. */
#include "sourcepage.h"

#include "dsr_sources.h"

enum { PAGE_MAX = 512 << 10, ROWS_MASK = 511 };

int ds_pagebuild_add(ds_pagebuild *b, const ds_source *s, uint64_t blocks, bool *before,
                     bool *after, ds_err *err)
{
    *before = *after = false;
    if (s->len > PAGE_MAX)
        return ds_fail(err, DS_FAIL, "a source's name has %zu bytes", s->len);
    if (b->rows > 0 && b->bytes.len + s->len + 64 > PAGE_MAX) {
        *before = true;
        return 0;
    }
    if (ds_buf_varint(&b->bytes, blocks - b->blocks))
        return ds_fail_nomem(err);
    size_t row = b->bytes.len;
    if (ds_source_put(&b->bytes, s))
        return ds_fail_nomem(err);
    b->rows++;
    b->blocks = blocks;
    *after = (ds_xxh64(b->bytes.data + row, b->bytes.len - row) & ROWS_MASK) == 0;
    return 0;
}

int ds_page_next(const uint8_t *p, size_t len, size_t *pos, uint64_t *blocks, ds_source *s,
                 ds_err *err)
{
    if (!ds_varint_get(p, len, pos, blocks) || !ds_source_get(p, len, pos, s))
        return ds_fail(err, DS_CORRUPT, "a page of sources is malformed at byte %zu", *pos);
    return 0;
}
