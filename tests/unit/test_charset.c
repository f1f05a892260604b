/* Encodings: strict, the same in parts of any size, and offsets of what does not belong. */
#include "unit.h"

#include "charset.h"

static int convert(ds_buf *out, const char *name, const void *in, size_t len, size_t step,
                   ds_err *err)
{
    ds_charset *c;
    int rc = ds_charset_new(&c, name, err);
    out->len = 0;
    for (size_t at = 0; rc == 0 && at <= len; at += step) {
        size_t n = len - at < step ? len - at : step;
        rc = ds_charset_feed(c, (const uint8_t *)in + at, n, at + n == len, out, err);
        if (at + n == len)
            break;
    }
    ds_charset_free(c);
    return rc;
}

static void converts_in_parts(void **state)
{
    (void)state;
    static const struct {
        const char *name, *in, *want;
        size_t len;
    } t[] = {
        {"UTF-16LE", "h\0i\0\x2d\x4e\x3d\xd8\x00\xde", "hi\xe4\xb8\xad\xf0\x9f\x98\x80", 10},
        {"UTF-16BE", "\0h\0i\x4e\x2d\xd8\x3d\xde\x00", "hi\xe4\xb8\xad\xf0\x9f\x98\x80", 10},
        {"UTF-16", "h\0i\0", "hi", 4},
        {"GB18030", "\xd6\xd0\xce\xc4 a\x81\x30\x81\x30", "\xe4\xb8\xad\xe6\x96\x87 a\xc2\x80", 10},
        {"ISO-8859-1", "caf\xe9", "caf\xc3\xa9", 4},
        {"SHIFT_JIS", "\x93\xfa\x96\x7b", "\xe6\x97\xa5\xe6\x9c\xac", 4},
        {"ISO-2022-JP", "\x1b$BF|K\\\x1b(B!", "\xe6\x97\xa5\xe6\x9c\xac!", 11},
        {"ISO-8859-1", "", "", 0},
    };
    ds_buf out = {0};
    for (size_t i = 0; i < sizeof t / sizeof *t; i++)
        for (size_t step = 1; step <= 12; step++) {
            ds_err err = {0};
            int rc = convert(&out, t[i].name, t[i].in, t[i].len, step, &err);
            if (rc != 0)
                fail_msg("%s in steps of %zu: %s", t[i].name, step, err.msg);
            assert_int_equal(out.len, strlen(t[i].want));
            if (out.len > 0)
                assert_memory_equal(out.data, t[i].want, out.len);
        }
    ds_buf_fini(&out);
}

static void refuses(void **state)
{
    (void)state;
    static const struct {
        const char *name, *in;
        size_t len;
        const char *offset;
    } t[] = {
        {"GB18030", "ok\xff\xff", 4, "offset 2:"},
        {"UTF-16LE",
         "a\0\x00\xdc"
         "b\0",
         6, "offset 2:"},
        {"UTF-16LE", "a\0b", 3, "offset 2:"},
        {"UTF-16LE", "a\0\x3d\xd8", 4, "offset 2:"},
        {"ASCII", "abc\x80", 4, "offset 3:"},
    };
    ds_buf out = {0};
    for (size_t i = 0; i < sizeof t / sizeof *t; i++)
        for (size_t step = 1; step <= 7; step++) {
            ds_err err = {0};
            assert_int_equal(convert(&out, t[i].name, t[i].in, t[i].len, step, &err), DS_FAIL);
            if (!strstr(err.msg, t[i].offset))
                fail_msg("%s in steps of %zu: %s", t[i].name, step, err.msg);
        }
    ds_buf_fini(&out);
}

static void names(void **state)
{
    (void)state;
    ds_err err = {0};
    assert_int_equal(ds_charset_check("GB18030", NULL), 0);
    assert_int_equal(ds_charset_check("utf-8", NULL), 0);
    assert_int_equal(ds_charset_check("no-such", &err), DS_USAGE);
    assert_int_equal(ds_charset_check("ISO-8859-1//IGNORE", NULL), DS_USAGE);
    assert_int_equal(ds_charset_check("", NULL), DS_USAGE);
    assert_true(ds_charset_is_utf8("Utf-8"));
    assert_false(ds_charset_is_utf8("UTF-16"));
}

static void marks(void **state)
{
    (void)state;
    static const struct {
        const char *b, *name;
        size_t len, mark;
    } t[] = {{"\xef\xbb\xbfx", "UTF-8", 4, 3},   {"\xff\xfex\0", "UTF-16LE", 4, 2},
             {"\xfe\xff\0x", "UTF-16BE", 4, 2},  {"\xff\xfe\0\0", "UTF-32LE", 4, 4},
             {"\0\0\xfe\xff", "UTF-32BE", 4, 4}, {"plain", NULL, 5, 0},
             {"\xef\xbb", NULL, 2, 0},           {"", NULL, 0, 0}};
    for (size_t i = 0; i < sizeof t / sizeof *t; i++) {
        size_t mark = 9;
        const char *name = ds_charset_bom((const uint8_t *)t[i].b, t[i].len, &mark);
        assert_int_equal(mark, t[i].mark);
        if (t[i].name)
            assert_string_equal(name, t[i].name);
        else
            assert_null(name);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(converts_in_parts),
                                       cmocka_unit_test(refuses), cmocka_unit_test(names),
                                       cmocka_unit_test(marks)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
