/* mailcode.c - see mailcode.h. */
#include "mailcode.h"

#include <stdio.h>
#include <string.h>

#include "headfield.h"
#include "jsonrow.h"
#include "utf8.h"
#include "webcharset.h"

#define WORD_MAX 4096    /* bytes of an encoded word that is looked at */
#define SECTIONS_MAX 100 /* of a parameter in parts */

/* ---- transfer encodings ---- */

int ds_mail_base64(ds_buf *out, const uint8_t *p, size_t len)
{
    uint32_t bits = 0;
    unsigned held = 0;
    if (ds_buf_reserve(out, len / 4 * 3 + 3) != 0)
        return DS_NOMEM;
    for (size_t i = 0; i < len; i++) {
        const int d = ds_base64_digit(p[i]);
        if (p[i] == '=') { /* the end of what one encoder wrote; another's may follow */
            held = 0;
            continue;
        }
        if (d < 0)
            continue;
        bits = bits << 6 | (uint32_t)d;
        held += 6;
        if (held < 8)
            continue;
        held -= 8;
        out->data[out->len++] = (uint8_t)(bits >> held);
    }
    return 0;
}

static int hex_digit(uint8_t c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    const uint8_t l = c | 0x20;
    return l >= 'a' && l <= 'f' ? l - 'a' + 10 : -1;
}

/* The byte of the two digits at p; -1: they are none. */
static int hex_byte(const uint8_t *p, size_t len)
{
    const int hi = len >= 2 ? hex_digit(p[0]) : -1, lo = len >= 2 ? hex_digit(p[1]) : -1;
    return hi < 0 || lo < 0 ? -1 : hi << 4 | lo;
}

/* Behind white space at the end of a line, with its end if `ends`; 0: there is more in it. */
static size_t rest_is_blank(const uint8_t *p, size_t len, bool *ends)
{
    size_t i = 0;
    while (i < len && (p[i] == ' ' || p[i] == '\t'))
        i++;
    *ends = i == len || p[i] == '\n' || (p[i] == '\r' && i + 1 < len && p[i + 1] == '\n');
    return i;
}

int ds_mail_quoted(ds_buf *out, const uint8_t *p, size_t len)
{
    for (size_t i = 0; i < len;) {
        bool ends;
        if (p[i] == '=') {
            const int c = hex_byte(p + i + 1, len - i - 1);
            if (c >= 0) {
                if (ds_buf_putc(out, (uint8_t)c) != 0)
                    return DS_NOMEM;
                i += 3;
                continue;
            }
            const size_t n = rest_is_blank(p + i + 1, len - i - 1, &ends);
            if (ends) { /* a soft line end */
                i += 1 + n;
                i += i < len && p[i] == '\r';
                i += i < len && p[i] == '\n';
                continue;
            }
        } else if (p[i] == ' ' || p[i] == '\t') {
            const size_t n = rest_is_blank(p + i, len - i, &ends);
            if (!ends && ds_buf_put(out, p + i, n) != 0)
                return DS_NOMEM;
            i += n;
            continue;
        }
        if (ds_buf_putc(out, p[i++]) != 0)
            return DS_NOMEM;
    }
    return 0;
}

/* ---- encoded words ---- */

typedef struct encword {
    const uint8_t *charset, *text;
    size_t ncharset, ntext, all; /* all: how long it is */
    bool quoted;
} encword;

/* The encoded word at p: =?charset*language?Q?text?= */
static bool find_word(encword *w, const uint8_t *p, size_t len)
{
    if (len > WORD_MAX)
        len = WORD_MAX;
    const uint8_t *end = p + len, *q = len > 6 && p[1] == '?' ? memchr(p + 2, '?', len - 2) : NULL;
    if (!q || end - q < 4 || q[2] != '?' || q == p + 2)
        return false;
    const uint8_t how = q[1] | 0x20, *star = memchr(p + 2, '*', (size_t)(q - p) - 2);
    const uint8_t *stop = memmem(q + 3, (size_t)(end - q) - 3, "?=", 2);
    if ((how != 'q' && how != 'b') || !stop)
        return false;
    *w = (encword){.charset = p + 2,
                   .ncharset = (size_t)((star ? star : q) - p) - 2,
                   .text = q + 3,
                   .ntext = (size_t)(stop - q) - 3,
                   .all = (size_t)(stop - p) + 2,
                   .quoted = how == 'q'};
    for (const uint8_t *c = p; c < stop; c++)
        if (*c == '\r' || *c == '\n' || (*c == ' ' && c < q))
            return false;
    return w->ncharset > 0 && w->ncharset < 64;
}

