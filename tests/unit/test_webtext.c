/* What stands between a page that a crawl kept and its text: header fields, the ways in which a
 * body was sent, encodings, digests. */
#include "unit.h"

#include "headfield.h"
#include "httpbody.h"
#include "webcharset.h"
#include "webdigest.h"

static const uint8_t *bytes(const char *s)
{
    return (const uint8_t *)s;
}

static void fields(void **state)
{
    static const char head[] =
        "One: 1\r\nno field\r\n: none\r\nTWO:  a\r\n\tb \r\n\r\nThree: 3\r\n";
    ds_headfield f;
    (void)state;
    assert_int_equal(ds_headfield_end(bytes(head), strlen(head)), strlen(head) - 10);
    assert_int_equal(ds_headfield_end(bytes("a: b\r\n"), 6), 0);
    assert_true(ds_headfield_find(bytes(head), strlen(head), "two", &f));
    assert_int_equal(f.value_len, 5);
    assert_memory_equal(f.value, "a\r\n\tb", 5);
    assert_false(ds_headfield_find(bytes(head), strlen(head), "three", &f));
}

static void param(const char *value, const char *want)
{
    ds_buf out = {0};
    const int got = ds_headfield_param(bytes(value), strlen(value), "charset", &out);
    assert_int_equal(got, want != NULL);
    if (want)
        assert_string_equal(ds_buf_cstr(&out), want);
    ds_buf_fini(&out);
}

static void params(void **state)
{
    (void)state;
    param("text/html; charset=utf-8", "utf-8");
    param("text/html;CHARSET = \"a\\\"b\" ; x=y", "a\"b");
    param("text/html; title=\"; charset=no\"; charset=yes;", "yes");
    param("text/html; charset", NULL);
    param("charset=utf-8", NULL);
    param("text/html; xcharset=utf-8", NULL);
}

static int body(const char *head, const void *p, size_t len, bool cut, const char *want)
{
    ds_buf mem[3] = {{0}};
    ds_httpbody b;
    ds_err err = {0};
    const ds_httplimits limits = {.most = 1000, .max_ratio = 200, .cut = cut};
    uint8_t *copy = malloc(len ? len : 1);
    assert_non_null(copy);
    memcpy(copy, p, len);
    int rc = ds_httpbody_read(&b, mem, bytes(head), strlen(head), copy, len, &limits, &err);
    if (want) {
        assert_int_equal(rc, 0);
        assert_int_equal(b.len, strlen(want));
        assert_memory_equal(b.p, want, b.len);
    }
    free(copy);
    for (int i = 0; i < 3; i++)
        ds_buf_fini(&mem[i]);
    return rc;
}

#define CHUNKED "Transfer-Encoding: chunked\r\n\r\n"

static void chunks(void **state)
{
    (void)state;
    body("", "as it is", 8, false, "as it is");
    body(CHUNKED, "3\r\nabc\r\n2;x=y\r\nde\r\n0\r\n\r\n", 25, false, "abcde");
    body(CHUNKED, "3 \r\nabc\n0\n", 10, false, "abc");
    body(CHUNKED, "not in chunks", 13, false, "not in chunks");
    body(CHUNKED, "3\r\nabc\r\n9\r\nde", 13, true, "abcde");
    assert_int_equal(body(CHUNKED, "3\r\nabc\r\n9\r\nde", 13, false, NULL), DS_FAIL);
    assert_int_equal(body(CHUNKED, "3\r\nabcd\r\n0\r\n", 12, false, NULL), DS_FAIL);
    assert_int_equal(body(CHUNKED, "3\r\nabc\r\n", 8, false, NULL), DS_FAIL);
}

static void encodings(void **state)
{
    static const uint8_t zlib[] = {0x78, 0x9c, 0x4b, 0x49, 0x05, 0x00, 0x01, 0x2f, 0x00, 0xca},
                         raw[] = {0x4b, 0x49, 0x05, 0x00},
                         br[] = {0x8b, 0x00, 0x80, 0x64, 0x65, 0x03};
    (void)state;
    body("Content-Encoding: deflate\r\n\r\n", zlib, sizeof zlib, false, "de");
    body("Content-Encoding: deflate\r\n\r\n", raw, sizeof raw, false, "de");
    body("Content-Encoding: BR\r\n\r\n", br, sizeof br, false, "de");
    body("Content-Encoding: gzip\r\n\r\n", "plain", 5, false, "plain");
    body("Content-Encoding: br\r\n\r\n", "<p>plain text</p>", 17, false, "<p>plain text</p>");
    body("Content-Encoding: identity\r\n\r\n", "plain", 5, false, "plain");
    assert_int_equal(body("Content-Encoding: sdch\r\n\r\n", "x", 1, false, NULL), DS_FAIL);
    assert_int_equal(body("Content-Encoding: deflate\r\n\r\n", zlib, sizeof zlib - 6, false, NULL),
                     DS_FAIL);
}

