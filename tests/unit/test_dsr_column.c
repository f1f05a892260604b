/* test_dsr_column.c - chunks: what is built is what is seen; one form only. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "dsr_make.h"
#include "dsr_rowcopy.h"

/* The builder's chunk in one piece. */
static void take(ds_buf *out, ds_colbuild *b)
{
    ds_buf head = {0};
    ds_chunk c;
    ds_err err = {0};
    assert_int_equal(ds_colbuild_chunk(b, &head, &c, &err), 0);
    ds_buf_reset(out);
    assert_int_equal(ds_buf_put(out, c.head, c.head_len), 0);
    assert_int_equal(ds_buf_put(out, c.body, c.body_len), 0);
    ds_buf_fini(&head);
}

static ds_column column(enum ds_type t, enum ds_type item, bool nullable)
{
    static char name[] = "x";
    return (ds_column){.name = name, .type = t, .item = item, .nullable = nullable};
}

static void expect(const ds_column *col, ds_colbuild *b, const char *bytes, size_t len)
{
    ds_buf got = {0};
    ds_colview v;
    take(&got, b);
    assert_int_equal(got.len, len);
    assert_memory_equal(got.data, bytes, len);
    assert_int_equal(ds_colview_open(&v, col, got.data, got.len, b->rows, NULL), 0);
    assert_int_equal(ds_colview_check(&v, NULL, NULL), 0);
    ds_buf_fini(&got);
    ds_colbuild_fini(b);
}
#define EXPECT(col, b, text) expect(col, b, text, sizeof text - 1)

static void test_exact_bytes(void **state)
{
    (void)state;
    ds_colbuild b;
    ds_column c = column(DS_UTF8, 0, true);

    ds_colbuild_init(&b, DS_UTF8, 0, true);
    assert_int_equal(ds_colbuild_bytes(&b, "ab", 2, NULL) | ds_colbuild_null(&b, NULL) |
                         ds_colbuild_bytes(&b, "", 0, NULL),
                     0);
    EXPECT(&c, &b,
           "\x03\x01\x05\x02\x00"
           "ab");

    ds_colbuild_init(&b, DS_UTF8, 0, true);
    assert_int_equal(ds_colbuild_bytes(&b, "c", 1, NULL), 0);
    EXPECT(&c, &b,
           "\x01\x00\x01"
           "c");

    c = column(DS_BOOL, 0, false);
    ds_colbuild_init(&b, DS_BOOL, 0, false);
    for (int i = 0; i < 9; i++)
        assert_int_equal(ds_colbuild_bool(&b, i == 0 || i == 8, NULL), 0);
    EXPECT(&c, &b, "\x09\x00\x01\x01");

    c = column(DS_F64, 0, false);
    ds_colbuild_init(&b, DS_F64, 0, false);
    assert_int_equal(ds_colbuild_f64(&b, -NAN, NULL) | ds_colbuild_f64(&b, -0.0, NULL), 0);
    EXPECT(&c, &b, "\x02\x00\0\0\0\0\0\0\xf8\x7f\0\0\0\0\0\0\0\x80");
}

