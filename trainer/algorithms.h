/* algorithms.h - how a device computed the products of a run, kept with its checkpoints, so that
 * who goes on from one, or replays it, has them computed in the same way (docs/lineage-format.md).
 */
#ifndef DS_ALGORITHMS_H
#define DS_ALGORITHMS_H

#include "kernels.h"
#include "ranks.h"

/* DIR/algorithms.json, of the products so far, by their shapes; nothing where the backend has
 * nothing to choose. */
int ds_algorithms_write(const char *dir, ds_kernels *k, ds_err *err);
/* From a checkpoint, before the first product. One that has none, or was made by another device or
 * library, is passed over: whether it may be gone on from is ds_trainer_same_device's to say. */
int ds_algorithms_read(const char *dir, ds_kernels *k, ds_err *err);
/* Before several processes write one: each has computed products of its own rows, and from here on
 * all know those of all, so that what they write is what one alone would. Two that computed the
 * same by different algorithms are refused. Collective. */
int ds_algorithms_share(const ds_ranks *r, ds_kernels *k, ds_err *err);

#endif
