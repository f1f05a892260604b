/* sourcelist.h - all sources of a version, in memory, in order. Zeroed is valid and empty. One
 * thread. */
#ifndef DS_SOURCELIST_H
#define DS_SOURCELIST_H

#include "manifest.h"
#include "store.h"

typedef struct ds_sourcelist {
    ds_buf rows; /* as in S frames */
    uint64_t n;
} ds_sourcelist;

/* tree: of the version. Appends. */
int ds_sourcelist_read(ds_sourcelist *l, ds_store *s, const git_oid *tree, ds_err *err);
/* Appends those of `more` that `l` has not (name, size and digest); map: for each of `more` its
 * number in l (uint64_t, appended). */
int ds_sourcelist_join(ds_sourcelist *l, const ds_sourcelist *more, ds_buf *map, ds_err *err);
/* The next one at *pos (0 at first); false at the end. The name is lent. */
bool ds_sourcelist_next(const ds_sourcelist *l, size_t *pos, ds_source *s);
void ds_sourcelist_fini(ds_sourcelist *l);

#endif
