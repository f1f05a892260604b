/* The trainer: counting, the order of merges, determinism; and that what it writes loads and
 * encodes. */
#include "unit.h"

#include <stdio.h>

#include "tok.h"
#include "tok_train.h"

static ds_words *words_of(const char *text)
{
    ds_words *w;
    ds_err err = {0};
    assert_int_equal(ds_words_new(&w, &err), 0);
    assert_int_equal(ds_words_add(w, text, strlen(text), &err), 0);
    return w;
}

static ds_tok *train(ds_words *w, const ds_train_options *o, ds_buf *json)
{
    ds_tok *t;
    ds_err err = {0};
    uint32_t n;
    if (ds_tok_train(json, &n, w, o, &err) != 0 ||
        ds_tok_parse(&t, json->data, json->len, "trained", &err) != 0)
        fail_msg("%s", err.msg);
    assert_int_equal(n, ds_tok_vocab_size(t));
    return t;
}

static const char *const END[] = {"<|endoftext|>"};

static void counts(void **state)
{
    (void)state;
    ds_words *w = words_of("a b a  b\n1234");
    /* a, " b", " a", " ", " b", "\n", 123, 4 */
    assert_int_equal(ds_words_total(w), 8);
    assert_int_equal(ds_words_distinct(w), 7);
    ds_err err = {0};
    assert_int_equal(ds_words_add(w, "ab\xff", 3, &err), DS_FAIL);
    assert_non_null(strstr(err.msg, "byte 2"));
    assert_int_equal(ds_words_total(w), 8);
    ds_words *v = words_of("a a");
    assert_int_equal(ds_words_merge(w, v, NULL), 0);
    assert_int_equal(ds_words_total(w), 10);
    assert_int_equal(ds_words_distinct(w), 7);
    ds_words_free(v);
    ds_words_free(w);
    ds_words_free(NULL);
}

/* "low" x 5, "lower" x 2, "newest" x 6, "widest" x 3, as in Sennrich et al.: es, est, then lo, low
 * ... */
static void known_merges(void **state)
{
    (void)state;
    ds_words *w =
        words_of("low\nlow\nlow\nlow\nlow\nlower\nlower\nnewest\nnewest\nnewest\nnewest\nnewest\n"
                 "newest\nwidest\nwidest\nwidest");
    ds_train_options o = {.vocab_size = 262, .special = END, .n_special = 1};
    ds_buf json = {0};
    ds_tok *t = train(w, &o, &json);
    static const char *const want[] = {"es", "est", "lo", "low", "ew"};
    for (uint32_t i = 0; i < 5; i++)
        assert_string_equal(ds_tok_text(t, 257 + i, NULL), want[i]);
    assert_string_equal(ds_tok_text(t, 0, NULL), "<|endoftext|>");
    assert_string_equal(ds_tok_text(t, 1, NULL), "!");
    assert_true(ds_tok_is_special(t, 0));
    ds_tok_free(t);
    ds_buf_fini(&json);
    ds_words_free(w);
}

static void ties_go_to_the_smallest_pair(void **state)
{
    (void)state;
    ds_words *w = words_of("cd\nab\ncd\nab");
    ds_train_options o = {.vocab_size = 300};
    ds_buf json = {0};
    ds_tok *t = train(w, &o, &json);
    assert_string_equal(ds_tok_text(t, 256, NULL), "ab");
    assert_string_equal(ds_tok_text(t, 257, NULL), "cd");
    assert_int_equal(ds_tok_vocab_size(t), 258); /* no pair is left */
    ds_tok_free(t);
    ds_buf_fini(&json);
    ds_words_free(w);
}

static void rare_pairs_are_left(void **state)
{
    (void)state;
    ds_words *w = words_of("ab\nab\nab\ncd\ncd");
    ds_train_options o = {.vocab_size = 300, .min_count = 3};
    ds_buf json = {0};
    ds_tok *t = train(w, &o, &json);
    assert_int_equal(ds_tok_vocab_size(t), 257);
    ds_tok_free(t);
    ds_buf_fini(&json);
    ds_words_free(w);
}

/* A token of so many bytes is made of two bytes only. */
static void lengths(void **state)
{
    (void)state;
    const struct {
        uint64_t most;
        uint32_t tokens;
    } cases[] = {{0, 259}, {5, 259}, {4, 258}, {3, 258}, {2, 258}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        ds_words *w = words_of("abcd\nabcd\nabcd");
        ds_train_options o = {.vocab_size = 300, .min_count = 2, .max_token_length = cases[i].most};
        ds_buf json = {0};
        ds_tok *t = train(w, &o, &json);
        assert_int_equal(ds_tok_vocab_size(t), cases[i].tokens);
        ds_tok_free(t);
        ds_buf_fini(&json);
        ds_words_free(w);
    }
}

