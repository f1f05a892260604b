/* What a run knows of records beside their tokens: loss masks against a plain array of flags,
 * facets and what is counted of them, weights and the mixture that follows from them. */
#include "unit.h"

#include <stdio.h>

#include "consumed.h"
#include "mixture.h"
#include "philox.h"

/* ---- masks ---- */

enum { RECORDS = 300, TOKENS = 90 };

static uint32_t word(uint32_t a, uint32_t b)
{
    const uint32_t c[4] = {a, b, 0, 0};
    uint32_t w[4];

    ds_philox_block(w, 5, c);
    return w[0];
}

/* Flags of a record, and the runs that say the same. */
static uint32_t make(uint8_t flags[TOKENS], ds_buf *runs, uint64_t *n, uint32_t record)
{
    const uint32_t tokens = word(record, 0) % TOKENS;
    uint32_t from = 0;

    ds_buf_reset(runs);
    *n = 0;
    for (uint32_t i = 0; i < tokens; i++)
        flags[i] = word(record, i / 7 + 1) & 1;
    for (uint32_t i = 1; i <= tokens; i++)
        if (i == tokens || flags[i] != flags[from]) {
            assert_int_equal(ds_buf_varint(runs, i - from), 0);
            assert_int_equal(ds_buf_varint(runs, flags[from]), 0);
            from = i;
            ++*n;
        }
    return tokens;
}

static void masks_are_flags(void **state)
{
    ds_lossmask m = {0};
    ds_buf runs = {0};
    uint8_t flags[TOKENS], got[TOKENS];
    uint64_t n, targets = 0;
    ds_err err = {0};

    (void)state;
    for (uint32_t r = 0; r < RECORDS; r++) {
        const uint32_t tokens = make(flags, &runs, &n, r);
        const ds_value x = {.null = r % 10 == 3, .p = runs.data, .len = runs.len, .count = n};
        assert_int_equal(ds_lossmask_add(&m, &x, tokens, &err), 0);
        for (uint32_t i = 1; i < tokens; i++)
            targets += x.null || flags[i];
    }
    assert_int_equal(m.targets, targets);
    for (uint32_t r = 0; r < RECORDS; r++) {
        const uint32_t tokens = make(flags, &runs, &n, r);
        for (uint32_t k = 0; k < 20; k++) {
            const uint32_t from = tokens ? word(r, 100 + k) % tokens : 0,
                           len = tokens ? word(r, 200 + k) % (tokens - from + 1) : 0;
            uint64_t want = 0;
            ds_lossmask_get(&m, r, from, len, got);
            for (uint32_t i = 0; i < len; i++) {
                assert_int_equal(got[i], r % 10 == 3 || flags[from + i]);
                want += i > 0 && got[i];
            }
            assert_int_equal(ds_lossmask_targets(&m, r, from, len), want);
        }
    }
    assert_int_equal(ds_lossmask_targets(NULL, 9, 4, 10), 9);
    assert_int_equal(ds_lossmask_targets(NULL, 9, 4, 0), 0);
    ds_lossmask_fini(&m);
    ds_buf_fini(&runs);
}

static void masks_that_do_not_fit(void **state)
{
    static const uint8_t five[] = {5, 1}, two[] = {5, 2},
                         huge[] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
                                   0xff, 0xff, 1,    1,    5,    0};
    const ds_value null = {.null = true};
    ds_lossmask m = {0};
    ds_value x = {.p = five, .len = 2, .count = 1};
    ds_err err = {0};

    (void)state;
    assert_int_equal(ds_lossmask_add(&m, &null, 3, &err), 0);
    assert_int_equal(ds_lossmask_add(&m, &x, 6, &err), DS_FAIL);
    assert_string_equal(err.msg, "record 1: its mask is of 5 tokens, it has 6");
    err.code = 0;
    x.p = two;
    assert_int_equal(ds_lossmask_add(&m, &x, 5, &err), DS_FAIL);
    assert_non_null(strstr(err.msg, "record 1: its mask holds 2"));
    err.code = 0;
    x = (ds_value){.p = huge, .len = sizeof huge, .count = 2};
    assert_int_equal(ds_lossmask_add(&m, &x, 4, &err), DS_FAIL);
    err.code = 0;
    x.len = 5;
    assert_int_equal(ds_lossmask_add(&m, &x, 4, &err), DS_CORRUPT);
    assert_int_equal(m.records, 1);
    ds_lossmask_fini(&m);
}

