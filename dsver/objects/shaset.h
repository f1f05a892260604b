/* shaset.h - a set of pieces' addresses, in memory. Zeroed is valid and empty. */
#ifndef DS_SHASET_H
#define DS_SHASET_H

#include <stdbool.h>

#include "hash.h"

typedef struct ds_shaset {
    ds_sha *ids; /* in the order in which they came */
    size_t n, cap;
    size_t *slots; /* index + 1; 0: free */
    size_t nslots; /* a power of two */
} ds_shaset;

int ds_shaset_add(ds_shaset *s, const ds_sha *id, bool *fresh, ds_err *err); /* fresh may be NULL */
bool ds_shaset_has(const ds_shaset *s, const ds_sha *id);
void ds_shaset_fini(ds_shaset *s);

#endif
