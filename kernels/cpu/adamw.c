/* adamw.c - AdamW and the gradient norm, in fixed blocks: the order of a sum depends on the length
 * alone. */
#include <float.h>
#include <stdlib.h>

#include "cpu.h"
#include "philox.h"

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
    uint8_t *m8, *v8;
    float *mscale, *vscale;
    const struct tables *tables;
    const ds_kadamw *conf;
} optimjob;

/* Values of the codes, and where one becomes the next; m's, then v's. */
typedef struct tables {
    float map[2][256], edges[2][256];
} tables;

static void norm_job(void *arg, int64_t i)
{
    optimjob *j = arg;
    const int64_t end = (i + 1) * BLOCK < j->n ? (i + 1) * BLOCK : j->n;

    j->part[i] = j->v->squares(j->g + i * BLOCK, end - i * BLOCK);
}

static double norm2_of(ds_kernels *k, const float *x, int64_t n, double *part)
{
    const int64_t blocks = (n + BLOCK - 1) / BLOCK;
    optimjob j = {.v = ds_cpu_of(k)->vec, .g = x, .n = n, .part = part};
    double sum = 0.0;

    ds_workers_run(ds_cpu_of(k)->workers, blocks, norm_job, &j);
    for (int64_t i = 0; i < blocks; i++)
        sum += part[i];
    return sum;
}

static int norm2(ds_kernels *k, double *sum, const float *const *x, const int64_t *n, int64_t count,
                 ds_err *err)
{
    int64_t most = 0;

    for (int64_t i = 0; i < count; i++)
        most = n[i] > most ? n[i] : most;
    double *part = malloc((size_t)(most / BLOCK + 1) * sizeof *part);
    if (!part)
        return ds_fail_nomem(err);
    *sum = 0.0;
    for (int64_t i = 0; i < count; i++)
        *sum += norm2_of(k, x[i], n[i], part);
    free(part);
    return 0;
}

/* n weights from number `at` on as f32: where they lie, or in tmp. */
static float *weights_get(const optimjob *j, int64_t at, int64_t n, float *tmp)
{
    if (j->f == DS_KF32 || j->master)
        return (j->master ? j->master : (float *)j->w) + at;
    j->v->to_f32(tmp, (const uint16_t *)j->w + at, j->f, n);
    return tmp;
}

/* And back; `at` is a multiple of 4. */
static void weights_put(const optimjob *j, int64_t at, int64_t n, const float *w)
{
    const ds_kadamw *c = j->conf;
    uint16_t *to = (uint16_t *)j->w + at;
    uint32_t r[4];

    if (j->f == DS_KF32)
        return;
    if (j->master) {
        j->v->to_half(to, j->f, w, n);
        return;
    }
    for (int64_t i = 0; i < n; i++) {
        if (i % 4 == 0)
            ds_philox_words(r, c->seed, c->stream, (uint64_t)(at + i) / 4);
        to[i] = ds_bf16_stochastic(w[i], r[i % 4] >> 16);
    }
}

static void adamw_job(void *arg, int64_t i)
{
    optimjob *j = arg;
    const int64_t at = i * BLOCK, n = j->n - at < BLOCK ? j->n - at : BLOCK;
    float tmp[BLOCK], *w = weights_get(j, at, n, tmp);

    j->v->adamw(w, j->m + at, j->s + at, j->g + at, n, j->p);
    weights_put(j, at, n, w);
}

static optimjob job_of(ds_kernels *k, void *w, enum ds_kfmt f, float *master, const float *g,
                       int64_t n, const ds_kadamw *p)
{
    return (optimjob){.v = ds_cpu_of(k)->vec,
                      .w = w,
                      .f = f,
                      .master = master,
                      .g = g,
                      .n = n,
                      .conf = p,
                      .p = {p->lr, p->beta1, p->beta2, p->eps, p->decay, 1.0f / p->corr1,
                            1.0f / p->corr2, p->gscale}};
}

/* Weights of two bytes without a master that are to be rounded as they come would stand still. */
static int check(enum ds_kfmt f, const float *master, const ds_kadamw *p, ds_err *err)
{
    if (f == DS_KF32 || master || (f == DS_KBF16 && p->stochastic))
        return 0;
    return ds_fail(err, DS_FAIL, "%s weights are trained through f32 master weights%s",
                   f == DS_KBF16 ? "bf16" : "f16",
                   f == DS_KBF16 ? ", or rounded by chance" : ", and not rounded by chance");
}

static int adamw(ds_kernels *k, void *w, enum ds_kfmt f, float *master, float *m, float *v,
                 const float *g, int64_t n, const ds_kadamw *p, ds_err *err)
{
    optimjob j = job_of(k, w, f, master, g, n, p);

    if (check(f, master, p, err))
        return DS_FAIL;
    j.m = m;
    j.s = v;
    ds_workers_run(ds_cpu_of(k)->workers, (n + BLOCK - 1) / BLOCK, adamw_job, &j);
    return 0;
}

/* ---- moments of 8 bits ---- */

static void tables_fill(tables *t)
{
    for (int i = 0; i < 2; i++) {
        ds_dynamic_map(t->map[i], i == 0);
        for (int c = 0; c < 255; c++)
            t->edges[i][c] = 0.5f * (t->map[i][c] + t->map[i][c + 1]);
        t->edges[i][255] = FLT_MAX;
    }
    t->edges[1][0] = 0.0f; /* what is not 0 stays so */
}

static void put8(const optimjob *j, int which, uint8_t *q, float *scale, const float *x, int64_t n)
{
    const float most = j->v->absmax(x, n);

    *scale = most < FLT_MIN ? 0.0f : most;
    j->v->code8(q, x, most < FLT_MIN ? 0.0f : 1.0f / most, j->tables->edges[which], n);
}

static void adamw8_job(void *arg, int64_t i)
{
    optimjob *j = arg;
    const int64_t end = (i + 1) * BLOCK < j->n ? (i + 1) * BLOCK : j->n;

    for (int64_t at = i * BLOCK; at < end; at += DS_BLOCK8) {
        const int64_t n = end - at < DS_BLOCK8 ? end - at : DS_BLOCK8, b = at / DS_BLOCK8;
        float tmp[DS_BLOCK8], m[DS_BLOCK8], v[DS_BLOCK8], *w = weights_get(j, at, n, tmp);
        j->v->value8(m, j->m8 + at, j->tables->map[0], j->mscale[b], n);
        j->v->value8(v, j->v8 + at, j->tables->map[1], j->vscale[b], n);
        j->v->adamw(w, m, v, j->g + at, n, j->p);
        put8(j, 0, j->m8 + at, &j->mscale[b], m, n);
        put8(j, 1, j->v8 + at, &j->vscale[b], v, n);
        weights_put(j, at, n, w);
    }
}

static int adamw8(ds_kernels *k, void *w, enum ds_kfmt f, float *master, uint8_t *m, float *mscale,
                  uint8_t *v, float *vscale, const float *g, int64_t n, const ds_kadamw *p,
                  ds_err *err)
{
    optimjob j = job_of(k, w, f, master, g, n, p);
    tables t;

    if (check(f, master, p, err))
        return DS_FAIL;
    tables_fill(&t);
    j.m8 = m;
    j.v8 = v;
    j.mscale = mscale;
    j.vscale = vscale;
    j.tables = &t;
    ds_workers_run(ds_cpu_of(k)->workers, (n + BLOCK - 1) / BLOCK, adamw8_job, &j);
    return 0;
}

void ds_cpu_optim(ds_kernels *k)
{
    k->norm2 = norm2;
    k->adamw = adamw;
    k->adamw8 = adamw8;
}
