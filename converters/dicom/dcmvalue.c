/* dcmvalue.c - see dcmtree.h: text and numbers of values. Numbers are read the same in every
 * locale. */
#include <locale.h>
#include <stdlib.h>
#include <string.h>

#include "dcmtree.h"

bool dcm_vr_is_text(uint16_t vr)
{
    switch (vr) {
    case DCM_VR('S', 'H'):
    case DCM_VR('L', 'O'):
    case DCM_VR('S', 'T'):
    case DCM_VR('L', 'T'):
    case DCM_VR('U', 'C'):
    case DCM_VR('U', 'T'):
    case DCM_VR('P', 'N'):
        return true;
    default:
        return false;
    }
}

bool dcm_vr_is_string(uint16_t vr)
{
    switch (vr) {
    case DCM_VR('A', 'E'):
    case DCM_VR('A', 'S'):
    case DCM_VR('C', 'S'):
    case DCM_VR('D', 'A'):
    case DCM_VR('D', 'S'):
    case DCM_VR('D', 'T'):
    case DCM_VR('I', 'S'):
    case DCM_VR('T', 'M'):
    case DCM_VR('U', 'I'):
    case DCM_VR('U', 'R'):
        return true;
    default:
        return dcm_vr_is_text(vr);
    }
}

/* One value, whatever backslashes it holds. */
static bool is_whole(uint16_t vr)
{
    return vr == DCM_VR('S', 'T') || vr == DCM_VR('L', 'T') || vr == DCM_VR('U', 'T') ||
           vr == DCM_VR('U', 'R');
}

/* Where ISO 2022 has two bytes a character in G0, 0x5c may be one of them. */
static size_t value_end(const uint8_t *p, size_t len, size_t at)
{
    bool wide = false;
    while (at < len) {
        if (p[at] == 0x1b && len - at >= 3) {
            wide = p[at + 1] == '$' && p[at + 2] != ')';
            at += p[at + 1] == '$' && p[at + 2] == '(' && len - at >= 4 ? 4 : 3;
        } else if (wide && p[at] > 0x20 && len - at >= 2) {
            at += 2;
        } else if (p[at] == '\\') {
            break;
        } else {
            at++;
        }
    }
    return at;
}

static bool is_pad(uint8_t c)
{
    return c == ' ' || c == 0;
}

bool dcm_elem_next(const dcm_elem *e, size_t *next, const char **p, size_t *len)
{
    size_t at = *next, end = e->len;
    if (!e->val || !dcm_vr_is_string(e->vr) || at > e->len)
        return false;
    if (!is_whole(e->vr)) {
        end = value_end(e->val, e->len, at);
        while (at < end && is_pad(e->val[at]))
            at++;
    }
    *next = end + 1;
    while (end > at && is_pad(e->val[end - 1]))
        end--;
    *p = (const char *)e->val + at;
    *len = end - at;
    return true;
}

bool dcm_elem_text(const dcm_elem *e, unsigned k, const char **p, size_t *len)
{
    size_t at = 0;
    for (unsigned i = 0; i <= k; i++)
        if (!dcm_elem_next(e, &at, p, len))
            return false;
    return *len > 0;
}

bool dcm_get_text(const dcm_set *s, uint32_t tag, unsigned k, const char **p, size_t *len)
{
    const dcm_elem *e = dcm_set_find(s, tag);
    return e && dcm_elem_text(e, k, p, len);
}

static unsigned width_of(uint16_t vr)
{
    switch (vr) {
    case DCM_VR('U', 'S'):
    case DCM_VR('S', 'S'):
    case DCM_VR('O', 'W'):
        return 2;
    case DCM_VR('U', 'L'):
    case DCM_VR('S', 'L'):
    case DCM_VR('F', 'L'):
    case DCM_VR('A', 'T'):
    case DCM_VR('O', 'L'):
    case DCM_VR('O', 'F'):
        return 4;
    case DCM_VR('F', 'D'):
    case DCM_VR('U', 'V'):
    case DCM_VR('S', 'V'):
    case DCM_VR('O', 'V'):
    case DCM_VR('O', 'D'):
        return 8;
    default:
        return 0;
    }
}

unsigned dcm_get_count(const dcm_set *s, uint32_t tag)
{
    const dcm_elem *e = dcm_set_find(s, tag);
    if (!e)
        return 0;
    if (e->vr == DCM_VR('S', 'Q'))
        return e->nitems;
    if (!e->val || e->len == 0)
        return 0;
    unsigned w = width_of(e->vr), n = 1;
    if (w)
        return e->len / w;
    if (!dcm_vr_is_string(e->vr) || is_whole(e->vr))
        return 1;
    for (size_t at = value_end(e->val, e->len, 0); at < e->len;
         at = value_end(e->val, e->len, at + 1))
        n++;
    return n;
}

static uint64_t get_le(const uint8_t *p, unsigned w)
{
    uint64_t v = 0;
    for (unsigned i = 0; i < w; i++)
        v |= (uint64_t)p[i] << 8 * i;
    return v;
}

/* The k-th binary number of an element as 64 bits, sign extended where the VR has one. */
static bool get_binary(const dcm_elem *e, unsigned k, int64_t *v)
{
    unsigned w = width_of(e->vr);
    if (!w || !e->val || e->len / w <= k)
        return false;
    uint64_t u = get_le(e->val + (size_t)k * w, w);
    if (e->vr == DCM_VR('S', 'S'))
        *v = (int16_t)u;
    else if (e->vr == DCM_VR('S', 'L'))
        *v = (int32_t)u;
    else
        *v = (int64_t)u;
    return true;
}

