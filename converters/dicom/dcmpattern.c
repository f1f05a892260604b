/* dcmpattern.c - see dcmscrub.h: what in free text looks like a date, a number of a person, or a
 * name. Everything here is by hand and linear: at one place at most a few dozen bytes are looked
 * at. */
#include <string.h>
#include <strings.h>

#include "dcmcommon.h"
#include "dcmdate.h"
#include "dcmscrub.h"

#define MAX_WORD 40

static bool digit(uint8_t c)
{
    return c >= '0' && c <= '9';
}

static bool upper(uint8_t c)
{
    return c >= 'A' && c <= 'Z';
}

static bool letter(uint8_t c)
{
    return upper((uint8_t)(c & ~0x20)) || c >= 0x80;
}

static bool alnum(uint8_t c)
{
    return digit(c) || letter(c);
}

/* The text that is looked at, and no further. */
typedef struct text {
    const uint8_t *p;
    size_t len;
} text;

static uint8_t peek(const text *t, size_t at)
{
    return at < t->len ? t->p[at] : 0;
}

static size_t digits_end(const text *t, size_t at)
{
    while (digit(peek(t, at)))
        at++;
    return at;
}

static size_t word_end(const text *t, size_t at)
{
    while (letter(peek(t, at)))
        at++;
    return at;
}

static int value(const text *t, size_t at, size_t end)
{
    int v = 0;
    for (; at < end && v < 100000000; at++)
        v = v * 10 + (t->p[at] - '0');
    return v;
}

static bool follows(const text *t, size_t at, const char *w)
{
    size_t n = strlen(w);
    return at <= t->len && t->len - at >= n && strncasecmp((const char *)t->p + at, w, n) == 0;
}

static bool is_word(const text *t, size_t at, size_t end, const char *w)
{
    size_t n = strlen(w);
    return end - at == n && strncasecmp((const char *)t->p + at, w, n) == 0;
}

static bool in_list(const text *t, size_t at, size_t end, const char *const *list, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (is_word(t, at, end, list[i]))
            return true;
    return false;
}
#define IN(t, at, end, list) in_list(t, at, end, list, sizeof list / sizeof *list)

/* ---- dates ---- */

/* English, German, French, Spanish. */
static const struct {
    const char *name;
    int month;
} months[] = {
    {"january", 1},
    {"januar", 1},
    {"janvier", 1},
    {"enero", 1},
    {"february", 2},
    {"februar", 2},
    {"febrero", 2},
    {"fevrier", 2},
    {"f\xc3\xa9vrier", 2},
    {"march", 3},
    {"marz", 3},
    {"m\xc3\xa4rz", 3},
    {"maerz", 3},
    {"mars", 3},
    {"marzo", 3},
    {"april", 4},
    {"avril", 4},
    {"abril", 4},
    {"may", 5},
    {"mai", 5},
    {"mayo", 5},
    {"june", 6},
    {"juni", 6},
    {"juin", 6},
    {"junio", 6},
    {"july", 7},
    {"juli", 7},
    {"juillet", 7},
    {"julio", 7},
    {"august", 8},
    {"agosto", 8},
    {"ao\xc3\xbbt", 8},
    {"september", 9},
    {"septembre", 9},
    {"septiembre", 9},
    {"october", 10},
    {"oktober", 10},
    {"octobre", 10},
    {"octubre", 10},
    {"november", 11},
    {"novembre", 11},
    {"noviembre", 11},
    {"december", 12},
    {"dezember", 12},
    {"decembre", 12},
    {"diciembre", 12},
    {"d\xc3\xa9"
     "cembre",
     12},
    {"sept", 9},
};

/* By its whole name, or its first three letters. */
static int month_of(const text *t, size_t at, size_t end)
{
    size_t n = end - at;
    if (n < 3)
        return 0;
    for (size_t i = 0; i < sizeof months / sizeof *months; i++)
        if ((n == 3 || n == strlen(months[i].name)) &&
            strncasecmp((const char *)t->p + at, months[i].name, n) == 0)
            return months[i].month;
    return 0;
}

