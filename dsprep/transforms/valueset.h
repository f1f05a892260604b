/* valueset.h - a set of values, which may be many: whether a value is one of them, exactly.
 *
 * The values lie one behind the other in a spool (4 bytes and their own each), so outside of memory
 * where they are much; the table over them takes 8 bytes a slot and is at most three quarters full.
 * Up to 2^40 bytes of values. One thread adds; after ds_valueset_done any number may look. Zeroed
 * it is empty, and done.
 */
#ifndef DS_VALUESET_H
#define DS_VALUESET_H

#include "spool.h"

enum { DS_VALUESET_MOST = 1 << 20 }; /* bytes of one value */

typedef struct ds_valueset {
    ds_spool values;
    uint64_t *slots; /* 24 bits of the hash, 40 bits: where it begins, and 1 */
    uint64_t n, mask;
    const uint8_t *p;
    size_t len;
} ds_valueset;

int ds_valueset_add(ds_valueset *s, const void *p, size_t len, ds_err *err);
int ds_valueset_done(ds_valueset *s, ds_err *err); /* after the last one */
bool ds_valueset_has(const ds_valueset *s, const void *p, size_t len);
/* The values in the order in which they came, twice where they came twice: *at is 0 at first. */
bool ds_valueset_next(const ds_valueset *s, size_t *at, const uint8_t **p, size_t *len);
void ds_valueset_fini(ds_valueset *s);

#endif
