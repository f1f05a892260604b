/* jstring.h - strings of JSON (RFC 8259, section 7): where one ends, and what it stands for.
 *
 * UTF-8 is not checked here. Reads nothing at or past the end it is given. No global state.
 */
#ifndef DS_JSTRING_H
#define DS_JSTRING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __SSE2__
#include <emmintrin.h>
#endif

/* The first quote, backslash or control at or after p, or end. */
static inline const uint8_t *ds_jstring_special(const uint8_t *p, const uint8_t *end)
{
#ifdef __SSE2__
    const __m128i quote = _mm_set1_epi8('"'), slash = _mm_set1_epi8('\\'),
                  ctl = _mm_set1_epi8(0x1f);
    while (end - p >= 16) {
        __m128i v = _mm_loadu_si128((const __m128i *)(const void *)p);
        __m128i hit = _mm_or_si128(_mm_or_si128(_mm_cmpeq_epi8(v, quote), _mm_cmpeq_epi8(v, slash)),
                                   _mm_cmpeq_epi8(_mm_min_epu8(v, ctl), v));
        unsigned mask = (unsigned)_mm_movemask_epi8(hit);
        if (mask)
            return p + __builtin_ctz(mask);
        p += 16;
    }
#endif
    while (p < end && *p != '"' && *p != '\\' && *p >= 0x20)
        p++;
    return p;
}

/* Of a string whose opening quote stands before p: behind its closing quote, *escaped when it holds
 * escapes. Or the first byte that cannot be, with the reason (static) in *why, which was NULL. */
const uint8_t *ds_jstring_scan(const uint8_t *p, const uint8_t *end, bool *escaped,
                               const char **why);

/* Unescapes a scanned string (between its quotes) into `out`, which has room for len +
 * DS_JSTRING_SLACK bytes: escapes never make it longer. Returns the length. */
#define DS_JSTRING_SLACK 16
size_t ds_jstring_unescape(uint8_t *out, const uint8_t *p, size_t len);

#endif