static bool year(int y)
{
    return y >= 1900 && y <= 2100;
}

static size_t skip(const text *t, size_t at, const char *set, size_t max)
{
    size_t from = at;
    while (at - from < max && peek(t, at) && strchr(set, peek(t, at)))
        at++;
    return at;
}

static bool plausible(int a, int b, int y)
{
    return dcm_date_valid(y, a, b) || dcm_date_valid(y, b, a);
}

/* Three numbers with the same mark between them. */
static size_t numeric_date(const text *t, size_t at, size_t e1)
{
    uint8_t mark = peek(t, e1);
    size_t e2 = digits_end(t, e1 + 1), e3 = digits_end(t, e2 + 1);
    size_t n1 = e1 - at, n2 = e2 - e1 - 1, n3 = e3 - e2 - 1;
    if (!mark || !strchr("-/.", mark) || peek(t, e2) != mark || n2 < 1 || n2 > 2 || n3 < 1)
        return 0;
    if (peek(t, e3) == mark && digit(peek(t, e3 + 1)))
        return 0; /* four of them: a version, a UID */
    int a = value(t, at, e1), b = value(t, e1 + 1, e2), c = value(t, e2 + 1, e3);
    if (n1 == 4 && n3 <= 2 && year(a) && dcm_date_valid(a, b, c))
        return e3;
    if (n1 <= 2 && n3 == 4 && year(c) && plausible(a, b, c))
        return e3;
    bool short_form = n1 <= 2 && n3 == 2 && (mark != '.' || (n1 == 2 && n2 == 2));
    return short_form && plausible(a, b, 2000 + c) ? e3 : 0;
}

/* 12 Jan 2020, 12-Jan-20, 12. Januar 2020 */
static size_t day_month(const text *t, size_t at, size_t e1)
{
    size_t w = skip(t, e1, " -./", 2);
    if (e1 - at > 2)
        return 0;
    if (w == e1 && follows(t, e1, "th"))
        w = skip(t, e1 + 2, " ", 1);
    size_t we = word_end(t, w);
    int m = month_of(t, w, we);
    size_t y = skip(t, we, " -.,/", 2), ye = digits_end(t, y);
    if (m == 0 || y == we)
        return 0;
    if (ye - y != 4 && (ye - y != 2 || peek(t, we) == ' '))
        return 0;
    int yv = value(t, y, ye);
    return dcm_date_valid(ye - y == 4 ? yv : 2000 + yv, m, value(t, at, e1)) ? ye : 0;
}

/* 2020年1月5日 */
static size_t cjk_date(const text *t, size_t e1)
{
    static const char nen[] = "\xe5\xb9\xb4", gatsu[] = "\xe6\x9c\x88", nichi[] = "\xe6\x97\xa5";
    size_t left = t->len - e1;
    if (left < 3 || memcmp(t->p + e1, nen, 3) != 0)
        return 0;
    size_t m = digits_end(t, e1 + 3);
    if (m == e1 + 3 || t->len - m < 3 || memcmp(t->p + m, gatsu, 3) != 0)
        return 0;
    size_t d = digits_end(t, m + 3);
    return d > m + 3 && t->len - d >= 3 && memcmp(t->p + d, nichi, 3) == 0 ? d + 3 : 0;
}

static size_t date_at(const text *t, size_t at, size_t end)
{
    size_t n = end - at, r;
    if (n == 8 || n == 12 || n == 14) {
        dcm_date d;
        if (dcm_date_parse(&d, (const char *)t->p + at, 8) && year(d.year))
            return end;
        return 0;
    }
    if ((r = numeric_date(t, at, end)) || (r = day_month(t, at, end)))
        return r;
    return n == 4 ? cjk_date(t, end) : 0;
}

