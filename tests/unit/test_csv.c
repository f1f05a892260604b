/* Tables: RFC 4180, record by record, whole or in parts. */
#include "unit.h"

#include "buf.h"
#include "csv.h"

/* The records of a text as field|field;field... with "!" for a bad record. */
static const char *dump(ds_buf *out, const char *text, uint8_t delimiter)
{
    ds_csvrec r = {0};
    size_t len = strlen(text), used = 0;
    uint8_t *copy = malloc(len ? len : 1);
    assert_non_null(copy);
    memcpy(copy, text, len);
    out->len = 0;
    for (size_t at = 0; at < len; at += used) {
        int rc = ds_csv_record(&r, copy + at, len - at, true, delimiter, &used);
        assert_true(used > 0 && used <= len - at);
        if (rc != 0) {
            assert_int_equal(rc, DS_FAIL);
            assert_non_null(r.why);
            assert_true(r.at < used);
            ds_buf_putc(out, '!');
        }
        for (size_t i = 0; rc == 0 && i < r.n; i++) {
            uint8_t field[256];
            size_t n = ds_csv_unquote(field, &r.v[i]);
            if (i)
                ds_buf_putc(out, '|');
            ds_buf_put(out, field, n);
        }
        ds_buf_putc(out, ';');
    }
    free(copy);
    ds_csv_fini(&r);
    return ds_buf_cstr(out);
}

static void records(void **state)
{
    (void)state;
    static const struct {
        const char *in, *want;
    } t[] = {
        {"a,b\n1,2\n", "a|b;1|2;"},
        {"a,b\r\n1,2", "a|b;1|2;"},
        {",\n,,\n", "|;||;"},
        {"\"a,b\",\"c\nd\"\r\n", "a,b|c\nd;"},
        {"\"a \"\"q\"\" b\",\"\"\n\"\"\"\"\n", "a \"q\" b|;\";"},
        {"x\n\ny\n", "x;;y;"},
        {"a field of more than sixteen bytes,another one like that\n",
         "a field of more than sixteen bytes|another one like that;"},
        {"a,b\"c\n1,2\n", "!;1|2;"}, /* a quote in an unquoted field costs one line */
        {"\"a\"b,c\n1,2\n", "!;1|2;"},
        {"a\rb\n1\n", "!;1;"},
        {"\"open,1\n2,3\n", "!;2|3;"}, /* so does a quote that never closes */
        {"1\r", "1;"},
    };
    ds_buf b = {0};
    for (size_t i = 0; i < sizeof t / sizeof *t; i++)
        assert_string_equal(dump(&b, t[i].in, ','), t[i].want);
    assert_string_equal(dump(&b, "a\tsays \"hi\", he\n\"x\ty\"\tz\n", '\t'),
                        "a|says \"hi\", he;x\ty|z;");
    ds_buf_fini(&b);
}

/* A record is not called whole before its end has been seen, and parts never change what comes out.
 */
static void parts(void **state)
{
    (void)state;
    static const char text[] = "a,\"b\"\"\r\n\"\r\n\"q\",x\"y\nlast,\"\"\n";
    size_t len = sizeof text - 1, ends[8], n = 0, used;
    ds_csvrec r = {0};
    for (size_t at = 0; at < len; at += used) {
        int rc = ds_csv_record(&r, (const uint8_t *)text + at, len - at, true, ',', &used);
        assert_true(rc == 0 || rc == DS_FAIL);
        ends[n++] = at + used;
    }
    assert_int_equal(n, 3);
    for (size_t cut = 0; cut <= len; cut++) {
        size_t whole = cut ? ds_csv_whole(&r, (const uint8_t *)text, cut, ',') : 0, want = 0;
        for (size_t i = 0; i < n; i++)
            if (ends[i] <= cut)
                want = ends[i];
        assert_int_equal(whole, want);
    }
    ds_csv_fini(&r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(records), cmocka_unit_test(parts)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
