/* ahead.h - packs that begin to come before it is known that they are wanted.
 *
 * Who clones wants nearly all that a remote has, and knows it only when the catalog is there: until
 * then, in threads of its own, packs come to tmp/. Those that are claimed are the caller's; the
 * others stop, and leave nothing. One thread at a time.
 */
#ifndef DS_AHEAD_H
#define DS_AHEAD_H

#include "objstore.h"
#include "remoteindex.h"

typedef struct ds_ahead ds_ahead;

/* Begins with every pack that the remote was seen to hold (ds_remoteindex_list) and the store does
 * not. Borrows store and remote. */
int ds_ahead_begin(ds_ahead **out, ds_objstore *objs, ds_remote *remote, const ds_remoteindex *seen,
                   ds_err *err);
/* This pack is wanted, and `who` is given back with it. False: it is not on its way. */
bool ds_ahead_claim(ds_ahead *a, const ds_sha *pack, const void *who);
/* No other is wanted. */
void ds_ahead_settle(ds_ahead *a);
/* Waits for a claimed pack: 1, with *path as ds_wholepack_get gives it; 0 there are no more; < 0 it
 * could not be had. After ds_ahead_settle. */
int ds_ahead_next(ds_ahead *a, const void **who, char **path, ds_err *err);
/* What has not come by now is not wanted either. */
void ds_ahead_stop(ds_ahead *a);
void ds_ahead_free(ds_ahead *a); /* waits; NULL is fine */

#endif
