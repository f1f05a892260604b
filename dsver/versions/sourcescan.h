/* sourcescan.h - the sources of a version, one after the other, from its pages. One thread.
 *
 * Pages are few; each is fetched when its first source is asked for, its address checked.
 */
#ifndef DS_SOURCESCAN_H
#define DS_SOURCESCAN_H

#include "manifest.h"
#include "store.h"

typedef struct ds_sourcescan {
    ds_store *store; /* borrowed */
    ds_manscan at;
    ds_manline line;
    ds_buf page;
    size_t pos;
    uint64_t blocks; /* of the stream before the source that came last */
} ds_sourcescan;

/* tree: of the version. */
int ds_sourcescan_open(ds_sourcescan *s, ds_store *store, const git_oid *tree, ds_err *err);
/* 1 a source, whose name is lent until the next call; 0 the end; < 0 error. */
int ds_sourcescan_next(ds_sourcescan *s, ds_source *out, ds_err *err);
void ds_sourcescan_close(ds_sourcescan *s);

#endif
