/* rows.c - what works row by row: embedding, RMSNorm, bias, rotary positions, columns and rows that
 * are copied.
 *
 * Rows are split over workers; a sum over rows is split over columns instead, so that each is added
 * in ascending row order.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "cpu.h"

#define COLS 256 /* columns a worker takes when rows are summed */

typedef struct rowjob {
    const ds_vec *v;
    enum ds_kfmt f;
    void *y, *sum;
    const void *a, *b, *c;
    const float *stat;
    float *fy;
    const int32_t *ids;
    int64_t t, d, stride, first;
    int32_t heads, hd, rot;
    float s;
    bool accumulate, interleaved, back;
    bool failed;
} rowjob;

static int64_t blocks_of(int64_t n, int64_t size)
{
    return (n + size - 1) / size;
}

static int finish(const rowjob *j, ds_err *err)
{
    return j->failed ? ds_fail_nomem(err) : 0;
}

static void fail(rowjob *j)
{
    __atomic_store_n(&j->failed, true, __ATOMIC_RELAXED);
}

#define ROWS(j, i)                                                                                 \
    const int64_t row0 = (i)*DS_ROW_BLOCK;                                                         \
    const int64_t row1 = row0 + DS_ROW_BLOCK < (j)->t ? row0 + DS_ROW_BLOCK : (j)->t

/* ---- the embedding ---- */

static void embed_job(void *arg, int64_t i)
{
    rowjob *j = arg;
    ROWS(j, i);
    const size_t w = (size_t)j->d * ds_kfmt_size(j->f);

    for (int64_t t = row0; t < row1; t++)
        if (j->ids[t] >= 0)
            memcpy((char *)j->y + (size_t)t * w, (const char *)j->a + (size_t)j->ids[t] * w, w);
}

static int embed(ds_kernels *k, void *out, const void *table, enum ds_kfmt f, const int32_t *ids,
                 int64_t t, int64_t d, ds_err *err)
{
    rowjob j = {.f = f, .y = out, .a = table, .ids = ids, .t = t, .d = d};

    (void)err;
    ds_workers_run(ds_cpu_of(k)->workers, blocks_of(t, DS_ROW_BLOCK), embed_job, &j);
    return 0;
}

static void embed_back_job(void *arg, int64_t i)
{
    rowjob *j = arg;
    const int64_t c0 = i * COLS, n = j->d - c0 < COLS ? j->d - c0 : COLS;
    float tmp[COLS];

    for (int64_t t = 0; t < j->t; t++) {
        if (j->ids[t] < 0)
            continue;
        const float *g = ds_row_get(j->v, j->a, j->f, t * j->d + c0, n, tmp);
        j->v->add_scaled(j->fy + j->ids[t] * j->d + c0, j->fy + j->ids[t] * j->d + c0, g, 1.0f, n);
    }
}

static int embed_back(ds_kernels *k, float *dtable, const void *dout, enum ds_kfmt f,
                      const int32_t *ids, int64_t t, int64_t d, ds_err *err)
{
    rowjob j = {
        .v = ds_cpu_of(k)->vec, .f = f, .fy = dtable, .a = dout, .ids = ids, .t = t, .d = d};

    (void)err;
    ds_workers_run(ds_cpu_of(k)->workers, blocks_of(d, COLS), embed_back_job, &j);
    return 0;
}

/* ---- RMSNorm ---- */

/* sum = a + c of a row, as it is when it has been written; tmp: room for two. */
static const float *add_row(const rowjob *j, int64_t at, float *tmp)
{
    const float *x = ds_row_get(j->v, j->a, j->f, at, j->d, tmp);
    const float *r = ds_row_get(j->v, j->c, j->f, at, j->d, tmp + j->d);
    float *sum = ds_row_out(j->sum, j->f, at, tmp);

    j->v->add_scaled(sum, x, r, 1.0f, j->d);
    ds_row_put(j->v, j->sum, j->f, at, j->d, sum);
    return ds_row_get(j->v, j->sum, j->f, at, j->d, tmp);
}

