/* kern_help.h - what the kernel tests share: seeded numbers, backends of every instruction set,
 * plain references in double. */
#ifndef DS_KERN_HELP_H
#define DS_KERN_HELP_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "kernels.h"
#include "philox.h"

#define KH_MAX 8

/* Backends that must agree bit for bit: every instruction set of this processor, on one thread and
 * on three. Returns how many. */
static inline int kh_open(ds_kernels *k[KH_MAX])
{
    static const char *const isa[] = {"base", "avx2", "avx512", "avx512bf16"};
    int n = 0;

    for (int threads = 1; threads <= 3; threads += 2)
        for (int i = 0; i < 4; i++) {
            ds_err err = {0};
            if (ds_kernels_cpu(&k[n], threads, isa[i], &err) == 0)
                n++;
        }
    assert_true(n >= 2);
    return n;
}

static inline void kh_close(ds_kernels **k, int n)
{
    for (int i = 0; i < n; i++)
        k[i]->close(k[i]);
}

/* Uniform in [-1, 1): element i of stream s. */
static inline float kh_number(uint64_t s, uint64_t i)
{
    return (float)ds_philox(42, s, i) / 2147483648.0f - 1.0f;
}

static inline float *kh_fill(uint64_t s, int64_t n)
{
    float *p = malloc((size_t)n * sizeof *p);
    assert_non_null(p);
    for (int64_t i = 0; i < n; i++)
        p[i] = kh_number(s, (uint64_t)i);
    return p;
}

static inline float *kh_zeros(int64_t n)
{
    float *p = calloc((size_t)n, sizeof *p);
    assert_non_null(p);
    return p;
}

/* As bf16 or f16. */
static inline uint16_t *kh_half(enum ds_kfmt f, const float *x, int64_t n)
{
    uint16_t *p = malloc((size_t)n * sizeof *p);
    assert_non_null(p);
    for (int64_t i = 0; i < n; i++)
        p[i] = ds_half_from(f, x[i]);
    return p;
}

static inline void kh_close_to(const float *got, const double *want, int64_t n, double tol,
                               const char *what)
{
    for (int64_t i = 0; i < n; i++) {
        const double d = (double)got[i] - want[i], size = want[i] < 0 ? -want[i] : want[i];
        if (!(d <= tol * (1 + size) && d >= -tol * (1 + size)))
            fail_msg("%s[%lld]: %.9g, expected %.9g", what, (long long)i, (double)got[i], want[i]);
    }
}

#endif
