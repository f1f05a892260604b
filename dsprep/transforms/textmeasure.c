/* textmeasure.c - see textmeasure.h. */
#define XXH_INLINE_ALL
#include "textmeasure.h"

#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#include "tok_uni.h"

#define SHORT_LINE 30

#define STOP 0x100u /* of a byte: white space, or the beginning of more than one byte */

struct ds_textclass {
    uint16_t byte[256]; /* classes of ASCII, and STOP */
    uint8_t all[DS_UNI_MAX];
};

int ds_textclass_new(ds_textclass **out, ds_err *err)
{
    ds_textclass *c = *out = malloc(sizeof *c);
    if (!c)
        return ds_fail_nomem(err);
    ds_uni_fill(c->all);
    for (unsigned i = 0; i < 256; i++)
        c->byte[i] = i >= 0x80 ? STOP : (uint16_t)(c->all[i] | (c->all[i] & DS_UNI_WS ? STOP : 0));
    return 0;
}

void ds_textclass_free(ds_textclass *c)
{
    free(c);
}

uint8_t ds_textclass_of(const ds_textclass *c, uint32_t cp)
{
    return cp < DS_UNI_MAX ? c->all[cp] : 0;
}

/* ---- words ---- */

typedef struct scan {
    ds_textmeasure *m;
    const ds_textclass *c;
    const uint8_t *p;
    size_t len;
    unsigned want;
    unsigned stops; /* bits of the stop words seen */
} scan;

/* Up to four letters as a number. */
#define LETTERS(a, b, c, d)                                                                        \
    ((uint32_t)(a) | (uint32_t)(b) << 8 | (uint32_t)(c) << 16 | (uint32_t)(d) << 24)

static unsigned stop_word(const uint8_t *p, size_t n)
{
    if (n < 2 || n > 4)
        return 0;
    switch (LETTERS(p[0], p[1], n > 2 ? p[2] : 0, n > 3 ? p[3] : 0)) {
    case LETTERS('t', 'h', 'e', 0):
        return 1;
    case LETTERS('b', 'e', 0, 0):
        return 2;
    case LETTERS('t', 'o', 0, 0):
        return 4;
    case LETTERS('o', 'f', 0, 0):
        return 8;
    case LETTERS('a', 'n', 'd', 0):
        return 16;
    case LETTERS('t', 'h', 'a', 't'):
        return 32;
    case LETTERS('h', 'a', 'v', 'e'):
        return 64;
    case LETTERS('w', 'i', 't', 'h'):
        return 128;
    default:
        return 0;
    }
}

static inline uint64_t load(const uint8_t *p, size_t n)
{
    uint64_t v = 0;
    memcpy(&v, p, n);
    return v;
}

__extension__ typedef unsigned __int128 u128;

static inline uint64_t fold(uint64_t a, uint64_t b)
{
    const u128 m = (u128)(a ^ 0x9e3779b97f4a7c15u) * (b ^ 0xc2b2ae3d27d4eb4fu);
    return (uint64_t)m ^ (uint64_t)(m >> 64);
}

/* Most words are short: one multiplication each. */
static inline uint64_t word_hash(const uint8_t *p, size_t n)
{
    if (n > 16)
        return XXH3_64bits(p, n);
    if (n >= 8)
        return fold(load(p, 8) + n, load(p + n - 8, 8));
    if (n >= 4)
        return fold(load(p, 4) << 32 | load(p + n - 4, 4), n);
    return fold((uint64_t)p[0] << 16 | (uint64_t)p[n >> 1] << 8 | p[n - 1], n);
}

static int put_word(scan *s, size_t at, size_t end, uint32_t chars, ds_err *err)
{
    ds_buf *b = &s->m->words;
    if (b->cap - b->len < sizeof(ds_word) && ds_buf_reserve(b, sizeof(ds_word)))
        return ds_fail_nomem(err);
    *(ds_word *)(void *)(b->data + b->len) = (ds_word){.hash = word_hash(s->p + at, end - at),
                                                       .at = (uint32_t)at,
                                                       .bytes = (uint32_t)(end - at),
                                                       .chars = chars};
    b->len += sizeof(ds_word);
    return 0;
}