static void overlaps(void **state)
{
    (void)state;
    ds_words *w = words_of("aaaaa\naaaaa");
    ds_train_options o = {.vocab_size = 258};
    ds_buf json = {0};
    ds_tok *t = train(w, &o, &json);
    assert_string_equal(ds_tok_text(t, 256, NULL), "aa");
    assert_string_equal(ds_tok_text(t, 257, NULL), "aaa");
    ds_tok_free(t);
    ds_buf_fini(&json);
    ds_words_free(w);
}

/* A text, made of few letters so that tokens are reached in several ways. */
static void make_text(ds_buf *b, unsigned seed)
{
    uint32_t s = seed;
    for (int i = 0; i < 20000; i++) {
        s = s * 1664525u + 1013904223u;
        ds_buf_putc(b, (uint8_t) "abcab \n1e\xc3"[s >> 24 & 7]);
    }
}

static void order_does_not_matter(void **state)
{
    (void)state;
    ds_buf a = {0}, b = {0}, one = {0}, two = {0};
    make_text(&a, 1);
    make_text(&b, 2);
    ds_words *x = words_of(ds_buf_cstr(&a)), *y = words_of(ds_buf_cstr(&b)),
             *z = words_of(ds_buf_cstr(&b));
    assert_int_equal(ds_words_add(z, a.data, a.len, NULL), 0);
    assert_int_equal(ds_words_merge(x, y, NULL), 0);
    ds_train_options o = {.vocab_size = 600, .special = END, .n_special = 1};
    ds_tok *t = train(x, &o, &one), *u = train(z, &o, &two);
    assert_int_equal(one.len, two.len);
    assert_memory_equal(one.data, two.data, one.len);
    /* and what was learned gives the text back */
    ds_tok_state *st;
    ds_ids ids = {0};
    ds_buf back = {0};
    assert_int_equal(ds_tok_state_new(&st, t, NULL), 0);
    assert_int_equal(ds_tok_encode(t, st, a.data, a.len, 0, &ids, NULL), 0);
    assert_true(ids.n < a.len);
    assert_int_equal(ds_tok_decode(t, ids.v, ids.n, 0, &back, NULL), 0);
    assert_int_equal(back.len, a.len);
    assert_memory_equal(back.data, a.data, a.len);
    ds_buf_fini(&back);
    ds_ids_fini(&ids);
    ds_tok_state_free(st);
    ds_tok_free(t);
    ds_tok_free(u);
    ds_words_free(x);
    ds_words_free(y);
    ds_words_free(z);
    ds_buf_fini(&a);
    ds_buf_fini(&b);
    ds_buf_fini(&one);
    ds_buf_fini(&two);
}

/* Tables that may not grow, by several of them, into so many runs that runs are merged on the way:
 * the same tokenizer. */
static void under_a_limit(void **state)
{
    (void)state;
    static const size_t limits[] = {1, 200 << 10, 220 << 10, 1 << 20};
    ds_buf text = {0}, want = {0};
    uint32_t s = 1;
    for (int i = 0; i < 120000; i++) {
        s = s * 1664525u + 1013904223u;
        ds_buf_putc(&text, (uint8_t) "abcdefgh \n1ijklm"[s >> 24 & 15]);
    }
    ds_words *whole = words_of(ds_buf_cstr(&text));
    uint64_t distinct = ds_words_distinct(whole), total = ds_words_total(whole);
    ds_train_options o = {.vocab_size = 600, .special = END, .n_special = 1};
    ds_tok_free(train(whole, &o, &want));
    assert_true(distinct > 5000); /* the tables below are full more than once */
    for (size_t i = 0; i < sizeof limits / sizeof *limits; i++) {
        ds_word_runs *runs;
        ds_words *w[3];
        ds_buf json = {0};
        ds_err err = {0};
        assert_int_equal(ds_word_runs_new(&runs, &err), 0);
        for (size_t k = 0; k < 3; k++) {
            assert_int_equal(ds_words_new(&w[k], &err), 0);
            ds_words_limit(w[k], runs, limits[i]);
        }
        for (size_t at = 0, k = 0, cut; at < text.len; at = cut, k++) {
            cut = at + ds_words_cut(text.data + at, text.len - at, 1000);
            assert_int_equal(ds_words_add(w[k % 3], text.data + at, cut - at, &err), 0);
        }
        for (size_t k = 1; k < 3; k++) {
            assert_int_equal(ds_words_merge(w[0], w[k], &err), 0);
            ds_words_free(w[k]);
        }
        assert_int_equal(ds_words_finish(w[0], NULL, NULL, &err), 0);
        assert_int_equal(ds_words_distinct(w[0]), distinct);
        assert_int_equal(ds_words_total(w[0]), total);
        ds_tok_free(train(w[0], &o, &json));
        assert_int_equal(json.len, want.len);
        assert_memory_equal(json.data, want.data, want.len);
        ds_buf_fini(&json);
        ds_words_free(w[0]);
        ds_word_runs_free(runs);
    }
    ds_words_free(whole);
    ds_buf_fini(&text);
    ds_buf_fini(&want);
}

