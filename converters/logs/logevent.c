/* logevent.c - security events: ArcSight's Common Event Format and IBM's Log Event Extended Format,
 * alone in a line or behind a header of syslog.
 * Sources: ArcSight Common Event Format, version 25; QRadar LEEF, versions 1 and 2. */
#include "logrow.h"

#include <string.h>

/* ---- what stands before ---- */

enum { HEADER_MAX = 1024 };

/* Where the event begins: at its magic, at the line's beginning or behind a header. */
static const uint8_t *find_magic(const uint8_t *p, size_t len, const char *magic)
{
    const size_t n = strlen(magic), most = len < HEADER_MAX ? len : HEADER_MAX;
    for (const uint8_t *q = p; (q = memmem(q, most - (size_t)(q - p), magic, n)); q += n)
        if (q == p || q[-1] == ' ' || q[-1] == '>')
            return q;
    return NULL;
}

static bool only_priority(const uint8_t *p, size_t len)
{
    size_t n = 1;
    while (n < len && (uint8_t)(p[n] - '0') < 10)
        n++;
    return len > 2 && *p == '<' && n > 1 && p[n] == '>' &&
           (n + 1 == len || (n + 2 == len && p[n + 1] == ' '));
}

/* The header of syslog before the event, with its time, host and priority. */
static int header(ds_logline *l, const uint8_t *p, size_t len, size_t all)
{
    const uint8_t *version = memmem(p, len < 8 ? len : 8, ">1 ", 3);
    if (len == 0)
        return 0;
    int rc = *p == '<' && version ? ds_logparse_syslog5(l, p, all) : ds_logparse_syslog(l, p, len);
    if (rc == DS_FAIL && only_priority(p, len))
        rc = 0;
    return rc;
}

/* ---- pairs ---- */

typedef struct pair {
    const uint8_t *key, *value;
    size_t key_len, len;
} pair;

typedef struct pairs {
    const uint8_t *p;
    size_t len;
    uint8_t delimiter; /* 0: CEF's, which are found by their = */
} pairs;

/* The next one from *at on. */
typedef bool (*next_fn)(const pairs *e, size_t *at, pair *out);

/* Keys that have a column of their own here, of either format. The lower rank is taken for time and
 * text, the first for others. */
static const struct {
    const char *key;
    enum ds_logcol col;
    int rank;
} known[] = {
    {"rt", DS_LC_TIME, 0},      {"end", DS_LC_TIME, 1},
    {"start", DS_LC_TIME, 2},   {"devTime", DS_LC_TIME, 0},
    {"msg", DS_LC_TEXT, 0},     {"src", DS_LC_REMOTE, 0},
    {"suser", DS_LC_USER, 0},   {"usrName", DS_LC_USER, 0},
    {"dvchost", DS_LC_HOST, 0}, {"identHostName", DS_LC_HOST, 0},
    {"dvcpid", DS_LC_PID, 0},   {"request", DS_LC_PATH, 0},
    {"url", DS_LC_PATH, 0},     {"requestMethod", DS_LC_METHOD, 0},
    {"sev", DS_LC_LEVEL, 0},    {"requestClientApplication", DS_LC_AGENT, 0},
};
enum { NKNOWN = sizeof known / sizeof *known };

static int known_of(const pair *k)
{
    for (int i = 0; i < NKNOWN; i++)
        if (strlen(known[i].key) == k->key_len && memcmp(known[i].key, k->key, k->key_len) == 0)
            return i;
    return -1;
}

static bool read_time(const ds_logline *l, const pair *k, ds_logtime *t)
{
    const int32_t zone = l->s->o->zone;
    return k->len > 0 && (ds_logtime_any(k->value, k->len, zone, t) == k->len ||
                          ds_logtime_event(k->value, k->len, zone, t) == k->len ||
                          ds_logtime_epoch(k->value, k->len, t));
}

/* The rank of the best time there is; NKNOWN: none. */
static int best_time(const ds_logline *l, const pairs *e, next_fn next)
{
    int best = NKNOWN;
    ds_logtime t;
    pair k;
    for (size_t at = 0; next(e, &at, &k);) {
        const int i = known_of(&k);
        if (i >= 0 && known[i].col == DS_LC_TIME && known[i].rank < best && read_time(l, &k, &t))
            best = known[i].rank;
    }
    return best;
}

/* CEF: \= \\ \| and \n \r. */
static int unescape(ds_logline *l, const uint8_t **p, size_t *len)
{
    return *len && memchr(*p, '\\', *len) ? ds_logunescape(l, "=\\|nr", "=\\|\n\r", p, len) : 0;
}

/* -1: none. */
static int severity_of(const uint8_t *p, size_t len)
{
    static const char *const words[] = {"Low", "Medium", "High", "Very-High"};
    static const int severities[] = {6, 4, 3, 2};
    int v = 0;
    for (int i = 0; i < 4; i++)
        if (strlen(words[i]) == len && memcmp(words[i], p, len) == 0)
            return severities[i];
    if (len == 0 || len > 2)
        return -1;
    for (size_t i = 0; i < len; i++) {
        if ((uint8_t)(p[i] - '0') > 9)
            return -1;
        v = v * 10 + (p[i] - '0');
    }
    return v <= 3 ? 6 : v <= 6 ? 4 : v <= 8 ? 3 : v <= 10 ? 2 : -1;
}

