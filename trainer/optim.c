/* optim.c - see optim.h. */
#include "optim.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "keepers.h"
#include "net_priv.h"

/* cos(pi x) for x in [0,1], from its series around the nearest multiple of half a turn: the same
 * bits with any C library. Not ds_sincos (elementary.h), which came later and differs in last bits:
 * the ledgers of runs that there are have these. */
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
    const uint64_t most = c->steps - c->warmup,
                   falls = c->decay_steps && c->decay_steps < most ? c->decay_steps : most,
                   stays = c->steps - falls;
    if (step <= stays)
        return c->lr;
    double x = (double)(step - stays) / (double)falls;
    x = x > 1.0 ? 1.0 : x;
    if (c->schedule != DS_COSINE)
        return c->lr + (c->min_lr - c->lr) * (c->schedule == DS_WSD ? sqrt(x) : x);
    return c->min_lr + (c->lr - c->min_lr) * 0.5 * (1.0 + cos_pi(x));
}

const char *ds_optim_name(enum ds_optim_kind k)
{
    return k == DS_ADAMW8 ? "adamw8bit" : "adamw";
}

/* Are the moments of a parameter of 8 bits? */
static bool of_8_bits(enum ds_optim_kind kind, const char *name, int64_t rows, int64_t cols)
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

/* Is there a state j of this parameter, here or with its keeper? */
static bool is_there(const ds_param *p, int j)
{
    if (j == STATES - 1)
        return p->f != DS_KF32 && !p->lone;
    return p->train && (p->small ? j >= 2 : j < 2);
}

int ds_optim_prepare(ds_params *s, enum ds_optim_kind kind, ds_err *err)
{
    ds_keepers_deal(s);
    for (size_t i = 0; i < s->n; i++) {
        ds_param *p = s->p[i];
        state x[STATES];
        if (!p->train || p->m || p->m8)
            continue;
        p->small = of_8_bits(kind, p->name, p->rows, p->cols);
        if (!ds_keepers_mine(s, p)) {
            s->k->free(s->k, p->master);
            p->master = NULL;
            continue;
        }
        states_of(p, x);
        for (int j = 0; j < STATES - 1; j++)
            if (is_there(p, j))
                TRY(s->k->alloc(s->k, x[j].at, x[j].bytes, err));
    }
    return 0;
}

/* Every state that there is, in order, as tensors; data NULL where another rank keeps it. */
typedef struct statelist {
    ds_params *params;
    ds_st_tensor *t;
    int *keeper;
    size_t n;
} statelist;

static int add_state(statelist *l, const ds_param *p, const state *x, ds_err *err)
{
    ds_st_tensor *t = &l->t[l->n];
    const bool scale = strstr(x->suffix, ".scale");

    *t = (ds_st_tensor){.dtype = x->dtype,
                        .ndim = scale ? 1 : 2,
                        .dims = {scale ? (int64_t)x->bytes / 4 : p->rows, p->cols},
                        .data = *x->at,
                        .bytes = x->bytes};
    l->keeper[l->n++] = p->keeper;
    if (asprintf(&t->name, "%s.%s", p->name, x->suffix) < 0) {
        t->name = NULL;
        return ds_fail_nomem(err);
    }
    return 0;
}

static int list_states(statelist *l, ds_params *s, ds_err *err)
{
    int rc;

    *l = (statelist){.params = s};
    l->t = calloc(s->n * STATES + 1, sizeof *l->t);
    l->keeper = calloc(s->n * STATES + 1, sizeof *l->keeper);
    rc = l->t && l->keeper ? 0 : ds_fail_nomem(err);
    for (size_t i = 0; !rc && i < s->n; i++) {
        state x[STATES];
        states_of(s->p[i], x);
        for (int j = 0; !rc && s->p[i]->train && j < STATES; j++)
            if (is_there(s->p[i], j))
                rc = add_state(l, s->p[i], &x[j], err);
    }
    return rc;
}

static void drop_list(statelist *l)
{
    for (size_t i = 0; l->t && i < l->n; i++)
        free(l->t[i].name);
    free(l->t);
    free(l->keeper);
}

static int fetch_state(void *ctx, void *host, const ds_st_tensor *t, size_t at, size_t bytes,
                       ds_err *err)
{
    statelist *l = ctx;

    if (t->data)
        return ds_params_fetch(l->params, host, t, at, bytes, err);
    const ds_keepers_part part = {.index = t - l->t,
                                  .at = (int64_t)at,
                                  .bytes = (int64_t)bytes,
                                  .keeper = l->keeper[t - l->t]};
    return ds_keepers_ask(l->params, &part, host, err);
}

static int find_state(void *ctx, void *host, const ds_keepers_part *p, ds_err *err)
{
    statelist *l = ctx;

    return ds_params_fetch(l->params, host, &l->t[p->index], (size_t)p->at, (size_t)p->bytes, err);
}

