/* remoteerase.h - what was erased in one store is erased in the others.
 *
 * refs/dsver/erased travels with every push and fetch. Whoever fetches reads tombstones from then
 * on and takes the bytes out of his packs; whoever lacks an erasure that the remote has cannot push
 * (so what was erased does not come back), and whoever pushes one takes the bytes out of the
 * remote's packs. Erasures of two stores that did not know of each other are joined.
 * docs/store-format.md, "Remotes".
 */
#ifndef DS_REMOTEERASE_H
#define DS_REMOTEERASE_H

#include "remotesync.h"

/* Takes in what was erased at the remote, with the pieces that are read instead (when lazy: of what
 * is here whole). DS_CORRUPT, with nothing taken in, when these differ from what they replace in
 * more than tombstones (erasecheck.h). *did: DS_SYNC_SAME, or what became of the ref. Its bytes are
 * still in the packs: see ds_erasure_settle. The caller holds the gc lock. */
int ds_erasure_fetch(enum ds_syncdid *did, ds_link *l, const ds_gitrefs *there, bool lazy,
                     ds_err *err);
/* Takes the bytes of what was erased out of this store's packs, when there are some. The caller
 * does not hold the gc lock. */
int ds_erasure_settle(ds_store *s, ds_err *err);

/* What a push has to do: DS_FAIL when the remote has erased what this store has not. *move: filled
 * in when there is something on either side (*any); its pieces, for the versions that the remote's
 * refs lead to, are added to want when it is news. */
int ds_erasure_push(ds_gitmove *move, bool *any, ds_shaset *want, ds_link *l,
                    const ds_gitrefs *there, ds_err *err);

#endif
