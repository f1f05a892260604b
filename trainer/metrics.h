/* metrics.h - RUN/metrics.jsonl read back: curves of a run.
 *
 * A run that went on from an earlier checkpoint writes steps again: what came later replaces them.
 * A last line that is cut short is left out: the run is still going, or was killed.
 */
#ifndef DS_METRICS_H
#define DS_METRICS_H

#include "buf.h"
#include "watch.h"

enum ds_curve { DS_CURVE_LOSS, DS_CURVE_RATE, DS_CURVE_NORM, DS_CURVE_SPEED, DS_CURVES };

/* Doubles: steps, and a value of each curve for each. */
typedef struct ds_series {
    ds_buf steps, values[DS_CURVES];
} ds_series;

/* One of the datasets of an evaluation of several. */
typedef struct ds_evalset {
    char *name;         /* as the command line had it */
    ds_buf steps, loss; /* doubles */
} ds_evalset;

typedef struct ds_metrics {
    ds_series steps;
    ds_series evals;  /* loss and speed only; norm: 1 where it was the best so far */
    bool paired;      /* answers were compared: losses are of pairs, not of tokens */
    ds_evalset *sets; /* in the order of their first evaluation */
    size_t nsets;
    ds_buf skipped, overflows; /* doubles: steps without an update */
} ds_metrics;

int ds_metrics_read(ds_metrics *m, const char *run_dir, ds_err *err); /* zeroed before */
void ds_metrics_fini(ds_metrics *m);
/* The best evaluation up to a step, into w; nothing when there is no log. */
int ds_metrics_best(ds_watch *w, const char *run_dir, uint64_t step, ds_err *err);

#endif
