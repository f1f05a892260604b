/* interleave.h - which of several streams the next record comes from: a pure function of weights,
 * seed and what was taken.
 *
 * Without a seed it is the stream with the least taken / weight, the first of those that are equal:
 * at every moment none is a whole record (of what was taken at once) ahead of its share, and so, of
 * n streams, none n - 1 behind. With
 * a seed the n-th draw is the first eight bytes, big endian, of SHA-256(seed, NUL, "mix", NUL, n as
 * eight bytes, big endian), scaled to the weights of the streams that are left. Integers only. One
 * thread.
 */
#ifndef DS_INTERLEAVE_H
#define DS_INTERLEAVE_H

#include <stdbool.h>
#include <stdint.h>

#include "error.h"

typedef struct ds_lane {
    uint64_t weight; /* at least 1; their sum fits */
    uint64_t taken;  /* records, or what shares are of */
    bool out;        /* gives no more */
} ds_lane;

typedef struct ds_interleave {
    ds_lane *lanes; /* borrowed */
    size_t n;
    const char *seed; /* NULL: by share; borrowed */
    uint64_t draws;
} ds_interleave;

/* *lane: which one; n when all are out. DS_NOMEM or DS_FAIL of the digest. */
int ds_interleave_next(ds_interleave *m, size_t *lane, ds_err *err);

#endif
