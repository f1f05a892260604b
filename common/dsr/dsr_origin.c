/* dsr_origin.c - see dsr_origin.h; docs/dsr-format.md, section 4. */
#include "dsr_origin.h"

#include <inttypes.h>

#define TOP ((uint64_t)1 << 63) /* sources, offsets and ends stay below */

int ds_origin_put(ds_buf *body, ds_origin_state *st, const ds_range *ranges, size_t n, ds_err *err)
{
    size_t before = body->len;
    ds_origin_state s = *st;
    int rc = ds_buf_varint(body, n);
    for (size_t i = 0; i < n && !rc; i++) {
        const ds_range *r = &ranges[i];
        if (r->source >= TOP || r->offset >= TOP || r->len >= TOP - r->offset) {
            body->len = before;
            return ds_fail(err, DS_FAIL,
                           "origin out of range: source %" PRIu64 ", offset %" PRIu64
                           ", length %" PRIu64,
                           r->source, r->offset, r->len);
        }
        bool same = r->source == s.source;
        rc = ds_buf_varint(body, ds_zigzag((int64_t)(r->source - s.source)));
        if (!rc)
            rc = ds_buf_varint(body, same ? ds_zigzag((int64_t)(r->offset - s.end)) : r->offset);
        if (!rc)
            rc = ds_buf_varint(body, r->len);
        s.source = r->source;
        s.end = r->offset + r->len;
    }
    if (rc) {
        body->len = before;
        return ds_fail_nomem(err);
    }
    *st = s;
    return 0;
}

/* One range at *pos; false when it is malformed. */
static bool range_get(const uint8_t *p, size_t len, size_t *pos, ds_origin_state *st, ds_range *r)
{
    uint64_t ds, d;
    if (!ds_varint_get(p, len, pos, &ds) || !ds_varint_get(p, len, pos, &d) ||
        !ds_varint_get(p, len, pos, &r->len))
        return false;
    /* Unsigned sums wrap; what left the range below 2^63 shows in the top bit. */
    r->source = st->source + (uint64_t)ds_unzigzag(ds);
    r->offset = ds == 0 ? st->end + (uint64_t)ds_unzigzag(d) : d;
    if (r->source >= TOP || r->offset >= TOP || r->len >= TOP - r->offset)
        return false;
    st->source = r->source;
    st->end = r->offset + r->len;
    return true;
}

int ds_origin_get(const uint8_t *p, size_t len, size_t *pos, ds_origin_state *st, ds_buf *out,
                  ds_err *err)
{
    uint64_t n;
    ds_buf_reset(out);
    if (!ds_varint_get(p, len, pos, &n) || n > (len - *pos) / 3)
        return ds_fail(err, DS_CORRUPT, "origins: bad number of ranges at byte %zu", *pos);
    for (uint64_t i = 0; i < n; i++) {
        ds_range r;
        if (!range_get(p, len, pos, st, &r))
            return ds_fail(err, DS_CORRUPT, "origins: bad range at byte %zu", *pos);
        if (ds_buf_put(out, &r, sizeof r))
            return ds_fail_nomem(err);
    }
    return 0;
}

int ds_origin_scan(const uint8_t *p, size_t len, uint64_t rows, ds_origin_state *st,
                   uint64_t *lowest, uint64_t *highest, ds_err *err)
{
    size_t pos = 0;
    uint64_t n;
    *lowest = UINT64_MAX;
    *highest = 0;
    if (!ds_varint_get(p, len, &pos, &n) || n != rows)
        return ds_fail(err, DS_CORRUPT, "origins: wrong number of rows");
    for (uint64_t i = 0; i < rows; i++) {
        if (!ds_varint_get(p, len, &pos, &n) || n > (len - pos) / 3)
            return ds_fail(err, DS_CORRUPT,
                           "origins: record %" PRIu64 ": bad number of ranges at byte %zu", i, pos);
        for (uint64_t k = 0; k < n; k++) {
            ds_range r;
            if (!range_get(p, len, &pos, st, &r))
                return ds_fail(err, DS_CORRUPT,
                               "origins: record %" PRIu64 ": bad range at byte %zu", i, pos);
            if (r.source < *lowest)
                *lowest = r.source;
            if (r.source >= *highest)
                *highest = r.source + 1;
        }
    }
    if (pos != len)
        return ds_fail(err, DS_CORRUPT, "origins: bytes after the last record, at byte %zu", pos);
    return 0;
}
