/* UTF-8 against a plain reading of RFC 3629, over every short sequence and at every position. */
#include "unit.h"

#include "utf8.h"

/* Decodes one character by arithmetic; 0 when the bytes are not one. */
static size_t plain_char(const uint8_t *p, size_t len)
{
    static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
    size_t n = p[0] < 0x80             ? 1
               : (p[0] & 0xe0) == 0xc0 ? 2
               : (p[0] & 0xf0) == 0xe0 ? 3
               : (p[0] & 0xf8) == 0xf0 ? 4
                                       : 0;
    if (n == 0 || n > len)
        return 0;
    if (n == 1)
        return 1;
    uint32_t v = p[0] & (0x7fu >> n);
    for (size_t i = 1; i < n; i++) {
        if ((p[i] & 0xc0) != 0x80)
            return 0;
        v = v << 6 | (p[i] & 0x3fu);
    }
    return v < least[n] || v > 0x10ffff || (v >= 0xd800 && v <= 0xdfff) ? 0 : n;
}

static size_t plain_check(const uint8_t *p, size_t len)
{
    size_t i = 0;
    while (i < len) {
        size_t n = plain_char(p + i, len - i);
        if (n == 0)
            return i;
        i += n;
    }
    return len;
}

/* The checker in parts must end as the whole check does, wherever the parts are cut. */
static void in_parts(const uint8_t *p, size_t len, size_t step)
{
    ds_utf8_state s = {0};
    size_t want = plain_check(p, len);
    _Bool ok = 1;
    for (size_t at = 0; at < len && ok; at += step)
        ok = ds_utf8_feed(&s, p + at, len - at < step ? len - at : step);
    if (ok)
        ok = ds_utf8_end(&s);
    assert_int_equal(ok, want == len);
    assert_true(s.offset == want);
}

static void every_three_bytes(void **state)
{
    (void)state;
    for (unsigned v = 0; v < 1u << 24; v++) {
        uint8_t p[3] = {(uint8_t)(v >> 16), (uint8_t)(v >> 8), (uint8_t)v};
        if (p[0] < 0x80 && p[1] < 0x80) {
            v |= 0xff; /* two ASCII bytes first: nothing new */
            continue;
        }
        if (ds_utf8_check(p, 3) != plain_check(p, 3))
            fail_msg("%02x %02x %02x", p[0], p[1], p[2]);
    }
}

static void every_four_byte_lead(void **state)
{
    (void)state;
    static const uint8_t tail[] = {0x00, 0x7f, 0x80, 0xbf, 0xc0, 0xff};
    for (unsigned a = 0xe0; a < 0x100; a++)
        for (unsigned b = 0; b < 0x100; b++)
            for (size_t i = 0; i < 6; i++)
                for (size_t k = 0; k < 6; k++) {
                    uint8_t p[4] = {(uint8_t)a, (uint8_t)b, tail[i], tail[k]};
                    assert_int_equal(ds_utf8_check(p, 4), plain_check(p, 4));
                    in_parts(p, 4, 1);
                }
}

static void every_position_and_cut(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "\x80", "\xc0\x80", "\xe0\x80\x80", "\xed\xa0\x80", "\xf4\x90\x80\x80", "\xf8\x88\x80\x80",
        "\xc3", "\xe4\xb8", "\xf0\x9f\x98", "\xff"};
    uint8_t text[200];
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        for (size_t at = 0; at < 150; at++)
            for (int wide = 0; wide < 2; wide++) {
                size_t n = 0;
                while (n < at)
                    if (wide && at - n >= 3) {
                        memcpy(text + n, "\xe4\xb8\xad", 3);
                        n += 3;
                    } else {
                        text[n++] = 'a';
                    }
                memcpy(text + n, bad[i], strlen(bad[i]));
                n += strlen(bad[i]);
                while (n < 180)
                    text[n++] = 'z';
                assert_int_equal(ds_utf8_check(text, 180), at);
                in_parts(text, 180, 1 + at % 7);
                size_t cut = at + strlen(bad[i]); /* the text ends within the sequence */
                assert_int_equal(ds_utf8_check(text, cut), at);
                in_parts(text, cut, 1 + at % 5);
            }
}

static void good_text_in_parts(void **state)
{
    (void)state;
    static const char text[] =
        "plain \xc3\xa9\xe4\xb8\xad\xe6\x96\x87 \xf0\x9f\x98\x80 end \xf4\x8f\xbf\xbf";
    size_t len = sizeof text - 1;
    const uint8_t *p = (const uint8_t *)text;
    assert_int_equal(ds_utf8_check(p, len), len);
    assert_int_equal(ds_utf8_check(p, 0), 0);
    for (size_t step = 1; step <= len; step++)
        in_parts(p, len, step);
}

static uint32_t next(uint32_t *seed)
{
    *seed = *seed * 1664525u + 1013904223u;
    return *seed >> 8;
}

/* Appends a random character of 1 to 4 bytes; returns its length. */
static size_t random_char(uint8_t *p, uint32_t *seed)
{
    static const uint32_t from[] = {0, 0x80, 0x800, 0x10000},
                          to[] = {0x80, 0x800, 0x10000, 0x110000};
    unsigned n = next(seed) % 4;
    uint32_t v = from[n] + next(seed) % (to[n] - from[n]);
    if (v >= 0xd800 && v <= 0xdfff)
        v = 0x4e2d;
    if (n == 0) {
        p[0] = (uint8_t)v;
        return 1;
    }
    p[0] = (uint8_t)(((0xf0u << (3 - n)) & 0xf0u) | v >> 6 * n);
    for (unsigned i = 1; i <= n; i++)
        p[i] = (uint8_t)(0x80 | ((v >> 6 * (n - i)) & 0x3f));
    return n + 1;
}

/* Long enough for whole blocks of the fast path: good text, then the same with one byte replaced.
 */
static void random_text_with_one_wrong_byte(void **state)
{
    (void)state;
    static const uint8_t often[] = {0x80, 0x8f, 0x90, 0x9f, 0xa0, 0xbf, 0xc0, 0xc1, 0xc2,
                                    0xe0, 0xed, 0xf0, 0xf4, 0xf5, 0xff, 0x00, 0x7f, 0xe1};
    uint32_t seed = 7;
    uint8_t text[300];
    for (int round = 0; round < 100000; round++) {
        size_t n = 0, len = 60 + next(&seed) % 200;
        while (n < len)
            n += random_char(text + n, &seed);
        if (ds_utf8_check(text, n) != n)
            fail_msg("round %d: good text refused", round);
        text[next(&seed) % n] =
            next(&seed) % 2 ? often[next(&seed) % sizeof often] : (uint8_t)next(&seed);
        size_t cut = n - next(&seed) % 5;
        if (ds_utf8_check(text, cut) != plain_check(text, cut))
            fail_msg("round %d: %zu, not %zu", round, ds_utf8_check(text, cut),
                     plain_check(text, cut));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_three_bytes),
        cmocka_unit_test(every_four_byte_lead),
        cmocka_unit_test(every_position_and_cut),
        cmocka_unit_test(good_text_in_parts),
        cmocka_unit_test(random_text_with_one_wrong_byte),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
