/* html.c - see html.h. */
#include "html.h"

#include <string.h>

enum tagclass { T_INLINE, T_BLOCK, T_PARA, T_CELL, T_BR, T_DROP, T_TITLE, T_AREA, T_PRE };

static const struct {
    const char *name;
    enum tagclass is;
} tags[] = {
    {"address", T_BLOCK},    {"article", T_BLOCK},  {"aside", T_BLOCK},   {"blockquote", T_PARA},
    {"body", T_BLOCK},       {"br", T_BR},          {"caption", T_BLOCK}, {"center", T_BLOCK},
    {"dd", T_BLOCK},         {"details", T_BLOCK},  {"dialog", T_BLOCK},  {"dir", T_PARA},
    {"div", T_BLOCK},        {"dl", T_PARA},        {"dt", T_BLOCK},      {"fieldset", T_BLOCK},
    {"figcaption", T_BLOCK}, {"figure", T_PARA},    {"footer", T_BLOCK},  {"form", T_BLOCK},
    {"h1", T_PARA},          {"h2", T_PARA},        {"h3", T_PARA},       {"h4", T_PARA},
    {"h5", T_PARA},          {"h6", T_PARA},        {"head", T_BLOCK},    {"header", T_BLOCK},
    {"hgroup", T_BLOCK},     {"hr", T_BLOCK},       {"html", T_BLOCK},    {"iframe", T_DROP},
    {"legend", T_BLOCK},     {"li", T_BLOCK},       {"listing", T_PRE},   {"main", T_BLOCK},
    {"menu", T_PARA},        {"nav", T_BLOCK},      {"noembed", T_DROP},  {"noframes", T_DROP},
    {"ol", T_PARA},          {"optgroup", T_BLOCK}, {"option", T_BLOCK},  {"p", T_PARA},
    {"pre", T_PRE},          {"script", T_DROP},    {"section", T_BLOCK}, {"select", T_BLOCK},
    {"style", T_DROP},       {"summary", T_BLOCK},  {"table", T_PARA},    {"tbody", T_BLOCK},
    {"td", T_CELL},          {"template", T_DROP},  {"textarea", T_AREA}, {"tfoot", T_BLOCK},
    {"th", T_CELL},          {"thead", T_BLOCK},    {"title", T_TITLE},   {"tr", T_BLOCK},
    {"ul", T_PARA},
};

#define TAG_MAX 12

typedef struct page {
    ds_buf *out, *title;
    size_t base;     /* out->len at the start */
    int lines;       /* line ends owed before the next character, 0..2 */
    bool space, tab; /* a space or tab owed */
    unsigned pre;    /* open <pre> elements */
    bool pre_start;  /* right behind <pre>: one line feed is dropped */
} page;

static bool is_space(uint8_t c)
{
    return c == ' ' || c == '\n' || c == '\t' || c == '\r' || c == '\f';
}

static bool is_alpha(uint8_t c)
{
    return (c | 0x20) >= 'a' && (c | 0x20) <= 'z';
}

static uint8_t lower(uint8_t c)
{
    return c >= 'A' && c <= 'Z' ? (uint8_t)(c | 0x20) : c;
}

/* Pays what white space is owed. */
static int settle(page *g)
{
    int rc = 0;
    if (g->out->len > g->base) {
        if (g->lines > 0)
            rc = ds_buf_put(g->out, "\n\n", (size_t)g->lines);
        else if (g->tab)
            rc = ds_buf_putc(g->out, '\t');
        else if (g->space)
            rc = ds_buf_putc(g->out, ' ');
    }
    g->lines = 0;
    g->space = g->tab = false;
    return rc;
}

static void owe_lines(page *g, int n)
{
    if (g->lines < n)
        g->lines = n;
}

/* Where text ends that stands in the page as it is to be: words with single spaces between them,
 * and no reference. */
static const uint8_t *run_end(const uint8_t *p, const uint8_t *end, bool pre)
{
    static const bool stops[256] = {
        [' '] = true, ['\n'] = true, ['\t'] = true, ['\r'] = true, ['\f'] = true, ['&'] = true};
    for (;;) {
        while (p < end && !stops[*p])
            p++;
        if (pre || end - p < 2 || *p != ' ' || stops[p[1]])
            return p;
        p += 2;
    }
}

/* Text between tags. */
static int put_text(page *g, const uint8_t *p, const uint8_t *end)
{
    if (g->pre_start && p < end) {
        if (*p == '\r' && p + 1 < end && p[1] == '\n')
            p++;
        if (*p == '\n')
            p++;
        g->pre_start = false;
    }
    while (p < end) {
        if (is_space(*p)) {
            if (g->pre > 0 && *p != '\r') {
                if (settle(g) != 0 || ds_buf_putc(g->out, *p) != 0)
                    return DS_NOMEM;
            } else if (g->pre == 0) {
                g->space = true;
            }
            p++;
            continue;
        }
        if (settle(g) != 0)
            return DS_NOMEM;
        const uint8_t *run = p;
        p = *p == '&' ? p : run_end(p, end, g->pre > 0);
        if (p > run && ds_buf_put(g->out, run, (size_t)(p - run)) != 0)
            return DS_NOMEM;
        if (p < end && *p == '&') {
            long n = ds_html_reference(g->out, p, (size_t)(end - p));
            if (n < 0 || (n == 0 && ds_buf_putc(g->out, '&') != 0))
                return DS_NOMEM;
            p += n ? n : 1;
        }
    }
    return 0;
}

