/* The bulk JSON scanner: RFC 8259, strictly, and agreement with jansson on what it accepts. */
#include "unit.h"

#include <jansson.h>

#include "jscan.h"

static int scan(ds_jscan *s, const char *text, unsigned depth)
{
    /* A copy of exactly this size: a sanitizer sees every byte read past it. */
    size_t len = strlen(text);
    static uint8_t *copy;
    free(copy);
    copy = malloc(len ? len : 1);
    assert_non_null(copy);
    memcpy(copy, text, len);
    int rc = ds_jscan_text(s, copy, len, depth);
    if (!*text) {
        free(copy);
        copy = NULL;
    }
    return rc;
}

static void accepts(void **state)
{
    (void)state;
    static const char *const good[] = {"{}",
                                       "[]",
                                       " [ ] ",
                                       "null",
                                       "true",
                                       "false",
                                       "\"\"",
                                       "0",
                                       "-0",
                                       "0.5e-7",
                                       "1E+2",
                                       "-12.0",
                                       "{\"a\":{}}",
                                       "[[],{},[1,2,{\"x\":[]}]]",
                                       "\"\\ud83d\\ude00\"",
                                       "\"\\\"\\\\\\/\\b\\f\\n\\r\\t\\u0000\"",
                                       "\t\r\n {\"a\" : [ 1 , \"]}\" ] } \n",
                                       "\"a string that is longer than sixteen bytes by some\"",
                                       "123456789012345678901234567890.12345678901234567890e-400"};
    ds_jscan s = {0};
    for (size_t i = 0; i < sizeof good / sizeof *good; i++)
        if (scan(&s, good[i], 100) != 0)
            fail_msg("%s: offset %zu: %s", good[i], s.at, s.why);
    ds_jscan_fini(&s);
}

static void refuses_with_offset(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        size_t at;
    } bad[] = {{"", 0},
               {" ", 1},
               {"{", 1},
               {"[", 1},
               {"[1", 2},
               {"[1,", 3},
               {"[1,]", 3},
               {"{\"a\"}", 4},
               {"{\"a\":}", 5},
               {"{\"a\":1,}", 7},
               {"{a:1}", 1},
               {"[1 2]", 3},
               {"01", 1},
               {"1.", 2},
               {".5", 0},
               {"-", 1},
               {"+1", 0},
               {"1e", 2},
               {"tru", 0},
               {"nulll", 4},
               {"\"abc", 4},
               {"\"\\x\"", 1},
               {"\"\\u12g4\"", 1},
               {"\"\\ud800\"", 1},
               {"\"\\udc00\"", 1},
               {"\"\\ud800\\u0041\"", 1},
               {"\"a\nb\"", 2},
               {"{\"a\":1}}", 7},
               {"[}", 1},
               {"{]", 1},
               {"\"\\", 1},
               {"NaN", 0},
               {"'a'", 0},
               {"[1]//", 3},
               {"{\"a\":{\"b\":1]}", 11}};
    ds_jscan s = {0};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        int rc = scan(&s, bad[i].text, 100);
        if (rc != DS_FAIL || s.at != bad[i].at || !s.why)
            fail_msg("%s: %d at %zu (%s), not at %zu", bad[i].text, rc, s.at, s.why ? s.why : "-",
                     bad[i].at);
    }
    ds_jscan_fini(&s);
}

static void depth_is_limited(void **state)
{
    (void)state;
    ds_jscan s = {0};
    assert_int_equal(scan(&s, "[[[1]]]", 3), 0);
    assert_int_equal(scan(&s, "[[[[1]]]]", 3), DS_FAIL);
    assert_int_equal(s.at, 3);
    assert_int_equal(scan(&s, "{\"a\":{\"b\":[1]}}", 3), 0);
    assert_int_equal(scan(&s, "{\"a\":{\"b\":[[]]}}", 3), DS_FAIL);
    /* Siblings do not add up. */
    assert_int_equal(scan(&s, "[[[]],[[]],[[1],[2]]]", 3), 0);
    size_t n = 100000;
    char *deep = malloc(2 * n + 1);
    assert_non_null(deep);
    memset(deep, '[', n);
    memset(deep + n, ']', n);
    deep[2 * n] = '\0';
    assert_int_equal(scan(&s, deep, 1000), DS_FAIL);
    assert_int_equal(s.at, DS_JSCAN_DEPTH_RECORD);
    memset(deep, '[', 128);
    memset(deep + 128, ']', 128);
    deep[256] = '\0';
    assert_int_equal(scan(&s, deep, 128), 0);
    free(deep);
    ds_jscan_fini(&s);
}

