/* skipcheck.h - which steps of a run were skipped, by the losses that its ledger has
 * (docs/lineage-format.md, `skip_spikes`), against those that the ledger says were; and whether
 * those that it says overflowed can have done so (`loss_scale`).
 *
 * One thread; rows in order, from the first.
 */
#ifndef DS_SKIPCHECK_H
#define DS_SKIPCHECK_H

#include "ledger.h"
#include "lineage.h"
#include "lossscale.h"
#include "spike.h"

typedef struct ds_skipcheck {
    ds_spike spike;
    uint64_t rows; /* of a step */
    uint64_t steps, skipped;
    ds_lossscale_conf scaling;
    ds_lossscale scale; /* of the next step, by what the ledger says; it counts the overflows */
    ds_err why;         /* the first step that is not as the rule has it */
} ds_skipcheck;

/* DS_CORRUPT: the description's rule is none. Zeroed is valid. */
int ds_skipcheck_init(ds_skipcheck *c, const ds_run *run, ds_err *err);
void ds_skipcheck_row(ds_skipcheck *c, const ds_ledger_row *r);
void ds_skipcheck_fini(ds_skipcheck *c);

#endif
