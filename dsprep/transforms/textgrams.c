/* textgrams.c - see textgrams.h. */
#include "textgrams.h"

#include "hashcount.h"

static const ds_gramword *words_of(const ds_textgrams *g, size_t *n)
{
    *n = g->words.len / sizeof(ds_gramword);
    return (const ds_gramword *)(const void *)g->words.data;
}

#define FACTOR 0x9e3779b97f4a7c15u
#define SPREAD 0xd6e8feb86659fd93u

/* Before it is spread: words' hashes times powers of a number. */
static inline uint64_t gram_sum(const ds_gramword *w, unsigned n)
{
    uint64_t h = 0;
    for (unsigned i = 0; i < n; i++)
        h = h * FACTOR + w[i].hash;
    return h;
}

static inline uint64_t gram_hash(const ds_gramword *w, unsigned n)
{
    const uint64_t h = gram_sum(w, n) * SPREAD;
    return h ^ h >> 32;
}

static uint64_t gram_chars(const ds_gramword *w, unsigned n)
{
    uint64_t sum = 0;
    for (unsigned i = 0; i < n; i++)
        sum += w[i].chars;
    return sum;
}

/* ---- at a glance ---- */

#define SUMS_MIN 10 /* log2: buckets of sums */
#define SUMS_MAX 14
#define SEEN_MIN 12 /* log2: bits of pairs seen */
#define SEEN_MAX 22

/* The table sizes for so many words: log2. */
static unsigned log_size(size_t n, unsigned least, unsigned most)
{
    unsigned k = least;
    while (k < most && (size_t)1 << k < n)
        k++;
    return k;
}

static int clear(ds_buf *b, size_t bytes, ds_err *err)
{
    ds_buf_reset(b);
    if (ds_buf_reserve(b, bytes))
        return ds_fail_nomem(err);
    memset(b->data, 0, bytes);
    return 0;
}

/* Was the bit of a hash set? Sets it. */
static inline uint64_t see(uint64_t *seen, unsigned log, uint64_t h)
{
    uint64_t *bits = seen + (h >> (64 - log + 6));
    const unsigned bit = (unsigned)(h >> (64 - log) & 63);
    const uint64_t was = *bits >> bit & 1;
    *bits |= (uint64_t)1 << bit;
    return was;
}

/* Pairs fall into buckets by hash. What a bucket's pairs and the two words behind each come to is
 * not less than any n-gram of up to 4 words that begins with one of them, all its occurrences
 * taken together. And where an n-gram of 5 or more words repeats, four pairs in a row were seen
 * before, and so was the run of 5 words that they are. No branch depends on the text, but for rare
 * ones. */
static int glance(ds_textgrams *g, ds_err *err)
{
    size_t words, row = 0, upto = 0; /* pairs seen in a row; words covered so far */
    const ds_gramword *w = words_of(g, &words);
    const unsigned sums = log_size(words, SUMS_MIN, SUMS_MAX),
                   seens = log_size(64 * words, SEEN_MIN, SEEN_MAX);
    g->rough = true;
    g->rough_top = g->rough_dups = 0;
    if (words < 3)
        return 0;
    int rc = clear(&g->table, sizeof(uint64_t) << sums, err);
    if (rc == 0)
        rc = clear(&g->seen, (size_t)1 << (seens - 3), err);
    if (rc)
        return rc;
    uint64_t *sum = (uint64_t *)(void *)g->table.data, *seen = (uint64_t *)(void *)g->seen.data;
    uint64_t top = 0, chars = gram_chars(w, words < 4 ? 3 : 4) + 3;
    for (size_t i = 0; i + 1 < words; i++) {
        const uint64_t h = gram_sum(w + i, 2) * SPREAD;
        uint64_t *s = sum + (h >> (64 - sums));
        const uint64_t was = *s, all = was + chars, again = all & (0 - (uint64_t)(was != 0));
        *s = all;
        top = again > top ? again : top;
        row = (row + 1) & (0 - (size_t)see(seen, seens, h << sums));
        chars += (i + 4 < words ? w[i + 4].chars : 0) - (uint64_t)w[i].chars;
        if (i + 1 < DS_DUP_MIN - 1)
            continue;
        const uint64_t five = see(seen, seens, gram_sum(w + i + 2 - DS_DUP_MIN, 5) * SPREAD);
        if (row < DS_DUP_MIN - 1 || !five)
            continue;
        const size_t at = i + 2 - DS_DUP_MIN, from = at > upto ? at : upto;
        g->rough_dups += gram_chars(w + from, (unsigned)(i + 2 - from));
        upto = i + 2;
    }
    g->rough_top = top;
    return 0;
}