int ds_optim_write(ds_params *s, const char *path, ds_err *err)
{
    statelist l;
    int rc = list_states(&l, s, err);

    rc = rc ? rc : ds_st_write(path, l.t, l.n, NULL, fetch_state, &l, err);
    drop_list(&l);
    return rc;
}

int ds_optim_serve(ds_params *s, ds_err *err)
{
    statelist l;
    const int rc = list_states(&l, s, err);

    ds_keepers_serve(s, rc ? NULL : find_state, &l);
    drop_list(&l);
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

/* Streams of rounding, beside those of dropout, which begin with a 0. */
#define DRAWN ((uint64_t)1 << 63)

/* b^n by squaring: no library function. */
static double power(double b, uint64_t n)
{
    double r = 1.0;

    for (; n; n >>= 1, b *= b)
        if (n & 1)
            r *= b;
    return r;
}

/* Of all gradients, in the order of the parameters. */
static int norm_of(const ds_params *s, double *norm, ds_err *err)
{
    const float **x = calloc(s->n + 1, sizeof *x);
    int64_t *n = calloc(s->n + 1, sizeof *n), count = 0;
    double sum = 0.0;

    for (size_t i = 0; x && n && i < s->n; i++)
        if (s->p[i]->train) {
            x[count] = s->p[i]->g;
            n[count++] = ds_param_count(s->p[i]);
        }
    const int rc = x && n ? s->k->norm2(s->k, &sum, x, n, count, err) : ds_fail_nomem(err);
    *norm = sqrt(sum);
    free(x);
    free(n);
    return rc;
}

/* Gradients that are no numbers go. */
static int overflow(ds_params *s, double *norm, ds_err *err)
{
    *norm = (double)INFINITY;
    TRY(ds_params_zero(s, err));
    return s->k->sync(s->k, err);
}

/* What a step does with each parameter. */
typedef struct update {
    ds_params *s;
    ds_kadamw *a; /* of each */
} update;

/* a: what all have. */
static void numbers_of(const update *u, const ds_optim_conf *c, uint64_t step, ds_kadamw a)
{
    const double lr = ds_optim_lr(c, step);

    for (size_t i = 0; i < u->s->n; i++) {
        const ds_param *p = u->s->p[i];
        a.lr = (float)(lr * (double)p->lr_scale);
        a.decay = (float)c->decay * p->decay;
        a.stream = DRAWN | step << 24 | i;
        u->a[i] = a;
    }
}

/* All that it asks of the backend. */
static int queue_update(void *ctx, ds_err *err)
{
    const update *u = ctx;
    ds_kernels *k = u->s->k;

    for (size_t i = 0; i < u->s->n; i++) {
        const ds_param *p = u->s->p[i];
        if (p->train && ds_keepers_mine(u->s, p))
            TRY(p->m8 ? k->adamw8(k, p->w, p->f, p->master, p->m8, p->mscale, p->v8, p->vscale,
                                  p->g, ds_param_count(p), &u->a[i], err)
                      : k->adamw(k, p->w, p->f, p->master, p->m, p->v, p->g, ds_param_count(p),
                                 &u->a[i], err));
    }
    return ds_params_zero(u->s, err);
}

/* Of the parameters that this rank keeps. */
static int step_of_mine(ds_params *s, const ds_optim_conf *c, uint64_t step,
                        const ds_lossscale *scale, double *norm, ds_err *err)
{
    const double whole = scale ? (double)scale->scale : 1.0;
    const uint64_t updates = step - (scale ? scale->overflows : 0);
    update u = {.s = s};

    TRY(norm_of(s, norm, err));
    if (!isfinite(*norm))
        return overflow(s, norm, err);
    *norm /= whole;
    ds_kadamw a = {.beta1 = (float)c->beta1,
                   .beta2 = (float)c->beta2,
                   .eps = (float)c->eps,
                   .corr1 = (float)(1.0 - power(c->beta1, updates)),
                   .corr2 = (float)(1.0 - power(c->beta2, updates)),
                   .stochastic = c->stochastic,
                   .seed = c->seed,
                   .gscale = c->clip > 0 && *norm > c->clip ? (float)(c->clip / *norm) : 1.0f};
    a.gscale /= (float)whole;
    u.a = calloc(s->n + 1, sizeof *u.a);
    if (!u.a)
        return ds_fail_nomem(err);
    numbers_of(&u, c, step, a);
    const ds_kpiece numbers = {u.a, s->n * sizeof *u.a};
    const ds_kwork w = {.of = s, .numbers = &numbers, .n = 1};
    const int rc = ds_kwork_do(s->k, &w, queue_update, &u, err);
    free(u.a);
    return rc ? rc : s->k->sync(s->k, err);
}

int ds_optim_step(ds_params *s, const ds_optim_conf *c, uint64_t step, const ds_lossscale *scale,
                  double *norm, ds_err *err)
{
    return ds_keepers_spread(s, step_of_mine(s, c, step, scale, norm, err), err);
}
