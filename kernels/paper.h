/* paper.h - a backend without memory and arithmetic: what a network and a step of it would take.
 *
 * Its buffers are addresses that nobody may follow, its functions do nothing and succeed; experts
 * are chosen in turn, so that each has an equal share. A step on it takes milliseconds for a model
 * of any size, and asks for what the same step asks of another backend, byte for byte.
 */
#ifndef DS_PAPER_H
#define DS_PAPER_H

#include "kernels.h"

int ds_kernels_paper(ds_kernels **k, ds_err *err);
int64_t ds_paper_bytes(const ds_kernels *k); /* that are allocated */
/* What they take up on a device, and what functions called so far took beside their operands. */
int64_t ds_paper_room(const ds_kernels *k, size_t scratch[DS_KSLOTS]);

#endif
