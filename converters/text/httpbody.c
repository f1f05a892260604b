/* httpbody.c - see httpbody.h. */
#include "httpbody.h"

#include <brotli/decode.h>
#include <inttypes.h>
#include <string.h>
#include <zlib.h>
#include <zstd.h>

#include "headfield.h"
#include "utf8.h"

#define STEP (64u << 10)
#define RATIO_FROM (16u << 20)
#define CODINGS 8 /* one on the other */

/* ---- chunks ---- */

/* The line that begins a chunk: its size, and behind it. 0: it is none. */
static size_t chunk_line(const uint8_t *p, size_t len, size_t *size)
{
    size_t at = 0, n = 0;
    for (; at < len && at < 16; at++) {
        const uint8_t c = p[at] | 0x20;
        const bool digit = p[at] >= '0' && p[at] <= '9';
        if (!digit && (c < 'a' || c > 'f'))
            break;
        n = n << 4 | (size_t)(digit ? p[at] - '0' : c - 'a' + 10);
    }
    const uint8_t *lf = at > 0 && at < 16 ? memchr(p + at, '\n', len - at) : NULL;
    if (!lf || (p[at] != ';' && !ds_ascii_white(p[at])))
        return 0;
    *size = n;
    return (size_t)(lf + 1 - p);
}

/* What is behind the last chunk, its trailer, belongs to no one here. */
static int unchunk(ds_buf *out, const uint8_t *p, size_t len, bool cut, bool *chunked, ds_err *err)
{
    size_t at = 0, size = 0, line = chunk_line(p, len, &size);
    *chunked = line > 0;
    while (line > 0 && size > 0) {
        at += line;
        const bool whole = size <= len - at;
        if (!whole && !cut)
            break;
        if (!whole)
            size = len - at;
        if (ds_buf_put(out, p + at, size) != 0)
            return ds_fail_nomem(err);
        at += size;
        if (at == len && cut)
            return 0;
        if (len - at >= 2 && p[at] == '\r' && p[at + 1] == '\n')
            at += 2;
        else if (len > at && p[at] == '\n')
            at++;
        else
            break;
        line = chunk_line(p + at, len - at, &size);
    }
    if (!*chunked || (line > 0 && size == 0) || cut)
        return 0;
    return ds_fail(err, DS_FAIL, "its chunks end too early, at byte %zu of its body", at);
}

/* ---- content encodings ---- */

typedef struct coder {
    ds_buf *out;
    const uint8_t *p;
    size_t len;
    const ds_httplimits *limits;
    ds_err *err;
} coder;

static int broken(const coder *c, const char *name, const char *why)
{
    return ds_fail(c->err, DS_FAIL, "its %s encoding is damaged: %s", name, why);
}

/* What there is of a body that was cut off is what came out of it. */
static int ended(const coder *c, const char *name)
{
    return c->limits->cut ? 0 : broken(c, name, "it ends too early");
}

/* Room for more of the output, if there may be more. */
static int room(const coder *c)
{
    const ds_httplimits *l = c->limits;
    const size_t n = c->out->len;
    if (n > l->most)
        return ds_fail(c->err, DS_FAIL, "its body expands to more than %zu bytes (--max-record)",
                       l->most);
    if (l->max_ratio && n > RATIO_FROM && n / l->max_ratio > c->len)
        return ds_fail(c->err, DS_FAIL,
                       "its body expands to more than %" PRIu64 " times its size (--max-ratio)",
                       l->max_ratio);
    return ds_buf_reserve(c->out, STEP) ? ds_fail_nomem(c->err) : 0;
}

