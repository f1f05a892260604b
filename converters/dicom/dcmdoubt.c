/* dcmdoubt.c - see dcmdoubt.h. In a language that Latin-1 is for, letters above 0x7f stand alone or
 * in twos within words of ASCII letters, and signs like the yen's beside no letter. In other sets
 * under its name they come in long runs, or in pairs by themselves, of letters and signs. */
#include "dcmdoubt.h"

#include "utf8.h"

static bool is_letter(uint8_t b)
{
    return b >= 0xc0 && b != 0xd7 && b != 0xf7;
}

/* Signs that no letter above 0x7f stands beside; quotes, points and degrees may. */
static bool is_apart(uint8_t b)
{
    switch (b) {
    case 0xa2: /* cent, pound, currency, yen, broken bar, diaeresis, not, macron */
    case 0xa3:
    case 0xa4:
    case 0xa5:
    case 0xa6:
    case 0xa8:
    case 0xac:
    case 0xaf:
    case 0xb1: /* plus-minus, powers, pilcrow, cedilla, fractions */
    case 0xb2:
    case 0xb3:
    case 0xb6:
    case 0xb8:
    case 0xb9:
    case 0xbc:
    case 0xbe:
        return true;
    default:
        return false;
    }
}

static bool is_ascii_word(uint8_t c)
{
    return (c >= '0' && c <= '9') || ((c | 0x20) >= 'a' && (c | 0x20) <= 'z');
}

/* A run of n bytes above 0x7f; within: an ASCII letter or digit stands before or behind it. */
static void weigh_run(dcm_doubt *d, const uint8_t *p, size_t n, bool within)
{
    size_t letters = 0;
    for (size_t i = 0; i < n; i++) {
        letters += is_letter(p[i]);
        if (i > 0)
            d->strange +=
                (is_letter(p[i]) && is_apart(p[i - 1])) || (is_apart(p[i]) && is_letter(p[i - 1]));
    }
    if (n >= 4 && letters >= 2)
        d->strange += 2;
    else if (n == 2 && letters > 0 && !within)
        d->strange++;
    else if (n == 1 && letters > 0 && within)
        d->plain++;
}

static uint64_t count_high(const uint8_t *p, size_t len)
{
    uint64_t n = 0;
    for (size_t i = 0; i < len; i++)
        n += p[i] > 0x7f;
    return n;
}

/* A character of UTF-8 whose end was cut off with the value's. */
static bool is_begun(const uint8_t *p, size_t n)
{
    const size_t want = p[0] >= 0xf0 ? 4 : p[0] >= 0xe0 ? 3 : p[0] >= 0xc2 ? 2 : 0;
    bool is = n < want;
    for (size_t i = 1; i < n && is; i++)
        is = (p[i] & 0xc0) == 0x80;
    return is;
}

bool dcm_doubt_is_utf8(const uint8_t *p, size_t len)
{
    while (len > 0 && (p[len - 1] == ' ' || p[len - 1] == 0))
        len--;
    const size_t good = ds_utf8_check(p, len);
    return count_high(p, good) && (good == len || is_begun(p + good, len - good));
}

void dcm_doubt_add(dcm_doubt *d, const uint8_t *p, size_t len, bool latin1)
{
    const bool utf8 = dcm_doubt_is_utf8(p, len);
    (utf8 ? d->utf8 : d->other)[latin1] += count_high(p, len);
    if (utf8 || !latin1)
        return;
    for (size_t i = 0; i < len; i++) {
        size_t end = i;
        while (end < len && p[end] > 0x7f)
            end++;
        if (end > i)
            weigh_run(d, p + i, end - i,
                      (i > 0 && is_ascii_word(p[i - 1])) || (end < len && is_ascii_word(p[end])));
        i = end;
    }
}

bool dcm_doubt_latin1(const dcm_doubt *d)
{
    return d->strange >= 2 && d->strange > d->plain;
}

bool dcm_doubt_utf8(const dcm_doubt *d)
{
    const bool both = dcm_doubt_latin1(d);
    return d->other[0] + (both ? d->other[1] : 0) > d->utf8[0] + (both ? d->utf8[1] : 0);
}