/* What a word adds to the facts; `any` are the classes of all its characters. */
static void count_word(scan *s, size_t at, size_t end, uint32_t chars, unsigned any, bool symbol)
{
    ds_textfacts *f = &s->m->f;
    f->alpha_words += (any & DS_UNI_L) != 0;
    if (symbol)
        return;
    const uint16_t *byte = s->c->byte;
    while (end > at && (byte[s->p[end - 1]] & (STOP | DS_UNI_PS))) {
        const uint8_t *q = ds_uni_back(s->p + at, s->p + end);
        unsigned n;
        if (!(s->c->all[ds_uni_get(q, &n)] & DS_UNI_PS))
            break;
        end = (size_t)(q - s->p);
        chars--;
    }
    while (at < end && (byte[s->p[at]] & (STOP | DS_UNI_PS))) {
        unsigned n;
        if (!(s->c->all[ds_uni_get(s->p + at, &n)] & DS_UNI_PS))
            break;
        at += n;
        chars--;
    }
    f->real_words++;
    f->real_chars += chars;
    s->stops |= stop_word(s->p + at, end - at);
}

/* The word at `at`, which is not white space; returns its end. */
static size_t word_end(scan *s, size_t at, uint32_t *chars, unsigned *any, bool *symbol)
{
    const uint8_t *p = s->p, *cls = s->c->all;
    const uint16_t *byte = s->c->byte;
    unsigned all = DS_UNI_PS, some = 0;
    uint32_t wide = 0; /* bytes beyond the first of a character */
    size_t i = at;
    for (;;) {
        unsigned size, c = 0;
        for (; i < s->len && !((c = byte[p[i]]) & STOP); i++) {
            some |= c;
            all &= c;
        }
        if (i >= s->len || p[i] < 0x80)
            break;
        const uint32_t cp = ds_uni_get(p + i, &size);
        c = cls[cp];
        if ((c & DS_UNI_WS) || ((c & DS_UNI_CJK) && i > at))
            break;
        s->m->f.ellipses += cp == 0x2026;
        some |= c;
        all &= c;
        wide += size - 1;
        i += size;
        if (c & DS_UNI_CJK)
            break;
    }
    *chars = (uint32_t)(i - at) - wide;
    *any = some;
    *symbol = all != 0;
    return i;
}

static int scan_words(scan *s, ds_err *err)
{
    const uint8_t *cls = s->c->all;
    size_t i = 0;
    int rc = 0;
    while (rc == 0 && i < s->len) {
        unsigned size = 1, c = s->p[i] < 0x80 ? cls[s->p[i]] : cls[ds_uni_get(s->p + i, &size)];
        if (c & DS_UNI_WS) {
            s->m->f.newlines += s->p[i] == '\n';
            s->m->f.chars++;
            i += size;
            continue;
        }
        uint32_t chars;
        unsigned any;
        bool symbol;
        const size_t end = word_end(s, i, &chars, &any, &symbol);
        if (s->want & DS_WANT_GRAMS)
            rc = put_word(s, i, end, chars, err);
        if (s->want & DS_WANT_WORDS)
            count_word(s, i, end, chars, any, symbol);
        s->m->f.words++;
        s->m->f.chars += chars;
        i = end;
    }
    s->m->f.stop_words = (uint64_t)__builtin_popcount(s->stops);
    return rc;
}

/* Is a byte of the eight `c`? */
static inline bool has_byte(uint64_t v, uint8_t c)
{
    const uint64_t x = v ^ 0x0101010101010101u * c;
    return ((x - 0x0101010101010101u) & ~x & 0x8080808080808080u) != 0;
}

/* "#", and "..." without overlap; the character of three dots was counted with the words. */
static void count_symbols(scan *s)
{
    const uint8_t *p = s->p;
    ds_textfacts *f = &s->m->f;
    for (size_t i = 0; i < s->len;) {
        if (s->len - i >= 8) {
            const uint64_t v = load(p + i, 8);
            if (!has_byte(v, '#') && !has_byte(v, '.')) {
                i += 8;
                continue;
            }
        }
        const size_t end = s->len - i < 8 ? s->len : i + 8;
        while (i < end) {
            const bool dots = p[i] == '.' && s->len - i >= 3 && p[i + 1] == '.' && p[i + 2] == '.';
            f->hashes += p[i] == '#';
            f->ellipses += dots;
            i += dots ? 3 : 1;
        }
    }
}

