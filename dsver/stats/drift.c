/* drift.c - see drift.h. */
#include "drift.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "elementary.h"

enum { TENTHS = 10 };

const char *ds_driftpart_name(enum ds_driftpart_kind k)
{
    static const char *const names[] = {"lengths", "numbers", "values", "words"};
    return names[k];
}

void ds_drift_fini(ds_drift *d)
{
    ds_buf_fini(&d->fresh);
    ds_buf_fini(&d->gone);
    *d = (ds_drift){0};
}

void ds_drift_bins(ds_driftpart *part, const double *before, const double *after, size_t n)
{
    double a = 0, b = 0;

    part->bins = n;
    part->psi = part->kl = part->js = 0;
    for (size_t i = 0; i < n; i++) {
        a += before[i];
        b += after[i];
    }
    part->there = n && a > 0 && b > 0;
    if (!part->there)
        return;
    for (size_t i = 0; i < n; i++) {
        const double p = (before[i] + 0.5) / (a + 0.5 * (double)n),
                     q = (after[i] + 0.5) / (b + 0.5 * (double)n), m = (p + q) / 2;
        part->psi += (q - p) * ds_log(q / p);
        part->kl += q * ds_log(q / p);
        part->js += (p * ds_log2(p / m) + q * ds_log2(q / m)) / 2;
    }
    part->noise = (double)(n - 1) * (1 / a + 1 / b);
}

/* Only one side has any: of its rows and the other's, those that have one and those that have not.
 * A version without records is like one of which nothing is known but a record that has none. */
static void presence(ds_driftpart *part, double in_a, uint64_t rows_a, double in_b, uint64_t rows_b)
{
    const double all_a = rows_a ? (double)rows_a : 1, all_b = rows_b ? (double)rows_b : 1;
    const double a = in_a < all_a ? in_a : all_a, b = in_b < all_b ? in_b : all_b;
    const double before[] = {a, all_a - a}, after[] = {b, all_b - b};

    ds_drift_bins(part, before, after, 2);
    part->ks = fabs(a / all_a - b / all_b);
}

/* ---- numbers and lengths ---- */

typedef struct bins {
    double a[TENTHS + 2], b[TENTHS + 2];
    size_t n;
} bins;

static const ds_tallied *sorted_of(const ds_buf *b, size_t *n)
{
    *n = b->len / sizeof(ds_tallied);
    return (const ds_tallied *)(const void *)b->data;
}

static double total(const ds_tallied *t, size_t n)
{
    double all = 0;
    for (size_t i = 0; i < n; i++)
        all += (double)t[i].n;
    return all;
}

/* Both in one walk over the buckets of either. */
static void walk(ds_driftpart *part, bins *k, const ds_buf *before, const ds_buf *after)
{
    size_t na, nb, i = 0, j = 0;
    const ds_tallied *a = sorted_of(before, &na), *b = sorted_of(after, &nb);
    const double all_a = total(a, na), all_b = total(b, nb);
    double sum_a = 0, sum_b = 0, below = 0;

    part->ks = 0;
    k->n = 0;
    for (; j < nb && na && b[j].key < a[0].key; j++)
        below += (double)b[j].n;
    if (below > 0) {
        k->a[0] = 0;
        k->b[0] = sum_b = below;
        part->ks = below / all_b;
        k->n = 1;
    }
    k->a[k->n] = k->b[k->n] = 0;
    while (i < na || j < nb) {
        const int64_t key = j == nb || (i < na && a[i].key <= b[j].key) ? a[i].key : b[j].key;
        const double x = i < na && a[i].key == key ? (double)a[i++].n : 0,
                     y = j < nb && b[j].key == key ? (double)b[j++].n : 0;
        const double gap = fabs((sum_a += x) / all_a - (sum_b += y) / all_b);
        part->ks = gap > part->ks ? gap : part->ks;
        k->a[k->n] += x;
        k->b[k->n] += y;
        /* A tenth is full; the last one takes what is left of a, and what is above is a bin of its
         * own. */
        if (x > 0 && floor(sum_a * TENTHS / all_a) > floor((sum_a - x) * TENTHS / all_a)) {
            k->n++;
            k->a[k->n] = k->b[k->n] = 0;
        }
    }
    k->n += k->a[k->n] > 0 || k->b[k->n] > 0;
}

static int spread(ds_driftpart *part, const ds_tally *before, uint64_t rows_a,
                  const ds_tally *after, uint64_t rows_b)
{
    ds_buf a = {0}, b = {0};
    size_t na, nb;
    bins k;
    int rc = ds_tally_sorted(&a, before);
    rc = rc ? rc : ds_tally_sorted(&b, after);
    if (!rc && before->used && after->used) {
        walk(part, &k, &a, &b);
        ds_drift_bins(part, k.a, k.b, k.n);
    } else if (!rc && (before->used || after->used)) {
        const ds_tallied *x = sorted_of(&a, &na), *y = sorted_of(&b, &nb);
        presence(part, total(x, na), rows_a, total(y, nb), rows_b);
    }
    ds_buf_fini(&a);
    ds_buf_fini(&b);
    return rc;
}