static int stop_at_once(void *ctx, uint64_t words, ds_err *err)
{
    (void)ctx;
    assert_true(words > 0);
    return ds_fail(err, DS_FAIL, "enough");
}

/* Adding up runs ends when it is told to, and with nothing left over. */
static void joining_ends(void **state)
{
    (void)state;
    ds_word_runs *runs;
    ds_words *w;
    ds_err err = {0};
    assert_int_equal(ds_word_runs_new(&runs, &err), 0);
    assert_int_equal(ds_words_new(&w, &err), 0);
    ds_words_limit(w, runs, 1 << 20);
    char word[16];
    for (unsigned i = 0; i < 200000; i++) {
        int n = snprintf(word, sizeof word, "%c%c%c%c ", 'a' + i % 26, 'a' + i / 26 % 26,
                         'a' + i / 676 % 26, 'a' + i / 17576 % 26);
        assert_int_equal(ds_words_add(w, word, (size_t)n, &err), 0);
    }
    assert_int_equal(ds_words_finish(w, stop_at_once, NULL, &err), DS_FAIL);
    assert_string_equal(err.msg, "enough");
    ds_words_free(w);
    ds_word_runs_free(runs);
    ds_word_runs_free(NULL);
}

/* Cutting a text where ds_words_cut says changes no word. */
static void cuts(void **state)
{
    (void)state;
    static const char text[] =
        "It's hello,  world 12\n\nnow\t\xe5\xa5\xbd\xe3\x80\x82\xe4\xbd\xa0'll";
    size_t len = strlen(text);
    ds_words *whole = words_of(text);
    for (size_t from = 1; from < len; from++) {
        size_t cut = ds_words_cut(text, len, from);
        ds_words *w;
        assert_true(cut >= from && cut <= len);
        assert_int_equal(ds_words_new(&w, NULL), 0);
        assert_int_equal(ds_words_add(w, text, cut, NULL), 0);
        assert_int_equal(ds_words_add(w, text + cut, len - cut, NULL), 0);
        assert_int_equal(ds_words_total(w), ds_words_total(whole));
        assert_int_equal(ds_words_distinct(w), ds_words_distinct(whole));
        ds_words_free(w);
    }
    assert_int_equal(ds_words_cut("aaaa", 4, 1), 4);
    ds_words_free(whole);
}

static void wrong_options(void **state)
{
    (void)state;
    static const char *const twice[] = {"<a>", "<a>"}, *const empty[] = {""},
                             *const bad[] = {"\xff"};
    ds_words *w = words_of("ab");
    ds_buf json = {0};
    uint32_t n;
    const ds_train_options wrong[] = {{.vocab_size = 255},
                                      {.vocab_size = 256, .special = END, .n_special = 1},
                                      {.vocab_size = 300, .special = twice, .n_special = 2},
                                      {.vocab_size = 300, .special = empty, .n_special = 1},
                                      {.vocab_size = 300, .special = bad, .n_special = 1}};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        ds_err err = {0};
        assert_int_equal(ds_tok_train(&json, &n, w, &wrong[i], &err), DS_USAGE);
        assert_string_not_equal(err.msg, "");
        assert_int_equal(json.len, 0);
    }
    ds_words_free(w);
    ds_buf_fini(&json);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(counts),
        cmocka_unit_test(known_merges),
        cmocka_unit_test(ties_go_to_the_smallest_pair),
        cmocka_unit_test(rare_pairs_are_left),
        cmocka_unit_test(overlaps),
        cmocka_unit_test(order_does_not_matter),
        cmocka_unit_test(lengths),
        cmocka_unit_test(under_a_limit),
        cmocka_unit_test(joining_ends),
        cmocka_unit_test(cuts),
        cmocka_unit_test(wrong_options),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
