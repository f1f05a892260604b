/* elementary.c - see elementary.h. Series around the nearest point where the value is known; what
 * is left of the argument there is kept in two parts. */
#include "elementary.h"

#include <math.h>

typedef struct pair {
    double hi, lo; /* their sum is meant; |lo| is at most half a unit in the last place of hi */
} pair;

/* Knuth: the sum and what it lost. */
static pair two_sum(double a, double b)
{
    const double s = a + b, t = s - a;
    return (pair){s, (a - (s - t)) + (b - t)};
}

/* Dekker: the product and what it lost; |a|, |b| < 2^900. */
static pair two_product(double a, double b)
{
    const double split = 134217729.0, x = a * split, y = b * split;
    const double ah = x - (x - a), al = a - ah, bh = y - (y - b), bl = b - bh, p = a * b;
    return (pair){p, ((ah * bh - p) + ah * bl + al * bh) + al * bl};
}

/* x - k (c[0] + c[1] + c[2]), of which little is left. */
static pair reduce(double x, double k, const double c[3])
{
    const pair a = two_product(k, c[0]), b = two_product(k, c[1]);
    const pair s = two_sum(x - a.hi, -a.lo), t = two_sum(s.hi, -b.hi);
    return two_sum(t.hi, s.lo + t.lo - b.lo - k * c[2]);
}

static const double LN2[3] = {0x1.62e42fefa39efp-1, 0x1.abc9e3b39803fp-56, 0x1.7b57a079a1934p-111};
static const double HALF_PI[3] = {0x1.921fb54442d18p+0, 0x1.1a62633145c07p-54,
                                  -0x1.f1976b7ed8fbcp-110};
#define INV_LN2 0x1.71547652b82fep+0
#define TWO_OVER_PI 0x1.45f306dc9c883p-1

double ds_exp(double x)
{
    if (isnan(x) || x > 710.0)
        return isnan(x) ? x : (double)INFINITY;
    if (x < -746.0)
        return 0.0;
    const double k = floor(x * INV_LN2 + 0.5);
    const pair r = reduce(x, k, LN2);
    double sum = 1.0 / 15; /* (e^r - 1 - r) / r^2, from the last term on */
    for (int n = 14; n >= 3; n--)
        sum = (1.0 + r.hi * sum) / n;
    sum = (1.0 + r.hi * sum) / 2;
    return ldexp(1.0 + (r.hi + (r.hi * r.hi * sum + r.lo * (1.0 + r.hi))), (int)k);
}

/* log of m, which is x without its power of two *e: 1/sqrt(2) <= m < sqrt(2). */
static double log_part(double x, int *e)
{
    double m = frexp(x, e);
    if (m < 0.70710678118654752) {
        m *= 2;
        --*e;
    }
    /* log(1 + f) = 2 atanh(s) with s = f / (2 + f); f is taken out of it, as it has no error. */
    const double f = m - 1, s = f / (2 + f), z = s * s, half = f * f / 2;
    double sum = 0;
    for (int n = 25; n >= 3; n -= 2)
        sum = z * (2.0 / n + sum);
    return f - (half - s * (half + sum));
}

double ds_log(double x)
{
    int e;
    if (!(x > 0) || isinf(x))
        return x == 0 ? -(double)INFINITY : x > 0 ? x : (double)NAN;
    const double m = log_part(x, &e);
    const pair a = two_product(e, LN2[0]), s = two_sum(a.hi, m);
    return s.hi + (s.lo + (a.lo + e * LN2[1]));
}

double ds_log2(double x)
{
    int e;
    if (!(x > 0) || isinf(x))
        return ds_log(x);
    const double m = log_part(x, &e);
    return e + m * INV_LN2;
}

double ds_pow(double x, double y)
{
    return ds_exp(y * ds_log(x));
}

void ds_sincos(double x, double *sine, double *cosine)
{
    if (!(fabs(x) < 0x1p50)) {
        *sine = *cosine = (double)NAN;
        return;
    }
    const double k = floor(x * TWO_OVER_PI + 0.5);
    const pair r = reduce(x, k, HALF_PI);
    const double q = r.hi * r.hi;
    double s = 0, c = 0;
    for (int n = 19; n >= 3; n -= 2) {
        s = (1.0 - q * s) / (n * (n - 1)); /* of the sine: 1/3! - q/5! + ..., twice over */
        c = (1.0 - q * c) / ((n + 1) * n);
    }
    const double sin_r = r.hi + (r.lo * (1.0 - q / 2) - r.hi * q * s);
    const double cos_r = 1.0 - q / 2 + (q * q * c / 2 - r.hi * r.lo);
    const int quarter = (int)(k - 4 * floor(k / 4));
    *sine = quarter == 0 ? sin_r : quarter == 1 ? cos_r : quarter == 2 ? -sin_r : -cos_r;
    *cosine = quarter == 0 ? cos_r : quarter == 1 ? -sin_r : quarter == 2 ? -cos_r : sin_r;
}
