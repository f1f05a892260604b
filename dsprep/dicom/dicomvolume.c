/* dicomvolume.c - see dicomvolume.h. */
#include "dicomvolume.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "json.h"

#define ALIKE 1e-4      /* of orientations, absolute; of spacings, relative */
#define SAME_PLACE 0.01 /* mm */
#define OFF_STEP 0.01   /* of a step */

static int order_of(double a, double b)
{
    return (a > b) - (a < b);
}

static int compare_int(int64_t a, int64_t b)
{
    return (a > b) - (a < b);
}

static int compare_bytes(const char *a, size_t na, const char *b, size_t nb)
{
    int c = memcmp(a ? a : "", b ? b : "", na < nb ? na : nb);
    return c ? c : compare_int((int64_t)na, (int64_t)nb);
}

static int compare_fact(const ds_slice *a, const ds_slice *b, enum ds_fact what)
{
    return compare_bytes(a->facts->text[what], a->facts->len[what], b->facts->text[what],
                         b->facts->len[what]);
}

static bool stacks(const ds_slice *s)
{
    const unsigned all = DS_PLACE_POSITION | DS_PLACE_ORIENTATION | DS_PLACE_SPACING;
    return !s->whole && s->place && (s->place->has & all) == all;
}

/* Frames of a multi-frame object are its own series. */
static bool alone(const ds_slice *s)
{
    return s->shape.frames != 1;
}

static int compare_shape(const ds_slice *a, const ds_slice *b)
{
    const int64_t x[] = {a->shape.rows, a->shape.cols, a->shape.samples};
    const int64_t y[] = {b->shape.rows, b->shape.cols, b->shape.samples};
    int c = 0;
    for (size_t i = 0; i < 3 && c == 0; i++)
        c = compare_int(x[i], y[i]);
    return c;
}

static int compare_last(const ds_slice *a, const ds_slice *b)
{
    int c = compare_int(a->facts->instance, b->facts->instance);
    if (c == 0)
        c = strcmp(a->key, b->key);
    return c ? c : compare_int(a->frame, b->frame);
}

/* What has to be equal exactly; whole objects one by one. */
static int compare_bucket(const ds_slice *a, const ds_slice *b)
{
    static const enum ds_fact facts[] = {DS_FACT_PATIENT, DS_FACT_STUDY};
    int c = 0;
    for (size_t i = 0; i < 2 && c == 0; i++)
        c = compare_fact(a, b, facts[i]);
    if (c == 0)
        c = compare_int(a->facts->series_number, b->facts->series_number);
    if (c == 0)
        c = compare_fact(a, b, DS_FACT_SERIES);
    bool lone = alone(a) || alone(b) || !stacks(a) || !stacks(b) || !a->facts->text[DS_FACT_SERIES];
    if (c == 0 && lone) {
        c = compare_int(alone(a) || !stacks(a), alone(b) || !stacks(b));
        if (c == 0)
            c = compare_int(a->facts->instance, b->facts->instance);
        if (c == 0)
            c = strcmp(a->key, b->key);
    }
    if (c == 0)
        c = compare_fact(a, b, DS_FACT_SPACE);
    if (c == 0)
        c = compare_shape(a, b);
    if (c == 0)
        c = compare_int(stacks(a), stacks(b));
    return c || !stacks(a) ? c
                           : compare_bytes(a->place->split, a->place->split_len, b->place->split,
                                           b->place->split_len);
}

static int by_bucket(const void *x, const void *y)
{
    int c = compare_bucket(x, y);
    return c ? c : compare_last(x, y);
}

static double along(const ds_slice *s, const double *o)
{
    const double *p = s->place->position;
    return p[0] * (o[1] * o[5] - o[2] * o[4]) + p[1] * (o[2] * o[3] - o[0] * o[5]) +
           p[2] * (o[0] * o[4] - o[1] * o[3]);
}

static bool alike(const ds_dicom_place *a, const ds_dicom_place *b)
{
    for (int i = 0; i < 6; i++)
        if (fabs(a->orientation[i] - b->orientation[i]) > ALIKE)
            return false;
    for (int i = 0; i < 2; i++)
        if (fabs(a->spacing[i] - b->spacing[i]) > ALIKE * a->spacing[i])
            return false;
    return true;
}

static int by_place(const void *x, const void *y)
{
    const ds_slice *a = x, *b = y;
    int c = order_of(a->along, b->along);
    return c ? c : compare_last(a, b);
}

/* At one place: what comes first. */
static int by_turn(const void *x, const void *y)
{
    const ds_slice *a = x, *b = y;
    int c = order_of(a->place->order, b->place->order);
    if (c == 0)
        c = compare_int(a->facts->acquisition, b->facts->acquisition);
    return c ? c : compare_last(a, b);
}

static int by_acquisition(const void *x, const void *y)
{
    const ds_slice *a = x, *b = y;
    int c = compare_int(a->facts->acquisition, b->facts->acquisition);
    return c ? c : by_place(x, y);
}

static int by_layer(const void *x, const void *y)
{
    const ds_slice *a = x, *b = y;
    int c = compare_int((int64_t)a->layer, (int64_t)b->layer);
    return c ? c : by_place(x, y);
}

