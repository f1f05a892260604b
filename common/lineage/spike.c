/* spike.c - see spike.h. */
#include "spike.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

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

int ds_spike_described(ds_spike_conf *c, const json_t *training, ds_err *err)
{
    const json_t *o = json_object_get(training, "skip_spikes");
    const json_int_t window = json_integer_value(json_object_get(o, "window"));
    const double factor = json_number_value(json_object_get(o, "factor"));

    *c = (ds_spike_conf){.policy = DS_SPIKE_OFF};
    if (!o)
        return 0;
    if (window < DS_SPIKE_WINDOW_MIN || window > DS_SPIKE_WINDOW_MAX || !(factor > 0))
        return ds_fail(err, DS_CORRUPT,
                       "run description: spikes of a window of %lld losses, a factor of %g",
                       (long long)window, factor);
    *c = (ds_spike_conf){.policy = DS_SPIKE_SKIP, .window = (uint32_t)window, .factor = factor};
    return 0;
}