/* How grave it is, 0 to 10 or a word, and what that is in RFC 5424. */
static void set_severity(ds_logline *l, const uint8_t *p, size_t len)
{
    const int s = severity_of(p, len);
    ds_logset(l, DS_LC_LEVEL, p, len);
    if (s >= 0)
        ds_logset_number(l, DS_LC_SEVERITY, s);
}

static int field(ds_logline *l, const pair *k)
{
    return ds_logfield_named(l, k->key, k->key_len, true, k->value, k->len);
}

/* *rank: of the time that is wanted; NKNOWN once it is there. */
static int take(ds_logline *l, const pair *k, int *rank)
{
    const int i = known_of(k);
    const enum ds_logcol c = i < 0 ? DS_LC_FIELDS : known[i].col;
    ds_logtime t;
    if (c == DS_LC_TIME) {
        if (known[i].rank != *rank || !read_time(l, k, &t))
            return field(l, k);
        l->row->v[c] = (ds_logcell){0};
        ds_logset_time(l, &t);
        *rank = NKNOWN;
        return 0;
    }
    if (c == DS_LC_LEVEL && !l->row->v[c].p) {
        set_severity(l, k->value, k->len);
        return 0;
    }
    return ds_logtake(l, c, k->value, k->len) ? 0 : field(l, k);
}

/* What is no pair, which only the end can be, is kept beside them; and the header whose time gives
 * way to the event's own. */
static int take_all(ds_logline *l, const pairs *e, next_fn next, const uint8_t *head,
                    size_t head_len)
{
    const bool timed = l->row->v[DS_LC_TIME].p || l->row->when.yearless;
    int rank = best_time(l, e, next);
    size_t at = 0;
    pair k;
    int rc = timed && rank < NKNOWN ? ds_logfield(l, "header", head, head_len) : 0;
    while (rc == 0 && next(e, &at, &k)) {
        rc = e->delimiter ? 0 : unescape(l, &k.value, &k.len);
        rc = rc ? rc : take(l, &k, &rank);
    }
    while (at < e->len && e->p[at] == ' ')
        at++;
    return rc || at >= e->len ? rc : ds_logfield(l, "extra", e->p + at, e->len - at);
}

/* ---- the parts between bars ---- */

enum { PARTS_MAX = 7 };

/* The next part up to a bar that no backslash escapes (CEF), or up to any (LEEF). */
static bool next_part(const uint8_t *p, size_t len, size_t *at, bool escapes, pair *out)
{
    size_t i = *at;
    while (i < len && p[i] != '|')
        i += escapes && p[i] == '\\' && i + 1 < len ? 2 : 1;
    if (i >= len)
        return false;
    *out = (pair){.value = p + *at, .len = i - *at};
    *at = i + 1;
    return true;
}

static int put_field(ds_logline *l, const char *name, const pair *k)
{
    return k->len ? ds_logfield(l, name, k->value, k->len) : 0;
}

/* Vendor, product, version and the kind of event; a program that the header has stays. */
static int put_device(ds_logline *l, const pair *v)
{
    int rc = put_field(l, "vendor", &v[0]);
    if (rc == 0 && l->row->v[DS_LC_PROGRAM].p)
        rc = put_field(l, "product", &v[1]);
    else if (rc == 0 && v[1].len)
        ds_logset(l, DS_LC_PROGRAM, v[1].value, v[1].len);
    rc = rc ? rc : put_field(l, "version", &v[2]);
    return rc ? rc : put_field(l, "event", &v[3]);
}

/* ---- CEF ---- */

static bool is_key(uint8_t c)
{
    return (uint8_t)(c - '0') < 10 || (uint8_t)((c | 32) - 'a') < 26 || c == '_' || c == '.' ||
           c == '-' || c == '[' || c == ']';
}

/* Where a key begins whose = stands at `eq`, not before `from`; `eq`: there is none. */
static size_t key_before(const uint8_t *p, size_t from, size_t eq)
{
    size_t i = eq;
    while (i > from && is_key(p[i - 1]))
        i--;
    return i < eq && (i == from || p[i - 1] == ' ') ? i : eq;
}

/* A value goes on to the next word with an =; an = in it has a backslash, or is part of no key. */
static bool next_cef(const pairs *e, size_t *at, pair *out)
{
    const uint8_t *p = e->p;
    size_t i = *at;
    while (i < e->len && p[i] == ' ')
        i++;
    const uint8_t *eq = i < e->len ? memchr(p + i, '=', e->len - i) : NULL;
    const size_t first = i;
    if (!eq || eq == p + first || key_before(p, first, (size_t)(eq - p)) != first)
        return false;
    const size_t value = (size_t)(eq - p) + 1;
    size_t end = e->len;
    for (i = value; i < e->len; i++) {
        if (p[i] == '\\') {
            i++;
            continue;
        }
        const size_t key = p[i] == '=' ? key_before(p, value, i) : i;
        if (key < i && key > value) {
            end = key - 1;
            break;
        }
    }
    *out = (pair){p + first, p + value, value - 1 - first, end - value};
    *at = end;
    return true;
}