static void members_are_slices(void **state)
{
    (void)state;
    ds_jscan s = {0};
    assert_int_equal(
        scan(&s, " {\"id\": 1.50, \"t\\u0065xt\":\"a\\nb\", \"n\" : [ 1, {} ],\"z\":null}", 9), 0);
    assert_int_equal(s.kind, DS_J_OBJECT);
    assert_int_equal(s.n, 4);
    bool twice;
    const ds_jmember *m = ds_jscan_find(&s, "id", 2, &twice);
    assert_non_null(m);
    assert_false(twice);
    assert_int_equal(m->kind, DS_J_NUMBER);
    assert_int_equal(m->value_len, 4);
    assert_memory_equal(m->value, "1.50", 4);
    m = ds_jscan_find(&s, "text", 4, &twice); /* an escaped name is the same name */
    assert_non_null(m);
    assert_true(m->escaped);
    assert_memory_equal(m->value, "\"a\\nb\"", m->value_len);
    m = ds_jscan_find(&s, "n", 1, &twice);
    assert_true(m->spaced);
    ds_buf b = {0};
    assert_int_equal(ds_jscan_minify(&b, m->value, m->value_len), 0);
    assert_string_equal(ds_buf_cstr(&b), "[1,{}]");
    ds_buf_fini(&b);
    assert_null(ds_jscan_find(&s, "idx", 3, &twice));
    assert_int_equal(scan(&s, "{\"a\":1,\"b\":2,\"\\u0061\":3}", 9), 0);
    assert_non_null(ds_jscan_find(&s, "a", 1, &twice));
    assert_true(twice);
    ds_jscan_fini(&s);
}

static void minify_keeps_strings(void **state)
{
    (void)state;
    static const char in[] = "{ \"a b\" : \" \\\" { \" ,\t\"c\":[ 1 , 2.0 ]\r\n}";
    ds_buf b = {0};
    assert_int_equal(ds_jscan_minify(&b, (const uint8_t *)in, sizeof in - 1), 0);
    assert_string_equal(ds_buf_cstr(&b), "{\"a b\":\" \\\" { \",\"c\":[1,2.0]}");
    ds_buf_fini(&b);
}

static void unescapes(void **state)
{
    (void)state;
    static const char in[] = "plain text of more than sixteen "
                             "bytes\\n\\t\\\"\\\\\\/\\u00e9\\u4e2d\\ud83d\\ude00\\u0000end";
    static const char want[] =
        "plain text of more than sixteen bytes\n\t\"\\/\xc3\xa9\xe4\xb8\xad\xf0\x9f\x98\x80\0end";
    size_t len = sizeof in - 1;
    uint8_t *out = malloc(len + DS_JSTRING_SLACK);
    assert_non_null(out);
    size_t n = ds_jstring_unescape(out, (const uint8_t *)in, len);
    assert_int_equal(n, sizeof want - 1);
    assert_memory_equal(out, want, n);
    free(out);
}

/* RFC 8259, section 7, byte by byte. Where the string that begins at p ends, or *at: what is
 * wrong. `out`: what it stands for. */
static bool plainly(const uint8_t *p, const uint8_t *end, ds_buf *out, const uint8_t **at)
{
    static const char from[] = "\"\\/bfnrt", to[] = "\"\\/\b\f\n\r\t";
    for (*at = p; *at < end && **at >= 0x20; ++*at) {
        const char *k;
        if (**at == '"')
            return true;
        if (**at != '\\') {
            ds_buf_putc(out, **at);
            continue;
        }
        if (end - *at < 2)
            return false;
        if ((*at)[1] == 'u' && end - *at >= 6 && memcmp(*at + 2, "0041", 4) == 0) {
            ds_buf_putc(out, 'A');
            *at += 5;
        } else if ((*at)[1] && (k = strchr(from, (*at)[1]))) {
            ds_buf_putc(out, (uint8_t)to[k - from]);
            ++*at;
        } else {
            return false;
        }
    }
    return false;
}