static int word_bytes(ds_buf *raw, const encword *w)
{
    if (!w->quoted)
        return ds_mail_base64(raw, w->text, w->ntext);
    for (size_t i = 0; i < w->ntext; i++) {
        const int c = w->text[i] == '=' ? hex_byte(w->text + i + 1, w->ntext - i - 1) : -1;
        const uint8_t is = c >= 0 ? (uint8_t)c : w->text[i] == '_' ? ' ' : w->text[i];
        if (ds_buf_putc(raw, is) != 0)
            return DS_NOMEM;
        i += c >= 0 ? 2 : 0;
    }
    return 0;
}

/* Bytes in an encoding, as UTF-8: 0, 1: they are not in it, or it is not known, or DS_NOMEM. */
static int as_text(ds_buf *out, const ds_buf *raw, const uint8_t *charset, size_t n)
{
    char name[64] = "";
    const char *said = name;
    const size_t before = out->len;
    if (n >= sizeof name)
        return 1;
    if (n > 0)
        memcpy(name, charset, n);
    const int rc = ds_webcharset_text(out, raw->data, raw->len, &said, 1, NULL, false, NULL);
    if (rc == 0 || rc == DS_NOMEM)
        return rc;
    out->len = before;
    return 1;
}

/* Puts what is behind `from` in quotes, where it holds what means something among addresses (RFC
 * 5322, section 3.2.3). */
static int quote(ds_buf *out, ds_buf *spare, size_t from)
{
    bool special = false;
    for (size_t i = from; i < out->len; i++)
        special |= out->data[i] && strchr("()<>[]:;@\\,.\"", out->data[i]);
    if (!special)
        return 0;
    spare->len = 0;
    if (ds_buf_put(spare, out->data + from, out->len - from) != 0)
        return DS_NOMEM;
    out->len = from;
    int rc = ds_buf_putc(out, '"');
    for (size_t i = 0; rc == 0 && i < spare->len; i++) {
        if (spare->data[i] == '"' || spare->data[i] == '\\')
            rc = ds_buf_putc(out, '\\');
        rc |= ds_buf_putc(out, spare->data[i]);
    }
    return rc || ds_buf_putc(out, '"') ? DS_NOMEM : 0;
}

/* Encoded words of one encoding that follow each other are one text: writers cut characters. *at
 * moves behind what was read. */
static int read_words(ds_buf *out, ds_buf *raw, const uint8_t *p, size_t len, size_t *at,
                      bool addresses)
{
    encword first, w;
    const size_t from = *at;
    if (!find_word(&first, p + from, len - from))
        return ds_buf_putc(out, p[(*at)++]);
    size_t end = from;
    raw->len = 0;
    for (w = first;;) {
        if (word_bytes(raw, &w) != 0)
            return DS_NOMEM;
        end += w.all;
        size_t next = end;
        while (next < len && ds_ascii_white(p[next]))
            next++;
        if (next == len || p[next] != '=' || !find_word(&w, p + next, len - next))
            break;
        if (w.ncharset != first.ncharset || memcmp(w.charset, first.charset, w.ncharset) != 0) {
            end = next; /* white space between two words is none */
            break;
        }
        end = next;
    }
    *at = end;
    const size_t before = out->len;
    const int rc = as_text(out, raw, first.charset, first.ncharset);
    for (size_t i = from; rc == 1 && i < end; i++) /* as it stands, without its folds */
        if (p[i] != '\r' && p[i] != '\n' && ds_buf_putc(out, p[i]) != 0)
            return DS_NOMEM;
    if (rc == 1)
        return 0;
    return rc == 0 && addresses ? quote(out, raw, before) : rc;
}

static int read_header(ds_buf *out, const uint8_t *p, size_t len, bool addresses)
{
    ds_buf raw = {0};
    const size_t base = out->len;
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < len;) {
        if (p[i] == '=')
            rc = read_words(out, &raw, p, len, &i, addresses);
        else if (p[i] == '\r' || p[i] == '\n') /* a fold is the white space that follows it */
            i++;
        else
            rc = ds_buf_putc(out, p[i++]);
    }
    size_t to = base;
    for (size_t i = base; i < out->len; i++)
        if (out->data[i] != 0)
            out->data[to++] = out->data[i];
    out->len = out->len > base ? to : base;
    ds_buf_fini(&raw);
    return rc ? DS_NOMEM : 0;
}

int ds_mail_header(ds_buf *out, const uint8_t *p, size_t len)
{
    return read_header(out, p, len, false);
}

int ds_mail_addresses(ds_buf *out, const uint8_t *p, size_t len)
{
    return read_header(out, p, len, true);
}

/* ---- parameters ---- */