/* zlib's formats: gzip, members one after the other; deflate with its header, or without. */
static int inflated(const coder *c, int bits, const char *name)
{
    z_stream z = {.next_in = (Bytef *)(uintptr_t)c->p};
    size_t left = c->len;
    if (inflateInit2(&z, bits) != Z_OK)
        return ds_fail_nomem(c->err);
    int rc = 0, got = Z_OK;
    while (rc == 0) {
        if (z.avail_in == 0 && left > 0) {
            z.avail_in = left > (1u << 30) ? 1u << 30 : (uInt)left;
            left -= z.avail_in;
        }
        if ((rc = room(c)) != 0)
            break;
        z.next_out = c->out->data + c->out->len;
        z.avail_out = STEP;
        got = inflate(&z, Z_NO_FLUSH);
        c->out->len += STEP - z.avail_out;
        const size_t rest = z.avail_in + left;
        if (got == Z_STREAM_END) {
            /* What is behind a stream and begins no other one is padding. */
            if (bits < 32 || rest < 2 || z.next_in[0] != 0x1f || z.next_in[1] != 0x8b)
                break;
            if (inflateReset(&z) != Z_OK)
                rc = ds_fail_nomem(c->err);
        } else if (got != Z_OK && got != Z_BUF_ERROR) {
            rc = c->limits->cut ? 0 : broken(c, name, z.msg ? z.msg : "it cannot be read");
            break;
        } else if (rest == 0 && z.avail_out > 0) {
            rc = ended(c, name);
            break;
        }
    }
    inflateEnd(&z);
    return rc;
}

static int brotli(const coder *c)
{
    BrotliDecoderState *s = BrotliDecoderCreateInstance(NULL, NULL, NULL);
    if (!s)
        return ds_fail_nomem(c->err);
    const uint8_t *next = c->p;
    size_t left = c->len;
    int rc = 0;
    BrotliDecoderResult got = BROTLI_DECODER_RESULT_NEEDS_MORE_OUTPUT;
    while (got == BROTLI_DECODER_RESULT_NEEDS_MORE_OUTPUT && (rc = room(c)) == 0) {
        uint8_t *to = c->out->data + c->out->len;
        size_t free = STEP;
        got = BrotliDecoderDecompressStream(s, &left, &next, &free, &to, NULL);
        c->out->len += STEP - free;
    }
    if (rc == 0 && got == BROTLI_DECODER_RESULT_NEEDS_MORE_INPUT)
        rc = ended(c, "br");
    else if (rc == 0 && got == BROTLI_DECODER_RESULT_ERROR && !c->limits->cut)
        rc = broken(c, "br", BrotliDecoderErrorString(BrotliDecoderGetErrorCode(s)));
    BrotliDecoderDestroyInstance(s);
    return rc;
}

static int zstandard(const coder *c)
{
    ZSTD_DStream *s = ZSTD_createDStream();
    ZSTD_inBuffer in = {.src = c->p, .size = c->len};
    int rc = s ? 0 : ds_fail_nomem(c->err);
    size_t hint = 1;
    while (rc == 0 && (rc = room(c)) == 0) {
        ZSTD_outBuffer out = {.dst = c->out->data + c->out->len, .size = STEP};
        hint = ZSTD_decompressStream(s, &out, &in);
        if (ZSTD_isError(hint)) {
            rc = c->limits->cut ? 0 : broken(c, "zstd", ZSTD_getErrorName(hint));
            break;
        }
        c->out->len += out.pos;
        if (in.pos == in.size && out.pos < out.size) {
            rc = hint ? ended(c, "zstd") : 0;
            break;
        }
    }
    ZSTD_freeDStream(s);
    return rc;
}

/* A deflate stream with the header that it should have. */
static bool has_zlib_head(const uint8_t *p, size_t len)
{
    return len >= 2 && (p[0] & 0x0f) == 8 && (p[0] >> 4) <= 7 && (p[0] << 8 | p[1]) % 31 == 0;
}

enum coding { CODING_NONE, CODING_GZIP, CODING_DEFLATE, CODING_BR, CODING_ZSTD, CODING_OTHER };

static enum coding coding_of(const uint8_t *p, size_t len)
{
    static const struct {
        const char *name;
        enum coding is;
    } names[] = {{"gzip", CODING_GZIP},  {"x-gzip", CODING_GZIP}, {"deflate", CODING_DEFLATE},
                 {"br", CODING_BR},      {"zstd", CODING_ZSTD},   {"identity", CODING_NONE},
                 {"", CODING_NONE},      {"utf-8", CODING_NONE},  {"none", CODING_NONE},
                 {"binary", CODING_NONE}};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (ds_bytes_are(p, len, names[i].name))
            return names[i].is;
    return CODING_OTHER;
}

