/* params.c - see params.h. */
#include "params.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "philox.h"
#include "try.h"

int64_t ds_param_count(const ds_param *p)
{
    return p->rows * p->cols;
}

/* FNV-1a of a name. */
static uint64_t stream_of(const char *name)
{
    uint64_t h = 1469598103934665603u;

    for (; *name; name++)
        h = (h ^ (uint8_t)*name) * 1099511628211u;
    return h;
}

/* Slots are looked at from the name's on; 0 ends the search, else the slot is of parameter - 1. */
static size_t slot_of(const ds_params *s, const char *name)
{
    size_t i = stream_of(name) & (s->slots - 1);

    while (s->slot[i] && strcmp(s->p[s->slot[i] - 1]->name, name))
        i = (i + 1) & (s->slots - 1);
    return i;
}

ds_param *ds_params_find(const ds_params *s, const char *name)
{
    const uint32_t at = s->slots ? s->slot[slot_of(s, name)] : 0;

    return at ? s->p[at - 1] : NULL;
}

/* Room for one more: of parameters as many as half the slots. */
static int grow(ds_params *s, ds_err *err)
{
    const size_t cap = s->cap ? s->cap * 2 : 64;
    ds_param **p;
    uint32_t *slot;

    if (s->n < s->cap)
        return 0;
    p = realloc(s->p, cap * sizeof *p);
    if (!p)
        return ds_fail_nomem(err);
    s->p = p;
    slot = calloc(cap * 2, sizeof *slot);
    if (!slot)
        return ds_fail_nomem(err);
    free(s->slot);
    s->slot = slot;
    s->slots = cap * 2;
    s->cap = cap;
    for (size_t i = 0; i < s->n; i++)
        s->slot[slot_of(s, s->p[i]->name)] = (uint32_t)(i + 1);
    return 0;
}

int ds_params_add(ds_params *s, ds_param **out, const char *name, int64_t rows, int64_t cols,
                  bool vector, enum ds_kfmt f, ds_err *err)
{
    ds_param *p;
    size_t count, bytes;
    int rc;

    if (ds_params_find(s, name))
        return ds_fail(err, DS_FAIL, "parameter '%s' exists already", name);
    if (rows < 1 || cols < 1 || !ds_mul_size((size_t)rows, (size_t)cols, &count) ||
        !ds_mul_size(count, 8, &bytes))
        return ds_fail(err, DS_FAIL, "parameter '%s': a shape of %lld x %lld", name,
                       (long long)rows, (long long)cols);
    if ((rc = grow(s, err)))
        return rc;
    p = calloc(1, sizeof *p);
    if (!p || !(p->name = strdup(name))) {
        free(p);
        return ds_fail_nomem(err);
    }
    p->rows = rows;
    p->cols = cols;
    p->vector = vector;
    p->f = f;
    p->lr_scale = 1.0f;
    p->decay = vector ? 0.0f : 1.0f;
    s->p[s->n++] = p;
    s->slot[slot_of(s, name)] = (uint32_t)s->n;
    *out = p;
    return s->k->alloc(s->k, &p->w, count * ds_kfmt_size(f), err);
}

void ds_params_changed(ds_params *s)
{
    if (s->k && s->k->work_forget)
        s->k->work_forget(s->k, s);
}

void ds_params_fini(ds_params *s)
{
    ds_params_changed(s);
    for (size_t i = 0; i < s->n; i++) {
        ds_param *p = s->p[i];
        void *mem[] = {p->w, p->before, p->master, p->m, p->v, p->m8, p->v8, p->mscale, p->vscale};
        for (size_t j = 0; j < sizeof mem / sizeof *mem; j++)
            if (mem[j])
                s->k->free(s->k, mem[j]);
        free(p->name);
        free(p);
    }
    s->k->free(s->k, s->grads);
    free(s->p);
    free(s->slot);
    memset(s, 0, sizeof *s);
}

/* Numbers that are converted together. */
#define PART ((int64_t)1 << 20)

