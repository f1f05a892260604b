/* Order and packing: permutations, known values, every token in exactly one place, best fit as
 * documented, the same for any reader. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "order.h"
#include "packing.h"
#include "philox.h"

static void order_is_a_permutation(void **state)
{
    static const uint64_t sizes[] = {1, 2, 3, 4, 5, 16, 17, 1000, 65537};

    (void)state;
    for (size_t s = 0; s < sizeof sizes / sizeof *sizes; s++) {
        const uint64_t n = sizes[s];
        uint8_t *seen = calloc(n, 1);
        assert_non_null(seen);
        for (uint64_t i = 0; i < n; i++) {
            const uint64_t x = ds_order_at(7, 3, n, i);
            assert_true(x < n && !seen[x]);
            seen[x] = 1;
        }
        free(seen);
    }
}

static void order_depends_on_seed_and_epoch(void **state)
{
    int same_seed = 0, same_epoch = 0;

    (void)state;
    for (uint64_t i = 0; i < 1000; i++) {
        same_seed += ds_order_at(7, 0, 1000, i) == ds_order_at(8, 0, 1000, i);
        same_epoch += ds_order_at(7, 0, 1000, i) == ds_order_at(7, 1, 1000, i);
    }
    assert_true(same_seed < 20 && same_epoch < 20);
    assert_true(ds_order_at(1, 0, UINT64_C(1) << 40, 12345) < UINT64_C(1) << 40);
}

static uint32_t *lengths(uint64_t n)
{
    uint32_t *l = malloc(n * sizeof *l);
    assert_non_null(l);
    for (uint64_t i = 0; i < n; i++) {
        const uint32_t c[4] = {(uint32_t)i, 0, 0, 0};
        uint32_t w[4];
        ds_philox_block(w, 99, c);
        l[i] = w[0] % 7 == 0 ? 0 : w[1] % 150;
    }
    return l;
}

/* Two epochs: every token of every record lies in exactly one piece of each, no row is over-full,
 * rows are numbered. */
static void every_token_has_one_place(void **state)
{
    const uint64_t n = 3000;
    uint32_t *l = lengths(n);
    uint64_t total = 0;
    ds_err err = {0};

    (void)state;
    for (uint64_t i = 0; i < n; i++)
        total += l[i];
    for (int longer = DS_LONG_SPLIT; longer <= DS_LONG_TRUNCATE; longer++) {
        const ds_packing_conf c = {.seed = 5,
                                   .records = n,
                                   .lengths = l,
                                   .seq_len = 64,
                                   .window = 700,
                                   .longer = (enum ds_long)longer};
        ds_packing *p;
        assert_int_equal(ds_packing_new(&p, &c, &err), 0);
        for (int epoch = 0; epoch < 2; epoch++) {
            uint32_t *got = calloc(n, sizeof *got);
            uint64_t tokens = 0, want = 0, rows = 0;
            assert_non_null(got);
            for (uint64_t i = 0; i < n; i++)
                want += longer == DS_LONG_TRUNCATE && l[i] > 64 ? 64 : l[i];
            while (tokens < want) {
                const ds_span *s;
                uint64_t row;
                size_t k;
                uint32_t used = 0;
                assert_int_equal(ds_packing_next(p, &row, &s, &k, &err), 0);
                assert_true(k > 0);
                for (size_t i = 0; i < k; i++) {
                    assert_true(s[i].record < n && s[i].len > 0 &&
                                s[i].offset + s[i].len <= l[s[i].record]);
                    assert_int_equal(s[i].offset % 64, 0);
                    got[s[i].record] += s[i].len;
                    used += s[i].len;
                }
                assert_true(used <= 64);
                tokens += used;
                rows++;
            }
            assert_int_equal(tokens, want);
            for (uint64_t i = 0; i < n; i++)
                assert_int_equal(got[i], longer == DS_LONG_TRUNCATE && l[i] > 64 ? 64 : l[i]);
            assert_true((double)tokens / (double)(rows * 64) > 0.95);
            free(got);
        }
        ds_packing_free(p);
    }
    free(l);
}

