/* piipattern.c - see piipattern.h. */
#include "piipattern.h"

#include <arpa/inet.h>
#include <string.h>

#include "piicheck.h"

const char *const ds_pii_names[] = {"email",  "phone",  "card",   "iban",   "ip",
                                    "cn_id",  "us_ssn", "es_dni", "de_tax", "fr_nir",
                                    "uk_nhs", "secret", "name",   NULL};

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
    return upper((uint8_t)(c & ~0x20));
}

static bool wordly(uint8_t c)
{
    return digit(c) || letter(c) || c == '_';
}

typedef struct text {
    const uint8_t *p;
    size_t len;
    unsigned kinds;
} text;

static uint8_t peek(const text *t, size_t at)
{
    return at < t->len ? t->p[at] : 0;
}

static bool on(const text *t, enum ds_pii kind)
{
    return t->kinds >> kind & 1;
}

/* May a word begin at `at`: is it no letter, digit or underscore that stands before it? */
static bool may_begin(const uint8_t *p, size_t at)
{
    return at == 0 || !wordly(p[at - 1]);
}

/* ---- runs of digits ---- */

enum { DIGITS_MAX = 24, GROUPS_MAX = 10 };

/* Digits in groups, with one separator between (a space, hyphen, dot or slash). */
typedef struct groups {
    char d[DIGITS_MAX + 1];
    size_t n, groups;
    size_t size[GROUPS_MAX], upto[GROUPS_MAX], end[GROUPS_MAX]; /* digits so far; end in the text */
    char sep; /* the one separator; 0: there is none; 1: several kinds */
} groups;

static void read_groups(const text *t, size_t at, groups *g)
{
    *g = (groups){0};
    while (g->groups < GROUPS_MAX && digit(peek(t, at))) {
        const size_t from = g->n;
        while (digit(peek(t, at)) && g->n < DIGITS_MAX)
            g->d[g->n++] = (char)t->p[at++];
        if (digit(peek(t, at)))
            return; /* too long for anything: this group is left out */
        g->size[g->groups] = g->n - from;
        g->upto[g->groups] = g->n;
        g->end[g->groups++] = at;
        const char c = (char)peek(t, at);
        if (!c || !strchr(" -./", c) || !digit(peek(t, at + 1)))
            return;
        g->sep = g->sep == 0 || g->sep == c ? c : 1;
        at++;
    }
}

/* Nothing goes on behind: no letter, and no further digits after a hyphen or dot. */
static bool ends(const text *t, size_t end)
{
    const uint8_t c = peek(t, end);
    return !wordly(c) && !((c == '-' || c == '.') && digit(peek(t, end + 1)));
}

/* Do the first k groups have these sizes ("324")? */
static bool shaped(const groups *g, size_t k, const char *sizes)
{
    if (strlen(sizes) != k || g->groups < k)
        return false;
    for (size_t i = 0; i < k; i++)
        if (g->size[i] != (size_t)(sizes[i] - '0'))
            return false;
    return true;
}

static bool card_shape(const groups *g, size_t k)
{
    return k == 1 ||
           ((g->sep == ' ' || g->sep == '-') && (shaped(g, k, "4444") || shaped(g, k, "465") ||
                                                 shaped(g, k, "464") || shaped(g, k, "44443")));
}

static bool said_before(const text *t, size_t at, const char *word)
{
    const size_t n = strlen(word), from = at > 24 ? at - 24 : 0;
    return at - from >= n && memmem(t->p + from, at - from, word, n) != NULL;
}

/* ---- numbers of persons ---- */

