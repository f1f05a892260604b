/* Encoding: pipelines, added tokens, segments, long runs; and decoding. */
#include "unit.h"

#include "tok_make.h"

/* Encodes and compares with a list that ends with NONE. */
#define NONE DS_TOK_NONE
static void gives(const ds_tok *t, unsigned flags, const char *text, const uint32_t *want)
{
    ds_tok_state *st;
    ds_err err = {0};
    size_t n = 0;
    while (want[n] != NONE)
        n++;
    for (size_t segment = 0; segment < 4; segment++) { /* segments of any length give the same */
        ds_ids ids = {0};
        assert_int_equal(ds_tok_state_new(&st, t, &err), 0);
        ds_tok_state_segment(st, segment);
        for (int again = 0; again < 2; again++) { /* the second time from the cache */
            ids.n = 0;
            if (ds_tok_encode(t, st, text, strlen(text), flags, &ids, &err) != 0)
                fail_msg("%s", err.msg);
            if (ids.n != n)
                fail_msg("'%s': %zu ids, not %zu", text, ids.n, n);
            for (size_t i = 0; i < n; i++)
                if (ids.v[i] != want[i])
                    fail_msg("'%s': id %zu is %u, not %u", text, i, ids.v[i], want[i]);
        }
        ds_ids_fini(&ids);
        ds_tok_state_free(st);
    }
}
#define GIVES(t, flags, text, ...) gives(t, flags, text, (const uint32_t[]){__VA_ARGS__, NONE})

static ds_tok *with(const char *name, const char *value)
{
    tok_spec s = TOK_SPEC;
    tok_spec_set(&s, name, value);
    return tok_make(&s);
}

static void merges(void **state)
{
    (void)state;
    tok_spec s = TOK_SPEC;
    ds_tok *t = tok_make(&s);
    gives(t, 0, "", (const uint32_t[]){NONE});
    GIVES(t, 0, "hello", 259);
    GIVES(t, 0, "hello hello", 259, 260);
    GIVES(t, 0, "hell helo", 258, ' ', 256, 'l', 'o');
    GIVES(t, 0, "hellohello", 259, 259);
    GIVES(t, 0, "lll", 257, 'l'); /* the leftmost of equal pairs */
    GIVES(t, 0, "hello\nhello  hello", 259, '\n', 259, ' ', 260);
    ds_tok_free(t);
}

static void whole_words_first(void **state)
{
    (void)state;
    tok_spec s = TOK_SPEC;
    s.extra = ",\"xyz\":261";
    s.added = "[]";
    ds_tok *t = tok_make(&s);
    GIVES(t, 0, "xyz", 'x', 'y', 'z'); /* no merge leads there */
    ds_tok_free(t);
    s.ignore_merges = "true";
    t = tok_make(&s);
    GIVES(t, 0, "xyz", 261);
    GIVES(t, 0, "xyzz", 'x', 'y', 'z', 'z');
    ds_tok_free(t);
}

/* Merges whose ranks do not follow their ids. */
static void lowest_rank(void **state)
{
    (void)state;
    ds_tok *t = with("merges", "[\"l l\",\"h e\",\"hell o\",\"he ll\"]");
    GIVES(t, 0, "hello", 259);
    ds_tok_free(t);
    t = with("merges", "[\"hell o\",\"h e\"]");
    GIVES(t, 0, "hello", 256, 'l', 'l', 'o');
    ds_tok_free(t);
    t = with("merges", "[\"h e\",\"l l\",\"l l\",\"he ll\"]"); /* a merge twice */
    GIVES(t, 0, "hell", 258);
    ds_tok_free(t);
}

static void added_tokens(void **state)
{
    (void)state;
    tok_spec s = TOK_SPEC;
    ds_tok *t = tok_make(&s);
    GIVES(t, 0, "<s>hello</s>", 261, 259, 262);
    GIVES(t, 0, "<s><s>", 261, 261);
    GIVES(t, 0, "<<s>>", '<', 261, '>');
    GIVES(t, 0, "a<think>b", 'a', 263, 'b');
    GIVES(t, DS_TOK_NO_ADDED, "<s>", '<', 's', '>');
    GIVES(t, DS_TOK_NO_SPECIAL, "<s>", 261);
    GIVES(t, 0, "<s", '<', 's');
    ds_tok_free(t);
}

