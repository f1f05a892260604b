/* remotegc.h - a remote gives back what no version at it needs, while others push and fetch.
 *
 * Two runs, at least a time of grace apart: the first condemns packs (remotemarks.h), the second
 * deletes those that are still not needed. Packs of which less than half is needed are written anew
 * and condemned; so are small ones, when they are many: each costs who clones a request or two. Who
 * pushes meanwhile loses nothing, as long as no push takes longer than the grace
 * between its last look and its refs. What was erased goes at once.
 *
 * The caller has fetched the remote's erasures (remoteerase.h).
 */
#ifndef DS_REMOTEGC_H
#define DS_REMOTEGC_H

#include "remotesync.h"

typedef struct ds_remoteswept {
    uint64_t versions, missing;          /* pieces that versions need and the remote lacks */
    uint64_t packs, bytes;               /* that lie there */
    uint64_t condemned, condemned_bytes; /* from now on */
    uint64_t waiting, waiting_bytes;     /* condemned before: their time is not over */
    uint64_t spared;                     /* condemned before, and needed again */
    uint64_t deleted, deleted_bytes;
    uint64_t rewritten; /* packs mostly not needed: what is needed of them lies in others now */
    uint64_t joined, joined_bytes; /* small packs: the same */
    uint64_t erased;               /* packs that held erased pieces, and are gone */
    ds_remote_uploads uploads;     /* of packs: ended those begun before the grace */
} ds_remoteswept;

/* grace: seconds, by the remote's clock. DS_CORRUPT, with nothing removed, when the remote lacks
 * pieces that its versions need. */
int ds_remotegc_run(ds_remoteswept *out, ds_link *l, int64_t grace, bool dry_run, ds_err *err);

/* Packs that hold what was erased go, and the rest of them is put into new ones. *packs: how many.
 * Costs little when there are none. */
int ds_remotegc_purge(uint64_t *packs, ds_link *l, ds_err *err);

#endif
