/* Errors: the first wins, names are made harmless, the reason survives a long path. */
#include "unit.h"

#include <errno.h>

#include "error.h"

static void first_error_wins(void **state)
{
    (void)state;
    ds_err e = {0};
    assert_int_equal(ds_fail(&e, DS_CORRUPT, "file %d", 7), DS_CORRUPT);
    assert_int_equal(ds_fail(&e, DS_IO, "later"), DS_CORRUPT);
    assert_int_equal(ds_fail_errno(&e, ENOSPC, "later"), DS_CORRUPT);
    assert_int_equal(ds_fail_nomem(&e), DS_CORRUPT);
    assert_string_equal(e.msg, "file 7");
    ds_err_clear(&e);
    assert_int_equal(e.code, 0);
    assert_string_equal(e.msg, "");
}

static void as_another_failed(void **state)
{
    (void)state;
    ds_err e = {0}, none = {0};
    const ds_err job = {.code = DS_LOCKED, .msg = "100 % of it"};
    assert_int_equal(ds_fail_as(&e, &job), DS_LOCKED);
    assert_string_equal(e.msg, "100 % of it");
    assert_int_equal(ds_fail_as(&e, &none), DS_LOCKED);
    assert_int_equal(ds_fail_as(NULL, &job), DS_LOCKED);
    ds_err_clear(&e);
    assert_int_equal(ds_fail_as(&e, &none), DS_FAIL);
}

static void without_an_object(void **state)
{
    (void)state;
    assert_int_equal(ds_fail(NULL, DS_LOCKED, "x"), DS_LOCKED);
    assert_int_equal(ds_fail_errno(NULL, ENOMEM, "x"), DS_NOMEM);
    assert_int_equal(ds_fail_errno(NULL, EIO, "x"), DS_IO);
    assert_int_equal(ds_fail_nomem(NULL), DS_NOMEM);
    assert_int_equal(ds_err_prefix(NULL, "x"), 0);
    ds_err_clear(NULL);
}

static void errno_gives_code_and_text(void **state)
{
    (void)state;
    ds_err e = {0};
    assert_int_equal(ds_fail_errno(&e, ENOENT, "%s", "a/b"), DS_IO);
    assert_string_equal(e.msg, "a/b: No such file or directory");
    ds_err_clear(&e);
    assert_int_equal(ds_fail_errno(&e, ENOMEM, "map"), DS_NOMEM);
    ds_err_clear(&e);
    assert_int_equal(ds_fail_errno(&e, EDQUOT, "f"), DS_NOROOM);
    assert_int_equal(ds_fail_errno(NULL, ENOSPC, "f"), DS_NOROOM);
    assert_true(ds_is_io(DS_NOROOM) && ds_is_io(DS_IO) && !ds_is_io(DS_NOMEM) && !ds_is_io(0));
}

static void control_characters_are_replaced(void **state)
{
    (void)state;
    ds_err e = {0};
    ds_fail(&e, DS_FAIL, "%s", "a\n\x1b[31mb\x7f\tc \xc3\xa9");
    assert_string_equal(e.msg, "a??[31mb??c \xc3\xa9");
    ds_err_prefix(&e, "%s", "in\rto");
    assert_string_equal(e.msg, "in?to: a??[31mb??c \xc3\xa9");
}

static void long_names_keep_the_reason(void **state)
{
    (void)state;
    ds_err e = {0};
    char name[3000];
    memset(name, 'n', sizeof name - 1);
    name[sizeof name - 1] = '\0';
    ds_fail_errno(&e, ENOSPC, "%s", name);
    assert_non_null(strstr(e.msg, "No space left on device"));
    assert_true(strlen(e.msg) < sizeof e.msg);
    ds_err_clear(&e);
    ds_fail(&e, DS_FAIL, "the reason");
    ds_err_prefix(&e, "%s", name);
    assert_non_null(strstr(e.msg, "the reason"));
}

static void no_half_characters(void **state)
{
    (void)state;
    for (size_t pad = 0; pad < 4; pad++) {
        ds_err e = {0};
        char text[1300];
        size_t n = 0;
        while (n < pad)
            text[n++] = 'x';
        while (n + 4 < sizeof text) { /* three-byte characters up to the end */
            memcpy(text + n, "\xe4\xb8\xad", 3);
            n += 3;
        }
        text[n] = '\0';
        ds_fail(&e, DS_FAIL, "%s", text);
        size_t len = strlen(e.msg);
        assert_true(len >= DS_ERR_MAX - 4);
        assert_int_equal((len - pad) % 3, 0);
        ds_err_clear(&e); /* nor in the midst, before the reason */
        ds_fail_errno(&e, ENOSPC, "%s", text);
        const char *reason = strstr(e.msg, ": No space left on device");
        assert_non_null(reason);
        assert_int_equal(((size_t)(reason - e.msg) - pad) % 3, 0);
    }
}

static void prefix(void **state)
{
    (void)state;
    ds_err e = {0};
    assert_int_equal(ds_err_prefix(&e, "x"), 0);
    assert_int_equal(e.code, 0);
    ds_fail(&e, DS_NOSTORE, "no store");
    assert_int_equal(ds_err_prefix(&e, "commit %d", 3), DS_NOSTORE);
    assert_string_equal(e.msg, "commit 3: no store");
}

static void exit_codes(void **state)
{
    (void)state;
    static const int want[][2] = {{0, 0},           {DS_FAIL, 1},     {DS_USAGE, 2},
                                  {DS_PARTIAL, 3},  {DS_NOSTORE, 10}, {DS_LOCKED, 11},
                                  {DS_CORRUPT, 12}, {DS_IO, 13},      {DS_NOMEM, 1},
                                  {DS_NOROOM, 13},  {-999, 1}};
    for (size_t i = 0; i < sizeof want / sizeof *want; i++)
        assert_int_equal(ds_exit_code(want[i][0]), want[i][1]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(first_error_wins),
        cmocka_unit_test(as_another_failed),
        cmocka_unit_test(without_an_object),
        cmocka_unit_test(errno_gives_code_and_text),
        cmocka_unit_test(control_characters_are_replaced),
        cmocka_unit_test(long_names_keep_the_reason),
        cmocka_unit_test(no_half_characters),
        cmocka_unit_test(prefix),
        cmocka_unit_test(exit_codes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