#define TOKEN(id, text, word, l, r, norm)                                                          \
    "{\"id\":" id ",\"content\":\"" text "\",\"single_word\":" word ",\"lstrip\":" l               \
    ",\"rstrip\":" r ",\"normalized\":" norm ",\"special\":false}"

static void added_tokens_strip(void **state)
{
    (void)state;
    ds_tok *t =
        with("added", "[" TOKEN("261", "<l>", "false", "true", "false", "false") "," TOKEN(
                          "262", "<r>", "false", "false", "true",
                          "false") "," TOKEN("263", "one", "true", "false", "false",
                                             "false") "," TOKEN("264", "<l><l>", "false", "false",
                                                                "false", "false") "]");
    GIVES(t, 0, "a  <l> b", 'a', 261, ' ', 'b');
    GIVES(t, 0, "a <r>\n\t b", 'a', ' ', 262, 'b');
    GIVES(t, 0, "a<r>  <l>b", 'a', 262, 261, 'b'); /* what one took the other cannot */
    GIVES(t, 0, "one", 263);
    GIVES(t, 0, "one,one", 263, ',', 263);
    GIVES(t, 0, "bone", 'b', 'o', 'n', 'e');
    GIVES(t, 0, "ones", 'o', 'n', 'e', 's');
    GIVES(t, 0, "one\xc3\xa9", 'o', 'n', 'e', 0xc3, 0xa9);
    GIVES(t, 0, "\xcc\x81one", 0xcc, 0x81, 'o', 'n', 'e');
    GIVES(t, 0, "<l><l><l>", 264, 261); /* the longest */
    ds_tok_free(t);
}

static void normalises(void **state)
{
    (void)state;
    tok_spec s = TOK_SPEC;
    s.normalizer = "{\"type\":\"NFC\"}";
    s.pre = TOK_PRE_QWEN2;
    s.added = "[" TOKEN("261", "e\xcc\x81", "false", "false", "false", "false") "," TOKEN(
        "262", "a\xcc\x81", "false", "false", "false", "true") "]";
    ds_tok *t = tok_make(&s);
    GIVES(t, 0, "o\xcc\x81", 0xc3, 0xb3);
    GIVES(t, 0, "hello o\xcc\x81 hello", 259, ' ', 0xc3, 0xb3, 260);
    GIVES(t, 0, "e\xcc\x81", 261); /* matched as it stands in the text */
    GIVES(t, 0, "\xc3\xa9", 0xc3, 0xa9);
    GIVES(t, 0, "a\xcc\x81", 262); /* matched after both were normalised */
    GIVES(t, 0, "\xc3\xa1", 262);
    GIVES(t, 0, "\xe1\x84\x80\xe1\x85\xa1\xe1\x86\xa8", 0xea, 0xb0, 0x81); /* Hangul */
    ds_tok_free(t);
}

static void numbers(void **state)
{
    (void)state;
    tok_spec s = TOK_SPEC;
    s.merges = "[\"1 2\",\"2 3\"]";
    s.extra = ",\"12\":261,\"23\":262";
    s.added = "[]";
    ds_tok *t = tok_make(&s);
    GIVES(t, 0, "12123", 261, '1', 262); /* 121 23 */
    ds_tok_free(t);
    s.pre = TOK_PRE_QWEN2;
    t = tok_make(&s);
    GIVES(t, 0, "12123", '1', '2', '1', '2', '3');
    ds_tok_free(t);
    s.pre = TOK_PRE_DEEPSEEK;
    t = tok_make(&s);
    GIVES(t, 0, "12123", 261, '1', 262);
    ds_tok_free(t);
}

