/* What filters measure in texts, beside a slow reading of the same definitions: random texts of
 * pieces that are awkward, at every length up to some blocks of 64 bytes. */
#include "unit.h"

#include "dsr_make.h"
#include "textmeasure.h"
#include "tok_uni.h"

enum { CHARS = 4096 };

static ds_textclass *classes;

static int setup(void **state)
{
    ds_err err = {0};
    (void)state;
    return ds_textclass_new(&classes, &err);
}

static int teardown(void **state)
{
    (void)state;
    ds_textclass_free(classes);
    return 0;
}

/* ---- the slow reading ---- */

typedef struct piece {
    size_t at, end; /* characters */
} piece;

typedef struct slow {
    uint32_t cp[CHARS + 1];
    uint8_t cls[CHARS + 1];
    size_t from[CHARS + 1]; /* byte of each character */
    size_t n, words;
    piece word[CHARS];
    const uint8_t *p;
} slow;

static bool space(const slow *s, size_t i)
{
    return s->cls[i] & DS_UNI_WS;
}

static void read_text(slow *s, const uint8_t *p, size_t len)
{
    s->n = s->words = 0;
    s->p = p;
    for (size_t i = 0; i < len; s->n++) {
        unsigned size;
        assert_true(s->n < CHARS);
        s->from[s->n] = i;
        s->cp[s->n] = ds_uni_get(p + i, &size);
        s->cls[s->n] = ds_textclass_of(classes, s->cp[s->n]);
        i += size;
    }
    s->from[s->n] = len;
    for (size_t i = 0; i < s->n;) {
        size_t end = i + 1;
        if (space(s, i)) {
            i++;
            continue;
        }
        if (!(s->cls[i] & DS_UNI_CJK))
            while (end < s->n && !space(s, end) && !(s->cls[end] & DS_UNI_CJK))
                end++;
        s->word[s->words++] = (piece){i, end};
        i = end;
    }
}

static bool same(const slow *s, piece a, piece b)
{
    const size_t n = s->from[a.end] - s->from[a.at];
    return n == s->from[b.end] - s->from[b.at] &&
           memcmp(s->p + s->from[a.at], s->p + s->from[b.at], n) == 0;
}

static bool is_word(const slow *s, piece a, const char *w)
{
    const size_t n = s->from[a.end] - s->from[a.at];
    return n == strlen(w) && memcmp(s->p + s->from[a.at], w, n) == 0;
}

static void slow_words(const slow *s, ds_textfacts *f)
{
    static const char *const stops[] = {"the", "be", "to", "of", "and", "that", "have", "with"};
    unsigned seen = 0;
    f->chars = s->n;
    f->words = s->words;
    for (size_t i = 0; i < s->n; i++) {
        f->newlines += s->cp[i] == '\n';
        f->hashes += s->cp[i] == '#';
        f->ellipses += s->cp[i] == 0x2026;
    }
    for (size_t i = 0; i + 2 < s->n; i++)
        if (s->cp[i] == '.' && s->cp[i + 1] == '.' && s->cp[i + 2] == '.') {
            f->ellipses++;
            i += 2;
        }
    for (size_t i = 0; i < s->words; i++) {
        piece w = s->word[i];
        bool letter = false;
        for (size_t k = w.at; k < w.end; k++)
            letter = letter || s->cls[k] & DS_UNI_L;
        f->alpha_words += letter;
        while (w.end > w.at && s->cls[w.end - 1] & DS_UNI_PS)
            w.end--;
        while (w.at < w.end && s->cls[w.at] & DS_UNI_PS)
            w.at++;
        if (w.at == w.end)
            continue;
        f->real_words++;
        f->real_chars += w.end - w.at;
        for (unsigned k = 0; k < 8; k++)
            seen |= is_word(s, w, stops[k]) ? 1u << k : 0;
    }
    f->stop_words = (uint64_t)__builtin_popcount(seen);
}

static bool one_of(uint32_t cp, const uint32_t *v, size_t n)
{
    bool any = false;
    for (size_t i = 0; i < n; i++)
        any = any || v[i] == cp;
    return any;
}