/* Appends percent-encoded bytes. */
static int unescape(ds_buf *raw, const uint8_t *p, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        const int c = p[i] == '%' ? hex_byte(p + i + 1, len - i - 1) : -1;
        if (ds_buf_putc(raw, c >= 0 ? (uint8_t)c : p[i]) != 0)
            return DS_NOMEM;
        i += c >= 0 ? 2 : 0;
    }
    return 0;
}

/* charset'language'text: *text begins behind the second quote. */
static void find_charset(const ds_buf *v, size_t *ncharset, size_t *text)
{
    const uint8_t *a = v->len ? memchr(v->data, '\'', v->len) : NULL;
    const uint8_t *b = a ? memchr(a + 1, '\'', v->len - (size_t)(a + 1 - v->data)) : NULL;
    *ncharset = b ? (size_t)(a - v->data) : 0;
    *text = b ? (size_t)(b + 1 - v->data) : 0;
}

/* Parts name*0, name*1*, ...: their bytes, and the encoding that the first says. 1, 0: none. */
static int in_parts(ds_buf *raw, ds_buf *charset, const uint8_t *value, size_t len,
                    const char *name)
{
    char full[80];
    ds_buf part = {0};
    int rc = 0, n = 0;
    for (; rc == 0 && n < SECTIONS_MAX; n++) {
        size_t ncharset = 0, text = 0;
        part.len = 0;
        snprintf(full, sizeof full, "%s*%d*", name, n);
        int got = ds_headfield_param(value, len, full, &part);
        const bool escaped = got == 1;
        if (got == 0) {
            full[strlen(full) - 1] = '\0';
            got = ds_headfield_param(value, len, full, &part);
        }
        if (got <= 0) {
            rc = got;
            break;
        }
        if (escaped && n == 0) {
            find_charset(&part, &ncharset, &text);
            rc = ds_buf_put(charset, part.data, ncharset);
        }
        if (rc == 0)
            rc = escaped ? unescape(raw, part.data + text, part.len - text)
                         : ds_buf_put(raw, part.data, part.len);
    }
    ds_buf_fini(&part);
    return rc ? DS_NOMEM : n > 0;
}

/* name*=charset'language'text. 1, 0: none. */
static int in_one(ds_buf *raw, ds_buf *charset, const uint8_t *value, size_t len, const char *name)
{
    char full[80];
    ds_buf part = {0};
    size_t ncharset, text;
    snprintf(full, sizeof full, "%s*", name);
    int rc = ds_headfield_param(value, len, full, &part);
    if (rc == 1) {
        find_charset(&part, &ncharset, &text);
        if (ds_buf_put(charset, part.data, ncharset) != 0 ||
            unescape(raw, part.data + text, part.len - text) != 0)
            rc = DS_NOMEM;
    }
    ds_buf_fini(&part);
    return rc;
}

int ds_mail_param(ds_buf *out, const uint8_t *value, size_t len, const char *name)
{
    ds_buf raw = {0}, charset = {0};
    int got = in_one(&raw, &charset, value, len, name);
    if (got == 0)
        got = in_parts(&raw, &charset, value, len, name);
    if (got == 1) {
        const int rc = as_text(out, &raw, charset.data, charset.data ? charset.len : 0);
        if (rc != 0 && (rc < 0 || ds_buf_put(out, raw.data, raw.len) != 0))
            got = DS_NOMEM;
    } else if (got == 0 && (got = ds_headfield_param(value, len, name, &raw)) == 1) {
        if (ds_mail_header(out, raw.data, raw.len) != 0)
            got = DS_NOMEM;
    }
    ds_buf_fini(&raw);
    ds_buf_fini(&charset);
    return got;
}

/* ---- dates ---- */

/* Tokens of a date: words, numbers and signs; comments are none. */
typedef struct scan {
    const uint8_t *p, *end;
} scan;

static void over_blanks(scan *s)
{
    for (int depth = 0; s->p < s->end; s->p++) {
        if (*s->p == '(')
            depth++;
        else if (*s->p == ')' && depth > 0)
            depth--;
        else if (depth == 0 && !ds_ascii_white(*s->p) && *s->p != ',')
            return;
    }
}

/* A number of at most `most` digits; how many it has, 0: none. */
static int number(scan *s, int most, int *n)
{
    int digits = 0;
    over_blanks(s);
    for (*n = 0; s->p < s->end && digits < most && *s->p >= '0' && *s->p <= '9'; digits++)
        *n = *n * 10 + (*s->p++ - '0');
    return s->p < s->end && *s->p >= '0' && *s->p <= '9' ? 0 : digits;
}

