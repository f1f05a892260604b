/* lossscale.h - the factor that gradients in f16 are computed with, and how it changes
 * (Micikevicius et al. 2018, "Mixed Precision Training", section 3.2).
 *
 * f16 ends at 65504 and at 2^-24, and gradients are small: the loss is multiplied by a power of
 * two, and what comes of it divided by it, which changes nothing but the range. A step whose
 * gradient is no finite number changes no weight and no moment, and halves the factor; `window`
 * updates since it last changed double it. So it is a pure function of which steps overflowed:
 * whoever reads a ledger can tell what it was (docs/lineage-format.md, `loss_scale`).
 */
#ifndef DS_LOSSSCALE_H
#define DS_LOSSSCALE_H

#include <stdbool.h>
#include <stdint.h>

#include "json.h"

#define DS_LOSSSCALE_MOST ((uint64_t)1 << 30)
/* What is not said. */
#define DS_LOSSSCALE_FIRST ((uint64_t)1 << 16)
#define DS_LOSSSCALE_WINDOW 2000

typedef struct ds_lossscale_conf {
    uint64_t first; /* a power of two up to MOST; 0: none, for formats that have the range */
    uint64_t window;
} ds_lossscale_conf;

typedef struct ds_lossscale {
    uint64_t scale;     /* of the next step; at least 1 */
    uint64_t good;      /* updates since it last changed */
    uint64_t overflows; /* steps without an update so far */
} ds_lossscale;

ds_lossscale ds_lossscale_begin(const ds_lossscale_conf *c);
/* A step was computed, its gradient was finite or not. False: it was not, and the factor is 1
 * already. */
bool ds_lossscale_see(ds_lossscale *s, const ds_lossscale_conf *c, bool finite);
/* Can it be the state of such a run? */
bool ds_lossscale_valid(const ds_lossscale *s, const ds_lossscale_conf *c);
/* What a run description says: its `training` member's loss_scale; none where there is none. */
int ds_lossscale_described(ds_lossscale_conf *c, const json_t *training, ds_err *err);

#endif