static void check_string(const uint8_t *p, size_t len)
{
    ds_buf want = {0};
    const uint8_t *at, *got;
    const char *why = NULL;
    bool escaped;
    const bool good = plainly(p, p + len, &want, &at);
    got = ds_jstring_scan(p, p + len, &escaped, &why);
    if (good == (why != NULL) || got != at + good)
        fail_msg("\"%.*s: at %zu (%s), not %zu", (int)len, (const char *)p, (size_t)(got - p),
                 why ? why : "-", (size_t)(at - p));
    if (good) {
        const size_t n = (size_t)(at - p);
        uint8_t *out = malloc(n + DS_JSTRING_SLACK);
        assert_non_null(out);
        assert_int_equal(escaped, memchr(p, '\\', n) != NULL);
        assert_int_equal(ds_jstring_unescape(out, p, n), want.len);
        if (want.len)
            assert_memory_equal(out, want.data, want.len);
        free(out);
    }
    ds_buf_fini(&want);
}

/* Whatever is looked at together: every text of up to 4 parts, at every place about the bounds of
 * 32 and 64 bytes, with little and with much behind it. */
static void strings_at_any_place(void **state)
{
    (void)state;
    static const char *const part[] = {"\\", "\"", "n", "u0041", "\x1f", "\xe2", "/", "\\\\\\"};
    enum { N = sizeof part / sizeof *part };
    static const size_t before[] = {0, 1, 27, 30, 31, 32, 59, 61, 62, 63, 64, 65, 126, 127};
    for (unsigned v = 0; v < N * N * N * N; v++)
        for (size_t b = 0; b < sizeof before / sizeof *before; b++)
            for (size_t behind = 0; behind <= 210; behind += 70) {
                char text[500];
                size_t len = before[b];
                memset(text, 'a', len);
                for (unsigned k = 0, x = v; k < 4; k++, x /= N)
                    len += (size_t)snprintf(text + len, sizeof text - len, "%s", part[x % N]);
                memset(text + len, 'z', behind);
                len += behind;
                text[len++] = '"';
                uint8_t *copy = malloc(len); /* of exactly this size, for sanitizers */
                assert_non_null(copy);
                memcpy(copy, text, len);
                check_string(copy, len);
                free(copy);
            }
}

/* Every text of up to 5 bytes over an alphabet that makes JSON: accepted exactly when jansson does.
 */
static void agrees_with_jansson(void **state)
{
    (void)state;
    static const char alphabet[] = "{}[],:\"1-.e0a\\ ";
    enum { N = sizeof alphabet - 1 };
    ds_jscan s = {0};
    unsigned accepted = 0;
    for (unsigned len = 1; len <= 5; len++) {
        unsigned long total = 1;
        for (unsigned i = 0; i < len; i++)
            total *= N;
        for (unsigned long k = 0; k < total; k += len == 5 ? 3 : 1) {
            char text[8];
            unsigned long v = k;
            for (unsigned i = 0; i < len; i++, v /= N)
                text[i] = alphabet[v % N];
            json_error_t e;
            json_t *j = json_loadb(text, len, JSON_DECODE_ANY | JSON_ALLOW_NUL, &e);
            bool theirs = j || json_error_code(&e) == json_error_numeric_overflow;
            bool ours = ds_jscan_text(&s, (const uint8_t *)text, len, 100) == 0;
            json_decref(j);
            if (ours != theirs)
                fail_msg("%.*s: ours %d, jansson %d (%s)", (int)len, text, ours, theirs, e.text);
            accepted += ours;
        }
    }
    assert_true(accepted > 1000);
    ds_jscan_fini(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(accepts),
        cmocka_unit_test(refuses_with_offset),
        cmocka_unit_test(depth_is_limited),
        cmocka_unit_test(members_are_slices),
        cmocka_unit_test(minify_keeps_strings),
        cmocka_unit_test(unescapes),
        cmocka_unit_test(strings_at_any_place),
        cmocka_unit_test(agrees_with_jansson),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
