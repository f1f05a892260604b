/* logguess.c - see logsource.h: deciding by evidence. */
#include <string.h>

#include "logsource.h"
#include "logtable.h"
#include "logtrace.h"

/* From the most particular to the least: what an earlier one reads, a later one often reads, too.
 */
static const enum ds_logformat order[] = {
    DS_LOG_JEXPORT, DS_LOG_JJSON,   DS_LOG_DOCKER, DS_LOG_CEF,      DS_LOG_LEEF,
    DS_LOG_WINXML,  DS_LOG_JARRAY,  DS_LOG_W3C,    DS_LOG_ZEEK,     DS_LOG_VPC,
    DS_LOG_ALB,     DS_LOG_SYSLOG5, DS_LOG_CRI,    DS_LOG_COMBINED, DS_LOG_COMMON,
    DS_LOG_JSON,    DS_LOG_SYSLOG,  DS_LOG_APP,    DS_LOG_LOGFMT,   DS_LOG_CSV};
#define NORDER (sizeof order / sizeof *order)

static bool has(const ds_buf *b, const char *s)
{
    return b->len > 0 && memmem(b->data, b->len, s, strlen(s)) != NULL;
}

/* A parser is lenient where the format is known; as evidence more is wanted. `p`: the record. */
static bool convinces(const ds_logline *l, enum ds_logformat f, const uint8_t *p)
{
    const ds_logcell *v = l->row->v;
    switch (f) {
    case DS_LOG_JJSON:
        return v[DS_LC_TIME].p && has(&l->fields, "\"__");
    case DS_LOG_DOCKER:
        return v[DS_LC_TIME].p && l->stream;
    case DS_LOG_COMBINED:
        return l->quoted;
    case DS_LOG_SYSLOG: /* a level where the host would be is an application's */
        return v[DS_LC_SEVERITY].p || l->row->when.yearless ||
               (v[DS_LC_PROGRAM].p && v[DS_LC_HOST].p &&
                ds_logseverity(v[DS_LC_HOST].p, (size_t)v[DS_LC_HOST].n) < 0);
    case DS_LOG_LOGFMT:
        return v[DS_LC_TIME].p || v[DS_LC_LEVEL].p || v[DS_LC_TEXT].p != p;
    default:
        return true;
    }
}

static int count_records(ds_logguess *g, ds_logline *l, enum ds_logformat f, const uint8_t *p,
                         size_t len)
{
    for (size_t pos = 0, all; pos < len && g->seen[f] < DS_LOGGUESS_LINES; pos += all) {
        ds_logunit u;
        all = ds_logsource_next(l->s, p + pos, len - pos, &u);
        const uint8_t *q = p + pos + u.at;
        if (u.n == 0 || (!u.ended && pos > 0) || ds_logtrace_goes_on(q, u.n))
            continue; /* blank, cut off by the end of what is looked at, or of a trace */
        bool head;
        int rc = ds_logtable_line(&l->table, f, q, u.n, &head);
        if (rc == 0 && head)
            continue;
        if (rc == 0)
            rc = u.why ? DS_FAIL : ds_logline_parse(l, q, u.n);
        if (rc == DS_NOMEM)
            return rc;
        g->seen[f]++;
        g->read[f] += rc == 0 && convinces(l, f, q);
        ds_textbatch_reset(l->b);
    }
    /* A head and nothing behind it yet, an array of nothing. */
    if (g->seen[f] == 0 && (l->table.n > 0 || f == DS_LOG_JARRAY))
        g->seen[f] = g->read[f] = 1;
    return 0;
}

static int count_format(ds_logguess *g, const ds_logopts *o, enum ds_logformat f, const uint8_t *p,
                        size_t len)
{
    ds_logsource *s;
    size_t used;
    const char *why;
    int rc = ds_logsource_make(&s, o, f, p, len, &used, &why);
    if (rc != 0)
        return rc == DS_FAIL ? 0 : rc; /* no header, no array */
    ds_textbatch b = {0};
    ds_logline l;
    ds_logrow row;
    rc = ds_logline_init(&l, s, &b);
    l.row = &row;
    if (rc == 0)
        rc = count_records(g, &l, f, p + used, len - used);
    ds_logline_fini(&l);
    ds_textbatch_fini(&b);
    ds_logsource_close(s);
    return rc;
}

static double share(const ds_logguess *g, enum ds_logformat f)
{
    return g->seen[f] ? (double)g->read[f] / (double)g->seen[f] : 0;
}

