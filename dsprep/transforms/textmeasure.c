/* textmeasure.c - see textmeasure.h. */
#define XXH_INLINE_ALL
#include "textmeasure.h"

#include <string.h>
#include <xxhash.h>

#include "hashcount.h"
#include "tok_uni.h"

#define SHORT_LINE 30

/* ---- words ---- */

#define NEAR 80  /* bytes that are read from where a word begins */
#define TAIL 128 /* bytes of the text's end that lie apart, with zeros behind them */

typedef struct scan {
    ds_textmeasure *m;
    const ds_textbits *b;
    const ds_textclass *c;
    const uint8_t *p;
    size_t len, tail_at;
    unsigned want;
    unsigned stops; /* bits of the stop words seen */
    uint8_t tail[TAIL + NEAR];
} scan;

/* Up to four letters as a number. */
#define LETTERS(a, b, c, d)                                                                        \
    ((uint32_t)(a) | (uint32_t)(b) << 8 | (uint32_t)(c) << 16 | (uint32_t)(d) << 24)

/* The stop words, each in the slot that STOP_SLOT gives it: words of other letters find another
 * one's, or none. */
#define STOP_SLOT(x) ((x)*STOP_FACTOR >> 28)
#define STOP_FACTOR 0xcd613e31u
static const struct stop_row {
    uint32_t letters;
    unsigned bit;
} stop_rows[16] = {
    [1] = {LETTERS('t', 'h', 'e', 0), 1},     [3] = {LETTERS('t', 'o', 0, 0), 4},
    [4] = {LETTERS('h', 'a', 'v', 'e'), 64},  [5] = {LETTERS('t', 'h', 'a', 't'), 32},
    [7] = {LETTERS('w', 'i', 't', 'h'), 128}, [12] = {LETTERS('o', 'f', 0, 0), 8},
    [14] = {LETTERS('a', 'n', 'd', 0), 16},   [15] = {LETTERS('b', 'e', 0, 0), 2},
};

/* 16 bytes of which the first n are kept: begin at keep + 16 - n. */
static const uint8_t keep[32] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
                                 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff};

static inline uint64_t load(const uint8_t *p)
{
    uint64_t v;
    memcpy(&v, p, sizeof v);
    return v;
}

/* Which stop word the n bytes at p are, of which 4 can be read; 0 for none. */
static inline unsigned stop_word(const uint8_t *p, size_t n)
{
    const uint32_t x = ds_get_u32(p) & ds_get_u32(keep + 16 - (n > 4 ? 0 : n));
    const struct stop_row *r = &stop_rows[STOP_SLOT(x)];
    return r->letters == x ? r->bit : 0;
}

__extension__ typedef unsigned __int128 u128;

/* Most words are short: one multiplication, and no branch on their length. p can be read for 16
 * bytes. */
static inline uint64_t word_hash(const uint8_t *p, size_t n)
{
    if (n > 16)
        return XXH3_64bits(p, n);
    const uint64_t a = load(p) & load(keep + 16 - n), b = load(p + 8) & load(keep + 24 - n);
    const u128 m = (u128)(a ^ 0x9e3779b97f4a7c15u) *
                   (b ^ (0xc2b2ae3d27d4eb4fu + (uint64_t)n * 0xd6e8feb86659fd93u));
    return (uint64_t)m ^ (uint64_t)(m >> 64);
}

static inline void put_word(scan *s, uint64_t hash, uint32_t chars)
{
    ds_buf *b = &s->m->grams.words;
    *(ds_gramword *)(void *)(b->data + b->len) = (ds_gramword){hash, chars};
    b->len += sizeof(ds_gramword);
}

/* The bytes at `at`, of which NEAR can be read. */
static inline const uint8_t *near(const scan *s, size_t at)
{
    return at + NEAR <= s->len ? s->p + at : s->tail + (at - s->tail_at);
}

/* What a word adds to the facts: `at` is its place, n its bytes; all of it is within 64 bits. */
static inline void count_word(scan *s, size_t at, unsigned n, uint64_t cont)
{
    ds_textfacts *f = &s->m->f;
    const uint64_t mask = ds_bits_below(n);
    const uint64_t inner = ~ds_bits_at(s->b->punct, at) & mask;
    f->alpha_words += (ds_bits_at(s->b->letter, at) & mask) != 0;
    if (!inner)
        return;
    const unsigned from = ds_bits_first(inner), last = ds_bits_last(inner);
    uint32_t kept = last - from + 1;
    if (cont)
        kept -= ds_bits_count(cont >> from & ds_bits_below(kept));
    f->real_words++;
    f->real_chars += kept;
    s->stops |= stop_word(near(s, at) + from, last - from + 1);
}

