/* c4lines.c - see c4lines.h. */
#include "c4lines.h"

#include <string.h>

#include "utf8.h"

#ifdef __SSE2__
#include <emmintrin.h>

/* Where one byte stands, and the other beside it. */
static inline __m128i two(__m128i a, char x, __m128i b, char y)
{
    return _mm_and_si128(_mm_cmpeq_epi8(a, _mm_set1_epi8(x)), _mm_cmpeq_epi8(b, _mm_set1_epi8(y)));
}
#endif

/* Without the white space around it: ASCII's, and that of U+00A0 and U+3000. */
static void trim(const uint8_t **p, size_t *len)
{
    if (*len == 0) /* of an empty text p may be NULL */
        return;
    const uint8_t *a = *p, *e = a + *len;
    for (;;) {
        if (a < e && ds_ascii_white(*a))
            a++;
        else if (e - a >= 2 && memcmp(a, "\xc2\xa0", 2) == 0)
            a += 2;
        else if (e - a >= 3 && memcmp(a, "\xe3\x80\x80", 3) == 0)
            a += 3;
        else if (e > a && ds_ascii_white(e[-1]))
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

/* ---- words that lines go for ---- */

typedef struct facts {
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

/* At a letter that is rare, and more so before the one behind it: what the two may be part of. */
static void look(facts *f, const uint8_t *p, size_t len, size_t at)
{
    switch (p[at] | 0x20) {
    case 'v': /* va */
        f->javascript = f->javascript || stands(p, len, at, 2, "javascript");
        f->policy = f->policy || stands(p, len, at, 3, "privacy policy");
        break;
    case 'k': /* ki */
        f->policy = f->policy || stands(p, len, at, 3, "cookie policy") ||
                    stands(p, len, at, 8, "uses cookies") ||
                    stands(p, len, at, 10, "use of cookies") ||
                    stands(p, len, at, 7, "use cookies");
        break;
    case 'f': /* f u */
        f->policy = f->policy || stands(p, len, at, 7, "terms of use");
        break;
    case 'p': /* ps */
        f->lorem_ipsum = f->lorem_ipsum || stands(p, len, at, 7, "lorem ipsum");
        break;
    default:
        break;
    }
}

static facts look_over(const uint8_t *p, size_t len)
{
    facts f = {0};
    size_t i = 0;
#ifdef __SSE2__
    const __m128i low = _mm_set1_epi8(0x20);
    for (; len - i >= 18; i += 16) {
        const __m128i *q = (const __m128i *)(const void *)(p + i);
        const __m128i a = _mm_or_si128(_mm_loadu_si128(q), low),
                      b = _mm_or_si128(_mm_loadu_si128((const void *)(p + i + 1)), low),
                      c = _mm_or_si128(_mm_loadu_si128((const void *)(p + i + 2)), low);
        const __m128i hit = _mm_or_si128(_mm_or_si128(two(a, 'v', b, 'a'), two(a, 'k', b, 'i')),
                                         _mm_or_si128(two(a, 'f', c, 'u'), two(a, 'p', b, 's')));
        for (unsigned m = (unsigned)_mm_movemask_epi8(hit); m; m &= m - 1)
            look(&f, p, len, i + (size_t)__builtin_ctz(m));
    }
#endif
    for (; i < len; i++)
        look(&f, p, len, i);
    return f;
}

/* ---- one line ---- */

/* Has a word more characters than `most`? */
static bool long_word(const uint8_t *p, size_t len, double most)
{
    uint64_t chars = 0, longest = 0;
    if ((double)len <= most)
        return false;
    for (size_t i = 0; i < len; i++) {
        chars = ds_ascii_white(p[i]) ? 0 : chars + ((p[i] & 0xc0) != 0x80);
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
    const uint64_t ends = (uint64_t)1 << '.' | (uint64_t)1 << '?' | (uint64_t)1 << '!' |
                          (uint64_t)1 << '"' | (uint64_t)1 << '\'';
    return len && p[len - 1] < 64 && ends >> p[len - 1] & 1 &&
           !(len >= 3 && memcmp(p + len - 3, "...", 3) == 0);
}

/* A line, and where it lies in the text: `bits` is NULL when it lies elsewhere. */
typedef struct line {
    const uint8_t *p;
    size_t len, at;
    const ds_textbits *bits;
} line;

static bool is_stop(uint8_t c)
{
    return c == '.' || c == '!' || c == '?' || c == 0xe3 || c == 0xef;
}

/* Where the next byte is that may end a sentence. */
static size_t next_stop(const line *l, size_t i)
{
    if (l->bits)
        return ds_bits_next(l->bits->stop, l->at + i, l->at + l->len) - l->at;
    while (i < l->len && !is_stop(l->p[i]))
        i++;
    return i;
}

/* Sentences of a line that is not empty: ends of them with something behind, and one more. */
static uint64_t count_sentences(const line *l)
{
    const uint8_t *p = l->p;
    const size_t len = l->len;
    uint64_t n = 1;
    for (size_t i = next_stop(l, 0); i + 1 < len; i = next_stop(l, i)) {
        const bool wide =
            p[i] >= 0x80 && len - i > 3 &&
            (memcmp(p + i, "\xe3\x80\x82", 3) == 0 || memcmp(p + i, "\xef\xbc\x81", 3) == 0 ||
             memcmp(p + i, "\xef\xbc\x9f", 3) == 0);
        if (p[i] >= 0x80 && !wide) {
            i++;
            continue;
        }
        i += wide ? 3 : 1;
        while (i < len && (p[i] == '"' || p[i] == '\'' || p[i] == ')' || p[i] == '.'))
            i++;
        n += wide || (i + 1 < len && ds_ascii_white(p[i]));
    }
    return n;
}

/* Without its citation marks. */
static int clean(ds_c4lines *c, line *l)
{
    ds_buf_reset(&c->line);
    if (put_line(&c->line, l->p, l->len))
        return DS_NOMEM;
    if (c->line.len != l->len)
        *l = (line){.p = c->line.data, .len = c->line.len};
    return 0;
}

static int one_line(ds_c4lines *c, const ds_c4opts *o, const ds_textbits *b, size_t at, size_t end)
{
    line l = {.p = b->p + at, .len = end - at, .bits = b};
    trim(&l.p, &l.len);
    l.at = (size_t)(l.p - b->p);
    c->lines++;
    const uint64_t words = l.len ? 1 + ds_bits_sum(b->apart, l.at + 1, l.at + l.len) : 0;
    if ((double)words < o->line_words || long_word(l.p, l.len, o->word_chars))
        return 0;
    const bool marked = ds_bits_next(b->mark, l.at, l.at + l.len) < l.at + l.len;
    if (marked && clean(c, &l))
        return DS_NOMEM;
    if (l.len == 0 || (o->punctuation && !ends_well(l.p, l.len)))
        return 0;
    const facts f = c->phrases || !l.bits ? look_over(l.p, l.len) : (facts){0};
    c->lorem_ipsum = c->lorem_ipsum || f.lorem_ipsum;
    if (o->javascript && f.javascript)
        return 0;
    c->curly_bracket = c->curly_bracket || (marked && memchr(l.p, '{', l.len));
    if (o->policy && f.policy)
        return 0;
    c->kept++;
    c->sentences += count_sentences(&l);
    if (c->text.len && ds_buf_putc(&c->text, '\n'))
        return DS_NOMEM;
    return ds_buf_put(&c->text, l.p, l.len);
}

int ds_c4lines_set(ds_c4lines *c, const ds_c4opts *o, const ds_textbits *b, ds_err *err)
{
    const facts f = look_over(b->p, b->len);
    ds_buf_reset(&c->text);
    c->lines = c->kept = c->sentences = 0;
    c->lorem_ipsum = c->curly_bracket = false;
    c->phrases = f.lorem_ipsum || f.javascript || f.policy;
    for (size_t at = 0, end; at < b->len; at = end + 1) {
        end = ds_bits_next(b->lf, at, b->len);
        if (one_line(c, o, b, at, end))
            return ds_fail_nomem(err);
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
