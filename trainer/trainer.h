/* trainer.h - everything that a run has open: model, data, what is trained, and the description
 * that the result is a function of (docs/lineage-format.md).
 */
#ifndef DS_TRAINER_H
#define DS_TRAINER_H

#include "checkpoint.h"
#include "dataset.h"
#include "ranks.h"
#include "tok.h"

typedef struct ds_trainer {
    ds_trainconf c;
    const ds_ranks *ranks; /* never NULL */
    ds_kernels *k;
    ds_net *net;
    ds_dataset **data;
    ds_dataset **eval; /* as many as c.neval */
    json_t *early_stop;
    ds_ids prompt;      /* tokens of its text */
    ds_ids tokens;      /* that are trained with adapters */
    ds_lineage lineage; /* with the run description */
    ds_sha run;         /* its digest */
    ds_spike spike;
    bool peers;       /* its device has joined the others' */
    ds_err apart;     /* why it has not, where there are others */
    int64_t memory;   /* what may be filled, the least of all ranks' */
    int64_t longest;  /* tokens of a micro-batch of prompt tuning; 0: all are full */
    int64_t planned;  /* bytes that were reserved on a device for all of it; 0: none were */
    int64_t asked;    /* how often the device had been asked for memory by then */
    char advice[512]; /* how --method auto chose, "" when it was not asked */
} ds_trainer;

/* Opens model and data, checks that they fit each other, prepares what is trained, describes the
 * run. c's pointers stay borrowed. Of several ranks all open, run and close. */
int ds_trainer_open(ds_trainer *t, const ds_trainconf *c, ds_err *err);
void ds_trainer_close(ds_trainer *t);
/* Where a checkpoint was computed, as its lineage has it. */
typedef struct ds_where {
    char backend[32]; /* "" when it does not say */
    char by[256];     /* of a device, what its bits depend on: detail up to a semicolon */
    uint64_t rows;    /* of a micro-batch, where that changes bits; 0 where it does not */
} ds_where;
ds_where ds_where_of(const ds_lineage *l);
/* Refuses a checkpoint that was not computed as this run computes: a device's bits are its own. */
int ds_trainer_same_device(const ds_trainer *t, const ds_lineage *l, ds_err *err);
/* Weights, moments and all else that the run had after a checkpoint of it; it refuses one of
 * another device. */
int ds_trainer_restore(ds_trainer *t, const char *checkpoint, ds_ckpt_state *state, ds_err *err);
/* Registers a checkpoint's run in the store that the first dataset came from; nothing for files.
 * One that was left, by a process that ended between writing and registering it, is no reason to
 * give up what the catalog has of the same step. */
int ds_trainer_register(const ds_trainer *t, const char *checkpoint, bool left, ds_err *err);

#endif
