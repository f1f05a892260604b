/* tok_decode.c - ids to text, by the steps of the decoder.
 *
 * The reference hands a list of strings from step to step and joins what is left. ByteLevel alone,
 * as nearly all tokenizers have it, needs no such list.
 */
#include "tok_json.h"
#include "tok_parts.h"
#include "utf8.h"

#include <stdlib.h>
#include <string.h>

/* Length of the bad sequence at p: what the reference's lossy conversion replaces by one U+FFFD,
 * the longest prefix of a well-formed sequence, or one byte (Unicode 3.9, "maximal subparts"). */
static size_t bad_length(const uint8_t *p, size_t len)
{
    size_t need = p[0] >= 0xf0 && p[0] <= 0xf4  ? 4
                  : p[0] >= 0xe0 && p[0] < 0xf0 ? 3
                  : p[0] >= 0xc2 && p[0] < 0xe0 ? 2
                                                : 1;
    uint8_t lo = p[0] == 0xe0 ? 0xa0 : p[0] == 0xf0 ? 0x90 : 0x80;
    uint8_t hi = p[0] == 0xed ? 0x9f : p[0] == 0xf4 ? 0x8f : 0xbf;
    size_t n = 1;
    for (; n < need && n < len && p[n] >= lo && p[n] <= hi; n++) {
        lo = 0x80;
        hi = 0xbf;
    }
    return n;
}

#define REPLACEMENT "\xef\xbf\xbd"

static int put_lossy(ds_buf *out, const uint8_t *p, size_t len)
{
    int rc = 0;
    while (len > 0 && rc == 0) {
        size_t good = ds_utf8_check(p, len), skip = 0;
        rc = ds_buf_put(out, p, good);
        if (good < len) {
            skip = bad_length(p + good, len - good);
            if (rc == 0)
                rc = ds_buf_puts(out, REPLACEMENT);
        }
        p += good + skip;
        len -= good + skip;
    }
    return rc;
}

/* The strings between steps: text, and where each ends. */
typedef struct strings {
    ds_buf text, ends; /* size_t each */
} strings;

static size_t count(const strings *s)
{
    return s->ends.len / sizeof(size_t);
}
static const uint8_t *lend(const strings *s, size_t i, size_t *len)
{
    const size_t *e = (const size_t *)(const void *)s->ends.data;
    size_t from = i > 0 ? e[i - 1] : 0;
    *len = e[i] - from;
    return s->text.data + from;
}
static int put_end(strings *s)
{
    return ds_buf_put(&s->ends, &s->text.len, sizeof s->text.len);
}
static void strings_fini(strings *s)
{
    ds_buf_fini(&s->text);
    ds_buf_fini(&s->ends);
}

static int hex(uint8_t c)
{
    uint8_t low = c | 0x20;
    return (uint8_t)(c - '0') < 10 ? c - '0' : (uint8_t)(low - 'a') < 6 ? low - 'a' + 10 : -1;
}

/* The byte of "<0xAB>", or -1. The reference takes "<0x+B>" as well. */
static int byte_token(const uint8_t *p, size_t len)
{
    if (len != 6 || memcmp(p, "<0x", 3) != 0 || p[5] != '>')
        return -1;
    int high = p[3] == '+' ? 0 : hex(p[3]), low = hex(p[4]);
    return high < 0 || low < 0 ? -1 : high << 4 | low;
}

static int byte_fallback(strings *to, const strings *from, bool lossy)
{
    ds_buf run = {0};
    int rc = 0;
    for (size_t i = 0; i <= count(from) && rc == 0; i++) {
        size_t len = 0;
        const uint8_t *p = i < count(from) ? lend(from, i, &len) : NULL;
        int b = p != NULL ? byte_token(p, len) : -1;
        if (b >= 0) {
            rc = ds_buf_putc(&run, (uint8_t)b);
            continue;
        }
        if (run.len > 0 && (!lossy || ds_utf8_check(run.data, run.len) == run.len)) {
            rc = ds_buf_put(&to->text, run.data, run.len);
            rc = rc ? rc : put_end(to);
        } else {
            for (size_t k = 0; k < run.len && rc == 0; k++) {
                rc = ds_buf_puts(&to->text, REPLACEMENT);
                rc = rc ? rc : put_end(to);
            }
        }
        ds_buf_reset(&run);
        if (rc == 0 && p != NULL) {
            rc = ds_buf_put(&to->text, p, len);
            rc = rc ? rc : put_end(to);
        }
    }
    ds_buf_fini(&run);
    return rc;
}

