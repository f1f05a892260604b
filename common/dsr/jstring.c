/* jstring.c - see jstring.h. */
#include "jstring.h"

#ifdef __x86_64__
#include <immintrin.h>
#endif

#include "buf.h"
#include "utf8.h"

/* What the escapes of one letter stand for; 0: no such. */
static const uint8_t simple[256] = {['"'] = '"',  ['\\'] = '\\', ['/'] = '/',  ['b'] = '\b',
                                    ['f'] = '\f', ['n'] = '\n',  ['r'] = '\r', ['t'] = '\t'};

/* Four hex digits at p, or -1. */
static long hex4(const uint8_t *p, const uint8_t *end)
{
    if (end - p < 4)
        return -1;
    int a = ds_hex_digit(p[0]), b = ds_hex_digit(p[1]), c = ds_hex_digit(p[2]),
        d = ds_hex_digit(p[3]);
    return (a | b | c | d) < 0 ? -1 : (long)a << 12 | (long)b << 8 | (long)c << 4 | d;
}

#ifdef __x86_64__
typedef struct masks { /* of 64 bytes, the first one lowest */
    uint64_t quote, slash, control;
} masks;

__attribute__((target("avx2"))) static inline uint64_t join(__m256i low, __m256i high)
{
    return (uint32_t)_mm256_movemask_epi8(low) | (uint64_t)(uint32_t)_mm256_movemask_epi8(high)
                                                     << 32;
}

__attribute__((target("avx2"))) static inline masks look(__m256i a, __m256i b)
{
    const __m256i quote = _mm256_set1_epi8('"'), slash = _mm256_set1_epi8('\\'),
                  ctl = _mm256_set1_epi8(0x1f);
    return (masks){join(_mm256_cmpeq_epi8(a, quote), _mm256_cmpeq_epi8(b, quote)),
                   join(_mm256_cmpeq_epi8(a, slash), _mm256_cmpeq_epi8(b, slash)),
                   join(_mm256_cmpeq_epi8(_mm256_min_epu8(a, ctl), a),
                        _mm256_cmpeq_epi8(_mm256_min_epu8(b, ctl), b))};
}

/* Which bytes are letters that may follow a backslash, but for u: those whose high nibble is among
 * the ones that their low nibble allows. */
__attribute__((target("avx2"))) static inline __m256i letters(__m256i v)
{
    enum { H2 = 1, H5 = 2, H6 = 4, H7 = 8 };
    const __m256i high = _mm256_broadcastsi128_si256(
        _mm_setr_epi8(0, 0, H2, 0, 0, H5, H6, H7, 0, 0, 0, 0, 0, 0, 0, 0));
    const __m256i low = _mm256_broadcastsi128_si256(
        _mm_setr_epi8(0, 0, H2 | H6 | H7, 0, H7, 0, H6, 0, 0, 0, 0, 0, H5, 0, H6, H2));
    const __m256i nibble = _mm256_set1_epi8(15);
    __m256i both = _mm256_and_si256(
        _mm256_shuffle_epi8(high, _mm256_and_si256(_mm256_srli_epi16(v, 4), nibble)),
        _mm256_shuffle_epi8(low, _mm256_and_si256(v, nibble)));
    return _mm256_cmpgt_epi8(both, _mm256_setzero_si256());
}

/* The bytes behind backslashes that are not themselves behind one. *carry: the first byte is; then,
 * the first byte of the next 64. */
static inline uint64_t behind(uint64_t slash, uint64_t *carry)
{
    uint64_t out = slash << 1 | *carry;
    if (!(slash & out)) {
        *carry = slash >> 63;
        return out;
    }
    out = *carry;
    *carry = 0;
    for (uint64_t left = slash & ~out; left;) {
        const int i = __builtin_ctzll(left);
        *carry = i == 63;
        out |= i == 63 ? 0 : (uint64_t)2 << i;
        left &= i == 63 ? 0 : ~((uint64_t)3 << i);
    }
    return out;
}

/* Passes over what is surely right, whole escapes of it; what stops it is for others to judge. */
__attribute__((target("avx2"))) static const uint8_t *pass(const uint8_t *p, const uint8_t *end,
                                                           bool *escaped)
{
    uint64_t carry = 0;
    for (; end - p >= 64; p += 64) {
        __m256i a = _mm256_loadu_si256((const __m256i *)(const void *)p);
        __m256i b = _mm256_loadu_si256((const __m256i *)(const void *)(p + 32));
        masks m = look(a, b);
        uint64_t stop = m.quote | m.control, after = 0;
        if (m.slash | carry) {
            after = behind(m.slash, &carry);
            stop = (stop | after) & ~(after & join(letters(a), letters(b)));
        }
        if (stop) {
            const int i = __builtin_ctzll(stop);
            *escaped |= (m.slash & (((uint64_t)1 << i) - 1)) != 0;
            return p + i - (after >> i & 1);
        }
        *escaped |= m.slash != 0;
    }
    return p - carry;
}

