/* Sources of several streams, numbered as they come, whatever their own numbers are. */
#include "unit.h"

#include "dsr_make.h"
#include "sourcenums.h"

static void numbers_follow_the_naming(void **state)
{
    (void)state;
    enum { N = 5000 };
    static uint64_t local[N];
    ds_sourcenums s = {0};
    ds_err err = {0};
    uint64_t r = 1, got;
    for (uint64_t i = 0; i < N; i++) {
        /* dense, far apart, and at the end of what a stream may name */
        local[i] = i % 3 == 0 ? i : i % 3 == 1 ? UINT64_C(8000000000) + i * 4096 : INT64_MAX - i;
        assert_int_equal(ds_sourcenums_of(&s, i % 7, local[i], &got, &err), 0);
        assert_int_equal(got, i);
    }
    for (unsigned k = 0; k < 3 * N; k++) {
        const uint64_t i = make_random(&r) % N;
        assert_int_equal(ds_sourcenums_of(&s, i % 7, local[i], &got, &err), 0);
        assert_int_equal(got, i);
    }
    assert_int_equal(s.n, N);
    assert_true(s.cap <= 2 * N && s.nslots <= 4 * N); /* by how many there are */
    for (uint64_t i = 0; i < N; i++)
        assert_true(s.v[i].input == i % 7 && s.v[i].local == local[i]);
    /* The same number of another stream is another source. */
    assert_int_equal(ds_sourcenums_of(&s, 9, 0, &got, &err), 0);
    assert_int_equal(got, N);
    ds_sourcenums_fini(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(numbers_follow_the_naming)};
    return cmocka_run_group_tests_name("sourcenums", tests, NULL, NULL);
}
