/* zonefile.c - see zonefile.h. */
#include "zonefile.h"

#include <stdlib.h>
#include <string.h>

#include "io.h"

enum {
    FILE_MAX = 1 << 20,
    HEAD = 44,
    YEAR_END = 2262, /* behind what 64 bits of nanoseconds hold */
    DAY = 86400,
    FARTHEST = 26 * 3600 /* from UTC; RFC 9636 has 25:59:59 */
};

typedef struct change {
    int64_t since;  /* UTC; of the first: the beginning of time */
    int32_t offset; /* seconds east, from then on */
} change;

struct ds_zone {
    change *v;
    size_t n, cap;
    ds_sha sha;
};

static int add(ds_zone *z, int64_t since, int32_t offset, ds_err *err)
{
    if (ds_grow(&z->v, &z->cap, z->n, sizeof *z->v))
        return ds_fail_nomem(err);
    z->v[z->n++] = (change){since, offset};
    return 0;
}

/* ---- the table ---- */

static int64_t big_signed(const uint8_t *p, size_t width)
{
    return width == 8 ? (int64_t)ds_get_big(p) : (int32_t)ds_get_big32(p);
}

/* The six numbers of a head: of UT and standard indicators, leap seconds, times, types, bytes. */
enum { NUT, NSTD, NLEAP, NTIME, NTYPE, NCHAR, NUMBERS };

static bool head(const uint8_t *p, size_t len, uint32_t n[NUMBERS])
{
    if (len < HEAD || memcmp(p, "TZif", 4) != 0)
        return false;
    for (size_t i = 0; i < NUMBERS; i++)
        n[i] = ds_get_big32(p + 20 + 4 * i);
    return true;
}

/* Bytes of a block behind its head, whose times have this width. */
static uint64_t block_size(const uint32_t n[NUMBERS], uint64_t width)
{
    return n[NTIME] * (width + 1) + n[NTYPE] * UINT64_C(6) + n[NCHAR] + n[NLEAP] * (width + 4) +
           n[NSTD] + n[NUT];
}

static int table(ds_zone *z, const uint8_t *p, const uint32_t n[NUMBERS], size_t width, ds_err *err)
{
    const uint8_t *which = p + n[NTIME] * width, *types = which + n[NTIME];
    int rc = 0;
    if (n[NTYPE] == 0 || n[NTYPE] > 256)
        return ds_fail(err, DS_FAIL, "no types of local time in it");
    if (n[NLEAP])
        return ds_fail(err, DS_FAIL, "it counts leap seconds");
    for (uint32_t i = 0; i < n[NTYPE]; i++)
        if (llabs(big_signed(types + 6 * (size_t)i, 4)) > FARTHEST)
            return ds_fail(err, DS_FAIL, "an offset of more than 26 hours");
    rc = add(z, INT64_MIN, (int32_t)ds_get_big32(types), err);
    for (uint32_t i = 0; rc == 0 && i < n[NTIME]; i++) {
        const int64_t since = big_signed(p + i * width, width);
        if (which[i] >= n[NTYPE] || since <= z->v[z->n - 1].since)
            return ds_fail(err, DS_FAIL, "transition %u is out of order or of no type", i);
        rc = add(z, since, (int32_t)ds_get_big32(types + 6 * (size_t)which[i]), err);
    }
    return rc;
}

/* ---- the rule behind it: TZ as POSIX has it ---- */

typedef struct cur {
    const char *p, *end;
} cur;

static bool eat(cur *c, char ch)
{
    if (c->p == c->end || *c->p != ch)
        return false;
    c->p++;
    return true;
}

static bool number(cur *c, int most, int *v)
{
    const char *from = c->p;
    for (*v = 0; c->p < c->end && *c->p >= '0' && *c->p <= '9' && *v <= most; c->p++)
        *v = *v * 10 + (*c->p - '0');
    return c->p > from && *v <= most;
}

/* [+-]hh[:mm[:ss]] */
static bool hours(cur *c, int most, int32_t *seconds)
{
    int h, m = 0, s = 0;
    const bool minus = eat(c, '-');
    if (!minus)
        (void)eat(c, '+');
    if (!number(c, most, &h) ||
        (eat(c, ':') && (!number(c, 59, &m) || (eat(c, ':') && !number(c, 59, &s)))))
        return false;
    *seconds = (minus ? -1 : 1) * (h * 3600 + m * 60 + s);
    return true;
}

