/* logrow.c - see logrow.h. */
#include "logrow.h"

#include <string.h>
#include <strings.h>

#include "json.h"

const char *const ds_logformat_names[] = {
    "auto",   "syslog", "syslog5424", "journal-export", "journal", "common",  "combined", "json",
    "logfmt", "csv",    "cri",        "docker",         "app",     "pattern", "apache",   "nginx",
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
    case DS_LOG_CRI:
    case DS_LOG_DOCKER:
        return base;
    case DS_LOG_APP:
        return base | BIT(SEVERITY) | BIT(LEVEL);
    default:
        return daemon;
    }
}

/* ---- names and words ---- */

/* Spellings of what goes into columns, as loggers, journald and container runtimes have them. */
static const struct {
    const char *name;
    enum ds_logcol col;
} spellings[] = {{"message", DS_LC_TEXT},
                 {"msg", DS_LC_TEXT},
                 {"MESSAGE", DS_LC_TEXT},
                 {"@message", DS_LC_TEXT},
                 {"short_message", DS_LC_TEXT},
                 {"log", DS_LC_TEXT},
                 {"text", DS_LC_TEXT},
                 {"event", DS_LC_TEXT},
                 {"time", DS_LC_TIME},
                 {"timestamp", DS_LC_TIME},
                 {"ts", DS_LC_TIME},
                 {"@timestamp", DS_LC_TIME},
                 {"datetime", DS_LC_TIME},
                 {"date", DS_LC_TIME},
                 {"asctime", DS_LC_TIME},
                 {"eventTime", DS_LC_TIME},
                 {"__REALTIME_TIMESTAMP", DS_LC_TIME},
                 {"level", DS_LC_LEVEL},
                 {"lvl", DS_LC_LEVEL},
                 {"severity", DS_LC_LEVEL},
                 {"levelname", DS_LC_LEVEL},
                 {"log.level", DS_LC_LEVEL},
                 {"loglevel", DS_LC_LEVEL},
                 {"PRIORITY", DS_LC_SEVERITY},
                 {"host", DS_LC_HOST},
                 {"hostname", DS_LC_HOST},
                 {"_HOSTNAME", DS_LC_HOST},
                 {"host.name", DS_LC_HOST},
                 {"program", DS_LC_PROGRAM},
                 {"app", DS_LC_PROGRAM},
                 {"service", DS_LC_PROGRAM},
                 {"logger", DS_LC_PROGRAM},
                 {"SYSLOG_IDENTIFIER", DS_LC_PROGRAM},
                 {"service.name", DS_LC_PROGRAM},
                 {"pid", DS_LC_PID},
                 {"_PID", DS_LC_PID},
                 {"process.pid", DS_LC_PID}};

int ds_logcol_of(const uint8_t *name, size_t len, unsigned *rank)
{
    *rank = 0;
    if (len < 2 || len > 20)
        return -1;
    for (size_t i = 0; i < sizeof spellings / sizeof *spellings; i++)
        if (spellings[i].name[0] == (char)*name && strlen(spellings[i].name) == len &&
            memcmp(spellings[i].name, name, len) == 0) {
            *rank = (unsigned)i;
            return (int)spellings[i].col;
        }
    return -1;
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
    bool fine = ds_logtime_any(p, len, l->s->o->zone, &t) == len || ds_logtime_epoch(p, len, &t);
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
