/* logplain.c - records that are lines of text: logfmt, CRI, what applications write, and lines
 * of which nothing is known. */
#include "logrow.h"

#include <string.h>

/* ---- logfmt ---- */

/* The quoted value behind *at: unescaped where it has to be. */
static int logfmt_quoted(ds_logline *l, const uint8_t *p, size_t len, size_t *at, const uint8_t **v,
                         size_t *n)
{
    size_t i = *at + 1;
    bool escaped = false;
    for (; i < len && p[i] != '"'; i++)
        if (p[i] == '\\') {
            escaped = true;
            i++;
        }
    if (i >= len)
        return ds_logfail(l, *at, "the quoted value does not end");
    *v = p + *at + 1;
    *n = (size_t)(p + i - *v);
    *at = i + 1;
    if (!escaped)
        return 0;
    uint8_t *out = ds_textbatch_alloc(l->b, *n), *o = out;
    if (!out)
        return DS_NOMEM;
    for (size_t k = 0; k < *n; k++) {
        uint8_t c = (*v)[k];
        if (c == '\\' && k + 1 < *n) {
            uint8_t e = (*v)[k + 1];
            if (e == 'u' || e == 'x') {
                *o++ = c; /* as it is written */
                continue;
            }
            k++;
            c = e == 'n' ? '\n' : e == 't' ? '\t' : e == 'r' ? '\r' : e;
        }
        *o++ = c;
    }
    *v = out;
    *n = (size_t)(o - out);
    return 0;
}

/* A member of fields; a key alone counts as true. */
static int logfmt_field(ds_logline *l, const uint8_t *key, size_t key_len, const uint8_t *v,
                        size_t n)
{
    return ds_logfield_named(l, key, key_len, v != NULL, v ? v : (const uint8_t *)"true",
                             v ? n : 4);
}

typedef struct textcell {
    const uint8_t *p;
    size_t n;
    unsigned rank;
} textcell;

/* The pair at *at. *pairs counts those with a value. */
static int logfmt_pair(ds_logline *l, const uint8_t *p, size_t len, size_t *at, size_t *pairs,
                       textcell *text)
{
    size_t from = *at, i = from;
    while (i < len && p[i] != '=' && p[i] > ' ' && p[i] != '"')
        i++;
    size_t key_len = i - from;
    if (key_len == 0 || (i < len && p[i] == '"'))
        return ds_logfail(l, i, "a key is expected here");
    if (i == len || p[i] != '=') {
        *at = i;
        return logfmt_field(l, p + from, key_len, NULL, 0);
    }
    const uint8_t *v = p + ++i;
    size_t n = 0;
    int rc;
    ++*pairs;
    if (i < len && p[i] == '"') {
        if ((rc = logfmt_quoted(l, p, len, &i, &v, &n)) != 0)
            return rc;
        if (i < len && p[i] > ' ')
            return ds_logfail(l, i, "a space is expected behind the closing quote");
    } else {
        while (i < len && p[i] > ' ')
            i++;
        n = (size_t)(p + i - v);
    }
    *at = i;
    unsigned rank;
    int col = ds_logcol_of(p + from, key_len, &rank);
    if (col == DS_LC_TEXT && (!text->p || rank < text->rank)) {
        textcell old = *text;
        *text = (textcell){v, n, rank};
        return old.p ? logfmt_field(l, (const uint8_t *)"text", 4, old.p, old.n) : 0;
    }
    if (col != DS_LC_TEXT && ds_logtake(l, col, v, n))
        return 0;
    return logfmt_field(l, p + from, key_len, v, n);
}

int ds_logparse_logfmt(ds_logline *l, const uint8_t *p, size_t len)
{
    size_t at = 0, pairs = 0;
    textcell text = {0};
    for (;;) {
        while (at < len && p[at] <= ' ')
            at++;
        if (at >= len)
            break;
        int rc = logfmt_pair(l, p, len, &at, &pairs, &text);
        if (rc != 0)
            return rc;
    }
    if (pairs == 0)
        return ds_logfail(l, 0, "no key=value");
    ds_logset(l, DS_LC_TEXT, text.p ? text.p : p, text.p ? text.n : len);
    return 0;
}

/* ---- CRI: TIME STREAM TAG MESSAGE ---- */