/* The longest row of first groups that is a number of some kind; its end, or 0. */
static size_t national(const text *t, size_t at, const groups *g, size_t k, enum ds_pii *kind)
{
    const size_t n = g->upto[k - 1], end = g->end[k - 1];
    const bool spaced = g->sep == ' ' || g->sep == '-';
    const uint8_t c = peek(t, end);
    if (k == 1 && n == 17 && (c | 0x20) == 'x' && on(t, DS_PII_CN_ID) &&
        !wordly(peek(t, end + 1))) {
        char id[18];
        memcpy(id, g->d, 17);
        id[17] = 'X';
        *kind = DS_PII_CN_ID;
        return ds_check_cn(id) ? end + 1 : 0;
    }
    if (k == 1 && n == 8 && on(t, DS_PII_ES_DNI)) {
        const size_t l = c == '-' ? end + 1 : end;
        *kind = DS_PII_ES_DNI;
        return upper(peek(t, l)) && !wordly(peek(t, l + 1)) && ds_check_dni(g->d, (char)t->p[l])
                   ? l + 1
                   : 0;
    }
    if (!ends(t, end))
        return 0;
    if (k == 1 && n == 18 && on(t, DS_PII_CN_ID) && ds_check_cn(g->d))
        return *kind = DS_PII_CN_ID, end;
    if (k == 3 && spaced && shaped(g, k, "324") && on(t, DS_PII_US_SSN) && ds_check_ssn(g->d))
        return *kind = DS_PII_US_SSN, end;
    if ((k == 1 || (g->sep == ' ' && shaped(g, k, "2333"))) && n == 11 && on(t, DS_PII_DE_TAX) &&
        ds_check_steuer(g->d))
        return *kind = DS_PII_DE_TAX, end;
    if ((k == 1 || (g->sep == ' ' && shaped(g, k, "1222332"))) && n == 15 && on(t, DS_PII_FR_NIR) &&
        ds_check_nir(g->d))
        return *kind = DS_PII_FR_NIR, end;
    if (((k == 3 && spaced && shaped(g, k, "334")) ||
         (k == 1 && n == 10 && said_before(t, at, "NHS"))) &&
        on(t, DS_PII_UK_NHS) && ds_check_nhs(g->d))
        return *kind = DS_PII_UK_NHS, end;
    return 0;
}

/* ---- telephone numbers ---- */

/* +49 (0)30 1234-567: digits with single separators, 8 to 15 of them. */
static size_t international(const text *t, size_t at)
{
    size_t n = 0, i = at + 1, end = 0;
    bool gap = true;
    if (!(peek(t, i) >= '1' && peek(t, i) <= '9'))
        return 0;
    for (; n <= 16; i++) {
        const uint8_t c = peek(t, i);
        if (digit(c)) {
            n++;
            gap = false;
            end = i + 1;
        } else if ((c == '(' || c == ')') && n > 0) {
            gap = true;
        } else if (c && strchr(" -./", (char)c) && (!gap || peek(t, i - 1) == ')')) {
            gap = true;
        } else {
            break;
        }
    }
    return n >= 8 && n <= 15 && !wordly(peek(t, end)) ? end : 0;
}

/* (212) 555-0123 */
static size_t in_parentheses(const text *t, size_t at)
{
    groups g;
    size_t i = at + 1;
    for (unsigned k = 0; k < 3; k++)
        if (!digit(peek(t, i++)))
            return 0;
    if (t->p[at + 1] < '2' || peek(t, i++) != ')')
        return 0;
    i += peek(t, i) == ' ';
    read_groups(t, i, &g);
    return shaped(&g, 2, "34") && g.groups == 2 && g.d[0] >= '2' &&
                   (g.sep == '-' || g.sep == ' ') && ends(t, g.end[1])
               ? g.end[1]
               : 0;
}

static size_t phone(const text *t, const groups *g)
{
    const size_t k = g->groups, end = k ? g->end[k - 1] : 0;
    if (k == 0 || !ends(t, end) || g->sep == 1)
        return 0;
    const bool cn = g->n == 11 && g->d[0] == '1' && g->d[1] >= '3' &&
                    (k == 1 || shaped(g, k, "344")),
               nanp = k == 3 && shaped(g, k, "334") && g->d[0] >= '2' && g->d[3] >= '2' &&
                      g->sep != '/',
               one = k == 4 && shaped(g, k, "1334") && g->d[0] == '1' && g->d[1] >= '2' &&
                     g->d[4] >= '2' && g->sep != '/',
               fr = k == 5 && shaped(g, k, "22222") && g->d[0] == '0' && g->d[1] >= '1',
               trunk = k == 2 && g->d[0] == '0' && g->d[1] >= '1' && g->size[0] >= 3 &&
                       g->size[0] <= 6 && g->size[1] >= 5 && g->n >= 9 && g->n <= 12 &&
                       g->sep != '.';
    return cn || nanp || one || fr || trunk ? end : 0;
}

/* ---- addresses ---- */

