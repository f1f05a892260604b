/* What mail is wrapped in: transfer encodings, words of headers, parameters, dates. */
#include "unit.h"

#include "mailcode.h"

typedef int code_fn(ds_buf *, const uint8_t *, size_t);

static void coded(code_fn *f, const char *in, const char *want)
{
    ds_buf out = {0};
    const size_t len = strlen(in);
    uint8_t *copy = malloc(len ? len : 1);
    assert_non_null(copy);
    memcpy(copy, in, len);
    assert_int_equal(f(&out, copy, len), 0);
    assert_string_equal(ds_buf_cstr(&out), want);
    free(copy);
    ds_buf_fini(&out);
}

static void transfer(void **state)
{
    (void)state;
    coded(ds_mail_base64, "aGVsbG8=", "hello");
    coded(ds_mail_base64, "aGVs\r\n bG8", "hello");
    coded(ds_mail_base64, "aA==aGk=", "hhi");
    coded(ds_mail_base64, "!a!G!k!", "hi");
    coded(ds_mail_base64, "", "");
    coded(ds_mail_quoted, "a=3Db=\r\nc =\nd  \ne=zz=", "a=bc d\ne=zz");
    coded(ds_mail_quoted, "=c3=A9\t \r\nx y", "\xc3\xa9\r\nx y");
    coded(ds_mail_quoted, "a=  \nb=4", "ab=4");
}

static void words(void **state)
{
    (void)state;
    coded(ds_mail_header, "plain", "plain");
    coded(ds_mail_header, "a\r\n b\n\tc", "a b\tc");
    coded(ds_mail_header, "=?UTF-8?Q?caf=C3=A9_x?= y", "caf\xc3\xa9 x y");
    coded(ds_mail_header, "=?iso-8859-1*fr?q?=E9?=", "\xc3\xa9");
    coded(ds_mail_header, "=?utf-8?b?4p?=\r\n =?utf-8?b?yT?=", "=?utf-8?b?4p?= =?utf-8?b?yT?=");
    /* A character cut between two words; white space between words is none. */
    coded(ds_mail_header, "=?utf-8?q?=E2=9C?= =?utf-8?q?=93?= z", "\xe2\x9c\x93 z");
    coded(ds_mail_header, "=?utf-8?q?a?= =?latin1?q?b?= =?utf-8?q?c?=", "abc");
    coded(ds_mail_header, "=?no-such?q?a?= b", "=?no-such?q?a?= b");
    coded(ds_mail_header, "=?utf-8?q?=FF?=", "=?utf-8?q?=FF?=");
    coded(ds_mail_header, "=?utf-8?x?a?= =? =", "=?utf-8?x?a?= =? =");
    coded(ds_mail_addresses, "=?utf-8?q?M=2C?= <a@b>", "\"M,\" <a@b>");
    coded(ds_mail_addresses, "=?utf-8?q?a=22b?= <a@b>", "\"a\\\"b\" <a@b>");
    coded(ds_mail_addresses, "=?utf-8?q?Bob?= <a@b>", "Bob <a@b>");
}

static void param(const char *value, const char *want)
{
    ds_buf out = {0};
    const int got = ds_mail_param(&out, (const uint8_t *)value, strlen(value), "filename");
    assert_int_equal(got, want != NULL);
    if (want)
        assert_string_equal(ds_buf_cstr(&out), want);
    ds_buf_fini(&out);
}

static void params(void **state)
{
    (void)state;
    param("attachment; filename=\"a b.pdf\"", "a b.pdf");
    param("attachment; filename==?utf-8?q?=C3=A9.pdf?=", "\xc3\xa9.pdf");
    param("attachment; filename*=iso-8859-1'en'%E9%20x", "\xc3\xa9 x");
    param("attachment; filename*0*=utf-8''%C3; filename*1*=%A9; filename*2=\".%20\"",
          "\xc3\xa9.%20");
    param("attachment; filename*1=b; filename*0=a", "ab");
    param("attachment; filename=old; filename*=utf-8''new", "new");
    param("attachment", NULL);
}

static void date(const char *in, const char *want)
{
    char out[DS_MAIL_DATE];
    assert_int_equal(ds_mail_date(out, (const uint8_t *)in, strlen(in)), want != NULL);
    if (want)
        assert_string_equal(out, want);
}

static void dates(void **state)
{
    (void)state;
    date("Fri, 01 Mar 2024 12:00:00 +0100", "2024-03-01T11:00:00Z");
    date("1 Mar 2024 00:30 -0030 (a (nested) comment)", "2024-03-01T01:00:00Z");
    date("Thu, 29 Feb 2024 23:59:60 GMT", "2024-02-29T23:59:60Z");
    date("31 Dec 99 23:00:00 EST", "2000-01-01T04:00:00Z");
    date("1 Jan 1970 00:00:00 +0001", "1969-12-31T23:59:00Z");
    date("Sat, 1-Jan-00 00:00:00 Z", "2000-01-01T00:00:00Z");
    date("30 Feb 2024 12:00:00 +0000", NULL);
    date("1 Foo 2024 12:00:00 +0000", NULL);
    date("1 Mar 2024 25:00:00 +0000", NULL);
    date("1 Mar 2024 12:00:00 +9999", NULL);
    date("yesterday", NULL);
    date("", NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(transfer), cmocka_unit_test(words),
                                       cmocka_unit_test(params), cmocka_unit_test(dates)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
