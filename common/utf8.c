/* utf8.c - see utf8.h. The well-formed sequences are table 3-7 of the Unicode Standard (RFC 3629,
 * section 4). */
#include "utf8.h"

#include <stdbool.h>
#include <string.h>

#ifdef __x86_64__
#include <immintrin.h>
#endif

/* Length of the ASCII run at p. */
static size_t ascii_run(const uint8_t *p, size_t len)
{
    size_t i = 0;
#ifdef __x86_64__
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

#ifdef __x86_64__
/* Keiser, Lemire: "Validating UTF-8 In Less Than One Instruction Per Byte" (2021). Whatever can be
 * wrong with two neighbouring bytes shows in three of their nibbles: a table for each says which
 * errors it allows, and an error that all three allow is there. */
enum {
    SHORT = 1,         /* a lead byte, then no continuation */
    LONG = 2,          /* ASCII, then a continuation */
    OVER3 = 4,         /* E0, then less than A0 */
    LARGE = 8,         /* F4, then more than 8F; or a lead past F4 */
    SURR = 16,         /* ED, then more than 9F */
    OVER2 = 32,        /* C0 or C1 */
    LARGE8_OVER4 = 64, /* a lead past F4, then 8x; or F0, then less than 90 */
    TWO = 128,         /* two continuations: right only as bytes 2-3 or 3-4 of a sequence */
    CARRY = SHORT | LONG | TWO
};

#define ROW(...) _mm256_broadcastsi128_si256(_mm_setr_epi8(__VA_ARGS__))
#define C(x) ((char)(uint8_t)(x))

/* Checks whole blocks of 32 bytes. Returns where a character begins, up to which all is well and
 * from where the plain check goes on: near the end, or just before an error. */
__attribute__((target("avx2"))) static size_t check_avx2(const uint8_t *p, size_t len)
{
    const __m256i hi1 =
        ROW(LONG, LONG, LONG, LONG, LONG, LONG, LONG, LONG, C(TWO), C(TWO), C(TWO), C(TWO),
            SHORT | OVER2, SHORT, SHORT | OVER3 | SURR, SHORT | LARGE | LARGE8_OVER4);
    const int big = CARRY | LARGE | LARGE8_OVER4;
    const __m256i lo1 = ROW(C(CARRY | OVER3 | OVER2 | LARGE8_OVER4), C(CARRY | OVER2), C(CARRY),
                            C(CARRY), C(CARRY | LARGE), C(big), C(big), C(big), C(big), C(big),
                            C(big), C(big), C(big), C(big | SURR), C(big), C(big));
    const int cont = LONG | OVER2 | TWO;
    const __m256i hi2 =
        ROW(SHORT, SHORT, SHORT, SHORT, SHORT, SHORT, SHORT, SHORT, C(cont | OVER3 | LARGE8_OVER4),
            C(cont | OVER3 | LARGE), C(cont | SURR | LARGE), C(cont | SURR | LARGE), SHORT, SHORT,
            SHORT, SHORT);
    const __m256i nibble = _mm256_set1_epi8(15), top = _mm256_set1_epi8(C(0x80));
    const __m256i three = _mm256_set1_epi8(C(0xe0 - 0x80)), four = _mm256_set1_epi8(C(0xf0 - 0x80));
    __m256i before = _mm256_setzero_si256();
    size_t i = 0;
    for (; len - i >= 32; i += 32) {
        __m256i in, error;
        memcpy(&in, p + i, sizeof in);
        __m256i over = _mm256_permute2x128_si256(before, in, 0x21);
        __m256i prev1 = _mm256_alignr_epi8(in, over, 15);
        __m256i a = _mm256_shuffle_epi8(hi1, _mm256_and_si256(_mm256_srli_epi16(prev1, 4), nibble));
        __m256i b = _mm256_shuffle_epi8(lo1, _mm256_and_si256(prev1, nibble));
        __m256i c = _mm256_shuffle_epi8(hi2, _mm256_and_si256(_mm256_srli_epi16(in, 4), nibble));
        __m256i prev2 = _mm256_alignr_epi8(in, over, 14), prev3 = _mm256_alignr_epi8(in, over, 13);
        __m256i must =
            _mm256_or_si256(_mm256_subs_epu8(prev2, three), _mm256_subs_epu8(prev3, four));
        error = _mm256_xor_si256(_mm256_and_si256(_mm256_and_si256(a, b), c),
                                 _mm256_and_si256(must, top));
        if (!_mm256_testz_si256(error, error))
            break;
        before = in;
    }
    /* A sequence may have begun in the block before: go back to its first byte. */
    for (size_t back = 1; back <= 3 && back <= i; back++) {
        if ((p[i - back] & 0xc0) == 0x80)
            continue;
        unsigned need = need_of(p[i - back]);
        return need == 0 || need > back ? i - back : i;
    }
    return i;
}
#undef ROW
#undef C
#endif

size_t ds_utf8_check(const uint8_t *p, size_t len)
{
    size_t i = 0;
#ifdef __x86_64__
    if (len >= 64 && __builtin_cpu_supports("avx2"))
        i = check_avx2(p, len);
#endif
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