static size_t ipv4(const text *t, size_t at)
{
    uint8_t a[4];
    size_t i = at;
    for (unsigned k = 0; k < 4; k++) {
        unsigned v = 0, n = 0;
        for (; n < 4 && digit(peek(t, i)); n++)
            v = v * 10 + (unsigned)(t->p[i++] - '0');
        if (n == 0 || n > 3 || v > 255 || (n > 1 && t->p[i - n] == '0'))
            return 0;
        a[k] = (uint8_t)v;
        if (k < 3 && peek(t, i++) != '.')
            return 0;
    }
    if (!ends(t, i))
        return 0;
    return (t->kinds & DS_PII_ALL_IPS) || ds_ipv4_public(a) ? i : 0;
}

static size_t ipv6(const text *t, size_t at)
{
    char s[INET6_ADDRSTRLEN];
    uint8_t a[16];
    size_t n = 0, colons = 0, sets = 0;
    for (; n < sizeof s - 1; n++) {
        const uint8_t c = peek(t, at + n);
        const bool hex = digit(c) || ((c | 0x20) >= 'a' && (c | 0x20) <= 'f');
        if (!hex && c != ':' && c != '.')
            break;
        sets += hex && (n == 0 || s[n - 1] == ':');
        colons += c == ':';
        s[n] = (char)c;
    }
    while (n && (s[n - 1] == '.' || (s[n - 1] == ':' && !(n > 1 && s[n - 2] == ':'))))
        n--;
    s[n] = 0;
    if (colons < 2 || sets < 3 || wordly(peek(t, at + n)) || inet_pton(AF_INET6, s, a) != 1)
        return 0;
    return (t->kinds & DS_PII_ALL_IPS) || ds_ipv6_public(a) ? at + n : 0;
}

static bool local_part(uint8_t c)
{
    return c < 0x80 && (wordly(c) || (c && strchr(".!#$%&'*+/=?^`{|}~-", c)));
}

/* Where an address of mail ends whose @ stands at `at`; 0 = it is none. */
static size_t domain(const text *t, size_t at)
{
    size_t i = at + 1, label = i, dots = 0, alpha = 0;
    for (; i - at < 255; i++) {
        const uint8_t c = peek(t, i);
        if (c == '.' && i > label && (digit(peek(t, i + 1)) || letter(peek(t, i + 1)))) {
            dots++;
            label = i + 1;
            alpha = 0;
        } else if (digit(c) || letter(c) || (c == '-' && i > label)) {
            alpha += letter(c);
        } else {
            break;
        }
    }
    while (i > label && t->p[i - 1] == '-')
        i--;
    return dots && i - label >= 2 && alpha == i - label && peek(t, i) != '@' ? i : 0;
}

static size_t email(const text *t, size_t at)
{
    size_t i = at;
    while (i - at <= 64 && local_part(peek(t, i)))
        i++;
    if (i == at || i - at > 64 || peek(t, i) != '@' || t->p[i - 1] == '.')
        return 0;
    return domain(t, i);
}

/* ---- accounts, keys ---- */

static size_t iban(const text *t, size_t at)
{
    char s[40];
    const char country[] = {(char)t->p[at], (char)peek(t, at + 1), 0};
    const size_t want = ds_iban_length(country);
    size_t n = 0, i = at;
    while (n < want) {
        const uint8_t c = peek(t, i);
        if (c == ' ' && n && n % 4 == 0 && peek(t, i - 1) != ' ') {
            i++;
            continue;
        }
        if (!digit(c) && !upper(c))
            return 0;
        s[n++] = (char)c;
        i++;
    }
    return want && digit((uint8_t)s[2]) && digit((uint8_t)s[3]) && !wordly(peek(t, i)) &&
                   ds_check_iban(s, n)
               ? i
               : 0;
}

enum { UPPER = 1, LOWER = 2, DIGIT = 4, UNDER = 8, HYPHEN = 16, ALNUM = 7, URL = 31 };

