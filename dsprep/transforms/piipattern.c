/* piipattern.c - see piipattern.h. */
#include "piipattern.h"

#include <arpa/inet.h>
#include <string.h>

#include "piicheck.h"
#include "piitext.h"

const char *const ds_pii_names[] = {"email",  "phone",  "card",   "iban",   "ip",
                                    "cn_id",  "us_ssn", "es_dni", "de_tax", "fr_nir",
                                    "uk_nhs", "secret", "name",   NULL};

static bool on(const ds_piitext *t, enum ds_pii kind)
{
    return t->kinds >> kind & 1;
}

/* By byte; none of those above 0x7f has a class. */
#define U DS_PII_UPPER
#define L DS_PII_LOWER
#define D DS_PII_DIGIT
#define N DS_PII_UNDER
#define H DS_PII_HYPHEN
#define S DS_PII_SLASH
#define M DS_PII_MAIL
const uint8_t ds_pii_class[256] = {
    0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,     0, 0,     0, 0, 0, 0, 0, 0,
    0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, M, 0, M, 0, 0, 0, S | M, 0, H | M, M, S, D, D, D, D,
    D, D, D, D, D, D, 0, 0, 0, 0, 0, 0, 0, U, U, U, U, U,     U, U,     U, U, U, U, U, U,
    U, U, U, U, U, U, U, U, U, U, U, U, U, 0, 0, 0, 0, N,     0, L,     L, L, L, L, L, L,
    L, L, L, L, L, L, L, L, L, L, L, L, L, L, L, L, L, L,     L, 0,     0, 0, 0, 0,
};
#undef U
#undef L
#undef D
#undef N
#undef H
#undef S
#undef M

static bool hex(uint8_t c)
{
    return digit(c) || ((c | 0x20) >= 'a' && (c | 0x20) <= 'f');
}

/* Are the bytes at `at` an escaped one of an URL (%3D)? */
static bool escaped(const uint8_t *p, size_t at, size_t len)
{
    return len - at >= 3 && p[at] == '%' && hex(p[at + 1]) && hex(p[at + 2]);
}

/* Letters before `at` that are an escape of an URL, or of a string in a string (\\n). */
static bool behind_escape(const uint8_t *p, size_t at)
{
    return (at >= 2 && p[at - 2] == '\\' && p[at - 1] && strchr("nrtbf", p[at - 1])) ||
           (at >= 3 && escaped(p, at - 3, at));
}

/* May a word begin at `at`: is it no letter, digit or underscore that stands before it? */
static bool may_begin(const uint8_t *p, size_t at)
{
    return at == 0 || !wordly(p[at - 1]) || behind_escape(p, at);
}

/* ---- runs of digits ---- */

enum { DIGITS_MAX = 24, GROUPS_MAX = 10 };

/* What may stand between digits of one number: ' ' and '-' of any width, '.', '/'; 0: nothing does.
 * *n = its bytes. */
static char separator(const ds_piitext *t, size_t at, size_t *n)
{
    static const struct {
        const char *p;
        char as;
    } wide[] = {{"\xc2\xa0", ' '},     {"\xe2\x80\x87", ' '}, {"\xe2\x80\xaf", ' '},
                {"\xe2\x80\x90", '-'}, {"\xe2\x80\x91", '-'}, {"\xe2\x80\x93", '-'}};
    const char c = (char)peek(t, at);
    *n = 1;
    if (c && strchr(" -./", c))
        return c;
    for (size_t i = 0; (c & 0x80) && i < sizeof wide / sizeof *wide; i++)
        if (stands(t, at, wide[i].p))
            return *n = strlen(wide[i].p), wide[i].as;
    return 0;
}

/* Digits in groups, with one separator between. */
typedef struct groups {
    char d[DIGITS_MAX + 1];
    size_t n, groups;
    size_t size[GROUPS_MAX], upto[GROUPS_MAX], end[GROUPS_MAX]; /* digits so far; end in the text */
    char sep[GROUPS_MAX]; /* up to there, the one separator; 0: there is none; 1: several kinds */
} groups;

