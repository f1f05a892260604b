/* Reading tokenizer.json: what is refused, and that the message says why. */
#include "unit.h"

#include <stdio.h>

#include "tok_make.h"
#include "tok_priv.h"
#include "utf8.h"

static void refused(const char *json, const char *word)
{
    ds_tok *t = NULL;
    ds_err err = {0};
    int rc = ds_tok_parse(&t, json, strlen(json), "t.json", &err);
    if (rc == 0 || t != NULL || strstr(err.msg, word) == NULL || strstr(err.msg, "t.json") == NULL)
        fail_msg("want '%s', got %d '%s' for %s", word, rc, err.msg, json);
    ds_tok_free(t);
}

/* A tokenizer with one member of the root replaced. */
static void refused_with(const char *name, const char *value, const char *word)
{
    ds_buf b = {0};
    tok_spec spec = TOK_SPEC;
    tok_spec_set(&spec, name, value);
    tok_spec_write(&b, &spec);
    refused(ds_buf_cstr(&b), word);
    ds_buf_fini(&b);
}

static void broken_files(void **state)
{
    (void)state;
    refused("", "t.json");
    refused("[]", "not a JSON object");
    refused("{", "t.json");
    refused("{\"version\":\"1.0\"", "t.json");
    refused("{\"version\":\"1.0\",\"version\":\"1.0\"}", "t.json");
    refused("{\"version\":\"2.0\"}", "version");
    refused("{}", "model is missing");
    refused("{\"model\":{\"type\":\"BPE\"}}", "model.vocab");
    refused("{\"model\":{\"type\":\"BPE\",\"vocab\":{}}}", "model.merges");
    refused("{\"model\":{\"type\":\"BPE\",\"vocab\":{\"a\":", "the text ends inside a value");
    refused("{\"model\":{\"type\":\"BPE\",\"vocab\":{\"a\":12", "the text ends inside a value");
    refused("{\"model\":{\"type\":\"BPE\",\"vocab\":{},\"merges\":[],\"merges\":[]}}",
            "merges stands");
    refused("{\"model\":{\"type\":\"BPE\",\"vocab\":[],\"merges\":[]}}", "model.vocab");
}

static void models_by_name(void **state)
{
    (void)state;
    static const char *const kinds[] = {"WordPiece", "Unigram", "WordLevel"};
    for (size_t i = 0; i < 3; i++) {
        char json[100];
        snprintf(json, sizeof json, "{\"model\":{\"type\":\"%s\"}}", kinds[i]);
        refused(json, kinds[i]);
    }
    refused_with("dropout", "0.1", "dropout");
    refused_with("continuing_subword_prefix", "\"##\"", "continuing_subword_prefix");
    refused_with("end_of_word_suffix", "\"</w>\"", "end_of_word_suffix");
    refused_with("ignore_merges", "1", "ignore_merges");
}

static void vocabulary(void **state)
{
    (void)state;
    refused_with("extra", ",\"zz\":-1", "zz");
    refused_with("extra", ",\"zz\":\"x\"", "zz");
    refused_with("extra", ",\"zz\":1.5", "zz");
    refused_with("extra", ",\"zz\":99999999999", "zz");
    refused_with("extra", ",\"zz\":3", "the same id 3");
    refused_with("extra", "},\"vocab\":{\"a\":0", "model.vocab stands there twice");
    refused_with("merges", "[\"a  b\"]", "merges[0]");
    refused_with("merges", "[\"ab\"]", "merges[0]");
    refused_with("merges", "[[\"a\"]]", "merges[0]");
    refused_with("merges", "[[\"a\",1]]", "merges[0]");
    refused_with("merges", "[\"h e\",7]", "merges[1]");
    refused_with("merges", "[\"a z\"]", "az");
    refused_with("merges", "[\"q\xc3\xa9 z\"]", "q\xc3\xa9");
    refused_with("merges", "[\" a\"]", "merges[0]");
    refused_with("merges", "{}", "merges");
}

