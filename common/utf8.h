/* utf8.h - is it UTF-8? RFC 3629: no overlong forms, no surrogates, nothing past U+10FFFF. Its
 * characters (code points) counted, cut between, and made. */
#ifndef DS_UTF8_H
#define DS_UTF8_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

/* Offset of the first byte of the first bad sequence, or len when all is well. SIMD where the CPU
 * has it. */
size_t ds_utf8_check(const uint8_t *p, size_t len);
/* A checker for text that comes in parts: feed, then end. State 0 to begin; returns false at the
 * first bad byte. */
typedef struct ds_utf8_state {
    uint8_t pending[4];
    uint8_t n, need;
    /* bytes accepted; the offset of the bad sequence once feed or end returned false */
    uint64_t offset;
} ds_utf8_state;
_Bool ds_utf8_feed(ds_utf8_state *s, const uint8_t *p, size_t len);
_Bool ds_utf8_end(ds_utf8_state *s);

/* The bytes of a byte order mark that a text begins with, which editors put there and is no part of
 * what it says: 3, or 0 where there is none. */
static inline size_t ds_utf8_mark(const void *text, size_t len)
{
    return len >= 3 && memcmp(text, "\xef\xbb\xbf", 3) == 0 ? 3 : 0;
}
/* White space of ASCII: the space, and tab, LF, VT, FF and CR. */
static inline _Bool ds_ascii_white(uint8_t c)
{
    return c == ' ' || (c >= '\t' && c <= '\r');
}
/* How many of the bytes begin a character. */
static inline size_t ds_utf8_count(const void *text, size_t len)
{
    const uint8_t *p = text;
    size_t n = 0;
    for (size_t i = 0; i < len; i++)
        n += (p[i] & 0xc0) != 0x80;
    return n;
}
/* The whole characters that at most `most` of the bytes hold, in bytes. */
static inline size_t ds_utf8_whole(const void *text, size_t len, size_t most)
{
    const uint8_t *p = text;
    if (len <= most)
        return len;
    while (most && (p[most] & 0xc0) == 0x80)
        most--;
    return most;
}

/* The bytes of a code point, and how many: 1 to 4. What is none is the caller's to keep away. */
static inline unsigned ds_utf8_put(uint8_t out[4], uint32_t u)
{
    if (u < 0x80) {
        out[0] = (uint8_t)u;
        return 1;
    }
    if (u < 0x800) {
        out[0] = (uint8_t)(0xc0 | u >> 6);
        out[1] = (uint8_t)(0x80 | (u & 0x3f));
        return 2;
    }
    if (u < 0x10000) {
        out[0] = (uint8_t)(0xe0 | u >> 12);
        out[1] = (uint8_t)(0x80 | (u >> 6 & 0x3f));
        out[2] = (uint8_t)(0x80 | (u & 0x3f));
        return 3;
    }
    out[0] = (uint8_t)(0xf0 | u >> 18);
    out[1] = (uint8_t)(0x80 | (u >> 12 & 0x3f));
    out[2] = (uint8_t)(0x80 | (u >> 6 & 0x3f));
    out[3] = (uint8_t)(0x80 | (u & 0x3f));
    return 4;
}

#endif