static size_t letters(scan *s, const uint8_t **word)
{
    over_blanks(s);
    for (*word = s->p; s->p < s->end && (*s->p | 0x20) >= 'a' && (*s->p | 0x20) <= 'z';)
        s->p++;
    return (size_t)(s->p - *word);
}

static bool colon(scan *s)
{
    over_blanks(s);
    return s->p < s->end && *s->p == ':' && s->p++;
}

static int month_of(const uint8_t *word, size_t n)
{
    static const char names[] = "janfebmaraprmayjunjulaugsepoctnovdec";
    for (int m = 0; n >= 3 && m < 12; m++)
        if ((word[0] | 0x20) == names[3 * m] && (word[1] | 0x20) == names[3 * m + 1] &&
            (word[2] | 0x20) == names[3 * m + 2])
            return m + 1;
    return 0;
}

/* Minutes east of UTC; what is no zone, or none, is UTC, as -0000 is. */
static bool zone(scan *s, int *minutes)
{
    static const struct {
        const char *name;
        int hours;
    } names[] = {{"EDT", -4}, {"EST", -5}, {"CDT", -5}, {"CST", -6},
                 {"MDT", -6}, {"MST", -7}, {"PDT", -7}, {"PST", -8}};
    const uint8_t *word;
    *minutes = 0;
    over_blanks(s);
    if (s->p < s->end && (*s->p == '+' || *s->p == '-')) {
        const bool west = *s->p++ == '-';
        int n;
        if (number(s, 4, &n) != 4 || n / 100 > 23 || n % 100 > 59)
            return false;
        *minutes = (n / 100 * 60 + n % 100) * (west ? -1 : 1);
        return true;
    }
    const size_t n = letters(s, &word);
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (ds_bytes_are(word, n, names[i].name))
            *minutes = names[i].hours * 60;
    return true;
}

/* Days from 1970-01-01 to a day of the Gregorian calendar, and back (Howard Hinnant's, by eras of
 * 400 years that begin in March). */
static int64_t to_days(int64_t y, int m, int d)
{
    y -= m <= 2;
    const int64_t era = y / 400, yoe = y - era * 400;
    const int64_t doy = (153 * (m + (m > 2 ? -3 : 9)) + 2) / 5 + d - 1;
    return era * 146097 + yoe * 365 + yoe / 4 - yoe / 100 + doy - 719468;
}

static void from_days(int64_t days, int *y, int *m, int *d)
{
    days += 719468;
    const int64_t era = days / 146097, doe = days - era * 146097;
    const int64_t yoe = (doe - doe / 1460 + doe / 36524 - doe / 146096) / 365;
    const int64_t doy = doe - (365 * yoe + yoe / 4 - yoe / 100), mp = (5 * doy + 2) / 153;
    *d = (int)(doy - (153 * mp + 2) / 5 + 1);
    *m = (int)(mp + (mp < 10 ? 3 : -9));
    *y = (int)(yoe + era * 400 + (*m <= 2));
}

static bool is_day(int y, int m, int d)
{
    static const int days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    const bool leap = (y % 4 == 0 && y % 100 != 0) || y % 400 == 0;
    return d >= 1 && d <= days[m - 1] + (m == 2 && leap);
}

bool ds_mail_date(char out[DS_MAIL_DATE], const uint8_t *p, size_t len)
{
    scan s = {p, p + len};
    const uint8_t *word;
    int y, m, d, hour, minute, second = 0, east;
    (void)letters(&s, &word); /* the day of the week */
    if (!number(&s, 2, &d))
        return false;
    over_blanks(&s);
    s.p += s.p < s.end && *s.p == '-';
    const size_t n = letters(&s, &word);
    m = month_of(word, n);
    s.p += s.p < s.end && *s.p == '-';
    const int digits = number(&s, 4, &y);
    if (digits == 2 || digits == 3) /* RFC 5322, section 4.3 */
        y += digits == 2 && y < 50 ? 2000 : 1900;
    if (m == 0 || digits < 2 || y < 1900 || !is_day(y, m, d) || !number(&s, 2, &hour) ||
        !colon(&s) || !number(&s, 2, &minute) || (colon(&s) && !number(&s, 2, &second)) ||
        !zone(&s, &east) || hour > 23 || minute > 59 || second > 60)
        return false;
    const int64_t t = to_days(y, m, d) * 1440 + hour * 60 + minute - east;
    const int64_t day = t >= 0 ? t / 1440 : -((1439 - t) / 1440);
    const int rest = (int)(t - day * 1440);
    from_days(day, &y, &m, &d);
    snprintf(out, DS_MAIL_DATE, "%04d-%02d-%02dT%02d:%02d:%02dZ", y, m, d, rest / 60, rest % 60,
             second);
    return true;
}