static void slow_lines(const slow *s, ds_textfacts *f)
{
    static const uint32_t ends[] = {'.',    '!',    '?',    '"',    '\'',   0x589, 0x3002,
                                    0xff01, 0xff1f, 0x201d, 0x2019, 0x2026, 0xbb,  0x964,
                                    0x61f,  0x6d4,  0x300d, 0xff0e, 0xff61, 0x1362};
    static piece full[CHARS];
    for (size_t at = 0, lf; at < s->n; at = lf + 1) {
        for (lf = at; lf < s->n && s->cp[lf] != '\n'; lf++)
            ;
        piece l = {at, lf < s->n && lf > at && s->cp[lf - 1] == '\r' ? lf - 1 : lf}, t = l;
        while (t.at < t.end && space(s, t.at))
            t.at++;
        while (t.at < t.end && space(s, t.end - 1))
            t.end--;
        f->lines++;
        if (t.at == t.end)
            continue;
        const uint32_t *e = s->cp + t.end;
        const size_t chars = l.end - l.at;
        bool again = false;
        f->bullet_lines += s->cp[t.at] == '-' || s->cp[t.at] == 0x2022;
        f->ellipsis_ends +=
            e[-1] == 0x2026 || (t.end - t.at >= 3 && e[-1] == '.' && e[-2] == '.' && e[-3] == '.');
        f->ended_lines += one_of(s->cp[l.end - 1], ends, sizeof ends / sizeof *ends);
        f->short_lines += chars <= 30;
        for (size_t i = 0; i < f->full_lines; i++)
            again = again || same(s, full[i], l);
        f->dup_full_chars += again ? chars : 0;
        full[f->full_lines++] = l;
    }
}

static void slow_parts(const slow *s, size_t least, uint64_t *n, uint64_t *dups, uint64_t *chars)
{
    static piece part[CHARS];
    piece t = {0, s->n};
    while (t.at < t.end && space(s, t.at))
        t.at++;
    while (t.at < t.end && space(s, t.end - 1))
        t.end--;
    *n = *dups = *chars = 0;
    for (size_t at = t.at, i = at;; i++) {
        size_t run = 0;
        while (i + run < t.end && s->cp[i + run] == '\n')
            run++;
        if (i < t.end && run < least) {
            i += run ? run - 1 : 0;
            continue;
        }
        const piece w = {at, i};
        bool again = false;
        for (size_t k = 0; k < *n; k++)
            again = again || same(s, part[k], w);
        part[(*n)++] = w;
        *dups += again;
        *chars += again ? i - at : 0;
        if (i >= t.end)
            return;
        at = i + run;
        i = at - 1;
    }
}

/* ---- n-grams ---- */

static bool same_gram(const slow *s, size_t a, size_t b, unsigned n)
{
    bool all = true;
    for (unsigned i = 0; i < n && all; i++)
        all = same(s, s->word[a + i], s->word[b + i]);
    return all;
}

static uint64_t gram_chars(const slow *s, size_t at, unsigned n)
{
    uint64_t sum = 0;
    for (unsigned i = 0; i < n; i++)
        sum += s->word[at + i].end - s->word[at + i].at;
    return sum;
}

static uint64_t slow_top(const slow *s, unsigned n)
{
    uint64_t most = 1, chars = 0;
    for (size_t i = 0; i + n <= s->words; i++) {
        uint64_t count = 0;
        for (size_t k = 0; k + n <= s->words; k++)
            count += same_gram(s, i, k, n);
        const uint64_t c = (gram_chars(s, i, n) + n - 1) * count;
        if (count > most || (count == most && count > 1 && c > chars))
            chars = c;
        most = count > most ? count : most;
    }
    return chars;
}

static uint64_t slow_dups(const slow *s, unsigned n)
{
    static size_t seen[CHARS];
    size_t many = 0;
    uint64_t chars = 0;
    for (size_t i = 0; i + n <= s->words;) {
        bool again = false;
        for (size_t k = 0; k < many && !again; k++)
            again = same_gram(s, seen[k], i, n);
        if (!again)
            seen[many++] = i;
        chars += again ? gram_chars(s, i, n) : 0;
        i += again ? n : 1;
    }
    return chars;
}

/* ---- texts ---- */