static const struct {
    const char *prefix;
    unsigned set;
    size_t min, max;
} tokens[] = {
    {"AKIA", UPPER | DIGIT, 16, 16},
    {"ASIA", UPPER | DIGIT, 16, 16},
    {"ABIA", UPPER | DIGIT, 16, 16},
    {"ACCA", UPPER | DIGIT, 16, 16},
    {"ghp_", ALNUM, 36, 255},
    {"gho_", ALNUM, 36, 255},
    {"ghu_", ALNUM, 36, 255},
    {"ghs_", ALNUM, 36, 255},
    {"ghr_", ALNUM, 36, 255},
    {"github_pat_", ALNUM | UNDER, 22, 255},
    {"glpat-", URL, 20, 255},
    {"xoxb-", ALNUM | HYPHEN, 20, 255},
    {"xoxp-", ALNUM | HYPHEN, 20, 255},
    {"xoxa-", ALNUM | HYPHEN, 20, 255},
    {"xoxr-", ALNUM | HYPHEN, 20, 255},
    {"xoxs-", ALNUM | HYPHEN, 20, 255},
    {"AIza", URL, 35, 35},
    {"sk_live_", ALNUM, 16, 255},
    {"rk_live_", ALNUM, 16, 255},
    {"sk_test_", ALNUM, 16, 255},
    {"sk-", URL, 32, 255},
    {"hf_", ALNUM, 34, 34},
    {"npm_", ALNUM, 36, 36},
    {"pypi-", URL, 60, 255},
    {"SG.", URL, 60, 80},
    {"LTAI", ALNUM, 12, 26},
};

static bool in_set(uint8_t c, unsigned set)
{
    return (upper(c) && (set & UPPER)) || (c >= 'a' && c <= 'z' && (set & LOWER)) ||
           (digit(c) && (set & DIGIT)) || (c == '_' && (set & UNDER)) ||
           (c == '-' && (set & HYPHEN));
}

static size_t run_of(const text *t, size_t at, unsigned set, size_t most)
{
    size_t n = 0;
    while (n <= most && in_set(peek(t, at + n), set))
        n++;
    return n;
}

static bool stands(const text *t, size_t at, const char *w)
{
    const size_t n = strlen(w);
    return t->len - at >= n && memcmp(t->p + at, w, n) == 0;
}

/* Three parts of base64url; the first two are JSON objects, which begin with {" */
static size_t jwt(const text *t, size_t at)
{
    size_t i = at;
    for (unsigned part = 0; part < 3; part++) {
        const size_t n = run_of(t, i, URL, 8192);
        if (n > 8192 || (part < 2 && (n < 10 || !stands(t, i, "eyJ"))))
            return 0;
        i += n;
        if (part < 2 && peek(t, i++) != '.')
            return 0;
    }
    return i;
}

static size_t token(const text *t, size_t at)
{
    if (stands(t, at, "eyJ"))
        return jwt(t, at);
    for (size_t k = 0; k < sizeof tokens / sizeof *tokens; k++) {
        if (tokens[k].prefix[0] != (char)t->p[at] || !stands(t, at, tokens[k].prefix))
            continue;
        const size_t from = at + strlen(tokens[k].prefix);
        const size_t n = run_of(t, from, tokens[k].set, tokens[k].max);
        if (n >= tokens[k].min && n <= tokens[k].max && !wordly(peek(t, from + n)))
            return from + n;
    }
    return 0;
}

static size_t pem(const text *t, size_t at)
{
    static const char begin[] = "-----BEGIN ", end[] = "-----END ";
    if (!stands(t, at, begin))
        return 0;
    const uint8_t *p = t->p + at,
                  *label = memmem(p, t->len - at < 80 ? t->len - at : 80, "PRIVATE KEY-----", 16);
    const uint8_t *e =
        label ? memmem(label, t->len - (size_t)(label - t->p), end, strlen(end)) : NULL;
    const uint8_t *close = e ? memmem(e + 9, t->len - (size_t)(e + 9 - t->p), "-----", 5) : NULL;
    return close ? (size_t)(close - t->p) + 5 : 0;
}

/* ---- all of it ---- */

static size_t at_digit(const text *t, size_t at, enum ds_pii *kind)
{
    groups g;
    size_t end;
    if (on(t, DS_PII_IP) && (*kind = DS_PII_IP, end = ipv4(t, at)))
        return end;
    if (on(t, DS_PII_IP) && (end = ipv6(t, at)))
        return end;
    read_groups(t, at, &g);
    for (size_t k = g.groups; k > 0; k--) {
        if ((end = national(t, at, &g, k, kind)))
            return end;
        const size_t n = g.upto[k - 1];
        if (on(t, DS_PII_CARD) && n >= 12 && n <= 19 && card_shape(&g, k) &&
            ends(t, g.end[k - 1]) && ds_check_card(g.d, n))
            return *kind = DS_PII_CARD, g.end[k - 1];
    }
    *kind = DS_PII_PHONE;
    return on(t, DS_PII_PHONE) ? phone(t, &g) : 0;
}

