/* adamw.c - AdamW and the gradient norm, in fixed blocks: the order of a sum depends on the length
 * alone. */
#include <stdlib.h>

#include "cpu.h"

#define BLOCK 4096

typedef struct optimjob {
    const ds_vec *v;
    void *w;
    enum ds_kfmt f;
    float *master, *m, *s;
    const float *g;
    double *part;
    int64_t n;
    float p[8];
} optimjob;

static void norm_job(void *arg, int64_t i)
{
    optimjob *j = arg;
    const int64_t end = (i + 1) * BLOCK < j->n ? (i + 1) * BLOCK : j->n;
    double lane[8] = {0};

    for (int64_t e = i * BLOCK; e < end; e++)
        lane[e & 7] += (double)j->g[e] * (double)j->g[e];
    j->part[i] =
        ((lane[0] + lane[4]) + (lane[2] + lane[6])) + ((lane[1] + lane[5]) + (lane[3] + lane[7]));
}

static int norm2(ds_kernels *k, double *sum, const float *x, int64_t n, ds_err *err)
{
    const int64_t blocks = (n + BLOCK - 1) / BLOCK;
    optimjob j = {.g = x, .n = n};

    *sum = 0.0;
    if (n <= 0)
        return 0;
    j.part = calloc((size_t)blocks, sizeof *j.part);
    if (!j.part)
        return ds_fail_nomem(err);
    ds_workers_run(ds_cpu_of(k)->workers, blocks, norm_job, &j);
    for (int64_t i = 0; i < blocks; i++)
        *sum += j.part[i];
    free(j.part);
    return 0;
}

static void adamw_job(void *arg, int64_t i)
{
    optimjob *j = arg;
    const int64_t at = i * BLOCK, n = j->n - at < BLOCK ? j->n - at : BLOCK;
    float *w = j->f == DS_KF32 ? (float *)j->w + at : j->master + at;

    j->v->adamw(w, j->m + at, j->s + at, j->g + at, n, j->p);
    if (j->f != DS_KF32)
        j->v->to_bf16((uint16_t *)j->w + at, w, n);
}

static int adamw(ds_kernels *k, void *w, enum ds_kfmt f, float *master, float *m, float *v,
                 const float *g, int64_t n, const ds_kadamw *p, ds_err *err)
{
    optimjob j = {.v = ds_cpu_of(k)->vec,
                  .w = w,
                  .f = f,
                  .master = master,
                  .m = m,
                  .s = v,
                  .g = g,
                  .n = n,
                  .p = {p->lr, p->beta1, p->beta2, p->eps, p->decay, 1.0f / p->corr1,
                        1.0f / p->corr2, p->gscale}};

    if (f != DS_KF32 && !master)
        return ds_fail(err, DS_FAIL, "bf16 weights are trained through f32 master weights");
    ds_workers_run(ds_cpu_of(k)->workers, (n + BLOCK - 1) / BLOCK, adamw_job, &j);
    return 0;
}

void ds_cpu_optim(ds_kernels *k)
{
    k->norm2 = norm2;
    k->adamw = adamw;
}
