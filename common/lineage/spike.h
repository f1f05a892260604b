/* spike.h - losses that stand out: a guard against the one batch that ruins a run.
 *
 * A loss is a spike when the losses of the last `window` steps are known and it is above
 *
 *     median + factor * max(1.4826 * MAD, |median| / 100)
 *
 * of them; MAD is the median distance from the median, which 1.4826 makes a standard deviation
 * where losses are normal. Every step's loss goes into the window, spikes too, so that a level
 * which stays is no spike for longer than half a window. A pure function of the losses: a run that
 * goes on from a checkpoint learns them from the ledger, and whoever reads the ledger can tell
 * which steps were skipped (docs/lineage-format.md).
 */
#ifndef DS_SPIKE_H
#define DS_SPIKE_H

#include <stdbool.h>
#include <stdint.h>

#include "json.h"

#define DS_SPIKE_WINDOW_MIN 4
#define DS_SPIKE_WINDOW_MAX 4096

enum ds_spike_policy { DS_SPIKE_OFF, DS_SPIKE_STOP, DS_SPIKE_SKIP };

typedef struct ds_spike_conf {
    enum ds_spike_policy policy;
    uint32_t window;
    double factor;
} ds_spike_conf;

typedef struct ds_spike {
    ds_spike_conf c;
    double *last, *sorted; /* ring of `window` losses; room to sort them */
    uint64_t seen;
} ds_spike;

int ds_spike_init(ds_spike *s, const ds_spike_conf *c, ds_err *err); /* zeroed is valid: off */
void ds_spike_fini(ds_spike *s);
/* The loss of the next step. *limit = what a spike is above; infinite while the window fills. */
bool ds_spike_see(ds_spike *s, double loss, double *limit);
/* What a run description says: its `training` member's skip_spikes; off where there is none. */
int ds_spike_described(ds_spike_conf *c, const json_t *training, ds_err *err);

#endif