static void norm_job(void *arg, int64_t i)
{
    rowjob *j = arg;
    ROWS(j, i);
    float *tmp = ds_cpu_scratch((size_t)j->d * 3);

    if (!tmp) {
        fail(j);
        return;
    }
    const float *g = ds_row_get(j->v, j->b, j->f, 0, j->d, tmp + 2 * j->d);
    for (int64_t t = row0; t < row1; t++) {
        const float *x =
            j->sum ? add_row(j, t * j->d, tmp) : ds_row_get(j->v, j->a, j->f, t * j->d, j->d, tmp);
        const float r = 1.0f / sqrtf(j->v->dot(x, x, j->d) / (float)j->d + j->s);
        j->fy[t] = r;
        float *y = ds_row_out(j->y, j->f, t * j->d, tmp + j->d);
        j->v->norm_row(y, x, g, r, j->d);
        ds_row_put(j->v, j->y, j->f, t * j->d, j->d, y);
    }
    free(tmp);
}

static int rmsnorm(ds_kernels *k, void *y, float *rstd, const void *x, const void *g,
                   enum ds_kfmt f, int64_t t, int64_t d, float eps, ds_err *err)
{
    rowjob j = {.v = ds_cpu_of(k)->vec,
                .f = f,
                .y = y,
                .fy = rstd,
                .a = x,
                .b = g,
                .t = t,
                .d = d,
                .s = eps};

    ds_workers_run(ds_cpu_of(k)->workers, blocks_of(t, DS_ROW_BLOCK), norm_job, &j);
    return finish(&j, err);
}

static int add_rmsnorm(ds_kernels *k, void *sum, void *y, float *rstd, const void *x, const void *r,
                       const void *g, enum ds_kfmt f, int64_t t, int64_t d, float eps, ds_err *err)
{
    rowjob j = {.v = ds_cpu_of(k)->vec,
                .f = f,
                .y = y,
                .sum = sum,
                .fy = rstd,
                .a = x,
                .b = g,
                .c = r,
                .t = t,
                .d = d,
                .s = eps};

    ds_workers_run(ds_cpu_of(k)->workers, blocks_of(t, DS_ROW_BLOCK), norm_job, &j);
    return finish(&j, err);
}

static void norm_back_job(void *arg, int64_t i)
{
    rowjob *j = arg;
    ROWS(j, i);
    const int64_t d = j->d;
    float *tmp = ds_cpu_scratch((size_t)d * 4);

    if (!tmp) {
        fail(j);
        return;
    }
    const float *g = ds_row_get(j->v, j->c, j->f, 0, d, tmp + 3 * d);
    for (int64_t t = row0; t < row1; t++) {
        const float *dy = ds_row_get(j->v, j->a, j->f, t * d, d, tmp);
        const float *x = ds_row_get(j->v, j->b, j->f, t * d, d, tmp + d);
        const float r = j->stat[t];
        const float c = j->v->dot3(g, dy, x, d) * r * r * r / (float)d;
        float *dx = ds_row_out(j->y, j->f, t * d, tmp + 2 * d);
        if (!j->accumulate)
            memset(dx, 0, (size_t)d * sizeof *dx);
        else if (j->f != DS_KF32)
            j->v->to_f32(dx, (const uint16_t *)j->y + t * d, j->f, d);
        j->v->norm_back_row(dx, dy, x, g, r, c, d);
        ds_row_put(j->v, j->y, j->f, t * d, d, dx);
    }
    free(tmp);
}

static void norm_gain_job(void *arg, int64_t i)
{
    rowjob *j = arg;
    const int64_t c0 = i * COLS, n = j->d - c0 < COLS ? j->d - c0 : COLS;
    float tmp[2][COLS];

    for (int64_t t = 0; t < j->t; t++) {
        const float *dy = ds_row_get(j->v, j->a, j->f, t * j->d + c0, n, tmp[0]);
        const float *x = ds_row_get(j->v, j->b, j->f, t * j->d + c0, n, tmp[1]);
        j->v->mul_add3(j->fy + c0, x, dy, j->stat[t], n);
    }
}

static int rmsnorm_back(ds_kernels *k, void *dx, float *dg, const void *dy, const void *x,
                        const void *g, const float *rstd, enum ds_kfmt f, int64_t t, int64_t d,
                        bool accumulate, ds_err *err)
{
    rowjob j = {.v = ds_cpu_of(k)->vec,
                .f = f,
                .y = dx,
                .fy = dg,
                .a = dy,
                .b = x,
                .c = g,
                .stat = rstd,
                .t = t,
                .d = d,
                .accumulate = accumulate};

    if (dg)
        ds_workers_run(ds_cpu_of(k)->workers, blocks_of(d, COLS), norm_gain_job, &j);
    ds_workers_run(ds_cpu_of(k)->workers, blocks_of(t, DS_ROW_BLOCK), norm_back_job, &j);
    return finish(&j, err);
}

