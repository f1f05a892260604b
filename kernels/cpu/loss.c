/* loss.c - cross entropy fused with its gradient, and the gate of a mixture of experts. Each row is
 * one worker's. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "cpu.h"

typedef struct lossjob {
    const ds_vec *v;
    enum ds_kfmt f, fg;
    void *logits, *grad;
    const void *gate;
    float *loss, *prob, *w;
    const int32_t *target;
    const float *weight, *prob_in;
    const int32_t *idx_in;
    int32_t *idx;
    int64_t t, n;
    int32_t k;
    float scale;
    bool normalise, failed;
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

static void topk_row(const lossjob *j, int64_t t)
{
    float *p = j->prob + t * j->n, *w = j->w + t * j->k;
    int32_t *idx = j->idx + t * j->k;
    float total = 0.0f;

    if (j->f == DS_KF32)
        memcpy(p, (const float *)j->gate + t * j->n, (size_t)j->n * sizeof *p);
    else
        j->v->to_f32(p, (const uint16_t *)j->gate + t * j->n, j->f, j->n);
    j->v->scale(p, 1.0f / j->v->expsum(p, p, j->v->max(p, j->n), j->n), j->n);
    for (int32_t s = 0; s < j->k; s++) {
        int32_t best = -1;
        for (int32_t e = 0; e < j->n; e++) {
            bool taken = false;
            for (int32_t q = 0; q < s; q++)
                taken |= idx[q] == e;
            if (!taken && (best < 0 || p[e] > p[best]))
                best = e;
        }
        idx[s] = best;
        w[s] = p[best];
        total += w[s];
    }
    for (int32_t s = 0; s < j->k; s++)
        w[s] = (j->normalise ? w[s] / total : w[s]) * j->scale;
}

static void topk_job(void *arg, int64_t i)
{
    lossjob *j = arg;
    const int64_t end = (i + 1) * DS_ROW_BLOCK < j->t ? (i + 1) * DS_ROW_BLOCK : j->t;

    for (int64_t t = i * DS_ROW_BLOCK; t < end; t++)
        topk_row(j, t);
}

static int topk(ds_kernels *k, float *prob, int32_t *idx, float *w, const void *logits,
                enum ds_kfmt f, int64_t t, int32_t e, int32_t kk, float scale, bool normalise,
                ds_err *err)
{
    lossjob j = {.v = ds_cpu_of(k)->vec,
                 .f = f,
                 .gate = logits,
                 .prob = prob,
                 .idx = idx,
                 .w = w,
                 .t = t,
                 .n = e,
                 .k = kk,
                 .scale = scale,
                 .normalise = normalise};

    if (kk < 1 || kk > e)
        return ds_fail(err, DS_FAIL, "%d experts of %d cannot be chosen", (int)kk, (int)e);
    ds_workers_run(ds_cpu_of(k)->workers, (t + DS_ROW_BLOCK - 1) / DS_ROW_BLOCK, topk_job, &j);
    return 0;
}

/* w_s = c p_s or, normalised, c p_s / sum; then the softmax: dz_i = p_i (dp_i - sum_j dp_j p_j). */
static void topk_back_row(const lossjob *j, int64_t t, float *dp)
{
    const float *p = j->prob_in + t * j->n, *dw = j->weight + t * j->k;
    const int32_t *idx = j->idx_in + t * j->k;
    float total = 0.0f, mean = 0.0f, dot = 0.0f;

    memset(dp, 0, (size_t)j->n * sizeof *dp);
    for (int32_t s = 0; s < j->k; s++) {
        total += p[idx[s]];
        mean += dw[s] * p[idx[s]];
    }
    for (int32_t s = 0; s < j->k; s++)
        dp[idx[s]] = j->normalise ? j->scale * (dw[s] - mean / total) / total : j->scale * dw[s];
    for (int32_t s = 0; s < j->k; s++)
        dot += dp[idx[s]] * p[idx[s]];
    for (int64_t i = 0; i < j->n; i++)
        dp[i] = p[i] * (dp[i] - dot);
    if (j->f == DS_KF32)
        memcpy((float *)j->logits + t * j->n, dp, (size_t)j->n * sizeof *dp);
    else
        j->v->to_half((uint16_t *)j->logits + t * j->n, j->f, dp, j->n);
}

static void topk_back_job(void *arg, int64_t i)
{
    lossjob *j = arg;
    const int64_t end = (i + 1) * DS_ROW_BLOCK < j->t ? (i + 1) * DS_ROW_BLOCK : j->t;
    float *dp = ds_cpu_scratch((size_t)j->n);

    if (!dp) {
        __atomic_store_n(&j->failed, true, __ATOMIC_RELAXED);
        return;
    }
    for (int64_t t = i * DS_ROW_BLOCK; t < end; t++)
        topk_back_row(j, t, dp);
    free(dp);
}

static int topk_back(ds_kernels *k, void *dlogits, enum ds_kfmt f, const float *prob,
                     const int32_t *idx, const float *dw, int64_t t, int32_t e, int32_t kk,
                     float scale, bool normalise, ds_err *err)
{
    lossjob j = {.v = ds_cpu_of(k)->vec,
                 .f = f,
                 .logits = dlogits,
                 .weight = dw,
                 .prob_in = prob,
                 .idx_in = idx,
                 .t = t,
                 .n = e,
                 .k = kk,
                 .scale = scale,
                 .normalise = normalise};

    ds_workers_run(ds_cpu_of(k)->workers, (t + DS_ROW_BLOCK - 1) / DS_ROW_BLOCK, topk_back_job, &j);
    return j.failed ? ds_fail_nomem(err) : 0;
}

void ds_cpu_loss(ds_kernels *k)
{
    k->softmax_xent = softmax_xent;
    k->topk = topk;
    k->topk_back = topk_back;
}