/* ---- measures ---- */

static int by_size(const void *a, const void *b)
{
    return order_of(*(const double *)a, *(const double *)b);
}

/* Is a distance of two slices the typical one? */
static bool is_typical(const ds_volume *v, double mm)
{
    return fabs(mm - v->typical) <= fmax(SAME_PLACE, OFF_STEP * v->typical);
}

static int find_typical(ds_volume *v, ds_err *err)
{
    const size_t steps = v->n - 1;
    double *d = malloc(steps * sizeof *d);
    if (!d)
        return ds_fail_nomem(err);
    for (size_t i = 0; i < steps; i++)
        d[i] = v->slices[i + 1].along - v->slices[i].along;
    qsort(d, steps, sizeof *d, by_size);
    v->typical = d[(steps - 1) / 2];
    free(d);
    return 0;
}

int ds_volume_measure(ds_volume *v, ds_err *err)
{
    const ds_slice *s = v->slices;
    const size_t steps = v->n - 1;
    v->regular = false;
    if (!v->stack || v->n < 2)
        return 0;
    int rc = v->lost ? 0 : find_typical(v, err);
    if (rc != 0)
        return rc;
    double length = 0;
    for (int i = 0; i < 3; i++) {
        v->step[i] = (s[steps].place->position[i] - s[0].place->position[i]) / (double)steps;
        length += v->step[i] * v->step[i];
    }
    double most = fmax(SAME_PLACE, OFF_STEP * sqrt(length));
    v->regular = !v->lost || is_typical(v, (s[steps].along - s[0].along) / (double)steps);
    for (size_t k = 1; k < steps && v->regular; k++)
        for (int i = 0; i < 3; i++)
            if (fabs(s[0].place->position[i] + (double)k * v->step[i] - s[k].place->position[i]) >
                most)
                v->regular = false;
    return 0;
}

int ds_volume_json(const ds_volume *v, ds_buf *out, size_t *gaps, ds_err *err)
{
    static const char *const names[] = {"none", "acquisition", "occurrence"};
    const ds_slice *s = v->slices;
    int bad = ds_buf_printf(out, "{\"slices\":%zu", v->n);
    *gaps = 0;
    if (v->lost)
        bad |= ds_buf_printf(out, ",\"lost\":%zu", v->lost);
    bad |= ds_buf_puts(out, ",\"split\":") | ds_buf_put(out, s->place->split, s->place->split_len);
    if (v->layers > 1)
        bad |= ds_buf_printf(out, ",\"split_by\":\"%s\",\"layer\":%zu,\"layers\":%zu",
                             names[v->split], v->layer + 1, v->layers);
    bad |= ds_buf_printf(out, ",\"doubled\":%zu,\"regular\":%s", v->doubled,
                         v->regular || v->n == 1 ? "true" : "false");
    if (v->n > 1)
        bad |= ds_buf_puts(out, ",\"typical\":") | ds_json_real(out, v->typical);
    bad |= ds_buf_puts(out, ",\"gaps\":[");
    for (size_t i = 0; i + 1 < v->n && !bad && !v->regular; i++) {
        double d = s[i + 1].along - s[i].along, steps = d / v->typical;
        if (is_typical(v, d))
            continue;
        bad = ds_buf_printf(out, "%s{\"after\":%zu,\"mm\":", *gaps ? "," : "", i) |
              ds_json_real(out, d);
        double whole = nearbyint(steps);
        if (whole > 1 && whole < 1e6 && fabs(steps - whole) <= 2 * OFF_STEP * whole)
            bad |= ds_buf_printf(out, ",\"missing\":%.0f", whole - 1);
        bad |= ds_buf_putc(out, '}');
        ++*gaps;
    }
    return bad | ds_buf_puts(out, "]}") ? ds_fail_nomem(err) : 0;
}

/* ---- types ---- */

static void range_of(enum dcm_sample d, double *lo, double *hi)
{
    const double top = d == DCM_U8 || d == DCM_I8     ? 256.0
                       : d == DCM_U16 || d == DCM_I16 ? 65536.0
                                                      : 4294967296.0;
    const bool is_signed = d == DCM_I8 || d == DCM_I16 || d == DCM_I32;
    *lo = is_signed ? -top / 2 : 0;
    *hi = (is_signed ? top / 2 : top) - 1;
}

/* The narrowest type that holds the values of all. */
static enum dcm_sample type_of(const ds_slice *s, size_t n)
{
    static const enum dcm_sample types[] = {DCM_U8, DCM_I8, DCM_U16, DCM_I16, DCM_I32, DCM_U32};
    double low = INFINITY, high = -INFINITY, lo, hi;
    bool real = false;
    for (size_t i = 0; i < n; i++) {
        if (s[i].lost)
            continue;
        if (s[i].shape.dtype == DCM_F64)
            return DCM_F64;
        real = real || s[i].shape.dtype == DCM_F32;
        if (s[i].shape.dtype == DCM_F32)
            continue;
        range_of(s[i].shape.dtype, &lo, &hi);
        low = fmin(low, lo);
        high = fmax(high, hi);
    }
    if (real) /* it has all whole numbers of 24 bits */
        return low >= -16777216 && high <= 16777216 ? DCM_F32 : DCM_F64;
    for (size_t i = 0; i < sizeof types / sizeof *types; i++) {
        range_of(types[i], &lo, &hi);
        if (lo <= low && hi >= high)
            return types[i];
    }
    return DCM_F64;
}