static void test_exact_bytes_of_many(void **state)
{
    (void)state;
    ds_colbuild b;
    ds_column c = column(DS_TOKENS16, 0, false);
    uint64_t dims[2] = {2, 300}, runs[] = {2, 7, 0, 5, 3, 7, 1, 200, 0, 1};
    uint32_t ids[] = {1, 65535, 258};
    static uint8_t zero[1200];

    ds_colbuild_init(&b, DS_TOKENS16, 0, false);
    assert_int_equal(ds_colbuild_tokens(&b, ids, 3, NULL) | ds_colbuild_tokens(&b, NULL, 0, NULL),
                     0);
    EXPECT(&c, &b, "\x02\x00\x03\x00\x01\x00\xff\xff\x02\x01");

    c = column(DS_RUNS, 0, false);
    ds_colbuild_init(&b, DS_RUNS, 0, false);
    assert_int_equal(ds_colbuild_runs(&b, runs, 5, NULL), 0);
    EXPECT(&c, &b, "\x01\x00\x02\x05\x07\x01\xc8\x01");

    c = column(DS_TENSOR, 0, false);
    ds_colbuild_init(&b, DS_TENSOR, 0, false);
    assert_int_equal(ds_colbuild_tensor(&b, DS_I16, 2, dims, zero, 1200, NULL), 0);
    b.data.mem.len = 3; /* only the beginning of the data is of interest here */
    ds_buf got = {0};
    take(&got, &b);
    assert_int_equal(got.len, 10);
    assert_memory_equal(got.data, "\x01\x00\x04\x02\x02\xac\x02\0\0\0", 10);
    ds_buf_fini(&got);
    ds_colbuild_fini(&b);

    c = column(DS_LIST, DS_BYTES, true);
    ds_colbuild_init(&b, DS_LIST, DS_BYTES, true);
    assert_int_equal(ds_colbuild_list_begin(&b, NULL) | ds_colbuild_item_bytes(&b, "xy", 2, NULL) |
                         ds_colbuild_item_bytes(&b, "", 0, NULL) | ds_colbuild_list_end(&b, NULL),
                     0);
    assert_int_equal(ds_colbuild_null(&b, NULL) | ds_colbuild_list_begin(&b, NULL) |
                         ds_colbuild_list_end(&b, NULL),
                     0);
    EXPECT(&c, &b,
           "\x03\x01\x05\x02\x00\x02\x00"
           "xy");
}

/* What a row of a round trip is made of: r, which also says whether it is null. */
static int put_row(ds_colbuild *b, enum ds_type t, enum ds_type item, uint64_t r)
{
    const uint64_t n = r >> 8 & 3;
    uint32_t ids[3] = {r & 0xffff, 1, 2};
    if (r % 3 == 0)
        return ds_colbuild_null(b, NULL);
    if (t == DS_BYTES)
        return ds_colbuild_bytes(b, &r, (size_t)n, NULL);
    if (t == DS_BOOL)
        return ds_colbuild_bool(b, n & 1, NULL);
    if (t == DS_TIMESTAMP)
        return ds_colbuild_i64(b, (int64_t)r, NULL);
    if (t == DS_TOKENS16 || t == DS_TOKENS32)
        return ds_colbuild_tokens(b, ids, (size_t)n, NULL);
    int rc = ds_colbuild_list_begin(b, NULL);
    for (uint64_t k = 0; k < n; k++)
        rc |= item == DS_BOOL    ? ds_colbuild_item_i64(b, (int64_t)((r >> k) & 1), NULL)
              : item == DS_I64   ? ds_colbuild_item_i64(b, (int64_t)(r + k), NULL)
              : item == DS_BYTES ? ds_colbuild_item_bytes(b, &r, k, NULL)
                                 : ds_colbuild_item_tokens(b, ids, k, NULL);
    return rc | ds_colbuild_list_end(b, NULL);
}

static void check_items(const ds_colview *v, const ds_value *x, enum ds_type item, uint64_t r)
{
    const uint64_t n = r >> 8 & 3;
    ds_items it;
    ds_value y;
    assert_int_equal(x->count, n);
    ds_value_items(&it, v, x);
    for (uint64_t k = 0; k < n; k++) {
        assert_true(ds_items_next(&it, &y));
        if (item == DS_BOOL)
            assert_int_equal(y.i, (r >> k) & 1);
        else if (item == DS_I64)
            assert_int_equal(y.i, (int64_t)(r + k));
        else if (item == DS_BYTES)
            assert_int_equal(y.len, k);
        else
            assert_int_equal(y.count, k);
        if (item == DS_BYTES && k)
            assert_memory_equal(y.p, &r, k);
        if (item == DS_TOKENS32 && k)
            assert_int_equal(ds_value_token(v, &y, 0), r & 0xffff);
    }
    assert_false(ds_items_next(&it, &y));
}

