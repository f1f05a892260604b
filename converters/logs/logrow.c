/* logrow.c - see logrow.h. */
#include "logrow.h"

#include <string.h>
#include <strings.h>

#include "json.h"

const char *const ds_logformat_names[] = {
    "auto",       "syslog",      "syslog5424", "journal-export", "journal",
    "common",     "combined",    "json",       "logfmt",         "csv",
    "cri",        "docker",      "app",        "lines",          "pattern",
    "cef",        "leef",        "w3c",        "zeek",           "vpc-flow",
    "json-array", "windows-xml", "aws-alb",    "apache",         "nginx",
    NULL};
const char *const ds_logcol_names[] = {
    "text",   "time", "severity", "level",  "host",  "program", "pid",   "remote", "user",
    "method", "path", "protocol", "status", "bytes", "referer", "agent", "fields", "format"};
const char *const ds_logjoin_names[] = {"trace", "none", "any", NULL};

#define BIT(c) (1u << DS_LC_##c)

bool ds_logcol_number(enum ds_logcol c)
{
    return (BIT(TIME) | BIT(SEVERITY) | BIT(PID) | BIT(STATUS) | BIT(BYTES)) >> c & 1;
}

uint32_t ds_logformat_columns(enum ds_logformat f)
{
    const uint32_t base = BIT(TEXT) | BIT(TIME) | BIT(FIELDS);
    const uint32_t daemon = base | BIT(SEVERITY) | BIT(LEVEL) | BIT(HOST) | BIT(PROGRAM) | BIT(PID);
    const uint32_t web = base | BIT(HOST) | BIT(REMOTE) | BIT(USER) | BIT(METHOD) | BIT(PATH) |
                         BIT(PROTOCOL) | BIT(STATUS) | BIT(BYTES) | BIT(REFERER) | BIT(AGENT);
    switch (f) {
    case DS_LOG_AUTO:
        return (1u << DS_LC_N) - 1;
    case DS_LOG_SYSLOG:
    case DS_LOG_SYSLOG5:
    case DS_LOG_JEXPORT:
    case DS_LOG_JJSON:
        return daemon & ~BIT(LEVEL);
    case DS_LOG_COMMON:
        return web & ~(BIT(REFERER) | BIT(AGENT));
    case DS_LOG_COMBINED:
        return web;
    case DS_LOG_CEF:
    case DS_LOG_LEEF:
        return daemon | BIT(REMOTE) | BIT(USER) | BIT(METHOD) | BIT(PATH) | BIT(AGENT);
    case DS_LOG_W3C:
    case DS_LOG_ALB:
        return web;
    case DS_LOG_ZEEK:
        return web | BIT(PROGRAM);
    case DS_LOG_VPC:
        return base | BIT(REMOTE) | BIT(BYTES);
    case DS_LOG_CRI:
    case DS_LOG_DOCKER:
    case DS_LOG_LINES:
        return base;
    case DS_LOG_APP:
        return base | BIT(SEVERITY) | BIT(LEVEL);
    default:
        return daemon;
    }
}

/* ---- names and words ---- */

#define NAME_MAX_LEN 20

/* Spellings of what goes into columns, as loggers, journald and container runtimes have them: by
 * length, with their rank. */
