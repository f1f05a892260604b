/* Zones by their names: files made here byte by byte, rules of every form, and what is refused. */
#include "unit.h"

#include <stdlib.h>

#include "buf.h"
#include "zonefile.h"

static void put_big(ds_buf *b, uint64_t v, int width)
{
    while (width--)
        assert_int_equal(ds_buf_putc(b, (uint8_t)(v >> 8 * width)), 0);
}

static void put_head(ds_buf *b, char version, uint32_t times, uint32_t types, uint32_t leaps)
{
    assert_int_equal(ds_buf_put(b, "TZif", 4), 0);
    assert_int_equal(ds_buf_putc(b, (uint8_t)version), 0);
    for (int i = 0; i < 15; i++)
        assert_int_equal(ds_buf_putc(b, 0), 0);
    const uint32_t n[] = {0, 0, leaps, times, types, 4};
    for (int i = 0; i < 6; i++)
        put_big(b, n[i], 4);
}

typedef struct jump {
    int64_t at;
    uint8_t type;
} jump;

/* A file of version 2: an empty first part, then jumps among types of these offsets, and a rule. */
static void make(ds_buf *b, const jump *v, uint32_t n, const int32_t *offsets, uint32_t types,
                 const char *rule)
{
    ds_buf_reset(b);
    put_head(b, '2', 0, 1, 0);
    put_big(b, 0, 6);
    assert_int_equal(ds_buf_put(b, "XXX", 4), 0);
    put_head(b, '2', n, types, 0);
    for (uint32_t i = 0; i < n; i++)
        put_big(b, (uint64_t)v[i].at, 8);
    for (uint32_t i = 0; i < n; i++)
        assert_int_equal(ds_buf_putc(b, v[i].type), 0);
    for (uint32_t i = 0; i < types; i++) {
        put_big(b, (uint32_t)offsets[i], 4);
        put_big(b, 0, 2);
    }
    assert_int_equal(ds_buf_put(b, "XXX", 4), 0);
    assert_int_equal(ds_buf_printf(b, "\n%s\n", rule), 0);
}

static ds_zone *of_rule(const char *rule)
{
    const int32_t none = 0;
    ds_buf b = {0};
    ds_zone *z = NULL;
    ds_err err = {0};
    make(&b, NULL, 0, &none, 1, rule);
    assert_int_equal(ds_zone_parse(&z, b.data, b.len, &err), 0);
    ds_buf_fini(&b);
    return z;
}

#define AT(days, h, m) ((days)*INT64_C(86400) + (h)*3600 + (m)*60)

static void is(const ds_zone *z, int64_t local, int64_t earlier, int64_t later)
{
    int64_t a, b;
    ds_zone_utc(z, local, &a, &b);
    assert_int_equal(a, earlier);
    assert_int_equal(b, later);
}

/* Days since 1970: 2024-03-31 is 19813, 2024-10-27 is 20023, 2024-01-01 is 19723. */
static void a_rule_with_summer_times(void **state)
{
    (void)state;
    ds_zone *z = of_rule("CET-1CEST,M3.5.0,M10.5.0/3");
    is(z, AT(19723, 12, 0), AT(19723, 11, 0), AT(19723, 11, 0));
    is(z, AT(19813, 1, 59), AT(19813, 0, 59), AT(19813, 0, 59));
    is(z, AT(19813, 2, 30), AT(19813, 1, 30), AT(19813, 1, 30)); /* skipped */
    is(z, AT(19813, 3, 0), AT(19813, 1, 0), AT(19813, 1, 0));
    is(z, AT(20023, 1, 59), AT(20022, 23, 59), AT(20022, 23, 59));
    is(z, AT(20023, 2, 0), AT(20023, 0, 0), AT(20023, 1, 0)); /* twice */
    is(z, AT(20023, 2, 59), AT(20023, 0, 59), AT(20023, 1, 59));
    is(z, AT(20023, 3, 0), AT(20023, 2, 0), AT(20023, 2, 0));
    /* 2261-07-01 */
    is(z, AT(106467, 12, 0), AT(106467, 10, 0), AT(106467, 10, 0));
    ds_zone_free(z);
}

static void rules_of_other_forms(void **state)
{
    (void)state;
    ds_zone *z = of_rule("<-03>3");
    is(z, AT(19723, 0, 0), AT(19723, 3, 0), AT(19723, 3, 0));
    ds_zone_free(z);
    z = of_rule("<+1030>-10:30<+11>-11,M10.1.0,M4.1.0"); /* the south; half an hour more */
    is(z, AT(19723, 12, 0), AT(19723, 1, 0), AT(19723, 1, 0));
    is(z, AT(19905, 12, 0), AT(19905, 1, 30), AT(19905, 1, 30)); /* 2024-07-01 */
    ds_zone_free(z);
    z = of_rule("IST-1GMT0,M10.5.0,M3.5.0/1"); /* the winter is what is counted as summer */
    is(z, AT(19905, 12, 0), AT(19905, 11, 0), AT(19905, 11, 0));
    is(z, AT(19723, 12, 0), AT(19723, 12, 0), AT(19723, 12, 0));
    ds_zone_free(z);
    z = of_rule("AAA1BBB,J60,59/-1"); /* March 1st in every year; the 59th day from 0 */
    is(z, AT(19723 + 60, 12, 0), AT(19723 + 60, 12, 0), AT(19723 + 60, 12, 0) - 0);
    ds_zone_free(z);
    z = of_rule("XXX3EDT4,0/0,J365/23"); /* summer all year round, as RFC 9636 has it */
    is(z, AT(19723, 0, 0), AT(19723, 4, 0), AT(19723, 4, 0));
    is(z, AT(19905, 12, 0), AT(19905, 16, 0), AT(19905, 16, 0));
    ds_zone_free(z);
}

