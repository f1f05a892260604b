/* alike.h - of one run by several processes (ranks.h): that all of them do the same. Each is
 * started on its own, on a machine of its own: with another version of the data, another program or
 * another option its part of the gradients would be another run's, and lineage, which process 0
 * writes, would not tell.
 *
 * Both are collective; alone they find nothing. The error is that of the first process that is
 * unlike process 0, everywhere.
 */
#ifndef DS_ALIKE_H
#define DS_ALIKE_H

#include "trainer.h"

/* Program, base model, data, options: once all is described. */
int ds_alike_run(const ds_trainer *t, ds_err *err);
/* The checkpoint that they go on from. */
int ds_alike_state(const ds_ranks *r, const ds_ckpt_state *state, ds_err *err);

#endif
