/* recall.h - what a run that goes on from a checkpoint has to know of the steps before it. */
#ifndef DS_RECALL_H
#define DS_RECALL_H

#include "spike.h"

/* The losses of steps 1 to `step`, as far as they matter to the guard, from a checkpoint's ledger.
 */
int ds_spike_recall(ds_spike *s, const char *checkpoint, uint64_t step, ds_err *err);

#endif