static void check_row(const ds_colview *v, const ds_value *x, enum ds_type t, enum ds_type item,
                      uint64_t r)
{
    const uint64_t n = r >> 8 & 3;
    assert_int_equal(x->null, r % 3 == 0);
    if (x->null)
        return;
    if (t == DS_BYTES) {
        assert_int_equal(x->len, n);
        assert_memory_equal(x->p, &r, x->len);
    } else if (t == DS_BOOL) {
        assert_int_equal(x->i, n & 1);
    } else if (t == DS_TIMESTAMP) {
        assert_int_equal(x->i, (int64_t)r);
    } else if (t == DS_TOKENS16 || t == DS_TOKENS32) {
        assert_int_equal(x->count, n);
        if (n)
            assert_int_equal(ds_value_token(v, x, 0), r & 0xffff);
    } else {
        check_items(v, x, item, r);
    }
}

/* Every simple type with a mix of nulls: what goes in comes out, row by row. */
static void round_trip(enum ds_type t, enum ds_type item, uint64_t rows)
{
    ds_colbuild b;
    ds_colview v;
    ds_value x;
    ds_buf chunk = {0};
    ds_column c = column(t, item, true);
    uint64_t seed = (uint64_t)t * 100 + item, again = seed;
    ds_colbuild_init(&b, t, item, true);
    for (uint64_t i = 0; i < rows; i++)
        assert_int_equal(put_row(&b, t, item, make_random(&seed)), 0);
    take(&chunk, &b);
    assert_int_equal(ds_colview_open(&v, &c, chunk.data, chunk.len, rows, NULL), 0);
    for (int pass = 0; pass < 2; pass++) {
        seed = again;
        for (uint64_t i = 0; i < rows; i++) {
            assert_true(ds_colview_next(&v, &x));
            check_row(&v, &x, t, item, make_random(&seed));
        }
        assert_false(ds_colview_next(&v, &x));
        ds_colview_rewind(&v);
    }
    ds_colbuild_fini(&b);
    ds_buf_fini(&chunk);
}

static void test_round_trips(void **state)
{
    (void)state;
    static const uint64_t rows[] = {1, 7, 8, 9, 300};
    for (size_t i = 0; i < 5; i++) {
        round_trip(DS_BYTES, 0, rows[i]);
        round_trip(DS_BOOL, 0, rows[i]);
        round_trip(DS_TIMESTAMP, 0, rows[i]);
        round_trip(DS_TOKENS16, 0, rows[i]);
        round_trip(DS_TOKENS32, 0, rows[i]);
        round_trip(DS_LIST, DS_BOOL, rows[i]);
        round_trip(DS_LIST, DS_I64, rows[i]);
        round_trip(DS_LIST, DS_BYTES, rows[i]);
        round_trip(DS_LIST, DS_TOKENS32, rows[i]);
    }
}

/* A value as a chunk of its own. */
static void alone(ds_buf *out, const ds_colview *v, const ds_value *x)
{
    ds_colbuild b;
    ds_colbuild_init(&b, v->type, v->item, true);
    assert_int_equal(ds_colbuild_value(&b, v, x, NULL), 0);
    take(out, &b);
    ds_colbuild_fini(&b);
}

/* Each of the first rows against each: the same exactly when a chunk of it alone is the same. */
static void same_or_not(ds_colbuild *b, unsigned *same, unsigned *other)
{
    ds_buf chunk = {0}, p = {0}, q = {0};
    ds_colview v, w;
    ds_value x, y;
    ds_column c = column(b->type, b->item, true);
    take(&chunk, b);
    assert_int_equal(ds_colview_open(&v, &c, chunk.data, chunk.len, b->rows, NULL), 0);
    w = v;
    while (ds_colview_next(&v, &x)) {
        alone(&p, &v, &x);
        ds_colview_rewind(&w);
        while (ds_colview_next(&w, &y)) {
            alone(&q, &w, &y);
            const bool is = p.len == q.len && memcmp(p.data, q.data, p.len) == 0;
            assert_int_equal(ds_value_same(&v, &x, &w, &y), is);
            ++*(is ? same : other);
        }
    }
    ds_buf_fini(&chunk);
    ds_buf_fini(&p);
    ds_buf_fini(&q);
    ds_colbuild_fini(b);
}

