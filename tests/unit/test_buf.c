/* Buffers, little-endian numbers, varints and hex. */
#include "unit.h"

#include "buf.h"

static void appends(void **state)
{
    (void)state;
    ds_buf b = {0};
    assert_int_equal(ds_buf_put(&b, NULL, 0), 0);
    assert_int_equal(ds_buf_puts(&b, "ab"), 0);
    assert_int_equal(ds_buf_putc(&b, 'c'), 0);
    assert_int_equal(ds_buf_printf(&b, "-%d-%s", 12, "x"), 0);
    assert_int_equal(b.len, 8);
    assert_string_equal(ds_buf_cstr(&b), "abc-12-x");
    assert_int_equal(b.len, 8);
    ds_buf_reset(&b);
    assert_string_equal(ds_buf_cstr(&b), "");
    ds_buf_fini(&b);
    assert_null(b.data);
    assert_int_equal(b.cap, 0);
}

static void grows(void **state)
{
    (void)state;
    ds_buf b = {0};
    for (unsigned i = 0; i < 100000; i++)
        assert_int_equal(ds_buf_u32(&b, i), 0);
    assert_int_equal(b.len, 400000);
    for (unsigned i = 0; i < 100000; i++)
        assert_int_equal(ds_get_u32(b.data + 4 * i), i);
    ds_buf_fini(&b);
}

static void too_much_changes_nothing(void **state)
{
    (void)state;
    ds_buf b = {0};
    ds_buf_puts(&b, "keep");
    assert_int_equal(ds_buf_reserve(&b, SIZE_MAX), DS_NOMEM);
    assert_int_equal(ds_buf_reserve(&b, SIZE_MAX / 2), DS_NOMEM);
    assert_int_equal(ds_buf_hex(&b, "x", SIZE_MAX / 2 + 1), DS_NOMEM);
    assert_string_equal(ds_buf_cstr(&b), "keep");
    ds_buf_fini(&b);
}

static void little_endian(void **state)
{
    (void)state;
    ds_buf b = {0};
    ds_buf_u32(&b, 0x04030201);
    ds_buf_u64(&b, 0x0c0b0a0908070605);
    for (unsigned i = 0; i < 12; i++)
        assert_int_equal(b.data[i], i + 1);
    assert_true(ds_get_u64(b.data + 4) == 0x0c0b0a0908070605);
    uint8_t p[8];
    ds_set_u64(p, UINT64_MAX - 1);
    assert_true(ds_get_u64(p) == UINT64_MAX - 1);
    ds_set_u32(p, 0xfffefdfc);
    assert_int_equal(p[0], 0xfc);
    assert_int_equal(p[3], 0xff);
    ds_buf_fini(&b);
}

static void varint_round_trip(void **state)
{
    (void)state;
    ds_buf b = {0};
    for (unsigned bit = 0; bit <= 64; bit++)
        for (int d = -1; d <= 1; d++) {
            uint64_t v = (bit < 64 ? UINT64_C(1) << bit : 0) + (uint64_t)(int64_t)d, got = 0;
            size_t pos = 0;
            ds_buf_reset(&b);
            assert_int_equal(ds_buf_varint(&b, v), 0);
            assert_true(ds_varint_get(b.data, b.len, &pos, &got));
            assert_true(got == v);
            assert_int_equal(pos, b.len);
            for (size_t cut = 0; cut < b.len;
                 cut++) { /* every truncation is refused, nothing moves */
                pos = 0;
                assert_false(ds_varint_get(b.data, cut, &pos, &got));
                assert_int_equal(pos, 0);
            }
        }
    ds_buf_fini(&b);
}

static void varint_known_bytes(void **state)
{
    (void)state;
    ds_buf b = {0};
    ds_buf_varint(&b, 0);
    ds_buf_varint(&b, 127);
    ds_buf_varint(&b, 128);
    ds_buf_varint(&b, 624485);
    static const uint8_t want[] = {0x00, 0x7f, 0x80, 0x01, 0xe5, 0x8e, 0x26};
    assert_int_equal(b.len, sizeof want);
    assert_memory_equal(b.data, want, sizeof want);
    ds_buf_fini(&b);
}