/* ---- a set of hashes ---- */

/* A slot holds 40 bits of a hash, not zero, and how often it came, up to 2^24 - 1; the other bits
 * chose the slot. */
#define COUNT_MAX 0xffffffu

typedef struct set {
    uint64_t *slot;
    size_t mask;
} set;

/* Room for n hashes, at most half full. */
static int set_begin(set *t, ds_textmeasure *m, size_t n, ds_err *err)
{
    size_t cap = 64, bytes;
    while (cap < 2 * n)
        cap *= 2;
    ds_buf_reset(&m->table);
    if (!ds_mul_size(cap, sizeof *t->slot, &bytes) || ds_buf_reserve(&m->table, bytes))
        return ds_fail_nomem(err);
    memset(m->table.data, 0, bytes);
    *t = (set){.slot = (void *)m->table.data, .mask = cap - 1};
    return 0;
}

/* Counts a hash: how often it came, this time included. */
static inline uint32_t set_put(set *t, uint64_t h)
{
    const uint64_t tag = (h | 1u << 24) & ~(uint64_t)COUNT_MAX;
    size_t i = (size_t)(h * 0x9e3779b97f4a7c15u >> 32) & t->mask;
    while (t->slot[i] != 0 && (t->slot[i] & ~(uint64_t)COUNT_MAX) != tag)
        i = (i + 1) & t->mask;
    const uint32_t n = (uint32_t)(t->slot[i] & COUNT_MAX);
    t->slot[i] = tag | (n < COUNT_MAX ? n + 1 : n);
    return n + 1;
}

/* ---- lines ---- */

static uint64_t count_chars(const uint8_t *p, size_t len)
{
    uint64_t more = 0; /* bytes 10xxxxxx */
    size_t i = 0;
    for (; len - i >= 8; i += 8) {
        const uint64_t v = load(p + i, 8);
        more += ((v & ~(v << 1) & 0x8080808080808080u) >> 7) * 0x0101010101010101u >> 56;
    }
    for (; i < len; i++)
        more += (p[i] & 0xc0) == 0x80;
    return len - more;
}

static bool space_at(const scan *s, const uint8_t *p, unsigned *n)
{
    return s->c->all[ds_uni_get(p, n)] & DS_UNI_WS;
}

/* Without the white space around it. */
static void trim(const scan *s, const uint8_t **p, size_t *len)
{
    const uint8_t *a = *p, *e = a + *len;
    unsigned n;
    while (a < e && space_at(s, a, &n))
        a += n;
    while (e > a && space_at(s, ds_uni_back(a, e), &n))
        e = ds_uni_back(a, e);
    *p = a;
    *len = (size_t)(e - a);
}

static bool ends_with(const uint8_t *p, size_t len, const char *w)
{
    const size_t n = strlen(w);
    return len >= n && memcmp(p + len - n, w, n) == 0;
}

static bool ends_sentence(const uint8_t *p, size_t len)
{
    static const char *const ends[] = {
        "\xe3\x80\x82", "\xef\xbc\x81", "\xef\xbc\x9f", "\xe2\x80\x9d", "\xe2\x80\x99",
        "\xe2\x80\xa6", "\xc2\xbb",     "\xe0\xa5\xa4", "\xd8\x9f",     "\xdb\x94",
        "\xe3\x80\x8d", "\xef\xbc\x9b", "\xef\xbd\xa1", "\xe1\x8d\xa2"};
    if (len == 0 || p[len - 1] < 0x80)
        return len && p[len - 1] && strchr(".!?\"';", p[len - 1]);
    for (size_t i = 0; i < sizeof ends / sizeof *ends; i++)
        if (ends_with(p, len, ends[i]))
            return true;
    return false;
}

static void count_line(scan *s, set *seen, const uint8_t *p, size_t len)
{
    ds_textfacts *f = &s->m->f;
    const uint8_t *q = p;
    size_t n = len;
    trim(s, &q, &n);
    f->lines++;
    if (n == 0)
        return;
    f->bullet_lines += *q == '-' || (n >= 3 && memcmp(q, "\xe2\x80\xa2", 3) == 0);
    f->ellipsis_ends += ends_with(q, n, "...") || ends_with(q, n, "\xe2\x80\xa6");
    f->full_lines++;
    f->ended_lines += ends_sentence(p, len);
    const uint64_t chars = count_chars(p, len);
    f->short_lines += chars <= SHORT_LINE;
    if (set_put(seen, XXH3_64bits(p, len)) > 1)
        f->dup_full_chars += chars;
}

