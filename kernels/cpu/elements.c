/* elements.c - what works element by element: SwiGLU, sums, conversions, dropout. A long array is
 * split into parts of ELEMS, which workers take.
 */
#include <string.h>

#include "cpu.h"
#include "philox.h"

#define ELEMS (1 << 14) /* a multiple of 16 */

typedef struct elemjob {
    const ds_vec *v;
    enum ds_kfmt f, f2;
    void *y, *y2;
    const void *a, *b, *x;
    const ds_kchoices *c; /* dropout: whose rows they are */
    uint32_t each;
    int64_t n; /* elements, or those of a row */
    float s;
    uint64_t seed, stream, base;
} elemjob;

static int64_t parts_of(int64_t n)
{
    return (n + ELEMS - 1) / ELEMS;
}

#define PART(j, i)                                                                                 \
    const int64_t at = (i)*ELEMS;                                                                  \
    const int64_t n = (j)->n - at < ELEMS ? (j)->n - at : ELEMS;                                   \
    float tmp_a[256], tmp_b[256], tmp_c[256], tmp_y[256], tmp_z[256]

#define STEP(n, o) ((n) - (o) < 256 ? (n) - (o) : 256)

/* y from a and b, 256 elements at a time. */
typedef void pair_fn(const elemjob *j, float *y, const float *a, const float *b, int64_t n);

static inline void each_pair(elemjob *j, int64_t i, pair_fn *fn)
{
    PART(j, i);

    (void)tmp_c;
    (void)tmp_z;
    for (int64_t o = 0; o < n; o += 256) {
        const int64_t w = STEP(n, o);
        float *y = ds_row_out(j->y, j->f, at + o, tmp_y);
        fn(j, y, ds_row_get(j->v, j->a, j->f, at + o, w, tmp_a),
           ds_row_get(j->v, j->b, j->f, at + o, w, tmp_b), w);
        ds_row_put(j->v, j->y, j->f, at + o, w, y);
    }
}

static void swiglu_pair(const elemjob *j, float *y, const float *a, const float *b, int64_t n)
{
    j->v->swiglu(y, a, b, n);
}

static void swiglu_job(void *arg, int64_t i)
{
    each_pair(arg, i, swiglu_pair);
}

static int swiglu(ds_kernels *k, void *y, const void *a, const void *b, enum ds_kfmt f, int64_t n,
                  ds_err *err)
{
    elemjob j = {.v = ds_cpu_of(k)->vec, .f = f, .y = y, .a = a, .b = b, .n = n};

    (void)err;
    ds_workers_run(ds_cpu_of(k)->workers, parts_of(n), swiglu_job, &j);
    return 0;
}

static void swiglu_back_job(void *arg, int64_t i)
{
    elemjob *j = arg;
    PART(j, i);

    for (int64_t o = 0; o < n; o += 256) {
        const int64_t w = STEP(n, o);
        float *da = ds_row_out(j->y, j->f, at + o, tmp_y),
              *db = ds_row_out(j->y2, j->f, at + o, tmp_z);
        /* the results may be written over the inputs, so these are copied first */
        memcpy(tmp_a, ds_row_get(j->v, j->a, j->f, at + o, w, tmp_a), (size_t)w * sizeof(float));
        memcpy(tmp_b, ds_row_get(j->v, j->b, j->f, at + o, w, tmp_b), (size_t)w * sizeof(float));
        memcpy(tmp_c, ds_row_get(j->v, j->x, j->f, at + o, w, tmp_c), (size_t)w * sizeof(float));
        j->v->swiglu_back(da, db, tmp_c, tmp_a, tmp_b, w);
        ds_row_put(j->v, j->y, j->f, at + o, w, da);
        ds_row_put(j->v, j->y2, j->f, at + o, w, db);
    }
}

static int swiglu_back(ds_kernels *k, void *da, void *db, const void *dy, const void *a,
                       const void *b, enum ds_kfmt f, int64_t n, ds_err *err)
{
    elemjob j = {
        .v = ds_cpu_of(k)->vec, .f = f, .y = da, .y2 = db, .x = dy, .a = a, .b = b, .n = n};

    (void)err;
    ds_workers_run(ds_cpu_of(k)->workers, parts_of(n), swiglu_back_job, &j);
    return 0;
}

static void add_pair(const elemjob *j, float *y, const float *a, const float *b, int64_t n)
{
    j->v->add_scaled(y, a, b, j->s, n);
}

static void add_job(void *arg, int64_t i)
{
    each_pair(arg, i, add_pair);
}

static int add(ds_kernels *k, void *y, const void *a, const void *b, float s, enum ds_kfmt f,
               int64_t n, ds_err *err)
{
    elemjob j = {.v = ds_cpu_of(k)->vec, .f = f, .y = y, .a = a, .b = b, .s = s, .n = n};

    (void)err;
    ds_workers_run(ds_cpu_of(k)->workers, parts_of(n), add_job, &j);
    return 0;
}

/* Between bf16 and f16: elements [at, at + n). */
static void half_to_half(const elemjob *j, int64_t at, int64_t n)
{
    float tmp[256];

    for (int64_t o = 0; o < n; o += 256) {
        const int64_t w = STEP(n, o);
        j->v->to_f32(tmp, (const uint16_t *)j->a + at + o, j->f2, w);
        j->v->to_half((uint16_t *)j->y + at + o, j->f, tmp, w);
    }
}

