/* Which stream is next: against fractions compared by long division, against draws reckoned by
 * Python's hashlib, and the bounds that interleave.h promises. */
#include "unit.h"

#include "dsr_make.h"
#include "interleave.h"

enum { MOST = 7 };

/* a / b < c / d, by whole parts and then by what is left, turned round: no wide product. */
static bool less(uint64_t a, uint64_t b, uint64_t c, uint64_t d)
{
    for (;;) {
        if (a / b != c / d)
            return a / b < c / d;
        const uint64_t p = a % b, q = c % d;
        if (!p || !q)
            return !p && q;
        a = d;
        c = b;
        b = q;
        d = p;
    }
}

static size_t reckoned(const ds_lane *l, size_t n)
{
    size_t best = n;
    for (size_t i = 0; i < n; i++)
        if (!l[i].out &&
            (best == n || less(l[i].taken, l[i].weight, l[best].taken, l[best].weight)))
            best = i;
    return best;
}

static size_t next(ds_interleave *m)
{
    ds_err err = {0};
    size_t lane = SIZE_MAX;
    assert_int_equal(ds_interleave_next(m, &lane, &err), 0);
    return lane;
}

/* None is a whole record ahead of its share, none n - 1 behind. */
static void check_shares(const ds_lane *l, size_t n, uint64_t taken)
{
    uint64_t sum = 0;
    for (size_t i = 0; i < n; i++)
        sum += l[i].weight;
    for (size_t i = 0; i < n; i++) {
        const int64_t off = (int64_t)(l[i].taken * sum) - (int64_t)(taken * l[i].weight);
        assert_true(off < (int64_t)sum);
        assert_true(n == 1 ? off == 0 : off > -(int64_t)((n - 1) * sum));
    }
}

static void shares_are_kept(void **state)
{
    (void)state;
    uint64_t r = 1;
    for (unsigned round = 0; round < 200; round++) {
        ds_lane l[MOST] = {{0}};
        const size_t n = 1 + make_random(&r) % MOST;
        for (size_t i = 0; i < n; i++)
            l[i].weight = 1 + make_random(&r) % (round % 2 ? 5 : 100000);
        ds_interleave m = {.lanes = l, .n = n};
        for (uint64_t t = 1; t <= 400; t++) {
            const size_t want = reckoned(l, n);
            assert_int_equal(next(&m), want);
            l[want].taken++;
            check_shares(l, n, t);
        }
    }
}

/* Amounts instead of records, streams that end, numbers as large as there are. */
static void any_numbers_go(void **state)
{
    (void)state;
    uint64_t r = 2;
    for (unsigned round = 0; round < 20000; round++) {
        static const uint64_t edge[] = {1, 2, UINT64_C(1) << 32, UINT64_MAX - 1, UINT64_MAX};
        ds_lane l[MOST] = {{0}};
        const size_t n = make_random(&r) % (MOST + 1);
        for (size_t i = 0; i < n; i++) {
            l[i].weight = make_random(&r) % 2 ? edge[make_random(&r) % 5] : make_random(&r) | 1;
            l[i].taken = make_random(&r) % 2 ? edge[make_random(&r) % 5] - 1 : make_random(&r);
            l[i].out = make_random(&r) % 4 == 0;
        }
        ds_interleave m = {.lanes = l, .n = n};
        assert_int_equal(next(&m), reckoned(l, n));
        assert_int_equal(m.draws, 0);
    }
}

static void draws_are_those_of_another_reckoning(void **state)
{
    (void)state;
    static const unsigned small[] = {1, 0, 1, 1, 0, 1, 2, 2, 0, 0, 0, 0,
                                     2, 2, 1, 0, 2, 0, 2, 2, 0, 1, 2, 2},
                          large[] = {0, 0, 0, 2, 0, 0, 1, 0, 0, 0, 0, 0,
                                     2, 2, 0, 0, 1, 2, 0, 2, 0, 2, 0, 0};
    ds_lane a[] = {{.weight = 2}, {.weight = 3}, {.weight = 5}},
            b[] = {{.weight = UINT64_C(1) << 63},
                   {.weight = UINT64_C(1) << 62},
                   {.weight = (UINT64_C(1) << 62) - 1}};
    ds_interleave m = {.lanes = a, .n = 3, .seed = "7"}, k = {.lanes = b, .n = 3, .seed = ""};
    for (size_t i = 0; i < sizeof small / sizeof *small; i++) {
        assert_int_equal(next(&m), small[i]);
        assert_int_equal(next(&k), large[i]);
    }
    assert_int_equal(m.draws, sizeof small / sizeof *small);
}

static void draws_leave_out_what_is_out(void **state)
{
    (void)state;
    uint64_t count[4] = {0};
    ds_lane l[] = {
        {.weight = 1000, .out = true}, {.weight = 1}, {.weight = 9, .out = true}, {.weight = 3}};
    ds_interleave m = {.lanes = l, .n = 4, .seed = "s"};
    for (unsigned i = 0; i < 8000; i++)
        count[next(&m)]++;
    assert_int_equal(count[0] + count[2], 0);
    assert_in_range(count[1], 1800, 2200); /* 2000, give or take five deviations */
    l[1].out = l[3].out = true;
    assert_int_equal(next(&m), 4);
    assert_int_equal(m.draws, 8000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(shares_are_kept),
        cmocka_unit_test(any_numbers_go),
        cmocka_unit_test(draws_are_those_of_another_reckoning),
        cmocka_unit_test(draws_leave_out_what_is_out),
    };
    return cmocka_run_group_tests_name("interleave", tests, NULL, NULL);
}