/* Of n weights from place `at` on. `half` has room for them. */
static int put(ds_params *s, ds_param *p, int64_t at, const float *from, int64_t n, uint16_t *half,
               ds_err *err)
{
    const size_t size = ds_kfmt_size(p->f);
    const void *as = from;

    for (int64_t i = 0; p->f != DS_KF32 && i < n; i++)
        half[i] = ds_half_from(p->f, from[i]);
    if (p->f != DS_KF32)
        as = half;
    TRY(s->k->upload(s->k, (char *)p->w + (size_t)at * size, as, (size_t)n * size, err));
    return p->master ? s->k->upload(s->k, (float *)p->master + at, from, (size_t)n * 4, err) : 0;
}

int ds_param_set(ds_params *s, ds_param *p, const float *from, ds_err *err)
{
    const int64_t n = ds_param_count(p);
    uint16_t *half = s->k->paper ? NULL : malloc((size_t)PART * 2);
    int rc = 0;

    if (s->k->paper)
        return 0;
    if (!half)
        return ds_fail_nomem(err);
    for (int64_t at = 0; !rc && at < n; at += PART)
        rc = put(s, p, at, from + at, n - at < PART ? n - at : PART, half, err);
    free(half);
    return rc;
}

int ds_param_get(const ds_params *s, const ds_param *p, float **out, ds_err *err)
{
    const int64_t n = ds_param_count(p);
    float *x = malloc((size_t)n * 4);
    int rc;

    if (!x)
        return ds_fail_nomem(err);
    if (p->f == DS_KF32 || p->master) {
        rc = s->k->download(s->k, x, p->f == DS_KF32 ? p->w : p->master, (size_t)n * 4, err);
    } else {
        uint16_t *half = malloc((size_t)n * 2);
        rc = half ? s->k->download(s->k, half, p->w, (size_t)n * 2, err) : ds_fail_nomem(err);
        for (int64_t i = 0; !rc && i < n; i++)
            x[i] = ds_half_to(p->f, half[i]);
        free(half);
    }
    if (rc)
        free(x);
    else
        *out = x;
    return rc;
}

/* Eight bytes of numbers whose exponents have all bits set, and no others, carry into a sign's
 * place when one is added to their exponents: whether there is an infinite one or a NaN among n. */
static bool all_finite(const uint8_t *p, int64_t n, enum ds_kfmt f)
{
    const uint64_t each = f == DS_KF32 ? 0x0000000100000001u : 0x0001000100010001u,
                   exponent = each * (f == DS_KF32    ? 0x7f800000u
                                      : f == DS_KBF16 ? 0x7f80
                                                      : 0x7c00),
                   one = each * (f == DS_KF32    ? 0x00800000u
                                 : f == DS_KBF16 ? 0x0080
                                                 : 0x0400),
                   sign = each * (f == DS_KF32 ? 0x80000000u : 0x8000);
    const size_t bytes = (size_t)n * ds_kfmt_size(f);
    uint64_t x, some = 0;
    size_t i = 0;

    for (; i + 8 <= bytes; i += 8) {
        memcpy(&x, p + i, 8);
        some |= (x & exponent) + one;
    }
    x = 0;
    memcpy(&x, p + i, bytes - i);
    return ((some | ((x & exponent) + one)) & sign) == 0;
}

/* Whether a file's numbers are such as the parameter's memory has them. */
static bool same_format(const ds_param *p, const ds_st_tensor *t)
{
    return !p->master && t->dtype == (p->f == DS_KF32    ? DS_ST_F32
                                      : p->f == DS_KBF16 ? DS_ST_BF16
                                                         : DS_ST_F16);
}

/* What is not finite, or too large for the parameter's format, among n from place `at` on. */
static int check_numbers(const ds_param *p, const float *x, int64_t at, int64_t n, const char *name,
                         const char *file, ds_err *err)
{
    for (int64_t i = 0; i < n; i++)
        if (!isfinite(x[i]))
            return ds_fail(err, DS_CORRUPT, "%s: tensor '%s': element %lld is not a finite number",
                           file, name, (long long)(at + i));
        else if (p->f == DS_KF16 && fabsf(x[i]) >= DS_F16_INFINITE)
            return ds_fail(err, DS_FAIL,
                           "%s: tensor '%s': element %lld is %g, and f16 ends at 65504 (--dtype "
                           "bf16 does not)",
                           file, name, (long long)(at + i), (double)x[i]);
    return 0;
}

