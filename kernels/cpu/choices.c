/* choices.c - the gate of a mixture of experts, and rows that go to the experts and back. A row is
 * one worker's, but where rows are summed: there columns are split, and rows taken in order. */
#include <stdlib.h>
#include <string.h>

#include "cpu.h"

#define COLS 256 /* columns that are taken at once */

typedef struct choicejob {
    const ds_vec *v;
    enum ds_kfmt f;
    const ds_kchoices *c;
    void *y;
    const void *x;
    float *prob, *topw;
    const float *prob_in, *w;
    int64_t d;
    float scale;
    bool normalise, failed;
} choicejob;

static int64_t blocks_of(int64_t n, int64_t size)
{
    return (n + size - 1) / size;
}

static int64_t end_of(int64_t block, int64_t n)
{
    return (block + 1) * DS_ROW_BLOCK < n ? (block + 1) * DS_ROW_BLOCK : n;
}

/* ---- the gate ---- */

static void topk_row(const choicejob *j, int64_t t)
{
    const int64_t n = j->c->e, k = j->c->kk;
    float *p = j->prob + t * n, *w = j->topw + t * k;
    int32_t *chosen = j->c->expert + t * k;
    float total = 0.0f;

    if (j->f == DS_KF32)
        memcpy(p, (const float *)j->x + t * n, (size_t)n * sizeof *p);
    else
        j->v->to_f32(p, (const uint16_t *)j->x + t * n, j->f, n);
    j->v->scale(p, 1.0f / j->v->expsum(p, p, j->v->max(p, n), n), n);
    for (int64_t s = 0; s < k; s++) {
        int32_t best = -1;
        for (int32_t e = 0; e < n; e++) {
            bool taken = false;
            for (int64_t q = 0; q < s; q++)
                taken |= chosen[q] == e;
            if (!taken && (best < 0 || p[e] > p[best]))
                best = e;
        }
        chosen[s] = best;
        w[s] = p[best];
        total += w[s];
    }
    for (int64_t s = 0; s < k; s++)
        w[s] = (j->normalise ? w[s] / total : w[s]) * j->scale;
}

static void topk_job(void *arg, int64_t i)
{
    const choicejob *j = arg;

    for (int64_t t = i * DS_ROW_BLOCK; t < end_of(i, j->c->t); t++)
        topk_row(j, t);
}

static int topk(ds_kernels *k, float *prob, const ds_kchoices *c, float *w, const void *logits,
                enum ds_kfmt f, float scale, bool normalise, ds_err *err)
{
    choicejob j = {.v = ds_cpu_of(k)->vec,
                   .f = f,
                   .c = c,
                   .x = logits,
                   .prob = prob,
                   .topw = w,
                   .scale = scale,
                   .normalise = normalise};

    if (c->kk < 1 || c->kk > c->e)
        return ds_fail(err, DS_FAIL, "%d experts of %d cannot be chosen", (int)c->kk, (int)c->e);
    ds_workers_run(ds_cpu_of(k)->workers, blocks_of(c->t, DS_ROW_BLOCK), topk_job, &j);
    return 0;
}

/* w_s = c p_s or, normalised, c p_s / sum; then the softmax: dz_i = p_i (dp_i - sum_j dp_j p_j). */
static void topk_back_row(const choicejob *j, int64_t t, float *dp)
{
    const int64_t n = j->c->e, k = j->c->kk;
    const float *p = j->prob_in + t * n;
    const int32_t *chosen = j->c->expert + t * k, *sorted = j->c->sorted + t * k;
    float total = 0.0f, mean = 0.0f, dot = 0.0f;

    memset(dp, 0, (size_t)n * sizeof *dp);
    for (int64_t s = 0; s < k; s++) {
        total += p[chosen[s]];
        mean += j->w[sorted[s]] * p[chosen[s]];
    }
    for (int64_t s = 0; s < k; s++) {
        const float dw = j->w[sorted[s]];
        dp[chosen[s]] = j->normalise ? j->scale * (dw - mean / total) / total : j->scale * dw;
    }
    for (int64_t s = 0; s < k; s++)
        dot += dp[chosen[s]] * p[chosen[s]];
    for (int64_t i = 0; i < n; i++)
        dp[i] = p[i] * (dp[i] - dot);
    if (j->f == DS_KF32)
        memcpy((float *)j->y + t * n, dp, (size_t)n * sizeof *dp);
    else
        j->v->to_half((uint16_t *)j->y + t * n, j->f, dp, n);
}

static void topk_back_job(void *arg, int64_t i)
{
    choicejob *j = arg;
    float *dp = ds_cpu_scratch((size_t)j->c->e);

    if (!dp) {
        __atomic_store_n(&j->failed, true, __ATOMIC_RELAXED);
        return;
    }
    for (int64_t t = i * DS_ROW_BLOCK; t < end_of(i, j->c->t); t++)
        topk_back_row(j, t, dp);
    free(dp);
}

