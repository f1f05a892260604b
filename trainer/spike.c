/* spike.c - see spike.h. */
#include "spike.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "segments.h"

#define PATH 4096

int ds_spike_init(ds_spike *s, const ds_spike_conf *c, ds_err *err)
{
    memset(s, 0, sizeof *s);
    s->c = *c;
    if (c->policy == DS_SPIKE_OFF)
        return 0;
    s->last = calloc(c->window, sizeof *s->last);
    s->sorted = calloc(c->window, sizeof *s->sorted);
    return s->last && s->sorted ? 0 : ds_fail_nomem(err);
}

void ds_spike_fini(ds_spike *s)
{
    free(s->last);
    free(s->sorted);
    memset(s, 0, sizeof *s);
}

static int by_value(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* Sorts v. */
static double median(double *v, uint32_t n)
{
    qsort(v, n, sizeof *v, by_value);
    return n % 2 ? v[n / 2] : 0.5 * (v[n / 2 - 1] + v[n / 2]);
}

static double limit_of(ds_spike *s)
{
    const uint32_t n = s->c.window;

    memcpy(s->sorted, s->last, n * sizeof *s->sorted);
    const double m = median(s->sorted, n);
    for (uint32_t i = 0; i < n; i++)
        s->sorted[i] = fabs(s->last[i] - m);
    const double spread = 1.4826 * median(s->sorted, n), least = fabs(m) / 100;
    return m + s->c.factor * (spread > least ? spread : least);
}

bool ds_spike_see(ds_spike *s, double loss, double *limit)
{
    *limit = INFINITY;
    if (s->c.policy == DS_SPIKE_OFF)
        return false;
    if (s->seen >= s->c.window)
        *limit = limit_of(s);
    s->last[s->seen++ % s->c.window] = loss;
    return loss > *limit;
}

static int take_row(void *ctx, const ds_ledger_row *r, ds_err *err)
{
    ds_spike *s = ctx;
    double loss;

    (void)err;
    memcpy(&loss, &r->loss, sizeof loss);
    if (r->step == s->seen + 1) /* its first row, perhaps its last too */
        s->seen++;
    s->last[(r->step - 1) % s->c.window] = loss; /* the step's last row stays */
    return 0;
}

int ds_spike_recall(ds_spike *s, const char *checkpoint, uint64_t step, ds_err *err)
{
    char dir[PATH];
    ds_segments l = {0};
    int rc = 0;

    if (s->c.policy == DS_SPIKE_OFF || !step)
        return 0;
    if (snprintf(dir, sizeof dir, "%s/ledger", checkpoint) >= PATH)
        return ds_fail(err, DS_FAIL, "%s: path too long", checkpoint);
    rc = ds_segments_dir(&l, dir, err);
    s->seen = 0;
    for (size_t i = 0; !rc && i < l.n; i++) {
        ds_segments one = {.v = &l.v[i], .n = 1};
        if (l.v[i].last + s->c.window <= step) { /* too long ago to matter */
            s->seen = l.v[i].last;
            continue;
        }
        rc = ds_segments_scan(&one, NULL, take_row, s, err);
    }
    if (!rc && s->seen != step)
        rc = ds_fail(err, DS_CORRUPT,
                     "%s: the ledger ends with step %llu, the checkpoint is of %llu", dir,
                     (unsigned long long)s->seen, (unsigned long long)step);
    ds_segments_fini(&l);
    return rc;
}
