/* loss.c - cross entropy fused with its gradient. Each row is one worker's. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "cpu.h"

typedef struct lossjob {
    const ds_vec *v;
    enum ds_kfmt f, fg;
    void *logits, *grad;
    float *loss;
    const int32_t *target;
    const float *weight;
    int64_t t, n;
    float scale;
    bool failed;
} lossjob;

float ds_logf_exact(float x)
{
    int e;
    double m = frexp((double)x, &e);

    if (m < 0.70710678118654752) {
        m *= 2.0;
        e--;
    }
    const double s = (m - 1.0) / (m + 1.0), q = s * s;
    double p = 1.0 / 21.0;
    for (int i = 19; i >= 1; i -= 2)
        p = p * q + 1.0 / (double)i;
    return (float)(2.0 * s * p + (double)e * 0.69314718055994531);
}

/* p, which is what was computed of row t, to where the gradient goes. */
static void put_grad(const lossjob *j, int64_t t, const float *p)
{
    if (!j->grad)
        return;
    if (j->fg != DS_KF32)
        j->v->to_half((uint16_t *)j->grad + t * j->n, j->fg, p, j->n);
    else if ((float *)j->grad + t * j->n != p)
        memcpy((float *)j->grad + t * j->n, p, (size_t)j->n * sizeof *p);
}

static void xent_row(const lossjob *j, int64_t t, float *tmp)
{
    const float w = j->weight[t];
    float *p = ds_row_out(j->logits, j->f, t * j->n, tmp);

    if (w == 0.0f) {
        j->loss[t] = 0.0f;
        memset(p, 0, (size_t)j->n * sizeof *p);
        put_grad(j, t, p);
        return;
    }
    const float *x = ds_row_get(j->v, j->logits, j->f, t * j->n, j->n, tmp);
    const float top = j->v->max(x, j->n),
                at = x[j->target[t]] - top; /* read before p is written over x */
    const float sum = j->v->expsum(p, x, top, j->n);
    j->loss[t] = w * (ds_logf_exact(sum) - at);
    if (!j->grad)
        return;
    j->v->scale(p, w * j->scale / sum, j->n);
    p[j->target[t]] -= w * j->scale;
    put_grad(j, t, p);
}

static void xent_job(void *arg, int64_t i)
{
    lossjob *j = arg;
    const int64_t end = (i + 1) * DS_ROW_BLOCK < j->t ? (i + 1) * DS_ROW_BLOCK : j->t;
    float *tmp = j->f == DS_KF32 ? NULL : ds_cpu_scratch((size_t)j->n);

    if (j->f != DS_KF32 && !tmp) {
        __atomic_store_n(&j->failed, true, __ATOMIC_RELAXED);
        return;
    }
    for (int64_t t = i * DS_ROW_BLOCK; t < end; t++)
        xent_row(j, t, tmp);
    free(tmp);
}

static int softmax_xent(ds_kernels *k, void *grad, enum ds_kfmt fg, float *loss, void *logits,
                        enum ds_kfmt f, const int32_t *target, const float *weight, int64_t t,
                        int64_t v, const ds_kstep *at, ds_err *err)
{
    lossjob j = {.v = ds_cpu_of(k)->vec,
                 .f = f,
                 .fg = fg,
                 .logits = logits,
                 .grad = grad,
                 .loss = loss,
                 .target = target,
                 .weight = weight,
                 .t = t,
                 .n = v,
                 .scale = (float)at->scale};

    ds_workers_run(ds_cpu_of(k)->workers, (t + DS_ROW_BLOCK - 1) / DS_ROW_BLOCK, xent_job, &j);
    return j.failed ? ds_fail_nomem(err) : 0;
}

void ds_cpu_loss(ds_kernels *k)
{
    k->softmax_xent = softmax_xent;
}