/* January 12, 2020 */
static size_t month_day(const text *t, size_t at, size_t end)
{
    int m = month_of(t, at, end);
    size_t d = skip(t, end, " .", 2), de = digits_end(t, d);
    if (m == 0 || d == end || de == d || de - d > 2)
        return 0;
    size_t dv = de;
    static const char *const ordinals[] = {"st", "nd", "rd", "th"};
    size_t oe = word_end(t, de);
    if (oe > de && IN(t, de, oe, ordinals))
        de = oe;
    size_t y = skip(t, de, " ,", 2), ye = digits_end(t, y);
    return y > de && ye - y == 4 && dcm_date_valid(value(t, y, ye), m, value(t, d, dv)) ? ye : 0;
}

/* ---- numbers ---- */

/* A UID has four dots or more; those of the standard are nobody's. */
static size_t uid_at(const text *t, size_t at)
{
    static const char std[] = "1.2.840.10008.";
    size_t end = at, dots = 0;
    while (digit(peek(t, end)) || (peek(t, end) == '.' && digit(peek(t, end + 1)))) {
        dots += t->p[end] == '.';
        end++;
    }
    if (dots < 4 || end - at < 12 || follows(t, at, std))
        return 0;
    return end;
}

/* Groups of digits: how many, and what stands between them. */
typedef struct groups {
    size_t n, total, size[8], end;
    bool dashes, dots, spaces, slashes, same;
} groups;

static void read_groups(const text *t, size_t at, groups *g)
{
    memset(g, 0, sizeof *g);
    g->end = at;
    while (g->n < 8) {
        size_t end = digits_end(t, at);
        if (end == at)
            break;
        g->size[g->n++] = end - at;
        g->total += end - at;
        g->end = end;
        uint8_t c = peek(t, end);
        at = end + 1;
        if (c == ')' || (c == ' ' && peek(t, at) == '('))
            at = skip(t, at, " (-", 2);
        if (!c || !strchr("- ./)", c) || !digit(peek(t, at)))
            break;
        g->dashes |= c == '-';
        g->dots |= c == '.';
        g->spaces |= c == ' ' || c == ')';
        g->slashes |= c == '/';
    }
    g->same = g->dashes + g->dots + g->spaces + g->slashes == 1;
}

static bool sizes(const groups *g, size_t lo, size_t hi)
{
    for (size_t i = 0; i < g->n; i++)
        if (g->size[i] < lo || g->size[i] > hi)
            return false;
    return true;
}

static size_t phone_at(const text *t, size_t at)
{
    groups g;
    uint8_t c = peek(t, at);
    size_t first = c == '+' || c == '(' ? at + 1 : at;
    read_groups(t, first, &g);
    if (g.n < 1 || alnum(peek(t, g.end)))
        return 0;
    if (c == '+')
        return g.total >= 8 && g.total <= 15 ? g.end : 0;
    if (c == '(')
        return g.n >= 2 && g.total >= 7 && g.total <= 13 && g.size[0] >= 2 &&
                       peek(t, first + g.size[0]) == ')'
                   ? g.end
                   : 0;
    if (g.n >= 3 && g.same && (g.dashes || g.dots) && g.total >= 9 && g.total <= 12 &&
        sizes(&g, 2, 4))
        return g.end;
    if (g.n == 2 && g.dashes && g.size[0] == 3 && g.size[1] == 4)
        return g.end;
    if (t->p[first] == '0' && g.n >= 2 && g.size[0] >= 2 && !g.dots && g.total >= 9 &&
        g.total <= 13 && sizes(&g, 2, 9))
        return g.end;
    return 0;
}

static size_t age_at(const text *t, size_t at, size_t end)
{
    static const char *const units[] = {"year", "years", "yr",   "yrs", "yo",
                                        "y",    "jahre", "jahr", "ans", "a\xc3\xb1os"};
    int v = value(t, at, end);
    if (v < 90 || v > 129 || end - at > 3)
        return 0;
    size_t w = skip(t, end, " -", 1), we = word_end(t, w);
    bool y = is_word(t, w, we, "y") && peek(t, we) != '/' && w != end;
    return we > w && IN(t, w, we, units) && !y ? end : 0;
}