static void added_tokens(void **state)
{
    (void)state;
#define A(id, text)                                                                                \
    "{\"id\":" id ",\"content\":\"" text "\",\"single_word\":false,\"lstrip\":false,"              \
    "\"rstrip\":false,\"normalized\":false,\"special\":true}"
    refused_with("added", "{}", "added_tokens");
    refused_with("added", "[7]", "added_tokens");
    refused_with("added", "[" A("999", "<a>") "]", "id 999");
    refused_with("added", "[" A("-1", "<a>") "]", "<a>");
    refused_with("added", "[" A("261", "<a>") "," A("261", "<b>") "]", "<b>");
    refused_with("added", "[" A("261", "<a>") "," A("261", "<a>") "]", "twice");
    refused_with("added", "[{\"id\":261,\"content\":\"<a>\",\"special\":true}]", "normalized");
    refused_with("added", "[{\"id\":261,\"special\":true}]", "content");
}

static void pipelines_by_name(void **state)
{
    (void)state;
    refused_with("normalizer", "{\"type\":\"Precompiled\"}", "Precompiled");
    refused_with("normalizer",
                 "{\"type\":\"Sequence\",\"normalizers\":[{\"type\":\"Precompiled\"}]}",
                 "normalizer Precompiled");
    refused_with("normalizer", "{\"type\":\"Prepend\"}", "Prepend");
    refused_with("normalizer", "{\"type\":\"Replace\",\"pattern\":{\"Regex\":\"a\"}}",
                 "normalizer Replace has no content");
    refused_with("normalizer",
                 "{\"type\":\"Replace\",\"pattern\":{\"Regex\":\"[a&&b]\"},\"content\":\"\"}",
                 "Replace pattern [a&&b]");
    refused_with("pre", "{\"type\":\"UnicodeScripts\"}", "UnicodeScripts");
    refused_with("pre", "{\"type\":\"Punctuation\",\"behavior\":\"Odd\"}", "behavior Odd");
    refused_with("pre", "{\"type\":\"CharDelimiterSplit\",\"delimiter\":\"ab\"}", "delimiter");
    refused_with("normalizer", "{\"type\":\"Strip\",\"strip_left\":7}", "strip_left");
    refused_with("normalizer", "{}", "normalizer");
    refused_with("normalizer", "{\"type\":\"Sequence\"}", "normalizers");
    refused_with("normalizer", "{\"type\":\"Sequence\",\"normalizers\":[null]}", "not an object");
    refused_with("post", "{\"type\":\"Sequence\",\"processors\":[{}]}", "has no type");
    refused_with("pre", "{\"type\":\"Metaspace\"}", "Metaspace");
    refused_with("pre", "{\"type\":\"Metaspace\",\"replacement\":\"ab\"}", "one character");
    refused_with("pre", "{\"type\":\"Metaspace\",\"replacement\":\"_\",\"prepend_scheme\":\"x\"}",
                 "prepend_scheme");
    refused_with("pre", "{\"type\":\"Metaspace\",\"replacement\":\"_\",\"add_prefix_space\":false}",
                 "disagree");
    refused_with("pre", "{\"type\":\"Digits\",\"individual_digits\":7}", "individual_digits");
    refused_with("pre", "{\"type\":\"Split\",\"behavior\":\"Isolated\"}", "pattern");
    refused_with("post", "{\"type\":\"BertProcessing\"}", "BertProcessing");
    refused_with("post", "{\"type\":\"TemplateProcessing\",\"single\":[]}", "Sequence A");
    refused_with("post",
                 "{\"type\":\"TemplateProcessing\",\"single\":[{\"SpecialToken\":{\"id\":\"X\"}}]}",
                 "X");
    refused_with("decoder", "{\"type\":\"Metaspace\"}", "Metaspace");
    refused_with("decoder", "{\"type\":\"WordPiece\"}", "WordPiece");
    refused_with("decoder", "{\"type\":\"Strip\",\"content\":\" \"}", "Strip");
    refused_with("decoder", "{\"type\":\"Replace\",\"pattern\":{\"Regex\":\"a\"}}", "Replace");
}