static void test_same(void **state)
{
    (void)state;
    static const enum ds_type types[][2] = {
        {DS_BYTES, 0},      {DS_BOOL, 0},      {DS_TIMESTAMP, 0},   {DS_TOKENS16, 0},
        {DS_LIST, DS_BOOL}, {DS_LIST, DS_I64}, {DS_LIST, DS_BYTES}, {DS_LIST, DS_TOKENS32}};
    unsigned same = 0, other = 0;
    ds_colbuild b;
    for (size_t t = 0; t < sizeof types / sizeof *types; t++) {
        uint64_t seed = t + 1;
        ds_colbuild_init(&b, types[t][0], types[t][1], true);
        for (int i = 0; i < 40; i++)
            assert_int_equal(put_row(&b, types[t][0], types[t][1], make_random(&seed)), 0);
        same_or_not(&b, &same, &other);
    }
    static const uint64_t dims[3][2] = {{2, 1}, {1, 2}, {2, 1}};
    ds_colbuild_init(&b, DS_TENSOR, 0, true);
    for (int i = 0; i < 3; i++)
        assert_int_equal(
            ds_colbuild_tensor(&b, i < 2 ? DS_I16 : DS_F16, 2, dims[i], "abcd", 4, NULL), 0);
    same_or_not(&b, &same, &other);
    ds_colbuild_init(&b, DS_F64, 0, true);
    assert_int_equal(ds_colbuild_f64(&b, 0.0, NULL) | ds_colbuild_f64(&b, -0.0, NULL), 0);
    same_or_not(&b, &same, &other);
    static const uint64_t runs[] = {2, 1, 3, 0};
    ds_colbuild_init(&b, DS_RUNS, 0, true);
    assert_int_equal(ds_colbuild_runs(&b, runs, 2, NULL) | ds_colbuild_runs(&b, runs, 1, NULL), 0);
    same_or_not(&b, &same, &other);
    assert_true(same > 300 && other > 300);
}

/* Dropping a row, whole or half made, leaves the bytes as if it had never been. */
static void test_drop(void **state)
{
    (void)state;
    uint64_t dims[1] = {2};
    for (int half = 0; half < 2; half++)
        for (int t = 0; t < 5; t++) {
            static const enum ds_type types[] = {DS_BYTES, DS_BOOL, DS_LIST, DS_TENSOR,
                                                 DS_TOKENS32};
            ds_colbuild a, b;
            ds_buf x = {0}, y = {0};
            ds_colbuild *both[2] = {&a, &b};
            ds_colbuild_init(&a, types[t], DS_BOOL, true);
            ds_colbuild_init(&b, types[t], DS_BOOL, true);
            b.data.limit = a.data.limit = 16; /* so that the file is truncated too */
            for (uint64_t i = 0; i < 100; i++)
                for (int k = 0; k < 2; k++) {
                    ds_colbuild *c = both[k];
                    for (int turn = k == 1 ? 0 : 1; turn < 2; turn++) {
                        int rc = 0;
                        bool stop = turn == 0 && half;
                        uint32_t ids[2] = {(uint32_t)i, 1};
                        if (types[t] == DS_BYTES) {
                            rc = ds_colbuild_begin(c, NULL) | ds_colbuild_part(c, &i, 3, NULL);
                            rc |= stop ? 0 : ds_colbuild_end(c, NULL);
                        } else if (types[t] == DS_BOOL) {
                            rc = i % 3 ? ds_colbuild_bool(c, i % 2, NULL)
                                       : ds_colbuild_null(c, NULL);
                        } else if (types[t] == DS_LIST) {
                            rc = ds_colbuild_list_begin(c, NULL);
                            for (uint64_t n = 0; n < i % 20; n++)
                                rc |= ds_colbuild_item_i64(c, (int64_t)(n * i % 2), NULL);
                            rc |= stop ? 0 : ds_colbuild_list_end(c, NULL);
                        } else if (types[t] == DS_TENSOR) {
                            rc = ds_colbuild_tensor_begin(c, DS_I32, 1, dims, NULL) |
                                 ds_colbuild_part(c, &i, 8, NULL);
                            rc |= stop ? 0 : ds_colbuild_end(c, NULL);
                        } else {
                            rc = ds_colbuild_begin(c, NULL) |
                                 ds_colbuild_part_tokens(c, ids, 2, NULL);
                            rc |= stop ? 0 : ds_colbuild_end(c, NULL);
                        }
                        assert_int_equal(rc, 0);
                        if (turn == 0)
                            assert_int_equal(ds_colbuild_drop_open(c, i, NULL), 0);
                    }
                }
            take(&x, &a);
            take(&y, &b);
            assert_int_equal(x.len, y.len);
            assert_memory_equal(x.data, y.data, x.len);
            ds_colbuild_fini(&a);
            ds_colbuild_fini(&b);
            ds_buf_fini(&x);
            ds_buf_fini(&y);
        }
}

