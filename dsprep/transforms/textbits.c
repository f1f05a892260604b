/* textbits.c - see textbits.h. */
#include "textbits.h"

#include <stdlib.h>
#include <string.h>

#include "tok_masks.h"
#include "tok_uni.h"

#ifdef __SSE2__
#include <emmintrin.h>
#endif

#define ARRAYS 9

struct ds_textclass {
    tok_classify classify;
    uint8_t all[DS_UNI_MAX];
};

int ds_textclass_new(ds_textclass **out, ds_err *err)
{
    ds_textclass *c = *out = malloc(sizeof *c);
    if (!c)
        return ds_fail_nomem(err);
    c->classify = ds_tok_classifier(NULL);
    if (!c->classify)
        c->classify = ds_tok_classifier("portable");
    ds_uni_fill(c->all);
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

/* ---- single bytes ---- */

typedef struct marks {
    uint64_t lf, hash, dot, stop, mark;
} marks;

#ifdef __SSE2__
static inline __m128i is(__m128i v, char c)
{
    return _mm_cmpeq_epi8(v, _mm_set1_epi8(c));
}
static inline uint64_t bits(__m128i v, int i)
{
    return (uint64_t)(unsigned)_mm_movemask_epi8(v) << 16 * i;
}

static void find_marks(const uint8_t *p, marks *m)
{
    *m = (marks){0};
    for (int i = 0; i < 4; i++) {
        const __m128i v = _mm_loadu_si128((const __m128i *)(const void *)(p + 16 * i));
        const __m128i dot = is(v, '.'), ends = _mm_or_si128(is(v, '!'), is(v, '?')),
                      wide = _mm_or_si128(is(v, (char)0xe3), is(v, (char)0xef));
        m->lf |= bits(is(v, '\n'), i);
        m->hash |= bits(is(v, '#'), i);
        m->dot |= bits(dot, i);
        m->stop |= bits(_mm_or_si128(_mm_or_si128(dot, ends), wide), i);
        m->mark |= bits(_mm_or_si128(is(v, '['), is(v, '{')), i);
    }
}
#else
static void find_marks(const uint8_t *p, marks *m)
{
    *m = (marks){0};
    for (unsigned i = 0; i < 64; i++) {
        const uint64_t bit = (uint64_t)1 << i;
        const uint8_t c = p[i];
        m->lf |= c == '\n' ? bit : 0;
        m->hash |= c == '#' ? bit : 0;
        m->dot |= c == '.' ? bit : 0;
        m->stop |= c == '.' || c == '!' || c == '?' || c == 0xe3 || c == 0xef ? bit : 0;
        m->mark |= c == '[' || c == '{' ? bit : 0;
    }
}
#endif

/* ---- characters beyond ASCII ---- */

/* What one block of 64 bytes says of the first bytes of the next. */
typedef struct spill {
    uint64_t space, punct, own;
} spill;

/* `own`: bytes where a word begins whatever stood before. */
typedef struct block {
    uint64_t space, punct, letter, own;
} block;

static void put_bits(uint64_t *now, uint64_t *next, uint64_t v, unsigned at)
{
    *now |= v << at;
    *next |= at ? v >> (64 - at) : 0;
}

static void wide_chars(ds_textbits *b, const ds_textclass *c, const uint8_t *p, const tok_masks *m,
                       block *k, spill *s)
{
    uint64_t lead = m->high & ~m->cont, han = lead & m->cjk;
    k->letter |= han;
    k->own |= han | han << 3;
    s->own |= han >> 61;
    for (lead &= ~han; lead; lead &= lead - 1) {
        const unsigned at = ds_bits_first(lead);
        unsigned n;
        const uint32_t cp = ds_uni_get(p + at, &n);
        const uint8_t cls = c->all[cp];
        const uint64_t bytes = ds_bits_below(n);
        b->ellipses += cp == 0x2026;
        if (cls & DS_UNI_WS)
            put_bits(&k->space, &s->space, bytes, at);
        if (cls & DS_UNI_PS)
            put_bits(&k->punct, &s->punct, bytes, at);
        if (cls & DS_UNI_CJK)
            put_bits(&k->own, &s->own, 1 | (uint64_t)1 << n, at);
        k->letter |= cls & DS_UNI_L ? (uint64_t)1 << at : 0;
    }
}

/* ---- all of it ---- */

/* What is carried from block to block. */
typedef struct walk {
    spill s;
    uint64_t before, apart; /* 1: white space came before, of any kind, of ASCII */
    uint64_t dots;          /* of the block before */
    size_t free;            /* where the next ellipsis may begin */
} walk;

/* Ellipses that begin in the block before `k`, from left to right. */
static void count_ellipses(ds_textbits *b, walk *w, size_t k, uint64_t dots)
{
    const uint64_t d = w->dots;
    uint64_t three = d & (d >> 1 | dots << 63) & (d >> 2 | dots << 62);
    for (; three; three &= three - 1) {
        const size_t at = (k - 1) * 64 + ds_bits_first(three);
        if (at < w->free)
            continue;
        b->ellipses++;
        w->free = at + 3;
    }
    w->dots = dots;
}

/* Block number k, `n` bytes of it at p, which can be read for 68. */
static void one_block(ds_textbits *b, const ds_textclass *c, walk *w, size_t k, const uint8_t *p,
                      size_t n)
{
    const uint64_t past = n < 64 ? UINT64_MAX << n : 0;
    tok_masks m;
    marks s;
    c->classify(p, &m);
    find_marks(p, &s);
    const uint64_t white = m.space | m.newline | m.blank,
                   plain = m.letter | m.digit | white | m.control | m.high;
    block x = {.space = white | w->s.space,
               .punct = ~plain | w->s.punct,
               .letter = m.letter,
               .own = w->s.own};
    w->s = (spill){0};
    if (m.high)
        wide_chars(b, c, p, &m, &x, &w->s);
    b->start[k] = ~x.space & (x.space << 1 | w->before | x.own) & ~past;
    b->edge[k] = x.space | b->start[k] | past;
    b->letter[k] = x.letter;
    b->punct[k] = x.punct;
    b->cont[k] = m.cont;
    b->lf[k] = s.lf;
    b->apart[k] = ~white & (white << 1 | w->apart) & ~past;
    b->stop[k] = s.stop;
    b->mark[k] = s.mark;
    b->chars += n - (m.cont ? ds_bits_count(m.cont) : 0);
    b->words += ds_bits_count(b->start[k]);
    b->newlines += s.lf ? ds_bits_count(s.lf) : 0;
    b->hashes += s.hash ? ds_bits_count(s.hash) : 0;
    if (k)
        count_ellipses(b, w, k, s.dot);
    w->dots = s.dot;
    w->before = x.space >> 63;
    w->apart = white >> 63;
}

/* Two elements more than the text needs in each array: one for the end, one for ds_bits_at. */
static int make_room(ds_textbits *b, size_t blocks, ds_err *err)
{
    uint64_t **const all[ARRAYS] = {&b->start, &b->edge,  &b->letter, &b->punct, &b->cont,
                                    &b->lf,    &b->apart, &b->stop,   &b->mark};
    size_t bytes;
    ds_buf_reset(&b->mem);
    if (!ds_mul_size(blocks + 2, ARRAYS * sizeof(uint64_t), &bytes) ||
        ds_buf_reserve(&b->mem, bytes))
        return ds_fail_nomem(err);
    for (size_t i = 0; i < ARRAYS; i++) {
        *all[i] = (uint64_t *)(void *)b->mem.data + i * (blocks + 2);
        (*all[i])[blocks] = (*all[i])[blocks + 1] = 0;
    }
    b->edge[blocks] = b->edge[blocks + 1] = UINT64_MAX;
    return 0;
}

int ds_textbits_set(ds_textbits *b, const ds_textclass *c, const uint8_t *p, size_t len,
                    ds_err *err)
{
    const size_t blocks = (len + 63) / 64;
    uint8_t last[64 + TOK_SLACK];
    walk w = {.before = 1, .apart = 1};
    if (len >= UINT32_MAX)
        return ds_fail(err, DS_FAIL, "a text of 4 GiB or more is not measured");
    b->p = p;
    b->len = len;
    b->chars = b->words = b->newlines = b->hashes = b->ellipses = 0;
    int rc = make_room(b, blocks, err);
    for (size_t k = 0; rc == 0 && k < blocks; k++) {
        const size_t left = len - k * 64, n = left < 64 ? left : 64;
        const bool near = left < sizeof last;
        if (near) {
            memset(last, 0, sizeof last);
            memcpy(last, p + k * 64, left);
        }
        one_block(b, c, &w, k, near ? last : p + k * 64, n);
    }
    if (rc == 0 && blocks)
        count_ellipses(b, &w, blocks, 0);
    return rc;
}

void ds_textbits_fini(ds_textbits *b)
{
    ds_buf_fini(&b->mem);
    *b = (ds_textbits){0};
}
