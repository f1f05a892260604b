/* finetune.h - the training loop: rows in, checkpoints with their lineage out.
 *
 * The result is a function of the run description alone (docs/lineage-format.md): not of how a step
 * is split into micro-batches, of threads, instruction set, prefetching, evaluation, or of where
 * the data lies. On a device it is one of the split, too, which lineage.json's environment has.
 * Interrupted (SIGTERM, SIGINT, SIGUSR1) it writes a checkpoint and stops.
 *
 * A step whose loss stands out (spike.h) is, by policy, taken as any other; skipped: no weight and
 * no moment changes, its rows are consumed and its norm in the ledger is NaN; or the run stops
 * before it, after a checkpoint of the step before. A loss that is no finite number always stops
 * the run, and the last checkpoint stands; so does a gradient, but in f16 while the loss scale
 * (lossscale.h) can be halved: the step is without an update then, and its norm infinite.
 */
#ifndef DS_FINETUNE_H
#define DS_FINETUNE_H

#include "evaluate.h"
#include "loader.h"
#include "trainer.h"

/* Where the seconds of a step, or of a run, went. */
typedef struct ds_run_times {
    double data;                   /* waiting for rows */
    double compute;                /* forward and back */
    double optimizer;              /* clipping and AdamW */
    double ledger;                 /* what was consumed: chained hashes, counts, segments */
    double checkpoint, evaluation; /* of a run only */
} ds_run_times;

typedef struct ds_step_report {
    uint64_t step, targets, tokens;
    double loss, norm, lr;
    uint64_t learnt;           /* of the targets: those of erased records are not */
    uint64_t pairs;            /* of preference tuning; loss is then their mean */
    double pref[DS_PREF_SUMS]; /* and these, too */
    double limit;              /* what a spike is above; infinite: not known or not asked for */
    bool skipped;              /* a spike; norm is NaN */
    uint64_t scale;            /* of the loss; where norm is infinite there was no update */
    double seconds;
    ds_run_times times;
} ds_step_report;

typedef int (*ds_step_fn)(void *ctx, const ds_step_report *r);

typedef struct ds_eval_report {
    uint64_t step;
    const ds_eval_result *sets; /* of each dataset of the evaluation, in its order */
    ds_eval_result all;
    double loss, seconds; /* loss: over the targets of all */
    bool best;
    uint64_t waited; /* evaluations since the last that was better */
} ds_eval_report;

/* What a run tells while it goes on; each may be NULL. step: non-zero stops it as if interrupted.
 */
typedef struct ds_run_events {
    ds_step_fn step;
    void (*evaluated)(void *ctx, const ds_eval_report *r);
    void (*written)(void *ctx, const ds_ckpt_state *s, double seconds); /* a checkpoint */
    void (*removed)(void *ctx, uint64_t step);                          /* a checkpoint */
    void *ctx;
} ds_run_events;

enum ds_run_end { DS_RUN_DONE, DS_RUN_INTERRUPTED, DS_RUN_EARLY, DS_RUN_SPIKE };

/* Whether no step is left to take after the state; then *why tells. */
bool ds_trainer_over(const ds_trainer *t, const ds_ckpt_state *state, ds_err *why);

/* Runs from the state (zeroed: the beginning) to the last step, writing checkpoints; the state is
 * then that of the newest, *end says why there, *times is what it all took. DS_FAIL for RUN_SPIKE,
 * whose checkpoint is written. */
int ds_trainer_run(ds_trainer *t, ds_ckpt_state *state, const ds_run_events *ev,
                   enum ds_run_end *end, ds_run_times *times, ds_err *err);

#endif