static const struct {
    const char *name;
    enum ds_logcol col;
    unsigned rank;
} spellings[] = {
    {"ts", DS_LC_TIME, 10},
    {"msg", DS_LC_TEXT, 1},
    {"log", DS_LC_TEXT, 5},
    {"lvl", DS_LC_LEVEL, 18},
    {"app", DS_LC_PROGRAM, 29},
    {"pid", DS_LC_PID, 34},
    {"text", DS_LC_TEXT, 6},
    {"time", DS_LC_TIME, 8},
    {"date", DS_LC_TIME, 13},
    {"host", DS_LC_HOST, 24},
    {"_PID", DS_LC_PID, 35},
    {"event", DS_LC_TEXT, 7},
    {"level", DS_LC_LEVEL, 17},
    {"logger", DS_LC_PROGRAM, 31},
    {"message", DS_LC_TEXT, 0},
    {"MESSAGE", DS_LC_TEXT, 2},
    {"asctime", DS_LC_TIME, 14},
    {"program", DS_LC_PROGRAM, 28},
    {"service", DS_LC_PROGRAM, 30},
    {"@message", DS_LC_TEXT, 3},
    {"datetime", DS_LC_TIME, 12},
    {"severity", DS_LC_LEVEL, 19},
    {"loglevel", DS_LC_LEVEL, 22},
    {"PRIORITY", DS_LC_SEVERITY, 23},
    {"hostname", DS_LC_HOST, 25},
    {"timestamp", DS_LC_TIME, 9},
    {"eventTime", DS_LC_TIME, 15},
    {"levelname", DS_LC_LEVEL, 20},
    {"log.level", DS_LC_LEVEL, 21},
    {"_HOSTNAME", DS_LC_HOST, 26},
    {"host.name", DS_LC_HOST, 27},
    {"@timestamp", DS_LC_TIME, 11},
    {"process.pid", DS_LC_PID, 36},
    {"service.name", DS_LC_PROGRAM, 33},
    {"short_message", DS_LC_TEXT, 4},
    {"SYSLOG_IDENTIFIER", DS_LC_PROGRAM, 32},
    {"__REALTIME_TIMESTAMP", DS_LC_TIME, 16},
};
/* Where those of each length begin. */
static const uint8_t spelled[NAME_MAX_LEN + 2] = {0,  0,  0,  1,  6,  11, 13, 14, 19, 25, 31,
                                                  32, 33, 34, 35, 35, 35, 35, 36, 36, 36, 37};

/* Length by length, so that comparing is a load or two. */
#define SPELLED(n)                                                                                 \
    case n:                                                                                        \
        for (i = spelled[n]; i < spelled[n + 1] && memcmp(spellings[i].name, name, n) != 0;)       \
            i++;                                                                                   \
        break

int ds_logcol_of(const uint8_t *name, size_t len, unsigned *rank)
{
    size_t i = 0;
    *rank = 0;
    switch (len) {
        SPELLED(2);
        SPELLED(3);
        SPELLED(4);
        SPELLED(5);
        SPELLED(6);
        SPELLED(7);
        SPELLED(8);
        SPELLED(9);
        SPELLED(10);
        SPELLED(11);
        SPELLED(12);
        SPELLED(13);
        SPELLED(17);
        SPELLED(20);
    default:
        return -1;
    }
    if (i == spelled[len + 1])
        return -1;
    *rank = spellings[i].rank;
    return (int)spellings[i].col;
}

int ds_logseverity(const uint8_t *p, size_t len)
{
    static const struct {
        const char *word;
        int severity;
    } words[] = {{"info", 6},         {"error", 3},     {"warn", 4},        {"debug", 7},
                 {"warning", 4},      {"notice", 5},    {"err", 3},         {"critical", 2},
                 {"crit", 2},         {"fatal", 2},     {"trace", 7},       {"alert", 1},
                 {"emerg", 0},        {"emergency", 0}, {"panic", 0},       {"severe", 3},
                 {"fine", 7},         {"verbose", 7},   {"information", 6}, {"dpanic", 2},
                 {"informational", 6}};
    if (len < 3 || len > 13)
        return -1;
    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        if ((words[i].word[0] ^ *p) % 32 == 0 && strlen(words[i].word) == len &&
            strncasecmp(words[i].word, (const char *)p, len) == 0)
            return words[i].severity;
    return -1;
}

/* ---- cells ---- */

void ds_logset_time(ds_logline *l, const ds_logtime *t)
{
    l->row->when = *t;
    if (!t->yearless)
        ds_logset_number(l, DS_LC_TIME, t->ns);
}

static bool decimal(const uint8_t *p, size_t len, int64_t *v)
{
    bool minus = len > 1 && *p == '-';
    *v = 0;
    if (len > 0 && len <= 18 && !minus) { /* which cannot be too large */
        uint64_t sum = 0;
        unsigned other = 0;
        for (size_t i = 0; i < len; i++) {
            const unsigned digit = p[i] - (unsigned)'0';
            sum = sum * 10 + digit;
            other |= digit > 9;
        }
        *v = (int64_t)sum;
        return !other;
    }
    if (len == 0 || len > 20)
        return false;
    for (size_t i = minus; i < len; i++)
        if ((uint8_t)(p[i] - '0') > 9 || __builtin_mul_overflow(*v, 10, v) ||
            __builtin_add_overflow(*v, p[i] - '0', v))
            return false;
    if (minus)
        *v = -*v;
    return true;
}

