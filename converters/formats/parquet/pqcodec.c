/* pqcodec.c - see pqcodec.h. */
#include "pqcodec.h"

#include <brotli/decode.h>
#include <lz4.h>
#include <snappy-c.h>
#include <zlib.h>
#include <zstd.h>

static const char DAMAGED[] = "a page cannot be unpacked";

static bool unsnappy(const uint8_t *p, size_t len, uint8_t *to, size_t n)
{
    size_t size = 0;

    return snappy_uncompressed_length((const char *)p, len, &size) == SNAPPY_OK && size == n &&
           snappy_uncompress((const char *)p, len, (char *)to, &size) == SNAPPY_OK && size == n;
}

/* gzip members one after the other, or zlib's form. */
static bool gunzip(const uint8_t *p, size_t len, uint8_t *to, size_t n)
{
    z_stream z = {.next_in = (Bytef *)(uintptr_t)p,
                  .avail_in = (uInt)len,
                  .next_out = to,
                  .avail_out = (uInt)n};
    int rc = inflateInit2(&z, 15 + 32);

    if (rc != Z_OK)
        return false;
    do {
        rc = inflate(&z, Z_FINISH);
    } while (rc == Z_STREAM_END && z.avail_in && z.avail_out && inflateReset(&z) == Z_OK);
    (void)inflateEnd(&z);
    return rc == Z_STREAM_END && z.avail_out == 0;
}

static bool unbrotli(const uint8_t *p, size_t len, uint8_t *to, size_t n)
{
    size_t size = n;

    return BrotliDecoderDecompress(len, p, &size, to) == BROTLI_DECODER_RESULT_SUCCESS && size == n;
}

static bool unlz4(const uint8_t *p, size_t len, uint8_t *to, size_t n)
{
    return LZ4_decompress_safe((const char *)p, (char *)to, (int)len, (int)n) == (int)n;
}

/* Blocks of u32 bytes that come out and u32 bytes that follow, big endian. */
static bool unframe(const uint8_t *p, size_t len, uint8_t *to, size_t n)
{
    while (len >= 8 && n) {
        const size_t out = ds_get_big32(p), in = ds_get_big32(p + 4);
        if (in > len - 8 || out > n || !unlz4(p + 8, in, to, out))
            return false;
        p += 8 + in;
        len -= 8 + in;
        to += out;
        n -= out;
    }
    return len == 0 && n == 0;
}

const char *ds_pq_unpack(int codec, const uint8_t *p, size_t len, uint8_t *to, size_t n)
{
    bool good;

    if (len > INT32_MAX || n > INT32_MAX)
        return DAMAGED;
    switch (codec) {
    case DS_PQ_SNAPPY:
        good = unsnappy(p, len, to, n);
        break;
    case DS_PQ_GZIP:
        good = gunzip(p, len, to, n);
        break;
    case DS_PQ_BROTLI:
        good = unbrotli(p, len, to, n);
        break;
    case DS_PQ_LZ4_HADOOP: /* some writers meant the raw one */
        good = unframe(p, len, to, n) || unlz4(p, len, to, n);
        break;
    case DS_PQ_LZ4:
        good = unlz4(p, len, to, n);
        break;
    case DS_PQ_ZSTD:
        good = ZSTD_decompress(to, n, p, len) == n;
        break;
    default:
        return codec == DS_PQ_LZO ? "it is packed by LZO, which is not read"
                                  : "it is packed in a way that is not known";
    }
    return good ? NULL : DAMAGED;
}
