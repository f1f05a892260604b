/* Names in a run's folder: one spelling each. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "runname.h"

static void checkpoints(void **state)
{
    static const char *const none[] = {"",
                                       "step-",
                                       "step-300",
                                       "step-000300.json",
                                       "step-+00300",
                                       "step- 00300",
                                       "step-0000300",
                                       "step-18446744073709551616",
                                       "Step-000300",
                                       "step-00030x",
                                       "step-000300.part",
                                       "step--00300"};
    static const uint64_t some[] = {0, 300, 999999, 1000000, UINT64_MAX};
    char name[32];
    uint64_t step;

    (void)state;
    ds_checkpoint_name(name, 300);
    assert_string_equal(name, "step-000300");
    for (size_t i = 0; i < sizeof some / sizeof *some; i++) {
        ds_checkpoint_name(name, some[i]);
        assert_true(ds_checkpoint_parse_name(name, &step) && step == some[i]);
    }
    for (size_t i = 0; i < sizeof none / sizeof *none; i++)
        assert_false(ds_checkpoint_parse_name(none[i], &step));
}

static void segments(void **state)
{
    char name[48];
    uint64_t a, b;

    (void)state;
    ds_ledger_name(name, 1, 300);
    assert_string_equal(name, "ledger-000001-000300.dsr");
    assert_true(ds_ledger_parse_name(name, &a, &b) && a == 1 && b == 300);
    ds_ledger_name(name, 999999, 12345678);
    assert_true(ds_ledger_parse_name(name, &a, &b) && a == 999999 && b == 12345678);
    assert_false(ds_ledger_parse_name("ledger-1-300.dsr", &a, &b));
    assert_false(ds_ledger_parse_name("ledger-000001-000300.dsr.tmp", &a, &b));
    assert_false(ds_ledger_parse_name("ledger-000001-000300", &a, &b));
    assert_false(ds_ledger_parse_name("ledger-000001--00300.dsr", &a, &b));
}

static void stretches(void **state)
{
    char name[48];
    uint64_t a, b;

    (void)state;
    ds_stretch_name(name, 1, 10);
    assert_string_equal(name, "0001-from-000010");
    assert_true(ds_stretch_parse_name(name, &a, &b) && a == 1 && b == 10);
    assert_false(ds_stretch_parse_name("0000-from-000010", &a, &b));
    assert_false(ds_stretch_parse_name("1-from-000010", &a, &b));
    assert_false(ds_stretch_parse_name("0001-from-000010x", &a, &b));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(checkpoints),
        cmocka_unit_test(segments),
        cmocka_unit_test(stretches),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
