/* slices.h - the gradient of a step as a sum over slices of its rows.
 *
 * With one slice there is nothing to add: gradients are chains over all tokens of the step. With N,
 * each is a chain over the tokens of its slice, and they are added as f32 in the order of slices,
 * ((s0 + s1) + s2) ...: so the result depends on N, which is in the run's description, and not on
 * how many ranks (ranks.h) computed them. Rank r of R computes slices [rN/R, (r+1)N/R).
 *
 * Memory: gradients once more for one process, 2N/R times for several; the host's. Where the ranks'
 * devices have joined, gradients stay on them: N/R times once more when that is above 1, and a
 * bucket: all gradients lie one after the other (params.h), and that row is exchanged and added up
 * in stretches of DS_SLICES_PART floats for each rank, whatever parameters they belong to.
 */
#ifndef DS_SLICES_H
#define DS_SLICES_H

#include "params.h"
#include "ranks.h"

typedef struct ds_slices ds_slices;

/* For a set whose trained parameters have their gradients; n is a multiple of the number of ranks.
 */
int ds_slices_new(ds_slices **s, const ds_ranks *r, ds_params *p, uint32_t n, ds_err *err);
void ds_slices_free(ds_slices *s); /* NULL is fine */
#define DS_SLICES_PART ((size_t)1 << 20)
/* Bytes that it takes of each of `ranks` devices that joined: gradients that wait, and the bucket.
 */
void ds_slices_room(const ds_params *p, uint32_t ranks, uint32_t n, size_t *kept, size_t *bucket);
/* Of the host's memory, for so many copies of all gradients: them, and what is on its way to them.
 */
size_t ds_slices_held(const ds_params *p, size_t sums);
bool ds_slices_mine(const ds_slices *s, uint64_t slice);
/* The gradients of this rank's next slice stand in the parameters, and `told` is what else is added
 * up over slices: of losses. They are zero afterwards, unless there is but one. */
#define DS_SLICES_TOLD 10
int ds_slices_keep(ds_slices *s, const double told[DS_SLICES_TOLD], ds_err *err);
/* All of this rank's slices are kept, or `rc` tells why not: then that of the first rank that
 * failed is returned by all. Leaves the sum over all slices in the gradients, and in `told`.
 * Collective. */
int ds_slices_sum(ds_slices *s, int rc, double told[DS_SLICES_TOLD], ds_err *err);

#endif