/* Every line between LFs; the last one only when it is not empty. */
static int scan_lines(scan *s, ds_err *err)
{
    set seen;
    int rc = set_begin(&seen, s->m, (size_t)s->m->f.newlines + 1, err);
    for (size_t at = 0; rc == 0 && at < s->len;) {
        const uint8_t *nl = memchr(s->p + at, '\n', s->len - at);
        const size_t end = nl ? (size_t)(nl - s->p) : s->len;
        size_t len = end - at;
        if (nl && len && s->p[end - 1] == '\r')
            len--;
        count_line(s, &seen, s->p + at, len);
        at = end + 1;
    }
    return rc;
}

/* Parts between runs of at least `least` LFs: how many, and what was there before. */
static int scan_parts(scan *s, size_t least, uint64_t *n, uint64_t *dups, uint64_t *chars,
                      ds_err *err)
{
    const uint8_t *p = s->p;
    size_t len = s->len;
    set seen;
    trim(s, &p, &len);
    int rc = set_begin(&seen, s->m, (size_t)s->m->f.newlines + 1, err);
    for (size_t at = 0, i = 0; rc == 0 && at <= len; at = i) {
        size_t run = 0;
        for (i = at; i < len; i += run) {
            const uint8_t *nl = memchr(p + i, '\n', len - i);
            i = nl ? (size_t)(nl - p) : len;
            for (run = 0; i + run < len && p[i + run] == '\n'; run++)
                ;
            if (run >= least)
                break;
        }
        const bool again = set_put(&seen, XXH3_64bits(p + at, i - at)) > 1;
        ++*n;
        *dups += again;
        if (again)
            *chars += count_chars(p + at, i - at);
        if (i >= len)
            break;
        i += run;
    }
    return rc;
}

/* ---- n-grams ---- */

static inline uint64_t gram_hash(const ds_word *w, unsigned n)
{
    uint64_t h = 0;
    for (unsigned i = 0; i < n; i++)
        h = (h ^ w[i].hash) * 0x9e3779b97f4a7c15u + (h >> 29);
    return h ^ h >> 32;
}

static uint64_t gram_chars(const ds_word *w, unsigned n)
{
    uint64_t sum = 0;
    for (unsigned i = 0; i < n; i++)
        sum += w[i].chars;
    return sum;
}

/* One pass over pairs of words. A longer n-gram that ends its last occurrence at i began with a
 * pair that had come at least as often by then; and where an n-gram of 5 or more words repeats, at
 * least four pairs in a row do. */
static int count_pairs(ds_textmeasure *m, ds_err *err)
{
    const ds_word *w = (const ds_word *)(const void *)m->words.data;
    const size_t words = m->words.len / sizeof *w;
    ds_wordpairs *r = &m->pairs;
    uint64_t top = 1;
    size_t row = 0, upto = 0; /* pairs that repeat, one after the other; words covered so far */
    set t;
    *r = (ds_wordpairs){0};
    int rc = words > 2 ? set_begin(&t, m, words - 1, err) : 0;
    for (size_t i = 0; rc == 0 && i + 2 < words + (words > 2); i++) {
        const uint64_t count = set_put(&t, gram_hash(w + i, 2));
        row = count > 1 ? row + 1 : 0;
        if (count < 2)
            continue;
        uint64_t chars = gram_chars(w + i, 2) + 1;
        if (count > top || (count == top && chars * count > r->top))
            r->top = chars * count;
        top = count > top ? count : top;
        for (unsigned n = 3; n <= DS_TOP_MAX && i + n <= words; n++) {
            chars += w[i + n - 1].chars + 1;
            if (chars * count > r->at_most[n])
                r->at_most[n] = chars * count;
        }
        if (row < DS_DUP_MIN - 1)
            continue;
        const size_t from = i + 2 - (row + 1) > upto ? i + 2 - (row + 1) : upto;
        r->covered += gram_chars(w + from, (unsigned)(i + 2 - from));
        upto = i + 2;
    }
    return rc;
}

