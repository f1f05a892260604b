/* logsyslog.c - syslog: RFC 3164 and what is written in its spirit, and RFC 5424 to the letter. */
#include "logrow.h"

#include <stdio.h>
#include <string.h>

#include "json.h"
#include "utf8.h"

static bool is_digit(uint8_t c)
{
    return (uint8_t)(c - '0') < 10;
}

/* <0> to <191>, without leading zeros: severity into its column, facility into fields. Returns its
 * length, 0 = none. */
static size_t priority(ds_logline *l, const uint8_t *p, size_t len, int *rc)
{
    size_t n = 1;
    unsigned v = 0;
    char text[8];
    *rc = 0;
    if (len < 3 || p[0] != '<')
        return 0;
    while (n < len && n < 4 && is_digit(p[n]))
        v = v * 10 + (unsigned)(p[n++] - '0');
    if (n == 1 || n == len || p[n] != '>' || v > 191 || (p[1] == '0' && n > 2))
        return 0;
    ds_logset_number(l, DS_LC_SEVERITY, v & 7);
    snprintf(text, sizeof text, "%u", v >> 3);
    *rc = ds_logfield_json(l, "facility", text);
    return n + 1;
}

/* ---- RFC 3164 ---- */

/* The tag: a program's name, its pid in brackets, a colon. What does not look like one is part of
 * the message. */
static size_t tag(ds_logline *l, const uint8_t *p, size_t len)
{
    size_t n = 0, end;
    while (n < len && n < 128 && p[n] > ' ' && p[n] != '[' && p[n] != ':' && p[n] < 0x7f)
        n++;
    if (n == 0 || n == len)
        return 0;
    end = n;
    const uint8_t *pid = NULL;
    size_t pid_len = 0;
    if (p[n] == '[') {
        pid = p + n + 1;
        while (n < len && p[n] != ']' && p[n] > ' ')
            n++;
        if (n == len || p[n] != ']')
            return 0;
        pid_len = (size_t)(p + n - pid);
        n++;
    }
    if (n < len && p[n] == ':')
        n++;
    else if (!pid)
        return 0;
    ds_logset(l, DS_LC_PROGRAM, p, end);
    if (pid && !ds_logset_decimal(l, DS_LC_PID, pid, pid_len))
        return 0;
    return n + (n < len && p[n] == ' ');
}

/* A host is one word without a colon or bracket at its end, which would be a tag. */
static size_t host(ds_logline *l, const uint8_t *p, size_t len)
{
    size_t n = 0;
    while (n < len && p[n] > ' ')
        n++;
    if (n == 0 || n == len || p[n] != ' ' || p[n - 1] == ':' || p[n - 1] == ']' || n > 255)
        return 0;
    ds_logset(l, DS_LC_HOST, p, n);
    return n + 1;
}

int ds_logparse_syslog(ds_logline *l, const uint8_t *p, size_t len)
{
    ds_logtime t;
    int rc;
    size_t at = priority(l, p, len, &rc), n;
    if (rc != 0)
        return rc;
    if (at < len && p[at] == '*') /* Cisco: a clock that is not set */
        at++;
    if (at < len && is_digit(p[at]))
        n = len - at > 10 && p[at + 10] == 'T' ? ds_logtime_iso(p + at, len - at, l->s->o->zone, &t)
                                               : 0;
    else
        n = ds_logtime_bsd(p + at, len - at, l->s->o->zone, &t);
    if (n == 0)
        return ds_logfail(l, at,
                          at < len && p[0] == '<' && at == 0
                              ? "no priority from <0> to <191>"
                              : "no time of RFC 3164 or RFC 3339 begins here");
    at += n;
    if (at < len && p[at] == ':')
        at++;
    if (at < len && p[at] != ' ')
        return ds_logfail(l, at, "a space is expected behind the time");
    ds_logset_time(l, &t);
    at += at < len;
    at += host(l, p + at, len - at);
    at += tag(l, p + at, len - at);
    ds_logset(l, DS_LC_TEXT, p + at, len - at);
    return 0;
}

/* ---- RFC 5424 ---- */

/* One word of the header: printable ASCII, at most max bytes, a space behind it. */
static bool word(ds_logline *l, const uint8_t *p, size_t len, size_t *at, size_t max,
                 const uint8_t **w, size_t *n, const char *why)
{
    size_t from = *at, i = from;
    while (i < len && p[i] > ' ' && p[i] < 0x7f)
        i++;
    if (i == from || i - from > max || i == len || p[i] != ' ') {
        ds_logfail(l, from, why);
        return false;
    }
    *w = p + from;
    *n = i - from;
    *at = i + 1;
    return true;
}

static bool nil(const uint8_t *w, size_t n)
{
    return n == 1 && *w == '-';
}

/* An SD-NAME up to one of the ends. */
static size_t sd_name(const uint8_t *p, size_t len)
{
    size_t n = 0;
    while (n < len && p[n] > ' ' && p[n] < 0x7f && p[n] != '=' && p[n] != ']' && p[n] != '"')
        n++;
    return n <= 32 ? n : 0;
}

/* A PARAM-VALUE between its quotes, as a JSON string: \" \\ \] lose their backslash, any other
 * backslash stands for itself. Returns what was read with the closing quote, 0 = no end. */
