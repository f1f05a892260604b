/* What records are sorted by: every pair of values against a comparison of the values themselves.
 */
#include "unit.h"

#include <float.h>
#include <math.h>

#include "dsr_cut.h"
#include "sortkey.h"

enum { TEXT, NUM, REAL, META, COLUMNS };

typedef struct setting {
    ds_schema schema;
    ds_colview views[COLUMNS];
    ds_value values[COLUMNS];
} setting;

static void begin(setting *s)
{
    static const struct {
        const char *name;
        enum ds_type type;
    } c[COLUMNS] = {{"text", DS_UTF8}, {"num", DS_I64}, {"real", DS_F64}, {"meta", DS_JSON}};
    ds_err err = {0};
    *s = (setting){0};
    ds_schema_init(&s->schema);
    for (size_t i = 0; i < COLUMNS; i++) {
        assert_int_equal(
            ds_schema_add(&s->schema, NULL, c[i].name, c[i].type,
                          DS_COL_NULLABLE | (i == 0 ? DS_COL_PRIMARY | DS_COL_KEYED : 0), NULL,
                          &err),
            0);
        s->values[i].null = true;
    }
    for (size_t i = 0; i < COLUMNS; i++)
        s->views[i] = (ds_colview){.type = c[i].type, .col = &s->schema.cols[i]};
}

static ds_sortkey *key_by(const setting *s, const char *const *by, size_t n, bool numeric,
                          bool reverse)
{
    ds_sortkey *k;
    ds_err err = {0};
    assert_int_equal(
        ds_sortkey_new(&k, &(ds_colnames){.schema = &s->schema}, by, n, numeric, reverse, &err), 0);
    return k;
}

static void put(const ds_sortkey *k, const setting *s, const ds_range *g, size_t n, ds_buf *out)
{
    ds_sortwork w = {0};
    ds_err err = {0};
    assert_int_equal(ds_sortkey_put(k, &w, s->views, s->values, g, n, out, &err), 0);
    ds_sortwork_fini(&w);
}

static void set_bytes(ds_value *v, const void *p, size_t len)
{
    *v = (ds_value){.null = !p, .p = p, .len = len};
}

/* Of two keys; neither may begin with the other. */
static int compare(const ds_buf *a, const ds_buf *b)
{
    const size_t n = a->len < b->len ? a->len : b->len;
    const int c = memcmp(a->data, b->data, n);
    if (c == 0)
        assert_int_equal(a->len, b->len);
    return (c > 0) - (c < 0);
}

/* ---- numbers ---- */

typedef struct number {
    enum { WHOLE, REALLY, NOTHING } kind;
    int64_t i;
    double f;
} number;

#define TWO53 INT64_C(9007199254740992)
static const number numbers[] = {
    {WHOLE, INT64_MIN, 0},
    {WHOLE, INT64_MIN + 1, 0},
    {WHOLE, INT64_MIN + 512, 0},
    {WHOLE, INT64_MIN + 513, 0},
    {WHOLE, -TWO53 - 1, 0},
    {WHOLE, -TWO53, 0},
    {WHOLE, -TWO53 + 1, 0},
    {WHOLE, -1, 0},
    {WHOLE, 0, 0},
    {WHOLE, 1, 0},
    {WHOLE, 255, 0},
    {WHOLE, 256, 0},
    {WHOLE, TWO53 - 1, 0},
    {WHOLE, TWO53, 0},
    {WHOLE, TWO53 + 1, 0},
    {WHOLE, TWO53 + 2, 0},
    {WHOLE, TWO53 + 3, 0},
    {WHOLE, INT64_MAX - 1024, 0},
    {WHOLE, INT64_MAX - 512, 0},
    {WHOLE, INT64_MAX - 511, 0},
    {WHOLE, INT64_MAX - 1, 0},
    {WHOLE, INT64_MAX, 0},
    {REALLY, 0, -HUGE_VAL},
    {REALLY, 0, -DBL_MAX},
    {REALLY, 0, -0x1p63},
    {REALLY, 0, -0x1.0000000000001p63},
    {REALLY, 0, -0x1.fffffffffffffp62},
    {REALLY, 0, -9007199254740992.0},
    {REALLY, 0, -1.5},
    {REALLY, 0, -1},
    {REALLY, 0, -DBL_MIN},
    {REALLY, 0, -0x1p-1074},
    {REALLY, 0, -0.0},
    {REALLY, 0, 0.0},
    {REALLY, 0, 0x1p-1074},
    {REALLY, 0, 0.1},
    {REALLY, 0, 1},
    {REALLY, 0, 0x1.0000000000001p0},
    {REALLY, 0, 255.5},
    {REALLY, 0, 9007199254740991.0},
    {REALLY, 0, 9007199254740992.0},
    {REALLY, 0, 9007199254740994.0},
    {REALLY, 0, 0x1.fffffffffffffp62},
    {REALLY, 0, 0x1p63},
    {REALLY, 0, 0x1.0000000000001p63},
    {REALLY, 0, DBL_MAX},
    {REALLY, 0, HUGE_VAL},
    {REALLY, 0, NAN},
    {NOTHING, 0, 0},
};
enum { NUMBERS = sizeof numbers / sizeof *numbers };

