/* metrics.c - see metrics.h. */
#include "metrics.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "io.h"
#include "json.h"
#include "try.h"

static int put_double(ds_buf *b, double d, ds_err *err)
{
    return ds_buf_put(b, &d, sizeof d) ? ds_fail_nomem(err) : 0;
}

/* Steps that were gone back from. */
static void drop_steps(ds_buf *steps, double from)
{
    const double *s = (const double *)(const void *)steps->data;
    size_t n = steps->len / sizeof *s;

    while (n > 0 && s[n - 1] >= from)
        n--;
    steps->len = n * sizeof *s;
}

static void drop_sets(ds_metrics *m, double step)
{
    for (size_t i = 0; i < m->nsets; i++) {
        drop_steps(&m->sets[i].steps, step);
        m->sets[i].loss.len = m->sets[i].steps.len;
    }
}

static void drop_from(ds_series *m, double step)
{
    drop_steps(&m->steps, step);
    for (int c = 0; c < DS_CURVES; c++)
        m->values[c].len = m->steps.len;
}

/* A step that is marked as without an update, or is not. */
static int mark(ds_buf *steps, double at, const json_t *marked, ds_err *err)
{
    drop_steps(steps, at);
    return json_is_true(marked) ? put_double(steps, at, err) : 0;
}

static double number(const json_t *o, const char *name)
{
    return json_number_value(json_object_get(o, name));
}

/* The dataset of that name, which may be new. */
static int find_set(ds_evalset **out, ds_metrics *m, const char *name, ds_err *err)
{
    for (size_t i = 0; i < m->nsets; i++)
        if (strcmp(m->sets[i].name, name) == 0) {
            *out = &m->sets[i];
            return 0;
        }
    ds_evalset *grown = realloc(m->sets, (m->nsets + 1) * sizeof *grown);
    if (!grown)
        return ds_fail_nomem(err);
    m->sets = grown;
    grown[m->nsets] = (ds_evalset){.name = strdup(name)};
    if (!grown[m->nsets].name)
        return ds_fail_nomem(err);
    *out = &grown[m->nsets++];
    return 0;
}

static int take_sets(ds_metrics *m, double at, const json_t *sets, ds_err *err)
{
    drop_sets(m, at);
    for (size_t i = 0; i < json_array_size(sets); i++) {
        const json_t *o = json_array_get(sets, i);
        const char *name = json_string_value(json_object_get(o, "data"));
        ds_evalset *s = NULL;
        if (!name)
            continue;
        TRY(find_set(&s, m, name, err));
        TRY(put_double(&s->steps, at, err));
        TRY(put_double(&s->loss, number(o, "loss"), err));
    }
    return 0;
}

static int take_line(ds_metrics *m, const char *line, size_t len, const char *path, ds_err *err)
{
    json_t *o = NULL;
    int rc = ds_json_parse(&o, line, len, path, err);
    const char *type = json_string_value(json_object_get(o, "type"));
    const bool eval = type && !strcmp(type, "eval"), step = type && !strcmp(type, "step");
    const bool paired = json_object_get(o, "pairs");
    const char *of = !eval ? "tokens" : paired ? "pairs" : "targets";
    ds_series *to = eval ? &m->evals : &m->steps;
    const double at = number(o, "step"), time = number(o, "seconds");
    const double v[DS_CURVES] = {number(o, "loss"), number(o, "lr"),
                                 eval ? (double)json_is_true(json_object_get(o, "best"))
                                      : number(o, "norm"),
                                 time > 0 ? number(o, of) / time : 0};

    if (!rc && (eval || step)) {
        m->paired = paired;
        drop_from(to, at);
        if (step) { /* evaluations after an earlier step are of what was gone back from */
            drop_from(&m->evals, at);
            drop_sets(m, at);
            rc = mark(&m->skipped, at, json_object_get(o, "skipped"), err);
            rc = rc ? rc : mark(&m->overflows, at, json_object_get(o, "overflow"), err);
        }
        rc = rc ? rc : put_double(&to->steps, at, err);
        for (int c = 0; !rc && c < DS_CURVES; c++)
            rc = put_double(&to->values[c], v[c], err);
        if (!rc && eval)
            rc = take_sets(m, at, json_object_get(o, "sets"), err);
    }
    json_decref(o);
    return rc;
}

int ds_metrics_read(ds_metrics *m, const char *run_dir, ds_err *err)
{
    char path[DS_PATH];
    ds_buf b = {0};
    size_t at = 0;
    int rc;

    TRY(ds_path_join(path, run_dir, "metrics.jsonl", err));
    rc = ds_read_file(&b, path, (size_t)1 << 32, err);
    while (!rc && at < b.len) {
        const char *line = (const char *)b.data + at;
        const char *end = memchr(line, '\n', b.len - at);
        if (!end)
            break;
        rc = take_line(m, line, (size_t)(end - line), path, err);
        at += (size_t)(end - line) + 1;
    }
    ds_buf_fini(&b);
    return rc;
}

static void fini_series(ds_series *s)
{
    ds_buf_fini(&s->steps);
    for (int c = 0; c < DS_CURVES; c++)
        ds_buf_fini(&s->values[c]);
}

void ds_metrics_fini(ds_metrics *m)
{
    fini_series(&m->steps);
    fini_series(&m->evals);
    for (size_t i = 0; i < m->nsets; i++) {
        free(m->sets[i].name);
        ds_buf_fini(&m->sets[i].steps);
        ds_buf_fini(&m->sets[i].loss);
    }
    free(m->sets);
    ds_buf_fini(&m->skipped);
    ds_buf_fini(&m->overflows);
}

int ds_metrics_best(ds_watch *w, const char *run_dir, uint64_t step, ds_err *err)
{
    char path[DS_PATH];
    ds_metrics m = {0};
    int rc = 0;

    if (snprintf(path, sizeof path, "%s/metrics.jsonl", run_dir) >= DS_PATH ||
        !ds_path_exists(path))
        return 0;
    rc = ds_metrics_read(&m, run_dir, err);
    const double *at = (const double *)(const void *)m.evals.steps.data,
                 *loss = (const double *)(const void *)m.evals.values[DS_CURVE_LOSS].data,
                 *best = (const double *)(const void *)m.evals.values[DS_CURVE_NORM].data;
    for (size_t i = 0; !rc && i < m.evals.steps.len / sizeof *at && at[i] <= (double)step; i++)
        if (best[i] > 0)
            ds_watch_see(w, (uint64_t)at[i], loss[i], 0);
    ds_metrics_fini(&m);
    return rc;
}
