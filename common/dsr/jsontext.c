/* jsontext.c - the text of values: escapes, base64, numbers, times. Contract in jsonrow.h. */
#include <string.h>

#ifdef __x86_64__
#include <immintrin.h>
#endif

#include "jsonrow.h"
#include "utf8.h"

/* Length of the run at p that needs no escape. */
static size_t plain_run(const uint8_t *p, size_t len)
{
    size_t i = 0;
#ifdef __x86_64__
    const __m128i ctl = _mm_set1_epi8(0x1f), quote = _mm_set1_epi8('"'), back = _mm_set1_epi8('\\');
    for (; i + 16 <= len; i += 16) {
        __m128i x = _mm_loadu_si128((const __m128i *)(const void *)(p + i));
        __m128i bad = _mm_cmpeq_epi8(_mm_min_epu8(x, ctl), x);
        bad = _mm_or_si128(bad, _mm_or_si128(_mm_cmpeq_epi8(x, quote), _mm_cmpeq_epi8(x, back)));
        unsigned mask = (unsigned)_mm_movemask_epi8(bad);
        if (mask)
            return i + (size_t)__builtin_ctz(mask);
    }
#endif
    while (i < len && p[i] > 0x1f && p[i] != '"' && p[i] != '\\')
        i++;
    return i;
}

enum { ESCAPE_MAX = 6 };

/* Writes the escape of c at to and returns its length. */
static inline size_t escape_one(uint8_t *to, uint8_t c)
{
    static const char hex[] = "0123456789abcdef";
    static const uint8_t letter[128] = {['\b'] = 'b', ['\f'] = 'f', ['\n'] = 'n', ['\r'] = 'r',
                                        ['\t'] = 't', ['"'] = '"',  ['\\'] = '\\'};
    if (letter[c]) {
        to[0] = '\\';
        to[1] = letter[c];
        return 2;
    }
    memcpy(to, "\\u00", 4);
    to[4] = (uint8_t)hex[c >> 4];
    to[5] = (uint8_t)hex[c & 15];
    return ESCAPE_MAX;
}

#ifdef __x86_64__
__attribute__((target("avx2"))) static inline uint32_t special(__m256i v)
{
    const __m256i ctl = _mm256_set1_epi8(0x1f), quote = _mm256_set1_epi8('"'),
                  back = _mm256_set1_epi8('\\');
    __m256i bad = _mm256_cmpeq_epi8(_mm256_min_epu8(v, ctl), v);
    bad = _mm256_or_si256(bad,
                          _mm256_or_si256(_mm256_cmpeq_epi8(v, quote), _mm256_cmpeq_epi8(v, back)));
    return (uint32_t)_mm256_movemask_epi8(bad);
}

__attribute__((target("avx2"))) static inline uint64_t copy64(uint8_t *to, const uint8_t *p)
{
    __m256i a = _mm256_loadu_si256((const __m256i *)(const void *)p),
            b = _mm256_loadu_si256((const __m256i *)(const void *)(p + 32));
    _mm256_storeu_si256((__m256i *)(void *)to, a);
    _mm256_storeu_si256((__m256i *)(void *)(to + 32), b);
    return special(a) | (uint64_t)special(b) << 32;
}

enum { STEP = 64, ROOM = STEP * ESCAPE_MAX + STEP };

/* As far as there are two steps left, and room in b. Each stretch is copied blindly, 64 bytes of
 * it, and what was too much is written over by what follows. */
__attribute__((target("avx2"))) static const uint8_t *escape_wide(ds_buf *b, const uint8_t *p,
                                                                  const uint8_t *end)
{
    uint8_t *o = b->data + b->len;
    const uint8_t *full = b->data + b->cap;
    for (; end - p >= 2 * STEP && full - o >= ROOM; p += STEP) {
        int last = 0;
        for (uint64_t bad = copy64(o, p); bad; bad &= bad - 1) {
            const int i = __builtin_ctzll(bad);
            o += i - last;
            o += escape_one(o, p[i]);
            last = i + 1;
            (void)copy64(o, p + last);
        }
        o += STEP - last;
    }
    b->len = (size_t)(o - b->data);
    return p;
}
#endif

int ds_json_escape(ds_buf *b, const uint8_t *p, size_t len)
{
    const uint8_t *end = p + len;
#ifdef __x86_64__
    const bool wide = __builtin_cpu_supports("avx2");
    while (wide && end - p >= 2 * STEP) {
        if (ds_buf_reserve(b, (size_t)(end - p) + ROOM))
            return DS_NOMEM;
        p = escape_wide(b, p, end);
    }
#endif
    while (p < end) {
        size_t run = plain_run(p, (size_t)(end - p));
        if (ds_buf_reserve(b, run + ESCAPE_MAX))
            return DS_NOMEM;
        if (run)
            memcpy(b->data + b->len, p, run);
        b->len += run;
        p += run;
        if (p < end)
            b->len += escape_one(b->data + b->len, *p++);
    }
    return 0;
}

