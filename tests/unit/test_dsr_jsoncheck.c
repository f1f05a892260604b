/* test_dsr_jsoncheck.c - JSON as columns demand it. */
#include "unit.h"

#include <stdlib.h>
#include <string.h>

#include "dsr_jsoncheck.h"

static const char *const good[] = {
    "0",
    "-0",
    "1.5e+10",
    "true",
    "false",
    "null",
    "\"\"",
    "[]",
    "{}",
    "[1,[2,{\"a\":[]}],\"x\"]",
    "{\"a\":1,\"a\":2}",
    "\"\\u0000\\\"\\\\\\/\\b\\f\\n\\r\\t\"",
    "\"\\uD834\\udd1E\"",
    "\"a b\"",
    "\"\x7f\"",
    "{\"\":{}}",
    "1E5",
    "123456789012345678901234567890",
};

static const char *const bad[] = {
    "",
    " 1",
    "1 ",
    "[1, 2]",
    "{\"a\" :1}",
    "01",
    "-",
    "1.",
    ".5",
    "1e",
    "1e+",
    "+1",
    "tru",
    "nul",
    "nulll",
    "\"",
    "\"\\x\"",
    "\"\\u12\"",
    "\"\\ud834\"",
    "\"\\ud834\\u0041\"",
    "\"\\udd1e\"",
    "\"\\ud834x\"",
    "\"\n\"",
    "\"\xff\"",
    "\"\xed\xa0\x80\"",
    "[",
    "[1",
    "[1,",
    "[1,]",
    "[,1]",
    "{",
    "{\"a\"",
    "{\"a\":",
    "{\"a\":1",
    "{\"a\":1,",
    "{\"a\":1,}",
    "{1:2}",
    "{a:1}",
    "[1}",
    "{\"a\":1]",
    "]",
    "1,2",
    "[1]]",
    "Infinity",
    "NaN",
    "'a'",
    "\"\\",
    "\"\\u",
    "0x1",
    "--1",
    "\xef\xbb\xbf"
    "1",
};

static void texts(void **state)
{
    (void)state;
    size_t at;
    for (size_t i = 0; i < sizeof good / sizeof *good; i++)
        if (ds_jsoncheck((const uint8_t *)good[i], strlen(good[i]), NULL, 0, &at))
            fail_msg("refused at %zu: %s", at, good[i]);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        if (!ds_jsoncheck((const uint8_t *)bad[i], strlen(bad[i]), NULL, 0, &at))
            fail_msg("taken: %s", bad[i]);
        assert_true(at <= strlen(bad[i]));
    }
    uint8_t deep[258];
    memset(deep, '[', 129);
    memset(deep + 129, ']', 129);
    assert_null(ds_jsoncheck(deep + 1, 256, NULL, 0, &at));
    assert_non_null(ds_jsoncheck(deep, 258, NULL, 0, &at));
    assert_int_equal(at, 128);
}

/* A string longer than the checker's steps, with a character across each of their ends. */
static void long_text(void **state)
{
    (void)state;
    size_t n = (size_t)3 << 20, at;
    uint8_t *p = malloc(n);
    assert_non_null(p);
    for (size_t shift = 0; shift < 3; shift++) {
        memset(p, 'a', n);
        p[0] = '"';
        for (size_t i = 1 + shift; i + 3 < n - 1; i += 3)
            memcpy(p + i, "\xe2\x82\xac", 3);
        p[n - 1] = '"';
        assert_null(ds_jsoncheck(p, n, NULL, 0, &at));
        p[n - 100] = 0xff;
        assert_non_null(ds_jsoncheck(p, n, NULL, 0, &at));
        assert_true(at > n - 104 && at <= n - 100);
    }
    free(p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(texts),
        cmocka_unit_test(long_text),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
