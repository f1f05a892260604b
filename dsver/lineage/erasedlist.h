/* erasedlist.h - which records of a version are tombstones: what a run leaves out.
 *
 * Only blocks that something was erased from are read, and of these the keys, or, where records
 * have none of their own, all columns. One thread.
 */
#ifndef DS_ERASEDLIST_H
#define DS_ERASEDLIST_H

#include "lineage.h"
#include "store.h"

/* Appends them to *out: ds_records, ascending and apart. */
int ds_erasedlist(ds_buf *out, ds_store *s, const git_oid *commit, ds_err *err);
/* The first record of `some` that is not in `all`, which both are such lists; UINT64_MAX: none. */
uint64_t ds_erasedlist_lacks(const ds_records *all, size_t nall, const ds_records *some,
                             size_t nsome);

#endif