static int load_converted(ds_params *s, ds_param *p, const ds_st_tensor *t, const char *file,
                          ds_err *err)
{
    const int64_t n = ds_param_count(p);
    float *x = malloc((size_t)PART * 4);
    uint16_t *half = malloc((size_t)PART * 2);
    int rc = x && half ? 0 : ds_fail_nomem(err);

    for (int64_t at = 0; !rc && at < n; at += PART) {
        const int64_t some = n - at < PART ? n - at : PART;
        rc = ds_st_to_f32(x, t, (size_t)at, (size_t)some, err);
        if (rc)
            ds_err_prefix(err, "%s", file);
        rc = rc ? rc : check_numbers(p, x, at, some, t->name, file, err);
        rc = rc || s->k->paper ? rc : put(s, p, at, x, some, half, err);
    }
    free(x);
    free(half);
    return rc;
}

int ds_param_load(ds_params *s, ds_param *p, const ds_st_tensor *t, const char *file, ds_err *err)
{
    const int64_t n = ds_param_count(p);
    const bool fits = p->vector ? t->ndim == 1 && t->dims[0] == p->cols
                                : t->ndim == 2 && t->dims[0] == p->rows && t->dims[1] == p->cols;

    if (!fits)
        return ds_fail(
            err, DS_FAIL,
            "%s: tensor '%s' has %d dimensions of %lld x %lld; the configuration wants %lld x %lld",
            file, t->name, t->ndim, (long long)(t->ndim > 0 ? t->dims[0] : 1),
            (long long)(t->ndim > 1 ? t->dims[1] : 1), (long long)p->rows, (long long)p->cols);
    if (!s->k->paper && same_format(p, t) && all_finite(t->data, n, p->f))
        return s->k->upload(s->k, p->w, t->data, t->bytes, err);
    return load_converted(s, p, t, file, err); /* which says what is not finite */
}

/* ---- random weights ---- */

/* Normal deviates from sums of uniform words (twelve of them less 6, exact in f32): no function of
 * the C library takes part, so the same seed gives the same weights everywhere. Tails end at 6
 * deviations. */
static float normal(uint64_t seed, uint64_t stream, uint64_t i)
{
    int64_t sum = 0;

    for (uint32_t part = 0; part < 3; part++) {
        uint32_t w[4];
        ds_philox_words(w, seed, stream, i * 3 + part);
        for (int j = 0; j < 4; j++)
            sum += (int64_t)w[j] - INT64_C(2147483648);
    }
    return (float)((double)sum / 4294967296.0);
}

static int random_fill(ds_params *s, ds_param *p, float scale, bool gaussian, uint64_t seed,
                       ds_err *err)
{
    const int64_t n = ds_param_count(p);
    const uint64_t stream = stream_of(p->name);
    float *x = s->k->paper ? NULL : malloc((size_t)n * 4);
    int rc;

    if (s->k->paper)
        return 0;
    if (!x)
        return ds_fail_nomem(err);
    for (int64_t i = 0; i < n; i++)
        x[i] =
            scale *
            (gaussian ? normal(seed, stream, (uint64_t)i)
                      : (float)((double)ds_philox(seed, stream, (uint64_t)i) / 2147483648.0 - 1.0));
    rc = ds_param_set(s, p, x, err);
    free(x);
    return rc;
}

int ds_param_normal(ds_params *s, ds_param *p, float sd, uint64_t seed, ds_err *err)
{
    return random_fill(s, p, sd, true, seed, err);
}

int ds_param_uniform(ds_params *s, ds_param *p, float a, uint64_t seed, ds_err *err)
{
    return random_fill(s, p, a, false, seed, err);
}