/* The same of a word of more than 64 bytes, which is no stop word. */
static void count_long_word(scan *s, size_t at, size_t end)
{
    const ds_textbits *b = s->b;
    ds_textfacts *f = &s->m->f;
    size_t from = at, to = end;
    f->alpha_words += ds_bits_next(b->letter, at, end) < end;
    while (from < end && b->punct[from >> 6] >> (from & 63) & 1)
        from++;
    if (from == end)
        return;
    while (b->punct[(to - 1) >> 6] >> ((to - 1) & 63) & 1)
        to--;
    f->real_words++;
    f->real_chars += to - from - ds_bits_sum(b->cont, from, to);
    if (to - from <= 4) {
        uint8_t letters[4] = {0};
        memcpy(letters, s->p + from, to - from);
        s->stops |= stop_word(letters, to - from);
    }
}

static void long_word(scan *s, size_t at)
{
    const size_t end = ds_bits_next(s->b->edge, at + 65, s->len);
    if (s->want & DS_WANT_GRAMS)
        put_word(s, XXH3_64bits(s->p + at, end - at),
                 (uint32_t)(end - at - ds_bits_sum(s->b->cont, at, end)));
    if (s->want & DS_WANT_WORDS)
        count_long_word(s, at, end);
}

static inline void one_word(scan *s, size_t at)
{
    const uint64_t ends = ds_bits_at(s->b->edge, at + 1);
    if (!ends) {
        long_word(s, at);
        return;
    }
    const unsigned n = ds_bits_first(ends) + 1;
    const uint64_t cont = ds_bits_at(s->b->cont, at) & ds_bits_below(n);
    if (s->want & DS_WANT_GRAMS)
        put_word(s, word_hash(near(s, at), n), n - (cont ? ds_bits_count(cont) : 0));
    if (s->want & DS_WANT_WORDS)
        count_word(s, at, n, cont);
}

static int scan_words(scan *s, ds_err *err)
{
    const size_t blocks = (s->len + 63) / 64, tail = s->len < TAIL ? s->len : TAIL;
    ds_buf *words = &s->m->grams.words;
    s->tail_at = s->len - tail;
    if (tail)
        memcpy(s->tail, s->p + s->tail_at, tail);
    memset(s->tail + tail, 0, sizeof s->tail - tail);
    size_t bytes;
    if (!ds_mul_size((size_t)s->b->words, sizeof(ds_gramword), &bytes) ||
        (s->want & DS_WANT_GRAMS && ds_buf_reserve(words, bytes)))
        return ds_fail_nomem(err);
    for (size_t k = 0; k < blocks; k++)
        for (uint64_t m = s->b->start[k]; m; m &= m - 1)
            one_word(s, k * 64 + ds_bits_first(m));
    s->m->f.stop_words = (uint64_t)__builtin_popcount(s->stops);
    return 0;
}

/* ---- lines ---- */

static uint64_t chars_in(const scan *s, size_t at, size_t end)
{
    return end - at - ds_bits_sum(s->b->cont, at, end);
}

/* End of what is left without white space behind. */
static size_t trim_end(const scan *s, size_t at, size_t end)
{
    while (end > at) {
        const uint8_t last = s->p[end - 1];
        if (last < 0x80 && last != ' ' && (uint8_t)(last - 9) >= 5)
            break;
        const uint8_t *q = ds_uni_back(s->p + at, s->p + end);
        unsigned n;
        if (!(ds_textclass_of(s->c, ds_uni_get(q, &n)) & DS_UNI_WS))
            break;
        end = (size_t)(q - s->p);
    }
    return end;
}

static bool ends_with(const scan *s, size_t at, size_t end, const char three[4])
{
    return end - at >= 3 && memcmp(s->p + end - 3, three, 3) == 0;
}

/* Beside . ? ! " ' what ends a sentence: Sentence_Terminal of Unicode 16, an ellipsis, and closing
 * quotation marks. */
