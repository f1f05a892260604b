/* When an array of another format is a tensor. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "fmtvalue.h"

static bool is_tensor(int dtype, int ndim, uint64_t a, uint64_t b, size_t len)
{
    const ds_fval v = {
        .kind = DS_FV_ARRAY, .dtype = dtype, .ndim = ndim, .dims = {a, b}, .len = len};
    return ds_fval_is_tensor(&v);
}

static void shape_dtype_and_data_fit(void **state)
{
    (void)state;
    assert_true(is_tensor(DS_F32, 0, 0, 0, 4));
    assert_true(is_tensor(DS_F32, 2, 2, 3, 24));
    assert_true(is_tensor(DS_U8, 2, 0, INT64_MAX, 0));
    assert_false(is_tensor(DS_F32, 2, 2, 3, 23));
    assert_false(is_tensor(0, 1, 1, 0, 0));
    assert_false(is_tensor(DS_F64T + 1, 1, 0, 0, 0));
    assert_false(is_tensor(DS_U8, 9, 0, 0, 0));
    assert_false(is_tensor(DS_U8, -1, 0, 0, 1));
}

static void no_dimension_is_negative_or_too_large(void **state)
{
    (void)state;
    assert_false(
        is_tensor(DS_U8, 2, 0, (uint64_t)-1, 0)); /* -1 of int64, as other tools write it */
    assert_false(is_tensor(DS_U8, 2, (uint64_t)INT64_MAX + 1, 0, 0));
    assert_false(is_tensor(DS_F64T, 2, UINT64_C(1) << 61, 2, 0)); /* 2^65 bytes are not 0 */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(shape_dtype_and_data_fit),
        cmocka_unit_test(no_dimension_is_negative_or_too_large),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
