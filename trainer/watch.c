/* watch.c - see watch.h. */
#include "watch.h"

bool ds_watch_see(ds_watch *w, uint64_t step, double loss, double min_delta)
{
    const bool first = !w->evaluated, best = first || loss < w->best;

    w->evaluated = step;
    if (best) {
        w->best = loss;
        w->best_step = step;
    }
    if (first || loss < w->mark - min_delta) {
        w->mark = loss;
        w->waited = 0;
    } else {
        w->waited++;
    }
    return best;
}