static void test_wrong_calls(void **state)
{
    (void)state;
    ds_colbuild b;
    ds_err err = {0};
    uint32_t big = 65536;
    uint64_t dims[2] = {UINT64_MAX, 2}, runs[] = {UINT64_MAX, 0, 1, 1};
    ds_colbuild_init(&b, DS_TOKENS16, 0, false);
    assert_int_equal(ds_colbuild_null(&b, NULL), DS_FAIL);
    assert_int_equal(ds_colbuild_i64(&b, 1, NULL), DS_FAIL);
    assert_int_equal(ds_colbuild_tokens(&b, &big, 1, &err), DS_FAIL);
    assert_non_null(strstr(err.msg, "65536"));
    assert_int_equal(b.rows, 0);
    assert_int_equal(ds_colbuild_tokens(&b, &big, 0, NULL), 0);
    assert_int_equal(ds_colbuild_end(&b, NULL), DS_FAIL);
    assert_int_equal(ds_colbuild_begin(&b, NULL), 0);
    assert_int_equal(ds_colbuild_tokens(&b, &big, 0, NULL), DS_FAIL); /* a row is open */
    assert_int_equal(ds_colbuild_drop_open(&b, 1, NULL), 0);
    assert_int_equal(ds_colbuild_drop_open(&b, 0, NULL), DS_FAIL); /* not twice */
    ds_colbuild_fini(&b);
    ds_colbuild_init(&b, DS_TENSOR, 0, false);
    assert_int_equal(ds_colbuild_tensor(&b, DS_U8, 2, dims, "", 0, NULL), DS_FAIL);
    assert_int_equal(ds_colbuild_tensor(&b, DS_U8, 9, dims, "", 0, NULL), DS_FAIL);
    assert_int_equal(ds_colbuild_tensor(&b, 13, 0, dims, "", 0, NULL), DS_FAIL);
    dims[0] = 2;
    assert_int_equal(ds_colbuild_tensor(&b, DS_U8, 1, dims, "abc", 3, NULL), DS_FAIL);
    assert_int_equal(ds_colbuild_tensor_begin(&b, DS_U8, 1, dims, NULL), 0);
    assert_int_equal(ds_colbuild_part(&b, "abc", 3, NULL), DS_FAIL);
    assert_int_equal(ds_colbuild_part(&b, "a", 1, NULL), 0);
    assert_int_equal(ds_colbuild_end(&b, NULL), DS_FAIL);
    assert_int_equal(ds_colbuild_part(&b, "b", 1, NULL), 0);
    assert_int_equal(ds_colbuild_end(&b, NULL), 0);
    ds_colbuild_fini(&b);
    ds_colbuild_init(&b, DS_RUNS, 0, false);
    assert_int_equal(ds_colbuild_runs(&b, runs, 2, NULL), DS_FAIL);
    ds_colbuild_fini(&b);
    ds_colbuild_init(&b, DS_LIST, DS_BOOL, false);
    assert_int_equal(ds_colbuild_item_i64(&b, 1, NULL), DS_FAIL);
    assert_int_equal(ds_colbuild_list_begin(&b, NULL), 0);
    assert_int_equal(ds_colbuild_item_i64(&b, 2, NULL), DS_FAIL);
    assert_int_equal(ds_colbuild_item_bytes(&b, "", 0, NULL), DS_FAIL);
    ds_colbuild_fini(&b);
}