static bool name(cur *c)
{
    const char *from = c->p;
    if (eat(c, '<')) {
        while (c->p < c->end && *c->p != '>')
            c->p++;
        return eat(c, '>');
    }
    while (c->p < c->end && ((*c->p | 0x20) >= 'a' && (*c->p | 0x20) <= 'z'))
        c->p++;
    return c->p - from >= 3;
}

typedef struct day {
    char kind; /* 'M', 'J', or 0: days from 0, with leap days */
    int month, week, weekday, n;
    int32_t at; /* seconds of that day */
} day;

static bool day_of(cur *c, day *d)
{
    *d = (day){.at = 2 * 3600};
    if (!eat(c, ','))
        return false;
    if (eat(c, 'M')) {
        d->kind = 'M';
        if (!number(c, 12, &d->month) || d->month < 1 || !eat(c, '.') || !number(c, 5, &d->week) ||
            d->week < 1 || !eat(c, '.') || !number(c, 6, &d->weekday))
            return false;
    } else {
        d->kind = eat(c, 'J') ? 'J' : 0;
        if (!number(c, 365, &d->n) || (d->kind && d->n < 1))
            return false;
    }
    return !eat(c, '/') || hours(c, 167, &d->at);
}

static bool leap(int y)
{
    return (y % 4 == 0 && y % 100 != 0) || y % 400 == 0;
}

/* Days from 1970-01-01 to January 1st of a year from 1 on. */
static int64_t year_begin(int y)
{
    const int64_t b = y - 1;
    return b * 365 + b / 4 - b / 100 + b / 400 - 719162;
}

static int64_t day_in(const day *d, int y)
{
    static const int16_t before[] = {0, 31, 59, 90, 120, 151, 181, 212, 243, 273, 304, 334, 365};
    const int64_t first = year_begin(y);
    if (d->kind == 0)
        return first + d->n;
    if (d->kind == 'J')
        return first + d->n - 1 + (leap(y) && d->n >= 60);
    const int64_t month = first + before[d->month - 1] + (leap(y) && d->month > 2);
    const int64_t next = first + before[d->month] + (leap(y) && d->month >= 2);
    int64_t at = month + ((d->weekday - (month + 4) % 7) % 7 + 7) % 7 + 7 * (d->week - 1);
    while (at >= next) /* week 5 is the last */
        at -= 7;
    return at;
}

static int follow_rule(ds_zone *z, int32_t off[2], const day when[2], ds_err *err)
{
    int rc = 0;
    int64_t last = z->v[z->n - 1].since;
    int year = 1970;
    while (year < YEAR_END && last >= year_begin(year + 1) * DAY)
        year++;
    for (; rc == 0 && year < YEAR_END; year++) {
        /* Summer begins by the winter's clock, and ends by its own. */
        change c[2] = {{day_in(&when[0], year) * DAY + when[0].at - off[0], off[1]},
                       {day_in(&when[1], year) * DAY + when[1].at - off[1], off[0]}};
        const int first = c[1].since < c[0].since;
        for (int i = 0; rc == 0 && i < 2; i++) {
            const change *k = &c[i ^ first];
            if (k->since == z->v[z->n - 1].since) /* summer all year round */
                z->v[z->n - 1].offset = k->offset;
            else if (k->since > z->v[z->n - 1].since && k->offset != z->v[z->n - 1].offset)
                rc = add(z, k->since, k->offset, err);
        }
    }
    return rc;
}

static int rule(ds_zone *z, const char *p, size_t len, ds_err *err)
{
    cur c = {p, p + len};
    int32_t off[2]; /* standard, summer */
    day when[2];
    if (len == 0)
        return 0;
    bool good = name(&c) && hours(&c, 24, &off[0]);
    off[0] = good ? -off[0] : 0; /* POSIX counts to the west */
    const change last = z->v[z->n - 1];
    if (good && c.p == c.end) /* nothing is behind the end of time */
        return last.offset == off[0] || last.since == INT64_MAX
                   ? 0
                   : add(z, last.since + 1, off[0], err);
    off[1] = off[0] + 3600;
    good = good && name(&c);
    if (good && c.p < c.end && *c.p != ',') {
        good = hours(&c, 24, &off[1]);
        off[1] = -off[1];
    }
    good = good && day_of(&c, &when[0]) && day_of(&c, &when[1]) && c.p == c.end;
    return good ? follow_rule(z, off, when, err)
                : ds_fail(err, DS_FAIL, "the rule at its end is none of POSIX's");
}

