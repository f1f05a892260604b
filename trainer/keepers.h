/* keepers.h - of several ranks each keeps the optimizer state of some parameters, and takes the
 * step for them: ZeRO, stage 1 (Rajbhandari et al. 2020). What is computed is the same, bit for
 * bit.
 *
 * Parameters are dealt out whole, in their order, so that every rank keeps about as many numbers.
 * Those that are written from their master weights (adapters, which are small) all keep. One rank
 * alone keeps everything. Rank 0, which writes checkpoints, asks the others for what they keep.
 */
#ifndef DS_KEEPERS_H
#define DS_KEEPERS_H

#include "params.h"
#include "ranks.h"

/* Says who keeps what of the parameters that are trained. */
void ds_keepers_deal(ds_params *s);
bool ds_keepers_mine(const ds_params *s, const ds_param *p);
/* After a step: the weights of every parameter come from who took it. `rc` tells what became of
 * this rank's part of the step; where one is not 0, that of the first such rank is returned by all.
 * Collective. */
int ds_keepers_spread(ds_params *s, int rc, ds_err *err);

/* A part of what somebody keeps, of DS_RANKS_PART bytes at most; of a list that all make alike. */
typedef struct ds_keepers_part {
    int64_t index, at, bytes;
    int64_t keeper; /* < 0: rank 0 has all that it wanted */
} ds_keepers_part;
/* Rank 0's, while all others serve. */
int ds_keepers_ask(ds_params *s, const ds_keepers_part *p, void *host, ds_err *err);
void ds_keepers_done(ds_params *s);
/* The others': returns when rank 0 is done. find copies a part of what this rank keeps to host
 * memory; what it reports is rank 0's to act on. NULL: this rank has no memory to find anything. */
typedef int (*ds_keepers_find)(void *ctx, void *host, const ds_keepers_part *p, ds_err *err);
void ds_keepers_serve(ds_params *s, ds_keepers_find find, void *ctx);

#endif
