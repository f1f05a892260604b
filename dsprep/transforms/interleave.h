/* interleave.h - which of several streams the next record comes from: a pure function of weights,
 * seed and what was taken.
 *
 * Without a seed it is the stream that is furthest behind its share of what was taken so far, the
 * first of those that are equally far: at every moment shares are off by less than one record. With
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
    uint64_t weight; /* at least 1 */
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
