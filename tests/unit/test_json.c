/* JSON text: escapes, numbers that read back exactly, what is refused. */
#include "unit.h"

#include <math.h>

#include "json.h"

static void str_is(const char *s, size_t len, const char *want)
{
    ds_buf b = {0};
    assert_int_equal(ds_json_str(&b, s, len), 0);
    assert_string_equal(ds_buf_cstr(&b), want);
    ds_buf_fini(&b);
}

static void strings(void **state)
{
    (void)state;
    str_is("", 0, "\"\"");
    str_is("plain", 5, "\"plain\"");
    str_is("a\"b\\c/", 6, "\"a\\\"b\\\\c/\"");
    str_is("\b\f\n\r\t", 5, "\"\\b\\f\\n\\r\\t\"");
    str_is("\0\x01\x1f\x7f", 4, "\"\\u0000\\u0001\\u001f\x7f\"");
    str_is("\xe4\xb8\xad\xe2\x80\xa8", 6, "\"\xe4\xb8\xad\xe2\x80\xa8\"");
}

static void real_is(double v, const char *want)
{
    ds_buf b = {0};
    assert_int_equal(ds_json_real(&b, v), 0);
    assert_string_equal(ds_buf_cstr(&b), want);
    if (isfinite(v))
        assert_true(strtod(want, NULL) == v);
    ds_buf_fini(&b);
}

static void reals(void **state)
{
    (void)state;
    real_is(0, "0");
    real_is(1, "1");
    real_is(-2.5, "-2.5");
    real_is(0.1, "0.1");
    real_is(0.1 + 0.2, "0.30000000000000004");
    real_is(1e300, "1e+300");
    real_is(5e-324, "4.94065645841247e-324");
    real_is(NAN, "null");
    real_is(INFINITY, "null");
    real_is(-INFINITY, "null");
}

static void dump_is(const char *text, const char *want)
{
    json_t *v;
    ds_err e = {0};
    ds_buf b = {0};
    if (ds_json_parse(&v, text, strlen(text), "text", &e) != 0)
        fail_msg("%s", e.msg);
    assert_int_equal(ds_json_dump(&b, v, &e), 0);
    assert_string_equal(ds_buf_cstr(&b), want);
    json_decref(v);
    ds_buf_fini(&b);
}

static void canonical_text(void **state)
{
    (void)state;
    dump_is(" { \"z\" : 1 , \"a\" : [ true , false , null , { } , [ ] ] } ",
            "{\"z\":1,\"a\":[true,false,null,{},[]]}");
    dump_is("9223372036854775807", "9223372036854775807");
    dump_is("-9223372036854775808", "-9223372036854775808");
    dump_is("[1.0,1.5,1e2,-0.0]", "[1.0,1.5,100.0,-0.0]");
    dump_is("\"\\u00e9\\/\\n\"", "\"\xc3\xa9/\\n\"");
}

static void refused(const char *text)
{
    json_t *v;
    ds_err e = {0};
    assert_int_equal(ds_json_parse(&v, text, strlen(text), "doc", &e), DS_FAIL);
    assert_null(v);
    assert_memory_equal(e.msg, "doc: line ", 10);
}

static void bad_documents(void **state)
{
    (void)state;
    static const char *const bad[] = {"",
                                      "{",
                                      "[1,]",
                                      "{\"a\":1,\"a\":2}",
                                      "nul",
                                      "01",
                                      "[1] x",
                                      "'a'",
                                      "\"\\ud800\"",
                                      "\"\xff\"",
                                      "1e999",
                                      "NaN",
                                      "{a:1}",
                                      "\"\\u0000\"",
                                      "[\"\t\"]",
                                      "18446744073709551616"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        refused(bad[i]);
}

static void deep_documents(void **state)
{
    (void)state;
    enum { N = 200000 };
    char *text = malloc(N);
    json_t *v;
    ds_err e = {0};
    ds_buf b = {0};
    assert_non_null(text);
    memset(text, '[', N);
    assert_int_equal(ds_json_parse(&v, text, N, "deep", &e), DS_FAIL);
    ds_err_clear(&e);
    /* deeper than what is written, but not than what is read */
    memset(text + 1000, ']', 1000);
    assert_int_equal(ds_json_parse(&v, text, 2000, "deep", &e), 0);
    assert_int_equal(ds_json_dump(&b, v, &e), DS_FAIL);
    assert_int_equal(b.len, 0);
    json_decref(v);
    ds_buf_fini(&b);
    free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(strings),        cmocka_unit_test(reals),
        cmocka_unit_test(canonical_text), cmocka_unit_test(bad_documents),
        cmocka_unit_test(deep_documents),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
