/* dcmdate.c - see dcmdate.h. Day numbers: Richards' algorithm over 400 year cycles. */
#include "dcmdate.h"

static int digits(const char *p, int n)
{
    int v = 0;
    for (int i = 0; i < n; i++) {
        if (p[i] < '0' || p[i] > '9')
            return -1;
        v = v * 10 + (p[i] - '0');
    }
    return v;
}

static int month_days(int year, int month)
{
    static const int days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    bool leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    return days[month - 1] + (month == 2 && leap);
}

bool dcm_date_valid(int year, int month, int day)
{
    return year >= 1 && year <= 9999 && month >= 1 && month <= 12 && day >= 1 &&
           day <= month_days(year, month);
}

bool dcm_date_parse(dcm_date *d, const char *p, size_t len)
{
    bool split = len >= 10 && (p[4] == '.' || p[4] == '-') && p[7] == p[4];
    if (len < 8)
        return false;
    d->year = digits(p, 4);
    d->month = digits(p + (split ? 5 : 4), 2);
    d->day = digits(p + (split ? 8 : 6), 2);
    return dcm_date_valid(d->year, d->month, d->day);
}

bool dcm_date_is_dummy(const dcm_date *d)
{
    return d->year <= 1900;
}

/* Days since 1 March of the year 0; years begin in March so that leap days come last. */
static long number(const dcm_date *d)
{
    long y = d->month > 2 ? d->year : d->year - 1, m = (d->month + 9) % 12;
    return 365 * y + y / 4 - y / 100 + y / 400 + (m * 306 + 5) / 10 + d->day - 1;
}

bool dcm_date_shift(dcm_date *d, int days)
{
    long n = number(d) + days;
    if (n < 306)
        return false;
    long y = (10000 * n + 14780) / 3652425;
    long rest = n - (365 * y + y / 4 - y / 100 + y / 400);
    if (rest < 0) {
        y--;
        rest = n - (365 * y + y / 4 - y / 100 + y / 400);
    }
    long m = (100 * rest + 52) / 3060;
    d->month = (int)((m + 2) % 12 + 1);
    d->year = (int)(y + (m + 2) / 12);
    d->day = (int)(rest - (m * 306 + 5) / 10 + 1);
    return d->year >= 1 && d->year <= 9999;
}