static const uint32_t sentence_ends[][2] = {
    {0xbb, 0xbb},       {0x589, 0x589},     {0x61d, 0x61f},     {0x6d4, 0x6d4},
    {0x700, 0x702},     {0x7f9, 0x7f9},     {0x837, 0x837},     {0x839, 0x839},
    {0x83d, 0x83e},     {0x964, 0x965},     {0x104a, 0x104b},   {0x1362, 0x1362},
    {0x1367, 0x1368},   {0x166e, 0x166e},   {0x1735, 0x1736},   {0x17d4, 0x17d5},
    {0x1803, 0x1803},   {0x1809, 0x1809},   {0x1944, 0x1945},   {0x1aa8, 0x1aab},
    {0x1b4e, 0x1b4f},   {0x1b5a, 0x1b5b},   {0x1b5e, 0x1b5f},   {0x1b7d, 0x1b7f},
    {0x1c3b, 0x1c3c},   {0x1c7e, 0x1c7f},   {0x2019, 0x2019},   {0x201d, 0x201d},
    {0x2024, 0x2024},   {0x2026, 0x2026},   {0x203c, 0x203d},   {0x2047, 0x2049},
    {0x2cf9, 0x2cfb},   {0x2e2e, 0x2e2e},   {0x2e3c, 0x2e3c},   {0x2e53, 0x2e54},
    {0x2e60, 0x2e61},   {0x3002, 0x3002},   {0x300d, 0x300d},   {0xa4ff, 0xa4ff},
    {0xa60e, 0xa60f},   {0xa6f3, 0xa6f3},   {0xa6f7, 0xa6f7},   {0xa876, 0xa877},
    {0xa8ce, 0xa8cf},   {0xa92f, 0xa92f},   {0xa9c8, 0xa9c9},   {0xaa5d, 0xaa5f},
    {0xaaf0, 0xaaf1},   {0xabeb, 0xabeb},   {0xfe12, 0xfe12},   {0xfe15, 0xfe16},
    {0xfe52, 0xfe52},   {0xfe56, 0xfe57},   {0xff01, 0xff01},   {0xff0e, 0xff0e},
    {0xff1f, 0xff1f},   {0xff61, 0xff61},   {0x10a56, 0x10a57}, {0x10f55, 0x10f59},
    {0x10f86, 0x10f89}, {0x11047, 0x11048}, {0x110be, 0x110c1}, {0x11141, 0x11143},
    {0x111c5, 0x111c6}, {0x111cd, 0x111cd}, {0x111de, 0x111df}, {0x11238, 0x11239},
    {0x1123b, 0x1123c}, {0x112a9, 0x112a9}, {0x113d4, 0x113d5}, {0x1144b, 0x1144c},
    {0x115c2, 0x115c3}, {0x115c9, 0x115d7}, {0x11641, 0x11642}, {0x1173c, 0x1173e},
    {0x11944, 0x11944}, {0x11946, 0x11946}, {0x11a42, 0x11a43}, {0x11a9b, 0x11a9c},
    {0x11c41, 0x11c42}, {0x11ef7, 0x11ef8}, {0x11f43, 0x11f44}, {0x16a6e, 0x16a6f},
    {0x16af5, 0x16af5}, {0x16b37, 0x16b38}, {0x16b44, 0x16b44}, {0x16d6e, 0x16d6f},
    {0x16e98, 0x16e98}, {0x1bc9f, 0x1bc9f}, {0x1da88, 0x1da88}};

static bool ends_sentence(const scan *s, size_t at, size_t end)
{
    const uint64_t ascii = (uint64_t)1 << '.' | (uint64_t)1 << '!' | (uint64_t)1 << '?' |
                           (uint64_t)1 << '"' | (uint64_t)1 << '\'';
    size_t lo = 0, hi = sizeof sentence_ends / sizeof *sentence_ends;
    unsigned n;
    if (end == at)
        return false;
    if (s->p[end - 1] < 0x80)
        return s->p[end - 1] < 64 && ascii >> s->p[end - 1] & 1;
    const uint32_t c = ds_uni_get(ds_uni_back(s->p + at, s->p + end), &n);
    while (lo < hi) {
        const size_t mid = (lo + hi) / 2;
        if (c > sentence_ends[mid][1])
            lo = mid + 1;
        else
            hi = mid;
    }
    return lo < sizeof sentence_ends / sizeof *sentence_ends && c >= sentence_ends[lo][0];
}

/* What a line that is not empty begins and ends with, white space around it aside. */
static void look_at_ends(scan *s, size_t at, size_t end)
{
    ds_textfacts *f = &s->m->f;
    const size_t to = trim_end(s, at, end);
    const uint8_t *p = s->p + at;
    f->bullet_lines += *p == '-' || (to - at >= 3 && memcmp(p, "\xe2\x80\xa2", 3) == 0);
    f->ellipsis_ends += ends_with(s, at, to, "...") || ends_with(s, at, to, "\xe2\x80\xa6");
}

