/* Texts of spans that are not equally trusted: which added tokens count, and where in the text each
 * token stands. */
#include "unit.h"

#include "tok_make.h"
#include "tok_spans.h"

#define TEMPLATE                                                                                   \
    {                                                                                              \
        .trust = DS_TRUST_ALL                                                                      \
    }
#define USER                                                                                       \
    {                                                                                              \
        .trust = DS_TRUST_TEXT, .role = DS_ROLE_USER                                               \
    }
#define MODEL                                                                                      \
    {                                                                                              \
        .trust = DS_TRUST_MARKUP, .role = DS_ROLE_ASSISTANT, .target = true                        \
    }

typedef struct piece {
    const char *text;
    ds_span like;
} piece;

typedef struct want {
    uint32_t id;
    size_t start, end;
} want;

static void check(const tok_spec *spec, const piece *p, size_t n, const want *w, size_t nw)
{
    ds_tok *t = tok_make(spec);
    ds_tok_state *st = NULL;
    ds_spantext text = {0};
    ds_ids ids = {0};
    ds_places at = {0};
    ds_err err = {0};
    assert_int_equal(ds_tok_state_new(&st, t, &err), 0);
    for (size_t i = 0; i < n; i++)
        assert_int_equal(ds_spantext_put(&text, p[i].text, strlen(p[i].text), p[i].like, &err), 0);
    if (ds_tok_encode_spans(t, st, &text, &ids, &at, &err) != 0)
        fail_msg("%s: %s", ds_buf_cstr(&text.text), err.msg);
    assert_int_equal(ids.n, at.n);
    for (size_t i = 0; i < ids.n && i < nw; i++)
        if (ids.v[i] != w[i].id || at.v[i].start != w[i].start || at.v[i].end != w[i].end)
            fail_msg("%s: token %zu is %u at %zu-%zu", ds_buf_cstr(&text.text), i, ids.v[i],
                     at.v[i].start, at.v[i].end);
    assert_int_equal(ids.n, nw);
    ds_spantext_fini(&text);
    ds_places_fini(&at);
    ds_ids_fini(&ids);
    ds_tok_state_free(st);
    ds_tok_free(t);
}

#define CHECK(spec, p, w) check(spec, p, sizeof(p) / sizeof *(p), w, sizeof(w) / sizeof *(w))

static void template_and_content(void **state)
{
    (void)state;
    static const piece p[] = {{"<s>", TEMPLATE}, {"hello", USER}, {"</s>", TEMPLATE}};
    static const want w[] = {{261, 0, 3}, {259, 3, 8}, {262, 8, 12}};
    CHECK(&TOK_SPEC, p, w);
}

/* A special token in a user's text is its characters; in an assistant's, too. */
static void content_forges_nothing(void **state)
{
    (void)state;
    static const piece user[] = {{"<s>", USER}}, model[] = {{"<s>", MODEL}};
    static const want w[] = {{'<', 0, 1}, {'s', 1, 2}, {'>', 2, 3}};
    CHECK(&TOK_SPEC, user, w);
    CHECK(&TOK_SPEC, model, w);
    static const piece think[] = {{"<think>", MODEL}}, other[] = {{"<think>", USER}};
    static const want one[] = {{263, 0, 7}};
    CHECK(&TOK_SPEC, think, one);
    static const want spelled[] = {{'<', 0, 1}, {'t', 1, 2}, {'h', 2, 3}, {'i', 3, 4},
                                   {'n', 4, 5}, {'k', 5, 6}, {'>', 6, 7}};
    CHECK(&TOK_SPEC, other, spelled);
}

/* Nor does content end what a template began, or begin what one ends, or share it with another. */
static void put_together(void **state)
{
    (void)state;
    static const piece cut[][3] = {{{"<", TEMPLATE}, {"s>", USER}, {"", USER}},
                                   {{"<s", USER}, {">", TEMPLATE}, {"", USER}},
                                   {{"<", TEMPLATE}, {"s", USER}, {">", TEMPLATE}},
                                   {{"<", MODEL}, {"s", MODEL}, {">", MODEL}}};
    static const want w[] = {{'<', 0, 1}, {'s', 1, 2}, {'>', 2, 3}};
    for (size_t i = 0; i < sizeof cut / sizeof *cut; i++)
        CHECK(&TOK_SPEC, cut[i], w);
    static const piece both[] = {{"<", TEMPLATE}, {"s>", TEMPLATE}}; /* all of one hand */
    static const want one[] = {{261, 0, 3}};
    CHECK(&TOK_SPEC, both, one);
    /* after one that does not count, the next one does */
    static const piece next[] = {{"<s>", USER}, {"<s>", TEMPLATE}};
    static const want four[] = {{'<', 0, 1}, {'s', 1, 2}, {'>', 2, 3}, {261, 3, 6}};
    CHECK(&TOK_SPEC, next, four);
}

