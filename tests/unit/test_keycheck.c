/* Key checks: the same answer in memory and over many spilled runs; the earliest second occurrence
 * is named. */
#include "unit.h"

#include <stdio.h>

#include "keycheck.h"

static ds_keyhash key(uint64_t n)
{
    ds_hasher *h = NULL;
    ds_keyhash k;
    assert_int_equal(ds_hasher_new(&h, NULL), 0);
    assert_int_equal(ds_keyhash_make(&k, h, &n, sizeof n, NULL), 0);
    ds_hasher_free(h);
    return k;
}

/* Records 0..n-1 have different keys, but those in `again` repeat the key of another record. */
static int check(size_t limit, uint64_t n, const uint64_t (*again)[2], size_t nagain, uint64_t *a,
                 uint64_t *b)
{
    ds_keycheck *k = NULL;
    ds_err err = {0};
    assert_int_equal(ds_keycheck_new(&k, unit_dir(), limit, &err), 0);
    for (uint64_t i = 0; i < n; i++) {
        uint64_t id = i;
        for (size_t j = 0; j < nagain; j++)
            if (again[j][0] == i)
                id = again[j][1];
        ds_keyhash h = key(id * 0x9e3779b97f4a7c15u);
        assert_int_equal(ds_keycheck_add(k, &h, &err), 0);
    }
    int rc = ds_keycheck_end(k, a, b, &err);
    assert_int_equal(err.code, 0);
    ds_keycheck_free(k);
    return rc;
}

static const size_t limits[] = {0, 24, 24 * 7, 24 * 1000, 24 * 5000};
#define NLIMITS (sizeof limits / sizeof *limits)

static void different_keys_pass(void **state)
{
    (void)state;
    uint64_t a, b;
    for (size_t i = 0; i < NLIMITS; i++) {
        uint64_t n = limits[i] == 24 ? 50 : 5000;
        assert_int_equal(check(limits[i], n, NULL, 0, &a, &b), 1);
    }
    assert_int_equal(check(0, 0, NULL, 0, &a, &b), 1);
    assert_int_equal(check(24, 1, NULL, 0, &a, &b), 1);
}

static void a_repeated_key_is_found_and_placed(void **state)
{
    (void)state;
    static const uint64_t near[][2] = {{1, 0}}, far[][2] = {{4999, 0}},
                          two[][2] = {{4000, 3}, {77, 60}};
    static const uint64_t triple[][2] = {{30, 5}, {4000, 5}, {4100, 4}};
    uint64_t a, b;
    for (size_t i = 0; i < NLIMITS; i++) {
        if (limits[i] == 24)
            continue;
        assert_int_equal(check(limits[i], 5000, near, 1, &a, &b), 0);
        assert_true(a == 0 && b == 1);
        assert_int_equal(check(limits[i], 5000, far, 1, &a, &b), 0);
        assert_true(a == 0 && b == 4999);
        assert_int_equal(check(limits[i], 5000, two, 2, &a, &b), 0);
        assert_true(a == 60 && b == 77);
        assert_int_equal(check(limits[i], 5000, triple, 3, &a, &b), 0);
        assert_true(a == 5 && b == 30);
    }
    assert_int_equal(check(24, 2, near, 1, &a, &b), 0);
}

static void runs_need_a_folder(void **state)
{
    (void)state;
    ds_keycheck *k = NULL;
    ds_err err = {0};
    ds_keyhash h = key(1);
    char dir[600];
    snprintf(dir, sizeof dir, "%s/none", unit_dir());
    assert_int_equal(ds_keycheck_new(&k, dir, 24, &err), 0);
    assert_int_equal(ds_keycheck_add(k, &h, &err), 0);
    assert_int_equal(ds_keycheck_add(k, &h, &err), DS_IO);
    assert_non_null(strstr(err.msg, "none"));
    ds_keycheck_free(k);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(different_keys_pass),
        cmocka_unit_test(a_repeated_key_is_found_and_placed),
        cmocka_unit_test(runs_need_a_folder),
    };
    return cmocka_run_group_tests_name("keycheck", tests, NULL, unit_dir_remove);
}