/* Pieces that only DeepSeek's three splits make: merges would join what is not cut. */
static void deepseek(void **state)
{
    (void)state;
    tok_spec s = TOK_SPEC;
    s.pre = TOK_PRE_DEEPSEEK;
    s.added = "[]";
    s.extra =
        ",\". a\":261,\".a\":262,\"a.\":263,\"\xc2\xbb\xc3\xa3\":264,\"\xc2\xa2\xc3\xa3\":265";
    s.merges = "[\". a\",\"a .\",\"\xc2\xbb \xc3\xa3\",\"\xc2\xa2 \xc3\xa3\"]";
    ds_tok *t = tok_make(&s);
    GIVES(t, 0, ".a", 262);
    GIVES(t, 0, "a.a", 'a', 262);
    /* U+30FB (punctuation) and U+30A2 (letter): one run of the second split, cut by the third */
    GIVES(t, 0, "\xe3\x83\xbb\xe3\x82\xa2", 0xe3, 0x83, 0xbb, 0xe3, 0x82, 0xa2);
    GIVES(t, 0, "\xe3\x82\xa2\xe3\x82\xa2", 0xe3, 0x82, 265, 0x82, 0xa2);
    ds_tok_free(t);
}

static void prefix_space(void **state)
{
    (void)state;
    ds_tok *t = with("pre", TOK_PRE_GPT2);
    GIVES(t, 0, "hello", 260);
    GIVES(t, 0, " hello", 260);
    GIVES(t, 0, "hello hello", 260, 260);
    GIVES(t, 0, "<s>hello", 261, 260);
    GIVES(t, 0, "\nhello", ' ', '\n', 259);
    ds_tok_free(t);
}

static void template(void **state)
{
    (void)state;
    ds_tok *t = with(
        "post",
        "{\"type\":\"Sequence\",\"processors\":[{\"type\":\"ByteLevel\"},"
        "{\"type\":\"TemplateProcessing\",\"single\":[{\"SpecialToken\":{\"id\":\"<s>\","
        "\"type_id\":0}},{\"Sequence\":{\"id\":\"A\",\"type_id\":0}},{\"SpecialToken\":"
        "{\"id\":\"e\",\"type_id\":0}}],\"special_tokens\":{\"<s>\":{\"id\":\"<s>\",\"ids\":"
        "[261],\"tokens\":[\"<s>\"]},\"e\":{\"id\":\"e\",\"ids\":[262,263],\"tokens\":[]}}}]}");
    GIVES(t, 0, "hello", 261, 259, 262, 263);
    GIVES(t, 0, "", 261, 262, 263);
    GIVES(t, DS_TOK_NO_SPECIAL, "hello", 259);
    GIVES(t, DS_TOK_NO_ADDED, "<s>", 261, '<', 's', '>', 262, 263);
    ds_tok_free(t);
}

static void general_pattern(void **state)
{
    (void)state;
    ds_tok *t = with(
        "pre",
        "{\"type\":\"Sequence\",\"pretokenizers\":[{\"type\":\"Split\",\"pattern\":{\"Regex\":"
        "\"he\"},\"behavior\":\"Isolated\",\"invert\":false},{\"type\":\"Split\",\"pattern\":"
        "{\"String\":\".\"},\"behavior\":\"Removed\",\"invert\":false},{\"type\":\"ByteLevel\","
        "\"add_prefix_space\":false,\"use_regex\":false}]}");
    GIVES(t, 0, "hello.hell", 256, 257, 'o', 256, 257);
    GIVES(t, 0, "...", NONE);
    ds_tok_free(t);
    /* An empty match is a boundary too. */
    t = with("pre", "{\"type\":\"Sequence\",\"pretokenizers\":[{\"type\":\"Split\",\"pattern\":{"
                    "\"Regex\":\"(?=l)\"},"
                    "\"behavior\":\"Isolated\",\"invert\":false},{\"type\":\"ByteLevel\",\"add_"
                    "prefix_space\":false,"
                    "\"use_regex\":false}]}");
    GIVES(t, 0, "hello", 256, 'l', 'l', 'o');
    ds_tok_free(t);
    /* Removed and inverted: only matches stay. */
    t = with("pre", "{\"type\":\"Sequence\",\"pretokenizers\":[{\"type\":\"Split\",\"pattern\":{"
                    "\"Regex\":\"l+\"},"
                    "\"behavior\":\"Removed\",\"invert\":true},{\"type\":\"ByteLevel\",\"add_"
                    "prefix_space\":false,"
                    "\"use_regex\":false}]}");
    GIVES(t, 0, "hello all", 257, 257);
    ds_tok_free(t);
}

