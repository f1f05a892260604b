/* dcmrle.c - see dcmrle.h. A frame is a header of 64 bytes (number of segments, their offsets) and
 * segments: one for every byte of every sample, the most significant first. */
#include "dcmrle.h"


/* PackBits into out[0], out[step], ... n values; what is missing at the end is an error. */
static bool unpack(uint8_t *out, size_t step, size_t n, const uint8_t *p, size_t len)
{
    size_t done = 0, at = 0;
    while (done < n && at < len) {
        unsigned c = p[at++];
        if (c == 128)
            continue;
        size_t run = c < 128 ? c + 1 : 257 - c;
        if (run > n - done)
            run = n - done; /* padding to an even length may be in the last run */
        if (c < 128) {
            if (len - at < run)
                return false;
            for (size_t i = 0; i < run; i++)
                out[(done + i) * step] = p[at + i];
            at += c + 1 <= len - at ? c + 1 : len - at;
        } else {
            if (at == len)
                return false;
            for (size_t i = 0; i < run; i++)
                out[(done + i) * step] = p[at];
            at++;
        }
        done += run;
    }
    return done == n;
}

int dcm_rle_decode(ds_buf *out, const uint8_t *p, size_t len, size_t pixels, unsigned samples,
                   unsigned bytes, ds_err *err)
{
    size_t size, total;
    unsigned n = samples * bytes;
    if (len < 64 || n == 0 || n > 15 || ds_get_u32(p) != n)
        return ds_fail(err, DS_FAIL, "RLE: not %u segments", n);
    if (!ds_mul_size(pixels, n, &total))
        return ds_fail_nomem(err);
    ds_buf_reset(out);
    if (ds_buf_reserve(out, total) != 0)
        return ds_fail_nomem(err);
    for (unsigned i = 0; i < n; i++) {
        size_t from = ds_get_u32(p + 4 + 4 * i);
        size_t to = i + 1 < n ? ds_get_u32(p + 8 + 4 * i) : len;
        unsigned sample = i / bytes, byte = bytes - 1 - i % bytes;
        if (from < 64 || from > to || to > len)
            return ds_fail(err, DS_FAIL, "RLE: segment %u lies outside of its frame", i);
        size = to - from;
        if (!unpack(out->data + sample * bytes + byte, n, pixels, p + from, size))
            return ds_fail(err, DS_FAIL, "RLE: segment %u is short", i);
    }
    out->len = total;
    return 0;
}