static void meta(const char *page, const char *want)
{
    ds_buf out = {0};
    assert_int_equal(ds_webcharset_meta(bytes(page), strlen(page), &out), want != NULL);
    if (want)
        assert_string_equal(ds_buf_cstr(&out), want);
    ds_buf_fini(&out);
}

static void metas(void **state)
{
    (void)state;
    meta("<meta charset=utf-8>", "utf-8");
    meta("<html><META  name=x charset = 'Big5' >", "Big5");
    meta("<meta http-equiv=Content-Type content=\"text/html; charset=koi8-r\">", "koi8-r");
    meta("<meta content='text/html;charset=koi8-r' http-equiv='content-type'/>", "koi8-r");
    meta("<meta content='text/html;charset=koi8-r' name=x>", NULL);
    meta("<!-- <meta charset=no> --><meta charset=yes>", "yes");
    meta("<?xml version=\"1.0\" encoding='Shift_JIS'?><p>", "Shift_JIS");
    meta("<meta charset=utf-16>", "utf-8");
    meta("<metal charset=x>", NULL);
    meta("<meta charset", NULL);
    meta("", NULL);
}

static void text(const char *in, const char *said, const char *otherwise, bool cut,
                 const char *want)
{
    ds_buf out = {0};
    ds_err err = {0};
    const int rc = ds_webcharset_text(&out, bytes(in), strlen(in), &said, 1, otherwise, cut, &err);
    assert_int_equal(rc, want ? 0 : DS_FAIL);
    if (want)
        assert_string_equal(ds_buf_cstr(&out), want);
    ds_buf_fini(&out);
}

static void texts(void **state)
{
    (void)state;
    text("caf\xe9 \x80", "ISO-8859-1", NULL, false, "caf\xc3\xa9 \xe2\x82\xac");
    text("\xef\xbb\xbf"
         "caf\xc3\xa9",
         "latin1", NULL, false, "caf\xc3\xa9"); /* a mark counts more */
    text("caf\xe9", NULL, NULL, false, NULL);
    text("caf\xe9", NULL, "windows-1252", false, "caf\xc3\xa9");
    text("caf\xc3\xa9", NULL, "windows-1252", false, "caf\xc3\xa9");
    text("x", "no-such-thing", NULL, false, NULL);
    text("caf\xc3", "utf-8", NULL, false, NULL);
    text("caf\xc3", "utf-8", NULL, true, "caf");
    text("\x82\xa0\x82", "shift_jis", NULL, true, "\xe3\x81\x82");
    text("\x82\xa0\x82", "shift_jis", NULL, false, NULL);
}

static enum ds_webdigest_says digest(const char *label)
{
    return ds_webdigest_check(bytes(label), strlen(label), "abc", 3);
}

static void digests(void **state)
{
    (void)state;
    assert_int_equal(digest("sha1:VGMT4NSHA2AWVOR6EVYXQUGCNSONBWE5"), DS_WEBDIGEST_RIGHT);
    assert_int_equal(digest("sha1:vgmt4nsha2awvor6evyxqugcnsonbwe5"), DS_WEBDIGEST_RIGHT);
    assert_int_equal(digest("SHA-1:a9993e364706816aba3e25717850c26c9cd0d89d"), DS_WEBDIGEST_RIGHT);
    assert_int_equal(digest("md5:saavbgb42jh3bvuwh56sryl7oi======"), DS_WEBDIGEST_RIGHT);
    assert_int_equal(digest("md5:900150983cd24fb0d6963f7d28e17f72"), DS_WEBDIGEST_RIGHT);
    assert_int_equal(digest("md5:900150983cd24fb0d6963f7d28e17f73"), DS_WEBDIGEST_WRONG);
    assert_int_equal(digest("sha1:VGMT4NSHA2AWVOR6EVYXQUGCNSONBWE6"), DS_WEBDIGEST_WRONG);
    assert_int_equal(digest("crc32:352441c2"), DS_WEBDIGEST_UNKNOWN);
    assert_int_equal(digest("VGMT4NSHA2AWVOR6EVYXQUGCNSONBWE5"), DS_WEBDIGEST_UNKNOWN);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(fields),    cmocka_unit_test(params), cmocka_unit_test(chunks),
        cmocka_unit_test(encodings), cmocka_unit_test(metas),  cmocka_unit_test(texts),
        cmocka_unit_test(digests),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