int ds_logparse_cri(ds_logline *l, const uint8_t *p, size_t len)
{
    ds_logtime t;
    size_t n = ds_logtime_iso(p, len, 0, &t);
    if (n < 20 || n >= len || p[n] != ' ' || p[10] != 'T')
        return ds_logfail(l, 0, "no time of RFC 3339 begins here");
    t.local = false; /* what is left out there is UTC */
    ds_logset_time(l, &t);
    size_t at = n + 1, word = len - at >= 7 && memcmp(p + at, "stdout ", 7) == 0   ? 6
                              : len - at >= 7 && memcmp(p + at, "stderr ", 7) == 0 ? 6
                                                                                   : 0;
    if (word == 0)
        return ds_logfail(l, at, "stdout or stderr is expected here");
    l->stream = p + at;
    l->stream_len = word;
    at += word + 1;
    /* Tags are separated by colons; the first is P or F. */
    if (at >= len || (p[at] != 'P' && p[at] != 'F') ||
        (at + 1 < len && p[at + 1] != ' ' && p[at + 1] != ':'))
        return ds_logfail(l, at, "P or F is expected here");
    l->partial = p[at] == 'P';
    while (at < len && p[at] != ' ')
        at++;
    at += at < len;
    ds_logset(l, DS_LC_TEXT, p + at, len - at);
    return ds_logfield(l, "stream", l->stream, word);
}

/* ---- applications: a time, then a level somewhere near, then words ---- */

static bool is_mark(uint8_t c)
{
    return c == '[' || c == ']' || c == '(' || c == ')' || c == '<' || c == '>' || c == ':' ||
           c == '|' || c == ',' || c == '-';
}

/* The word at *at without the marks around it. */
static bool next_word(const uint8_t *p, size_t len, size_t *at, const uint8_t **w, size_t *n)
{
    while (*at < len && (p[*at] == ' ' || p[*at] == '\t'))
        ++*at;
    size_t from = *at;
    while (*at < len && p[*at] != ' ' && p[*at] != '\t')
        ++*at;
    size_t end = *at;
    while (from < end && is_mark(p[from]))
        from++;
    while (end > from && is_mark(p[end - 1]))
        end--;
    *w = p + from;
    *n = end - from;
    return *at > 0 && (end > from || *at < len);
}

/* A level is the first word behind the time, or one of the next five in capitals or brackets. Of
 * Apache's [module:level] the second half counts. Returns where the text begins. */
static size_t find_level(ds_logline *l, const uint8_t *p, size_t len, size_t text)
{
    size_t at = text, n;
    const uint8_t *w;
    for (int i = 0; i < 6 && next_word(p, len, &at, &w, &n); i++) {
        bool bracket = w > p && (w[-1] == '[' || w[-1] == '<' || w[-1] == '(');
        const uint8_t *colon = bracket && n > 0 ? memchr(w, ':', n) : NULL;
        if (colon) {
            n -= (size_t)(colon + 1 - w);
            w = colon + 1;
        }
        if (ds_logseverity(w, n) < 0)
            continue;
        bool capital = w[0] >= 'A' && w[0] <= 'Z' && w[1] >= 'A' && w[1] <= 'Z';
        if (i > 0 && !capital && !bracket)
            continue;
        ds_logset_level(l, w, n);
        if (i > 0)
            return text;
        while (at < len && p[at] == ' ')
            at++;
        return at;
    }
    return text;
}

int ds_logparse_app(ds_logline *l, const uint8_t *p, size_t len)
{
    ds_logtime t;
    size_t at = len > 0 && p[0] == '[';
    size_t n = ds_logtime_any(p + at, len - at, l->s->o->zone, &t);
    if (n == 0)
        return ds_logfail(l, at, "no time begins here");
    ds_logset_time(l, &t);
    at += n;
    if (p[0] == '[' && at < len && p[at] == ']')
        at++;
    if (at < len && (p[at] == ':' || p[at] == ','))
        at++;
    if (at < len && p[at] != ' ' && p[at] != '\t' && p[at] != '[' && p[at] != '|')
        return ds_logfail(l, at, "a space is expected behind the time");
    while (at < len && (p[at] == ' ' || p[at] == '\t'))
        at++;
    for (size_t k = 0; k < 2 && len - at > 1 && (p[at] == '-' || p[at] == '|') && p[at + 1] == ' ';
         k++)
        at += 2;
    at = find_level(l, p, len, at);
    ds_logset(l, DS_LC_TEXT, p + at, len - at);
    return 0;
}

/* ---- lines ---- */

int ds_logparse_lines(ds_logline *l, const uint8_t *p, size_t len)
{
    ds_logset(l, DS_LC_TEXT, p, len);
    return 0;
}