/* ---- a file ---- */

static int parse(ds_zone *z, const uint8_t *p, size_t len, ds_err *err)
{
    uint32_t n[NUMBERS];
    size_t width = 4;
    if (!head(p, len, n))
        return ds_fail(err, DS_FAIL, "it is no file of a time zone (TZif)");
    if (block_size(n, 4) > len - HEAD)
        return ds_fail(err, DS_FAIL, "it ends too early");
    if (p[4] >= '2') { /* the same again, with 64 bits */
        const size_t first = HEAD + (size_t)block_size(n, 4);
        p += first;
        len -= first;
        width = 8;
        if (!head(p, len, n) || block_size(n, 8) > len - HEAD)
            return ds_fail(err, DS_FAIL, "it ends too early");
    }
    int rc = table(z, p + HEAD, n, width, err);
    if (rc || width == 4)
        return rc;
    const size_t at = HEAD + (size_t)block_size(n, 8);
    const uint8_t *end =
        len > at + 1 && p[at] == '\n' ? memchr(p + at + 1, '\n', len - at - 1) : NULL;
    return end ? rule(z, (const char *)p + at + 1, (size_t)(end - p) - at - 1, err)
               : ds_fail(err, DS_FAIL, "no rule at its end");
}

int ds_zone_parse(ds_zone **out, const uint8_t *p, size_t len, ds_err *err)
{
    ds_zone *z = *out = calloc(1, sizeof *z);
    int rc = z ? ds_sha_bytes(&z->sha, p, len, err) : ds_fail_nomem(err);
    rc = rc ? rc : parse(z, p, len, err);
    if (rc) {
        ds_zone_free(z);
        *out = NULL;
    }
    return rc;
}

/* A zone's name is no path out of the folder. */
static bool name_ok(const char *s)
{
    if (!*s || *s == '/' || strlen(s) > 255 || strstr(s, ".."))
        return false;
    return strspn(s, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_+-/") ==
           strlen(s);
}

int ds_zone_open(ds_zone **out, const char *zone, ds_err *err)
{
    const char *dir = getenv("TZDIR");
    ds_buf path = {0}, bytes = {0};
    ds_err why = {0};
    *out = NULL;
    dir = dir && *dir ? dir : "/usr/share/zoneinfo";
    int rc = !name_ok(zone) ? ds_fail(&why, DS_FAIL, "it is no name of a zone") : 0;
    if (rc == 0 && (ds_buf_printf(&path, "%s/%s", dir, zone) || !ds_buf_cstr(&path)))
        rc = ds_fail_nomem(&why);
    rc = rc ? rc : ds_read_file(&bytes, (const char *)path.data, FILE_MAX, &why);
    rc = rc ? rc : ds_zone_parse(out, bytes.data, bytes.len, &why);
    if (rc)
        rc = ds_fail(err, why.code == DS_NOMEM ? DS_NOMEM : DS_FAIL,
                     "%s: no zone of that name in %s: %s", zone, dir, why.msg);
    ds_buf_fini(&path);
    ds_buf_fini(&bytes);
    return rc;
}

const ds_sha *ds_zone_digest(const ds_zone *z)
{
    return &z->sha;
}

void ds_zone_free(ds_zone *z)
{
    if (!z)
        return;
    free(z->v);
    free(z);
}

/* ---- looking up ---- */

void ds_zone_utc(const ds_zone *z, int64_t local, int64_t *earlier, int64_t *later)
{
    size_t lo = 0, hi = z->n;
    bool found = false;
    /* The last change that may be before it. */
    while (hi - lo > 1) {
        const size_t mid = lo + (hi - lo) / 2;
        if (z->v[mid].since <= local + FARTHEST)
            lo = mid;
        else
            hi = mid;
    }
    *earlier = *later = local - z->v[lo].offset;
    for (size_t i = lo + 1; i-- > 0;) {
        const int64_t t = local - z->v[i].offset;
        if (t >= z->v[i].since && (i + 1 == z->n || t < z->v[i + 1].since)) {
            *earlier = t;
            *later = found ? *later : t;
            found = true;
        }
        if (i && !found && t < z->v[i].since && local - z->v[i - 1].offset >= z->v[i].since) {
            *earlier = *later = local - z->v[i - 1].offset; /* skipped: the clock before */
            return;
        }
        if (z->v[i].since < local - 2 * FARTHEST)
            return;
    }
}
