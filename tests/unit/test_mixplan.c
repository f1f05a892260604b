/* Columns of several streams in one, and whether keys differ: what goes together, what is refused,
 * and by which name. */
#include "unit.h"

#include <stdio.h>

#include "dsr_make.h"
#include "mixplan.h"

typedef struct col {
    const char *name;
    enum ds_type type;
    bool nullable, keyed;
    const char *attrs;
} col;

enum { MOST = 4 };

/* One stream: its columns, explicit keys where the first is called key. */
static void add(ds_mixin *m, const char *text, const col *c)
{
    ds_err err = {0};
    *m = (ds_mixin){.operand = {.text = text}};
    ds_schema_init(&m->schema);
    for (size_t i = 0; i < MOST && c[i].name; i++)
        assert_int_equal(
            c[i].type == DS_LIST
                ? ds_schema_add_list(&m->schema, NULL, c[i].name, DS_UTF8, c[i].nullable, &err)
                : ds_schema_add(&m->schema, NULL, c[i].name, c[i].type,
                                (c[i].nullable ? DS_COL_NULLABLE : 0) |
                                    (c[i].keyed ? DS_COL_PRIMARY | DS_COL_KEYED : 0),
                                c[i].attrs, &err),
            0);
    m->schema.explicit_key = strcmp(c[0].name, "key") == 0;
    if (m->schema.explicit_key) /* then no column is keyed */
        memset(m->schema.keyed, 0, m->schema.n);
}

static int plan(ds_schema *out, ds_mixin *in, const col a[MOST], const col b[MOST],
                const char *label, ds_err *err)
{
    *out = (ds_schema){0};
    add(&in[0], "first", a);
    add(&in[1], "second", b);
    return ds_mixplan_schema(out, in, 2, label, err);
}

static void done(ds_schema *out, ds_mixin *in)
{
    ds_schema_fini(out);
    for (size_t i = 0; i < 2; i++) {
        ds_schema_fini(&in[i].schema);
        free(in[i].column);
    }
}

static void columns_are_joined(void **state)
{
    (void)state;
    static const col a[MOST] = {{"text", DS_UTF8, false, true, NULL},
                                {"n", DS_I64, false, false, NULL},
                                {"tags", DS_LIST, false, false, NULL}},
                     b[MOST] = {{"x", DS_TOKENS16, false, false, "{\"tokenizer\":\"t\"}"},
                                {"text", DS_UTF8, false, true, NULL},
                                {"n", DS_I64, true, false, NULL}};
    static const int from[2][5] = {{0, 1, 2, -1, -1}, {1, 2, -1, 0, -1}};
    static const bool nullable[] = {false, true, true, true, false};
    static const char *const names[] = {"text", "n", "tags", "x", "which"};
    ds_schema s;
    ds_mixin in[2];
    ds_err err = {0};
    assert_int_equal(plan(&s, in, a, b, "which", &err), 0);
    assert_int_equal(ds_schema_check(&s, &err), 0);
    assert_int_equal(s.n, 5);
    for (size_t c = 0; c < s.n; c++) {
        assert_string_equal(s.cols[c].name, names[c]);
        assert_int_equal(s.cols[c].nullable, nullable[c]);
        assert_int_equal(s.keyed[c], c == 0);
        for (size_t i = 0; i < 2; i++)
            assert_int_equal(in[i].column[c], from[i][c]);
    }
    assert_string_equal(s.cols[3].attrs, b[0].attrs);
    done(&s, in);
}

static void explicit_keys_go_with_explicit_ones(void **state)
{
    (void)state;
    static const col a[MOST] = {{"key", DS_UTF8, false, false, NULL},
                                {"text", DS_UTF8, false, true, NULL}},
                     b[MOST] = {{"key", DS_UTF8, false, false, NULL},
                                {"body", DS_UTF8, true, false, NULL}};
    ds_schema s;
    ds_mixin in[2];
    ds_err err = {0};
    assert_int_equal(plan(&s, in, a, b, NULL, &err), 0);
    assert_int_equal(ds_schema_check(&s, &err), 0);
    assert_true(s.explicit_key);
    assert_int_equal(s.n, 3);
    assert_false(s.cols[0].nullable);
    assert_true(s.cols[1].nullable && s.cols[2].nullable);
    done(&s, in);
}