static void read_groups(const ds_piitext *t, size_t at, groups *g)
{
    char sep = 0;
    *g = (groups){0};
    while (g->groups < GROUPS_MAX && digit(peek(t, at))) {
        const size_t from = g->n;
        size_t width;
        while (digit(peek(t, at)) && g->n < DIGITS_MAX)
            g->d[g->n++] = (char)t->p[at++];
        if (digit(peek(t, at)))
            return; /* too long for anything: this group is left out */
        g->size[g->groups] = g->n - from;
        g->upto[g->groups] = g->n;
        g->sep[g->groups] = sep;
        g->end[g->groups++] = at;
        const char c = separator(t, at, &width);
        if (!c || !digit(peek(t, at + width)))
            return;
        sep = sep == 0 || sep == c ? c : 1;
        at += width;
    }
}

/* Is it in the midst of a number, or of an address, that one of `marks` holds together? Not behind
 * the match before. */
static bool inside(const ds_piitext *t, size_t at, const char *marks)
{
    return at >= 2 && t->p[at - 1] && strchr(marks, t->p[at - 1]) && digit(t->p[at - 2]) &&
           at - 1 != t->from;
}

/* Nothing goes on behind: no letter, and no further digits after a hyphen or dot. */
static bool ends(const ds_piitext *t, size_t end)
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
    const char sep = g->sep[k - 1];
    return k == 1 || ((sep == ' ' || sep == '-') && (shaped(g, k, "4444") || shaped(g, k, "465") ||
                                                     shaped(g, k, "464") || shaped(g, k, "44443")));
}

/* The first k groups are a card's number. So many digits in one piece are one beside a hyphen, too,
 * as of an expiry; those of a UUID's last part are fewer. */
static bool card(const ds_piitext *t, size_t at, const groups *g, size_t k)
{
    const size_t n = g->upto[k - 1], end = g->end[k - 1];
    const bool piece = k == 1 && n > 12;
    return n >= 12 && n <= 19 && card_shape(g, k) && !inside(t, at, piece ? "." : ".-") &&
           (ends(t, end) || (piece && peek(t, end) == '-')) && ds_check_card(g->d, n);
}

/* ---- numbers of persons ---- */

/* The longest row of first groups that is a number of some kind; its end, or 0. */
static size_t national(const ds_piitext *t, size_t at, const groups *g, size_t k, enum ds_pii *kind)
{
    const size_t n = g->upto[k - 1], end = g->end[k - 1];
    const char sep = g->sep[k - 1];
    const bool spaced = sep == ' ' || sep == '-';
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
    if ((k == 1 || (sep == ' ' && shaped(g, k, "2333"))) && n == 11 && on(t, DS_PII_DE_TAX) &&
        ds_check_steuer(g->d))
        return *kind = DS_PII_DE_TAX, end;
    if ((k == 1 || (sep == ' ' && shaped(g, k, "1222332"))) && n == 15 && on(t, DS_PII_FR_NIR) &&
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
static size_t international(const ds_piitext *t, size_t at)
{
    size_t n = 0, i = at + 1, end = 0, width;
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
        } else if ((!gap || peek(t, i - 1) == ')') && separator(t, i, &width)) {
            gap = true;
            i += width - 1;
        } else {
            break;
        }
    }
    return n >= 8 && n <= 15 && !wordly(peek(t, end)) ? end : 0;
}

/* 0049 30 901820, as +49. In one piece only of the length that such numbers have; with dots between
 * it is an address of a network card. */
static size_t dialled(const ds_piitext *t, size_t at)
{
    if (t->p[at] != '0' || peek(t, at + 1) != '0' || inside(t, at, " "))
        return 0;
    const size_t end = international(t, at + 1);
    bool piece = true;
    for (size_t i = at; i < end; i++) {
        piece &= digit(t->p[i]);
        if (t->p[i] == '.')
            return 0;
    }
    return piece && (end - at < 13 || end - at > 15) ? 0 : end;
}

/* (212) 555-0123 */
static size_t in_parentheses(const ds_piitext *t, size_t at)
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
    return shaped(&g, 2, "34") && g.d[0] >= '2' && (g.sep[1] == '-' || g.sep[1] == ' ') &&
                   ends(t, g.end[1])
               ? g.end[1]
               : 0;
}

/* A minus stands before it. */
static bool negative(const ds_piitext *t, size_t at)
{
    return at > 0 && t->p[at - 1] == '-' && (at == 1 || t->p[at - 2] == ' ');
}