static void varint_refuses(void **state)
{
    (void)state;
    static const uint8_t padded[] = {0x80, 0x00}, padded2[] = {0xff, 0x80, 0x00};
    static const uint8_t past[] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x02};
    static const uint8_t endless[] = {0x80, 0x80, 0x80, 0x80, 0x80, 0x80,
                                      0x80, 0x80, 0x80, 0x80, 0x80, 0x01};
    size_t pos = 0;
    uint64_t v = 5;
    assert_false(ds_varint_get(padded, sizeof padded, &pos, &v));
    assert_false(ds_varint_get(padded2, sizeof padded2, &pos, &v));
    assert_false(ds_varint_get(past, sizeof past, &pos, &v));
    assert_false(ds_varint_get(endless, sizeof endless, &pos, &v));
    assert_int_equal(pos, 0);
    assert_int_equal(v, 5);
}

static void digits(void **state)
{
    (void)state;
    static const char *const none[] = {"", " 1", "+1", "-1", "x", "18446744073709551616"};
    uint64_t v = 5;
    for (size_t i = 0; i < sizeof none / sizeof *none; i++) {
        const char *s = none[i];
        assert_false(ds_digits_next(&s, &v));
        assert_ptr_equal(s, none[i]);
        assert_true(v == 5);
    }
    const char *s = "18446744073709551615x007";
    assert_true(ds_digits_next(&s, &v) && v == UINT64_MAX);
    assert_string_equal(s++, "x007");
    assert_true(ds_digits_next(&s, &v) && v == 7 && *s == '\0');
    size_t pos = 1;
    assert_true(ds_digits_get((const uint8_t *)"a123", 3, &pos, &v) && v == 12 && pos == 3);
    assert_false(ds_digits_get((const uint8_t *)"a123", 3, &pos, &v));
}

static void zigzag(void **state)
{
    (void)state;
    assert_true(ds_zigzag(0) == 0 && ds_zigzag(-1) == 1 && ds_zigzag(1) == 2);
    static const int64_t all[] = {0, 1, -1, 63, -64, INT64_MAX, INT64_MIN};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        assert_true(ds_unzigzag(ds_zigzag(all[i])) == all[i]);
}

static void hex(void **state)
{
    (void)state;
    ds_buf b = {0};
    uint8_t out[3] = {9, 9, 9};
    ds_buf_hex(&b, "\x00\xab\xff", 3);
    assert_string_equal(ds_buf_cstr(&b), "00abff");
    assert_true(ds_hex_decode("00aBFf", 6, out, 3));
    assert_memory_equal(out, "\x00\xab\xff", 3);
    assert_false(ds_hex_decode("00abf", 5, out, 3));
    assert_false(ds_hex_decode("00abff0", 7, out, 3));
    assert_false(ds_hex_decode("00abfg", 6, out, 3));
    assert_false(ds_hex_decode("00 bff", 6, out, 3));
    ds_buf_fini(&b);
}

static void checked_sizes(void **state)
{
    (void)state;
    size_t r;
    assert_true(ds_add_size(1, 2, &r) && r == 3);
    assert_false(ds_add_size(SIZE_MAX, 1, &r));
    assert_true(ds_mul_size(3, 4, &r) && r == 12);
    assert_false(ds_mul_size(SIZE_MAX / 2, 3, &r));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(appends),
        cmocka_unit_test(grows),
        cmocka_unit_test(too_much_changes_nothing),
        cmocka_unit_test(little_endian),
        cmocka_unit_test(varint_round_trip),
        cmocka_unit_test(varint_known_bytes),
        cmocka_unit_test(varint_refuses),
        cmocka_unit_test(digits),
        cmocka_unit_test(zigzag),
        cmocka_unit_test(hex),
        cmocka_unit_test(checked_sizes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
