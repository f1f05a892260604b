/* rowmarks.c - see rowmarks.h. */
#include "rowmarks.h"

#include <string.h>

#include "hash.h"

void ds_rowmarks_reset(ds_rowmarks *m)
{
    ds_buf_reset(&m->marks);
    ds_buf_reset(&m->counts);
    m->n = 0;
}

/* Which band, and its hash: other bands' hashes are other marks. The last byte is 0. */
static int put_band(ds_rowmarks *m, unsigned band, uint64_t hash)
{
    uint8_t mark[DS_DUP_MARK] = {(uint8_t)band};
    ds_set_u64(mark + 1, hash);
    mark[9] = (uint8_t)(band >> 8);
    return ds_buf_put(&m->marks, mark, sizeof mark);
}

int ds_rowmarks_near(ds_rowmarks *m, const ds_minhash *h, const uint8_t *p, size_t len, ds_err *err)
{
    bool any;
    ds_buf_reset(&m->bands);
    if (ds_buf_reserve(&m->bands, h->bands * sizeof(uint64_t)))
        return ds_fail_nomem(err);
    uint64_t *bands = (uint64_t *)(void *)m->bands.data;
    int rc = ds_minhash_text(h, &m->min, p, len, bands, &any, err);
    for (unsigned i = 0; rc == 0 && any && i < h->bands; i++, m->n++)
        rc = put_band(m, i, bands[i]) ? ds_fail_nomem(err) : 0;
    return rc;
}

int ds_rowmarks_same(ds_rowmarks *m, const uint8_t *p, size_t len, ds_err *err)
{
    uint8_t mark[DS_DUP_MARK];
    ds_sha sha;
    int rc = ds_sha_bytes(&sha, p, len, err);
    memcpy(mark, sha.b, DS_DUP_MARK - 1);
    mark[DS_DUP_MARK - 1] = 1; /* no band's */
    m->n++;
    return rc ? rc : ds_buf_put(&m->marks, mark, sizeof mark) ? ds_fail_nomem(err) : 0;
}

int ds_rowmarks_end(ds_rowmarks *m, ds_err *err)
{
    const uint32_t n = m->n;
    m->n = 0;
    return ds_buf_u32(&m->counts, n) ? ds_fail_nomem(err) : 0;
}

int ds_rowmarks_tell(const ds_rowmarks *m, uint64_t row, size_t *at, ds_dupset *set, ds_err *err)
{
    int rc = 0;
    for (uint32_t n = ds_get_u32(m->counts.data + 4 * row); rc == 0 && n > 0; n--) {
        rc = ds_dupset_mark(set, m->marks.data + *at, err);
        *at += DS_DUP_MARK;
    }
    return rc;
}

void ds_rowmarks_fini(ds_rowmarks *m)
{
    ds_minwork_fini(&m->min);
    ds_buf_fini(&m->bands);
    ds_buf_fini(&m->marks);
    ds_buf_fini(&m->counts);
}