typedef struct bad_chunk {
    enum ds_type t, item;
    bool nullable;
    uint64_t rows;
    const char *bytes;
    size_t len;
    const char *why; /* in the message; NULL: the chunk is good */
} bad_chunk;
#define BAD(t, item, nullable, rows, text, why)                                                    \
    {                                                                                              \
        t, item, nullable, rows, text, sizeof text - 1, why                                        \
    }

static const bad_chunk bad_chunks[] = {
    BAD(DS_UTF8, 0, false, 1,
        "\x01\x00\x01"
        "a",
        NULL),
    BAD(DS_UTF8, 0, false, 2,
        "\x01\x00\x01"
        "a",
        "1 rows in a block of 2"),
    BAD(DS_UTF8, 0, false, 1,
        "\x81\x00\x00\x01"
        "a",
        "number of rows"),
    BAD(DS_UTF8, 0, false, 1,
        "\x01\x02\x01"
        "a",
        "null flag"),
    BAD(DS_UTF8, 0, false, 2,
        "\x02\x01\x01\x01"
        "a",
        "null flag"),
    BAD(DS_UTF8, 0, true, 2,
        "\x02\x01\x01\x01"
        "a",
        NULL),
    BAD(DS_UTF8, 0, true, 2,
        "\x02\x01\x05\x01"
        "a",
        "padding"),
    BAD(DS_UTF8, 0, true, 1,
        "\x01\x01\x01\x01"
        "a",
        "without a null"),
    BAD(DS_UTF8, 0, true, 9, "\x09\x01\x00", "cut off"),
    BAD(DS_UTF8, 0, false, 1,
        "\x01\x00\x02"
        "a",
        "cut off"),
    BAD(DS_UTF8, 0, false, 1,
        "\x01\x00\x01"
        "ab",
        "after the data"),
    BAD(DS_UTF8, 0, false, 1,
        "\x01\x00\x81\x00"
        "a",
        "bad length"),
    BAD(DS_UTF8, 0, false, 1, "\x01\x00", "bad length"),
    BAD(DS_UTF8, 0, false, 1, "\x01\x00\x01\xc3", "UTF-8"),
    BAD(DS_UTF8, 0, false, 2, "\x02\x00\x01\x01\xc3\xa9", "UTF-8"),
    BAD(DS_UTF8, 0, false, 2, "\x02\x00\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01\x01", "bad length"),
    BAD(DS_BYTES, 0, false, 2, "\x02\x00\x01\x01\xc3\xa9", NULL),
    BAD(DS_LIST, DS_UTF8, false, 1, "\x01\x00\x02\x01\x01\xc3\xa9", "UTF-8"),
    BAD(DS_JSON, 0, false, 1,
        "\x01\x00\x02"
        "{}",
        NULL),
    BAD(DS_JSON, 0, false, 1,
        "\x01\x00\x03"
        "{ }",
        "JSON"),
    BAD(DS_JSON, 0, false, 1, "\x01\x00\x00", "JSON"),
    BAD(DS_LIST, DS_JSON, false, 1,
        "\x01\x00\x01\x03"
        "[1}",
        "JSON"),
    BAD(DS_BOOL, 0, false, 3, "\x03\x00\x07", NULL),
    BAD(DS_BOOL, 0, false, 3, "\x03\x00\x08", "padding"),
    BAD(DS_BOOL, 0, false, 3, "\x03\x00", "cut off"),
    BAD(DS_BOOL, 0, false, 3, "\x03\x00\x00\x00", "after the data"),
    BAD(DS_I64, 0, false, 1, "\x01\x00\0\0\0\0\0\0\0", "cut off"),
    BAD(DS_I64, 0, false, 1, "\x01\x00\0\0\0\0\0\0\0\0\0", "after the data"),
    BAD(DS_F64, 0, false, 1, "\x01\x00\0\0\0\0\0\0\xf8\x7f", NULL),
    BAD(DS_F64, 0, false, 1, "\x01\x00\0\0\0\0\0\0\xf8\xff", "NaN"),
    BAD(DS_F64, 0, false, 1, "\x01\x00\x01\0\0\0\0\0\xf8\x7f", "NaN"),
    BAD(DS_F64, 0, false, 1, "\x01\x00\x01\0\0\0\0\0\xf0\x7f", "NaN"),
    BAD(DS_F64, 0, false, 1, "\x01\x00\0\0\0\0\0\0\xf0\xff", NULL),
    BAD(DS_LIST, DS_F64, false, 1, "\x01\x00\x01\x01\0\0\0\0\0\xf0\x7f", "NaN"),
    BAD(DS_TOKENS16, 0, false, 1, "\x01\x00\x01\x05\x00", NULL),
    BAD(DS_TOKENS16, 0, false, 1, "\x01\x00\x01\x05", "cut off"),
    BAD(DS_TOKENS32, 0, false, 1, "\x01\x00\x01\x05\x00", "cut off"),
    BAD(DS_TOKENS32, 0, false, 1, "\x01\x00\x80\x80\x80\x80\x80\x80\x80\x80\x40", "data"),
    BAD(DS_RUNS, 0, false, 1, "\x01\x00\x02\x01\x05\x01\x06", NULL),
    BAD(DS_RUNS, 0, false, 1, "\x01\x00\x02\x01\x05\x01\x05", "follow each other"),
    BAD(DS_RUNS, 0, false, 2, "\x02\x00\x01\x01\x01\x05\x01\x05", NULL),
    BAD(DS_RUNS, 0, false, 1, "\x01\x00\x01\x00\x05", "length of a run"),
    BAD(DS_RUNS, 0, false, 1, "\x01\x00\x01\x01", "bad run"),
    BAD(DS_RUNS, 0, false, 1, "\x01\x00\x01\x01\x05\x05", "after the data"),
    BAD(DS_RUNS, 0, false, 1, "\x01\x00\x02\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01\x05\x01\x06",
        "length of a run"),
    BAD(DS_TENSOR, 0, false, 1,
        "\x01\x00\x01\x01\x02"
        "ab",
        NULL),
    BAD(DS_TENSOR, 0, false, 1,
        "\x01\x00\x01\x00"
        "a",
        NULL),
    BAD(DS_TENSOR, 0, false, 1,
        "\x01\x00\x00\x01\x02"
        "ab",
        "head"),
    BAD(DS_TENSOR, 0, false, 1,
        "\x01\x00\x0d\x01\x02"
        "ab",
        "head"),
    BAD(DS_TENSOR, 0, false, 1,
        "\x01\x00\x01\x09\x01\x01\x01\x01\x01\x01\x01\x01\x01"
        "a",
        "head"),
    BAD(DS_TENSOR, 0, false, 1,
        "\x01\x00\x01\x01\x02"
        "abc",
        "after the data"),
    BAD(DS_TENSOR, 0, false, 1, "\x01\x00\x01\x02\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01\x02",
        "head"),
    BAD(DS_TENSOR, 0, false, 1, "\x01\x00\x03\x02\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01\x00",
        "head"),
    BAD(DS_TENSOR, 0, false, 1, "\x01\x00\x01\x02\x00\x05", NULL),
    BAD(DS_LIST, DS_BOOL, false, 2, "\x02\x00\x02\x01\x05", NULL),
    BAD(DS_LIST, DS_BOOL, false, 2, "\x02\x00\x02\x01\x08", "padding"),
    BAD(DS_LIST, DS_BOOL, false, 1, "\x01\x00\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", "cut off"),
    BAD(DS_LIST, DS_I64, false, 1, "\x01\x00\x80\x80\x80\x80\x80\x80\x80\x80\x20", "data"),
};