static void convert_job(void *arg, int64_t i)
{
    elemjob *j = arg;
    const int64_t at = i * ELEMS, n = j->n - at < ELEMS ? j->n - at : ELEMS;

    if (j->f == j->f2)
        memcpy((char *)j->y + (size_t)at * ds_kfmt_size(j->f),
               (const char *)j->a + (size_t)at * ds_kfmt_size(j->f),
               (size_t)n * ds_kfmt_size(j->f));
    else if (j->f == DS_KF32)
        j->v->to_f32((float *)j->y + at, (const uint16_t *)j->a + at, j->f2, n);
    else if (j->f2 == DS_KF32)
        j->v->to_half((uint16_t *)j->y + at, j->f, (const float *)j->a + at, n);
    else
        half_to_half(j, at, n);
}

static int convert(ds_kernels *k, void *dst, enum ds_kfmt fd, const void *src, enum ds_kfmt fs,
                   int64_t n, ds_err *err)
{
    elemjob j = {.v = ds_cpu_of(k)->vec, .f = fd, .f2 = fs, .y = dst, .a = src, .n = n};

    (void)err;
    ds_workers_run(ds_cpu_of(k)->workers, parts_of(n), convert_job, &j);
    return 0;
}

/* Elements [at, end), of which `at` has number `first`; both are multiples of 4. */
static void drop_some(const elemjob *j, int64_t at, int64_t end, uint64_t first)
{
    const double edge = (double)j->s * 4294967296.0;
    const uint32_t below = edge >= 4294967295.0 ? UINT32_MAX : (uint32_t)edge;
    const float up = 1.0f / (1.0f - j->s);
    uint32_t r[4] = {0};

    for (int64_t e = at; e < end; e++) {
        if ((e & 3) == 0)
            ds_philox_words(r, j->seed, j->stream, (first + (uint64_t)(e - at)) >> 2);
        const float m = r[e & 3] >= below ? up : 0.0f;
        if (j->f == DS_KF32)
            ((float *)j->y)[e] = ((const float *)j->a)[e] * m;
        else
            ((uint16_t *)j->y)[e] =
                ds_half_from(j->f, ds_half_to(j->f, ((const uint16_t *)j->a)[e]) * m);
    }
}

static void dropout_job(void *arg, int64_t i)
{
    const elemjob *j = arg;
    const int64_t at = i * ELEMS, end = at + ELEMS < j->n ? at + ELEMS : j->n;

    drop_some(j, at, end, j->base + (uint64_t)at);
}

static void dropout_chosen_job(void *arg, int64_t i)
{
    elemjob j = *(const elemjob *)arg;
    const int32_t slot = j.c->slots[i];

    j.stream += (uint64_t)j.each * (uint32_t)j.c->expert[slot];
    drop_some(&j, i * j.n, (i + 1) * j.n, j.base + (uint64_t)(slot / j.c->kk * j.n));
}

static int dropout_of(elemjob *j, float p, const ds_kstep *at, uint32_t module, int64_t d,
                      ds_err *err)
{
    j->s = p;
    j->seed = at->seed;
    j->stream = at->step << 16 | module;
    j->base = at->first * (uint64_t)d;
    if (j->base & 3)
        return ds_fail(err, DS_FAIL, "dropout from element %llu: it begins at a multiple of 4",
                       (unsigned long long)j->base);
    if (!(p >= 0.0f && p < 1.0f))
        return ds_fail(err, DS_FAIL, "dropout of %g: it is at least 0 and less than 1", (double)p);
    return 0;
}

static int dropout(ds_kernels *k, void *y, const void *x, enum ds_kfmt f, int64_t t, int64_t d,
                   float p, const ds_kstep *at, uint32_t module, ds_err *err)
{
    elemjob j = {.f = f, .y = y, .a = x, .n = t * d};

    if (dropout_of(&j, p, at, module, d, err))
        return DS_FAIL;
    ds_workers_run(ds_cpu_of(k)->workers, parts_of(j.n), dropout_job, &j);
    return 0;
}

static int dropout_chosen(ds_kernels *k, void *y, const void *x, enum ds_kfmt f,
                          const ds_kchoices *c, int64_t d, float p, const ds_kstep *at,
                          uint32_t module, uint32_t each, ds_err *err)
{
    elemjob j = {.f = f, .y = y, .a = x, .c = c, .each = each, .n = d};

    if (d & 3)
        return ds_fail(err, DS_FAIL, "dropout of rows of %lld elements: a multiple of 4",
                       (long long)d);
    if (dropout_of(&j, p, at, module, d, err))
        return DS_FAIL;
    ds_workers_run(ds_cpu_of(k)->workers, c->t * c->kk, dropout_chosen_job, &j);
    return 0;
}

void ds_cpu_elements(ds_kernels *k)
{
    k->swiglu = swiglu;
    k->swiglu_back = swiglu_back;
    k->add = add;
    k->convert = convert;
    k->dropout = dropout;
    k->dropout_chosen = dropout_chosen;
}