static bool phone_shape(const groups *g, size_t k)
{
    const char sep = g->sep[k - 1];
    const size_t n = g->upto[k - 1];
    const bool cn = n == 11 && g->d[0] == '1' && g->d[1] >= '3' && (k == 1 || shaped(g, k, "344")),
               nanp =
                   k == 3 && shaped(g, k, "334") && g->d[0] >= '2' && g->d[3] >= '2' && sep != '/',
               one = k == 4 && shaped(g, k, "1334") && g->d[0] == '1' && g->d[1] >= '2' &&
                     g->d[4] >= '2' && sep != '/',
               fr = k == 5 && shaped(g, k, "22222") && g->d[0] == '0' && g->d[1] >= '1',
               trunk = k == 2 && g->d[0] == '0' && g->d[1] >= '1' && g->size[0] >= 3 &&
                       g->size[0] <= 6 && g->size[1] >= 5 && n >= 9 && n <= 12 && sep != '.';
    return sep != 1 && (cn || nanp || one || fr || trunk);
}

/* All groups, or those before another separator, where a number of something else begins. */
static size_t phone(const ds_piitext *t, const groups *g)
{
    for (size_t k = g->groups; k > 0; k--)
        if ((k == g->groups || k == 1 || g->sep[k] == 1) && ends(t, g->end[k - 1]) &&
            phone_shape(g, k))
            return g->end[k - 1];
    return 0;
}

/* ---- addresses ---- */

static size_t dotted(const ds_piitext *t, size_t at, uint8_t a[4])
{
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
    return i;
}

/* A hyphen and digits behind make a version of it (1.2.3.4-5), another address a range. */
static size_t ipv4(const ds_piitext *t, size_t at)
{
    uint8_t a[4], upto[4];
    const size_t i = inside(t, at, ".-") ? 0 : dotted(t, at, a);
    if (!i || !(ends(t, i) || (peek(t, i) == '-' && dotted(t, i + 1, upto))))
        return 0;
    return (t->kinds & DS_PII_ALL_IPS) || ds_ipv4_public(a) ? i : 0;
}