/* *done = false: it is not what its header says. */
static int decode(const coder *c, enum coding is, bool *done)
{
    const uint8_t *p = c->p;
    *done = true;
    if (is == CODING_GZIP && c->len >= 3 && p[0] == 0x1f && p[1] == 0x8b && p[2] == 8)
        return inflated(c, 15 + 32, "gzip");
    if (is == CODING_ZSTD && c->len >= 4 && memcmp(p, "\x28\xb5\x2f\xfd", 4) == 0)
        return zstandard(c);
    if (is == CODING_DEFLATE && has_zlib_head(p, c->len))
        return inflated(c, 15, "deflate");
    if (is == CODING_BR || is == CODING_DEFLATE) {
        /* Neither has a mark: text that was decoded already reads as a damaged one. */
        ds_err why = {0};
        const coder quiet = {c->out, c->p, c->len, c->limits, &why};
        const bool text = ds_utf8_check(p, c->len) == c->len && !memchr(p, 0, c->len);
        const int rc = is == CODING_BR ? brotli(&quiet) : inflated(&quiet, -15, "deflate");
        if (rc != DS_FAIL)
            return rc ? ds_fail_nomem(c->err) : 0;
        if (!text)
            return ds_fail_as(c->err, &why);
    }
    *done = false;
    c->out->len = 0;
    return 0;
}

/* The words of a list such as "gzip, br", in order; how many, or -1 when they are too many. */
static int codings(const ds_headfield *f, ds_headfield v[CODINGS])
{
    int n = 0;
    for (size_t at = 0; at <= f->value_len && f->value;) {
        const uint8_t *p = f->value + at, *comma = memchr(p, ',', f->value_len - at);
        size_t len = comma ? (size_t)(comma - p) : f->value_len - at;
        at += len + 1;
        while (len > 0 && ds_ascii_white(*p)) {
            p++;
            len--;
        }
        while (len > 0 && ds_ascii_white(p[len - 1]))
            len--;
        if (coding_of(p, len) == CODING_NONE)
            continue;
        if (n == CODINGS)
            return -1;
        v[n++] = (ds_headfield){.value = p, .value_len = len};
    }
    return n;
}

static int uncode(ds_httpbody *b, ds_buf mem[2], const ds_headfield *f, const ds_httplimits *limits,
                  ds_err *err)
{
    ds_headfield v[CODINGS];
    int n = codings(f, v);
    if (n < 0)
        return ds_fail(err, DS_FAIL, "it has more than %d content encodings", CODINGS);
    while (n-- > 0) {
        const enum coding is = coding_of(v[n].value, v[n].value_len);
        bool done;
        if (is == CODING_OTHER)
            return ds_fail(err, DS_FAIL, "its content encoding \"%.*s\" is not known",
                           (int)(v[n].value_len < 40 ? v[n].value_len : 40),
                           (const char *)v[n].value);
        ds_buf *out = &mem[n & 1]; /* never the one that it is read from */
        out->len = 0;
        const coder c = {out, b->p, b->len, limits, err};
        const int rc = b->len ? decode(&c, is, &done) : 0;
        if (rc != 0 || b->len == 0 || !done)
            return rc;
        b->p = out->data;
        b->len = out->len;
    }
    return 0;
}

int ds_httpbody_read(ds_httpbody *b, ds_buf mem[3], const uint8_t *head, size_t head_len,
                     const uint8_t *p, size_t len, const ds_httplimits *limits, ds_err *err)
{
    ds_headfield f;
    *b = (ds_httpbody){.p = p, .len = len};
    mem[0].len = 0;
    if (ds_headfield_find(head, head_len, "Transfer-Encoding", &f) && f.value_len >= 7 &&
        ds_bytes_are(f.value + f.value_len - 7, 7, "chunked")) {
        bool chunked;
        int rc = unchunk(&mem[0], p, len, limits->cut, &chunked, err);
        if (rc != 0)
            return rc;
        if (chunked) {
            b->p = mem[0].data;
            b->len = mem[0].len;
        }
    }
    b->whole = b->p;
    b->whole_len = b->len;
    (void)ds_headfield_find(head, head_len, "Content-Encoding", &f);
    return uncode(b, mem + 1, &f, limits, err);
}