/* Where a whole number stands to a real one: no conversion that rounds. */
static int whole_to_real(int64_t i, double f)
{
    if (f >= 0x1p63)
        return -1;
    if (f < -0x1p63)
        return 1;
    const double down = floor(f);
    const int64_t k = (int64_t)down;
    return i != k ? (i < k ? -1 : 1) : down < f ? -1 : 0;
}

static bool is_null(const number *n)
{
    return n->kind == NOTHING || (n->kind == REALLY && isnan(n->f));
}

static int reckoned(const number *a, const number *b)
{
    if (is_null(a) || is_null(b))
        return is_null(a) - is_null(b);
    if (a->kind == WHOLE && b->kind == WHOLE)
        return (a->i > b->i) - (a->i < b->i);
    if (a->kind == WHOLE)
        return whole_to_real(a->i, b->f);
    if (b->kind == WHOLE)
        return -whole_to_real(b->i, a->f);
    return (a->f > b->f) - (a->f < b->f);
}

static void set_number(setting *s, const number *n)
{
    s->values[NUM] = (ds_value){.null = n->kind != WHOLE, .i = n->i};
    s->values[REAL] = (ds_value){.null = n->kind != REALLY, .f = n->f};
}

static void numbers_stand_by_value(void **state)
{
    (void)state;
    static const char *const by[] = {"coalesce(num, real)", "coalesce(num, real) desc"};
    for (int way = 0; way < 4; way++) {
        setting s;
        ds_buf all[NUMBERS] = {{0}};
        begin(&s);
        ds_sortkey *k = key_by(&s, &by[way % 2], 1, false, way / 2);
        for (size_t i = 0; i < NUMBERS; i++) {
            set_number(&s, &numbers[i]);
            put(k, &s, NULL, 0, &all[i]);
        }
        for (size_t i = 0; i < NUMBERS; i++)
            for (size_t m = 0; m < NUMBERS; m++) {
                const number *a = &numbers[i], *b = &numbers[m];
                const bool down = (way % 2 ^ way / 2) && !is_null(a) && !is_null(b);
                assert_int_equal(compare(&all[i], &all[m]),
                                 down ? -reckoned(a, b) : reckoned(a, b));
            }
        for (size_t i = 0; i < NUMBERS; i++)
            ds_buf_fini(&all[i]);
        ds_sortkey_free(k);
        ds_schema_fini(&s.schema);
    }
}

/* ---- texts ---- */

#define T(x)                                                                                       \
    {                                                                                              \
        x, sizeof x - 1                                                                            \
    }
static const struct {
    const char *p;
    size_t len;
} texts[] = {T(""),
             T("\0"),
             T("\0\0"),
             T("\0\xc2\x80"),
             T("\0a"),
             T("a"),
             T("a\0"),
             T("a\0\0"),
             T("a\0b"),
             T("a\x01"),
             T("aa"),
             T("b"),
             T("10"),
             T("9"),
             T("\x7f"),
             T("\xc3\xa9"),
             T("\xf0\x9f\x98\x80"),
             T("\xf4\x8f\xbf\xbf"),
             T("0123456789abcdef"),
             T("0123456789abcdeg"),
             T("0123456789abcdef\0"),
             {NULL, 0}};
enum { TEXTS = sizeof texts / sizeof *texts };