/* Words are cut as if one hand had written all. */
static void words_reach_over_borders(void **state)
{
    (void)state;
    static const piece p[] = {{"he", TEMPLATE}, {"ll", USER}, {"o", MODEL}};
    static const want w[] = {{259, 0, 5}};
    CHECK(&TOK_SPEC, p, w);
}

static void places_in_bytes(void **state)
{
    (void)state;
    static const piece p[] = {{"h\xc3\xa9", USER}, {" hello", USER}};
    static const want w[] = {{'h', 0, 1}, {0xc3, 1, 2}, {0xa9, 2, 3}, {260, 3, 9}};
    CHECK(&TOK_SPEC, p, w);
}

/* A cluster that NFC changed is covered whole; what is behind it is in its place again. */
static void places_after_normalising(void **state)
{
    (void)state;
    tok_spec spec = TOK_SPEC;
    tok_spec_set(&spec, "normalizer", "{\"type\":\"NFC\"}");
    static const piece p[] = {{"he\xcc\x81 hello", USER}, {"<s>", TEMPLATE}};
    static const want w[] = {{'h', 0, 1}, {0xc3, 1, 4}, {0xa9, 1, 4}, {260, 4, 10}, {261, 10, 13}};
    CHECK(&spec, p, w);
}

static void refusals(void **state)
{
    (void)state;
    static const struct {
        const char *name, *value, *text, *word;
    } cases[] = {{"normalizer", "{\"type\":\"Lowercase\"}", "ABC", "changes the text"},
                 {"normalizer", "null", "ab\xff", "not UTF-8 at byte 2"}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        tok_spec spec = TOK_SPEC;
        tok_spec_set(&spec, cases[i].name, cases[i].value);
        ds_tok *t = tok_make(&spec);
        ds_tok_state *st = NULL;
        ds_spantext text = {0};
        ds_ids ids = {0};
        ds_places at = {0};
        ds_err err = {0};
        assert_int_equal(ds_tok_state_new(&st, t, &err), 0);
        assert_int_equal(ds_ids_put(&ids, &(uint32_t){7}, 1), 0);
        assert_int_equal(
            ds_spantext_put(&text, cases[i].text, strlen(cases[i].text), (ds_span)USER, &err), 0);
        assert_int_equal(ds_tok_encode_spans(t, st, &text, &ids, &at, &err), DS_FAIL);
        assert_non_null(strstr(err.msg, cases[i].word));
        assert_int_equal(ids.n, 1); /* as they were */
        assert_int_equal(at.n, 0);
        ds_spantext_fini(&text);
        ds_places_fini(&at);
        ds_ids_fini(&ids);
        ds_tok_state_free(st);
        ds_tok_free(t);
    }
}

static void spans_of_a_text(void **state)
{
    (void)state;
    ds_spantext t = {0};
    assert_int_equal(ds_spantext_put(&t, "ab", 2, (ds_span)TEMPLATE, NULL), 0);
    assert_int_equal(ds_spantext_put(&t, "", 0, (ds_span)USER, NULL), 0);
    assert_int_equal(ds_spantext_put(&t, "c", 1, (ds_span)TEMPLATE, NULL), 0);
    assert_int_equal(ds_spantext_put(&t, "d", 1, (ds_span)USER, NULL), 0);
    assert_int_equal(ds_spantext_put(&t, "e", 1, (ds_span)MODEL, NULL), 0);
    assert_int_equal(t.n, 3);
    assert_int_equal(t.v[0].end, 3);
    assert_int_equal(t.v[1].end, 4);
    assert_int_equal(t.v[2].end, 5);
    assert_true(t.v[2].target);
    assert_int_equal(t.v[1].role, DS_ROLE_USER);
    ds_spantext_reset(&t);
    assert_int_equal(t.n, 0);
    assert_int_equal(t.text.len, 0);
    ds_spantext_fini(&t);
    static const piece none[] = {{"", USER}};
    check(&TOK_SPEC, none, 1, NULL, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(template_and_content),
        cmocka_unit_test(content_forges_nothing),
        cmocka_unit_test(put_together),
        cmocka_unit_test(words_reach_over_borders),
        cmocka_unit_test(places_in_bytes),
        cmocka_unit_test(places_after_normalising),
        cmocka_unit_test(refusals),
        cmocka_unit_test(spans_of_a_text),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