bool dcm_parse_int(const char *p, size_t n, int64_t *v)
{
    size_t i = 0;
    bool minus = n > 0 && p[0] == '-';
    uint64_t u = 0;
    if (n > 0 && (p[0] == '-' || p[0] == '+'))
        i++;
    if (i == n)
        return false;
    for (; i < n; i++) {
        if (p[i] < '0' || p[i] > '9' || __builtin_mul_overflow(u, 10, &u) ||
            __builtin_add_overflow(u, (unsigned)(p[i] - '0'), &u))
            return false;
    }
    if (u > (uint64_t)INT64_MAX + minus)
        return false;
    *v = minus ? (int64_t)(0 - u) : (int64_t)u;
    return true;
}

bool dcm_get_int(const dcm_set *s, uint32_t tag, unsigned k, int64_t *v)
{
    const dcm_elem *e = dcm_set_find(s, tag);
    const char *p;
    size_t n;
    if (!e)
        return false;
    switch (e->vr) {
    case DCM_VR('U', 'S'):
    case DCM_VR('S', 'S'):
    case DCM_VR('U', 'L'):
    case DCM_VR('S', 'L'):
    case DCM_VR('S', 'V'):
        return get_binary(e, k, v);
    case DCM_VR('U', 'V'):
        return get_binary(e, k, v) && *v >= 0; /* else above what an int64_t holds */
    case DCM_VR('I', 'S'):
        return dcm_elem_text(e, k, &p, &n) && dcm_parse_int(p, n, v);
    default:
        return false;
    }
}

/* Correctly rounded by the C library, in the C locale whatever the program's is. */
static bool slow_real(const char *text, double *v)
{
    char *end;
    locale_t c = newlocale(LC_ALL_MASK, "C", (locale_t)0);
    if (c == (locale_t)0)
        return false;
    *v = strtod_l(text, &end, c);
    freelocale(c);
    return *end == 0;
}

bool dcm_parse_real(const char *p, size_t n, double *v)
{
    static const double tens[] = {1e0,  1e1,  1e2,  1e3,  1e4,  1e5,  1e6,  1e7,
                                  1e8,  1e9,  1e10, 1e11, 1e12, 1e13, 1e14, 1e15,
                                  1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22};
    char text[64];
    size_t i = 0;
    bool minus = false, digits = false, fits = true;
    uint64_t m = 0;
    int scale = 0, exp = 0;
    if (n == 0 || n >= sizeof text)
        return false;
    if (p[0] == '-' || p[0] == '+')
        minus = p[i++] == '-';
    for (bool point = false; i < n && (p[i] == '.' || (p[i] >= '0' && p[i] <= '9')); i++) {
        if (p[i] == '.') {
            if (point)
                return false;
            point = true;
            continue;
        }
        digits = true;
        fits = fits && m < UINT64_C(1) << 49; /* so that m * 10 + 9 is below 2^53 */
        m = m * 10 + (unsigned)(p[i] - '0');
        scale -= point;
    }
    if (!digits)
        return false;
    if (i < n && (p[i] == 'e' || p[i] == 'E')) {
        size_t at = ++i;
        bool below = i < n && p[i] == '-';
        if (i < n && (p[i] == '-' || p[i] == '+'))
            at = ++i;
        for (; i < n && p[i] >= '0' && p[i] <= '9'; i++)
            exp = exp < 10000 ? exp * 10 + (p[i] - '0') : exp;
        if (i == at)
            return false;
        exp = below ? -exp : exp;
    }
    if (i != n)
        return false;
    exp += scale;
    if (fits && exp >= -22 && exp <= 22) { /* both are exact, so is one rounding (Clinger) */
        double d = exp < 0 ? (double)m / tens[-exp] : (double)m * tens[exp];
        *v = minus ? -d : d;
        return true;
    }
    memcpy(text, p, n);
    text[n] = 0;
    return slow_real(text, v);
}

bool dcm_get_real(const dcm_set *s, uint32_t tag, unsigned k, double *v)
{
    const dcm_elem *e = dcm_set_find(s, tag);
    const char *p;
    size_t n;
    int64_t i;
    if (!e)
        return false;
    if (e->vr == DCM_VR('F', 'L') || e->vr == DCM_VR('F', 'D')) {
        if (!get_binary(e, k, &i))
            return false;
        if (e->vr == DCM_VR('F', 'D')) {
            memcpy(v, &i, sizeof *v);
        } else {
            uint32_t u = (uint32_t)i;
            float f;
            memcpy(&f, &u, sizeof f);
            *v = (double)f;
        }
        return true;
    }
    if (e->vr == DCM_VR('D', 'S') || e->vr == DCM_VR('I', 'S'))
        return dcm_elem_text(e, k, &p, &n) && dcm_parse_real(p, n, v);
    if (e->vr == DCM_VR('U', 'V') && get_binary(e, k, &i)) {
        *v = (double)(uint64_t)i;
        return true;
    }
    if (!dcm_get_int(s, tag, k, &i))
        return false;
    *v = (double)i;
    return true;
}