static void a_table_of_transitions(void **state)
{
    (void)state;
    const int32_t offsets[] = {0, 8 * 3600, 9 * 3600, -12 * 3600};
    const jump v[] = {
        {AT(100, 0, 0), 1}, {AT(200, 0, 0), 2}, {AT(300, 0, 0), 1}, {AT(400, 0, 0), 3}};
    ds_buf b = {0};
    ds_zone *z = NULL;
    ds_err err = {0};
    make(&b, v, 4, offsets, 4, "");
    assert_int_equal(ds_zone_parse(&z, b.data, b.len, &err), 0);
    is(z, AT(-40000, 0, 0), AT(-40000, 0, 0), AT(-40000, 0, 0));
    is(z, AT(150, 8, 0), AT(150, 0, 0), AT(150, 0, 0));
    is(z, AT(200, 8, 30), AT(200, 0, 30), AT(200, 0, 30));
    is(z, AT(250, 9, 0), AT(250, 0, 0), AT(250, 0, 0));
    is(z, AT(300, 8, 30), AT(299, 23, 30), AT(300, 0, 30));
    is(z, AT(400, 7, 59), AT(399, 23, 59), AT(400, 19, 59)); /* over the date line */
    is(z, AT(400, 8, 0), AT(400, 20, 0), AT(400, 20, 0));
    is(z, AT(50000, 0, 0), AT(50000, 12, 0), AT(50000, 12, 0));
    ds_zone_free(z);
    ds_buf_fini(&b);
}

static void what_is_none_is_refused(void **state)
{
    (void)state;
    static const char *const rules[] = {"CET",
                                        "C1",
                                        "CET-1CEST",
                                        "CET-1CEST,M3.5.0",
                                        "CET25",
                                        "CET-1CEST,M13.1.0,M10.5.0",
                                        "CET-1CEST,M3.6.0,M10.5.0",
                                        "CET-1CEST,J0,J10",
                                        "CET-1CEST,M3.5.0,M10.5.0/200",
                                        "CET-1CEST,M3.5.0,M10.5.0 ",
                                        "<CET1",
                                        "CET-1:60"};
    const int32_t far = 27 * 3600, none = 0;
    const jump backwards[] = {{100, 0}, {100, 0}}, other = {100, 1};
    ds_buf b = {0};
    ds_zone *z = NULL;
    for (size_t i = 0; i < sizeof rules / sizeof *rules; i++) {
        ds_err err = {0};
        make(&b, NULL, 0, &none, 1, rules[i]);
        assert_int_equal(ds_zone_parse(&z, b.data, b.len, &err), DS_FAIL);
        assert_null(z);
    }
    for (int i = 0; i < 3; i++) {
        ds_err err = {0};
        make(&b, i ? (i == 1 ? backwards : &other) : NULL, i ? (i == 1 ? 2 : 1) : 0,
             i ? &none : &far, 1, "");
        assert_int_equal(ds_zone_parse(&z, b.data, b.len, &err), DS_FAIL);
    }
    /* Cut anywhere; and every byte of it something else. */
    make(&b, (const jump[]){{100, 0}}, 1, &none, 1, "CET-1CEST,M3.5.0,M10.5.0/3");
    for (size_t n = 0; n < b.len; n++) {
        ds_err err = {0};
        uint8_t *cut = malloc(n + 1);
        assert_non_null(cut);
        memcpy(cut, b.data, n);
        assert_int_equal(ds_zone_parse(&z, cut, n, &err), DS_FAIL);
        free(cut);
    }
    for (size_t n = 0; n < b.len; n++)
        for (unsigned bit = 1; bit < 256; bit <<= 1) {
            ds_err err = {0};
            int64_t x, y;
            b.data[n] ^= (uint8_t)bit;
            if (ds_zone_parse(&z, b.data, b.len, &err) == 0)
                ds_zone_utc(z, AT(20000, 0, 0), &x, &y);
            ds_zone_free(z);
            z = NULL;
            b.data[n] ^= (uint8_t)bit;
        }
    ds_buf_fini(&b);
}

static void names_lead_nowhere_else(void **state)
{
    (void)state;
    static const char *const names[] = {"",          "/etc/passwd",  "../../../etc/passwd",
                                        "Europe/..", "Nowhere/Land", "Europe"};
    ds_zone *z = NULL;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        ds_err err = {0};
        assert_int_equal(ds_zone_open(&z, names[i], &err), DS_FAIL);
        assert_non_null(strstr(err.msg, "no zone of that name"));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_rule_with_summer_times), cmocka_unit_test(rules_of_other_forms),
        cmocka_unit_test(a_table_of_transitions),   cmocka_unit_test(what_is_none_is_refused),
        cmocka_unit_test(names_lead_nowhere_else),
    };
    return cmocka_run_group_tests_name("zonefile", tests, NULL, NULL);
}
