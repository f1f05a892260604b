/* backoff.c - see backoff.h. */
#include "backoff.h"

#include <stdint.h>
#include <time.h>

#include "io.h"
#include "sig.h"

enum { FIRST_MS = 100, MOST_MS = 10000, LEAST_MAX = 60 };

bool ds_backoff_wait(ds_backoff *b, unsigned least)
{
    uint32_t r = 0;
    if (++b->made >= b->tries || ds_interrupted())
        return false;
    uint32_t cap = b->made < 8 ? (uint32_t)FIRST_MS << (b->made - 1) : MOST_MS;
    cap = cap < MOST_MS ? cap : MOST_MS;
    if (ds_random(&r, sizeof r, NULL))
        r = b->made * 2654435761u;
    /* half of it fixed, half random: all who were turned away together do not come back together */
    uint32_t ms = cap / 2 + r % (cap / 2 + 1);
    least = least < LEAST_MAX ? least : LEAST_MAX;
    if (ms < least * 1000)
        ms = least * 1000;
    for (; ms > 0 && !ds_interrupted(); ms -= ms < 100 ? ms : 100) {
        uint32_t part = ms < 100 ? ms : 100;
        struct timespec t = {.tv_nsec = (long)part * 1000000};
        nanosleep(&t, NULL);
    }
    return !ds_interrupted();
}
