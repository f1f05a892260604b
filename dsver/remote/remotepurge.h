/* remotepurge.h - packs at a remote whose content moves to other packs. See remotegc.h. */
#ifndef DS_REMOTEPURGE_H
#define DS_REMOTEPURGE_H

#include "remotesync.h"

/* Puts `keep`, which lie in packs that leave, into new packs; nothing in these is built on a piece
 * in `hot`. Pieces that are not here come from the remote, by way of a store in tmp/. */
int ds_remote_rewrite(ds_link *l, const ds_shaset *leaving, const ds_shaset *keep,
                      const ds_shaset *hot, ds_err *err);
/* What the refs of the remote's catalog lead to; objects that are not here are fetched. */
int ds_remote_needed(ds_shaset *out, uint64_t *versions, ds_link *l, const ds_gitrefs *there,
                     ds_err *err);

#endif
