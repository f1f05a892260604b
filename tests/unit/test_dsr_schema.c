/* test_dsr_schema.c - schemas: one canonical text, every rule. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "dsr_make.h"

static const char good[] = "{\"columns\":[{\"name\":\"key\",\"type\":\"utf8\"},{\"name\":\"t\","
                           "\"type\":\"utf8\",\"null\":true,\"attrs\":{\"a\":\"1\","
                           "\"b\":\"\xc3\xa9\"}},{\"name\":\"l\",\"type\":\"list\",\"item\":"
                           "\"tokens16\"}],\"key\":\"explicit\",\"keyed\":[],"
                           "\"primary\":[\"t\"],\"block\":[1,2,3]}";

static int parse(const char *text, ds_err *err)
{
    ds_schema s;
    int rc = ds_schema_parse(&s, text, strlen(text), err);
    if (!rc)
        ds_schema_fini(&s);
    return rc;
}

static void test_parse_and_dump(void **state)
{
    (void)state;
    ds_schema s, copy;
    ds_buf out = {0};
    ds_err err = {0};
    assert_int_equal(ds_schema_parse(&s, good, strlen(good), &err), 0);
    assert_int_equal(s.n, 3);
    assert_true(s.explicit_key);
    assert_true(s.cols[1].nullable);
    assert_int_equal(s.cols[2].type, DS_LIST);
    assert_int_equal(s.cols[2].item, DS_TOKENS16);
    assert_string_equal(s.cols[1].attrs, "{\"a\":\"1\",\"b\":\"\xc3\xa9\"}");
    assert_int_equal(s.primary[1], 1);
    assert_int_equal(s.primary[0], 0);
    assert_int_equal(s.block_target, 2);
    assert_int_equal(ds_schema_find(&s, "l"), 2);
    assert_int_equal(ds_schema_find(&s, "x"), -1);
    assert_int_equal(ds_schema_copy(&copy, &s, &err), 0);
    ds_schema_fini(&s);
    assert_int_equal(ds_schema_dump(&out, &copy, &err), 0);
    assert_int_equal(out.len, strlen(good));
    assert_memory_equal(out.data, good, out.len);
    ds_schema_fini(&copy);
    ds_buf_fini(&out);
}

/* Every way in which one thing is off makes the text not canonical, or the schema wrong. */
static const struct {
    const char *from, *to;
} edits[] = {
    {"{\"columns\"", " {\"columns\""},
    {"3]}", "3]} "},
    {"\"null\":true", "\"null\":false"},
    {",\"null\":true", ""}, /* still good: see below */
    {"\"a\":\"1\",\"b\":\"\xc3\xa9\"", "\"b\":\"\xc3\xa9\",\"a\":\"1\""},
    {"\"a\":\"1\",\"b\":\"\xc3\xa9\"", ""},
    {"\"a\":\"1\"", "\"a\":1"},
    {"\xc3\xa9", "\\u00e9"},
    {"tokens16", "list"},
    {"tokens16", "tensor"},
    {"tokens16", "runs"},
    {"tokens16", "tokens64"},
    {",\"item\":\"tokens16\"", ""},
    {"\"type\":\"utf8\"},{", "\"type\":\"bytes\"},{"},
    {"\"type\":\"utf8\"},{", "\"type\":\"utf8\",\"null\":true},{"},
    {"explicit", "derived"},
    {"explicit", "none"},
    {"\"keyed\":[]", "\"keyed\":[\"t\"]"},
    {"\"primary\":[\"t\"]", "\"primary\":[]"},
    {"\"primary\":[\"t\"]", "\"primary\":[\"l\"]"},
    {"\"primary\":[\"t\"]", "\"primary\":[\"x\"]"},
    {"\"primary\":[\"t\"]", "\"primary\":[\"t\",\"t\"]"},
    {"\"primary\":[\"t\"]", "\"primary\":[\"t\",\"key\"]"},
    {"[1,2,3]", "[0,2,3]"},
    {"[1,2,3]", "[3,2,3]"},
    {"[1,2,3]", "[1,4,3]"},
    {"[1,2,3]", "[1,2,1073741825]"},
    {"[1,2,3]", "[1,2]"},
    {"[1,2,3]", "[1,2,3,4]"},
    {"[1,2,3]", "[1,2.0,3]"},
    {"\"name\":\"l\"", "\"name\":\"t\""},
    {"\"name\":\"l\"", "\"name\":\"\""},
    {"\"name\":\"l\"", "\"name\":\"\xff\""},
    {"\"name\":\"l\"", "\"nime\":\"l\""},
    {"\"key\":\"explicit\",\"keyed\":[],", "\"keyed\":[],\"key\":\"explicit\","},
    {"\"block\"", "\"more\":1,\"block\""},
};

