/* sourcenums.h - sources of several streams, numbered in the order in which they are first named.
 *
 * Memory follows what was named, not the numbers: a stream may name source 8,000,000,000 in its
 * first record. 24 to 40 bytes each. One thread. A zeroed object is valid and empty.
 */
#ifndef DS_SOURCENUMS_H
#define DS_SOURCENUMS_H

#include <stddef.h>
#include <stdint.h>

#include "error.h"

typedef struct ds_sourcenum {
    uint64_t input, local; /* which stream, and the number there */
} ds_sourcenum;

typedef struct ds_sourcenums {
    ds_sourcenum *v; /* by number */
    size_t n, cap;
    size_t *slots; /* number + 1; 0: free. Hashed by what it is */
    size_t nslots; /* a power of two, at most half of them taken */
} ds_sourcenums;

/* Its number, which it gets when it has none. */
int ds_sourcenums_of(ds_sourcenums *s, uint64_t input, uint64_t local, uint64_t *number,
                     ds_err *err);
void ds_sourcenums_fini(ds_sourcenums *s);

#endif