static size_t number_at(const text *t, size_t at, enum dcm_pattern *what)
{
    size_t end = digits_end(t, at), r;
    if ((r = uid_at(t, at)) > 0) {
        *what = DCM_PAT_UID;
    } else if ((r = date_at(t, at, end)) > 0) {
        *what = DCM_PAT_DATE;
    } else if ((r = phone_at(t, at)) > 0) {
        *what = DCM_PAT_PHONE;
    } else if ((r = age_at(t, at, end)) > 0) {
        *what = DCM_PAT_AGE;
    } else if (end - at >= 7 && !alnum(peek(t, end)) &&
               !(peek(t, end) == '.' && digit(peek(t, end + 1))) &&
               !(at > 0 && t->p[at - 1] == '.')) {
        *what = DCM_PAT_ID;
        r = end;
    }
    return r;
}

/* ---- words ---- */

static bool common(const text *t, size_t at, size_t end)
{
    uint8_t low[MAX_WORD];
    size_t n = end - at;
    if (n > sizeof low)
        return false;
    for (size_t i = 0; i < n; i++)
        low[i] = upper(t->p[at + i]) ? t->p[at + i] | 0x20 : t->p[at + i];
    return dcm_is_common(low, n);
}

/* One to three words that begin with a capital, initials among them. */
static size_t names_end(const text *t, size_t at)
{
    size_t end = 0;
    for (unsigned n = 0; n < 3; n++) {
        size_t e = word_end(t, at);
        if (e == at || !(upper(t->p[at]) || t->p[at] >= 0xc3) || (e - at > 1 && common(t, at, e)))
            break;
        while (peek(t, e) == '-' && upper(peek(t, e + 1)))
            e = word_end(t, e + 1);
        if (e - at > 1)
            end = e;
        if (peek(t, e) == '.' && e - at == 1)
            e++;
        at = skip(t, e, " ,^", 2);
        if (at == e)
            break;
    }
    return end;
}

/* Dr. X, Mrs X; read by X; Name: X. *from: where the name begins. */
static size_t titled_at(const text *t, size_t at, size_t end, size_t *from)
{
    static const char *const titles[] = {"dr",     "mr",   "mrs",  "ms",  "prof",     "professor",
                                         "doctor", "herr", "frau", "mme", "monsieur", "madame",
                                         "nurse",  "sr",   "sra",  "miss"};
    static const char *const roles[] = {"name",      "physician",    "radiologist", "technologist",
                                        "operator",  "patient",      "attending",   "technician",
                                        "referring", "surgeon",      "resident",    "fellow",
                                        "signed",    "dictated",     "transcribed", "reader",
                                        "author",    "radiographer", "consultant"};
    static const char *const verbs[] = {"read",      "signed",      "dictated", "reported",
                                        "verified",  "reviewed",    "approved", "referred",
                                        "performed", "interpreted", "ordered",  "requested"};
    size_t n = skip(t, end, ".", 1);
    if (IN(t, at, end, titles)) {
        n = skip(t, n, " ", 2);
    } else if (IN(t, at, end, roles) && peek(t, skip(t, end, " ", 1)) == ':') {
        n = skip(t, end, " :", 3);
    } else if (IN(t, at, end, verbs) && follows(t, end, " by ")) {
        n = skip(t, end + 3, " :", 2);
    } else {
        return 0;
    }
    if (n == end)
        return 0;
    for (size_t e = word_end(t, n); IN(t, n, e, titles); e = word_end(t, n))
        n = skip(t, e, ". ", 3); /* Prof. Dr. */
    *from = n;
    return names_end(t, n);
}

