/* test_jsontext.c - the text of values in JSON lines: escapes, base64, numbers, times. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "json.h"
#include "jsonrow.h"

static void assert_text(ds_buf *b, const char *want)
{
    assert_int_equal(b->len, strlen(want));
    assert_memory_equal(b->data, want, b->len);
    ds_buf_reset(b);
}

/* The fast escaper and the one of common/json.h write the same, wherever the special byte lies. */
static void escapes_agree(void **state)
{
    (void)state;
    ds_buf fast = {0}, slow = {0};
    char text[300];
    for (int c = 0; c < 128; c++)
        for (size_t at = 0; at <= sizeof text; at++) {
            memset(text, at < sizeof text ? 'a' : c, sizeof text);
            if (at < sizeof text)
                text[at] = (char)c;
            ds_buf_fini(&fast);
            ds_buf_reset(&slow);
            assert_int_equal(ds_buf_putc(&fast, '"'), 0);
            assert_int_equal(ds_json_escape(&fast, (const uint8_t *)text, sizeof text), 0);
            assert_int_equal(ds_buf_putc(&fast, '"'), 0);
            assert_int_equal(ds_json_str(&slow, text, sizeof text), 0);
            assert_int_equal(fast.len, slow.len);
            assert_memory_equal(fast.data, slow.data, fast.len);
        }
    ds_buf_reset(&fast);
    static const char some[] = "\x01\x1f\"\\/\b\f\n\r\t\x7f\xe6\xbc\xa2";
    assert_int_equal(ds_json_escape(&fast, (const uint8_t *)some, sizeof some - 1), 0);
    assert_text(&fast, "\\u0001\\u001f\\\"\\\\/\\b\\f\\n\\r\\t\x7f\xe6\xbc\xa2");
    ds_buf_fini(&fast);
    ds_buf_fini(&slow);
}

static void names_of_any_bytes(void **state)
{
    (void)state;
    ds_buf b = {0};
    assert_int_equal(ds_json_name(&b, "a\xff\xc3(\n", 5), 0);
    assert_text(&b, "\"a\xef\xbf\xbd\xef\xbf\xbd(\\n\"");
    assert_int_equal(ds_json_name(&b, "", 0), 0);
    assert_text(&b, "\"\"");
    ds_buf_fini(&b);
}

/* RFC 4648 section 10. */
static void base64_vectors(void **state)
{
    (void)state;
    static const char *const v[][2] = {{"", ""},
                                       {"f", "Zg=="},
                                       {"fo", "Zm8="},
                                       {"foo", "Zm9v"},
                                       {"foob", "Zm9vYg=="},
                                       {"fooba", "Zm9vYmE="},
                                       {"foobar", "Zm9vYmFy"},
                                       {"\xfb\xff\xfe", "+//+"}};
    ds_buf b = {0};
    for (size_t i = 0; i < sizeof v / sizeof *v; i++) {
        assert_int_equal(ds_base64(&b, (const uint8_t *)v[i][0], strlen(v[i][0])), 0);
        if (*v[i][1])
            assert_text(&b, v[i][1]);
        else
            assert_int_equal(b.len, 0);
    }
    ds_buf_fini(&b);
}

static void decimals(void **state)
{
    (void)state;
    ds_buf b = {0};
    assert_int_equal(ds_decimal(&b, 0), 0);
    assert_text(&b, "0");
    assert_int_equal(ds_decimal(&b, 1234567890), 0);
    assert_text(&b, "1234567890");
    assert_int_equal(ds_decimal(&b, UINT64_MAX), 0);
    assert_text(&b, "18446744073709551615");
    ds_buf_fini(&b);
}

static void times(void **state)
{
    (void)state;
    static const struct {
        int64_t ns;
        const char *text;
    } v[] = {
        {0, "1970-01-01T00:00:00.000000000Z"},
        {-1, "1969-12-31T23:59:59.999999999Z"},
        {INT64_C(-86400000000000), "1969-12-31T00:00:00.000000000Z"},
        {INT64_C(-86400000000001), "1969-12-30T23:59:59.999999999Z"},
        {INT64_C(951782400000000000), "2000-02-29T00:00:00.000000000Z"},
        {INT64_C(951868800000000001), "2000-03-01T00:00:00.000000001Z"},
        {INT64_C(4107542399999999999), "2100-02-28T23:59:59.999999999Z"},
        {INT64_C(4107542400000000000), "2100-03-01T00:00:00.000000000Z"},
        {INT64_C(1700000000123456789), "2023-11-14T22:13:20.123456789Z"},
        {INT64_MAX, "2262-04-11T23:47:16.854775807Z"},
        {INT64_MIN, "1677-09-21T00:12:43.145224192Z"},
    };
    ds_buf b = {0};
    for (size_t i = 0; i < sizeof v / sizeof *v; i++) {
        assert_int_equal(ds_time_text(&b, v[i].ns), 0);
        assert_text(&b, v[i].text);
    }
    ds_buf_fini(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(escapes_agree),  cmocka_unit_test(names_of_any_bytes),
        cmocka_unit_test(base64_vectors), cmocka_unit_test(decimals),
        cmocka_unit_test(times),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