int ds_textmeasure_set(ds_textmeasure *m, const ds_textclass *c, const uint8_t *p, size_t len,
                       unsigned want, ds_err *err)
{
    scan s = {.m = m, .c = c, .p = p, .len = len, .want = want};
    ds_textfacts *f = &m->f;
    *f = (ds_textfacts){0};
    m->p = p;
    m->len = len;
    ds_buf_reset(&m->words);
    if (len >= UINT32_MAX)
        return ds_fail(err, DS_FAIL, "a text of 4 GiB or more is not measured");
    int rc = scan_words(&s, err);
    if (rc == 0 && (want & DS_WANT_WORDS))
        count_symbols(&s);
    if (rc == 0 && (want & DS_WANT_GRAMS))
        rc = count_pairs(m, err);
    if (rc == 0 && (want & DS_WANT_LINES))
        rc = scan_lines(&s, err);
    if (rc == 0 && (want & DS_WANT_PARTS))
        rc = scan_parts(&s, 1, &f->rlines, &f->dup_rlines, &f->dup_rline_chars, err);
    if (rc == 0 && (want & DS_WANT_PARTS))
        rc = scan_parts(&s, 2, &f->paras, &f->dup_paras, &f->dup_para_chars, err);
    return rc;
}

int ds_textmeasure_top(ds_textmeasure *m, unsigned n, uint64_t enough, uint64_t *chars, ds_err *err)
{
    const ds_word *w = (const ds_word *)(const void *)m->words.data;
    const size_t words = m->words.len / sizeof *w, grams = words < n ? 0 : words - n + 1;
    uint32_t top = 1;
    set t;
    *chars = n == 2 ? m->pairs.top : 0;
    if (n == 2 || m->pairs.at_most[n] <= enough)
        return 0;
    int rc = grams > 1 ? set_begin(&t, m, grams, err) : 0;
    if (rc || grams < 2)
        return rc;
    for (size_t i = 0; i < grams; i++) {
        const uint32_t count = set_put(&t, gram_hash(w + i, n));
        if (count < 2 || count < top)
            continue;
        const uint64_t c = (gram_chars(w + i, n) + n - 1) * count;
        if (count > top || c > *chars)
            *chars = c;
        top = count;
    }
    return rc;
}

/* Words covered by n-grams that were there before, overlaps counted once: nothing that a longer
 * n-gram repeats lies outside of them, since its first words are such an n-gram, too. */
static uint64_t covered(const ds_word *w, size_t grams, unsigned n, set *t)
{
    uint64_t chars = 0;
    size_t upto = 0;
    for (size_t i = 0; i < grams; i++) {
        if (set_put(t, gram_hash(w + i, n)) < 2)
            continue;
        const size_t from = i > upto ? i : upto;
        chars += gram_chars(w + from, (unsigned)(i + n - from));
        upto = i + n;
    }
    return chars;
}

static uint64_t dups_of(const ds_word *w, size_t words, unsigned n, set *t)
{
    uint64_t chars = 0;
    for (size_t i = 0; i + n <= words;) {
        const bool seen = set_put(t, gram_hash(w + i, n)) > 1;
        chars += seen ? gram_chars(w + i, n) : 0;
        i += seen ? n : 1;
    }
    return chars;
}

int ds_textmeasure_dups(ds_textmeasure *m, uint64_t enough, uint64_t chars[DS_DUP_MAX + 1],
                        ds_err *err)
{
    const ds_word *w = (const ds_word *)(const void *)m->words.data;
    const size_t words = m->words.len / sizeof *w;
    set t;
    memset(chars, 0, (DS_DUP_MAX + 1) * sizeof *chars);
    if (words <= DS_DUP_MIN || m->pairs.covered <= enough)
        return 0;
    int rc = set_begin(&t, m, words, err);
    if (rc || covered(w, words - DS_DUP_MIN + 1, DS_DUP_MIN, &t) <= enough)
        return rc;
    for (unsigned n = DS_DUP_MIN; rc == 0 && n <= DS_DUP_MAX; n++) {
        rc = set_begin(&t, m, words, err);
        if (rc == 0)
            chars[n] = dups_of(w, words, n, &t);
    }
    return rc;
}

void ds_textmeasure_fini(ds_textmeasure *m)
{
    ds_buf_fini(&m->words);
    ds_buf_fini(&m->table);
}