int ds_json_name(ds_buf *b, const char *s, size_t len)
{
    const uint8_t *p = (const uint8_t *)s;
    int rc = ds_buf_putc(b, '"');
    while (rc == 0 && len) {
        size_t good = ds_utf8_check(p, len);
        rc = ds_json_escape(b, p, good);
        if (rc == 0 && good < len) {
            rc = ds_buf_puts(b, "\xef\xbf\xbd");
            good++;
        }
        p += good;
        len -= good;
    }
    return rc ? rc : ds_buf_putc(b, '"');
}

int ds_base64_digit(uint8_t c)
{
    if (c >= 'A' && c <= 'Z')
        return c - 'A';
    if (c >= 'a' && c <= 'z')
        return c - 'a' + 26;
    if (c >= '0' && c <= '9')
        return c - '0' + 52;
    return c == '+' ? 62 : c == '/' ? 63 : -1;
}

int ds_base64(ds_buf *b, const uint8_t *p, size_t len)
{
    static const char digit[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    size_t groups = len / 3 + 1, room;
    if (!ds_mul_size(groups, 4, &room) || ds_buf_reserve(b, room))
        return DS_NOMEM;
    uint8_t *to = b->data + b->len;
    for (; len >= 3; len -= 3, p += 3, to += 4) {
        uint32_t v = (uint32_t)p[0] << 16 | (uint32_t)p[1] << 8 | p[2];
        to[0] = (uint8_t)digit[v >> 18];
        to[1] = (uint8_t)digit[v >> 12 & 63];
        to[2] = (uint8_t)digit[v >> 6 & 63];
        to[3] = (uint8_t)digit[v & 63];
    }
    if (len) {
        uint32_t v = (uint32_t)p[0] << 16 | (len == 2 ? (uint32_t)p[1] << 8 : 0);
        to[0] = (uint8_t)digit[v >> 18];
        to[1] = (uint8_t)digit[v >> 12 & 63];
        to[2] = (uint8_t)(len == 2 ? digit[v >> 6 & 63] : '=');
        to[3] = '=';
        to += 4;
    }
    b->len = (size_t)(to - b->data);
    return 0;
}

int ds_decimal(ds_buf *b, uint64_t v)
{
    uint8_t text[20];
    size_t at = sizeof text;
    do {
        text[--at] = (uint8_t)('0' + v % 10);
        v /= 10;
    } while (v);
    return ds_buf_put(b, text + at, sizeof text - at);
}

/* Days since 1970-01-01 to a date of the proleptic Gregorian calendar (Hinnant, "chrono-compatible
 * low-level date algorithms", civil_from_days): eras of 400 years that begin on 1 March. */
static void civil(int64_t days, int *year, unsigned *month, unsigned *day)
{
    days += 719468;
    int64_t era = (days >= 0 ? days : days - 146096) / 146097;
    unsigned doe = (unsigned)(days - era * 146097);
    unsigned yoe = (doe - doe / 1460 + doe / 36524 - doe / 146096) / 365;
    unsigned doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
    unsigned mp = (5 * doy + 2) / 153;
    *day = doy - (153 * mp + 2) / 5 + 1;
    *month = mp < 10 ? mp + 3 : mp - 9;
    *year = (int)(yoe + era * 400) + (*month <= 2);
}

int ds_day_text(ds_buf *b, int32_t days)
{
    int year;
    unsigned month, day;

    civil(days, &year, &month, &day);
    return ds_buf_printf(b, "%04d-%02u-%02u", year, month, day);
}

int ds_time_text(ds_buf *b, int64_t ns)
{
    const int64_t day_ns = INT64_C(86400000000000);
    int64_t days = ns / day_ns, rest = ns % day_ns;
    if (rest < 0) { /* floor, so that times before 1970 come out right */
        rest += day_ns;
        days--;
    }
    int year;
    unsigned month, day;
    civil(days, &year, &month, &day);
    unsigned secs = (unsigned)(rest / 1000000000);
    return ds_buf_printf(b, "%04d-%02u-%02uT%02u:%02u:%02u.%09uZ", year, month, day, secs / 3600,
                         secs / 60 % 60, secs % 60, (unsigned)(rest % 1000000000));
}
