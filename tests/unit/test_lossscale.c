/* The factor of gradients in f16: when it changes, and what a description may say of it. */
#include "unit.h"

#include "lossscale.h"

static void it_halves_and_doubles(void **state)
{
    const ds_lossscale_conf c = {.first = 8, .window = 3};
    ds_lossscale s = ds_lossscale_begin(&c);

    (void)state;
    assert_int_equal(s.scale, 8);
    assert_true(ds_lossscale_see(&s, &c, true));
    assert_true(ds_lossscale_see(&s, &c, true));
    assert_true(ds_lossscale_see(&s, &c, false)); /* begins to count anew */
    assert_int_equal(s.scale, 4);
    for (int i = 0; i < 2; i++)
        assert_true(ds_lossscale_see(&s, &c, true));
    assert_int_equal(s.scale, 4);
    assert_true(ds_lossscale_see(&s, &c, true));
    assert_int_equal(s.scale, 8);
    for (int i = 0; i < 3; i++)
        assert_true(ds_lossscale_see(&s, &c, false));
    assert_int_equal(s.scale, 1);
    assert_int_equal(s.overflows, 4);
    assert_false(ds_lossscale_see(&s, &c, false));
    assert_int_equal(s.overflows, 4);
    for (int i = 0; i < 3 * 40; i++)
        assert_true(ds_lossscale_see(&s, &c, true) && ds_lossscale_valid(&s, &c));
    assert_int_equal(s.scale, DS_LOSSSCALE_MOST);
}

static void formats_with_the_range_have_none(void **state)
{
    const ds_lossscale_conf c = {.first = 0}, other = {.first = 2, .window = 1};
    ds_lossscale s = ds_lossscale_begin(&c);

    (void)state;
    for (int i = 0; i < 5000; i++)
        assert_true(ds_lossscale_see(&s, &c, true));
    assert_int_equal(s.scale, 1);
    assert_true(ds_lossscale_valid(&s, &c));
    assert_false(ds_lossscale_see(&s, &c, false));
    assert_false(ds_lossscale_valid(&(ds_lossscale){.scale = 2}, &c));
    assert_false(ds_lossscale_valid(&(ds_lossscale){.scale = 3}, &other));
    assert_false(ds_lossscale_valid(&(ds_lossscale){.scale = 2, .good = 1}, &other));
}

static void described(void **state)
{
    static const char *const wrong[] = {
        "{\"loss_scale\":{\"first\":3,\"window\":1}}", "{\"loss_scale\":{\"first\":2}}",
        "{\"loss_scale\":{\"first\":-2,\"window\":1}}", "{\"loss_scale\":7}",
        "{\"loss_scale\":{\"first\":2147483648,\"window\":1}}"};
    ds_lossscale_conf c;
    ds_err err = {0};

    (void)state;
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        json_t *o = json_loads(wrong[i], 0, NULL);
        assert_int_equal(ds_lossscale_described(&c, o, &err), DS_CORRUPT);
        json_decref(o);
    }
    json_t *o = json_loads("{\"loss_scale\":{\"first\":65536,\"window\":2000}}", 0, NULL);
    assert_int_equal(ds_lossscale_described(&c, o, &err), 0);
    assert_int_equal(c.first, DS_LOSSSCALE_FIRST);
    assert_int_equal(c.window, DS_LOSSSCALE_WINDOW);
    json_object_del(o, "loss_scale");
    assert_int_equal(ds_lossscale_described(&c, o, &err), 0);
    assert_int_equal(c.first, 0);
    json_decref(o);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(it_halves_and_doubles),
                                       cmocka_unit_test(formats_with_the_range_have_none),
                                       cmocka_unit_test(described)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
