/* textbits.h - what kind of character each byte of a text belongs to, one bit a byte.
 *
 * Bit i % 64 of element i / 64 is byte i's. Words are what textmeasure.h says: runs of anything but
 * white space, each Han or kana character one of its own. Text must be valid UTF-8, of less than
 * 4 GiB. A ds_textbits (zeroed at first) belongs to one thread; the classes are shared.
 */
#ifndef DS_TEXTBITS_H
#define DS_TEXTBITS_H

#include "buf.h"

typedef struct ds_textclass ds_textclass;
int ds_textclass_new(ds_textclass **out, ds_err *err);
void ds_textclass_free(ds_textclass *c);
/* Bits of a code point: enum ds_uni classes of tok_uni.h. */
uint8_t ds_textclass_of(const ds_textclass *c, uint32_t cp);

typedef struct ds_textbits {
    const uint8_t *p;
    size_t len;
    uint64_t *start;  /* first bytes of words */
    uint64_t *edge;   /* these, all bytes of white space, and what lies behind the end */
    uint64_t *letter; /* first bytes of letters */
    uint64_t *punct;  /* all bytes of punctuation and symbols */
    uint64_t *cont;   /* bytes that are not the first of their character */
    uint64_t *lf;     /* line feeds */
    uint64_t *apart;  /* first bytes behind white space of ASCII */
    uint64_t *stop;   /* . ! ? and the first bytes of U+3000-3FFF and U+F000-FFFF */
    uint64_t *mark;   /* [ { */
    uint64_t chars, words, newlines;
    uint64_t hashes, ellipses; /* "#"; "..." without overlap, and U+2026 */
    ds_buf mem;
} ds_textbits;

/* The text is lent until the next. */
int ds_textbits_set(ds_textbits *b, const ds_textclass *c, const uint8_t *p, size_t len,
                    ds_err *err);
void ds_textbits_fini(ds_textbits *b);

/* ---- arrays of bits ---- */

static inline unsigned ds_bits_first(uint64_t v) /* not of 0 */
{
    return (unsigned)__builtin_ctzll(v);
}
static inline unsigned ds_bits_last(uint64_t v) /* not of 0 */
{
    return 63 - (unsigned)__builtin_clzll(v);
}
static inline unsigned ds_bits_count(uint64_t v)
{
    v -= v >> 1 & 0x5555555555555555u;
    v = (v & 0x3333333333333333u) + (v >> 2 & 0x3333333333333333u);
    return (unsigned)(((v + (v >> 4)) & 0x0f0f0f0f0f0f0f0fu) * 0x0101010101010101u >> 56);
}
/* The first n bits, n from 1 to 64. */
static inline uint64_t ds_bits_below(unsigned n)
{
    return UINT64_MAX >> (64 - n);
}
/* 64 bits from bit i on, which lies at most 64 bits behind the end. */
static inline uint64_t ds_bits_at(const uint64_t *a, size_t i)
{
    const unsigned s = (unsigned)(i & 63);
    return a[i >> 6] >> s | a[(i >> 6) + 1] << 1 << (63 - s);
}
/* The first bit of [from, to) that is set, or `to`. */
static inline size_t ds_bits_next(const uint64_t *a, size_t from, size_t to)
{
    if (from >= to)
        return to;
    size_t k = from >> 6;
    uint64_t v = a[k] & UINT64_MAX << (from & 63);
    while (v == 0 && ++k < (to + 63) >> 6)
        v = a[k];
    const size_t at = v ? (k << 6) + ds_bits_first(v) : to;
    return at < to ? at : to;
}
/* How many of [from, to) are set. */
static inline uint64_t ds_bits_sum(const uint64_t *a, size_t from, size_t to)
{
    uint64_t n = 0;
    for (; from < to; from += 64) {
        const uint64_t v = ds_bits_at(a, from);
        n += ds_bits_count(to - from < 64 ? v & ds_bits_below((unsigned)(to - from)) : v);
    }
    return n;
}

#endif