/* ---- facets ---- */

static void add_json(ds_facet *f, const char *member, const char *json)
{
    const ds_value x = {.p = (const uint8_t *)json, .len = strlen(json)};
    ds_err err = {0};

    assert_int_equal(ds_facet_add_member(f, member, &x, &err), 0);
}

static void members_of_json(void **state)
{
    static const struct {
        const char *json;
        int id;
    } cases[] = {
        {"{\"a\":\"x\"}", 2},
        {"{\"b\":{\"a\":\"no\"},\"a\":\"y\"}", 3},
        {"{\"b\":\"\\\"a\\\":\\\"no\\\"\",\"a\":\"x\",\"a\":\"z\"}", 2},
        {"{\"a\":1.50}", 4},
        {"{\"a\":true}", 5},
        {"{\"a\":null}", DS_FACET_ABSENT},
        {"{\"a\":{}}", DS_FACET_ABSENT},
        {"{\"a\":[1,\"}\"]}", DS_FACET_ABSENT},
        {"{}", DS_FACET_ABSENT},
        {"[\"a\",\"x\"]", DS_FACET_ABSENT},
        {"\"a\"", DS_FACET_ABSENT},
        {"{\"a\":\"x\\n\"}", DS_FACET_OTHER},
        {"{\"a\":\"\"}", 6},
        {"{\"ab\":\"x\"}", DS_FACET_ABSENT},
        {"{\"a", DS_FACET_ABSENT}, /* not JSON: nothing is overrun */
        {"{\"a\":\"x", 7},
        {"{\"a\\", DS_FACET_ABSENT},
    };
    ds_err err = {0};
    ds_facet *f = ds_facet_new("meta.a", &err);

    (void)state;
    assert_non_null(f);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        add_json(f, "a", cases[i].json);
        const uint16_t got = ((const uint16_t *)(const void *)f->ids.data)[i];
        if (i < 15 && got != cases[i].id)
            fail_msg("%s: %d, not %d", cases[i].json, got, cases[i].id);
    }
    ds_facet_free(f);
}

static void values_without_a_name(void **state)
{
    static const char letters[65] =
        "yyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyy";
    ds_err err = {0};
    ds_facet *f = ds_facet_new("label", &err);
    ds_value x = {.p = (const uint8_t *)letters};
    char text[16];
    size_t n;

    (void)state;
    assert_non_null(f);
    x.len = 64;
    assert_int_equal(ds_facet_add(f, DS_UTF8, &x, &err), 0);
    x.len = 65;
    assert_int_equal(ds_facet_add(f, DS_UTF8, &x, &err), 0);
    for (int round = 0; round < 2; round++)
        for (int i = 0; i < DS_FACET_VALUES + 10; i++) {
            x = (ds_value){.i = i - 5};
            assert_int_equal(ds_facet_add(f, DS_I64, &x, &err), 0);
        }
    const uint16_t *ids = (const uint16_t *)(const void *)f->ids.data;
    assert_int_equal(ids[0], DS_FACET_FIRST);
    assert_int_equal(ids[1], DS_FACET_OTHER);
    for (int i = 0; i < DS_FACET_VALUES + 10; i++) {
        assert_int_equal(ids[2 + i], ids[2 + DS_FACET_VALUES + 10 + i]);
        assert_int_equal(ids[2 + i],
                         i < DS_FACET_VALUES - 1 ? DS_FACET_FIRST + 1 + i : DS_FACET_OTHER);
        if (ids[2 + i] == DS_FACET_OTHER)
            continue;
        const char *s = ds_facet_value(f, ids[2 + i], &n);
        snprintf(text, sizeof text, "%d", i - 5);
        assert_true(n == strlen(text) && !memcmp(s, text, n));
    }
    ds_facet_free(f);
}