static size_t at_letter(const text *t, size_t at, enum ds_pii *kind)
{
    size_t end;
    if (on(t, DS_PII_SECRET) && (*kind = DS_PII_SECRET, end = token(t, at)))
        return end;
    if (on(t, DS_PII_IBAN) && upper(t->p[at]) && upper(peek(t, at + 1)) && digit(peek(t, at + 2)) &&
        (*kind = DS_PII_IBAN, end = iban(t, at)))
        return end;
    if (on(t, DS_PII_ES_DNI) && t->p[at] >= 'X' && t->p[at] <= 'Z' && digit(peek(t, at + 1))) {
        groups g;
        read_groups(t, at + 1, &g);
        char d[8] = {(char)('0' + t->p[at] - 'X')};
        end = g.groups ? g.end[0] + (peek(t, g.end[0]) == '-') : 0;
        if (end && g.size[0] == 7 && upper(peek(t, end)) && !wordly(peek(t, end + 1))) {
            memcpy(d + 1, g.d, 7);
            if (ds_check_dni(d, (char)t->p[end]))
                return *kind = DS_PII_ES_DNI, end + 1;
        }
    }
    *kind = DS_PII_IP;
    return on(t, DS_PII_IP) && (t->p[at] | 0x20) <= 'f' ? ipv6(t, at) : 0;
}

/* Is it in the midst of a number with separators, or of an address? */
static bool inside_number(const text *t, size_t at)
{
    return at >= 2 && strchr(".-:/,", t->p[at - 1]) && digit(t->p[at - 2]);
}

static size_t match_at(const text *t, size_t at, enum ds_pii *kind)
{
    const uint8_t c = t->p[at];
    size_t end;
    if (c == '-')
        return *kind = DS_PII_SECRET, on(t, DS_PII_SECRET) ? pem(t, at) : 0;
    if (!may_begin(t->p, at))
        return 0;
    if (c == '+' || c == '(') {
        *kind = DS_PII_PHONE;
        return !on(t, DS_PII_PHONE) ? 0 : c == '+' ? international(t, at) : in_parentheses(t, at);
    }
    if (on(t, DS_PII_EMAIL) && (*kind = DS_PII_EMAIL, end = email(t, at)))
        return end;
    if (digit(c))
        return inside_number(t, at) ? 0 : at_digit(t, at, kind);
    return letter(c) ? at_letter(t, at, kind) : 0;
}

bool ds_pii_next(const uint8_t *p, size_t len, size_t from, unsigned kinds, ds_piimatch *m)
{
    const text t = {.p = p, .len = len, .kinds = kinds};
    bool word = from > 0 && wordly(p[from - 1]); /* what is before is part of a word */
    for (size_t at = from; at < len; at++) {
        const uint8_t c = p[at];
        const bool part = wordly(c);
        if ((part && !word) || c == '+' || c == '(' || c == '-') {
            enum ds_pii kind = DS_PII_EMAIL;
            const size_t end = match_at(&t, at, &kind);
            if (end) {
                *m = (ds_piimatch){.kind = kind, .at = at, .end = end};
                return true;
            }
        }
        word = part;
    }
    return false;
}

size_t ds_pii_plain(const uint8_t *p, size_t len, enum ds_pii kind, uint8_t *out, size_t cap)
{
    size_t n = 0;
    const bool exact = kind == DS_PII_SECRET || kind == DS_PII_NAME;
    for (size_t i = 0; i < len && n < cap; i++) {
        const uint8_t c = p[i];
        if (exact)
            out[n++] = c;
        else if (kind == DS_PII_EMAIL || kind == DS_PII_IP)
            out[n++] = upper(c) ? c | 0x20 : c;
        else if (digit(c) || letter(c))
            out[n++] = c & 0x40 ? c & (uint8_t)~0x20 : c;
    }
    return n;
}
