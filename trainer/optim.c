/* optim.c - see optim.h. */
#include "optim.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

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

const char *ds_optim_name(enum ds_optim_kind k)
{
    return k == DS_ADAMW8 ? "adamw8bit" : "adamw";
}

bool ds_optim_is8(enum ds_optim_kind kind, const char *name, int64_t rows, int64_t cols)
{
    return kind == DS_ADAMW8 && rows > 1 && rows * cols >= 4096 &&
           strcmp(name, "model.embed_tokens.weight") != 0;
}

/* ---- what is kept of a parameter ---- */

#define STATES 7

typedef struct state {
    const char *suffix;
    void **at;
    size_t bytes;
    enum ds_st_dtype dtype;
} state;

/* All that there can be; `at` points to a NULL where it is not there. */
static void states_of(ds_param *p, state s[STATES])
{
    const size_t n = (size_t)ds_param_count(p), blocks = (n + DS_BLOCK8 - 1) / DS_BLOCK8;
    const state all[STATES] = {
        {"m", (void **)&p->m, n * 4, DS_ST_F32},
        {"v", (void **)&p->v, n * 4, DS_ST_F32},
        {"m8", (void **)&p->m8, n, DS_ST_U8},
        {"v8", (void **)&p->v8, n, DS_ST_U8},
        {"m8.scale", (void **)&p->mscale, blocks * 4, DS_ST_F32},
        {"v8.scale", (void **)&p->vscale, blocks * 4, DS_ST_F32},
        {"master", (void **)&p->master, n * 4, DS_ST_F32},
    };

    memcpy(s, all, sizeof all);
}

int ds_optim_prepare(ds_params *s, enum ds_optim_kind kind, ds_err *err)
{
    for (size_t i = 0; i < s->n; i++) {
        ds_param *p = s->p[i];
        state x[STATES];
        if (!p->train || p->m || p->m8)
            continue;
        states_of(p, x);
        const bool small = ds_optim_is8(kind, p->name, p->rows, p->cols);
        for (int j = small ? 2 : 0; j < (small ? 6 : 2); j++)
            TRY(s->k->alloc(s->k, x[j].at, x[j].bytes, err));
    }
    return 0;
}

int ds_optim_write(ds_params *s, const char *path, ds_err *err)
{
    ds_st_tensor *t = calloc(s->n * STATES + 1, sizeof *t);
    size_t n = 0;
    int rc = t ? 0 : ds_fail_nomem(err);

    for (size_t i = 0; !rc && i < s->n; i++) {
        ds_param *p = s->p[i];
        state x[STATES];
        states_of(p, x);
        for (int j = 0; !rc && p->train && j < STATES; j++) {
            if (!*x[j].at)
                continue;
            const bool scale = j == 4 || j == 5;
            t[n] = (ds_st_tensor){.dtype = x[j].dtype,
                                  .ndim = scale ? 1 : 2,
                                  .dims = {scale ? (int64_t)x[j].bytes / 4 : p->rows, p->cols},
                                  .data = *x[j].at,
                                  .bytes = x[j].bytes};
            if (asprintf(&t[n].name, "%s.%s", p->name, x[j].suffix) < 0) {
                t[n].name = NULL;
                rc = ds_fail_nomem(err);
            }
            n++;
        }
    }
    rc = rc ? rc : ds_st_write(path, t, n, NULL, ds_params_fetch, s, err);
    for (size_t i = 0; t && i < n; i++)
        free(t[i].name);
    free(t);
    return rc;
}

int ds_optim_read(ds_params *s, const char *path, ds_err *err)
{
    char name[512];
    ds_st_file f = {0};
    int rc = ds_st_open(&f, path, err);

    for (size_t i = 0; !rc && i < s->n; i++) {
        ds_param *p = s->p[i];
        state x[STATES];
        states_of(p, x);
        for (int j = 0; !rc && p->train && j < STATES; j++) {
            if (!*x[j].at)
                continue;
            snprintf(name, sizeof name, "%s.%s", p->name, x[j].suffix);
            const ds_st_tensor *t = ds_st_find(&f, name);
            if (!t || t->dtype != x[j].dtype || t->bytes != x[j].bytes)
                rc = ds_fail(err, DS_CORRUPT,
                             "%s: optimizer state '%s' is missing or of another size", path, name);
            else
                rc = s->k->upload(s->k, *x[j].at, t->data, x[j].bytes, err);
        }
    }
    ds_st_close(&f);
    return rc;
}

/* ---- a step ---- */

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
        TRY(p->m8 ? s->k->adamw8(s->k, p->w, p->f, p->master, p->m8, p->mscale, p->v8, p->vscale,
                                 p->g, ds_param_count(p), &a, err)
                  : s->k->adamw(s->k, p->w, p->f, p->master, p->m, p->v, p->g, ds_param_count(p),
                                &a, err));
        TRY(s->k->zero(s->k, p->g, (size_t)ds_param_count(p) * 4, err));
    }
    return s->k->sync(s->k, err);
}
