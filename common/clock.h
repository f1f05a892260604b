/* clock.h - seconds of a clock that is never set: for what takes how long, and for deadlines. */
#ifndef DS_CLOCK_H
#define DS_CLOCK_H

#include <time.h>

static inline double ds_seconds(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

#endif
