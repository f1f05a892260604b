/* textparts.c - see textparts.h. */
#include "textparts.h"

#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#include "hash.h"
#include "utf8.h"

enum { RUN_MIN = 5, RUN_MAX = 100000 };

bool ds_text_blank(const uint8_t *p, size_t len)
{
    while (len && ds_ascii_white(p[len - 1]))
        len--;
    return len == 0;
}

int ds_partrules_read(ds_partrules *r, const char *text, ds_err *err)
{
    const bool words = strncmp(text, "words=", 6) == 0;
    const char *end = words ? text + 6 : text;
    uint64_t n;
    r->run = 1;
    if (strcmp(text, "line") == 0) {
        r->how = DS_PART_LINE;
    } else if (strcmp(text, "paragraph") == 0) {
        r->how = DS_PART_PARAGRAPH;
    } else if (words && ds_digits_next(&end, &n) && n >= RUN_MIN && n <= RUN_MAX && !*end) {
        r->how = DS_PART_WORDS;
        r->run = (unsigned)n;
    } else {
        return ds_fail(err, DS_USAGE,
                       "--parts %s: it is line, paragraph or words=N, with N from %d to %d", text,
                       RUN_MIN, RUN_MAX);
    }
    return 0;
}

/* ---- lines and paragraphs ---- */

typedef struct walk {
    const ds_partrules *r;
    ds_partwork *w;
    const uint8_t *p;
    int (*put)(void *ctx, const ds_textpart *part, ds_err *err);
    void *ctx;
} walk;

/* The two numbers that stand for words: not SHA-256, as words are hashed by no such thing. */
static void hash_words(uint8_t out[DS_PART_HASH], const void *words, size_t len)
{
    XXH128_canonical_t c;
    XXH128_canonicalFromHash(&c, XXH3_128bits(words, len));
    memcpy(out, c.digest, DS_PART_HASH);
}

/* The part whose text is [at, end), and with which all up to `to` goes. */
static int put_part(const walk *k, size_t at, size_t end, size_t to, ds_err *err)
{
    ds_textpart part = {.from = at, .to = to};
    ds_sha sha;
    while (at < end && ds_ascii_white(k->p[at]))
        at++;
    while (end > at && ds_ascii_white(k->p[end - 1]))
        end--;
    if (at == end || (k->r->chars && ds_utf8_count(k->p + at, end - at) < k->r->chars))
        return 0;
    if (k->r->words) {
        ds_buf_reset(&k->w->words);
        if (ds_normwords(&k->w->words, NULL, k->r->fold, true, k->p + at, end - at))
            return ds_fail_nomem(err);
        if (k->w->words.len == 0)
            return 0;
        hash_words(part.hash, k->w->words.data, k->w->words.len);
        return k->put(k->ctx, &part, err);
    }
    const int rc = ds_sha_bytes(&sha, k->p + at, end - at, err);
    memcpy(part.hash, sha.b, DS_PART_HASH);
    return rc ? rc : k->put(k->ctx, &part, err);
}

/* Behind the line that begins at `at`. */
static size_t next_line(const uint8_t *p, size_t len, size_t at)
{
    const uint8_t *lf = memchr(p + at, '\n', len - at);
    return lf ? (size_t)(lf - p) + 1 : len;
}

static int put_lines(const walk *k, size_t len, ds_err *err)
{
    int rc = 0;
    for (size_t at = 0, next; rc == 0 && at < len; at = next) {
        next = next_line(k->p, len, at);
        rc = put_part(k, at, next, next, err);
    }
    return rc;
}

static int put_paragraphs(const walk *k, size_t len, ds_err *err)
{
    size_t from = 0, end = 0; /* of the paragraph; none yet where they are equal */
    int rc = 0;
    for (size_t at = 0, next; rc == 0 && at < len; at = next) {
        next = next_line(k->p, len, at);
        if (ds_text_blank(k->p + at, next - at))
            continue;
        if (end == at && from < end) { /* the line goes on with it */
            end = next;
            continue;
        }
        rc = from < end ? put_part(k, from, end, at, err) : 0;
        from = at;
        end = next;
    }
    return rc == 0 && from < end ? put_part(k, from, end, len, err) : rc;
}

/* ---- runs of words ---- */

/* Where what follows the word that ends at `end` begins: behind its punctuation and the white space
 * after that, but not behind the next word. */
static size_t behind(const uint8_t *p, size_t end, size_t next)
{
    while (end < next && !ds_ascii_white(p[end]))
        end++;
    while (end < next && ds_ascii_white(p[end]))
        end++;
    return end;
}

/* Two sums of words' hashes times powers, and both spread: 128 bits. */
typedef struct lane {
    uint64_t factor, power, sum;
} lane;

static void lane_begin(lane *l, uint64_t factor, unsigned n)
{
    *l = (lane){.factor = factor, .power = 1};
    while (n--)
        l->power *= factor;
}

static inline void lane_roll(lane *l, uint64_t first, uint64_t next)
{
    l->sum = (l->sum - first * l->power + next) * l->factor;
}

static int put_runs(const walk *k, size_t len, ds_err *err)
{
    ds_partwork *w = k->w;
    const size_t run = k->r->run;
    lane a, b;
    int rc = 0;
    ds_buf_reset(&w->words);
    ds_buf_reset(&w->places);
    if (ds_normwords(&w->words, &w->places, k->r->fold, k->r->words, k->p, len))
        return ds_fail_nomem(err);
    const uint64_t *x = (const uint64_t *)(const void *)w->words.data;
    const uint32_t *at = (const uint32_t *)(const void *)w->places.data;
    const size_t n = w->words.len / sizeof *x;
    lane_begin(&a, DS_NORM_PRIME, k->r->run);
    lane_begin(&b, UINT64_C(0xd6e8feb86659fd93), k->r->run);
    for (size_t i = 0; rc == 0 && i < n; i++) {
        lane_roll(&a, i < run ? 0 : x[i - run], x[i]);
        lane_roll(&b, i < run ? 0 : ds_norm_mix(~x[i - run]), ds_norm_mix(~x[i]));
        if (i + 1 < run)
            continue;
        ds_textpart part = {.from = at[2 * (i + 1 - run)]};
        part.to = behind(k->p, at[2 * i + 1], i + 1 < n ? at[2 * (i + 1)] : len);
        ds_set_u64(part.hash, ds_norm_mix(a.sum));
        ds_set_u64(part.hash + 8, ds_norm_mix(b.sum));
        rc = k->put(k->ctx, &part, err);
    }
    return rc;
}

int ds_textparts(const ds_partrules *r, ds_partwork *w, const uint8_t *p, size_t len,
                 int (*put)(void *ctx, const ds_textpart *part, ds_err *err), void *ctx,
                 ds_err *err)
{
    const walk k = {r, w, p, put, ctx};
    if (len > UINT32_MAX)
        return ds_fail(err, DS_FAIL, "a text of %zu bytes: of 4 GiB and more no parts are made",
                       len);
    return r->how == DS_PART_LINE        ? put_lines(&k, len, err)
           : r->how == DS_PART_PARAGRAPH ? put_paragraphs(&k, len, err)
                                         : put_runs(&k, len, err);
}

void ds_partwork_fini(ds_partwork *w)
{
    ds_buf_fini(&w->words);
    ds_buf_fini(&w->places);
}
