/* Rows that are tombstones, as text and back. */
#include "unit.h"

#include "erasedrows.h"

#define A "00112233445566778899aabbccddeeff"
#define B "10112233445566778899aabbccddeeff"

static int parse(const char *text, ds_buf *rows, ds_err *err)
{
    return ds_erasedrows_parse(rows, (const uint8_t *)text, strlen(text), err);
}

static void there_and_back(void **state)
{
    (void)state;
    static const char *const texts[] = {
        "", " 0", " 0 1 2", " 7:" A, " 0:" A " 3 18446744073709551609:" B,
    };
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        ds_buf rows = {0}, text = {0};
        assert_int_equal(parse(texts[i], &rows, NULL), 0);
        assert_int_equal(ds_erasedrows_put(&text, (const ds_erasedrow *)(const void *)rows.data,
                                           rows.len / sizeof(ds_erasedrow)),
                         0);
        assert_string_equal(ds_buf_cstr(&text), texts[i]);
        ds_buf_fini(&rows);
        ds_buf_fini(&text);
    }
}

static void malformed(void **state)
{
    (void)state;
    static const char *const texts[] = {
        "0",
        " ",
        " x",
        " 01",
        " 1 1",
        " 2 1",
        " 1  2",
        " 1:",
        " 1:" A "0",
        " 1:0011",
        " 1:" A " ",
        " -1",
        " 1,2",
        " 1:" A ":" B,
        " 1:00112233445566778899AABBCCDDEEFF",
        " 18446744073709551616",
    };
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        ds_buf rows = {0};
        ds_err err = {0};
        assert_int_equal(parse(texts[i], &rows, &err), DS_CORRUPT);
        assert_non_null(strstr(err.msg, "malformed rows"));
        ds_buf_fini(&rows);
    }
}

static void check_merge(const char *a, const char *b, bool later, const char *want)
{
    ds_buf text = {0};
    assert_int_equal(ds_erasedrows_merge(&text, (const uint8_t *)a, strlen(a), (const uint8_t *)b,
                                         strlen(b), later, NULL),
                     0);
    assert_string_equal(ds_buf_cstr(&text), want);
    ds_buf_fini(&text);
}

static void two_of_a_block(void **state)
{
    (void)state;
    check_merge(" 1 5", " 0 3 9", true, " 0 1 3 5 9");
    check_merge("", " 4", true, " 4");
    check_merge(" 4", "", false, " 4");
    check_merge(" 2:" A, " 2:" B, true, " 2:" B);
    check_merge(" 2:" B, " 2:" A, true, " 2:" A);
    check_merge(" 2:" A, " 2:" B, false, " 2:" A);
    check_merge(" 2:" B, " 2:" A, false, " 2:" A);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(there_and_back),
        cmocka_unit_test(malformed),
        cmocka_unit_test(two_of_a_block),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
