/* codec.c - see codec.h. */
#include "codec.h"

#include <stdlib.h>
#include <string.h>
#include <zstd.h>

#define PLAIN_LEVEL 3
/* Deltas: the window spans bases and piece, up to 4 MiB. Among short records much of a delta tells
 * where the next one is like which, and a thorough search pays: 8 % fewer bytes for twice the time.
 * Among long ones most of it is new text, for which it does not: 7 % for four times the time. There
 * the time goes into the tables of the bases, of which the simplest strategy has one: 4 % more
 * bytes than with two of them, for two thirds of the time. With matches of 7 bytes that holds for
 * pixels too, where shorter ones are found everywhere and lead nowhere. */
#define DELTA_LEVEL 8
#define QUICK_LEVEL 3
#define QUICK_STRATEGY ZSTD_fast
#define QUICK_MATCH 7
#define LONG_ROW ((size_t)1 << 10)
#define DELTA_WINDOW 22
/* A filter is tried on a sample of the piece, at a fast level: which one wins there wins. */
#define SAMPLE ((size_t)32 << 10)
#define SAMPLE_LEVEL 1

struct ds_codec {
    ZSTD_CCtx *plain, *delta, *quick;
    ZSTD_DCtx *dctx;
    ds_buf filtered, trial;
};

int ds_codec_new(ds_codec **out, ds_err *err)
{
    ds_codec *c = calloc(1, sizeof *c);
    *out = c;
    if (!c)
        return ds_fail_nomem(err);
    c->plain = ZSTD_createCCtx();
    c->delta = ZSTD_createCCtx();
    c->quick = ZSTD_createCCtx();
    c->dctx = ZSTD_createDCtx();
    if (!c->plain || !c->delta || !c->quick || !c->dctx) {
        ds_codec_free(c);
        *out = NULL;
        return ds_fail_nomem(err);
    }
    ZSTD_CCtx_setParameter(c->delta, ZSTD_c_compressionLevel, DELTA_LEVEL);
    ZSTD_CCtx_setParameter(c->delta, ZSTD_c_windowLog, DELTA_WINDOW);
    ZSTD_CCtx_setParameter(c->quick, ZSTD_c_compressionLevel, QUICK_LEVEL);
    ZSTD_CCtx_setParameter(c->quick, ZSTD_c_strategy, QUICK_STRATEGY);
    ZSTD_CCtx_setParameter(c->quick, ZSTD_c_minMatch, QUICK_MATCH);
    ZSTD_CCtx_setParameter(c->quick, ZSTD_c_windowLog, DELTA_WINDOW);
    return 0;
}

void ds_codec_free(ds_codec *c)
{
    if (!c)
        return;
    ZSTD_freeCCtx(c->plain);
    ZSTD_freeCCtx(c->delta);
    ZSTD_freeCCtx(c->quick);
    ZSTD_freeDCtx(c->dctx);
    ds_buf_fini(&c->filtered);
    ds_buf_fini(&c->trial);
    free(c);
}

/* ---- filters ---- */

static uint64_t get_word(const uint8_t *p, unsigned w)
{
    uint64_t v = 0;
    for (unsigned b = 0; b < w; b++)
        v |= (uint64_t)p[b] << 8 * b;
    return v;
}

void ds_filter_apply(uint8_t *dst, const uint8_t *src, size_t n, unsigned filter)
{
    unsigned w = 1u << (filter & 3);
    size_t words = n / w;
    uint64_t last = 0;
    if (w == 2 && !(filter & 4)) {
        for (size_t i = 0; i < words; i++) {
            dst[i] = src[2 * i];
            dst[words + i] = src[2 * i + 1];
        }
    } else {
        for (size_t i = 0; i < words; i++) {
            uint64_t v = get_word(src + i * w, w), d = filter & 4 ? v - last : v;
            last = v;
            for (unsigned b = 0; b < w; b++)
                dst[b * words + i] = (uint8_t)(d >> 8 * b);
        }
    }
    memcpy(dst + words * w, src + words * w, n - words * w);
}

void ds_filter_undo(uint8_t *dst, const uint8_t *src, size_t n, unsigned filter)
{
    unsigned w = 1u << (filter & 3);
    size_t words = n / w;
    uint64_t last = 0;
    for (size_t i = 0; i < words; i++) {
        uint64_t v = 0;
        for (unsigned b = 0; b < w; b++)
            v |= (uint64_t)src[b * words + i] << 8 * b;
        if (filter & 4)
            last = v += last;
        for (unsigned b = 0; b < w; b++)
            dst[i * w + b] = (uint8_t)(v >> 8 * b);
    }
    memcpy(dst + words * w, src + words * w, n - words * w);
}

static size_t sample_size(ds_codec *c, const uint8_t *p, size_t n, size_t cap)
{
    size_t r = ZSTD_compressCCtx(c->plain, c->trial.data, cap, p, n, SAMPLE_LEVEL);
    return ZSTD_isError(r) ? n : r;
}