static int topk_back(ds_kernels *k, void *dlogits, enum ds_kfmt f, const float *prob,
                     const ds_kchoices *c, const float *dw, float scale, bool normalise,
                     ds_err *err)
{
    choicejob j = {.v = ds_cpu_of(k)->vec,
                   .f = f,
                   .c = c,
                   .y = dlogits,
                   .w = dw,
                   .prob_in = prob,
                   .scale = scale,
                   .normalise = normalise};

    ds_workers_run(ds_cpu_of(k)->workers, blocks_of(c->t, DS_ROW_BLOCK), topk_back_job, &j);
    return j.failed ? ds_fail_nomem(err) : 0;
}

/* ---- the sort ---- */

/* While choices are placed first[x] is where the next one of expert x goes: in the end, where those
 * of x + 1 begin. */
static int sort_choices(ds_kernels *k, const ds_kchoices *c, ds_err *err)
{
    int32_t *first = c->first;

    (void)k;
    (void)err;
    memset(first, 0, ((size_t)c->e + 1) * sizeof *first);
    for (int64_t i = 0; i < c->t * c->kk; i++)
        first[c->expert[i] + 1]++;
    for (int32_t x = 0; x < c->e; x++)
        first[x + 1] += first[x];
    for (int64_t i = 0; i < c->t * c->kk; i++) {
        c->sorted[i] = first[c->expert[i]]++;
        c->slots[c->sorted[i]] = (int32_t)i;
    }
    memmove(first + 1, first, (size_t)c->e * sizeof *first);
    first[0] = 0;
    return 0;
}

/* ---- rows ---- */

/* n of y from `at` on = old + w times those of x; old NULL: what they are. */
static void add_cols(const choicejob *j, int64_t at, int64_t from, const float *old, float w,
                     int64_t n)
{
    float tmp[COLS], out[COLS];
    const float *x = ds_row_get(j->v, j->x, j->f, from, n, tmp);

    if (!old)
        old = ds_row_get(j->v, j->y, j->f, at, n, out);
    float *y = ds_row_out(j->y, j->f, at, out);
    j->v->add_scaled(y, old, x, w, n);
    ds_row_put(j->v, j->y, j->f, at, n, y);
}

static void dispatch_job(void *arg, int64_t i)
{
    static const float zeros[COLS];
    const choicejob *j = arg;
    const ds_kchoices *c = j->c;
    const size_t size = ds_kfmt_size(j->f);

    for (int64_t r = i * DS_ROW_BLOCK; r < end_of(i, c->t * c->kk); r++) {
        const int64_t from = c->slots[r] / c->kk * j->d;
        if (!j->w)
            memcpy((char *)j->y + (size_t)(r * j->d) * size,
                   (const char *)j->x + (size_t)from * size, (size_t)j->d * size);
        for (int64_t o = 0; j->w && o < j->d; o += COLS)
            add_cols(j, r * j->d + o, from + o, zeros, j->w[c->slots[r]],
                     j->d - o < COLS ? j->d - o : COLS);
    }
}

static int dispatch(ds_kernels *k, void *out, const void *x, enum ds_kfmt f, const ds_kchoices *c,
                    const float *w, int64_t d, ds_err *err)
{
    choicejob j = {.v = ds_cpu_of(k)->vec, .f = f, .c = c, .y = out, .x = x, .w = w, .d = d};

    (void)err;
    ds_workers_run(ds_cpu_of(k)->workers, blocks_of(c->t * c->kk, DS_ROW_BLOCK), dispatch_job, &j);
    return 0;
}

static void combine_job(void *arg, int64_t i)
{
    const choicejob *j = arg;
    const ds_kchoices *c = j->c;
    const int64_t c0 = i * COLS, n = j->d - c0 < COLS ? j->d - c0 : COLS;

    for (int64_t r = 0; r < c->t * c->kk; r++)
        add_cols(j, c->slots[r] / c->kk * j->d + c0, r * j->d + c0, NULL,
                 j->w ? j->w[c->slots[r]] : 1.0f, n);
}

static int combine(ds_kernels *k, void *y, const void *x, enum ds_kfmt f, const ds_kchoices *c,
                   const float *w, int64_t d, ds_err *err)
{
    choicejob j = {.v = ds_cpu_of(k)->vec, .f = f, .c = c, .y = y, .x = x, .w = w, .d = d};

    (void)err;
    ds_workers_run(ds_cpu_of(k)->workers, blocks_of(d, COLS), combine_job, &j);
    return 0;
}

void ds_cpu_choices(ds_kernels *k)
{
    k->topk = topk;
    k->sort_choices = sort_choices;
    k->topk_back = topk_back;
    k->dispatch = dispatch;
    k->combine = combine;
}
