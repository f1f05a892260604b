/* Cutting text: what the records are, and that parts never change them. */
#include "unit.h"

#include "buf.h"
#include "textcut.h"

static const char *dump(ds_buf *out, enum ds_split split, size_t n, const char *text, size_t len)
{
    size_t at = 0, start, k;
    out->len = 0;
    while (ds_textcut_next(split, n, (const uint8_t *)text, len, &at, &start, &k)) {
        ds_buf_put(out, text + start, k);
        ds_buf_putc(out, '|');
    }
    return ds_buf_cstr(out);
}

static void cuts(void **state)
{
    (void)state;
    static const struct {
        enum ds_split split;
        const char *in, *want;
    } t[] = {
        {DS_SPLIT_LINE, "a\nb\r\n\n\nc", "a|b|c|"},
        {DS_SPLIT_LINE, "", ""},
        {DS_SPLIT_PARAGRAPH, "\n\na\nb\n \t\r\n\nc\r\nd\r\n", "a\nb|c\r\nd|"},
        {DS_SPLIT_PARAGRAPH, "one", "one|"},
        {DS_SPLIT_PARAGRAPH, " \n\n", ""},
        {DS_SPLIT_BYTES, "abcdefghi", "abcd|efgh|i|"},
        {DS_SPLIT_BYTES, "ab\xe4\xb8\xad\xe6\x96\x87", "ab|\xe4\xb8\xad|\xe6\x96\x87|"},
        {DS_SPLIT_BYTES, "\xf0\x9f\x98\x80\xf0\x9f\x98\x80", "\xf0\x9f\x98\x80|\xf0\x9f\x98\x80|"},
        {DS_SPLIT_NONE, "a\n\nb", "a\n\nb|"},
    };
    ds_buf b = {0};
    for (size_t i = 0; i < sizeof t / sizeof *t; i++)
        assert_string_equal(dump(&b, t[i].split, 4, t[i].in, strlen(t[i].in)), t[i].want);
    ds_buf_fini(&b);
}

/* Fed in parts of every size, with what is not whole carried over, the records are those of the
 * whole. */
static void parts(void **state)
{
    (void)state;
    static const char text[] =
        "first\nline\n\n\n second \xe4\xb8\xad\xe6\x96\x87\r\n\r\nthird\n \nx\n\n";
    size_t len = sizeof text - 1;
    ds_buf want = {0}, got = {0}, part = {0};
    for (int split = DS_SPLIT_LINE; split <= DS_SPLIT_BYTES; split++) {
        dump(&want, (enum ds_split)split, 5, text, len);
        for (size_t step = 1; step <= len; step++) {
            size_t from = 0, to = 0;
            got.len = 0;
            while (from < len) {
                to = to + step < len ? to + step : len;
                size_t whole = to == len
                                   ? len - from
                                   : ds_textcut_whole((enum ds_split)split, 5,
                                                      (const uint8_t *)text + from, to - from);
                assert_true(whole <= to - from);
                if (whole > 0) {
                    dump(&part, (enum ds_split)split, 5, text + from, whole);
                    ds_buf_put(&got, part.data, part.len);
                }
                from += whole;
            }
            assert_string_equal(ds_buf_cstr(&got), ds_buf_cstr(&want));
        }
    }
    ds_buf_fini(&want);
    ds_buf_fini(&got);
    ds_buf_fini(&part);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(cuts), cmocka_unit_test(parts)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