/* The filter that wins on a sample from the middle of the piece. */
static int pick_filter(ds_codec *c, const uint8_t *raw, size_t n, unsigned word, uint8_t *filter,
                       ds_err *err)
{
    unsigned log = word == 2 ? 1 : word == 4 ? 2 : word == 8 ? 3 : 0;
    *filter = 0;
    if (!log || n < 64)
        return 0;
    size_t len = n < SAMPLE ? n : SAMPLE, off = (n - len) / 2 / word * word,
           cap = ZSTD_compressBound(len);
    ds_buf_reset(&c->filtered);
    ds_buf_reset(&c->trial);
    if (ds_buf_reserve(&c->filtered, len) || ds_buf_reserve(&c->trial, cap))
        return ds_fail_nomem(err);
    size_t best = sample_size(c, raw + off, len, cap);
    const uint8_t tries[2] = {(uint8_t)log, (uint8_t)(log | 4)};
    for (int i = 0; i < 2; i++) {
        ds_filter_apply(c->filtered.data, raw + off, len, tries[i]);
        size_t got = sample_size(c, c->filtered.data, len, cap);
        if (got < best) {
            best = got;
            *filter = tries[i];
        }
    }
    return 0;
}

/* ---- pieces ---- */

int ds_codec_pack(ds_codec *c, const uint8_t *raw, size_t n, unsigned word, ds_buf *out,
                  ds_objhead *h, ds_err *err)
{
    const uint8_t *src = raw;
    size_t got = 0;
    h->codec = DS_CODEC_ZSTD;
    int rc = pick_filter(c, raw, n, word, &h->filter, err);
    if (rc)
        return rc;
    if (h->filter) {
        ds_buf_reset(&c->filtered);
        if (ds_buf_reserve(&c->filtered, n))
            return ds_fail_nomem(err);
        ds_filter_apply(c->filtered.data, raw, n, h->filter);
        src = c->filtered.data;
    }
    /* With the bound as room zstd takes its fast path; what did not shrink is dropped after. */
    size_t cap = ZSTD_compressBound(n);
    if (ds_buf_reserve(out, cap))
        return ds_fail_nomem(err);
    if (n > 0) {
        got = ZSTD_compressCCtx(c->plain, out->data + out->len, cap, src, n, PLAIN_LEVEL);
        if (ZSTD_isError(got))
            return ds_fail(err, DS_NOMEM, "compression failed: %s", ZSTD_getErrorName(got));
    }
    if (got >= n) {
        h->codec = DS_CODEC_RAW;
        h->filter = 0;
        if (n > 0)
            memcpy(out->data + out->len, raw, n);
        got = n;
    }
    out->len += got;
    h->stored = (uint32_t)got;
    return 0;
}

/* The search's table, for n bytes: matches are long, so that one place in four need be remembered,
 * and a table that stays in the cache takes half the time for 1 % more bytes. */
static int hash_log(size_t n)
{
    int log = 16;
    while (log < 20 && (size_t)4 << log < n)
        log++;
    return log;
}

int ds_codec_delta(ds_codec *c, const uint8_t *raw, size_t n, const uint8_t *base, size_t nbase,
                   size_t row, ds_buf *out, bool *got, ds_err *err)
{
    ZSTD_CCtx *z = row < LONG_ROW ? c->delta : c->quick;
    *got = false;
    size_t cap = ZSTD_compressBound(n);
    if (ds_buf_reserve(out, cap))
        return ds_fail_nomem(err);
    /* zstd looks at the last eight bytes of a prefix for each place of the table, and no more. */
    const int log = z == c->quick ? hash_log(nbase / 2) : hash_log(nbase + n);
    size_t r = ZSTD_CCtx_setParameter(z, ZSTD_c_hashLog, log);
    if (!ZSTD_isError(r))
        r = ZSTD_CCtx_refPrefix(z, base, nbase);
    if (!ZSTD_isError(r))
        r = ZSTD_compress2(z, out->data + out->len, cap, raw, n);
    if (ZSTD_isError(r))
        return ds_fail(err, DS_NOMEM, "compression failed: %s", ZSTD_getErrorName(r));
    if (r < n) {
        out->len += r;
        *got = true;
    }
    return 0;
}

const char *ds_codec_unpack(ds_codec *c, const ds_objhead *h, const uint8_t *payload,
                            const uint8_t *base, size_t nbase, ds_buf *out)
{
    if (h->filter > 7 || h->filter == 4)
        return "unknown filter";
    ds_buf_reset(out);
    ds_buf *to = h->filter ? &c->filtered : out;
    ds_buf_reset(to);
    if (ds_buf_reserve(out, h->raw) || ds_buf_reserve(to, h->raw))
        return "out of memory";
    if (h->raw == 0) /* always raw: no frame is shorter */
        return NULL;
    if (h->codec == DS_CODEC_RAW) {
        memcpy(to->data, payload, h->raw);
    } else {
        size_t r = h->codec == DS_CODEC_DELTA ? ZSTD_DCtx_refPrefix(c->dctx, base, nbase) : 0;
        if (!ZSTD_isError(r))
            r = ZSTD_decompressDCtx(c->dctx, to->data, h->raw, payload, h->stored);
        if (ZSTD_isError(r) || r != h->raw) {
            ZSTD_DCtx_reset(c->dctx, ZSTD_reset_session_and_parameters);
            return ZSTD_isError(r) ? "payload does not decode"
                                   : "payload decodes to another length";
        }
    }
    if (h->filter)
        ds_filter_undo(out->data, to->data, h->raw, h->filter);
    out->len = h->raw;
    return NULL;
}
