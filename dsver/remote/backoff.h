/* backoff.h - waiting longer and longer between tries, never for ever. */
#ifndef DS_BACKOFF_H
#define DS_BACKOFF_H

#include <stdbool.h>

typedef struct ds_backoff {
    unsigned tries; /* at most so many in all */
    unsigned made;  /* so far */
} ds_backoff;

/* Counts a try that failed. False when it was the last or a signal came; else waits before the
 * next: a random time up to 0.1 s, doubled each time, 10 s at most, and at least `least` seconds
 * (60 at most). */
bool ds_backoff_wait(ds_backoff *b, unsigned least);

#endif
