/* needed.h - the pieces of versions that somebody has not: what a push or a fetch must see to. */
#ifndef DS_NEEDED_H
#define DS_NEEDED_H

#include "shaset.h"
#include "store.h"

/* Adds the pieces of every version that `tips` lead to and `haves` do not; pieces that the haves
 * themselves hold are left out as far as that is seen from their manifests' files. `versions` (may
 * be NULL) is counted up. Commits that the catalog lacks are DS_CORRUPT. */
int ds_needed_find(ds_shaset *out, uint64_t *versions, ds_store *s, const git_oid *tips,
                   size_t ntips, const git_oid *haves, size_t nhaves, ds_err *err);
/* Adds the pieces that are read in place of what was erased, of every version that `tips` lead to.
 */
int ds_needed_erased(ds_shaset *out, ds_store *s, const git_oid *tips, size_t ntips, ds_err *err);

#endif
