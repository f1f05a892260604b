/* textcut.c - see textcut.h. */
#include "textcut.h"

#include <string.h>

static bool blank(const uint8_t *p, size_t len)
{
    for (size_t i = 0; i < len; i++)
        if (p[i] != ' ' && p[i] != '\t' && p[i] != '\r')
            return false;
    return true;
}

/* Length of the line at p without its line feed. */
static size_t line_len(const uint8_t *p, size_t len)
{
    const uint8_t *lf = memchr(p, '\n', len);
    return lf ? (size_t)(lf - p) : len;
}

/* Where a run of at most n bytes ends: not inside a character. Where no character begins in the
 * last bytes this is no UTF-8, and the run takes all n: two runs one after the other never fit into
 * n bytes, so that a prefix of whole runs is cut like the text it came from. */
static size_t run_len(const uint8_t *p, size_t len, size_t n)
{
    if (len <= n)
        return len;
    size_t end = n;
    for (int back = 0; back < 3 && end > 1 && (p[end] & 0xc0) == 0x80; back++)
        end--;
    return (p[end] & 0xc0) == 0x80 ? n : end;
}

static size_t whole_paragraphs(const uint8_t *p, size_t len)
{
    const uint8_t *lf = memrchr(p, '\n', len);
    while (lf) {
        const uint8_t *before = lf > p ? memrchr(p, '\n', (size_t)(lf - p)) : NULL;
        const uint8_t *line = before ? before + 1 : p;
        if (blank(line, (size_t)(lf - line)))
            return (size_t)(lf + 1 - p);
        lf = before;
    }
    return 0;
}

size_t ds_textcut_whole(enum ds_split split, size_t n, const uint8_t *p, size_t len)
{
    if (len == 0)
        return 0;
    if (split == DS_SPLIT_LINE) {
        const uint8_t *lf = memrchr(p, '\n', len);
        return lf ? (size_t)(lf + 1 - p) : 0;
    }
    if (split == DS_SPLIT_PARAGRAPH)
        return whole_paragraphs(p, len);
    if (split != DS_SPLIT_BYTES)
        return 0;
    size_t at = 0;
    while (len - at > n)
        at += run_len(p + at, len - at, n);
    return at;
}

static size_t without_cr(const uint8_t *p, size_t len)
{
    return len > 0 && p[len - 1] == '\r' ? len - 1 : len;
}

static bool next_line(const uint8_t *p, size_t len, size_t *at, size_t *start, size_t *rlen)
{
    while (*at < len) {
        size_t n = line_len(p + *at, len - *at);
        *start = *at;
        *rlen = without_cr(p + *at, n);
        *at += n < len - *at ? n + 1 : n;
        if (*rlen > 0)
            return true;
    }
    return false;
}

static bool next_paragraph(const uint8_t *p, size_t len, size_t *at, size_t *start, size_t *rlen)
{
    bool open = false;
    while (*at < len) {
        size_t n = line_len(p + *at, len - *at), next = *at + n + (n < len - *at ? 1 : 0);
        if (!blank(p + *at, n)) {
            if (!open)
                *start = *at;
            open = true;
            *rlen = *at + without_cr(p + *at, n) - *start;
        }
        bool over = open && blank(p + *at, n);
        *at = next;
        if (over)
            return true;
    }
    return open;
}

bool ds_textcut_next(enum ds_split split, size_t n, const uint8_t *p, size_t len, size_t *at,
                     size_t *start, size_t *rlen)
{
    if (split == DS_SPLIT_LINE)
        return next_line(p, len, at, start, rlen);
    if (split == DS_SPLIT_PARAGRAPH)
        return next_paragraph(p, len, at, start, rlen);
    if (*at >= len)
        return false;
    *start = *at;
    *rlen = split == DS_SPLIT_BYTES ? run_len(p + *at, len - *at, n) : len - *at;
    *at += *rlen;
    return true;
}
