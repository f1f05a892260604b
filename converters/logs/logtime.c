/* logtime.c - see logtime.h. */
#include "logtime.h"

#include <string.h>
#include <strings.h>

#define NS INT64_C(1000000000)
#define DAY INT64_C(86400)
#define YEAR_MIN 1678 /* what fits 64 bits of nanoseconds */
#define YEAR_MAX 2261

typedef struct civil {
    int year, month, day; /* year 0 = none */
    int hour, minute, second;
    int64_t frac;
    int32_t zone;
    bool zoned;
} civil;

/* A place in the text. */
typedef struct cur {
    const uint8_t *p, *end;
} cur;

static inline bool is_digit(uint8_t c)
{
    return (uint8_t)(c - '0') < 10;
}

static bool eat(cur *c, uint8_t ch)
{
    if (c->p == c->end || *c->p != ch)
        return false;
    c->p++;
    return true;
}

static inline bool two(cur *c, int *v)
{
    if (c->end - c->p < 2 || !is_digit(c->p[0]) || !is_digit(c->p[1]))
        return false;
    *v = (c->p[0] - '0') * 10 + c->p[1] - '0';
    c->p += 2;
    return true;
}

static bool four(cur *c, int *v)
{
    int a, b;
    if (!two(c, &a) || !two(c, &b))
        return false;
    *v = a * 100 + b;
    return true;
}

static bool leap(int y)
{
    return (y % 4 == 0 && y % 100 != 0) || y % 400 == 0;
}

static int month_days(int year, int month)
{
    static const uint8_t days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    return days[month - 1] + (month == 2 && leap(year));
}