static int reckoned_text(size_t a, size_t b, bool down)
{
    if (!texts[a].p || !texts[b].p)
        return !texts[a].p - !texts[b].p;
    const size_t n = texts[a].len < texts[b].len ? texts[a].len : texts[b].len;
    int c = memcmp(texts[a].p, texts[b].p, n);
    c = c ? c : (texts[a].len > texts[b].len) - (texts[a].len < texts[b].len);
    return ((c > 0) - (c < 0)) * (down ? -1 : 1);
}

/* The first key decides, the second where it is equal; each has its own direction. */
static void texts_stand_by_bytes_then_numbers(void **state)
{
    (void)state;
    static const char *const by[][2] = {{"text", "num desc"}, {"text desc", "num  asc "}};
    static const int64_t nums[] = {-1, 0, INT64_MAX};
    for (int way = 0; way < 2; way++) {
        setting s;
        ds_buf all[TEXTS * 3] = {{0}};
        begin(&s);
        ds_sortkey *k = key_by(&s, by[way], 2, false, false);
        for (size_t i = 0; i < TEXTS * 3; i++) {
            set_bytes(&s.values[TEXT], texts[i / 3].p, texts[i / 3].len);
            s.values[NUM] = (ds_value){.i = nums[i % 3]};
            put(k, &s, NULL, 0, &all[i]);
        }
        for (size_t i = 0; i < TEXTS * 3; i++)
            for (size_t m = 0; m < TEXTS * 3; m++) {
                const int second = (i % 3 > m % 3) - (i % 3 < m % 3);
                const int c = reckoned_text(i / 3, m / 3, way == 1);
                assert_int_equal(compare(&all[i], &all[m]), c ? c : way ? second : -second);
            }
        for (size_t i = 0; i < TEXTS * 3; i++)
            ds_buf_fini(&all[i]);
        ds_sortkey_free(k);
        ds_schema_fini(&s.schema);
    }
}

/* ---- kinds ---- */

static void kinds_stand_in_their_order(void **state)
{
    (void)state;
    /* Each stands before the next; what is behind the last is null. */
    static const char *const json[] = {"{\"x\":false}",
                                       "{\"x\":true}",
                                       "{\"x\":-1e300}",
                                       "{\"x\":-0.5}",
                                       "{\"x\":0}",
                                       "{\"x\":9007199254740992}",
                                       "{\"x\":9007199254740993}",
                                       "{\"x\":9223372036854775807}",
                                       "{\"x\":9223372036854775808}",
                                       "{\"x\":\"\"}",
                                       "{\"x\":\"0\"}",
                                       "{\"x\":\"\\u00e9\"}"};
    static const char *const none[] = {"{\"x\":null}", "{\"x\":[1]}", "{\"x\":{}}", "{}",
                                       "[]",           "3",           NULL};
    enum { JSON = sizeof json / sizeof *json, ALL = JSON + sizeof none / sizeof *none };
    static const char *const by[] = {"meta.x"};
    for (int down = 0; down < 2; down++) {
        setting s;
        ds_buf all[ALL] = {{0}};
        begin(&s);
        ds_sortkey *k = key_by(&s, by, 1, false, down);
        for (size_t i = 0; i < ALL; i++) {
            const char *p = i < JSON ? json[i] : none[i - JSON];
            set_bytes(&s.values[META], p, p ? strlen(p) : 0);
            put(k, &s, NULL, 0, &all[i]);
        }
        for (size_t i = 0; i < ALL; i++)
            for (size_t m = 0; m < ALL; m++) {
                const size_t a = i < JSON ? i : JSON, b = m < JSON ? m : JSON;
                const int c = (a > b) - (a < b);
                assert_int_equal(compare(&all[i], &all[m]), down && i < JSON && m < JSON ? -c : c);
            }
        for (size_t i = 0; i < ALL; i++)
            ds_buf_fini(&all[i]);
        ds_sortkey_free(k);
        ds_schema_fini(&s.schema);
    }
}

