/* Timestamps of logs: RFC 3339's and RFC 3164's cases, zones, years, and what is none. */
#include "unit.h"

#include "logtime.h"

typedef size_t (*reader)(const uint8_t *p, size_t len, int32_t zone, ds_logtime *t);

static size_t clf(const uint8_t *p, size_t len, int32_t zone, ds_logtime *t)
{
    (void)zone;
    return ds_logtime_clf(p, len, t);
}

static void times(void **state)
{
    (void)state;
    static const struct {
        reader read;
        const char *in;
        int32_t zone;
        size_t len; /* 0 = none */
        int64_t ns;
    } t[] = {
        {ds_logtime_iso, "1985-04-12T23:20:50.52Z", 0, 23, 482196050520000000},
        {ds_logtime_iso, "1996-12-19T16:39:57-08:00", 0, 25, 851042397000000000},
        {ds_logtime_iso, "1990-12-31T23:59:60Z", 0, 20, 662688000000000000},
        {ds_logtime_iso, "1937-01-01T12:00:27.87+00:20", 0, 28, -1041337172130000000},
        {ds_logtime_iso, "2003-08-24T05:14:15.000000003-07:00", 7, 35, 1061727255000000003},
        {ds_logtime_iso, "1970-01-01 01:00:00,001 x", 3600, 23, 1000000},
        {ds_logtime_iso, "1970/01/01 00:00:01 UTC", 3600, 23, 1000000000},
        {ds_logtime_iso, "1970-01-01T00:00:00.1234567899Z", 0, 31, 123456789},
        {ds_logtime_iso, "1970-01-01 00:00:00 -5 apples", 0, 19, 0},
        {ds_logtime_iso, "1970-01-01 00:00:00 -0500", 0, 25, 18000000000000},
        {ds_logtime_iso, "1970-01-01 00:00:00 Zebra", 0, 19, 0},
        {ds_logtime_iso, "2024-02-29T00:00:00Z", 0, 20, 1709164800000000000},
        {ds_logtime_iso, "2023-02-29T00:00:00Z", 0, 0, 0},
        {ds_logtime_iso, "2100-02-29T00:00:00Z", 0, 0, 0},
        {ds_logtime_iso, "2024-13-01T00:00:00Z", 0, 0, 0},
        {ds_logtime_iso, "2024-01-01T24:00:00Z", 0, 0, 0},
        {ds_logtime_iso, "2024-01-01T23:60:00Z", 0, 0, 0},
        {ds_logtime_iso, "1600-01-01T00:00:00Z", 0, 0, 0},
        {ds_logtime_iso, "2262-01-01T00:00:00Z", 0, 0, 0},
        {ds_logtime_iso, "2024-01-01", 0, 0, 0},
        {ds_logtime_iso, "", 0, 0, 0},
        {clf, "10/Oct/2000:13:55:36 -0700]", 0, 26, 971211336000000000},
        {clf, "10/Oct/2000:13:55:36", 0, 0, 0},
        {clf, "31/Feb/2000:13:55:36 +0000", 0, 0, 0},
        {ds_logtime_bsd, "Oct 11 2023 22:14:15 host", 0, 20, 1697062455000000000},
        {ds_logtime_asc, "Wed Oct 11 14:32:52.123456 2000] x", 0, 31, 971274772123456000},
        {ds_logtime_asc, "Wed Oct 11 14:32:52", 0, 0, 0},
        {ds_logtime_asc, "Wednesday Oct 11 14:32:52 2000", 0, 0, 0},
    };
    for (size_t i = 0; i < sizeof t / sizeof *t; i++) {
        ds_logtime got;
        size_t n = t[i].read((const uint8_t *)t[i].in, strlen(t[i].in), t[i].zone, &got);
        if (n != t[i].len || (n > 0 && got.ns != t[i].ns))
            fail_msg("%s: %zu bytes, %lld", t[i].in, n, n ? (long long)got.ns : 0);
    }
}

static void yearless(void **state)
{
    (void)state;
    ds_logtime t;
    const char *s = "Feb 29 22:14:15 mymachine";
    assert_int_equal(ds_logtime_bsd((const uint8_t *)s, strlen(s), 3600, &t), 15);
    assert_true(t.yearless);
    assert_false(ds_logtime_settle(&t, 2023));
    assert_true(ds_logtime_settle(&t, 2024));
    assert_int_equal(t.ns, 1709241255000000000);
    s = "Jan  1 00:00:00 x";
    assert_int_equal(ds_logtime_bsd((const uint8_t *)s, strlen(s), 0, &t), 15);
    assert_true(ds_logtime_settle(&t, 1970));
    assert_int_equal(t.ns, 0);
}

static void numbers(void **state)
{
    (void)state;
    static const struct {
        const char *in;
        bool fine;
        int64_t ns;
    } t[] = {
        {"1705312800", true, 1705312800000000000},
        {"1705312800.5", true, 1705312800500000000},
        {"1705312800123", true, 1705312800123000000},
        {"1705312800123.25", true, 1705312800123250000},
        {"1705312800123456", true, 1705312800123456000},
        {"1705312800123456789", true, 1705312800123456789},
        {"9999999999999999999", false, 0},
        {"12", false, 0},
        {"1705312800.", false, 0},
        {"1.7e9", false, 0},
        {"-1705312800", false, 0},
        {"", false, 0},
    };
    for (size_t i = 0; i < sizeof t / sizeof *t; i++) {
        ds_logtime got;
        bool fine = ds_logtime_epoch((const uint8_t *)t[i].in, strlen(t[i].in), &got);
        if (fine != t[i].fine || (fine && got.ns != t[i].ns))
            fail_msg("%s", t[i].in);
    }
}

static void names_and_zones(void **state)
{
    (void)state;
    int y = 0, m = 0, d = 0;
    int32_t z;
    assert_true(ds_logtime_name("logs/messages-20240131.gz", &y, &m, &d));
    assert_int_equal(y * 10000 + m * 100 + d, 20240131);
    assert_true(ds_logtime_name("app.2023-12-31.log", &y, &m, &d));
    assert_int_equal(y * 10000 + m * 100 + d, 20231231);
    assert_true(ds_logtime_name("20200101/x-20210203", &y, &m, &d));
    assert_int_equal(y, 2021);
    assert_false(ds_logtime_name("messages.1", &y, &m, &d));
    assert_false(ds_logtime_name("x-20241301", &y, &m, &d));
    assert_false(ds_logtime_name("120240131", &y, &m, &d));
    assert_true(ds_logtime_zone("utc", &z) && z == 0);
    assert_true(ds_logtime_zone("-07:30", &z) && z == -27000);
    assert_true(ds_logtime_zone("+0530", &z) && z == 19800);
    assert_false(ds_logtime_zone("Europe/Berlin", &z));
    assert_false(ds_logtime_zone("+25:00", &z));
    assert_false(ds_logtime_zone("", &z));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(times),
        cmocka_unit_test(yearless),
        cmocka_unit_test(numbers),
        cmocka_unit_test(names_and_zones),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