static void test_bad_chunks(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof bad_chunks / sizeof *bad_chunks; i++) {
        const bad_chunk *b = &bad_chunks[i];
        ds_column c = column(b->t, b->item, b->nullable);
        ds_colview v;
        ds_err err = {0};
        uint8_t *copy = malloc(b->len); /* of exactly this size, for the sanitizer */
        assert_non_null(copy);
        memcpy(copy, b->bytes, b->len);
        int rc = ds_colview_open(&v, &c, copy, b->len, b->rows, &err);
        if (!rc)
            rc = ds_colview_check(&v, NULL, &err);
        if (rc != (b->why ? DS_CORRUPT : 0) || (b->why && !strstr(err.msg, b->why)))
            print_error("chunk %zu: %d %s, expected %s\n", i, rc, err.msg,
                        b->why ? b->why : "good");
        assert_int_equal(rc, b->why ? DS_CORRUPT : 0);
        assert_true(!b->why || strstr(err.msg, b->why));
        free(copy);
    }
}

/* A value larger than what a spool keeps in memory goes in by parts and comes out whole. */
static void test_large(void **state)
{
    (void)state;
    ds_colbuild b;
    ds_buf head = {0}, chunk = {0};
    ds_chunk c;
    ds_colview v;
    ds_value x;
    ds_column col = column(DS_UTF8, 0, false);
    char part[65537];
    memset(part, 'x', sizeof part);
    ds_colbuild_init(&b, DS_UTF8, 0, false);
    assert_int_equal(ds_colbuild_bytes(&b, "small", 5, NULL) | ds_colbuild_begin(&b, NULL), 0);
    for (int i = 0; i < 100; i++)
        assert_int_equal(ds_colbuild_part(&b, part, sizeof part, NULL), 0);
    assert_int_equal(ds_colbuild_end(&b, NULL), 0);
    assert_int_equal(ds_colbuild_last(&b, &x, NULL), 0);
    assert_int_equal(x.len, 6553700);
    assert_int_equal(x.p[0], 'x');
    assert_int_equal(ds_colbuild_bytes(&b, "end", 3, NULL), 0);
    assert_int_equal(ds_colbuild_chunk(&b, &head, &c, NULL), 0);
    assert_int_equal(
        ds_buf_put(&chunk, c.head, c.head_len) | ds_buf_put(&chunk, c.body, c.body_len), 0);
    assert_int_equal(ds_colview_open(&v, &col, chunk.data, chunk.len, 3, NULL), 0);
    assert_int_equal(ds_colview_check(&v, NULL, NULL), 0);
    assert_true(ds_colview_next(&v, &x) && ds_colview_next(&v, &x));
    assert_int_equal(x.len, 6553700);
    assert_int_equal(x.p[x.len - 1], 'x');
    assert_true(ds_colview_next(&v, &x));
    assert_memory_equal(x.p, "end", 3);
    chunk.data[chunk.len - 1000] = 0xc3;
    ds_err err = {0};
    assert_int_equal(ds_colview_check(&v, NULL, &err), DS_CORRUPT);
    assert_non_null(strstr(err.msg, "value 1"));
    ds_colbuild_fini(&b);
    ds_buf_fini(&head);
    ds_buf_fini(&chunk);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_exact_bytes), cmocka_unit_test(test_exact_bytes_of_many),
        cmocka_unit_test(test_round_trips), cmocka_unit_test(test_same),
        cmocka_unit_test(test_drop),        cmocka_unit_test(test_wrong_calls),
        cmocka_unit_test(test_bad_chunks),  cmocka_unit_test(test_large),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