static void texts_are_numbers_where_that_was_asked_for(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        int rank; /* the last is null */
    } t[] = {{"-1e3", 0},  {"9", 1}, {"9.0", 1}, {"10", 2},
             {"1e400", 9}, {"x", 9}, {"", 9},    {" 9", 9}};
    enum { N = sizeof t / sizeof *t };
    static const char *const by[] = {"text"};
    setting s;
    ds_buf all[N] = {{0}};
    begin(&s);
    ds_sortkey *k = key_by(&s, by, 1, true, false);
    for (size_t i = 0; i < N; i++) {
        set_bytes(&s.values[TEXT], t[i].text, strlen(t[i].text));
        put(k, &s, NULL, 0, &all[i]);
    }
    for (size_t i = 0; i < N; i++)
        for (size_t m = 0; m < N; m++)
            assert_int_equal(compare(&all[i], &all[m]),
                             (t[i].rank > t[m].rank) - (t[i].rank < t[m].rank));
    for (size_t i = 0; i < N; i++)
        ds_buf_fini(&all[i]);
    ds_sortkey_free(k);
    ds_schema_fini(&s.schema);
}

/* ---- places and keys ---- */

static void places_stand_by_source_then_offset(void **state)
{
    (void)state;
    static const ds_range g[][2] = {
        {{0, 0, 5}, {0}},   {{0, 0, 5}, {0, 7, 1}}, {{0, 0, 5}, {1, 0, 1}},   {{0, 0, 6}, {0}},
        {{0, 256, 1}, {0}}, {{1, 0, 1}, {0}},       {{UINT64_MAX, 0, 1}, {0}}};
    static const size_t n[] = {1, 2, 2, 1, 1, 1, 1};
    enum { N = sizeof n / sizeof *n };
    static const char *const by[] = {"origin"};
    for (int down = 0; down < 2; down++) {
        setting s;
        ds_buf all[N + 1] = {{0}};
        begin(&s);
        ds_sortkey *k = key_by(&s, by, 1, false, down);
        for (size_t i = 0; i <= N; i++)
            put(k, &s, i < N ? g[i] : NULL, i < N ? n[i] : 0, &all[i]);
        for (size_t i = 0; i <= N; i++)
            for (size_t m = 0; m <= N; m++) {
                const int c = (i > m) - (i < m);
                assert_int_equal(compare(&all[i], &all[m]), down && i < N && m < N ? -c : c);
            }
        for (size_t i = 0; i <= N; i++)
            ds_buf_fini(&all[i]);
        ds_sortkey_free(k);
        ds_schema_fini(&s.schema);
    }
}

static void a_derived_key_is_a_text(void **state)
{
    (void)state;
    static const char *const by[] = {"key"};
    setting s;
    ds_hasher *h = NULL;
    ds_err err = {0};
    ds_buf b = {0};
    char derived[33];
    begin(&s);
    set_bytes(&s.values[TEXT], "a text", 6);
    ds_sortkey *k = key_by(&s, by, 1, false, false);
    put(k, &s, NULL, 0, &b);
    assert_int_equal(ds_hasher_new(&h, &err), 0);
    assert_int_equal(ds_key_derive(derived, h, &s.schema, s.views, s.values, &err), 0);
    assert_int_equal(b.len, 1 + 32 + 2);
    assert_memory_equal(b.data + 1, derived, 32);
    ds_hasher_free(h);
    ds_buf_fini(&b);
    ds_sortkey_free(k);
    ds_schema_fini(&s.schema);
}

static void what_is_no_key_is_named(void **state)
{
    (void)state;
    static const char *const bad[] = {"",     " desc",          "nowhere", "text text",
                                      "len(", "text desc desc", "[1]"};
    setting s;
    begin(&s);
    ds_schema_drop(&s.schema, 3); /* whatever is no column might be a member of it */
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        ds_sortkey *k = NULL;
        ds_err err = {0};
        assert_int_not_equal(
            ds_sortkey_new(&k, &(ds_colnames){.schema = &s.schema}, &bad[i], 1, false, false, &err),
            0);
        assert_non_null(strstr(err.msg, "--by"));
        assert_non_null(strstr(err.msg, bad[i]));
        ds_sortkey_free(k);
        ds_err_clear(&err);
    }
    ds_schema_fini(&s.schema);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(numbers_stand_by_value),
        cmocka_unit_test(texts_stand_by_bytes_then_numbers),
        cmocka_unit_test(kinds_stand_in_their_order),
        cmocka_unit_test(texts_are_numbers_where_that_was_asked_for),
        cmocka_unit_test(places_stand_by_source_then_offset),
        cmocka_unit_test(a_derived_key_is_a_text),
        cmocka_unit_test(what_is_no_key_is_named),
    };
    return cmocka_run_group_tests_name("sortkey", tests, NULL, NULL);
}