static void what_does_not_go_together_is_named(void **state)
{
    (void)state;
    static const col a[MOST] = {{"text", DS_UTF8, false, true, NULL},
                                {"n", DS_I64, false, false, NULL},
                                {"x", DS_TOKENS16, false, false, "{\"tokenizer\":\"t\"}"}};
    static const struct {
        col c[MOST];
        const char *label, *says[3];
    } bad[] = {
        {{{"text", DS_UTF8, false, true, NULL}, {"n", DS_F64, false, false, NULL}},
         NULL,
         {"second", "'n'", "f64"}},
        {{{"text", DS_UTF8, false, true, NULL}, {"n", DS_LIST, false, false, NULL}},
         NULL,
         {"second", "'n'", "list"}},
        {{{"text", DS_UTF8, false, true, NULL},
          {"x", DS_TOKENS16, false, false, "{\"tokenizer\":\"u\"}"}},
         NULL,
         {"second", "'x'", "u"}},
        {{{"text", DS_UTF8, false, true, NULL}, {"x", DS_TOKENS16, false, false, NULL}},
         NULL,
         {"second", "'x'", "{}"}},
        {{{"key", DS_UTF8, false, false, NULL}, {"text", DS_UTF8, false, true, NULL}},
         NULL,
         {"second", "explicit", "keys"}},
        {{{"n", DS_I64, false, true, NULL}, {"text", DS_UTF8, false, true, NULL}},
         NULL,
         {"second", "'n'", "derived"}},
        {{{"text", DS_UTF8, false, true, NULL}, {"more", DS_UTF8, false, true, NULL}},
         NULL,
         {"second", "'more'", "derived"}},
        {{{"n", DS_I64, false, false, NULL}}, NULL, {"second", "'text'", "derived"}},
        {{{"text", DS_UTF8, false, true, NULL}}, "n", {"--label", "n", "n"}},
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        ds_schema s;
        ds_mixin in[2];
        ds_err err = {0};
        assert_int_not_equal(plan(&s, in, a, bad[i].c, bad[i].label, &err), 0);
        for (size_t k = 0; k < 3; k++)
            if (!strstr(err.msg, bad[i].says[k]))
                fail_msg("%zu: '%s' is not in: %s", i, bad[i].says[k], err.msg);
        done(&s, in);
    }
}

/* ---- keys ---- */

static int put_keys(ds_mixkeys *k, size_t n, size_t again, ds_err *err)
{
    int rc = 0;
    for (size_t i = 0; rc == 0 && i <= n; i++) {
        char key[80]; /* they differ behind what an error shows of them */
        const int len = snprintf(key, sizeof key, "%060d/%zu", 0, i < n ? i : again);
        rc = ds_mixkeys_put(k, key, (size_t)len, err);
    }
    return rc;
}

static void a_key_that_is_there_twice_is_found(void **state)
{
    (void)state;
    static const size_t memory[] = {0, 1 << 12, 1 << 24};
    for (size_t m = 0; m < sizeof memory / sizeof *memory; m++) {
        const size_t n = memory[m] ? 20000 : 200;
        for (size_t twice = 0; twice < 2; twice++) {
            ds_mixkeys k = {0};
            ds_err err = {0};
            assert_int_equal(ds_mixkeys_new(&k, memory[m], &err), 0);
            assert_int_equal(put_keys(&k, n, twice ? n / 3 : n, &err), 0);
            assert_int_equal(ds_mixkeys_end(&k, &err), twice ? DS_FAIL : 0);
            ds_mixkeys_fini(&k);
        }
    }
}

static void keys_differ_by_bytes(void **state)
{
    (void)state;
    static const struct {
        const char *p;
        size_t len;
    } keys[] = {{"", 0}, {"\0", 1}, {"\0\0", 2}, {"a", 1}, {"a\0", 2}, {"a\0b", 3}};
    ds_mixkeys k = {0};
    ds_err err = {0};
    assert_int_equal(ds_mixkeys_new(&k, 1 << 16, &err), 0);
    assert_int_equal(ds_mixkeys_end(&k, &err), 0);
    ds_mixkeys_fini(&k);
    assert_int_equal(ds_mixkeys_new(&k, 1 << 16, &err), 0);
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++)
        assert_int_equal(ds_mixkeys_put(&k, keys[i].p, keys[i].len, &err), 0);
    assert_int_equal(ds_mixkeys_end(&k, &err), 0);
    ds_mixkeys_fini(&k);
}

/* Of a long one as much as there is room for, in whole characters. */
static void an_error_shows_whole_characters(void **state)
{
    (void)state;
    for (int shift = 0; shift < 4; shift++) {
        ds_buf key = {0}, want = {0};
        ds_mixkeys k = {0};
        ds_err err = {0};
        for (int i = 0; i < shift; i++)
            assert_int_equal(ds_buf_putc(&key, 'k'), 0);
        for (int i = 0; i < 40; i++)
            assert_int_equal(ds_buf_puts(&key, "\xf0\x9f\x98\x80"), 0);
        const size_t shown = (size_t)(shift + (47 - shift) / 4 * 4);
        assert_int_equal(ds_buf_printf(&want, "key '%.*s' is", (int)shown, (char *)key.data), 0);
        assert_int_equal(ds_mixkeys_new(&k, 1 << 16, &err), 0);
        for (int i = 0; i < 2; i++)
            assert_int_equal(ds_mixkeys_put(&k, key.data, key.len, &err), 0);
        assert_int_equal(ds_mixkeys_end(&k, &err), DS_FAIL);
        assert_non_null(strstr(err.msg, ds_buf_cstr(&want)));
        ds_mixkeys_fini(&k);
        ds_buf_fini(&key);
        ds_buf_fini(&want);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(columns_are_joined),
        cmocka_unit_test(explicit_keys_go_with_explicit_ones),
        cmocka_unit_test(what_does_not_go_together_is_named),
        cmocka_unit_test(a_key_that_is_there_twice_is_found),
        cmocka_unit_test(keys_differ_by_bytes),
        cmocka_unit_test(an_error_shows_whole_characters),
    };
    return cmocka_run_group_tests_name("mixplan", tests, NULL, NULL);
}
