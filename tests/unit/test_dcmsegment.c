/* Palettes in segments: values, lines, copies, and what makes no sense. */
#include "unit.h"

#include "dcmsegment.h"

static void words(uint8_t *to, const uint16_t *v, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        to[2 * i] = (uint8_t)v[i];
        to[2 * i + 1] = (uint8_t)(v[i] >> 8);
    }
}

static bool expand16(uint16_t *out, size_t n, const uint16_t *v, size_t len)
{
    uint8_t p[128];
    words(p, v, len);
    return dcm_segments_expand(out, n, p, 2 * len, false);
}

static void whole(void **state)
{
    (void)state;
    uint16_t out[16];
    /* 5 6; four more on the way to 1000; both once more, the line from 1000 on */
    static const uint16_t v[] = {0, 2, 5, 6, 1, 4, 1000, 2, 2, 0, 0};
    static const uint16_t want[] = {5, 6, 254, 503, 752, 1000, 5, 6, 254, 503, 752, 1000};
    assert_true(expand16(out, 12, v, 11));
    assert_memory_equal(out, want, sizeof want);
    static const uint16_t down[] = {0, 1, 65535, 1, 3, 0};
    assert_true(expand16(out, 4, down, 6));
    assert_int_equal(out[1], 43690);
    assert_int_equal(out[3], 0);
    /* bytes: an offset is four of them */
    static const uint8_t b[] = {0, 1, 7, 1, 2, 9, 2, 1, 3, 0, 0, 0};
    static const uint16_t bytes[] = {7, 8, 9, 9, 9};
    assert_true(dcm_segments_expand(out, 5, b, sizeof b, true));
    assert_memory_equal(out, bytes, sizeof bytes);
}

static void broken(void **state)
{
    (void)state;
    uint16_t out[16];
    static const uint16_t first_line[] = {1, 2, 9}, more[] = {0, 3, 1, 2, 3}, cut[] = {0, 3, 1},
                          itself[] = {0, 1, 1, 2, 1, 6, 0}, ahead[] = {0, 1, 1, 2, 1, 400, 0},
                          copies[] = {0, 1, 1, 2, 1, 0, 0, 2, 1, 6, 0}, unknown[] = {3, 1, 1};
    assert_false(expand16(out, 2, first_line, 3));
    assert_false(expand16(out, 2, more, 5));
    assert_false(expand16(out, 4, more, 5));
    assert_false(expand16(out, 3, cut, 3));
    assert_false(expand16(out, 3, itself, 7));
    assert_false(expand16(out, 3, ahead, 7));
    assert_false(expand16(out, 3, copies, 11));
    assert_false(expand16(out, 1, unknown, 3));
    assert_false(dcm_segments_expand(out, 1, (const uint8_t *)"", 0, true));
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(whole), cmocka_unit_test(broken)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