/* At most start times the content off the beginning and stop times off the end. */
static void strip(const tok_decoder *d, const uint8_t **p, size_t *len)
{
    const char *text = d->replace.from;
    size_t n = d->replace.from_len;
    for (unsigned i = 0; i < d->start && *len >= n && memcmp(*p, text, n) == 0; i++) {
        *p += n;
        *len -= n;
    }
    for (unsigned i = 0; i < d->stop && *len >= n && memcmp(*p + *len - n, text, n) == 0; i++)
        *len -= n;
}

static int byte_level(const ds_tok *t, ds_buf *out, const uint8_t *p, size_t len)
{
    size_t before = out->len;
    int rc = 0;
    unsigned n;
    for (size_t i = 0; i < len && rc == 0; i += n) {
        uint32_t cp = ds_uni_get(p + i, &n);
        if (cp >= TOK_ALPHABET || t->alphabet[cp] < 0) {
            out->len = before; /* the token as it is spelled */
            return ds_buf_put(out, p, len);
        }
        rc = ds_buf_putc(out, (uint8_t)t->alphabet[cp]);
    }
    return rc;
}

/* One step that looks at strings one by one. */
static int each(const ds_tok *t, const tok_decoder *d, strings *to, const strings *from,
                ds_err *err)
{
    int rc = 0;
    for (size_t i = 0; i < count(from) && rc == 0; i++) {
        size_t len;
        const uint8_t *p = lend(from, i, &len);
        switch (d->kind) {
        case TOK_DECODE_REPLACE:
            rc = ds_tok_replace_apply(&d->replace, &to->text, p, len, err);
            break;
        case TOK_DECODE_METASPACE: {
            tok_replace one = d->replace;
            if (i == 0 && d->drop_first)
                one.to_len = 0;
            rc = ds_tok_replace_apply(&one, &to->text, p, len, err);
            break;
        }
        case TOK_DECODE_STRIP:
            strip(d, &p, &len);
            rc = ds_buf_put(&to->text, p, len);
            break;
        case TOK_DECODE_BYTE_LEVEL:
            rc = byte_level(t, &to->text, p, len);
            break;
        default:
            rc = ds_buf_put(&to->text, p, len);
        }
        if (rc == 0 && d->kind != TOK_DECODE_FUSE && d->kind != TOK_DECODE_BYTE_LEVEL)
            rc = put_end(to);
    }
    if (rc == 0 && (d->kind == TOK_DECODE_FUSE || d->kind == TOK_DECODE_BYTE_LEVEL))
        rc = put_end(to);
    return rc;
}

static int by_steps(const ds_tok *t, strings *s, bool lossy, ds_buf *out, ds_err *err)
{
    int rc = 0;
    for (unsigned k = 0; k < t->n_decoders && rc == 0; k++) {
        const tok_decoder *d = &t->decoder[k];
        strings next = {0};
        rc = d->kind == TOK_DECODE_BYTE_FALLBACK ? byte_fallback(&next, s, lossy)
                                                 : each(t, d, &next, s, err);
        if (rc == 0 && lossy && d->kind == TOK_DECODE_BYTE_LEVEL) {
            ds_buf fixed = {0};
            rc = put_lossy(&fixed, next.text.data, next.text.len);
            ds_buf_fini(&next.text);
            next.text = fixed;
            ds_buf_reset(&next.ends);
            rc = rc ? rc : put_end(&next);
        }
        strings_fini(s);
        *s = next;
    }
    return rc ? rc : ds_buf_put(out, s->text.data, s->text.len);
}

