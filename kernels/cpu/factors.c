/* factors.c - columns and rows with factors of their own: what DoRA (Liu et al. 2024) needs. */
#include <math.h>

#include "cpu.h"

#define COLS 256 /* columns a worker takes */

typedef struct colsjob {
    const ds_vec *v;
    enum ds_kfmt f;
    void *y;
    const void *a, *b;
    const float *c, *m;
    float *out, *gain;
    int64_t t, n;
    bool accumulate;
} colsjob;

static void scale_job(void *arg, int64_t i)
{
    const colsjob *j = arg;
    const int64_t c0 = i * COLS, n = j->n - c0 < COLS ? j->n - c0 : COLS;
    float x[COLS], y[COLS];

    for (int64_t t = 0; t < j->t; t++) {
        const int64_t at = t * j->n + c0;
        const float *from = ds_row_get(j->v, j->a, j->f, at, n, x);
        const float *old = ds_row_get(j->v, j->y, j->f, at, n, y);
        float *to = ds_row_out(j->y, j->f, at, y);
        j->v->scale_by(to, from, j->c + c0, j->accumulate ? old : NULL, n);
        ds_row_put(j->v, j->y, j->f, at, n, to);
    }
}

static int scale_cols(ds_kernels *k, void *y, const void *x, const float *g, enum ds_kfmt f,
                      int64_t t, int64_t n, bool accumulate, ds_err *err)
{
    colsjob j = {.v = ds_cpu_of(k)->vec,
                 .f = f,
                 .y = y,
                 .a = x,
                 .c = g,
                 .t = t,
                 .n = n,
                 .accumulate = accumulate};

    (void)err;
    ds_workers_run(ds_cpu_of(k)->workers, (n + COLS - 1) / COLS, scale_job, &j);
    return 0;
}

static void dot_job(void *arg, int64_t i)
{
    const colsjob *j = arg;
    const int64_t c0 = i * COLS, n = j->n - c0 < COLS ? j->n - c0 : COLS;
    float a[COLS], b[COLS];

    for (int64_t t = 0; t < j->t; t++) {
        const int64_t at = t * j->n + c0;
        j->v->dot_by(j->out + c0, ds_row_get(j->v, j->a, j->f, at, n, a),
                     ds_row_get(j->v, j->b, j->f, at, n, b), j->c + c0, n);
    }
}

static int col_dot(ds_kernels *k, float *dg, const void *a, const void *b, const float *c,
                   enum ds_kfmt f, int64_t t, int64_t n, ds_err *err)
{
    colsjob j = {.v = ds_cpu_of(k)->vec, .f = f, .out = dg, .a = a, .b = b, .c = c, .t = t, .n = n};

    (void)err;
    ds_workers_run(ds_cpu_of(k)->workers, (n + COLS - 1) / COLS, dot_job, &j);
    return 0;
}

static void norm_job(void *arg, int64_t i)
{
    const colsjob *j = arg;
    const float *row = (const float *)j->a + i * j->n;

    j->out[i] = sqrtf(j->v->dot(row, row, j->n));
    if (j->gain)
        j->gain[i] = j->m[i] / j->out[i];
}

static int row_norm(ds_kernels *k, float *norm, float *gain, const float *m, const float *v,
                    int64_t rows, int64_t cols, ds_err *err)
{
    colsjob j = {.v = ds_cpu_of(k)->vec, .out = norm, .gain = gain, .m = m, .a = v, .n = cols};

    (void)err;
    ds_workers_run(ds_cpu_of(k)->workers, rows, norm_job, &j);
    return 0;
}

void ds_cpu_factors(ds_kernels *k)
{
    k->scale_cols = scale_cols;
    k->col_dot = col_dot;
    k->row_norm = row_norm;
}