/* ---- bias ---- */

static void bias_job(void *arg, int64_t i)
{
    rowjob *j = arg;
    ROWS(j, i);
    float *tmp = ds_cpu_scratch((size_t)j->d * 2);

    if (!tmp) {
        fail(j);
        return;
    }
    const float *b = ds_row_get(j->v, j->b, j->f, 0, j->d, tmp);
    for (int64_t t = row0; t < row1; t++) {
        float *y = ds_row_out(j->y, j->f, t * j->d, tmp + j->d);
        const float *old = ds_row_get(j->v, j->y, j->f, t * j->d, j->d, tmp + j->d);
        j->v->add_scaled(y, old, b, 1.0f, j->d);
        ds_row_put(j->v, j->y, j->f, t * j->d, j->d, y);
    }
    free(tmp);
}

static int bias(ds_kernels *k, void *y, const void *b, enum ds_kfmt f, int64_t t, int64_t n,
                ds_err *err)
{
    rowjob j = {.v = ds_cpu_of(k)->vec, .f = f, .y = y, .b = b, .t = t, .d = n};

    ds_workers_run(ds_cpu_of(k)->workers, blocks_of(t, DS_ROW_BLOCK), bias_job, &j);
    return finish(&j, err);
}

static void bias_back_job(void *arg, int64_t i)
{
    rowjob *j = arg;
    const int64_t c0 = i * COLS, n = j->d - c0 < COLS ? j->d - c0 : COLS;
    float tmp[COLS];

    for (int64_t t = 0; t < j->t; t++)
        j->v->add_scaled(j->fy + c0, j->fy + c0,
                         ds_row_get(j->v, j->a, j->f, t * j->d + c0, n, tmp), 1.0f, n);
}

static int bias_back(ds_kernels *k, float *db, const void *dy, enum ds_kfmt f, int64_t t, int64_t n,
                     ds_err *err)
{
    rowjob j = {.v = ds_cpu_of(k)->vec, .f = f, .fy = db, .a = dy, .t = t, .d = n};

    (void)err;
    ds_workers_run(ds_cpu_of(k)->workers, blocks_of(n, COLS), bias_back_job, &j);
    return 0;
}

/* ---- rotary positions ---- */

#define TURN 128 /* pairs turned at a time */

/* One head: pairs lie half a width apart, or side by side. */
static void rope_head(const rowjob *j, int64_t at, const float *c, const float *s, int64_t n,
                      int64_t first)
{
    const int32_t half = j->rot / 2;
    const ds_vec *v = j->v;
    float x[2][TURN], pairs[2 * TURN];

    if (!j->interleaved) {
        for (int p = 0; p < 2; p++)
            memcpy(x[p], ds_row_get(v, j->y, j->f, at + first + p * half, n, x[p]),
                   (size_t)n * sizeof(float));
        v->rotate(x[0], x[1], c, s, n);
        for (int p = 0; p < 2; p++)
            if (j->f == DS_KF32)
                memcpy((float *)j->y + at + first + p * half, x[p], (size_t)n * sizeof(float));
            else
                ds_row_put(v, j->y, j->f, at + first + p * half, n, x[p]);
        return;
    }
    const float *in = ds_row_get(v, j->y, j->f, at + 2 * first, 2 * n, pairs);
    for (int64_t i = 0; i < n; i++)
        for (int p = 0; p < 2; p++)
            x[p][i] = in[2 * i + p];
    v->rotate(x[0], x[1], c, s, n);
    float *out = ds_row_out(j->y, j->f, at + 2 * first, pairs);
    for (int64_t i = 0; i < n; i++)
        for (int p = 0; p < 2; p++)
            out[2 * i + p] = x[p][i];
    ds_row_put(v, j->y, j->f, at + 2 * first, 2 * n, out);
}

static void rope_job(void *arg, int64_t i)
{
    rowjob *j = arg;
    ROWS(j, i);
    const int32_t half = j->rot / 2;
    float c[TURN], s[TURN];

    for (int64_t t = row0; t < row1; t++)
        for (int32_t p0 = 0; p0 < half; p0 += TURN) {
            const float *cs = j->stat + (int64_t)j->ids[t] * j->rot + 2 * p0;
            const int32_t n = half - p0 < TURN ? half - p0 : TURN;
            for (int32_t p = 0; p < n; p++) {
                c[p] = cs[2 * p];
                s[p] = j->back ? -cs[2 * p + 1] : cs[2 * p + 1];
            }
            for (int32_t h = 0; h < j->heads; h++)
                rope_head(j, t * j->stride + j->first + (int64_t)h * j->hd, c, s, n, p0);
        }
}