static void count_full(scan *s, ds_hashcount *seen, size_t at, size_t end)
{
    ds_textfacts *f = &s->m->f;
    const uint64_t chars = chars_in(s, at, end);
    f->full_lines++;
    f->ended_lines += ends_sentence(s, at, end);
    f->short_lines += chars <= SHORT_LINE;
    if (ds_hashcount_put(seen, XXH3_64bits(s->p + at, end - at)) > 1)
        f->dup_full_chars += chars;
}

/* Every line between LFs; the last one only when it is not empty. */
static int scan_lines(scan *s, ds_err *err)
{
    const bool full = s->want & DS_WANT_FULL, ends = s->want & DS_WANT_LINES;
    ds_hashcount seen = {0};
    int rc = full ? ds_hashcount_begin(&seen, &s->m->table, (size_t)s->b->newlines + 1, err) : 0;
    for (size_t at = 0, lf; rc == 0 && at < s->len; at = lf + 1) {
        lf = ds_bits_next(s->b->lf, at, s->len);
        const size_t end = lf < s->len && lf > at && s->p[lf - 1] == '\r' ? lf - 1 : lf;
        const size_t word = ds_bits_next(s->b->start, at, end);
        s->m->f.lines++;
        if (word == end)
            continue;
        if (ends)
            look_at_ends(s, word, end);
        if (full)
            count_full(s, &seen, at, end);
    }
    return rc;
}

/* One part, by its hash: counted, and what it has when it was there before. */
static void put_part(const scan *s, ds_hashcount *seen, uint64_t hash, size_t at, size_t end,
                     uint64_t count[3])
{
    const bool again = ds_hashcount_put(seen, hash) > 1;
    count[0]++;
    count[1] += again;
    if (again)
        count[2] += chars_in(s, at, end);
}

/* Parts between LFs, and between two or more, without the white space around the text. */
static int scan_parts(scan *s, ds_err *err)
{
    ds_textfacts *f = &s->m->f;
    const uint8_t *p = s->p;
    uint64_t lines[3] = {0}, paras[3] = {0};
    size_t at = ds_bits_next(s->b->start, 0, s->len), para = at;
    const size_t len = trim_end(s, at, s->len), room = (size_t)s->b->newlines + 1;
    ds_hashcount line = {0}, whole = {0};
    int rc = ds_hashcount_begin(&line, &s->m->table, room, err);
    if (rc == 0)
        rc = ds_hashcount_begin(&whole, &s->m->table2, room, err);
    for (bool last = false; rc == 0 && !last;) {
        const size_t end = ds_bits_next(s->b->lf, at, len);
        size_t next = end;
        while (next < len && p[next] == '\n')
            next++;
        last = end >= len;
        const uint64_t h = XXH3_64bits(p + at, end - at);
        put_part(s, &line, h, at, end, lines);
        if (last || next - end > 1) {
            put_part(s, &whole, para == at ? h : XXH3_64bits(p + para, end - para), para, end,
                     paras);
            para = next;
        }
        at = next;
    }
    f->rlines = lines[0];
    f->dup_rlines = lines[1];
    f->dup_rline_chars = lines[2];
    f->paras = paras[0];
    f->dup_paras = paras[1];
    f->dup_para_chars = paras[2];
    return rc;
}

int ds_textmeasure_set(ds_textmeasure *m, const ds_textclass *c, const uint8_t *p, size_t len,
                       unsigned want, ds_err *err)
{
    scan s = {.m = m, .b = &m->bits, .c = c, .p = p, .len = len, .want = want};
    ds_textgrams_reset(&m->grams);
    int rc = ds_textbits_set(&m->bits, c, p, len, err);
    m->f = (ds_textfacts){.chars = m->bits.chars,
                          .words = m->bits.words,
                          .newlines = m->bits.newlines,
                          .hashes = m->bits.hashes,
                          .ellipses = m->bits.ellipses};
    if (rc == 0 && (want & (DS_WANT_WORDS | DS_WANT_GRAMS)))
        rc = scan_words(&s, err);
    if (rc == 0 && (want & (DS_WANT_LINES | DS_WANT_FULL)))
        rc = scan_lines(&s, err);
    if (rc == 0 && (want & DS_WANT_PARTS))
        rc = scan_parts(&s, err);
    return rc;
}

void ds_textmeasure_fini(ds_textmeasure *m)
{
    ds_textgrams_fini(&m->grams);
    ds_textbits_fini(&m->bits);
    ds_buf_fini(&m->table);
    ds_buf_fini(&m->table2);
}