static int glance_once(ds_textgrams *g, ds_err *err)
{
    return g->rough ? 0 : glance(g, err);
}

/* ---- pairs ---- */

/* A longer n-gram that ends its last occurrence at i began with a pair that had come at least as
 * often by then. */
static int count_pairs(ds_textgrams *g, ds_err *err)
{
    size_t words;
    const ds_gramword *w = words_of(g, &words);
    uint64_t top = 1;
    ds_hashcount t = {0};
    g->paired = true;
    memset(g->top, 0, sizeof g->top);
    int rc = words > 2 ? ds_hashcount_begin(&t, &g->table, words - 1, err) : 0;
    for (size_t i = 0; rc == 0 && i + 2 < words + (words > 2); i++) {
        const uint64_t count = ds_hashcount_put(&t, gram_hash(w + i, 2));
        if (count < 2)
            continue;
        uint64_t chars = gram_chars(w + i, 2) + 1;
        if (count > top || (count == top && chars * count > g->top[2]))
            g->top[2] = chars * count;
        top = count > top ? count : top;
        for (unsigned n = 3; n <= DS_TOP_MAX && i + n <= words; n++) {
            chars += w[i + n - 1].chars + 1;
            if (chars * count > g->top[n])
                g->top[n] = chars * count;
        }
    }
    return rc;
}

static int pair_once(ds_textgrams *g, ds_err *err)
{
    return g->paired ? 0 : count_pairs(g, err);
}

/* ---- n-grams ---- */

int ds_textgrams_top(ds_textgrams *g, unsigned n, uint64_t enough, uint64_t *chars, ds_err *err)
{
    size_t words;
    const ds_gramword *w = words_of(g, &words);
    const size_t grams = words < n ? 0 : words - n + 1;
    uint32_t top = 1;
    ds_hashcount t = {0};
    *chars = 0;
    int rc = glance_once(g, err);
    if (rc || g->rough_top <= enough || (rc = pair_once(g, err)) != 0)
        return rc;
    *chars = n == 2 ? g->top[2] : 0;
    if (n == 2 || g->top[n] <= enough)
        return 0;
    rc = grams > 1 ? ds_hashcount_begin(&t, &g->table, grams, err) : 0;
    if (rc || grams < 2)
        return rc;
    for (size_t i = 0; i < grams; i++) {
        const uint32_t count = ds_hashcount_put(&t, gram_hash(w + i, n));
        if (count < 2 || count < top)
            continue;
        const uint64_t c = (gram_chars(w + i, n) + n - 1) * count;
        if (count > top || c > *chars)
            *chars = c;
        top = count;
    }
    return rc;
}

int ds_textgrams_dups(ds_textgrams *g, unsigned n, uint64_t enough, uint64_t *chars, ds_err *err)
{
    size_t words;
    const ds_gramword *w = words_of(g, &words);
    ds_hashcount t = {0};
    *chars = 0;
    if (words <= n)
        return 0;
    int rc = glance_once(g, err);
    if (rc || g->rough_dups <= enough)
        return rc;
    rc = ds_hashcount_begin(&t, &g->table, words, err);
    for (size_t i = 0; rc == 0 && i + n <= words;) {
        const bool seen = ds_hashcount_put(&t, gram_hash(w + i, n)) > 1;
        *chars += seen ? gram_chars(w + i, n) : 0;
        i += seen ? n : 1;
    }
    return rc;
}

void ds_textgrams_reset(ds_textgrams *g)
{
    ds_buf_reset(&g->words);
    g->rough = g->paired = false;
}

void ds_textgrams_fini(ds_textgrams *g)
{
    ds_buf_fini(&g->words);
    ds_buf_fini(&g->table);
    ds_buf_fini(&g->seen);
    *g = (ds_textgrams){0};
}
