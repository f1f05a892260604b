/* MinHash: pairs of a known similarity are found as often as theory says, others never; what words
 * are. */
#include "unit.h"

#include <math.h>

#include "dsr_make.h"
#include "minhash.h"

enum { WORDS = 300, PAIRS = 400, MOST_BANDS = 60 };

typedef struct setting {
    ds_wordfold *fold;
    ds_minhash m;
    ds_minwork w;
} setting;

static void begin_with(setting *s, uint64_t seed, unsigned bands, unsigned rows)
{
    ds_err err = {0};
    *s = (setting){0};
    assert_int_equal(ds_wordfold_new(&s->fold, &err), 0);
    assert_int_equal(ds_minhash_init(&s->m, s->fold, seed, bands, rows, DS_MIN_WORDS, &err), 0);
}

static void begin(setting *s, uint64_t seed)
{
    begin_with(s, seed, DS_MIN_BANDS, DS_MIN_ROWS);
}

static void end(setting *s)
{
    ds_minwork_fini(&s->w);
    ds_minhash_fini(&s->m);
    ds_wordfold_free(s->fold);
}

static bool bands_of(setting *s, const void *p, size_t len, uint64_t *bands)
{
    ds_err err = {0};
    bool any;
    assert_int_equal(ds_minhash_text(&s->m, &s->w, p, len, bands, &any, &err), 0);
    return any;
}

static bool share(const uint64_t *a, const uint64_t *b, unsigned n)
{
    bool any = false;
    for (unsigned i = 0; i < n; i++)
        any = any || a[i] == b[i];
    return any;
}

static void random_words(ds_buf *b, uint64_t *state, unsigned n)
{
    for (unsigned i = 0; i < n; i++) {
        uint64_t r = make_random(state);
        for (unsigned k = 0; k < 8; k++, r /= 26)
            assert_int_equal(ds_buf_putc(b, (uint8_t)('a' + r % 26)), 0);
        assert_int_equal(ds_buf_putc(b, ' '), 0);
    }
}

/* Two texts of WORDS words that begin with the same `same` ones. */
static double found(setting *s, unsigned same, uint64_t *state)
{
    unsigned n = 0;
    ds_buf a = {0}, b = {0};
    for (unsigned i = 0; i < PAIRS; i++) {
        uint64_t x[MOST_BANDS], y[MOST_BANDS];
        ds_buf_reset(&a);
        ds_buf_reset(&b);
        random_words(&a, state, same);
        assert_int_equal(ds_buf_put(&b, a.data, a.len), 0);
        random_words(&a, state, WORDS - same);
        random_words(&b, state, WORDS - same);
        assert_true(bands_of(s, a.data, a.len, x));
        assert_true(bands_of(s, b.data, b.len, y));
        n += share(x, y, s->m.bands);
    }
    ds_buf_fini(&a);
    ds_buf_fini(&b);
    return (double)n / PAIRS;
}

/* Every `step`-th similarity. */
static void check_recall(setting *s, unsigned step)
{
    uint64_t state = 5;
    for (unsigned same = 0; same <= WORDS; same += step) {
        const double shared = same >= DS_MIN_WORDS ? same - DS_MIN_WORDS + 1 : 0,
                     all = WORDS - DS_MIN_WORDS + 1, j = shared / (2 * all - shared),
                     p = 1 - pow(1 - pow(j, s->m.rows), s->m.bands),
                     sigma = sqrt(p * (1 - p) / PAIRS);
        const double f = found(s, same, &state); /* the seed is fixed: this passes or not, always */
        assert_true(fabs(f - p) <= 4 * sigma + 0.003);
    }
}

static void recall_is_what_theory_says(void **unused)
{
    (void)unused;
    static const unsigned other[][2] = {{3, 1}, {25, 10}, {MOST_BANDS, 2}};
    setting s;
    begin(&s, 1);
    check_recall(&s, 20);
    end(&s);
    for (size_t i = 0; i < sizeof other / sizeof *other; i++) {
        begin_with(&s, 1, other[i][0], other[i][1]);
        check_recall(&s, 60);
        end(&s);
    }
}

static bool alike(setting *s, const char *a, const char *b)
{
    uint64_t x[DS_MIN_BANDS], y[DS_MIN_BANDS];
    assert_true(bands_of(s, a, strlen(a), x));
    assert_true(bands_of(s, b, strlen(b), y));
    return memcmp(x, y, sizeof x) == 0;
}

static void what_words_are(void **unused)
{
    (void)unused;
    setting s;
    uint64_t x[DS_MIN_BANDS];
    begin(&s, 1);
    assert_true(alike(&s, "Bearing 7 runs hot", "bearing 12345, runs (HOT)!"));
    assert_true(alike(&s, "\xc3\x84rger \xd0\x9c\xd0\xb8\xd1\x80",
                      "\xc3\xa4rger \xd0\xbc\xd0\x98\xd1\x80"));
    assert_true(alike(&s, "e\xcc\x81t", "et"));        /* marks are dropped */
    assert_true(alike(&s, "\xc3\xa9t", "e\xcc\x81t")); /* composed or not */
    assert_true(alike(&s, "\xc5\x81\xc3\x93\xc5\xb9", "\xc5\x82o\xcc\x81z\xcc\x81")); /* Lodz */
    assert_true(alike(&s, "\xce\xa3\xce\x91\xce\xa3", "\xcf\x83\xce\xb1\xcf\x82"));   /* sigmas */
    assert_true(alike(&s, "\xed\x95\x9c", "\xe1\x84\x92\xe1\x85\xa1\xe1\x86\xab"));   /* Hangul */
    assert_true(alike(&s, "\xe3\x81\x8c", "\xe3\x81\x8b\xe3\x82\x99"));               /* kana */
    assert_true(alike(&s, "\xef\xbc\xa1\xef\xbc\x92", "a2")); /* full width */
    assert_true(alike(&s,
                      "o\xef\xac\x83"
                      "ce",
                      "office")); /* a ligature */
    assert_true(alike(&s,
                      "in\xc2\xad"
                      "for\xe2\x80\x8bm",
                      "inform")); /* unseen */
    assert_true(alike(&s,
                      "\xef\xbb\xbf"
                      "a\xe2\x80\x8f b",
                      "a b"));
    assert_true(alike(&s, "\xc2\xbd x", "1 2 x"));
    assert_true(alike(&s, "\xe8\xbd\xb4\xe6\x89\xbf", "\xe8\xbd\xb4 \xe6\x89\xbf\xe3\x80\x82"));
    assert_false(alike(&s, "one two", "two one"));
    assert_false(alike(&s, "one two three four five six", "one two three four five"));
    assert_false(bands_of(&s, " ...\n", 5, x));
    assert_false(bands_of(&s, "", 0, x));
    end(&s);
}

/* The hashes are part of what a stream is: they may not change from machine to machine. */
static void known_answers(void **unused)
{
    (void)unused;
    setting s;
    uint64_t a[DS_MIN_BANDS], b[DS_MIN_BANDS];
    const char *t = "the valve was replaced on monday and the pump runs again";
    begin(&s, 1);
    assert_true(bands_of(&s, t, strlen(t), a));
    assert_int_equal(a[0], UINT64_C(0xdf3b9d2add414bb3));
    assert_int_equal(a[13], UINT64_C(0xc06f14cfa1ef078f));
    end(&s);
    begin(&s, 2);
    assert_true(bands_of(&s, t, strlen(t), b));
    assert_false(share(a, b, DS_MIN_BANDS));
    end(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(recall_is_what_theory_says),
        cmocka_unit_test(what_words_are),
        cmocka_unit_test(known_answers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