static void backtracks_without_end(void **state)
{
    (void)state;
    ds_tok *t =
        with("pre",
             "{\"type\":\"Sequence\",\"pretokenizers\":[{\"type\":\"Split\",\"pattern\":{\"Regex\":"
             "\"(a+)+b\"},\"behavior\":\"Isolated\",\"invert\":false},{\"type\":\"ByteLevel\","
             "\"add_prefix_space\":false,\"use_regex\":false}]}");
    ds_tok_state *st;
    ds_err err = {0};
    ds_ids ids = {0};
    assert_int_equal(ds_tok_state_new(&st, t, &err), 0);
    assert_int_equal(
        ds_tok_encode(t, st, "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaacb", 40, 0, &ids, &err),
        DS_FAIL);
    assert_non_null(strstr(err.msg, "limit"));
    assert_int_equal(ids.n, 0);
    ds_ids_fini(&ids);
    ds_tok_state_free(st);
    ds_tok_free(t);
}

/* Counts, checks that what is consumed only grows, and may end the encoding. */
typedef struct counter {
    size_t ids, calls, stop_at;
    uint64_t consumed;
} counter;
static int count(void *ctx, const uint32_t *ids, size_t n, uint64_t consumed, ds_err *err)
{
    counter *c = ctx;
    (void)ids;
    assert_true(consumed >= c->consumed);
    c->consumed = consumed;
    c->ids += n;
    return ++c->calls == c->stop_at ? ds_fail(err, DS_IO, "enough") : 0;
}

static void streams(void **state)
{
    (void)state;
    tok_spec s = TOK_SPEC;
    ds_tok *t = tok_make(&s);
    ds_tok_state *st;
    ds_err err = {0};
    ds_buf b = {0};
    counter c = {0};
    for (int i = 0; i < 500000; i++)
        ds_buf_puts(&b, "hello ");
    assert_int_equal(ds_tok_state_new(&st, t, &err), 0);
    assert_int_equal(ds_tok_encode_to(t, st, b.data, b.len, 0, count, &c, &err), 0);
    assert_int_equal(c.ids, 500001); /* the last space */
    assert_int_equal(c.consumed, b.len);
    assert_true(c.calls > 10);
    c = (counter){.stop_at = 3};
    assert_int_equal(ds_tok_encode_to(t, st, b.data, b.len, 0, count, &c, &err), DS_IO);
    assert_int_equal(c.calls, 3);
    assert_string_equal(err.msg, "enough");
    ds_tok_state_free(st);
    ds_tok_free(t);
    ds_buf_fini(&b);
}

static void not_utf8(void **state)
{
    (void)state;
    tok_spec s = TOK_SPEC;
    ds_tok *t = tok_make(&s);
    ds_tok_state *st;
    const struct {
        const char *text;
        size_t len;
        const char *at;
    } bad[] = {{"ab\xff", 3, "byte 2"},
               {"\xc3", 1, "byte 0"},
               {"a\xe4\xb8", 3, "byte 1"},
               {"\xed\xa0\x80", 3, "byte 0"},
               {"hello \xf0\x9f\x98", 9, "byte 6"}};
    assert_int_equal(ds_tok_state_new(&st, t, NULL), 0);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        ds_err err = {0};
        ds_ids ids = {0};
        assert_int_equal(ds_tok_encode(t, st, bad[i].text, bad[i].len, 0, &ids, &err), DS_FAIL);
        assert_non_null(strstr(err.msg, bad[i].at));
        assert_int_equal(ids.n, 0);
        ds_ids_fini(&ids);
    }
    ds_tok_state_free(st);
    ds_tok_free(t);
}

