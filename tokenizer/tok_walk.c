/* tok_walk.c - see tok_walk.h. */
#include "tok_walk.h"

#include <string.h>

#include "tok_uni.h"
#include "utf8.h"

int ds_tok_walk_bad(tok_walk *w, const char *what)
{
    return ds_fail(w->err, DS_FAIL, "offset %zu: %s", (size_t)(w->p - w->begin), what);
}

static int hex4(tok_walk *w, uint32_t *out)
{
    if (w->end - w->p < 4)
        return ds_tok_walk_bad(w, "a \\u escape without four digits");
    *out = 0;
    for (int i = 0; i < 4; i++) {
        uint8_t c = *w->p++, low = c | 0x20;
        uint32_t d = (uint8_t)(c - '0') < 10    ? c - 48u
                     : (uint8_t)(low - 'a') < 6 ? low - 'a' + 10u
                                                : 16;
        if (d > 15)
            return ds_tok_walk_bad(w, "a \\u escape without four digits");
        *out = *out << 4 | d;
    }
    return 0;
}

static int escape(tok_walk *w, uint8_t **to)
{
    static const char from[] = "\"\\/bfnrt", is[] = "\"\\/\b\f\n\r\t";
    if (w->p == w->end)
        return ds_tok_walk_bad(w, "the text ends inside a string");
    uint8_t c = *w->p++;
    const char *k = c != 0 ? strchr(from, c) : NULL;
    uint32_t cp, low;
    if (k != NULL) {
        *(*to)++ = (uint8_t)is[k - from];
        return 0;
    }
    if (c != 'u')
        return ds_tok_walk_bad(w, "an escape that JSON does not have");
    int rc = hex4(w, &cp);
    if (rc == 0 && cp >= 0xd800 && cp < 0xdc00) {
        if (w->end - w->p < 2 || w->p[0] != '\\' || w->p[1] != 'u')
            return ds_tok_walk_bad(w, "half of a surrogate pair");
        w->p += 2;
        rc = hex4(w, &low);
        if (rc == 0 && (low < 0xdc00 || low > 0xdfff))
            return ds_tok_walk_bad(w, "half of a surrogate pair");
        cp = 0x10000 + ((cp - 0xd800) << 10) + (low - 0xdc00);
    } else if (rc == 0 && ((cp >= 0xdc00 && cp <= 0xdfff) || cp == 0)) {
        return ds_tok_walk_bad(w, cp == 0 ? "a token with a NUL" : "half of a surrogate pair");
    }
    if (rc == 0)
        *to += ds_utf8_put(*to, cp);
    return rc;
}

/* The bytes of eight that have to be looked at, quotes, backslashes and control characters, as
 * their upper bits; those above the first one may be wrong. */
static inline uint64_t odd_bytes(uint64_t v)
{
    const uint64_t ones = UINT64_MAX / 255, high = ones << 7;
    uint64_t q = v ^ ones * '"', b = v ^ ones * '\\';
    return (((q - ones) & ~q) | ((b - ones) & ~b) | ((v - ones * 0x20) & ~v)) & high;
}

/* Plain bytes at w->p to o; returns behind them. Whole words are written. */
static inline uint8_t *plain_bytes(tok_walk *w, uint8_t *o)
{
    const uint8_t *p = w->p;
    uint64_t v, odd = 0;
    while (w->end - p >= 8) {
        memcpy(&v, p, 8);
        memcpy(o, &v, 8);
        odd = odd_bytes(v);
        if (odd != 0)
            break;
        p += 8;
        o += 8;
    }
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
    if (odd != 0) {
        unsigned n = (unsigned)__builtin_ctzll(odd) / 8;
        w->p = p + n;
        return o + n;
    }
#endif
    while (p < w->end && *p != '"' && *p != '\\' && *p >= 0x20)
        *o++ = *p++;
    w->p = p;
    return o;
}

int ds_tok_walk_string(tok_walk *w, uint8_t **to)
{
    if (!tok_walk_take(w, '"'))
        return ds_tok_walk_bad(w, "a string is expected");
    uint8_t *o = *to;
    int rc = 0;
    while (rc == 0) {
        o = plain_bytes(w, o);
        if (w->p == w->end)
            return ds_tok_walk_bad(w, "the text ends inside a string");
        uint8_t c = *w->p++;
        if (c == '"')
            break;
        if (c == '\\')
            rc = escape(w, &o);
        else
            return ds_tok_walk_bad(w, "a control character inside a string");
    }
    *to = o;
    return rc;
}

int ds_tok_walk_skip(tok_walk *w)
{
    size_t depth = 0;
    bool in_string = false;
    tok_walk_space(w);
    for (; w->p < w->end; w->p++) {
        uint8_t c = *w->p;
        if (in_string) {
            w->p += c == '\\' && w->p + 1 < w->end;
            in_string = c != '"';
            if (!in_string && depth == 0) {
                w->p++;
                return 0;
            }
        } else if (c == '"') {
            in_string = true;
        } else if (c == '{' || c == '[') {
            depth++;
        } else if (depth == 0 && (c == ',' || c == '}' || c == ']')) {
            return 0;
        } else if (c == '}' || c == ']') {
            if (--depth == 0) {
                w->p++;
                return 0;
            }
        }
    }
    return ds_tok_walk_bad(w, "the text ends inside a value");
}

const uint8_t *ds_tok_walk_find(const tok_walk *w, const char *name, size_t len)
{
    const uint8_t *p = w->p;
#ifdef __SSE2__
    const __m128i first = _mm_set1_epi8(name[0]), second = _mm_set1_epi8(name[1]);
    for (; (size_t)(w->end - p) >= len + 16; p += 16) {
        __m128i a = _mm_loadu_si128((const __m128i *)(const void *)p);
        __m128i b = _mm_loadu_si128((const __m128i *)(const void *)(p + 1));
        unsigned m = (unsigned)_mm_movemask_epi8(
            _mm_and_si128(_mm_cmpeq_epi8(a, first), _mm_cmpeq_epi8(b, second)));
        for (; m != 0; m &= m - 1)
            if (memcmp(p + __builtin_ctz(m), name, len) == 0)
                return p + __builtin_ctz(m);
    }
#endif
    return memmem(p, (size_t)(w->end - p), name, len);
}
