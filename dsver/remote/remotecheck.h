/* remotecheck.h - packs of a remote read back: each has the SHA-256 that is its name, or it goes,
 * so that what versions need of it can be sent anew.
 *
 * A pack goes only when everything in it that the remote's refs need is here or lies in other packs
 * there: of what is nowhere else also a damaged pack may give back something. It goes as packs go
 * under a gc (remotedrop.h).
 */
#ifndef DS_REMOTECHECK_H
#define DS_REMOTECHECK_H

#include "remotesync.h"

typedef struct ds_remotechecked {
    uint64_t packs, bytes; /* that were read */
    uint64_t damaged;      /* packs; each is warned of */
} ds_remotechecked;

/* there: the refs of its catalog. want: added what those need, when something went; the caller
 * sends what is lacking of it. dry_run: nothing goes. DS_CORRUPT when damaged packs stay. */
int ds_remotecheck(ds_remotechecked *out, ds_shaset *want, ds_link *l, const ds_gitrefs *there,
                   bool dry_run, ds_err *err);

#endif
