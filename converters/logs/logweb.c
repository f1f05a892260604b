/* logweb.c - access logs of Apache and nginx: common and combined, with a virtual host before them
 * or more fields behind them. */
#include "logrow.h"

#include <string.h>

#ifdef __SSE2__
#include <emmintrin.h>
#endif

/* The closing quote at or after p; *slash when a backslash came before it. */
static const uint8_t *find_quote(const uint8_t *p, const uint8_t *end, bool *slash)
{
    *slash = false;
    for (;;) {
#ifdef __SSE2__
        const __m128i quote = _mm_set1_epi8('"'), back = _mm_set1_epi8('\\');
        while (end - p >= 16) {
            __m128i v = _mm_loadu_si128((const __m128i *)(const void *)p);
            unsigned mask = (unsigned)_mm_movemask_epi8(
                _mm_or_si128(_mm_cmpeq_epi8(v, quote), _mm_cmpeq_epi8(v, back)));
            if (mask) {
                p += __builtin_ctz(mask);
                break;
            }
            p += 16;
        }
#endif
        while (p < end && *p != '"' && *p != '\\')
            p++;
        if (p == end || *p == '"')
            return p;
        *slash = true;
        p += end - p >= 2 ? 2 : 1;
    }
}

/* "..." at *at. */
static int quoted(ds_logline *l, const uint8_t *p, size_t len, size_t *at, const uint8_t **v,
                  size_t *n)
{
    bool slash;
    if (*at >= len || p[*at] != '"')
        return ds_logfail(l, *at, "a quote is expected here");
    const uint8_t *q = find_quote(p + *at + 1, p + len, &slash);
    if (q == p + len)
        return ds_logfail(l, *at, "the quoted field does not end");
    *v = p + *at + 1;
    *n = (size_t)(q - *v);
    *at = (size_t)(q + 1 - p);
    /* \xhh stays as it is written: what it stands for need not be text. */
    return slash ? ds_logunescape(l, "nrtvb\"\\", "\n\r\t\v\b\"\\", v, n) : 0;
}

/* Words before the bracket of the time: remote, ident and user, with a virtual host before them
 * where there are four. A user's name may hold spaces: it is what is left. */
static int names(ds_logline *l, const uint8_t *p, size_t len, size_t *at)
{
    const uint8_t *open = memchr(p, '[', len < 4096 ? len : 4096);
    size_t from[5], end[5], n = 0, i = 0, stop;
    /* A bracket in an address or a name is not that of the time. */
    while (open && (open == p || open[-1] != ' ' || p + len - open < 27 || open[3] != '/'))
        open = memchr(open + 1, '[', (size_t)(p + len - open - 1));
    if (!open)
        return ds_logfail(l, 0, "no time in brackets");
    stop = (size_t)(open - p) - 1;
    while (i < stop && n < 5) {
        from[n] = i;
        while (i < stop && p[i] != ' ')
            i++;
        end[n++] = i++;
    }
    if (n < 3 || end[0] == 0 || from[1] == end[1])
        return ds_logfail(l, 0, "host, ident and user are expected before the time");
    bool virtual = n == 4 && end[2] - from[2] == 1 && p[from[2]] == '-';
    size_t k = virtual;
    if (virtual)
        ds_logset(l, DS_LC_HOST, p, end[0]);
    ds_logset(l, DS_LC_REMOTE, p + from[k], end[k] - from[k]);
    k++;
    if ((end[k] - from[k] != 1 || p[from[k]] != '-') &&
        ds_logfield(l, "ident", p + from[k], end[k] - from[k]) != 0)
        return DS_NOMEM;
    k++;
    if (stop - from[k] != 1 || p[from[k]] != '-')
        ds_logset(l, DS_LC_USER, p + from[k], stop - from[k]);
    *at = stop + 2;
    return 0;
}

void ds_logset_request(ds_logline *l, const uint8_t *p, size_t len)
{
    ds_logset(l, DS_LC_TEXT, p, len);
    const uint8_t *a = memchr(p, ' ', len < 32 ? len : 32), *b = len ? p + len - 1 : p;
    while (b > p && *b != ' ' && p + len - b < 12)
        b--;
    if (!a || a == p || b <= a || *b != ' ' || p + len - b < 6 || b[5] != '/')
        return;
    for (const uint8_t *q = p; q < a; q++)
        if ((*q < 'A' || *q > 'Z') && *q != '-' && *q != '_')
            return;
    ds_logset(l, DS_LC_METHOD, p, (size_t)(a - p));
    ds_logset(l, DS_LC_PATH, a + 1, (size_t)(b - a - 1));
    ds_logset(l, DS_LC_PROTOCOL, b + 1, (size_t)(p + len - b - 1));
}

/* A number or "-" at *at, up to a space or the end. */
static int number(ds_logline *l, enum ds_logcol c, const uint8_t *p, size_t len, size_t *at)
{
    size_t from = *at;
    if (from < len && p[from] == ' ')
        from++;
    size_t i = from;
    while (i < len && p[i] != ' ')
        i++;
    *at = i;
    if ((i - from == 1 && p[from] == '-') || ds_logset_decimal(l, c, p + from, i - from))
        return 0;
    return ds_logfail(l, from, "a number or - is expected here");
}

/* "referer" "agent", then whatever a server was told to add. */
static int extras(ds_logline *l, const uint8_t *p, size_t len, size_t at)
{
    static const enum ds_logcol cols[] = {DS_LC_REFERER, DS_LC_AGENT};
    const uint8_t *v;
    size_t n;
    bool combined = l->s->format == DS_LOG_COMBINED;
    for (size_t i = 0; combined && i < 2 && len - at > 1; i++) {
        at++;
        int rc = quoted(l, p, len, &at, &v, &n);
        if (rc != 0)
            return rc;
        if (n != 1 || *v != '-')
            ds_logset(l, cols[i], v, n);
        if (at < len && p[at] != ' ')
            return ds_logfail(l, at, "a space is expected here");
        l->quoted = i == 1;
    }
    if (at < len)
        at++;
    return at < len ? ds_logfield(l, "extra", p + at, len - at) : 0;
}

int ds_logparse_web(ds_logline *l, const uint8_t *p, size_t len)
{
    size_t at, n;
    const uint8_t *v;
    ds_logtime t;
    int rc = names(l, p, len, &at);
    if (rc != 0)
        return rc;
    n = ds_logtime_clf(p + at, len - at, &t);
    if (n == 0 || len - at - n < 3 || p[at + n] != ']' || p[at + n + 1] != ' ')
        return ds_logfail(l, at, "no time as in [10/Oct/2000:13:55:36 -0700]");
    ds_logset_time(l, &t);
    at += n + 2;
    if ((rc = quoted(l, p, len, &at, &v, &n)) != 0)
        return rc;
    if (at == len || p[at] != ' ')
        return ds_logfail(l, at, "a space is expected behind the request");
    ds_logset_request(l, v, n);
    if ((rc = number(l, DS_LC_STATUS, p, len, &at)) != 0 ||
        (rc = number(l, DS_LC_BYTES, p, len, &at)) != 0)
        return rc;
    return at < len ? extras(l, p, len, at) : 0;
}