#endif

/* *p stands on the backslash; afterwards behind the escape. */
static bool scan_escape(const uint8_t **p, const uint8_t *end, const char **why)
{
    const uint8_t *q = *p + 1;
    if (q == end) {
        *why = "the string does not end";
        return false;
    }
    if (simple[*q]) {
        *p = q + 1;
        return true;
    }
    long u = *q == 'u' ? hex4(q + 1, end) : -1;
    if (u < 0) {
        *why = *q == 'u' ? "\\u wants four hexadecimal digits" : "no such escape in a string";
        return false;
    }
    q += 5;
    if (u >= 0xd800 && u <= 0xdfff) {
        long low = end - q >= 6 && q[0] == '\\' && q[1] == 'u' ? hex4(q + 2, end) : -1;
        if (u >= 0xdc00 || low < 0xdc00 || low > 0xdfff) {
            *why = "half a surrogate pair in a string";
            return false;
        }
        q += 6;
    }
    *p = q;
    return true;
}

const uint8_t *ds_jstring_scan(const uint8_t *p, const uint8_t *end, bool *escaped,
                               const char **why)
{
#ifdef __x86_64__
    const bool wide = __builtin_cpu_supports("avx2");
#endif
    *escaped = false;
    for (;;) {
#ifdef __x86_64__
        if (wide)
            p = pass(p, end, escaped);
#endif
        p = ds_jstring_special(p, end);
        if (p < end && *p == '"')
            return p + 1;
        if (p == end || *p != '\\') {
            *why = p == end ? "the string does not end" : "a bare control character in a string";
            return p;
        }
        *escaped = true;
        do {
            if (!scan_escape(&p, end, why))
                return p;
        } while (p < end && *p == '\\');
    }
}

/* One escape at *p, which the scan has checked. */
static inline size_t unescape_one(uint8_t *out, const uint8_t **p, const uint8_t *end)
{
    const uint8_t *s = *p + 1;
    if (simple[*s]) {
        *out = simple[*s];
        *p = s + 1;
        return 1;
    }
    uint32_t u = (uint32_t)hex4(s + 1, end);
    *p = s + 5;
    if (u >= 0xd800 && u < 0xdc00) {
        u = 0x10000 + ((u - 0xd800) << 10) + ((uint32_t)hex4(s + 7, end) - 0xdc00);
        *p = s + 11;
    }
    return ds_utf8_put(out, u);
}

/* Both of these copy blindly and count what was good: there is room for what is left of the input.
 */
#ifdef __x86_64__
__attribute__((target("avx2"))) static inline uint64_t copy64(uint8_t *to, const uint8_t *p)
{
    const __m256i slash = _mm256_set1_epi8('\\');
    __m256i a = _mm256_loadu_si256((const __m256i *)(const void *)p),
            b = _mm256_loadu_si256((const __m256i *)(const void *)(p + 32));
    _mm256_storeu_si256((__m256i *)(void *)to, a);
    _mm256_storeu_si256((__m256i *)(void *)(to + 32), b);
    return join(_mm256_cmpeq_epi8(a, slash), _mm256_cmpeq_epi8(b, slash));
}

/* As long as 64 bytes and an escape that begins in them are followed by 64 more. */
__attribute__((target("avx2"))) static uint8_t *unescape_wide(uint8_t *o, const uint8_t **at,
                                                              const uint8_t *end)
{
    const uint8_t *p = *at;
    while (end - p >= 64 + 12 + 64) {
        const uint8_t *next = p;
        for (uint64_t left = copy64(o, p); left;) {
            const uint8_t *slash = p + __builtin_ctzll(left);
            o += slash - next;
            next = slash;
            o += unescape_one(o, &next, end);
            (void)copy64(o, next);
            left = next - p < 64 ? left & ~(uint64_t)0 << (next - p) : 0;
        }
        p += 64;
        if (next < p)
            o += p - next;
        else
            p = next;
    }
    *at = p;
    return o;
}
#endif

size_t ds_jstring_unescape(uint8_t *out, const uint8_t *p, size_t len)
{
    const uint8_t *end = p + len;
    uint8_t *o = out;
#ifdef __x86_64__
    if (__builtin_cpu_supports("avx2"))
        o = unescape_wide(o, &p, end);
#endif
    while (p < end) {
#ifdef __SSE2__
        while (end - p >= 16) {
            __m128i v = _mm_loadu_si128((const __m128i *)(const void *)p);
            _mm_storeu_si128((__m128i *)(void *)o, v);
            unsigned mask = (unsigned)_mm_movemask_epi8(_mm_cmpeq_epi8(v, _mm_set1_epi8('\\')));
            size_t good = mask ? (size_t)__builtin_ctz(mask) : 16;
            p += good;
            o += good;
            if (mask)
                break;
        }
#endif
        while (p < end && *p != '\\')
            *o++ = *p++;
        while (p < end && *p == '\\')
            o += unescape_one(o, &p, end);
    }
    return (size_t)(o - out);
}