/* MRN 123, Patient ID: A-12, Accession No. 77X */
static size_t coded_at(const text *t, size_t at, size_t end, size_t *from)
{
    static const char *const keys[] = {"mrn", "pid",       "id",     "acc",    "accession",
                                       "ssn", "patientid", "nhs",    "case",   "fin",
                                       "csn", "dob",       "record", "account"};
    static const char *const more[] = {"number", "no", "nr", "num", "id"};
    size_t n = end;
    if (!IN(t, at, end, keys))
        return 0;
    for (int i = 0; i < 2; i++) {
        n = skip(t, n, " .:#=-", 4);
        size_t e = word_end(t, n);
        if (!IN(t, n, e, more) || digit(peek(t, e)))
            break;
        n = e;
    }
    n = skip(t, n, " .:#=-", 4);
    if (n == end)
        return 0;
    size_t e = n;
    unsigned digits = 0;
    while (alnum(peek(t, e)) ||
           (peek(t, e) && strchr("-_/", peek(t, e)) && alnum(peek(t, e + 1)))) {
        digits += digit(t->p[e]);
        e++;
    }
    *from = n;
    return digits >= 1 && e - n >= 3 ? e : 0;
}

/* 12 Long Road */
static size_t street_at(const text *t, size_t at, size_t end)
{
    static const char *const kinds[] = {"street", "avenue", "road",  "lane", "drive", "boulevard",
                                        "blvd",   "ave",    "court", "rd",   "st"};
    size_t w = skip(t, end, " ", 1);
    if (end - at > 5 || w == end)
        return 0;
    for (unsigned n = 0; n < 4; n++) {
        size_t e = word_end(t, w);
        if (e == w || !upper(t->p[w]))
            return 0;
        if (n > 0 && IN(t, w, e, kinds))
            return e;
        w = skip(t, e, " ", 1);
        if (w == e)
            return 0;
    }
    return 0;
}

/* At an @: the whole address. */
static size_t mail_at(const text *t, size_t at, size_t *from)
{
    size_t lo = at, end = at + 1, dots = 0;
    while (lo > 0 && at - lo < 64 && (alnum(t->p[lo - 1]) || strchr("._%+-", t->p[lo - 1])) &&
           t->p[lo - 1])
        lo--;
    while (alnum(peek(t, end)) ||
           ((peek(t, end) == '.' || peek(t, end) == '-') && alnum(peek(t, end + 1)))) {
        dots += t->p[end] == '.';
        end++;
    }
    *from = lo;
    return lo < at && dots > 0 ? end : 0;
}

static size_t url_at(const text *t, size_t at, size_t end)
{
    bool web = is_word(t, at, end, "www") && peek(t, end) == '.';
    bool scheme = end - at <= 5 && t->len - end >= 3 && memcmp(t->p + end, "://", 3) == 0;
    if (!web && !scheme)
        return 0;
    while (end < t->len && t->p[end] > 0x20 && !strchr("\"<>", t->p[end]))
        end++;
    return end;
}

size_t dcm_pattern_at(const uint8_t *p, size_t len, size_t at, enum dcm_pattern *what,
                      size_t *begin)
{
    const text t = {p, len};
    size_t r = 0, end;
    uint8_t before = at > 0 ? p[at - 1] : ' ';
    *begin = at;
    if (p[at] == '@') {
        *what = DCM_PAT_EMAIL;
        return mail_at(&t, at, begin);
    }
    if (p[at] == '+' || p[at] == '(') {
        *what = DCM_PAT_PHONE;
        return phone_at(&t, at);
    }
    if (digit(p[at]) && !digit(before)) {
        if (before == '.' && at >= 2 && digit(p[at - 2]))
            return 0; /* within a number with points */
        if (!letter(before) && (r = street_at(&t, at, digits_end(&t, at))) > 0)
            *what = DCM_PAT_PLACE;
        else
            r = number_at(&t, at, what);
        return r;
    }
    if (!letter(p[at]) || letter(before))
        return 0;
    end = word_end(&t, at);
    if ((r = url_at(&t, at, end)) > 0)
        *what = DCM_PAT_URL;
    else if ((r = month_day(&t, at, end)) > 0)
        *what = DCM_PAT_DATE;
    else if ((r = coded_at(&t, at, end, begin)) > 0)
        *what = DCM_PAT_ID;
    else if ((r = titled_at(&t, at, end, begin)) > 0)
        *what = DCM_PAT_NAME;
    return r;
}
