/* tok_window.c - see tok_window.h.
 *
 * Every byte of a character carries the character's kind, so that a run of characters is a run of
 * bits, and adding the lowest bit of a run to it gives the bit behind it. The letters used:
 *   l letters (with marks for DeepSeek)  p what the pattern takes for punctuation  n numbers
 *   c characters of DeepSeek's second split  s U+0020  nl line ends  t white space without line
 * ends White space is cut as \s*[\r\n]+|\s+(?!\S)|\s+ does: up to the last line end; then, before
 * anything but a hard end, all but the last character.
 */
#include "tok_window.h"
#include "tok_scan.h"

enum { K_LETTER, K_PUNCT, K_NUMBER, K_CJK, K_RARE, K_N };

void ds_tok_kinds(uint8_t kinds[256], enum tok_step_kind step)
{
    for (unsigned f = 0; f < 256; f++) {
        uint8_t v = K_PUNCT;
        if (step == TOK_STEP_DEEPSEEK) {
            const unsigned lm = DS_UNI_L | DS_UNI_M;
            if (f & (DS_UNI_N | DS_UNI_WS))
                v = K_RARE;
            else if (f & DS_UNI_CJK)
                v = f & lm ? K_CJK : K_RARE;
            else
                v = f & lm ? K_LETTER : f & DS_UNI_PS ? K_PUNCT : K_RARE;
        } else if (f & DS_UNI_WS) {
            v = K_RARE;
        } else if (f & DS_UNI_L) {
            v = K_LETTER;
        } else if (f & DS_UNI_N) {
            v = step == TOK_STEP_LLAMA3 ? K_RARE : K_NUMBER;
        }
        kinds[f] = v;
    }
}

typedef struct kinds {
    uint64_t l, p, n, c, s, nl, t;
    uint64_t valid;          /* bytes that are known */
    uint64_t ascii, letters; /* ASCII letters; bytes that begin a character */
    uint64_t han;            /* characters of three bytes that are Chinese or Japanese */
    bool final;              /* the text ends behind the valid ones */
} kinds;

static inline uint64_t low_bits(size_t n)
{
    return n < 64 ? ((uint64_t)1 << n) - 1 : UINT64_MAX;
}
static inline uint64_t run_starts(uint64_t m)
{
    return m & ~(m << 1);
}
/* The bits of `m` that runs of bits reach from `from`, which are starts of runs. */
static inline uint64_t run_from(uint64_t m, uint64_t from)
{
    return m & ~(m + from);
}
/* The bits behind those runs. */
static inline uint64_t run_ends(uint64_t m, uint64_t from)
{
    return (m + from) & ~m;
}

/* Characters beyond ASCII by table; returns how many bytes are known. */
static size_t take_high(const tok_window *w, const uint8_t *p, const tok_masks *m, size_t n,
                        uint64_t acc[K_N])
{
    uint64_t todo = m->high & ~m->cont & ~m->cjk & low_bits(n);
    while (todo != 0) {
        unsigned i = (unsigned)__builtin_ctzll(todo), k = p[i] < 0xe0 ? 2 : p[i] < 0xf0 ? 3 : 4;
        todo &= todo - 1;
        if (i + k > n)
            return i;
        uint8_t kind = w->kinds[w->cls[ds_uni_get(p + i, &k)]];
        if (kind == K_RARE)
            return i;
        acc[kind] |= (((uint64_t)1 << k) - 1) << i;
    }
    return n;
}

/* Starts of white space and what it leaves to the character behind it. */
static inline uint64_t white_starts(const kinds *k, uint64_t hard)
{
    uint64_t taken = run_from(k->nl, k->nl & k->p << 1); /* line ends that punctuation takes */
    uint64_t w = (k->t | k->nl) & ~taken, t = k->t;
    uint64_t ts = run_starts(t), ends = run_ends(t, ts) & k->valid;
    uint64_t after = ts & k->nl << 1; /* blanks behind a line end, unless another one follows */
    uint64_t lost = after != 0 ? run_ends(t, after) & k->nl : 0;
    for (; lost != 0; lost &= lost - 1) {
        uint64_t below = after & ((lost & -lost) - 1);
        after ^= (uint64_t)1 << (63 - __builtin_clzll(below));
    }
    if (after != 0 && !k->final && (t & (k->valid ^ k->valid >> 1)) != 0) {
        uint64_t last = (uint64_t)1 << (63 - __builtin_clzll(ts)); /* who knows what follows? */
        after &= ~last;
    }
    return run_starts(w) | after | (ends & ~k->nl & ~hard) >> 1;
}

static inline uint64_t threes(uint64_t n)
{
    uint64_t s = run_starts(n), all = s, inner = n & n << 1 & n << 2;
    while ((s = s << 3 & inner) != 0)
        all |= s;
    return all;
}

static inline uint64_t deepseek_starts(const kinds *k)
{
    uint64_t hard = k->n | k->c, al = k->ascii & k->l;
    uint64_t joins = k->p & k->ascii & ~((k->p | k->s) << 1) & al >> 1;
    uint64_t rest = joins != 0 ? run_ends(al, joins << 1) & k->l : 0; /* [A-Za-z]+, then others */
    return white_starts(k, hard) | (run_starts(k->l) & ~((k->t | joins) << 1)) | rest |
           (run_starts(k->p) & ~(k->s << 1)) | threes(k->n) | run_starts(k->c);
}

