/* watch.h - what evaluations during training say: which was the best, and whether to stop.
 *
 * The best has the lowest loss. Patience runs out when `patience` evaluations in a row were not
 * lower by more than min_delta than the last that was. A zeroed object has seen nothing.
 */
#ifndef DS_WATCH_H
#define DS_WATCH_H

#include <stdbool.h>
#include <stdint.h>

typedef struct ds_watch {
    uint64_t evaluated; /* step of the last evaluation; 0 = none */
    uint64_t best_step, waited;
    double best, mark; /* lowest loss; what the next must be below */
} ds_watch;

/* A loss of a later step; true when it is the best so far. */
bool ds_watch_see(ds_watch *w, uint64_t step, double loss, double min_delta);

#endif
