/* htmlref.c - named and numeric character references of HTML (see html.h). */
#include <string.h>

#include "html.h"
#include "htmlnames.h"
#include "utf8.h"

static const ds_htmlname *find_name(const uint8_t *p, size_t len)
{
    size_t lo = 0, hi = ds_html_nnames;
    while (lo < hi) {
        size_t mid = lo + (hi - lo) / 2, n = strlen(ds_html_names[mid].name);
        int c = memcmp(p, ds_html_names[mid].name, len < n ? len : n);
        if (c == 0)
            c = (len > n) - (len < n);
        if (c == 0)
            return &ds_html_names[mid];
        if (c < 0)
            hi = mid;
        else
            lo = mid + 1;
    }
    return NULL;
}

static int put_code(ds_buf *out, uint32_t u)
{
    /* What browsers make of Windows-1252 numbers (HTML standard, "Numeric character reference end
     * state"). */
    static const uint16_t windows[32] = {
        0x20ac, 0x81,   0x201a, 0x192,  0x201e, 0x2026, 0x2020, 0x2021, 0x2c6,  0x2030, 0x160,
        0x2039, 0x152,  0x8d,   0x17d,  0x8f,   0x90,   0x2018, 0x2019, 0x201c, 0x201d, 0x2022,
        0x2013, 0x2014, 0x2dc,  0x2122, 0x161,  0x203a, 0x153,  0x9d,   0x17e,  0x178};
    uint8_t b[4];
    if (u >= 0x80 && u < 0xa0)
        u = windows[u - 0x80];
    if (u == 0 || u > 0x10ffff || (u >= 0xd800 && u < 0xe000))
        u = 0xfffd;
    return ds_buf_put(out, b, ds_utf8_put(b, u));
}

static int digit_of(uint8_t c, unsigned base)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c |= 0x20;
    return base == 16 && c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static long numeric(ds_buf *out, const uint8_t *p, size_t len)
{
    size_t i = 2;
    unsigned base = 10;
    if (i < len && (p[i] | 0x20) == 'x') {
        base = 16;
        i++;
    }
    size_t first = i;
    uint32_t u = 0;
    for (; i < len && digit_of(p[i], base) >= 0; i++)
        if (u <= 0x10ffff)
            u = u * base + (uint32_t)digit_of(p[i], base);
    if (i == first)
        return 0;
    if (put_code(out, u) != 0)
        return DS_NOMEM;
    return (long)(i < len && p[i] == ';' ? i + 1 : i);
}

static int alnum(uint8_t c)
{
    return (c >= '0' && c <= '9') || ((c | 0x20) >= 'a' && (c | 0x20) <= 'z');
}

long ds_html_reference(ds_buf *out, const uint8_t *p, size_t len)
{
    if (len >= 3 && p[1] == '#')
        return numeric(out, p, len);
    size_t n = 0;
    while (n < DS_HTML_NAME_MAX && 1 + n < len && alnum(p[1 + n]))
        n++;
    const ds_htmlname *e = NULL;
    if (1 + n < len && p[1 + n] == ';' && (e = find_name(p + 1, n)) != NULL)
        return ds_buf_puts(out, e->text) != 0 ? DS_NOMEM : (long)(n + 2);
    for (n = n < DS_HTML_LEGACY_MAX ? n : DS_HTML_LEGACY_MAX; n >= 2; n--)
        if ((e = find_name(p + 1, n)) != NULL && e->legacy)
            return ds_buf_puts(out, e->text) != 0 ? DS_NOMEM : (long)(n + 1);
    return 0;
}