static void split_refused(const char *pattern, const char *behavior, const char *word)
{
    char json[400];
    snprintf(json, sizeof json,
             "{\"type\":\"Sequence\",\"pretokenizers\":[{\"type\":\"Split\",\"pattern\":{\"Regex\":"
             "\"%s\"},\"behavior\":\"%s\",\"invert\":false},{\"type\":\"ByteLevel\","
             "\"add_prefix_space\":false,\"use_regex\":false}]}",
             pattern, behavior);
    refused_with("pre", json, word);
}

static void splits(void **state)
{
    (void)state;
    split_refused("a", "MergedWithBoth", "MergedWithBoth");
    split_refused("(a", "Isolated", "Split pattern (a");
    split_refused("[a-z[bc]]", "Isolated", "a class inside a class");
    split_refused("[a-z&&b]", "Isolated", "intersection");
    split_refused("\\\\p{N}{1,3}+", "Isolated", "interval");
    split_refused("a{,3}", "Isolated", "interval");
    split_refused("\\\\h+", "Isolated", "escape");
    split_refused("\\\\w+", "Isolated", "escape");
    split_refused("[^\\\\S]", "Isolated", "in a class");
    split_refused("[\\\\P{L}]", "Isolated", "in a class");
    split_refused("\\\\p{Han}", "Isolated", "property");
    split_refused("\\\\pL", "Isolated", "braces");
    split_refused("(?m:.)", "Isolated", "group");
    split_refused("(?i:ss)", "Isolated", "ligatures");
    split_refused("[]a]", "Isolated", "begins with ]");
    split_refused("a\\\\", "Isolated", "backslash");
}

static void nests(void **state)
{
    (void)state;
    ds_buf b = {0};
    for (int i = 0; i < 40; i++)
        ds_buf_puts(&b, "{\"type\":\"Sequence\",\"pretokenizers\":[");
    for (int i = 0; i < 40; i++)
        ds_buf_puts(&b, "]}");
    refused_with("pre", ds_buf_cstr(&b), "deep");
    ds_buf_fini(&b);
}

/* Any truncation of a good file is an error, never a crash. */
static void truncated(void **state)
{
    (void)state;
    ds_buf b = {0};
    tok_spec spec = TOK_SPEC;
    tok_spec_write(&b, &spec);
    for (size_t n = 0; n + 1 < b.len; n += 37) {
        ds_tok *t = NULL;
        ds_err err = {0};
        assert_int_not_equal(ds_tok_parse(&t, b.data, n, "t.json", &err), 0);
        assert_null(t);
        assert_string_not_equal(err.msg, "");
    }
    ds_buf_fini(&b);
}

static void questions(void **state)
{
    (void)state;
    tok_spec spec = TOK_SPEC;
    ds_tok *t = tok_make(&spec);
    ds_tok_facts f;
    ds_sha sha;
    ds_buf b = {0};
    size_t n;
    tok_spec_write(&b, &spec);
    assert_int_equal(ds_sha_bytes(&sha, b.data, b.len, NULL), 0);
    assert_true(ds_sha_eq(&sha, ds_tok_digest(t)));
    ds_tok_get_facts(t, &f);
    assert_int_equal(f.model_tokens, 261);
    assert_int_equal(f.merges, 5);
    assert_int_equal(f.added_tokens, 3);
    assert_int_equal(f.special_tokens, 2);
    assert_string_equal(f.pre_tokenizer, "llama3");
    assert_string_equal(f.normalizer, "none");
    assert_int_equal(ds_tok_vocab_size(t), 264);
    assert_int_equal(ds_tok_max_id(t), 263);
    assert_int_equal(ds_tok_id(t, "hello", 5), 259);
    assert_int_equal(ds_tok_id(t, "<s>", 3), 261);
    assert_int_equal(ds_tok_id(t, "nope", 4), DS_TOK_NONE);
    assert_int_equal(ds_tok_id(t, "", 0), DS_TOK_NONE);
    assert_string_equal(ds_tok_text(t, 260, &n), "\xc4\xa0hello");
    assert_int_equal(n, 7);
    assert_memory_equal(ds_tok_bytes(t, 260, &n), " hello", 6);
    assert_int_equal(n, 6);
    assert_null(ds_tok_text(t, 264, NULL));
    assert_null(ds_tok_bytes(t, DS_TOK_NONE, &n));
    assert_true(ds_tok_is_special(t, 261) && ds_tok_is_special(t, 262));
    assert_true(ds_tok_is_added(t, 263) && !ds_tok_is_special(t, 263));
    assert_false(ds_tok_is_added(t, 260));
    ds_buf_fini(&b);
    ds_tok_free(t);
}

