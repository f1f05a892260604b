/* c4lines.c - see c4lines.h. */
#include "c4lines.h"

#include <string.h>

static bool white(uint8_t c)
{
    return c == ' ' || (c >= 9 && c <= 13);
}

/* Without the white space around it: ASCII's, and that of U+00A0 and U+3000. */
static void trim(const uint8_t **p, size_t *len)
{
    const uint8_t *a = *p, *e = a + *len;
    for (;;) {
        if (a < e && white(*a))
            a++;
        else if (e - a >= 2 && memcmp(a, "\xc2\xa0", 2) == 0)
            a += 2;
        else if (e - a >= 3 && memcmp(a, "\xe3\x80\x80", 3) == 0)
            a += 3;
        else if (e > a && white(e[-1]))
            e--;
        else if (e - a >= 2 && memcmp(e - 2, "\xc2\xa0", 2) == 0)
            e -= 2;
        else if (e - a >= 3 && memcmp(e - 3, "\xe3\x80\x80", 3) == 0)
            e -= 3;
        else
            break;
    }
    *p = a;
    *len = (size_t)(e - a);
}

/* What the bytes of a line may begin. */
enum { WHITE = 1, OPEN = 2, CURLY = 4, RARE = 8, STOP = 16 };

static const uint8_t kinds[256] = {
    ['\t'] = WHITE, ['\n'] = WHITE, ['\v'] = WHITE, ['\f'] = WHITE, ['\r'] = WHITE, [' '] = WHITE,
    ['['] = OPEN,   ['{'] = CURLY,  ['j'] = RARE,   ['J'] = RARE,   ['k'] = RARE,   ['K'] = RARE,
    ['v'] = RARE,   ['V'] = RARE,   ['f'] = RARE,   ['F'] = RARE,   ['p'] = RARE,   ['P'] = RARE,
    ['.'] = STOP,   ['!'] = STOP,   ['?'] = STOP,   [0xe3] = STOP,  [0xef] = STOP};

typedef struct facts {
    uint64_t words;
    unsigned kinds; /* of all its bytes */
    bool lorem_ipsum, javascript, policy;
} facts;

/* Do the words, in any case of ASCII, stand `back` bytes before place `at`? */
static bool stands(const uint8_t *p, size_t len, size_t at, size_t back, const char *w)
{
    const size_t n = strlen(w);
    if (at < back || len - (at - back) < n)
        return false;
    for (size_t i = 0; i < n; i++) {
        const uint8_t c = p[at - back + i];
        if ((c >= 'A' && c <= 'Z' ? c | 0x20 : c) != (uint8_t)w[i])
            return false;
    }
    return true;
}

/* At a letter that is rare: what it may be part of. */
static void look(facts *f, const uint8_t *p, size_t len, size_t at)
{
    switch (p[at] | 0x20) {
    case 'j':
        f->javascript = f->javascript || stands(p, len, at, 0, "javascript");
        break;
    case 'k':
        f->policy = f->policy || stands(p, len, at, 3, "cookie policy") ||
                    stands(p, len, at, 8, "uses cookies") ||
                    stands(p, len, at, 10, "use of cookies") ||
                    stands(p, len, at, 7, "use cookies");
        break;
    case 'v':
        f->policy = f->policy || stands(p, len, at, 3, "privacy policy");
        break;
    case 'f':
        f->policy = f->policy || stands(p, len, at, 7, "terms of use");
        break;
    default:
        f->lorem_ipsum = f->lorem_ipsum || stands(p, len, at, 7, "lorem ipsum");
    }
}

static facts look_over(const uint8_t *p, size_t len)
{
    facts f = {0};
    unsigned before = WHITE;
    for (size_t i = 0; i < len; i++) {
        const unsigned k = kinds[p[i]];
        f.words += before & ~k & WHITE;
        f.kinds |= k;
        before = k;
        if (k & RARE)
            look(&f, p, len, i);
    }
    return f;
}

/* Has a word more characters than `most`? */
static bool long_word(const uint8_t *p, size_t len, double most)
{
    uint64_t chars = 0, longest = 0;
    if ((double)len <= most)
        return false;
    for (size_t i = 0; i < len; i++) {
        chars = white(p[i]) ? 0 : chars + ((p[i] & 0xc0) != 0x80);
        longest = chars > longest ? chars : longest;
    }
    return (double)longest > most;
}