/* Punctuation that is one character, with no space before: a letter behind belongs to it. */
static inline uint64_t lone(const kinds *k)
{
    uint64_t first = k->letters, more = k->p & first & (k->p | k->s) << 1;
    if (first != UINT64_MAX)
        for (int i = 0; i < 3; i++)
            more |= more << 1 & ~first & k->p;
    return k->p & ~more;
}

/* Contractions at the apostrophes `at`, applied to the starts; returns how many bytes are certain.
 */
static size_t contractions(const uint8_t *p, uint64_t at, size_t n, const kinds *k, bool fold,
                           uint64_t *starts)
{
    for (; at != 0; at &= at - 1) {
        size_t i = (size_t)__builtin_ctzll(at);
        if (i + 3 > n && !k->final)
            return i;
        unsigned m = scan_contraction(p + i, p + n);
        if (m != 0 && !fold && !scan_contraction_lower(p + i, m))
            m = 0;
        if (m == 0)
            continue;
        *starts &= ~((uint64_t)1 << (i + 1));
        if (i + m < 64)
            *starts |= (uint64_t)1 << (i + m);
    }
    return n;
}

static inline uint64_t llama_starts(const kinds *k, unsigned digits)
{
    uint64_t n = digits == 1 ? k->n & k->letters : threes(k->n);
    return white_starts(k, 0) | (run_starts(k->l) & ~((k->t | lone(k)) << 1)) |
           (run_starts(k->p) & ~(k->s << 1)) | n;
}

static inline uint64_t gpt2_starts(const kinds *k)
{
    uint64_t w = k->t | k->nl, ends = run_ends(w, run_starts(w)) & k->valid;
    return run_starts(w) | ends >> 1 |
           ((run_starts(k->l) | run_starts(k->n) | run_starts(k->p)) & ~(k->s << 1));
}

static inline uint64_t apostrophes(const kinds *k, const uint8_t *p)
{
    uint64_t at = k->p & k->ascii & ~((k->p | k->s) << 1) & k->l >> 1, out = 0;
    for (; at != 0; at &= at - 1)
        if (p[__builtin_ctzll(at)] == '\'')
            out |= at & -at;
    return out;
}

static void sort_kinds(const tok_window *w, const uint8_t *p, size_t *n, kinds *k)
{
    tok_masks m;
    uint64_t acc[K_N] = {0};
    w->classify(p, &m);
    const bool deepseek = w->step == TOK_STEP_DEEPSEEK;
    size_t known = *n;
    if (m.high != 0)
        known = take_high(w, p, &m, known, acc);
    if (deepseek && (m.control & low_bits(known)) != 0)
        known = (size_t)__builtin_ctzll(m.control);
    k->final = k->final && known == *n;
    uint64_t v = k->valid = low_bits(known);
    k->s = m.space & v;
    k->nl = m.newline & v;
    k->t = (m.space | m.blank) & v;
    k->n = (m.digit | acc[K_NUMBER]) & v;
    k->c = deepseek ? (m.cjk | acc[K_CJK]) & v : 0;
    k->l = (m.letter | acc[K_LETTER] | (deepseek ? 0 : m.cjk)) & v;
    k->p = v & ~(k->t | k->nl | k->n | k->c | k->l);
    k->ascii = ~m.high;
    k->han = (m.cjk | acc[K_CJK]) & v;
    k->letters = ~m.cont;
    *n = known;
}

static inline uint32_t three(const uint8_t *p)
{
    return (p[0] & 0x0fu) << 12 | (p[1] & 0x3fu) << 6 | (p[2] & 0x3fu);
}

/* Characters that nothing joins to the one before. Byte pair encoding left and right of such a
 * place is independent, and the pattern does not look back. */
static uint64_t part_starts(const tok_join *j, const uint8_t *p, const kinds *k)
{
    uint64_t at = k->han & k->letters & k->han << 1, out = 0;
    for (; at != 0; at &= at - 1) {
        unsigned i = (unsigned)__builtin_ctzll(at);
        bool may = tok_join_may(j, three(p + i - 3), p[i - 1], three(p + i), p[i]);
        out |= (uint64_t)!may << i;
    }
    return out;
}

size_t ds_tok_window_starts(const tok_window *w, const uint8_t *p, size_t left, uint64_t *starts)
{
    kinds k = {.final = left < TOK_WINDOW};
    size_t n = left < TOK_WINDOW ? left : TOK_WINDOW;
    sort_kinds(w, p, &n, &k);
    uint64_t s, at;
    switch (w->step) {
    case TOK_STEP_DEEPSEEK:
        s = deepseek_starts(&k);
        break;
    case TOK_STEP_GPT2:
        s = gpt2_starts(&k);
        break;
    default:
        s = llama_starts(&k, w->step == TOK_STEP_QWEN2 ? 1 : 3);
    }
    if (w->step != TOK_STEP_DEEPSEEK && (at = apostrophes(&k, p)) != 0) {
        size_t known = contractions(p, at, n, &k, w->step != TOK_STEP_GPT2, &s);
        k.final = k.final && known == n;
        n = known;
    }
    if (w->join != NULL && k.han != 0)
        s |= part_starts(w->join, p, &k);
    s = (s & low_bits(n)) | (n > 0);
    *starts = s;
    if (k.final)
        return n;
    return s > 1 ? 63 - (size_t)__builtin_clzll(s) : 0;
}