/* One tokenizer spelled in several ways: 256 bytes, all words of two and three small letters, runs
 * of Z and of the byte C3 of many lengths, with and without a space before. It is long enough to be
 * read by several threads. */
typedef struct spelling {
    bool escapes, lists, indented, merges_first;
} spelling;

static void put_string(ds_buf *b, const spelling *s, const char *text, size_t len)
{
    const uint8_t *p = (const uint8_t *)text, *end = p + len;
    assert_int_equal(ds_buf_putc(b, '"'), 0);
    for (unsigned k; p < end; p += k) {
        const uint32_t c = ds_uni_get(p, &k);
        if (s->escapes)
            assert_int_equal(ds_buf_printf(b, "\\u%04x", (unsigned)c), 0);
        else if (c == '"' || c == '\\')
            assert_int_equal(ds_buf_printf(b, "\\%c", (int)c), 0);
        else
            assert_int_equal(ds_buf_put(b, p, k), 0);
    }
    assert_int_equal(ds_buf_putc(b, '"'), 0);
}

typedef struct spelled {
    spelling s;
    ds_buf vocab, merges;
    unsigned n;
} spelled;

static void put_token(spelled *x, const char *text)
{
    const char *gap = x->s.indented ? "\n\t\r       " : "";
    ds_buf_printf(&x->vocab, "%s%s", x->n ? "," : "", gap);
    put_string(&x->vocab, &x->s, text, strlen(text));
    ds_buf_printf(&x->vocab, "%s:%s%u", x->s.indented ? " " : "", gap, x->n++);
}

static void put_merge(spelled *x, const char *a, const char *b)
{
    char text[200];
    ds_buf_puts(&x->merges, x->merges.len ? "," : "");
    ds_buf_puts(&x->merges, x->s.indented ? "\n  " : "");
    if (x->s.lists) {
        ds_buf_puts(&x->merges, "[");
        put_string(&x->merges, &x->s, a, strlen(a));
        ds_buf_puts(&x->merges, x->s.indented ? " ,\n" : ",");
        put_string(&x->merges, &x->s, b, strlen(b));
        ds_buf_puts(&x->merges, "]");
    } else {
        put_string(&x->merges, &x->s, text, (size_t)snprintf(text, sizeof text, "%s %s", a, b));
    }
    snprintf(text, sizeof text, "%s%s", a, b);
    put_token(x, text);
}

static void put_run(spelled *x, const char *first, const char *unit, int most)
{
    char text[200];
    size_t n = (size_t)snprintf(text, sizeof text, "%s", first);
    for (int k = 2; k <= most; k++) {
        put_merge(x, text, unit);
        n += (size_t)snprintf(text + n, sizeof text - n, "%s", unit);
    }
}

static ds_tok *spell(spelling s)
{
    spelled x = {.s = s};
    ds_buf json = {0};
    for (unsigned b = 0; b < 256; b++) {
        char text[5] = "";
        ds_utf8_put((uint8_t *)text, ds_tok_byte_cp((uint8_t)b));
        put_token(&x, text);
    }
    for (int i = 0; i < 26 * 26; i++)
        put_merge(&x, (char[]){(char)('a' + i / 26), 0}, (char[]){(char)('a' + i % 26), 0});
    for (int i = 0; i < 26 * 26 * 26; i++)
        put_merge(&x, (char[]){(char)('a' + i / 676), (char)('a' + i / 26 % 26), 0},
                  (char[]){(char)('a' + i % 26), 0});
    put_run(&x, "Z", "Z", 70);
    put_run(&x, "\xc4\xa0", "Z", 70);
    put_run(&x, "\xc3\x83", "\xc3\x83", 40);
    ds_buf_puts(&json, "{\"model\":{\"type\":\"BPE\"");
    for (int i = 0; i < 2; i++) {
        const bool merges = (i == 0) == s.merges_first;
        ds_buf_printf(&json, ",\"%s\": %c", merges ? "merges" : "vocab", merges ? '[' : '{');
        ds_buf_put(&json, merges ? x.merges.data : x.vocab.data,
                   merges ? x.merges.len : x.vocab.len);
        ds_buf_puts(&json, merges ? "]" : " }");
    }
    ds_buf_printf(&json, "},\n\n   \"pre_tokenizer\":%s}", TOK_PRE_GPT2);
    ds_tok *t = NULL;
    ds_err err = {0};
    if (ds_tok_parse(&t, json.data, json.len, "t.json", &err) != 0)
        fail_msg("%s", err.msg);
    ds_buf_fini(&x.vocab);
    ds_buf_fini(&x.merges);
    ds_buf_fini(&json);
    return t;
}

