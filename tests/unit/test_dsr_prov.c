/* test_dsr_prov.c - provenance steps, and origins. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "dsr_make.h"

static void append(ds_buf *b, const char *tool, const char *options)
{
    ds_buf out = {0};
    json_t *o = options ? json_loads(options, 0, NULL) : NULL;
    ds_err err = {0};
    assert_int_equal(ds_prov_append(&out, b->data, b->len, tool, o, NULL, &err), 0);
    json_decref(o);
    ds_buf_fini(b);
    *b = out;
    assert_int_equal(ds_prov_check(b->data, b->len, &err), 0);
}

static void test_append(void **state)
{
    (void)state;
    ds_buf b = {0}, step = {0};
    ds_sha sha;
    char hex[65], want[17];
    append(&b, "dsprep text", "{\"b\":{\"z\":1,\"a\":[1.5,null]},\"a\":\"x\\n\"}");
    /* The text is fixed: members in their order, options sorted all the way down. */
    ds_buf_printf(&step,
                  "{\"parents\":[],\"tool\":\"dsprep "
                  "text\",\"version\":\"%s\",\"options\":{\"a\":\"x\\n\",\"b\":"
                  "{\"a\":[1.5,null],\"z\":1}},\"digests\":{}}",
                  DS_VERSION);
    assert_int_equal(ds_sha_bytes(&sha, step.data, step.len, NULL), 0);
    ds_sha_hex(hex, &sha);
    snprintf(want, sizeof want, "%.16s", hex);
    assert_int_equal(b.len, 2 + 24 + step.len); /* [ ] and "id":"...", */
    assert_memory_equal(b.data, "[{\"id\":\"", 8);
    assert_memory_equal(b.data + 8, want, 16);
    assert_memory_equal(b.data + 24 + 2, step.data + 1, step.len - 1);
    append(&b, "dsprep tokenize", NULL);
    assert_non_null(ds_buf_cstr(&b));
    char parents[40];
    snprintf(parents, sizeof parents, "\"parents\":[\"%s\"]", want);
    assert_non_null(strstr((char *)b.data, parents));
    ds_buf_fini(&b);
    ds_buf_fini(&step);
}

/* Two streams joined: the next step has both ends as its parents. */
static void test_join(void **state)
{
    (void)state;
    ds_buf a = {0}, b = {0}, both = {0};
    append(&a, "one", NULL);
    append(&b, "two", NULL);
    ds_buf_put(&both, a.data, a.len - 1);
    ds_buf_putc(&both, ',');
    ds_buf_put(&both, b.data + 1, b.len - 1);
    append(&both, "three", NULL);
    assert_non_null(ds_buf_cstr(&both));
    char parents[60];
    snprintf(parents, sizeof parents, "\"parents\":[\"%.16s\",\"%.16s\"]", (char *)a.data + 8,
             (char *)b.data + 8);
    assert_non_null(strstr((char *)both.data, parents));
    ds_buf_fini(&a);
    ds_buf_fini(&b);
    ds_buf_fini(&both);
}

/* What both have stands once; steps that only the second has may share a parent, as merges do. */
static void test_union(void **state)
{
    (void)state;
    ds_err err = {0};
    ds_buf a = {0}, b = {0}, c = {0}, two = {0}, all = {0}, same = {0};
    append(&a, "text", NULL);
    assert_int_equal(ds_buf_put(&b, a.data, a.len) || ds_buf_put(&c, a.data, a.len), 0);
    append(&a, "one", NULL);
    append(&b, "two", NULL);
    append(&c, "three", NULL);
    assert_int_equal(ds_prov_union(&two, b.data, b.len, c.data, c.len, &err), 0);
    append(&two, "join", NULL);
    assert_int_equal(ds_prov_union(&all, a.data, a.len, two.data, two.len, &err), 0);
    assert_int_equal(ds_prov_check(all.data, all.len, &err), 0);
    size_t steps = 0;
    for (const char *at = ds_buf_cstr(&all); (at = strstr(at, "{\"id\":")); at++)
        steps++;
    assert_int_equal(steps, 5);
    assert_int_equal(ds_prov_union(&same, all.data, all.len, two.data, two.len, &err), 0);
    assert_true(same.len == all.len && memcmp(same.data, all.data, all.len) == 0);
    ds_buf_fini(&a);
    ds_buf_fini(&b);
    ds_buf_fini(&c);
    ds_buf_fini(&two);
    ds_buf_fini(&all);
    ds_buf_fini(&same);
}

