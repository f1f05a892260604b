/* rankguard.h - an end for waiting: what ranks.h calls `wait`. Who waits for another's device, or
 * in a function that knows no time, cannot look at the clock: a thread does.
 */
#ifndef DS_RANKGUARD_H
#define DS_RANKGUARD_H

#include "ranks.h"

/* Sets wait and guard, and from then on calls r->quit when a wait takes too long. r stays where it
 * is until the end. */
int ds_rankguard_begin(ds_ranks *r, ds_err *err);
void ds_rankguard_end(ds_ranks *r); /* nothing where none began */

#endif
