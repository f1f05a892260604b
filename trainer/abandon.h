/* abandon.h - setting aside what a run did after the checkpoint that it goes on from
 * (docs/lineage-format.md, "Abandoned").
 *
 * Nothing is removed: ledger segments and checkpoints move to RUN/abandoned/NNNN-from-SSSSSS.
 */
#ifndef DS_ABANDON_H
#define DS_ABANDON_H

#include <stdint.h>

#include "error.h"

/* Sets aside all of RUN after `step`; nothing when there is nothing. Killed in between, the next
 * call goes on where it stopped. */
int ds_abandon(const char *run_dir, uint64_t step, ds_err *err);

#endif