bool ds_logset_decimal(ds_logline *l, enum ds_logcol c, const uint8_t *p, size_t len)
{
    int64_t v;
    if (!decimal(p, len, &v))
        return false;
    ds_logset_number(l, c, v);
    return true;
}

void ds_logset_level(ds_logline *l, const uint8_t *p, size_t len)
{
    int s = ds_logseverity(p, len);
    ds_logset(l, DS_LC_LEVEL, p, len);
    if (s >= 0)
        ds_logset_number(l, DS_LC_SEVERITY, s);
}

static bool take_time(ds_logline *l, const uint8_t *p, size_t len)
{
    ds_logtime t;
    bool fine = len > 0 &&
                (ds_logtime_any(p, len, l->s->o->zone, &t) == len || ds_logtime_epoch(p, len, &t));
    if (fine)
        ds_logset_time(l, &t);
    return fine;
}

bool ds_logtake(ds_logline *l, int col, const uint8_t *p, size_t len)
{
    int64_t v;
    if (col < 0 || l->row->v[col].p || (col == DS_LC_TIME && l->row->when.yearless))
        return false;
    switch (col) {
    case DS_LC_TIME:
        return take_time(l, p, len);
    case DS_LC_LEVEL:
        if (len > 32)
            return false;
        ds_logset_level(l, p, len);
        return true;
    case DS_LC_SEVERITY:
        if (!decimal(p, len, &v) || v < 0 || v > 7)
            return false;
        ds_logset_number(l, DS_LC_SEVERITY, v);
        return true;
    case DS_LC_FIELDS:
    case DS_LC_FORMAT:
        return false;
    default:
        if (ds_logcol_number((enum ds_logcol)col))
            return ds_logset_decimal(l, (enum ds_logcol)col, p, len);
        ds_logset(l, (enum ds_logcol)col, p, len);
        return true;
    }
}

int ds_logunescape(ds_logline *l, const char *letters, const char *meant, const uint8_t **p,
                   size_t *len)
{
    const size_t n = strlen(letters);
    uint8_t *out = ds_textbatch_alloc(l->b, *len), *o = out;
    if (!out)
        return DS_NOMEM;
    for (size_t i = 0; i < *len; i++) {
        const uint8_t c = (*p)[i];
        const char *k = c == '\\' && i + 1 < *len ? memchr(letters, (*p)[i + 1], n) : NULL;
        *o++ = k ? (uint8_t)meant[k - letters] : c;
        i += k != NULL;
    }
    *p = out;
    *len = (size_t)(o - out);
    return 0;
}

/* ---- fields ---- */

int ds_logfield_raw(ds_logline *l, const uint8_t *name, size_t name_len, bool string,
                    const uint8_t *p, size_t len)
{
    ds_buf *f = &l->fields;
    if (ds_buf_putc(f, f->len ? ',' : '{') != 0 || ds_buf_put(f, name, name_len) != 0 ||
        ds_buf_putc(f, ':') != 0 ||
        (string ? ds_json_str(f, (const char *)p, len) : ds_buf_put(f, p, len)) != 0)
        return DS_NOMEM;
    return 0;
}

int ds_logfield_named(ds_logline *l, const uint8_t *name, size_t name_len, bool string,
                      const uint8_t *p, size_t len)
{
    ds_buf *quoted = &l->b->title;
    quoted->len = 0;
    if (ds_json_str(quoted, (const char *)name, name_len) != 0)
        return DS_NOMEM;
    return ds_logfield_raw(l, quoted->data, quoted->len, string, p, len);
}

static int field(ds_logline *l, const char *name, bool string, const uint8_t *p, size_t len)
{
    char quoted[64];
    size_t n = strlen(name);
    if (n > sizeof quoted - 2)
        n = sizeof quoted - 2;
    quoted[0] = quoted[n + 1] = '"';
    memcpy(quoted + 1, name, n);
    return ds_logfield_raw(l, (const uint8_t *)quoted, n + 2, string, p, len);
}

int ds_logfield(ds_logline *l, const char *name, const uint8_t *p, size_t len)
{
    return field(l, name, true, p, len);
}

int ds_logfield_json(ds_logline *l, const char *name, const char *json)
{
    return field(l, name, false, (const uint8_t *)json, strlen(json));
}
