/* finetune.h - the training loop: rows in, checkpoints with their lineage out.
 *
 * The result is a function of the run description alone (docs/lineage-format.md): not of how a step
 * is split into micro-batches, of threads, instruction set, prefetching, or of where the data lies.
 * Interrupted (SIGTERM, SIGINT, SIGUSR1) it writes a checkpoint and stops.
 */
#ifndef DS_FINETUNE_H
#define DS_FINETUNE_H

#include "checkpoint.h"
#include "dataset.h"
#include "loader.h"

/* Everything that a run has open. */
typedef struct ds_trainer {
    ds_trainconf c;
    ds_kernels *k;
    ds_net *net;
    ds_dataset **data;
    ds_lineage lineage; /* with the run description */
    ds_sha run;         /* its digest */
} ds_trainer;

/* Called after each step; non-zero stops the run as if interrupted. */
typedef struct ds_step_report {
    uint64_t step, targets, tokens;
    double loss, norm, lr, seconds, waited; /* seconds: of it all; waited: for data */
} ds_step_report;
typedef int (*ds_step_fn)(void *ctx, const ds_step_report *r);

/* Opens model and data, checks that they fit each other, prepares what is trained, describes the
 * run. c's pointers stay borrowed. */
int ds_trainer_open(ds_trainer *t, const ds_trainconf *c, ds_err *err);
void ds_trainer_close(ds_trainer *t);
/* Runs from the state (zeroed: the beginning) to the last step, writing checkpoints; *last = the
 * newest. Returns DS_PARTIAL when stopped early. */
int ds_trainer_run(ds_trainer *t, ds_ckpt_state *state, ds_step_fn fn, void *ctx, ds_err *err);
/* Mean loss over a dataset in the order of its records, without gradients; a prompt's virtual
 * tokens stand before every stretch and count for seq_len. rows 0 = all. */
int ds_trainer_eval(ds_net *net, ds_dataset *d, uint32_t seq_len, uint64_t rows, double *loss,
                    uint64_t *targets, ds_err *err);
/* Registers a checkpoint's run in the store that the first dataset came from; nothing for files. */
int ds_trainer_register(const ds_trainer *t, const char *checkpoint, ds_err *err);

#endif