/* ---- the plan ---- */

typedef struct plan {
    ds_volume *v;
    size_t n, cap;
    ds_err *err;
} plan;

static int add(plan *p, ds_volume v)
{
    if (ds_grow(&p->v, &p->cap, p->n, sizeof *p->v))
        return ds_fail_nomem(p->err);
    if (v.stack) {
        const enum dcm_sample type = type_of(v.slices, v.n);
        for (size_t i = 0; i < v.n; i++)
            v.slices[i].shape.dtype = type;
    }
    p->v[p->n] = v;
    return ds_volume_measure(&p->v[p->n++], p->err);
}

/* Places at which several slices lie; sorted by place. */
static size_t doubled(const ds_slice *s, size_t n)
{
    size_t many = 0;
    for (size_t i = 1; i < n; i++)
        if (s[i].along - s[i - 1].along < SAME_PLACE &&
            (i < 2 || s[i - 1].along - s[i - 2].along >= SAME_PLACE))
            many++;
    return many;
}

/* Layers by acquisition, where that leaves no two at one place. */
static bool layer_by_acquisition(ds_slice *s, size_t n, size_t *layers)
{
    size_t layer = 0;
    bool good = true;
    qsort(s, n, sizeof *s, by_acquisition);
    for (size_t i = 0; i < n && good; i++) {
        bool same = i && s[i].facts->acquisition == s[i - 1].facts->acquisition;
        if (i && !same)
            layer++;
        good = !same || s[i].along - s[i - 1].along >= SAME_PLACE;
        s[i].layer = layer;
    }
    *layers = layer + 1;
    qsort(s, n, sizeof *s, by_place);
    return good && layer > 0;
}

static void layer_by_turn(ds_slice *s, size_t n, size_t *layers)
{
    *layers = 1;
    for (size_t i = 0, end; i < n; i = end) {
        for (end = i + 1; end < n && s[end].along - s[end - 1].along < SAME_PLACE;)
            end++;
        qsort(s + i, end - i, sizeof *s, by_turn);
        for (size_t k = i; k < end; k++)
            s[k].layer = k - i;
        if (end - i > *layers)
            *layers = end - i;
    }
}

/* Slices that agree in everything: a stack, or several on top of each other. */
static int plan_stack(plan *p, ds_slice *s, size_t n)
{
    ds_volume v = {.stack = true, .layers = 1, .doubled = 0};
    for (size_t i = 0; i < n; i++) {
        s[i].along = along(&s[i], s[0].place->orientation);
        s[i].layer = 0;
    }
    qsort(s, n, sizeof *s, by_place);
    v.doubled = doubled(s, n);
    if (v.doubled) {
        v.split = DS_SPLIT_ACQUISITION;
        if (!layer_by_acquisition(s, n, &v.layers)) {
            v.split = DS_SPLIT_OCCURRENCE;
            layer_by_turn(s, n, &v.layers);
        }
        qsort(s, n, sizeof *s, by_layer);
    }
    int rc = 0;
    for (size_t i = 0, end; i < n && rc == 0; i = end) {
        for (end = i + 1; end < n && s[end].layer == s[i].layer;)
            end++;
        v.slices = s + i;
        v.n = end - i;
        v.layer = s[i].layer;
        rc = add(p, v);
    }
    return rc;
}

/* Moves what lies like the first to the front; how many. */
static size_t gather(ds_slice *s, size_t n)
{
    size_t k = 1;
    for (size_t i = 1; i < n; i++)
        if (alike(s[0].place, s[i].place)) {
            ds_slice t = s[i];
            memmove(&s[k + 1], &s[k], (i - k) * sizeof *s);
            s[k++] = t;
        }
    return k;
}

int ds_volumes_plan(ds_volume **v, size_t *n, ds_slice *s, size_t nslices, ds_err *err)
{
    plan p = {.err = err};
    int rc = 0;
    if (nslices)
        qsort(s, nslices, sizeof *s, by_bucket);
    for (size_t i = 0, end; i < nslices && rc == 0; i = end) {
        for (end = i + 1; end < nslices && compare_bucket(&s[i], &s[end]) == 0;)
            end++;
        if (!stacks(&s[i])) {
            for (size_t k = i; k < end && rc == 0; k++)
                rc = add(&p, (ds_volume){.slices = &s[k], .n = 1, .layers = 1});
            continue;
        }
        for (size_t k = i; k < end && rc == 0;) {
            size_t m = gather(&s[k], end - k);
            rc = plan_stack(&p, &s[k], m);
            k += m;
        }
    }
    if (rc != 0) {
        free(p.v);
        p = (plan){0};
    }
    *v = p.v;
    *n = p.n;
    return rc;
}