int ds_param_fill(ds_params *s, ds_param *p, float x, ds_err *err)
{
    const int64_t n = ds_param_count(p);
    float *v = malloc((size_t)n * 4);
    int rc;

    if (!v)
        return ds_fail_nomem(err);
    for (int64_t i = 0; i < n; i++)
        v[i] = x;
    rc = ds_param_set(s, p, v, err);
    free(v);
    return rc;
}

int ds_param_train(ds_params *s, ds_param *p, ds_err *err)
{
    const size_t bytes = (size_t)ds_param_count(p) * 4;
    int rc = 0;

    p->lone = s->lone && p->f != DS_KF32;
    if (p->f != DS_KF32 && !p->master && !p->lone) {
        rc = s->k->alloc(s->k, (void **)&p->master, bytes, err);
        rc = rc ? rc : s->k->convert(s->k, p->master, DS_KF32, p->w, p->f, ds_param_count(p), err);
    }
    p->train = p->train || !rc;
    return rc;
}

static size_t gradient_room(const ds_param *p)
{
    return p->train
               ? ((size_t)ds_param_count(p) + DS_PARAM_STEP - 1) / DS_PARAM_STEP * DS_PARAM_STEP
               : 0;
}

int ds_params_gradients(ds_params *s, ds_err *err)
{
    size_t n = 0;

    ds_params_changed(s);

    for (size_t i = 0; i < s->n; i++)
        n += gradient_room(s->p[i]);
    if (n == s->ngrads)
        return 0;
    s->k->free(s->k, s->grads);
    s->grads = NULL;
    s->ngrads = 0;
    const int rc = s->k->alloc(s->k, (void **)&s->grads, n * sizeof *s->grads, err);
    s->ngrads = rc ? 0 : n;
    n = 0;
    for (size_t i = 0; i < s->n; i++) {
        const size_t room = gradient_room(s->p[i]);
        s->p[i]->g = room && !rc ? s->grads + n : NULL;
        n += room;
    }
    return rc;
}

int ds_params_zero(ds_params *s, ds_err *err)
{
    return s->k->zero(s->k, s->grads, s->ngrads * sizeof *s->grads, err);
}

/* ---- writing ---- */

int ds_params_fetch(void *params, void *host, const ds_st_tensor *t, size_t at, size_t bytes,
                    ds_err *err)
{
    const ds_params *s = params;

    return s->k->download(s->k, host, (const char *)t->data + at, bytes, err);
}

static int tensor_of(const ds_param *p, const char *prefix, ds_st_tensor *t, ds_err *err)
{
    static const enum ds_st_dtype dtypes[] = {DS_ST_F32, DS_ST_BF16, DS_ST_F16}; /* of ds_kfmt */
    const bool master = p->wide && p->master;

    if (asprintf(&t->name, "%s%s", prefix ? prefix : "", p->name) < 0) {
        t->name = NULL;
        return ds_fail_nomem(err);
    }
    t->dtype = master ? DS_ST_F32 : dtypes[p->f];
    t->ndim = p->vector ? 1 : 2;
    t->dims[0] = p->vector ? p->cols : p->rows;
    t->dims[1] = p->cols;
    t->data = master ? p->master : p->w;
    t->bytes = (size_t)ds_param_count(p) * (master ? 4 : ds_kfmt_size(p->f));
    return 0;
}

int ds_params_write(ds_params *s, const char *path, bool (*want)(const ds_param *p),
                    const char *prefix, const char *const *metadata, ds_err *err)
{
    ds_st_tensor *t = calloc(s->n + 1, sizeof *t);
    size_t n = 0;
    int rc = t ? 0 : ds_fail_nomem(err);

    for (size_t i = 0; !rc && i < s->n; i++)
        if (!want || want(s->p[i]))
            rc = tensor_of(s->p[i], prefix, &t[n++], err);
    rc = rc ? rc : ds_st_write(path, t, n, metadata, ds_params_fetch, s, err);
    for (size_t i = 0; t && i < n; i++)
        free(t[i].name);
    free(t);
    return rc;
}