int ds_logparse_cef(ds_logline *l, const uint8_t *p, size_t len)
{
    const uint8_t *q = find_magic(p, len, "CEF:");
    pair v[PARTS_MAX] = {{0}};
    if (!q)
        return ds_logfail(l, 0, "no CEF: begins here or behind a header of syslog");
    const size_t from = (size_t)(q - p);
    size_t at = from + 4;
    int rc = header(l, p, from, len);
    for (int i = 0; rc == 0 && i < PARTS_MAX; i++) {
        if (!next_part(p, len, &at, true, &v[i]))
            return ds_logfail(l, at, "seven parts, each with a | behind it, are expected");
        rc = unescape(l, &v[i].value, &v[i].len);
    }
    if (rc == 0 && (v[0].len == 0 || (uint8_t)(*v[0].value - '0') > 9))
        return ds_logfail(l, from + 4, "a version is expected here");
    l->row->v[DS_LC_TEXT] = (ds_logcell){0};
    if (rc == 0)
        rc = put_device(l, v + 1);
    if (rc == 0 && v[6].len)
        set_severity(l, v[6].value, v[6].len);
    const pairs e = {p + at, len - at, 0};
    rc = rc ? rc : take_all(l, &e, next_cef, p, from - (from && q[-1] == ' '));
    if (rc == 0 && l->row->v[DS_LC_TEXT].p)
        return put_field(l, "name", &v[5]);
    ds_logset(l, DS_LC_TEXT, v[5].value, v[5].len);
    return rc;
}

/* ---- LEEF ---- */

static bool next_leef(const pairs *e, size_t *at, pair *out)
{
    while (*at < e->len) {
        const uint8_t *p = e->p + *at, *end = memchr(p, e->delimiter, e->len - *at);
        const size_t n = end ? (size_t)(end - p) : e->len - *at;
        const uint8_t *eq = n ? memchr(p, '=', n) : NULL;
        const size_t key = eq ? (size_t)(eq - p) : n;
        *at += n + (end != NULL);
        if (n == 0)
            continue;
        *out = (pair){p, p + key + (eq != NULL), key, n - key - (eq != NULL)};
        return true;
    }
    return false;
}

/* A character, or x09, 0x09. 0: neither. */
static uint8_t delimiter_of(const pair *k)
{
    const uint8_t *p = k->value;
    size_t n = k->len, i = n > 2 && p[0] == '0' ? 1 : 0;
    unsigned v = 0;
    if (n < 2)
        return n ? *p : '\t';
    if ((p[i] | 32) != 'x' || n - i > 5 || n - i < 2)
        return 0;
    while (++i < n) {
        const uint8_t c = p[i], d = (uint8_t)(c - '0'), h = (uint8_t)((c | 32) - 'a');
        if (d > 9 && h > 5)
            return 0;
        v = v * 16 + (d > 9 ? h + 10u : d);
    }
    return v < 0x80 ? (uint8_t)v : 0;
}

int ds_logparse_leef(ds_logline *l, const uint8_t *p, size_t len)
{
    const uint8_t *q = find_magic(p, len, "LEEF:");
    pair v[6] = {{0}};
    uint8_t delimiter = '\t';
    if (!q)
        return ds_logfail(l, 0, "no LEEF: begins here or behind a header of syslog");
    const size_t from = (size_t)(q - p);
    size_t at = from + 5;
    int rc = header(l, p, from, len);
    if (rc != 0)
        return rc;
    for (int i = 0; i < 5; i++)
        if (!next_part(p, len, &at, false, &v[i]))
            return ds_logfail(l, at, "five parts, each with a | behind it, are expected");
    if (v[0].len < 1 || (*v[0].value != '1' && *v[0].value != '2'))
        return ds_logfail(l, from + 5, "a version, 1.0 or 2.0, is expected here");
    /* Senders of version 2 leave the delimiter out, with its bar. */
    size_t behind = at;
    if (*v[0].value == '2' && next_part(p, len, &behind, false, &v[5]) && v[5].len <= 6 &&
        !memchr(v[5].value, '=', v[5].len > 1 ? v[5].len : 0)) {
        delimiter = delimiter_of(&v[5]);
        at = behind;
    }
    if (!delimiter)
        return ds_logfail(l, at, "the delimiter is a character, or hexadecimal: x09");
    l->row->v[DS_LC_TEXT] = (ds_logcell){0};
    rc = put_device(l, v + 1);
    const pairs e = {p + at, len - at, delimiter};
    rc = rc ? rc : take_all(l, &e, next_leef, p, from - (from && q[-1] == ' '));
    if (rc == 0 && !l->row->v[DS_LC_TEXT].p)
        ds_logset(l, DS_LC_TEXT, q, len - from);
    return rc;
}
