/* elementary.h - exp, log, sin and cos with the same bits on every machine.
 *
 * IEEE 754 fixes + - * / and the square root to the last bit, and leaves these to the C library,
 * whose results differ with its version and with whether the processor multiplies and adds in one
 * go. What a result depends on (a pixel, a rotary table, a distance of distributions) is made of
 * these here: of the four operations alone, compiled without contraction, rounding to nearest.
 * Within two units in the last place of the true value, tested beside wider arithmetic.
 */
#ifndef DS_ELEMENTARY_H
#define DS_ELEMENTARY_H

double ds_exp(double x);
double ds_log(double x);  /* -inf of 0, NaN below */
double ds_log2(double x); /* of powers of two exact */
/* x^y for x > 0, as exp(y log x): within 2^-52 |y log x| of its value more. */
double ds_pow(double x, double y);
void ds_sincos(double x, double *sine, double *cosine); /* |x| < 2^50, else NaN */

#endif
