/* warcframe.c - see warcframe.h. */
#include "warcframe.h"

#include <string.h>

#include "headfield.h"
#include "utf8.h"

#define MARK_MAX 128 /* bytes of a version's line and of the name of the field behind it */

static bool is_digit(uint8_t c)
{
    return c >= '0' && c <= '9';
}

static bool is_end(uint8_t c)
{
    return c == '\r' || c == '\n';
}

static bool is_name(uint8_t c)
{
    return c == '-' || ((c | 0x20) >= 'a' && (c | 0x20) <= 'z');
}

/* Behind the version's line at p; 0: there is none. What is not there yet may still be it. */
static size_t version(const uint8_t *p, size_t len, bool *open)
{
    static const char word[] = "WARC/";
    size_t at = 0;
    *open = false;
    while (at < sizeof word - 1 && at < len && p[at] == (uint8_t)word[at])
        at++;
    if (at == sizeof word - 1)
        while (at < len && at < 16 && (is_digit(p[at]) || p[at] == '.'))
            at++;
    if (at == len) {
        *open = true;
        return 0;
    }
    if (at < sizeof word || !is_end(p[at]))
        return 0;
    if (p[at] == '\r')
        at++;
    *open = at == len;
    return !*open && p[at] == '\n' ? at + 1 : 0;
}

bool ds_warcframe_begins(const uint8_t *p, size_t len)
{
    bool open;
    while (len > 0 && is_end(*p)) {
        p++;
        len--;
    }
    return version(p, len, &open) > 0 || open;
}

/* A version's line, and the name of a field. */
static bool marks(const uint8_t *p, size_t len)
{
    bool open;
    size_t at = version(p, len, &open);
    const size_t from = at;
    if (at == 0)
        return false;
    while (at < len && at < MARK_MAX && is_name(p[at]))
        at++;
    return at > from && at < len && p[at] == ':';
}

size_t ds_warcframe_resync(const uint8_t *p, size_t len)
{
    const uint8_t *q = p + 1, *end = p + len;
    while (len > 1 && (q = memmem(q, (size_t)(end - q), "WARC/", 5)) != NULL) {
        if (marks(q, (size_t)(end - q)))
            return (size_t)(q - p);
        q++;
    }
    return 0;
}

/* The number that a field holds. */
static bool number(const ds_headfield *f, uint64_t *n)
{
    *n = 0;
    for (size_t i = 0; i < f->value_len; i++) {
        if (!is_digit(f->value[i]) || *n > (UINT64_MAX >> 1) / 10 - 9)
            return false;
        *n = *n * 10 + (uint64_t)(f->value[i] - '0');
    }
    return f->value_len > 0;
}

/* As ds_headfield_end, without looking at a line twice. */
static size_t head_end(ds_warcframe *f, const uint8_t *p, size_t len)
{
    const size_t from = f->looked && f->looked > p ? (size_t)(f->looked - p) : 0;
    const size_t n = from < len ? ds_headfield_end(p + from, len - from) : 0;
    if (n > 0)
        return from + n;
    const uint8_t *lf = len > from ? memrchr(p + from, '\n', len - from) : NULL;
    if (lf)
        f->looked = lf + 1;
    return 0;
}

/* Reads the head. 1, 0: it is none, f->why says it, or -1: more is needed. */
static int read_head(ds_warcframe *f, const uint8_t *p, size_t len, bool last)
{
    bool open;
    const size_t line = version(p + f->start, len - f->start, &open);
    if (line == 0) {
        f->why = "no WARC record begins here";
        return open && !last ? -1 : 0;
    }
    f->head = f->start + line;
    const size_t left = len - f->head;
    f->nhead = head_end(f, p + f->head, left < DS_WARC_HEAD_MAX ? left : DS_WARC_HEAD_MAX);
    if (f->nhead == 0) {
        f->why = "its header does not end";
        return left < DS_WARC_HEAD_MAX && !last ? -1 : 0;
    }
    ds_headfield field;
    f->body = f->head + f->nhead;
    if (ds_headfield_find(p + f->head, f->nhead, "Content-Length", &field) &&
        number(&field, &f->says))
        return 1;
    f->why = "it has no Content-Length";
    return 0;
}

/* Behind the block: two line ends, or else the next record or the end. 1, 0: it is not whole, or
 * -1: more is needed. */
static int read_tail(ds_warcframe *f, const uint8_t *p, size_t len, bool last)
{
    bool open;
    size_t lines = 0;
    for (f->end = f->body + f->nbody; f->end < len && is_end(p[f->end]); f->end++)
        lines += p[f->end] == '\n';
    if (f->end == len)
        return last ? 1 : -1;
    if (lines > 1 || version(p + f->end, len - f->end, &open) > 0)
        return 1;
    return open && !last ? -1 : 0;
}

/* 1: a whole record begins at f->start. 0: a damaged one, f->why says it. -1: more is needed. */
static int check(ds_warcframe *f, const uint8_t *p, size_t len, bool last)
{
    int is = read_head(f, p, len, last);
    if (is != 1)
        return is;
    f->why = "its block is not as long as its Content-Length says";
    if (f->says > len - f->body)
        return last ? 0 : -1;
    f->nbody = (size_t)f->says;
    return read_tail(f, p, len, last);
}

enum ds_warcframe_is ds_warcframe_next(ds_warcframe *f, const uint8_t *p, size_t len, bool last)
{
    *f = (ds_warcframe){.looked = f->looked};
    while (f->start < len && is_end(p[f->start]))
        f->start++;
    f->end = f->start;
    if (f->start == len)
        return DS_WARC_NONE;
    const int is = check(f, p, len, last);
    if (is < 0)
        return DS_WARC_OPEN;
    if (is == 1) {
        f->why = NULL;
        return DS_WARC_FOUND;
    }
    const size_t next = ds_warcframe_resync(p + f->start, len - f->start);
    if (next == 0 && !last)
        return DS_WARC_OPEN;
    /* What is said of it is what its own bytes say, however many follow. */
    ds_warcframe own = {.start = f->start};
    f->end = next ? f->start + next : len;
    (void)check(&own, p, f->end, true);
    f->why = own.why;
    return DS_WARC_FOUND;
}

bool ds_warcframe_head(ds_warcframe *f, const uint8_t *p, size_t len)
{
    *f = (ds_warcframe){0};
    while (f->start < len && is_end(p[f->start]))
        f->start++;
    return read_head(f, p, len, false) == 1;
}