static size_t sd_value(ds_buf *f, ds_buf *raw, const uint8_t *p, size_t len, int *rc)
{
    raw->len = 0;
    for (size_t i = 0; i < len; i++) {
        if (p[i] == '"') {
            *rc = ds_json_str(f, raw->len ? (const char *)raw->data : "", raw->len);
            return i + 1;
        }
        if (p[i] == ']')
            return 0;
        if (p[i] == '\\' && i + 1 < len && (p[i + 1] == '"' || p[i + 1] == '\\' || p[i + 1] == ']'))
            i++;
        if (ds_buf_putc(raw, p[i]) != 0) {
            *rc = DS_NOMEM;
            return 0;
        }
    }
    return 0;
}

/* [id name="value" ...] at *at: a member of the object in fields. */
static int sd_element(ds_logline *l, const uint8_t *p, size_t len, size_t *at, bool first)
{
    ds_buf *f = &l->fields;
    size_t i = *at + 1, n = sd_name(p + i, len - i);
    int rc = 0;
    if (n == 0)
        return ds_logfail(l, i, "a structured data element wants an id");
    if ((!first && ds_buf_putc(f, ',') != 0) || ds_json_str(f, (const char *)p + i, n) != 0 ||
        ds_buf_put(f, ":{", 2) != 0)
        return DS_NOMEM;
    i += n;
    for (bool one = true; i < len && p[i] == ' '; one = false) {
        i++;
        n = sd_name(p + i, len - i);
        if (n == 0 || i + n + 1 >= len || p[i + n] != '=' || p[i + n + 1] != '"')
            return ds_logfail(l, i, "a parameter of structured data is name=\"value\"");
        if ((!one && ds_buf_putc(f, ',') != 0) || ds_json_str(f, (const char *)p + i, n) != 0 ||
            ds_buf_putc(f, ':') != 0)
            return DS_NOMEM;
        i += n + 2;
        n = sd_value(f, &l->b->title, p + i, len - i, &rc);
        if (rc != 0)
            return rc;
        if (n == 0)
            return ds_logfail(l, i, "a parameter's value does not end, or holds a bare ]");
        i += n;
    }
    if (i >= len || p[i] != ']')
        return ds_logfail(l, i, "a structured data element ends with ]");
    *at = i + 1;
    return ds_buf_putc(f, '}') ? DS_NOMEM : 0;
}

static int structured(ds_logline *l, const uint8_t *p, size_t len, size_t *at)
{
    if (*at < len && p[*at] == '-') {
        ++*at;
        return 0;
    }
    if (*at == len || p[*at] != '[')
        return ds_logfail(l, *at, "structured data is - or begins with [");
    int rc = ds_logfield_json(l, "sd", "{");
    for (bool first = true; rc == 0 && *at < len && p[*at] == '['; first = false)
        rc = sd_element(l, p, len, at, first);
    return rc ? rc : ds_buf_putc(&l->fields, '}') ? DS_NOMEM : 0;
}

/* TIMESTAMP HOSTNAME APP-NAME PROCID MSGID */
static int header(ds_logline *l, const uint8_t *p, size_t len, size_t *at)
{
    const uint8_t *w;
    size_t n, from = *at;
    ds_logtime t;
    if (!word(l, p, len, at, 35, &w, &n, "a time of RFC 3339, or -, is expected here"))
        return DS_FAIL;
    if (!nil(w, n)) {
        if (n < 20 || w[10] != 'T' || ds_logtime_iso(w, n, 0, &t) != n)
            return ds_logfail(l, from, "no time of RFC 3339 begins here");
        t.local = false;
        ds_logset_time(l, &t);
    }
    if (!word(l, p, len, at, 255, &w, &n, "a host name of at most 255 bytes is expected here"))
        return DS_FAIL;
    if (!nil(w, n))
        ds_logset(l, DS_LC_HOST, w, n);
    if (!word(l, p, len, at, 48, &w, &n, "a program's name of at most 48 bytes is expected here"))
        return DS_FAIL;
    if (!nil(w, n))
        ds_logset(l, DS_LC_PROGRAM, w, n);
    if (!word(l, p, len, at, 128, &w, &n, "a process id of at most 128 bytes is expected here"))
        return DS_FAIL;
    if (!nil(w, n) && !ds_logset_decimal(l, DS_LC_PID, w, n) && ds_logfield(l, "procid", w, n) != 0)
        return DS_NOMEM;
    if (!word(l, p, len, at, 32, &w, &n, "a message id of at most 32 bytes is expected here"))
        return DS_FAIL;
    return nil(w, n) ? 0 : ds_logfield(l, "msgid", w, n);
}

int ds_logparse_syslog5(ds_logline *l, const uint8_t *p, size_t len)
{
    int rc;
    size_t at = priority(l, p, len, &rc);
    if (rc != 0)
        return rc;
    if (at == 0)
        return ds_logfail(l, 0, "no priority from <0> to <191>");
    if (len - at < 2 || p[at] != '1' || p[at + 1] != ' ')
        return ds_logfail(l, at, "the version is not 1");
    at += 2;
    if ((rc = header(l, p, len, &at)) != 0 || (rc = structured(l, p, len, &at)) != 0)
        return rc;
    if (at < len && p[at] != ' ')
        return ds_logfail(l, at, "a space is expected before the message");
    at += at < len;
    at += ds_utf8_mark(p + at, len - at);
    ds_logset(l, DS_LC_TEXT, p + at, len - at);
    return 0;
}