static int rope(ds_kernels *k, void *x, enum ds_kfmt f, const int32_t *pos, const float *cs,
                int64_t t, int64_t stride, int64_t first, int32_t heads, int32_t hd, int32_t rot,
                bool interleaved, bool back, ds_err *err)
{
    rowjob j = {.v = ds_cpu_of(k)->vec,
                .f = f,
                .y = x,
                .ids = pos,
                .stat = cs,
                .t = t,
                .stride = stride,
                .first = first,
                .heads = heads,
                .hd = hd,
                .rot = rot,
                .interleaved = interleaved,
                .back = back};

    (void)err;
    ds_workers_run(ds_cpu_of(k)->workers, blocks_of(t, DS_ROW_BLOCK), rope_job, &j);
    return 0;
}

/* ---- columns, and products of rows ---- */

static void copy_job(void *arg, int64_t i)
{
    rowjob *j = arg;
    ROWS(j, i);
    const size_t w = ds_kfmt_size(j->f);
    float tmp[2][COLS];

    for (int64_t t = row0; t < row1; t++) {
        if (!j->accumulate) {
            memcpy((char *)j->y + (size_t)(t * j->stride) * w,
                   (const char *)j->a + (size_t)(t * j->first) * w, (size_t)j->d * w);
            continue;
        }
        for (int64_t c = 0; c < j->d; c += COLS) {
            const int64_t n = j->d - c < COLS ? j->d - c : COLS;
            const float *x = ds_row_get(j->v, j->a, j->f, t * j->first + c, n, tmp[0]);
            const float *old = ds_row_get(j->v, j->y, j->f, t * j->stride + c, n, tmp[1]);
            float *y = ds_row_out(j->y, j->f, t * j->stride + c, tmp[1]);
            j->v->add_scaled(y, old, x, 1.0f, n);
            ds_row_put(j->v, j->y, j->f, t * j->stride + c, n, y);
        }
    }
}

static int copy_cols(ds_kernels *k, void *dst, int64_t dstride, const void *src, int64_t sstride,
                     enum ds_kfmt f, int64_t t, int64_t n, bool accumulate, ds_err *err)
{
    rowjob j = {.v = ds_cpu_of(k)->vec,
                .f = f,
                .y = dst,
                .a = src,
                .stride = dstride,
                .first = sstride,
                .t = t,
                .d = n,
                .accumulate = accumulate};

    (void)err;
    ds_workers_run(ds_cpu_of(k)->workers, blocks_of(t, DS_ROW_BLOCK), copy_job, &j);
    return 0;
}

static void row_dot_job(void *arg, int64_t i)
{
    rowjob *j = arg;
    ROWS(j, i);
    float *tmp = ds_cpu_scratch((size_t)j->d * 2);

    if (!tmp) {
        fail(j);
        return;
    }
    for (int64_t t = row0; t < row1; t++)
        j->fy[t] = j->v->dot(ds_row_get(j->v, j->a, j->f, t * j->d, j->d, tmp),
                             ds_row_get(j->v, j->b, j->f, t * j->d, j->d, tmp + j->d), j->d);
    free(tmp);
}

static int row_dot(ds_kernels *k, float *out, const void *a, const void *b, enum ds_kfmt f,
                   int64_t t, int64_t d, ds_err *err)
{
    rowjob j = {.v = ds_cpu_of(k)->vec, .f = f, .fy = out, .a = a, .b = b, .t = t, .d = d};

    ds_workers_run(ds_cpu_of(k)->workers, blocks_of(t, DS_ROW_BLOCK), row_dot_job, &j);
    return finish(&j, err);
}

void ds_cpu_rows(ds_kernels *k)
{
    k->embed = embed;
    k->embed_back = embed_back;
    k->rmsnorm = rmsnorm;
    k->add_rmsnorm = add_rmsnorm;
    k->rmsnorm_back = rmsnorm_back;
    k->bias = bias;
    k->bias_back = bias_back;
    k->rope = rope;
    k->copy_cols = copy_cols;
    k->row_dot = row_dot;
}