static size_t ipv6(const ds_piitext *t, size_t at)
{
    char s[INET6_ADDRSTRLEN];
    uint8_t a[16];
    size_t n = 0, colons = 0, sets = 0;
    if (inside(t, at, ".-:"))
        return 0;
    for (; n < sizeof s - 1; n++) {
        const uint8_t c = peek(t, at + n);
        if (!hex(c) && c != ':' && c != '.')
            break;
        sets += hex(c) && (n == 0 || s[n - 1] == ':');
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

/* Bytes of a letter of the alphabets below U+0800 but ASCII's: Latin, Greek, Cyrillic, Hebrew,
 * Arabic. Scripts without spaces between words lie above: there it cannot be told where an address
 * begins. */
static size_t other_letter(const ds_piitext *t, size_t at)
{
    const uint8_t c = peek(t, at), next = peek(t, at + 1);
    return c >= 0xc3 && c <= 0xdf && !(c == 0xc3 && (next == 0x97 || next == 0xb7)) ? 2 : 0;
}

static size_t letter_at(const ds_piitext *t, size_t at)
{
    return letter(peek(t, at)) ? 1 : other_letter(t, at);
}

/* Where an address of mail ends whose @ stands at `at`; 0 = it is none. */
static size_t domain(const ds_piitext *t, size_t at)
{
    size_t i = at + 1, label = i, dots = 0, alpha = 0, n;
    for (; i - at < 255; i += n) {
        const uint8_t c = peek(t, i);
        n = letter_at(t, i);
        alpha += n;
        if (n)
            continue;
        n = 1;
        if (c == '.' && i > label && (digit(peek(t, i + 1)) || letter_at(t, i + 1))) {
            dots++;
            label = i + 1;
            alpha = 0;
        } else if (!digit(c) && !(c == '-' && i > label)) {
            break;
        }
    }
    if (alpha < i - label && !stands(t, label, "xn--")) { /* behind a hyphen is something else */
        for (i = label; (n = letter_at(t, i));)
            i += n;
        if (peek(t, i) != '-')
            return 0;
    }
    return dots && i - label >= 2 && peek(t, i) != '@' ? i : 0;
}

/* Of what RFC 5322 allows before the @ only what people have: "user=", "a|" and "/path/" belong to
 * what stands around. A = is part of it behind a +, as in the senders of mailing lists. */
static size_t local_part(const ds_piitext *t, size_t at, uint8_t c, bool plus)
{
    if (ds_pii_class[c] & (DS_PII_WORD | DS_PII_MAIL))
        return 1;
    return c < 0x80 ? c == '=' && plus : other_letter(t, at);
}

enum { LOCAL_MAX = 64, AHEAD = 1024 };

/* May an address begin at `at`: is there an @ or % where it would stand? */
static bool mail_near(ds_piitext *t, size_t at)
{
    if (t->clear < at || t->clear - at <= LOCAL_MAX) {
        const bool mark = t->clear < t->len && (t->p[t->clear] == '@' || t->p[t->clear] == '%');
        const size_t from = t->clear > at && !mark ? t->clear : at;
        const size_t n = t->len - from < AHEAD ? t->len - from : AHEAD;
        const uint8_t *mail = memchr(t->p + from, '@', n), *percent = memchr(t->p + from, '%', n);
        const uint8_t *first = !mail || (percent && percent < mail) ? percent : mail;
        t->clear = first ? (size_t)(first - t->p) : from + n;
    }
    return t->clear - at <= LOCAL_MAX && t->clear < t->len;
}

static size_t email(const ds_piitext *t, size_t at)
{
    size_t i = at, n = 1;
    bool plus = false;
    if (at > 0 && escaped(t->p, at - 1, t->len))
        return 0;
    for (; i - at <= LOCAL_MAX && n; i += n) {
        const uint8_t c = peek(t, i);
        if (c == '%' && i > at && stands(t, i, "%40")) /* of an URL */
            break;
        n = local_part(t, i, c, plus);
        plus |= c == '+';
    }
    if (i == at || i - at > LOCAL_MAX || t->p[i - 1] == '.')
        return 0;
    return peek(t, i) == '@' ? domain(t, i) : stands(t, i, "%40") ? domain(t, i + 2) : 0;
}

/* ---- accounts ---- */

/* In one piece or in groups of four. In small letters only where it is in groups, or has none
 * behind its country: else too many names of other things would be. */
static size_t iban(const ds_piitext *t, size_t at)
{
    char s[40];
    const char country[] = {(char)(t->p[at] & ~0x20), (char)(peek(t, at + 1) & ~0x20), 0};
    const size_t want = ds_iban_length(country);
    size_t n = 0, i = at, width, parts = 0, small = 0;
    while (n < want) {
        const uint8_t c = peek(t, i);
        if (digit(c) || letter(c)) {
            small += n >= 2 && letter(c) && !upper(c);
            s[n++] = (char)(letter(c) ? c & ~0x20 : c);
            i++;
            continue;
        }
        const char between = separator(t, i, &width);
        if (n == 0 || n % 4 != 0 || n / 4 == parts || (between != ' ' && between != '-'))
            return 0;
        parts = n / 4;
        i += width;
    }
    return want && digit((uint8_t)s[2]) && digit((uint8_t)s[3]) && !wordly(peek(t, i)) &&
                   (parts || !small) && ds_check_iban(s, n)
               ? i
               : 0;
}

/* ---- all of it ---- */

static size_t at_digit(const ds_piitext *t, size_t at, enum ds_pii *kind)
{
    groups g;
    size_t end;
    if (on(t, DS_PII_IP) && (*kind = DS_PII_IP, end = ipv4(t, at)))
        return end;
    if (on(t, DS_PII_IP) && (end = ipv6(t, at)))
        return end;
    read_groups(t, at, &g);
    for (size_t k = g.groups; k > 0; k--) {
        if (!inside(t, at, ".-") && (end = national(t, at, &g, k, kind)))
            return end;
        if (on(t, DS_PII_CARD) && card(t, at, &g, k))
            return *kind = DS_PII_CARD, g.end[k - 1];
    }
    *kind = DS_PII_PHONE;
    if (!on(t, DS_PII_PHONE) || inside(t, at, ".-:/") || negative(t, at))
        return 0;
    end = phone(t, &g);
    return end ? end : dialled(t, at);
}

static size_t at_letter(const ds_piitext *t, size_t at, enum ds_pii *kind)
{
    size_t end;
    if (on(t, DS_PII_IBAN) && letter(peek(t, at + 1)) && digit(peek(t, at + 2)) &&
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

/* Within a word, may what is looked for there be at `at`? A number has 5 digits in the next 8
 * bytes, an IBAN its check digits. */
static bool may_begin_within(const ds_piitext *t, size_t at)
{
    size_t digits = 0;
    if (t->len - at < 9)
        return false;
    if (!digit(t->p[at]))
        return digit(t->p[at + 2]) && digit(t->p[at + 3]);
    for (size_t i = 1; i < 9; i++)
        digits += digit(t->p[at + i]);
    return digits >= 5;
}

/* What begins there: user_4111..., tel+49..., acct_DE89... What has fewer digits, or a slash, is
 * part of a name. */
static size_t within_word(const ds_piitext *t, size_t at, enum ds_pii *kind)
{
    ds_piitext u = *t;
    u.kinds &= ~(1u << DS_PII_IP | 1u << DS_PII_ES_DNI);
    *kind = DS_PII_IBAN;
    if (!digit(t->p[at]))
        return on(t, DS_PII_IBAN) ? iban(t, at) : 0;
    const size_t end = at_digit(&u, at, kind);
    return end && memchr(t->p + at, '/', end - at) ? 0 : end;
}

static size_t match_at(ds_piitext *t, size_t at, enum ds_pii *kind)
{
    const uint8_t c = t->p[at];
    size_t end;
    if (c == '-')
        return *kind = DS_PII_SECRET, on(t, DS_PII_SECRET) ? ds_pii_secret(t, at) : 0;
    if (!may_begin(t->p, at) && (c != '+' || digit(t->p[at - 1])))
        return wordly(c) ? within_word(t, at, kind) : 0;
    if (c == '+' || c == '(') {
        *kind = DS_PII_PHONE;
        return !on(t, DS_PII_PHONE) ? 0 : c == '+' ? international(t, at) : in_parentheses(t, at);
    }
    if (on(t, DS_PII_EMAIL) && mail_near(t, at) && (*kind = DS_PII_EMAIL, end = email(t, at)))
        return end;
    if (wordly(c) && on(t, DS_PII_SECRET) && (*kind = DS_PII_SECRET, end = ds_pii_secret(t, at)))
        return end;
    if (digit(c))
        return at_digit(t, at, kind);
    return letter(c) ? at_letter(t, at, kind) : 0;
}

/* Which classes may begin a match behind a byte of class k, where `begins` might before it: all
 * outside of words; within one digits, while there was none; letters behind an underscore. */
static unsigned may_follow(unsigned begins, uint8_t k)
{
    if (!(k & DS_PII_WORD))
        return DS_PII_WORD;
    begins &= k & DS_PII_DIGIT ? 0 : DS_PII_DIGIT;
    return k & DS_PII_UNDER ? begins | DS_PII_UPPER | DS_PII_LOWER : begins;
}

static size_t letters_end(const uint8_t *p, size_t at, size_t end)
{
    while (at < end && ds_pii_class[p[at]] & (DS_PII_UPPER | DS_PII_LOWER))
        at++;
    return at;
}

bool ds_pii_next(const uint8_t *p, size_t len, size_t from, unsigned kinds, ds_piimatch *m)
{
    ds_piitext t = {.p = p, .len = len, .from = from, .kinds = kinds};
    unsigned begins = from > 0 && wordly(p[from - 1]) ? 0 : DS_PII_WORD;
    bool other = false;  /* what is before is part of a word in another alphabet */
    size_t escape = len; /* where one that has begun would end */
    for (size_t at = from; at < len; at++) {
        const uint8_t c = p[at], k = ds_pii_class[c];
        const bool lead = c >= 0x80 && other_letter(&t, at);
        if (((k & begins) && (begins == DS_PII_WORD || may_begin_within(&t, at))) ||
            (at == escape && wordly(c) && behind_escape(p, at)) ||
            (lead && begins == DS_PII_WORD && !other) || c == '+' || c == '(' || c == '-') {
            enum ds_pii kind = DS_PII_EMAIL;
            const size_t end = match_at(&t, at, &kind);
            if (end) {
                *m = (ds_piimatch){.kind = kind, .at = at, .end = end};
                return true;
            }
        }
        begins = may_follow(begins, k);
        if (c == '\\' || c == '%')
            escape = at + (c == '%' ? 3 : 2);
        other = lead || (other && (c & 0xc0) == 0x80);
        if (!(begins & ~(unsigned)DS_PII_DIGIT)) { /* letters begin nothing, and change nothing */
            const size_t end = letters_end(p, at + 1, escape > at && escape < len ? escape : len);
            other = other && end == at + 1;
            at = end - 1;
        }
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
        else if (kind == DS_PII_EMAIL && len - i > 2 && memcmp(p + i, "%40", 3) == 0)
            out[n++] = '@', i += 2;
        else if (kind == DS_PII_EMAIL || kind == DS_PII_IP)
            out[n++] = upper(c) ? c | 0x20 : c;
        else if (digit(c) || letter(c))
            out[n++] = c & 0x40 ? c & (uint8_t)~0x20 : c;
    }
    return n;
}