static void test_rejections(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof edits / sizeof *edits; i++) {
        char text[1024];
        ds_err err = {0};
        const char *at = strstr(good, edits[i].from);
        assert_non_null(at);
        snprintf(text, sizeof text, "%.*s%s%s", (int)(at - good), good, edits[i].to,
                 at + strlen(edits[i].from));
        int rc = parse(text, &err);
        if (i == 3) {
            assert_int_equal(rc, 0);
            continue;
        }
        if (rc != DS_CORRUPT)
            print_error("edit %zu was taken: %s\n", i, text);
        assert_int_equal(rc, DS_CORRUPT);
        assert_true(err.msg[0]);
    }
    for (size_t n = 0; n < strlen(good); n++) {
        ds_schema s;
        assert_int_equal(ds_schema_parse(&s, good, n, NULL), DS_CORRUPT);
    }
}

static void test_build_rules(void **state)
{
    (void)state;
    ds_schema s;
    ds_err err = {0};
    ds_schema_init(&s);
    assert_int_equal(ds_schema_check(&s, NULL), DS_FAIL);
    assert_int_equal(ds_schema_add(&s, NULL, "a", DS_UTF8, DS_COL_PRIMARY, NULL, NULL), 0);
    assert_int_equal(ds_schema_add(&s, NULL, "a", DS_UTF8, DS_COL_PRIMARY, NULL, &err), DS_FAIL);
    assert_non_null(strstr(err.msg, "\"a\""));
    assert_int_equal(ds_schema_add(&s, NULL, "b", DS_LIST, 0, NULL, NULL), DS_FAIL);
    assert_int_equal(ds_schema_check(&s, NULL), DS_FAIL); /* nothing keyed */
    s.keyed[0] = 1;
    assert_int_equal(ds_schema_check(&s, NULL), 0);
    for (int i = 1; i < 256; i++) {
        char name[16];
        size_t index = 0;
        snprintf(name, sizeof name, "c%d", i);
        assert_int_equal(ds_schema_add(&s, &index, name, DS_I64, DS_COL_NULLABLE, NULL, NULL), 0);
        assert_int_equal(index, i);
    }
    assert_int_equal(ds_schema_check(&s, NULL), 0);
    assert_int_equal(ds_schema_add(&s, NULL, "more", DS_I64, DS_COL_NULLABLE, NULL, NULL), DS_FAIL);
    ds_schema_fini(&s);
}

static void test_names(void **state)
{
    (void)state;
    for (int t = 0; t < DS_NTYPES; t++)
        assert_true(strcmp(ds_type_name((enum ds_type)t), "?") != 0);
    assert_string_equal(ds_type_name(DS_TIMESTAMP), "timestamp");
    assert_int_equal(ds_dtype_size(0), 0);
    assert_int_equal(ds_dtype_size(13), 0);
    assert_int_equal(ds_dtype_size(DS_BF16), 2);
    assert_int_equal(ds_dtype_size(DS_F64T), 8);
    assert_string_equal(ds_dtype_name(DS_I64T), "i64");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_parse_and_dump),
        cmocka_unit_test(test_rejections),
        cmocka_unit_test(test_build_rules),
        cmocka_unit_test(test_names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
