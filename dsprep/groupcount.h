/* groupcount.h - how many records of each group there were: a table of 128-bit hashes.
 *
 * 24 bytes a group, at most half full. Groups are told apart by the first half of a SHA-256, which
 * strangers cannot make collide. One thread. A zeroed object is valid and empty.
 */
#ifndef DS_GROUPCOUNT_H
#define DS_GROUPCOUNT_H

#include "hash.h"

typedef struct ds_groupcount {
    struct ds_groupcell *cells;
    size_t size, used; /* size: a power of two */
} ds_groupcount;

/* *before: how often this group was there before this call. */
int ds_groupcount_add(ds_groupcount *g, const ds_sha *group, uint64_t *before, ds_err *err);
void ds_groupcount_fini(ds_groupcount *g);

#endif