static void test_refused(void **state)
{
    (void)state;
    ds_buf b = {0};
    append(&b, "one", "{\"a\":1}");
    append(&b, "two", NULL);
    for (size_t n = 0; n < b.len; n++)
        assert_true(ds_prov_check(b.data, n, NULL) != 0);
    for (size_t n = 0; n < b.len;
         n++) { /* every byte is bound: by the ids, the form or the parents */
        uint8_t was = b.data[n];
        b.data[n] = was == 'x' ? 'y' : 'x';
        assert_true(ds_prov_check(b.data, b.len, NULL) != 0);
        b.data[n] = was;
    }
    static const char *const bad[] = {"", "[", "{}", "[1]", "[{}]", "[ ]", "[]\n", "null"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_true(ds_prov_check(bad[i], strlen(bad[i]), NULL) != 0);
    assert_int_equal(ds_prov_check("[]", 2, NULL), 0);
    ds_buf_fini(&b);
}

static void test_origins(void **state)
{
    (void)state;
    ds_buf body = {0}, out = {0};
    ds_origin_state w = {0}, r = {0};
    ds_range in[3] = {{0, 5, 10}, {0, 15, 1}, {3, INT64_MAX - 7, 6}}, back = {3, 2, 1};
    static const uint8_t want[] =
        "\x03\x00\x0a\x0a\x00\x00\x01\x06\xf8\xff\xff\xff\xff\xff\xff\xff\x7f\x06\x00\x01\x00";
    uint64_t low, high;
    size_t pos = 0;
    assert_int_equal(ds_origin_put(&body, &w, in, 3, NULL), 0);
    assert_int_equal(ds_origin_put(&body, &w, NULL, 0, NULL), 0);
    assert_int_equal(ds_origin_put(&body, &w, &back, 1, NULL), 0);
    assert_memory_equal(body.data, want, sizeof want - 1);
    assert_int_equal(ds_origin_get(body.data, body.len, &pos, &r, &out, NULL), 0);
    assert_int_equal(out.len, sizeof in);
    assert_memory_equal(out.data, in, sizeof in);
    assert_int_equal(ds_origin_get(body.data, body.len, &pos, &r, &out, NULL), 0);
    assert_int_equal(out.len, 0);
    assert_int_equal(ds_origin_get(body.data, body.len, &pos, &r, &out, NULL), 0);
    assert_memory_equal(out.data, &back, sizeof back);
    assert_int_equal(pos, body.len);
    assert_int_equal(ds_origin_get(body.data, body.len, &pos, &r, &out, NULL), DS_CORRUPT);

    ds_buf chunk = {0};
    ds_buf_varint(&chunk, 3);
    ds_buf_put(&chunk, body.data, body.len);
    for (size_t n = 0; n <= chunk.len; n++) {
        ds_origin_state st = {0};
        int rc = ds_origin_scan(chunk.data, n, 3, &st, &low, &high, NULL);
        assert_int_equal(rc, n == chunk.len ? 0 : DS_CORRUPT);
    }
    assert_int_equal(low, 0);
    assert_int_equal(high, 4);
    ds_origin_state st = {0};
    assert_int_equal(ds_origin_scan(chunk.data, chunk.len, 2, &st, &low, &high, NULL), DS_CORRUPT);
    ds_buf_putc(&chunk, 0);
    st = (ds_origin_state){0};
    assert_int_equal(ds_origin_scan(chunk.data, chunk.len, 3, &st, &low, &high, NULL), DS_CORRUPT);
    ds_range wide = {0, INT64_MAX, 1};
    assert_int_equal(ds_origin_put(&body, &w, &wide, 1, NULL), DS_FAIL);
    ds_buf_fini(&body);
    ds_buf_fini(&out);
    ds_buf_fini(&chunk);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_append),  cmocka_unit_test(test_join),
        cmocka_unit_test(test_union),   cmocka_unit_test(test_refused),
        cmocka_unit_test(test_origins),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