static const char *const pieces[] = {
    "the ",
    "of",
    " ",
    " ",
    " ",
    "\n",
    "\n",
    "\n\n",
    "\r\n",
    "that ",
    "with, ",
    "(have)",
    "and\t",
    "-",
    "\xe2\x80\xa2 ",
    "...",
    "..",
    "#",
    "\xe2\x80\xa6",
    "caf\xc3\xa9 ",
    "\xe8\xbd\xb4\xe6\x89\xbf",
    "\xe3\x81\x82",
    "\xe4\xb8\x80",
    "\xe9\xbe\xa5",
    "\xe9\xbd\xbf",
    "\xe3\x80\x82",
    "\xc2\xa0",
    "\xe3\x80\x80",
    "\xc2\x85",
    "\xe2\x80\x83",
    "word ",
    "longer",
    "bearing ",
    "1984",
    "\xf0\x9f\x98\x80",
    "\x01",
    "x",
    ".\n",
    "!\n",
    "\xe2\x80\x9d\n",
    ";",
    "tothe",
    "the\n",
    "a line that comes again and again.\n",
    "an even longer line that comes again and again\n\n",
    "\xcc\x81",
    "anunbrokenrunoflettersthatgoesonformorethansixtyfourbytesforsureandthensome"};

static size_t make_text(uint8_t *p, size_t most, uint64_t *state)
{
    const unsigned kinds =
        2 + (unsigned)(make_random(state) % (sizeof pieces / sizeof *pieces - 2));
    const unsigned first = (unsigned)(make_random(state) % (sizeof pieces / sizeof *pieces));
    size_t len = 0;
    for (;;) {
        const char *s =
            pieces[(first + make_random(state) % kinds) % (sizeof pieces / sizeof *pieces)];
        if (strlen(s) > most - len)
            return len;
        memcpy(p + len, s, strlen(s));
        len += strlen(s);
    }
}

static void check_grams(ds_textmeasure *m, const slow *s, uint64_t enough)
{
    ds_err err = {0};
    uint64_t got;
    for (unsigned n = DS_TOP_MIN; n <= DS_DUP_MAX; n++) {
        const bool top = n <= DS_TOP_MAX;
        const uint64_t want = top ? slow_top(s, n) : slow_dups(s, n);
        assert_int_equal(top ? ds_textgrams_top(&m->grams, n, enough, &got, &err)
                             : ds_textgrams_dups(&m->grams, n, enough, &got, &err),
                         0);
        assert_true(got == want || (got == 0 && want <= enough));
    }
}

static void facts(void **state)
{
    static slow s;
    ds_textmeasure m = {0};
    ds_err err = {0};
    uint64_t seed = 7;
    (void)state;
    for (unsigned i = 0; i < 1500; i++) {
        const size_t most = i % 300;
        uint8_t *p = malloc(most + 1); /* so that reading past the end is seen */
        assert_non_null(p);
        const size_t len = make_text(p, most, &seed);
        uint8_t *q = malloc(len + !len);
        assert_non_null(q);
        memcpy(q, p, len);
        ds_textfacts want = {0};
        read_text(&s, q, len);
        slow_words(&s, &want);
        slow_lines(&s, &want);
        slow_parts(&s, 1, &want.rlines, &want.dup_rlines, &want.dup_rline_chars);
        slow_parts(&s, 2, &want.paras, &want.dup_paras, &want.dup_para_chars);
        assert_int_equal(ds_textmeasure_set(&m, classes, q, len, 31, &err), 0);
        assert_memory_equal(&m.f, &want, sizeof want);
        check_grams(&m, &s, i % 3 ? make_random(&seed) % (len + 1) : 0);
        free(p);
        free(q);
    }
    ds_textmeasure_fini(&m);
}

/* Few words, so that n-grams of all lengths repeat. */
static void grams(void **state)
{
    static slow s;
    static const char *const few[] = {"a ", "bb ", "ccc ", "dddd "};
    ds_textmeasure m = {0};
    ds_err err = {0};
    uint64_t seed = 3;
    (void)state;
    for (unsigned i = 0; i < 400; i++) {
        uint8_t p[600];
        size_t len = 0;
        const unsigned kinds = 1 + i % 4, words = (unsigned)(make_random(&seed) % 120);
        for (unsigned k = 0; k < words; k++) {
            const char *w = few[make_random(&seed) % kinds];
            memcpy(p + len, w, strlen(w));
            len += strlen(w);
        }
        read_text(&s, p, len);
        assert_int_equal(ds_textmeasure_set(&m, classes, p, len, DS_WANT_GRAMS, &err), 0);
        check_grams(&m, &s, i % 2 ? make_random(&seed) % (len + 1) : 0);
    }
    ds_textmeasure_fini(&m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(facts), cmocka_unit_test(grams)};
    return cmocka_run_group_tests(tests, setup, teardown);
}
