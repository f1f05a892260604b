/* test_dsr_stream.c - whole streams: round trips, truncation, damage, abort, index, sources. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "dsr_frame.h"
#include "dsr_make.h"

static const ds_writer_opts plain, packed = {.level = 3, .index = true};

static void test_round_trip(void **state)
{
    (void)state;
    ds_buf a = {0}, b = {0};
    ds_counts c;
    ds_err err = {0};
    make_wide_stream(&a, 500, 11, &plain);
    assert_int_equal(make_read_all(a.data, a.len, &c, &err), 0);
    assert_int_equal(c.records, 500);
    assert_int_equal(c.sources, 11);
    assert_true(c.blocks > 10);
    make_wide_stream(&b, 500, 11, &packed);
    assert_int_equal(make_read_all(b.data, b.len, &c, &err), 0);
    assert_int_equal(c.records, 500);
    ds_buf_fini(&a);
    ds_buf_fini(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_round_trip),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
