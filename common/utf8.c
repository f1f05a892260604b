/* utf8.c - see utf8.h. The well-formed sequences are table 3-7 of the Unicode Standard (RFC 3629,
 * section 4). */
#include "utf8.h"

#include <stdbool.h>
#include <string.h>

#ifdef __SSE2__
#include <emmintrin.h>
#endif

/* Length of the ASCII run at p. */
static size_t ascii_run(const uint8_t *p, size_t len)
{
    size_t i = 0;
#ifdef __SSE2__
    for (; len - i >= 64; i += 64) {
        __m128i v[4];
        memcpy(v, p + i, sizeof v);
        __m128i any = _mm_or_si128(_mm_or_si128(v[0], v[1]), _mm_or_si128(v[2], v[3]));
        if (_mm_movemask_epi8(any))
            break;
    }
    for (; len - i >= 16; i += 16) {
        __m128i v;
        memcpy(&v, p + i, sizeof v);
        int mask = _mm_movemask_epi8(v);
        if (mask)
            return i + (size_t)__builtin_ctz((unsigned)mask);
    }
#endif
    for (; len - i >= 8; i += 8) {
        uint64_t w;
        memcpy(&w, p + i, sizeof w);
        if (w & 0x8080808080808080u)
            break;
    }
    while (i < len && p[i] < 0x80)
        i++;
    return i;
}

/* How many bytes a sequence with this first byte has; 0 when none begins so. */
static unsigned need_of(uint8_t c)
{
    if (c < 0x80)
        return 1;
    if (c < 0xc2)
        return 0;
    return c < 0xe0 ? 2 : c < 0xf0 ? 3 : c < 0xf5 ? 4 : 0;
}

/* The second byte is where overlong forms, surrogates and values past U+10FFFF show. */
static bool second_ok(uint8_t c, uint8_t d)
{
    switch (c) {
    case 0xe0:
        return d >= 0xa0 && d <= 0xbf;
    case 0xed:
        return d >= 0x80 && d <= 0x9f;
    case 0xf0:
        return d >= 0x90 && d <= 0xbf;
    case 0xf4:
        return d >= 0x80 && d <= 0x8f;
    default:
        return (d & 0xc0) == 0x80;
    }
}

/* Are these n bytes the beginning of a well-formed sequence? n >= 1 and at most its length. */
static bool prefix_ok(const uint8_t *p, size_t n)
{
    if (need_of(p[0]) == 0)
        return false;
    if (n > 1 && !second_ok(p[0], p[1]))
        return false;
    for (size_t i = 2; i < n; i++)
        if ((p[i] & 0xc0) != 0x80)
            return false;
    return true;
}

size_t ds_utf8_check(const uint8_t *p, size_t len)
{
    size_t i = 0;
    while (i < len) {
        uint8_t c = p[i];
        if (c < 0x80) {
            i += ascii_run(p + i, len - i);
            continue;
        }
        /* Three-byte sequences apart from E0 and ED are most of CJK text. */
        if (c > 0xe0 && c < 0xf0 && c != 0xed && len - i >= 3) {
            if ((p[i + 1] & 0xc0) != 0x80 || (p[i + 2] & 0xc0) != 0x80)
                return i;
            i += 3;
            continue;
        }
        unsigned need = need_of(c);
        if (need == 0 || len - i < need || !prefix_ok(p + i, need))
            return i;
        i += need;
    }
    return len;
}

_Bool ds_utf8_feed(ds_utf8_state *s, const uint8_t *p, size_t len)
{
    while (s->n > 0 && len > 0) {
        s->pending[s->n++] = *p++;
        len--;
        if (!prefix_ok(s->pending, s->n))
            return false;
        if (s->n == s->need) {
            s->offset += s->need;
            s->n = s->need = 0;
        }
    }
    size_t ok = ds_utf8_check(p, len);
    s->offset += ok;
    if (ok == len)
        return true;
    unsigned need = need_of(p[ok]);
    size_t rest = len - ok;
    if (rest >= need || !prefix_ok(p + ok, rest))
        return false;
    memcpy(s->pending, p + ok, rest);
    s->n = (uint8_t)rest;
    s->need = (uint8_t)need;
    return true;
}

_Bool ds_utf8_end(ds_utf8_state *s)
{
    return s->n == 0;
}