/* The end tag of a raw text element, or the end of the input. */
static const uint8_t *raw_end(const uint8_t *p, const uint8_t *end, const char *name)
{
    size_t n = strlen(name);
    while (p < end && (p = memchr(p, '<', (size_t)(end - p))) != NULL) {
        if ((size_t)(end - p) >= n + 2 && p[1] == '/') {
            size_t i = 0;
            while (i < n && lower(p[2 + i]) == (uint8_t)name[i])
                i++;
            const uint8_t *after = p + 2 + n;
            if (i == n && (after == end || is_space(*after) || *after == '/' || *after == '>'))
                return p;
        }
        p++;
    }
    return end;
}

static enum tagclass classify(const char *name)
{
    size_t lo = 0, hi = sizeof tags / sizeof *tags;
    while (lo < hi) {
        size_t mid = lo + (hi - lo) / 2;
        int c = strcmp(name, tags[mid].name);
        if (c == 0)
            return tags[mid].is;
        if (c < 0)
            hi = mid;
        else
            lo = mid + 1;
    }
    return T_INLINE;
}

/* Behind a tag's name: steps over attributes to behind the '>'. */
static const uint8_t *skip_attributes(const uint8_t *p, const uint8_t *end)
{
    while (p < end && *p != '>') {
        if (*p++ != '=')
            continue;
        while (p < end && is_space(*p))
            p++;
        if (p < end && (*p == '"' || *p == '\'')) {
            const uint8_t *q = memchr(p + 1, *p, (size_t)(end - p - 1));
            p = q ? q + 1 : end;
        }
    }
    return p < end ? p + 1 : end;
}

/* <!-- -->, <!doctype>, <?pi?>, </0>: p on the '<'; returns behind it. */
static const uint8_t *skip_comment(const uint8_t *p, const uint8_t *end)
{
    if (end - p >= 4 && memcmp(p, "<!--", 4) == 0) {
        p += 4;
        if (p < end && *p == '>')
            return p + 1;
        if (end - p >= 2 && memcmp(p, "->", 2) == 0)
            return p + 2;
        const uint8_t *q = memmem(p, (size_t)(end - p), "-->", 3);
        return q ? q + 3 : end;
    }
    const uint8_t *q = memchr(p, '>', (size_t)(end - p));
    return q ? q + 1 : end;
}

/* A page's title: one line. */
static int put_title(page *g, const uint8_t *p, const uint8_t *end)
{
    if (!g->title || g->title->len > 0)
        return 0;
    page t = {.out = g->title, .base = g->title->len};
    return put_text(&t, p, end);
}

static void apply_pre(page *g, bool closing)
{
    owe_lines(g, 2);
    if (closing && g->pre > 0)
        g->pre--;
    if (!closing) {
        g->pre++;
        g->pre_start = true;
    }
}

/* A tag whose name begins at p. Returns behind it, and behind the content of raw text elements;
 * NULL = out of memory. */
static const uint8_t *put_tag(page *g, const uint8_t *p, const uint8_t *end, bool closing)
{
    char name[TAG_MAX + 1];
    size_t n = 0;
    for (; p < end && !is_space(*p) && *p != '/' && *p != '>'; p++)
        if (n <= TAG_MAX)
            name[n++] = (char)lower(*p);
    bool whole = n <= TAG_MAX;
    name[whole ? n : 0] = '\0';
    p = skip_attributes(p, end);
    enum tagclass is = whole ? classify(name) : T_INLINE;
    if (is == T_BLOCK)
        owe_lines(g, 1);
    else if (is == T_PARA)
        owe_lines(g, 2);
    else if (is == T_BR)
        g->lines += g->lines < 2;
    else if (is == T_CELL)
        g->tab = true;
    else if (is == T_PRE)
        apply_pre(g, closing);
    if (closing || (is != T_DROP && is != T_TITLE && is != T_AREA))
        return p;
    const uint8_t *stop = raw_end(p, end, name);
    if ((is == T_TITLE && put_title(g, p, stop) != 0) ||
        (is == T_AREA && put_text(g, p, stop) != 0))
        return NULL;
    return stop;
}

int ds_html_text(ds_buf *out, ds_buf *title, const uint8_t *p, size_t len)
{
    page g = {.out = out, .title = title, .base = out->len};
    if (len == 0)
        return 0;
    for (const uint8_t *end = p + len; p < end;) {
        const uint8_t *lt = p;
        /* A '<' that opens nothing is text. */
        while ((lt = memchr(lt, '<', (size_t)(end - lt))) != NULL && lt + 1 < end &&
               !is_alpha(lt[1]) && lt[1] != '/' && lt[1] != '!' && lt[1] != '?')
            lt++;
        if (!lt || lt + 1 == end)
            lt = end;
        if (lt > p && put_text(&g, p, lt) != 0)
            return DS_NOMEM;
        p = lt;
        if (p == end)
            break;
        g.pre_start = false;
        if (is_alpha(p[1]))
            p = put_tag(&g, p + 1, end, false);
        else if (p[1] == '/' && p + 2 < end && is_alpha(p[2]))
            p = put_tag(&g, p + 2, end, true);
        else
            p = skip_comment(p, end);
        if (!p)
            return DS_NOMEM;
    }
    while (out->len > g.base && is_space(out->data[out->len - 1]))
        out->len--;
    return 0;
}
