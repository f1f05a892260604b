/* checkpoint.h - a run's state on disk: a folder that appears by rename when every file in it is
 * synced (docs/lineage-format.md).
 *
 * Adapters are written in PEFT's format, full fine-tunes as a Hugging Face model.
 */
#ifndef DS_CHECKPOINT_H
#define DS_CHECKPOINT_H

#include "ledger.h"
#include "runname.h"
#include "trainconf.h"
#include "watch.h"

typedef struct ds_ckpt_state {
    uint64_t step, rows;
    ds_sha head; /* of the ledger */
    double loss; /* of the last step */
    ds_watch watch;
    ds_lossscale scale;
} ds_ckpt_state;

/* Writes RUN/step-NNNNNN: weights, optimizer, state, tokenizer.json (copied from the model), ledger
 * segments (hard links where they can be), and last lineage.json. `lineage` is filled in here but
 * for what the caller knows: run, environment, model_name, binary. */
int ds_checkpoint_write(const char *run_dir, ds_net *net, const ds_trainconf *c,
                        const ds_ckpt_state *s, ds_lineage *lineage, ds_err *err);
/* Before the first step after `step` (0: the beginning). Going on from the checkpoint `resume`:
 * what the run did after `step` is set aside (abandon.h), ledger segments always, later checkpoints
 * only when `abandon` says so; else they are refused. The segments before it are fetched. */
int ds_checkpoint_begin(const char *run_dir, const char *resume, uint64_t step, bool abandon,
                        ds_err *err);
/* Loads weights (of the adapter, or all) and, when moments, optimizer state into a net that was
 * prepared as the run's; fills *s. */
int ds_checkpoint_read(const char *dir, ds_net *net, const ds_trainconf *c, bool moments,
                       ds_ckpt_state *s, ds_err *err);
/* tokenizer.json of one model folder into another, with what says how it is used (chat template,
 * special tokens, generation); what is not there is left out. */
int ds_tokenizer_copy(const char *model, const char *dir, ds_err *err);
/* The last step up to `most` that the folder has a checkpoint of; 0: none. */
uint64_t ds_checkpoint_last(const char *run_dir, uint64_t most);
/* Of something that should have been a checkpoint and is none: where it is a run's folder, the
 * message says so first, and names the last one. Returns err's code. */
int ds_checkpoint_meant(const char *dir, ds_err *err);

#endif