static void spellings(void **state)
{
    (void)state;
    static const spelling ways[] = {{.escapes = false},     {.escapes = true},
                                    {.lists = true},        {.indented = true},
                                    {.merges_first = true}, {true, true, true, true}};
    static const char text[] = "abcd zzzzzzz don't ZZZZZZZZZZZZZZZZZZZZZZZZZZZZZZZZZZZZZZZZZZZZZZZ "
                               "\xc3\x83\xc3\x83 \xe4\xb8\xad\xe6\x96\x87 qqq ZZ the end";
    ds_ids want = {0};
    ds_tok *first = NULL;
    for (size_t i = 0; i < sizeof ways / sizeof *ways; i++) {
        ds_tok *t = spell(ways[i]);
        ds_tok_state *st = NULL;
        ds_ids ids = {0};
        ds_err err = {0};
        if (ds_tok_state_new(&st, t, &err) != 0 ||
            ds_tok_encode(t, st, text, sizeof text - 1, 0, &ids, &err) != 0)
            fail_msg("%s", err.msg);
        first = first ? first : t;
        if (i == 0)
            assert_int_equal(ds_ids_put(&want, ids.v, ids.n), 0);
        assert_int_equal(ids.n, want.n);
        assert_memory_equal(ids.v, want.v, ids.n * sizeof *ids.v);
        assert_int_equal(ds_tok_max_id(t), 256 + 676 + 17576 + 69 + 69 + 39 - 1);
        for (uint32_t id = 0; id <= ds_tok_max_id(t); id++) {
            size_t n, m;
            const uint8_t *a = ds_tok_bytes(first, id, &n), *b = ds_tok_bytes(t, id, &m);
            assert_int_equal(n, m);
            assert_memory_equal(a, b, n);
            const char *name = ds_tok_text(t, id, &n);
            assert_string_equal(ds_tok_text(first, id, NULL), name);
            assert_int_equal(ds_tok_id(t, name, n), id);
        }
        ds_tok_state_free(st);
        ds_ids_fini(&ids);
        if (t != first)
            ds_tok_free(t);
    }
    assert_true(want.n > 20 && want.n < 60);
    ds_tok_free(first);
    ds_ids_fini(&want);
}

static void files(void **state)
{
    (void)state;
    ds_tok *t;
    ds_err err = {0};
    assert_int_equal(ds_tok_load(&t, unit_path("none.json"), &err), DS_IO);
    assert_non_null(strstr(err.msg, "none.json"));
    assert_null(t);
    ds_buf b = {0};
    tok_spec spec = TOK_SPEC;
    tok_spec_write(&b, &spec);
    unit_write(unit_path("good.json"), b.data, b.len);
    ds_err_clear(&err);
    assert_int_equal(ds_tok_load(&t, unit_path("good.json"), &err), 0);
    ds_tok_free(t);
    ds_tok_free(NULL);
    ds_buf_fini(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(broken_files),
        cmocka_unit_test(models_by_name),
        cmocka_unit_test(vocabulary),
        cmocka_unit_test(added_tokens),
        cmocka_unit_test(pipelines_by_name),
        cmocka_unit_test(splits),
        cmocka_unit_test(nests),
        cmocka_unit_test(truncated),
        cmocka_unit_test(questions),
        cmocka_unit_test(spellings),
        cmocka_unit_test(files),
    };
    return cmocka_run_group_tests(tests, NULL, unit_dir_remove);
}