static void best_fit_as_documented(void **state)
{
    static const uint32_t l[] = {5, 3, 3, 6, 2, 8, 1};
    const ds_packing_conf c = {.seed = 0, .records = 7, .lengths = l, .seq_len = 8, .window = 7};
    ds_packing *p;
    uint64_t row;
    const ds_span *s;
    size_t n;
    int rows = 0;
    ds_err err = {0};

    (void)state;
    assert_int_equal(ds_packing_new(&p, &c, &err), 0);
    /* falling: 8 | 6 5 3 3 2 1: 8; 6+2; 5+3; 3+1: four rows */
    for (int i = 0; i < 4; i++) {
        uint32_t used = 0;
        assert_int_equal(ds_packing_next(p, &row, &s, &n, &err), 0);
        assert_int_equal(row, i);
        for (size_t j = 0; j < n; j++)
            used += s[j].len;
        rows += used == 8 ? 1 : used == 4 ? 10 : 100;
        if (n == 2)
            assert_true(s[0].len > s[1].len);
    }
    assert_int_equal(rows, 13);
    ds_packing_free(p);
}

/* Where the last of its pieces begins, less than a row is left of what 32 bits count. */
static void the_longest_record_is_split(void **state)
{
    static const uint32_t most[] = {UINT32_MAX};
    const uint32_t row = 1u << 24, rows = 256;
    const ds_packing_conf c = {
        .records = 1, .lengths = most, .seq_len = row, .window = 1, .longer = DS_LONG_SPLIT};
    uint64_t number, tokens = 0;
    ds_packing *p;
    const ds_span *s;
    size_t n;
    ds_err err = {0};

    (void)state;
    assert_int_equal(ds_packing_new(&p, &c, &err), 0);
    for (uint32_t i = 0; i < rows; i++) {
        assert_int_equal(ds_packing_next(p, &number, &s, &n, &err), 0);
        assert_int_equal(n, 1);
        assert_int_equal(s->len, s->offset == (rows - 1) * row ? row - 1 : row);
        tokens += s->len;
    }
    assert_true(tokens == UINT32_MAX && ds_packing_epoch(p) == 0);
    ds_packing_free(p);
}

static void refusals(void **state)
{
    static const uint32_t big[] = {1, 100}, none[] = {0, 0};
    ds_packing_conf c = {.records = 2, .lengths = big, .seq_len = 64, .window = 10};
    ds_packing *p;
    uint64_t row;
    const ds_span *s;
    size_t n;
    ds_err err = {0};

    (void)state;
    assert_int_equal(ds_packing_new(&p, &c, &err), 0);
    assert_int_equal(ds_packing_next(p, &row, &s, &n, &err), DS_FAIL);
    assert_non_null(strstr(err.msg, "record 1 has 100 tokens"));
    ds_packing_free(p);
    err.code = 0;
    c.lengths = none;
    assert_int_equal(ds_packing_new(&p, &c, &err), 0);
    assert_int_equal(ds_packing_next(p, &row, &s, &n, &err), DS_FAIL);
    assert_non_null(strstr(err.msg, "none of the 2 records"));
    ds_packing_free(p);
    err.code = 0;
    c.records = 0;
    assert_int_equal(ds_packing_new(&p, &c, &err), DS_FAIL);
}

static void spans_in_the_ledger(void **state)
{
    static const ds_span s[] = {{0, 0, 5}, {9, 64, 3}, {10, 0, 1}, {1000000, 7, 8}};
    static const uint64_t firsts[] = {0, 10, 10, 500};
    ds_buf b = {0}, back = {0};
    ds_err err = {0};

    (void)state;
    assert_int_equal(ds_spans_encode(&b, s, 4, firsts, 4, &err), 0);
    assert_int_equal(ds_spans_decode(&back, b.data, b.len, firsts, 4, &err), 0);
    assert_int_equal(back.len, sizeof s);
    for (size_t i = 0; i < 4; i++) {
        const ds_span *x = (const ds_span *)(const void *)back.data + i;
        assert_true(x->record == s[i].record && x->offset == s[i].offset && x->len == s[i].len);
    }
    for (size_t cut = 0; cut < b.len; cut++) {
        ds_buf_reset(&back);
        err.code = 0;
        assert_int_equal(ds_spans_decode(&back, b.data, cut, firsts, 4, &err), DS_CORRUPT);
    }
    ds_buf_fini(&b);
    ds_buf_fini(&back);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(order_is_a_permutation),
        cmocka_unit_test(order_depends_on_seed_and_epoch),
        cmocka_unit_test(every_token_has_one_place),
        cmocka_unit_test(best_fit_as_documented),
        cmocka_unit_test(the_longest_record_is_split),
        cmocka_unit_test(refusals),
        cmocka_unit_test(spans_in_the_ledger),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