/* Days since 1970-01-01: whole eras of 400 years, years that begin in March. */
static int64_t days_of(int year, int month, int day)
{
    int y = year - (month <= 2), era = y / 400, yoe = y - era * 400;
    int doy = (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1;
    return (int64_t)era * 146097 + yoe * 365 + yoe / 4 - yoe / 100 + doy - 719468;
}

/* The fraction of a second, where one stands. */
static void fraction(cur *c, civil *t)
{
    t->frac = 0;
    if (c->end - c->p > 1 && (*c->p == '.' || *c->p == ',') && is_digit(c->p[1])) {
        int64_t unit = NS / 10;
        for (c->p++; c->p < c->end && is_digit(*c->p); c->p++, unit /= 10)
            t->frac += unit * (*c->p - '0');
    }
}

static bool clock_ok(const civil *t)
{
    return t->hour < 24 && t->minute < 60 && t->second <= 60;
}

/* hh:mm:ss[.fraction] */
static bool clock_time(cur *c, civil *t)
{
    if (!two(c, &t->hour) || !eat(c, ':') || !two(c, &t->minute) || !eat(c, ':') ||
        !two(c, &t->second))
        return false;
    fraction(c, t);
    return clock_ok(t);
}

/* +hh:mm, -hhmm, +hh; nothing is eaten when there is none. */
static bool offset(cur *c, civil *t)
{
    cur k = *c;
    int h, m = 0;
    if (k.p == k.end || (*k.p != '+' && *k.p != '-'))
        return false;
    bool minus = *k.p++ == '-';
    if (!two(&k, &h))
        return false;
    cur after = k;
    if ((eat(&k, ':') || (k.p < k.end && is_digit(*k.p))) && two(&k, &m))
        after = k;
    if (h > 23 || m > 59)
        return false;
    t->zone = (minus ? -1 : 1) * (h * 3600 + m * 60);
    t->zoned = true;
    *c = after;
    return true;
}

/* Names that mean one offset: those of RFC 5322 but CST and CDT, which are China's and Cuba's too,
 * and of the zone data base those that no two parts of the world share today. In minutes. */
static bool named_zone(const uint8_t *p, size_t n, int32_t *seconds)
{
    static const struct {
        char name[5];
        int16_t minutes;
    } names[] = {
        {"UTC", 0},    {"GMT", 0},    {"Z", 0},      {"EST", -300}, {"EDT", -240},  {"MST", -420},
        {"MDT", -360}, {"PST", -480}, {"PDT", -420}, {"WET", 0},    {"WEST", 60},   {"CET", 60},
        {"CEST", 120}, {"EET", 120},  {"EEST", 180}, {"MSK", 180},  {"SAST", 120},  {"HKT", 480},
        {"AWST", 480}, {"JST", 540},  {"KST", 540},  {"ACST", 570}, {"ACDT", 630},  {"AEST", 600},
        {"AEDT", 660}, {"NZST", 720}, {"NZDT", 780}, {"HST", -600}, {"AKST", -540}, {"AKDT", -480},
    };
    for (size_t i = 0; n < 5 && i < sizeof names / sizeof *names; i++)
        if (names[i].name[n] == '\0' && memcmp(names[i].name, p, n) == 0) {
            *seconds = names[i].minutes * 60;
            return true;
        }
    return false;
}

/* The zone behind a time, with a space before it or none. */
static void zone_of(cur *c, civil *t)
{
    cur k = *c;
    size_t n = 0;
    if (k.end - k.p == 1 && *k.p == 'Z') {
        t->zoned = true;
        c->p++;
        return;
    }
    eat(&k, ' ');
    if (offset(&k, t)) {
        *c = k;
        return;
    }
    while (k.p + n < k.end && n < 5 && (k.p[n] | 0x20) >= 'a' && (k.p[n] | 0x20) <= 'z')
        n++;
    if (n && named_zone(k.p, n, &t->zone)) {
        t->zoned = true;
        c->p = k.p + n;
    }
}

static bool finish(const civil *t, int32_t zone, ds_logtime *out)
{
    if (t->month < 1 || t->month > 12 || t->day < 1 ||
        t->day > month_days(t->year ? t->year : 2000, t->month))
        return false;
    int64_t s = t->hour * 3600 + t->minute * 60 + t->second - (t->zoned ? t->zone : zone);
    *out = (ds_logtime){.yearless = t->year == 0,
                        .local = !t->zoned,
                        .month = (uint8_t)t->month,
                        .day = (uint8_t)t->day,
                        .rest = s * NS + t->frac};
    return t->year == 0 || ds_logtime_settle(out, t->year);
}

bool ds_logtime_settle(ds_logtime *t, int year)
{
    if (year < YEAR_MIN || year > YEAR_MAX || t->day > month_days(year, t->month))
        return false;
    t->ns = days_of(year, t->month, t->day) * DAY * NS + t->rest;
    t->yearless = false;
    return true;
}

/* Two digits; what is none leaves a bit in *other. */
static inline int pair(const uint8_t *p, unsigned *other)
{
    const unsigned a = p[0] - (unsigned)'0', b = p[1] - (unsigned)'0';
    *other |= (a > 9) | (b > 9);
    return (int)(a * 10 + b);
}

size_t ds_logtime_iso(const uint8_t *p, size_t len, int32_t zone, ds_logtime *t)
{
    unsigned other = 0;
    if (len < 19) /* YYYY-MM-DDThh:mm:ss */
        return 0;
    cur c = {p + 19, p + len};
    civil v = {.year = pair(p, &other) * 100 + pair(p + 2, &other),
               .month = pair(p + 5, &other),
               .day = pair(p + 8, &other),
               .hour = pair(p + 11, &other),
               .minute = pair(p + 14, &other),
               .second = pair(p + 17, &other)};
    if (other || v.year == 0 || (p[4] != '-' && p[4] != '/') || p[7] != p[4] ||
        (p[10] != 'T' && p[10] != ' ' && p[10] != 't' && p[10] != '_') || p[13] != ':' ||
        p[16] != ':')
        return 0;
    fraction(&c, &v);
    if (!clock_ok(&v))
        return 0;
    if (eat(&c, 'z'))
        v.zoned = true;
    else
        zone_of(&c, &v);
    return finish(&v, zone, t) ? (size_t)(c.p - p) : 0;
}

#define LETTERS(a, b, c) ((uint32_t)(a) << 16 | (uint32_t)(b) << 8 | (uint32_t)(c))

static bool month_name(cur *c, int *month)
{
    if (c->end - c->p < 3)
        return false;
    switch (LETTERS(c->p[0] | 0x20, c->p[1] | 0x20, c->p[2] | 0x20)) {
    case LETTERS('j', 'a', 'n'):
        *month = 1;
        break;
    case LETTERS('f', 'e', 'b'):
        *month = 2;
        break;
    case LETTERS('m', 'a', 'r'):
        *month = 3;
        break;
    case LETTERS('a', 'p', 'r'):
        *month = 4;
        break;
    case LETTERS('m', 'a', 'y'):
        *month = 5;
        break;
    case LETTERS('j', 'u', 'n'):
        *month = 6;
        break;
    case LETTERS('j', 'u', 'l'):
        *month = 7;
        break;
    case LETTERS('a', 'u', 'g'):
        *month = 8;
        break;
    case LETTERS('s', 'e', 'p'):
        *month = 9;
        break;
    case LETTERS('o', 'c', 't'):
        *month = 10;
        break;
    case LETTERS('n', 'o', 'v'):
        *month = 11;
        break;
    case LETTERS('d', 'e', 'c'):
        *month = 12;
        break;
    default:
        return false;
    }
    c->p += 3;
    return true;
}

size_t ds_logtime_clf(const uint8_t *p, size_t len, ds_logtime *t)
{
    cur c = {p, p + len};
    civil v = {0};
    if (!two(&c, &v.day) || !eat(&c, '/') || !month_name(&c, &v.month) || !eat(&c, '/') ||
        !four(&c, &v.year) || v.year == 0 || !eat(&c, ':') || !clock_time(&c, &v) ||
        !eat(&c, ' ') || !offset(&c, &v))
        return 0;
    return finish(&v, 0, t) ? (size_t)(c.p - p) : 0;
}

/* The day of RFC 3164: two digits, or a space and one; one alone is read, too. */
static bool short_day(cur *c, int *day)
{
    if (two(c, day))
        return true;
    eat(c, ' ');
    if (c->p == c->end || !is_digit(*c->p))
        return false;
    *day = *c->p++ - '0';
    return true;
}

/* A year and a space, where one stands. */
static void maybe_year(cur *c, civil *v)
{
    cur k = *c;
    int y;
    if (four(&k, &y) && y > 0 && k.p < k.end && *k.p == ' ') {
        v->year = y;
        k.p++;
        *c = k;
    }
}

/* "Oct 11 2026 22:14:15.5", with a year or without. */
static bool bsd_time(cur *c, civil *v)
{
    if (!month_name(c, &v->month) || !eat(c, ' ') || !short_day(c, &v->day) || !eat(c, ' '))
        return false;
    maybe_year(c, v);
    return clock_time(c, v);
}

size_t ds_logtime_bsd(const uint8_t *p, size_t len, int32_t zone, ds_logtime *t)
{
    cur c = {p, p + len};
    civil v = {0};
    if (!bsd_time(&c, &v))
        return 0;
    return finish(&v, zone, t) ? (size_t)(c.p - p) : 0;
}

size_t ds_logtime_event(const uint8_t *p, size_t len, int32_t zone, ds_logtime *t)
{
    cur c = {p, p + len};
    civil v = {0};
    if (!bsd_time(&c, &v) || !v.year)
        return 0;
    zone_of(&c, &v);
    return finish(&v, zone, t) ? (size_t)(c.p - p) : 0;
}

size_t ds_logtime_asc(const uint8_t *p, size_t len, int32_t zone, ds_logtime *t)
{
    static const char *const days[] = {"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"};
    cur c = {p, p + len};
    civil v = {0};
    bool named = false;
    for (size_t i = 0; i < 7 && !named && len > 4; i++)
        named = memcmp(p, days[i], 3) == 0 && p[3] == ' ';
    if (!named)
        return 0;
    c.p += 4;
    if (!month_name(&c, &v.month) || !eat(&c, ' ') || !short_day(&c, &v.day) || !eat(&c, ' ') ||
        !clock_time(&c, &v))
        return 0;
    zone_of(&c, &v); /* as date(1) has it */
    if (eat(&c, ' ')) {
        cur k = c;
        if (four(&k, &v.year) && (k.p == k.end || !is_digit(*k.p)))
            c = k;
        else
            return 0;
    }
    return v.year && finish(&v, zone, t) ? (size_t)(c.p - p) : 0;
}

bool ds_logtime_epoch(const uint8_t *p, size_t len, ds_logtime *t)
{
    size_t n = 0;
    int64_t v = 0, unit, frac = 0;
    while (n < len && n < 20 && is_digit(p[n]))
        if (__builtin_mul_overflow(v, 10, &v) || __builtin_add_overflow(v, p[n++] - '0', &v))
            return false;
    if (n < 9 || n > 19)
        return false; /* a counter, an hour, anything */
    unit = n <= 11 ? NS : n <= 14 ? NS / 1000 : n <= 17 ? 1000 : 1;
    if (n < len) {
        if (p[n++] != '.' || n == len)
            return false;
        int64_t f = unit / 10;
        for (; n < len && is_digit(p[n]); n++, f /= 10)
            frac += f * (p[n] - '0');
        if (n < len)
            return false;
    }
    *t = (ds_logtime){0};
    return !__builtin_mul_overflow(v, unit, &t->ns) && !__builtin_add_overflow(t->ns, frac, &t->ns);
}

size_t ds_logtime_any(const uint8_t *p, size_t len, int32_t zone, ds_logtime *t)
{
    if (len < 14)
        return 0;
    if (is_digit(*p))
        return p[2] == '/' ? ds_logtime_clf(p, len, t) : ds_logtime_iso(p, len, zone, t);
    size_t n = ds_logtime_bsd(p, len, zone, t);
    return n ? n : ds_logtime_asc(p, len, zone, t);
}

bool ds_logtime_zone(const char *s, int32_t *zone)
{
    civil v = {0};
    cur c = {(const uint8_t *)s, (const uint8_t *)s + strlen(s)};
    *zone = 0;
    if (strcasecmp(s, "UTC") == 0 || strcasecmp(s, "Z") == 0 || strcasecmp(s, "GMT") == 0)
        return true;
    if (!offset(&c, &v) || c.p != c.end)
        return false;
    *zone = v.zone;
    return true;
}

bool ds_logtime_name(const char *name, int *year, int *month, int *day)
{
    size_t len = strlen(name);
    bool found = false;
    for (size_t i = 0; i + 8 <= len; i++) {
        cur c = {(const uint8_t *)name + i, (const uint8_t *)name + len};
        int y, m, d;
        if (i > 0 && is_digit((uint8_t)name[i - 1]))
            continue;
        if (!four(&c, &y))
            continue;
        bool sep = eat(&c, '-') || eat(&c, '_') || eat(&c, '.');
        if (!two(&c, &m) || (sep && !eat(&c, '-') && !eat(&c, '_') && !eat(&c, '.')) ||
            !two(&c, &d))
            continue;
        if (y < 1970 || y > YEAR_MAX || m < 1 || m > 12 || d < 1 || d > month_days(y, m))
            continue;
        *year = y;
        *month = m;
        *day = d;
        found = true;
    }
    return found;
}