int ds_tok_decode(const ds_tok *tok, const uint32_t *ids, size_t n, unsigned flags, ds_buf *out,
                  ds_err *err)
{
    bool lossy = flags & DS_TOK_LOSSY;
    bool plain = tok->n_decoders == 1 && tok->decoder[0].kind == TOK_DECODE_BYTE_LEVEL;
    strings s = {0};
    ds_buf *to = plain && !lossy ? out : &s.text;
    size_t before = out->len;
    int rc = tok->n_decoders > 0 ? 0 : ds_fail(err, DS_FAIL, "this tokenizer has no decoder");
    for (size_t i = 0; i < n && rc == 0; i++) {
        const tok_entry *e = ds_tok_entry_of(tok, ids[i]);
        if (e == NULL) {
            rc = ds_fail(err, DS_FAIL, "id %u at position %zu is not in the vocabulary", ids[i], i);
        } else if (!((flags & DS_TOK_SKIP_SPECIAL) && (e->flags & TOK_SPECIAL))) {
            bool bytes = plain || (e->flags & TOK_RESPELLED);
            rc = ds_buf_put(to, tok->pool.data + (bytes ? e->bytes_at : e->text_at),
                            bytes ? e->bytes_len : e->text_len);
            if (rc == 0 && !plain)
                rc = put_end(&s);
            rc = rc ? ds_fail_nomem(err) : 0;
        }
    }
    if (rc == 0 && plain && lossy && put_lossy(out, s.text.data, s.text.len) != 0)
        rc = ds_fail_nomem(err);
    if (rc == 0 && !plain && by_steps(tok, &s, lossy, out, err) != 0)
        rc = ds_fail_nomem(err); /* the first failure stands: a pattern may have failed */
    if (rc != 0)
        out->len = before;
    strings_fini(&s);
    return rc;
}

static int read_strip(tok_decoder *d, const json_t *o, ds_err *err)
{
    const json_t *start = json_object_get(o, "start"), *stop = json_object_get(o, "stop");
    d->kind = TOK_DECODE_STRIP;
    if (!json_is_integer(start) || !json_is_integer(stop) || json_integer_value(start) < 0 ||
        json_integer_value(stop) < 0 || json_integer_value(start) > 1 << 20 ||
        json_integer_value(stop) > 1 << 20)
        return ds_fail(err, DS_FAIL, "decoder Strip has no start and stop");
    d->start = (unsigned)json_integer_value(start);
    d->stop = (unsigned)json_integer_value(stop);
    return ds_tok_text_read(json_object_get(o, "content"), "decoder Strip has no content", false,
                            &d->replace.from, &d->replace.from_len, err);
}

static int read_metaspace(tok_decoder *d, const json_t *o, ds_err *err)
{
    tok_metaspace m;
    int rc = ds_tok_metaspace_read(&m, o, "decoder", err);
    d->kind = TOK_DECODE_METASPACE;
    d->drop_first = m.prepend != TOK_PREPEND_NEVER;
    if (rc == 0 &&
        ((d->replace.from = strdup(m.text)) == NULL || (d->replace.to = strdup(" ")) == NULL))
        rc = ds_fail_nomem(err);
    d->replace.from_len = m.len;
    d->replace.to_len = 1;
    return rc;
}

static int read_one(void *ctx, const json_t *o, const char *type, ds_err *err)
{
    ds_tok *t = ctx;
    if (t->n_decoders == TOK_DECODERS)
        return ds_fail(err, DS_FAIL, "decoder: more than %d steps", TOK_DECODERS);
    tok_decoder *d = &t->decoder[t->n_decoders++];
    if (strcmp(type, "Replace") == 0) {
        d->kind = TOK_DECODE_REPLACE;
        return ds_tok_replace_read(&d->replace, o, "decoder Replace", err);
    }
    if (strcmp(type, "Strip") == 0)
        return read_strip(d, o, err);
    if (strcmp(type, "Metaspace") == 0)
        return read_metaspace(d, o, err);
    if (strcmp(type, "ByteLevel") == 0)
        d->kind = TOK_DECODE_BYTE_LEVEL;
    else if (strcmp(type, "ByteFallback") == 0)
        d->kind = TOK_DECODE_BYTE_FALLBACK;
    else if (strcmp(type, "Fuse") == 0)
        d->kind = TOK_DECODE_FUSE;
    else
        return ds_fail(
            err, DS_FAIL,
            "decoder %s is not supported (ByteLevel, ByteFallback, Fuse, Replace, Strip, "
            "Metaspace are)",
            type);
    return 0;
}

int ds_tok_read_decoder(ds_tok *t, const json_t *o, ds_err *err)
{
    return ds_tok_parts_each(o, "decoder", "decoders", read_one, t, err);
}

void ds_tok_decoders_fini(ds_tok *t)
{
    for (unsigned i = 0; i < t->n_decoders; i++)
        ds_tok_replace_fini(&t->decoder[i].replace);
    t->n_decoders = 0;
}
