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

static int scale_cols_chosen(ds_kernels *k, void *y, const void *x, const float *const *g,
                             enum ds_kfmt f, const ds_kchoices *ch, int64_t n, bool accumulate,
                             ds_err *err)
{
    int rc = 0;

    for (int32_t e = 0; e < ch->e && !rc; e++) {
        const size_t at = (size_t)(ch->first[e] * n) * ds_kfmt_size(f);
        if (g[e])
            rc = scale_cols(k, (char *)y + at, (const char *)x + at, g[e], f,
                            ch->first[e + 1] - ch->first[e], n, accumulate, err);
    }
    return rc;
}

static int col_dot_chosen(ds_kernels *k, float *const *dg, const void *a, const void *b,
                          const float *const *c, enum ds_kfmt f, const ds_kchoices *ch, int64_t n,
                          ds_err *err)
{
    int rc = 0;

    for (int32_t e = 0; e < ch->e && !rc; e++) {
        const size_t at = (size_t)(ch->first[e] * n) * ds_kfmt_size(f);
        if (dg[e])
            rc = col_dot(k, dg[e], (const char *)a + at, (const char *)b + at, c[e], f,
                         ch->first[e + 1] - ch->first[e], n, err);
    }
    return rc;
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
    k->scale_cols_chosen = scale_cols_chosen;
    k->col_dot_chosen = col_dot_chosen;
    k->row_norm = row_norm;
}
