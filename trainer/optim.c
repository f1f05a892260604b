/* optim.c - see optim.h. */
#include "optim.h"

#include <math.h>

#include "net_priv.h"

/* cos(pi x) for x in [0,1], from its series around the nearest multiple of a quarter turn: the same
 * bits with any C library. */
static double cos_pi(double x)
{
    const double pi = 3.14159265358979323846;
    const int flip = x > 0.5;
    const double a = pi * (flip ? 1.0 - x : x), q = a * a;
    double term = 1.0, sum = 1.0;

    for (int k = 1; k <= 12; k++) {
        term *= -q / (double)((2 * k - 1) * (2 * k));
        sum += term;
    }
    return flip ? -sum : sum;
}

double ds_optim_lr(const ds_optim_conf *c, uint64_t step)
{
    if (step <= c->warmup && c->warmup > 0)
        return c->lr * (double)step / (double)c->warmup;
    if (c->schedule == DS_CONSTANT || c->steps <= c->warmup)
        return c->lr;
    double x = (double)(step - c->warmup) / (double)(c->steps - c->warmup);
    x = x > 1.0 ? 1.0 : x;
    if (c->schedule == DS_LINEAR)
        return c->lr + (c->min_lr - c->lr) * x;
    return c->min_lr + (c->lr - c->min_lr) * 0.5 * (1.0 + cos_pi(x));
}

int ds_optim_prepare(ds_params *s, ds_err *err)
{
    for (size_t i = 0; i < s->n; i++) {
        ds_param *p = s->p[i];
        const size_t bytes = (size_t)ds_param_count(p) * 4;
        if (!p->train || p->m)
            continue;
        TRY(s->k->alloc(s->k, (void **)&p->m, bytes, err));
        TRY(s->k->alloc(s->k, (void **)&p->v, bytes, err));
    }
    return 0;
}

/* b^n by squaring: no library function. */
static double power(double b, uint64_t n)
{
    double r = 1.0;

    for (; n; n >>= 1, b *= b)
        if (n & 1)
            r *= b;
    return r;
}

int ds_optim_step(ds_params *s, const ds_optim_conf *c, uint64_t step, double *norm, ds_err *err)
{
    const double lr = ds_optim_lr(c, step);
    double sum = 0.0;

    for (size_t i = 0; i < s->n; i++) {
        double part;
        if (!s->p[i]->train)
            continue;
        TRY(s->k->norm2(s->k, &part, s->p[i]->g, ds_param_count(s->p[i]), err));
        sum += part;
    }
    *norm = sqrt(sum);
    if (!isfinite(*norm))
        return ds_fail(err, DS_FAIL, "step %llu: the gradient is not finite",
                       (unsigned long long)step);
    ds_kadamw a = {.beta1 = (float)c->beta1,
                   .beta2 = (float)c->beta2,
                   .eps = (float)c->eps,
                   .corr1 = (float)(1.0 - power(c->beta1, step)),
                   .corr2 = (float)(1.0 - power(c->beta2, step)),
                   .gscale = c->clip > 0 && *norm > c->clip ? (float)(c->clip / *norm) : 1.0f};
    for (size_t i = 0; i < s->n; i++) {
        ds_param *p = s->p[i];
        if (!p->train)
            continue;
        a.lr = (float)(lr * (double)p->lr_scale);
        a.decay = (float)c->decay * p->decay;
        TRY(s->k->adamw(s->k, p->w, p->f, p->master, p->m, p->v, p->g, ds_param_count(p), &a, err));
        TRY(s->k->zero(s->k, p->g, (size_t)ds_param_count(p) * 4, err));
    }
    return s->k->sync(s->k, err);
}