/* The most particular of the formats that read the most of (p, len). */
static int decide(ds_logguess *g, const ds_logopts *o, bool head, const uint8_t *p, size_t len)
{
    double best = 0;
    *g = (ds_logguess){.format = DS_LOG_AUTO};
    if (len > DS_LOGGUESS_BYTES)
        len = DS_LOGGUESS_BYTES;
    for (size_t i = 0; i < NORDER; i++) {
        if ((head || order[i] != DS_LOG_CSV) && count_format(g, o, order[i], p, len) != 0)
            return DS_NOMEM;
        if (share(g, order[i]) > best)
            best = share(g, order[i]);
    }
    for (size_t i = NORDER; best >= DS_LOGGUESS_MIN && i-- > 0;)
        if (share(g, order[i]) >= best - 0.02)
            g->format = order[i];
    return 0;
}

static bool whole_line(const uint8_t *p, size_t len)
{
    return memchr(p, '\n', len < DS_LOGGUESS_BYTES ? len : DS_LOGGUESS_BYTES) != NULL;
}

/* Behind the lines at the beginning that are longer than what is looked at: one of them says little
 * of the others (a hole that a rotation left is one). 0: there is no such line, or no other. */
static size_t behind_long(const uint8_t *p, size_t len)
{
    size_t at = 0;
    while (at < len && !whole_line(p + at, len - at)) {
        const uint8_t *lf = memchr(p + at, '\n', len - at);
        if (!lf)
            return 0;
        at = (size_t)(lf + 1 - p);
    }
    return at < len ? at : 0;
}

static bool of_lines(enum ds_logformat f)
{
    return f != DS_LOG_JARRAY && f != DS_LOG_WINXML;
}

/* Lines of text, unless too many hold a NUL byte. */
static void look_at_lines(ds_logguess *g, const uint8_t *p, size_t len, size_t at)
{
    size_t lines = 0, bad = 0, nuls[2] = {0};
    len = len - at < DS_LOGGUESS_BYTES ? len : at + DS_LOGGUESS_BYTES;
    for (size_t pos = at; pos < len && lines < DS_LOGGUESS_LINES; lines++) {
        const uint8_t *lf = memchr(p + pos, '\n', len - pos);
        const size_t end = lf ? (size_t)(lf - p) : len;
        bad += memchr(p + pos, 0, end - pos) != NULL;
        pos = end + 1;
    }
    if ((double)(lines - bad) >= DS_LOGGUESS_MIN * (double)lines) {
        g->format = DS_LOG_LINES;
        return;
    }
    const uint8_t *nul = memchr(p + at, 0, len - at);
    g->nul = nul ? (size_t)(nul - p) : at;
    for (size_t i = at; i < len; i++)
        nuls[i & 1] += p[i] == 0;
    g->wide = (nuls[0] == 0 || nuls[1] == 0) && (nuls[0] + nuls[1]) * 4 > len - at;
}

int ds_logguess_look(ds_logguess *g, const ds_logopts *o, const uint8_t *p, size_t len)
{
    size_t at = 0;
    int rc = decide(g, o, true, p, len);
    if (rc == 0 && of_lines(g->format) && (at = behind_long(p, len)) > 0)
        rc = decide(g, o, false, p + at, len - at);
    if (rc == 0 && g->format == DS_LOG_AUTO)
        look_at_lines(g, p, len, at);
    return rc;
}

bool ds_logguess_enough(const ds_logopts *o, const uint8_t *p, size_t len)
{
    ds_logguess g;
    const size_t at = behind_long(p, len);
    if (at > 0 || (len > 0 && whole_line(p, len)))
        return len - at >= DS_LOGGUESS_BYTES;
    return len >= DS_LOGGUESS_BYTES && (decide(&g, o, true, p, len) || !of_lines(g.format));
}

int ds_logguess_say(const ds_logguess *g, ds_buf *out)
{
    enum ds_logformat f = g->format;
    bool first = true;
    int rc = 0;
    if (f == DS_LOG_LINES)
        rc = ds_buf_puts(out, "lines: no format reads three quarters of its beginning");
    else if (f != DS_LOG_AUTO)
        rc = ds_buf_printf(out, "%s: %zu of %zu records", ds_logformat_names[f], g->read[f],
                           g->seen[f]);
    for (size_t i = 0; i < NORDER && rc == 0; i++) {
        enum ds_logformat k = order[i];
        if (k == f || g->read[k] == 0)
            continue;
        rc = ds_buf_printf(out, "%s%s %zu of %zu",
                           !first ? ", "
                           : f    ? "; "
                                  : "",
                           ds_logformat_names[k], g->read[k], g->seen[k]);
        first = false;
    }
    return rc;
}