/* The heap of long runs gives what the search of short ones does. */
static void long_runs(void **state)
{
    (void)state;
    tok_spec s = TOK_SPEC;
    s.added = "[]";
    s.extra = ",\"aa\":261,\"aaaa\":262,\"ab\":263,\"aab\":264";
    s.merges = "[\"a a\",\"aa aa\",\"a b\",\"aa b\"]";
    ds_tok *t = tok_make(&s);
    ds_tok_state *st;
    ds_err err = {0};
    ds_ids ids = {0};
    ds_buf b = {0};
    for (int i = 0; i < 99999; i++)
        ds_buf_putc(&b, 'a');
    ds_buf_putc(&b, 'b');
    assert_int_equal(ds_tok_state_new(&st, t, &err), 0);
    assert_int_equal(ds_tok_encode(t, st, b.data, b.len, 0, &ids, &err), 0);
    /* 99999 = 4 * 24999 + 3: ... aa, then a b */
    assert_int_equal(ids.n, 24999 + 2);
    assert_int_equal(ids.v[0], 262);
    assert_int_equal(ids.v[24998], 262);
    assert_int_equal(ids.v[24999], 261);
    assert_int_equal(ids.v[25000], 263);
    ds_ids_fini(&ids);
    ds_buf_fini(&b);
    ds_tok_state_free(st);
    ds_tok_free(t);
}

static void decodes(void **state)
{
    (void)state;
    tok_spec s = TOK_SPEC;
    ds_tok *t = tok_make(&s);
    ds_buf b = {0};
    ds_err err = {0};
    const uint32_t ids[] = {261, 260, 0xe4, 0xb8, 262, 263, 0xff};
    assert_int_equal(ds_tok_decode(t, ids, 7, 0, &b, &err), 0);
    assert_int_equal(b.len, 3 + 6 + 2 + 4 + 7 + 1);
    assert_memory_equal(b.data, "<s> hello\xe4\xb8</s><think>\xff", b.len);
    ds_buf_reset(&b);
    assert_int_equal(ds_tok_decode(t, ids, 7, DS_TOK_LOSSY | DS_TOK_SKIP_SPECIAL, &b, &err), 0);
    assert_string_equal(ds_buf_cstr(&b), " hello\xef\xbf\xbd<think>\xef\xbf\xbd");
    ds_buf_reset(&b);
    const uint32_t wrong[] = {1, 264};
    assert_int_equal(ds_tok_decode(t, wrong, 2, 0, &b, &err), DS_FAIL);
    assert_non_null(strstr(err.msg, "id 264 at position 1"));
    assert_int_equal(b.len, 0);
    ds_tok_free(t);
    t = with("decoder", "null");
    ds_err_clear(&err);
    assert_int_equal(ds_tok_decode(t, ids, 1, 0, &b, &err), DS_FAIL);
    assert_non_null(strstr(err.msg, "decoder"));
    ds_tok_free(t);
    ds_buf_fini(&b);
}

static void wrong_state(void **state)
{
    (void)state;
    tok_spec s = TOK_SPEC;
    ds_tok *a = tok_make(&s), *b = tok_make(&s);
    ds_tok_state *st;
    ds_ids ids = {0};
    ds_err err = {0};
    assert_int_equal(ds_tok_state_new(&st, a, &err), 0);
    assert_int_equal(ds_tok_encode(b, st, "x", 1, 0, &ids, &err), DS_FAIL);
    ds_tok_state_free(st);
    ds_tok_state_free(NULL);
    ds_tok_free(a);
    ds_tok_free(b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(merges),
        cmocka_unit_test(whole_words_first),
        cmocka_unit_test(lowest_rank),
        cmocka_unit_test(added_tokens),
        cmocka_unit_test(added_tokens_strip),
        cmocka_unit_test(normalises),
        cmocka_unit_test(numbers),
        cmocka_unit_test(deepseek),
        cmocka_unit_test(prefix_space),
        cmocka_unit_test(template),
        cmocka_unit_test(general_pattern),
        cmocka_unit_test(backtracks_without_end),
        cmocka_unit_test(streams),
        cmocka_unit_test(not_utf8),
        cmocka_unit_test(long_runs),
        cmocka_unit_test(decodes),
        cmocka_unit_test(wrong_state),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