static void consumed_in_numbers(void **state)
{
    static const ds_span spans[] = {{0, 0, 10}, {1, 0, 1}, {2, 4, 7}, {3, 0, 300}};
    static const uint64_t firsts[] = {0, 3};
    static const char want[] =
        "{\"first\":4,\"last\":6,\"datasets\":[{\"sequences\":3,\"tokens\":18,\"targets\":15,"
        "\"lengths\":[1,0,1,1],\"facets\":[{\"name\":\"label\",\"values\":[[\"b\",2,17],[\"a\\\"\","
        "1,1]],"
        "\"other\":[0,0],\"absent\":[0,0]}]},{\"sequences\":1,\"tokens\":300,\"targets\":299,"
        "\"lengths\":[0,0,0,0,0,0,0,0,1],\"facets\":[]}]}";
    static const char *const labels[] = {"b", "a\"", "b"};
    ds_recfacts one = {0}, two = {0};
    const ds_recfacts *facts[] = {&one, &two};
    ds_consumed *c;
    ds_buf b = {0};
    ds_err err = {0};

    (void)state;
    one.facets[0] = ds_facet_new("label", &err);
    one.nfacets = 1;
    for (int i = 0; i < 3; i++) {
        const ds_value x = {.p = (const uint8_t *)labels[i], .len = strlen(labels[i])};
        assert_int_equal(ds_facet_add(one.facets[0], DS_UTF8, &x, &err), 0);
    }
    assert_int_equal(ds_consumed_new(&c, facts, 2, &err), 0);
    for (int again = 0; again < 2; again++) {
        assert_int_equal(ds_consumed_add(c, spans, 2, firsts, &err), 0);
        assert_int_equal(ds_consumed_add(c, spans + 2, 2, firsts, &err), 0);
        ds_buf_reset(&b);
        assert_int_equal(ds_consumed_dump(&b, c, 4, 6, &err), 0);
        assert_string_equal(ds_buf_cstr(&b), want);
        ds_consumed_reset(c);
    }
    ds_consumed_free(c);
    ds_recfacts_fini(&one);
    ds_buf_fini(&b);
}

/* ---- mixtures ---- */

static void weights_as_text(void **state)
{
    static const struct {
        const char *text;
        uint64_t w[3];
    } good[] = {{"0.7,0.3,1", {7, 3, 10}},
                {"70,30,100", {7, 3, 10}},
                {"1,1,1", {1, 1, 1}},
                {".5,5.,0.25", {2, 20, 1}},
                {"0.000000001,1,1", {1, 1000000000, 1000000000}}};
    static const char *const bad[] = {"",
                                      "1",
                                      "1,2",
                                      "1,2,3,4",
                                      "1,2,0",
                                      "1,2,-3",
                                      "1,2,x",
                                      "1,2,3x",
                                      "1,,3",
                                      "1,2,3,",
                                      "1e3,1,1",
                                      "1,1,.",
                                      "1,1,0.0000000001",
                                      "0.000000001,2,2",
                                      "1,1,99999999999999999999",
                                      " 1,1,1",
                                      "1.2.3,1,1"};
    uint64_t w[3];

    (void)state;
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        ds_err err = {0};
        assert_int_equal(ds_weights_parse(w, 3, good[i].text, &err), 0);
        assert_memory_equal(w, good[i].w, sizeof w);
    }
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        ds_err err = {0};
        if (ds_weights_parse(w, 3, bad[i], &err) != DS_USAGE)
            fail_msg("'%s' is taken for weights", bad[i]);
    }
}

/* Shares are kept to one record at any place, and within an epoch of its own every record of a
 * dataset comes once. */
static void shares_of_the_tokens(void **state)
{
    const ds_mixpart parts[] = {{50, 7}, {200, 3}};
    uint64_t tokens[2] = {0}, visits[2] = {0}, first[2] = {0, 50};
    uint8_t seen[250] = {0};
    ds_mixture *m;
    ds_err err = {0};

    (void)state;
    assert_int_equal(ds_mixture_new(&m, 3, parts, 2, &err), 0);
    for (int i = 0; i < 5000; i++) {
        const uint64_t r = ds_mixture_next(m), len = word((uint32_t)r, 9) % 40;
        const size_t d = r >= 50;
        assert_true(r < 250);
        if (visits[d]++ % parts[d].records == 0)
            memset(seen + first[d], 0, parts[d].records);
        assert_false(seen[r]);
        seen[r] = 1;
        tokens[d] += len;
        ds_mixture_took(m, len);
        const double share = (double)tokens[0] / 7 - (double)tokens[1] / 3;
        assert_true(share < 40.0 / 3 && share > -40.0 / 3);
    }
    assert_true(visits[0] > 500 && visits[1] > 500);
    ds_mixture_free(m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(masks_are_flags),      cmocka_unit_test(masks_that_do_not_fit),
        cmocka_unit_test(members_of_json),      cmocka_unit_test(values_without_a_name),
        cmocka_unit_test(consumed_in_numbers),  cmocka_unit_test(weights_as_text),
        cmocka_unit_test(shares_of_the_tokens),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