/* The length of a citation mark at p, or 0. */
static size_t citation(const uint8_t *p, size_t len)
{
    static const char *const marks[] = {"[edit]", "[citation needed]"};
    for (size_t i = 0; i < 2; i++) {
        const size_t n = strlen(marks[i]);
        if (len >= n && memcmp(p, marks[i], n) == 0)
            return n;
    }
    size_t n = 1;
    while (n < len && p[n] >= '0' && p[n] <= '9')
        n++;
    return n < len && p[n] == ']' ? n + 1 : 0;
}

static int put_line(ds_buf *out, const uint8_t *p, size_t len)
{
    for (size_t i = 0; i < len;) {
        const uint8_t *b = memchr(p + i, '[', len - i);
        size_t n = b ? (size_t)(b - p) - i : len - i;
        if (ds_buf_put(out, p + i, n))
            return DS_NOMEM;
        i += n;
        n = b ? citation(p + i, len - i) : 0;
        if (b && n == 0 && ds_buf_putc(out, p[i++]))
            return DS_NOMEM;
        i += n;
    }
    return 0;
}

static bool ends_well(const uint8_t *p, size_t len)
{
    return len && strchr(".?!\"'", p[len - 1]) && p[len - 1] &&
           !(len >= 3 && memcmp(p + len - 3, "...", 3) == 0);
}

/* Sentences of a line that is not empty: ends of them with something behind, and one more. */
static uint64_t count_sentences(const uint8_t *p, size_t len)
{
    uint64_t n = 1;
    for (size_t i = 0; i + 1 < len; i++) {
        if (!(kinds[p[i]] & STOP))
            continue;
        size_t size = p[i] == '.' || p[i] == '!' || p[i] == '?' ? 1 : 0;
        bool wide = len - i > 3 && (memcmp(p + i, "\xe3\x80\x82", 3) == 0 ||
                                    memcmp(p + i, "\xef\xbc\x81", 3) == 0 ||
                                    memcmp(p + i, "\xef\xbc\x9f", 3) == 0);
        if (!size && !wide)
            continue;
        i += wide ? 2 : 0;
        size_t k = i + 1;
        while (k < len && (p[k] == '"' || p[k] == '\'' || p[k] == ')' || p[k] == '.'))
            k++;
        n += wide || (k + 1 < len && white(p[k]));
        i = k - 1;
    }
    return n;
}

static int one_line(ds_c4lines *c, const ds_c4opts *o, const uint8_t *p, size_t len)
{
    trim(&p, &len);
    c->lines++;
    facts f = look_over(p, len);
    if ((double)f.words < o->line_words || long_word(p, len, o->word_chars))
        return 0;
    if (f.kinds & OPEN) {
        ds_buf_reset(&c->line);
        if (put_line(&c->line, p, len))
            return DS_NOMEM;
        p = c->line.data;
        len = c->line.len;
        f = look_over(p, len);
    }
    if (len == 0 || (o->punctuation && !ends_well(p, len)))
        return 0;
    c->lorem_ipsum = c->lorem_ipsum || f.lorem_ipsum;
    if (o->javascript && f.javascript)
        return 0;
    c->curly_bracket = c->curly_bracket || (f.kinds & CURLY);
    if (o->policy && f.policy)
        return 0;
    c->kept++;
    c->sentences += count_sentences(p, len);
    if (c->text.len && ds_buf_putc(&c->text, '\n'))
        return DS_NOMEM;
    return ds_buf_put(&c->text, p, len);
}

int ds_c4lines_set(ds_c4lines *c, const ds_c4opts *o, const uint8_t *p, size_t len, ds_err *err)
{
    ds_buf_reset(&c->text);
    c->lines = c->kept = c->sentences = 0;
    c->lorem_ipsum = c->curly_bracket = false;
    for (size_t at = 0; at < len;) {
        const uint8_t *nl = memchr(p + at, '\n', len - at);
        const size_t end = nl ? (size_t)(nl - p) : len;
        if (one_line(c, o, p + at, end - at))
            return ds_fail_nomem(err);
        at = end + 1;
    }
    const uint8_t *q = c->text.data;
    size_t n = c->text.len;
    trim(&q, &n); /* a citation mark at its end may have left white space */
    if (n && q != c->text.data)
        memmove(c->text.data, q, n);
    c->text.len = n;
    return 0;
}

void ds_c4lines_fini(ds_c4lines *c)
{
    ds_buf_fini(&c->text);
    ds_buf_fini(&c->line);
}
