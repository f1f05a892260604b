/* exp, log, sin and cos: near the true values, and the same bits everywhere. */
#include "elementary.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "hash.h"
#include "unit.h"

/* Units in the last place of `want` that `got` is away from it. */
static double away(double got, long double want)
{
    const double d = (double)want;
    const double ulp = nextafter(fabs(d), (double)INFINITY) - fabs(d);
    return (double)(fabsl((long double)got - want) / (long double)ulp);
}

/* The i-th of n numbers that come closer to each other towards zero, of both signs. */
static double argument(int i, int n, double least, double most)
{
    const double x = least * pow(most / least, (double)(i / 2) / (double)(n / 2));
    return i % 2 ? -x : x;
}

static void is_near(void **state)
{
    enum { N = 200000 };
    double worst[5] = {0};
    (void)state;
    if (sizeof(long double) == sizeof(double))
        skip(); /* nothing wider to compare with */
    for (int i = 0; i < N; i++) {
        double s, c, x = argument(i, N, 1e-9, 700.0), at;
        if ((at = away(ds_exp(x), expl((long double)x))) > worst[0])
            worst[0] = at;
        x = fabs(argument(i, N, 1e-300, 1e300));
        if ((at = away(ds_log(x), logl((long double)x))) > worst[1])
            worst[1] = at;
        if ((at = away(ds_log2(x), log2l((long double)x))) > worst[2])
            worst[2] = at;
        x = argument(i, N, 1e-9, 1e7);
        ds_sincos(x, &s, &c);
        if ((at = away(s, sinl((long double)x))) > worst[3])
            worst[3] = at;
        if ((at = away(c, cosl((long double)x))) > worst[4])
            worst[4] = at;
    }
    for (int i = 0; i < 5; i++) {
        print_message("worst of function %d: %.3f units\n", i, worst[i]);
        assert_true(worst[i] < 2.0);
    }
}

static void has_its_limits(void **state)
{
    double s, c;
    (void)state;
    assert_true(ds_exp(0) == 1 && ds_log(1) == 0 && ds_log2(8) == 3 && ds_log2(0x1p-1074) == -1074);
    assert_true(isinf(ds_exp(711)) && ds_exp(-750) == 0 && ds_exp(-744.5) > 0 &&
                isnan(ds_exp((double)NAN)));
    assert_true(ds_exp(709.78) < INFINITY && ds_exp(-(double)INFINITY) == 0);
    assert_true(ds_log(0) == -(double)INFINITY && isnan(ds_log(-1)) &&
                isinf(ds_log((double)INFINITY)));
    assert_true(ds_pow(10000.0, 0) == 1 && fabs(ds_pow(10.0, 2) - 100) < 1e-13);
    ds_sincos(0, &s, &c);
    assert_true(s == 0 && c == 1);
    ds_sincos(0x1p50, &s, &c);
    assert_true(isnan(s) && isnan(c));
    ds_sincos((double)NAN, &s, &c);
    assert_true(isnan(s) && isnan(c));
}

/* What every machine must give. The arguments are sums and products that no rounding touches. */
static void has_the_same_bits(void **state)
{
    enum { N = 100000 };
    static double out[N][6];
    ds_sha sha;
    char hex[65];
    (void)state;
    for (int i = 0; i < N; i++) {
        const double x = (i - N / 2) * 0.0078125, y = (i + 1) * 0.03125;
        out[i][0] = ds_exp(x);
        out[i][1] = ds_log(y);
        out[i][2] = ds_log2(y);
        out[i][3] = ds_pow(y, x * 0.0625);
        ds_sincos(x * 97.0, &out[i][4], &out[i][5]);
    }
    assert_int_equal(ds_sha_tagged(&sha, "bits", out, sizeof out, NULL), 0);
    ds_sha_hex(hex, &sha);
    assert_string_equal(hex, "64cd9835774d396ac2bf725c8addd7ca11423a988cdb0d2c9f931abaf9dbaf98");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(is_near),
        cmocka_unit_test(has_its_limits),
        cmocka_unit_test(has_the_same_bits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
