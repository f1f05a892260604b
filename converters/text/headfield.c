/* headfield.c - see headfield.h. */
#include "headfield.h"

#include <string.h>
#include <strings.h>

#include "utf8.h"

bool ds_bytes_are(const uint8_t *p, size_t len, const char *word)
{
    return len == strlen(word) && ds_bytes_begin(p, len, word);
}

bool ds_bytes_begin(const uint8_t *p, size_t len, const char *word)
{
    const size_t n = strlen(word);
    return len >= n && (n == 0 || strncasecmp((const char *)p, word, n) == 0);
}

/* Behind the line at p; its content is *n bytes. */
static size_t line_at(const uint8_t *p, size_t len, size_t *n)
{
    const uint8_t *lf = len ? memchr(p, '\n', len) : NULL;
    const size_t all = lf ? (size_t)(lf - p) + 1 : len;
    *n = lf ? all - 1 : all;
    if (*n > 0 && p[*n - 1] == '\r')
        --*n;
    return all;
}

size_t ds_headfield_end(const uint8_t *p, size_t len)
{
    for (size_t at = 0, n; at < len;) {
        at += line_at(p + at, len - at, &n);
        if (n == 0 && p[at - 1] == '\n')
            return at;
    }
    return 0;
}

static void trim(const uint8_t **p, size_t *len)
{
    while (*len > 0 && ds_ascii_white(**p)) {
        ++*p;
        --*len;
    }
    while (*len > 0 && ds_ascii_white((*p)[*len - 1]))
        --*len;
}

bool ds_headfield_next(const uint8_t *p, size_t len, size_t *at, ds_headfield *f)
{
    size_t n;
    while (*at < len) {
        const uint8_t *line = p + *at;
        size_t end = *at + line_at(line, len - *at, &n), stop = *at + n;
        if (n == 0)
            break;
        while (end < len && (p[end] == ' ' || p[end] == '\t')) {
            const size_t from = end;
            end += line_at(p + from, len - from, &n);
            stop = from + n;
        }
        *at = end;
        const uint8_t *colon = memchr(line, ':', (size_t)(p + stop - line));
        if (!colon || colon == line || *line == ' ' || *line == '\t')
            continue;
        *f = (ds_headfield){.name = line,
                            .name_len = (size_t)(colon - line),
                            .value = colon + 1,
                            .value_len = (size_t)(p + stop - colon) - 1};
        trim(&f->name, &f->name_len);
        trim(&f->value, &f->value_len);
        return true;
    }
    *f = (ds_headfield){0};
    return false;
}

bool ds_headfield_is(const ds_headfield *f, const char *name)
{
    return ds_bytes_are(f->name, f->name_len, name);
}

bool ds_headfield_find(const uint8_t *p, size_t len, const char *name, ds_headfield *f)
{
    for (size_t at = 0; ds_headfield_next(p, len, &at, f);)
        if (ds_headfield_is(f, name))
            return true;
    return false;
}

/* A quoted string at p: appends what it means when it is wanted; behind its closing quote. */
static int quoted(const uint8_t **p, const uint8_t *end, ds_buf *out)
{
    for (++*p; *p < end && **p != '"'; ++*p) {
        if (**p == '\\' && *p + 1 < end)
            ++*p;
        if (out && **p != '\r' && **p != '\n' && ds_buf_putc(out, **p) != 0)
            return DS_NOMEM;
    }
    *p += *p < end;
    return 0;
}

int ds_headfield_param(const uint8_t *value, size_t len, const char *name, ds_buf *out)
{
    const uint8_t *p = value, *end = value + len;
    while (p < end) {
        if (*p == '"' && quoted(&p, end, NULL) != 0)
            return DS_NOMEM;
        if (p == end || *p++ != ';')
            continue;
        while (p < end && ds_ascii_white(*p))
            p++;
        const uint8_t *word = p;
        while (p < end && *p != '=' && *p != ';' && *p != '"')
            p++;
        size_t n = (size_t)(p - word);
        trim(&word, &n);
        if (p == end || *p != '=' || !ds_bytes_are(word, n, name))
            continue;
        for (p++; p < end && ds_ascii_white(*p);)
            p++;
        if (p < end && *p == '"')
            return quoted(&p, end, out) ? DS_NOMEM : 1;
        for (word = p; p < end && *p != ';' && !ds_ascii_white(*p);)
            p++;
        return ds_buf_put(out, word, (size_t)(p - word)) ? DS_NOMEM : 1;
    }
    return 0;
}