/* ---- values ---- */

static uint64_t same_in(const ds_names *t, const ds_names *of, const ds_named *s)
{
    return ds_names_of(t, s->hash, ds_named_bytes(of, s), s->len);
}

static const ds_named *named(const ds_buf *b, size_t i)
{
    return ((const ds_named *const *)(const void *)b->data)[i];
}

static double sum(const double *v, size_t n)
{
    double all = 0;
    for (size_t i = 0; i < n; i++)
        all += v[i];
    return all;
}

static int values(ds_drift *d, const ds_names *a, uint64_t rows_a, const ds_names *b,
                  uint64_t rows_b)
{
    ds_buf x = {0}, y = {0};
    double *count = calloc(2 * (a->used + b->used) + 1, sizeof *count);
    double *p = count, *q = count ? count + a->used + b->used : NULL;
    size_t n = 0;
    int rc = count ? ds_names_sorted(&x, a, DS_BY_COUNT) : DS_NOMEM;

    rc = rc ? rc : ds_names_sorted(&y, b, DS_BY_COUNT);
    for (size_t i = 0; !rc && i < a->used; i++, n++) {
        const ds_named *s = named(&x, i);
        p[n] = (double)s->n;
        q[n] = (double)same_in(b, a, s);
        if (q[n] <= 0)
            rc = ds_buf_put(&d->gone, &s, sizeof s);
    }
    for (size_t i = 0; !rc && i < b->used; i++) {
        const ds_named *s = named(&y, i);
        if (same_in(a, b, s))
            continue;
        q[n++] = (double)s->n;
        rc = ds_buf_put(&d->fresh, &s, sizeof s);
    }
    if (!rc && n && (!a->used || !b->used))
        presence(&d->parts[DS_DRIFT_VALUES], sum(p, n), rows_a, sum(q, n), rows_b);
    else if (!rc)
        ds_drift_bins(&d->parts[DS_DRIFT_VALUES], p, q, n);
    free(count);
    ds_buf_fini(&x);
    ds_buf_fini(&y);
    return rc;
}

/* Of the smallest hashes of both together: how many are in both. */
static void similar(ds_drift *d, const ds_colstat *a, const ds_colstat *b)
{
    size_t i = 0, j = 0, n = 0, both = 0;
    while (n < DS_STAT_LOW && (i < a->nlow || j < b->nlow)) {
        const bool x = j == b->nlow || (i < a->nlow && a->low[i] <= b->low[j]);
        const bool y = i == a->nlow || (j < b->nlow && b->low[j] <= a->low[i]);
        both += x && y;
        i += x;
        j += y;
        n++;
    }
    d->profiled = a->nlow || b->nlow;
    d->similarity = n ? (double)both / (double)n : 0;
}

static void words(ds_driftpart *part, const ds_colstat *a, const ds_colstat *b)
{
    double p[DS_STAT_BUCKETS], q[DS_STAT_BUCKETS];
    for (size_t i = 0; i < DS_STAT_BUCKETS; i++) {
        p[i] = (double)a->buckets[i];
        q[i] = (double)b->buckets[i];
    }
    ds_drift_bins(part, p, q, DS_STAT_BUCKETS);
    if (part->there)
        part->noise = (DS_STAT_BUCKETS - 1) * (1 / (double)a->looked + 1 / (double)b->looked);
}

static double share(uint64_t n, uint64_t of)
{
    return of ? (double)n / (double)of : 0;
}

int ds_drift_make(ds_drift *d, const ds_colstat *a, const ds_colstat *b, ds_err *err)
{
    *d = (ds_drift){.nulls = {share(a->nulls, a->rows), share(b->nulls, b->rows)}};
    if (a->type == DS_F64) {
        d->nans[0] = share(a->nans, a->rows);
        d->nans[1] = share(b->nans, b->rows);
    }
    int rc = spread(&d->parts[DS_DRIFT_LENGTHS], &a->lens, a->rows, &b->lens, b->rows);
    rc = rc ? rc : spread(&d->parts[DS_DRIFT_NUMBERS], &a->nums, a->rows, &b->nums, b->rows);
    if (!rc && !a->values.full && !b->values.full)
        rc = values(d, &a->values, a->rows, &b->values, b->rows);
    if (!rc && a->looked && b->looked)
        words(&d->parts[DS_DRIFT_WORDS], a, b);
    similar(d, a, b);
    if (rc)
        ds_drift_fini(d);
    return rc ? ds_fail_nomem(err) : 0;
}
