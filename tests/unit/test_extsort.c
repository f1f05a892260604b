/* External sort: the same order in memory and over many runs, duplicates kept. */
#include "unit.h"

#include <stdlib.h>

#include "extsort.h"

enum { SIZE = 12 };

/* `same`: bytes that all begin with. */
static void fill(uint8_t e[SIZE], uint64_t i, unsigned same)
{
    const uint64_t x = (i % 900) * 0x9e3779b97f4a7c15u; /* each value comes up again */
    for (unsigned k = 0; k < SIZE; k++)
        e[k] = k < same ? 7 : (uint8_t)(x >> 8 * (k % 8));
}

static int by_bytes(const void *a, const void *b)
{
    return memcmp(a, b, SIZE);
}

static void sorts_with_limit(size_t limit, size_t n, unsigned same)
{
    ds_extsort *s = NULL;
    ds_err err = {0};
    uint8_t *want = malloc((n + 1) * SIZE);
    const void *got;
    assert_non_null(want);
    assert_int_equal(ds_extsort_new(&s, SIZE, limit, unit_dir(), &err), 0);
    for (size_t i = 0; i < n; i++) {
        fill(want + i * SIZE, i, same);
        assert_int_equal(ds_extsort_put(s, want + i * SIZE, &err), 0);
    }
    qsort(want, n, SIZE, by_bytes);
    assert_int_equal(ds_extsort_sort(s, &err), 0);
    for (size_t i = 0; i < n; i++) {
        assert_int_equal(ds_extsort_next(s, &got, &err), 1);
        assert_memory_equal(got, want + i * SIZE, SIZE);
    }
    assert_int_equal(ds_extsort_next(s, &got, &err), 0);
    assert_int_equal(ds_extsort_next(s, &got, &err), 0);
    ds_extsort_free(s);
    free(want);
}

static void the_order_does_not_depend_on_memory(void **state)
{
    (void)state;
    static const size_t limits[] = {0, SIZE, SIZE * 7, SIZE * 1000, SIZE * 4096};
    for (size_t i = 0; i < sizeof limits / sizeof *limits; i++)
        sorts_with_limit(limits[i], limits[i] == SIZE ? 300 : 4096, 0);
}

static void entries_may_begin_alike(void **state)
{
    (void)state;
    for (unsigned same = 1; same <= SIZE; same++)
        sorts_with_limit(SIZE * 5000, 12000, same);
}

/* The other way round, and by a table that is there only when entries are compared. */
static int backwards(const void *a, const void *b, void *ctx)
{
    const int *sign = *(int **)ctx;
    return *sign * memcmp(a, b, SIZE);
}

static int make_ready(void *ctx, ds_err *err)
{
    static int minus = -1;
    (void)err;
    *(int **)ctx = &minus;
    return 0;
}

static void the_order_can_be_another(void **state)
{
    (void)state;
    for (size_t limit = SIZE * 5; limit < SIZE * 5000; limit *= 100) {
        ds_extsort *s = NULL;
        ds_err err = {0};
        uint8_t e[SIZE], last[SIZE];
        const void *got;
        int *table = NULL;
        memset(last, 0xff, SIZE);
        assert_int_equal(ds_extsort_new(&s, SIZE, limit, unit_dir(), &err), 0);
        ds_extsort_by(s, backwards, make_ready, &table);
        for (size_t i = 0; i < 2000; i++) {
            fill(e, i, 0);
            assert_int_equal(ds_extsort_put(s, e, &err), 0);
        }
        assert_int_equal(ds_extsort_sort(s, &err), 0);
        for (size_t i = 0; i < 2000; i++) {
            assert_int_equal(ds_extsort_next(s, &got, &err), 1);
            assert_true(memcmp(got, last, SIZE) <= 0);
            memcpy(last, got, SIZE);
        }
        assert_int_equal(ds_extsort_next(s, &got, &err), 0);
        ds_extsort_free(s);
    }
}

static void few_entries(void **state)
{
    (void)state;
    for (size_t n = 0; n < 4; n++) {
        sorts_with_limit(0, n, 0);
        sorts_with_limit(SIZE, n, 0);
    }
}

static void what_cannot_be_sorted_is_refused(void **state)
{
    (void)state;
    ds_extsort *s = NULL;
    ds_err err = {0};
    assert_int_equal(ds_extsort_new(&s, 0, 0, NULL, &err), DS_FAIL);
    assert_null(s);
    err = (ds_err){0};
    assert_int_equal(ds_extsort_new(&s, 5000, 0, NULL, &err), DS_FAIL);
    err = (ds_err){0};
    assert_int_equal(ds_extsort_new(&s, 8, 8, "/nonexistent/folder", &err), 0);
    assert_int_equal(ds_extsort_put(s, "12345678", &err), 0);
    assert_int_equal(ds_extsort_put(s, "12345678", &err), DS_IO);
    ds_extsort_free(s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_order_does_not_depend_on_memory),
        cmocka_unit_test(entries_may_begin_alike),
        cmocka_unit_test(the_order_can_be_another),
        cmocka_unit_test(few_entries),
        cmocka_unit_test(what_cannot_be_sorted_is_refused),
    };
    return cmocka_run_group_tests_name("extsort", tests, NULL, unit_dir_remove);
}
