/* remerge.h - a merged or reverted version made again from the versions that it was made of, and
 * compared with what is in the store.
 *
 * The step that dsver merge and dsver revert record names three versions by their roots; they are
 * looked for in the version's own history. Conflicts are decided as the step says, or, where some
 * were decided one by one, as the version has them: so that it is shown to be a merge of the three,
 * whatever was decided. Nothing is written. The caller has pinned the version. One thread besides
 * those of the merge.
 */
#ifndef DS_REMERGE_H
#define DS_REMERGE_H

#include "merge.h"
#include "recompare.h"

typedef struct ds_remerge {
    git_oid base, ours, theirs;
    ds_sha want;
    uint64_t sources;
    enum ds_favour favour; /* NONE: as the version has them */
    ds_merge *merge;
    ds_recompared got;
} ds_remerge;

/* 1: the version's last step is a merge or a revert, and its three versions are there; 0: it is
 * neither. DS_FAIL names what is missing. */
int ds_remerge_find(ds_remerge *r, ds_store *s, const git_oid *commit, ds_err *err);
/* 0 also when the result differs: see `got`. */
int ds_remerge_run(ds_remerge *r, ds_store *s, const git_oid *commit, int threads, ds_err *err);
void ds_remerge_fini(ds_remerge *r);

#endif
