/* sidepair.h - two versions side by side, without what both of them have.
 *
 * Files of the manifest that both versions have, equally often, are not read; of the blocks in the
 * others, those with equal sums pair off. So what is left follows the difference, not the versions.
 * Read only once matched, and shared by threads.
 */
#ifndef DS_SIDEPAIR_H
#define DS_SIDEPAIR_H

#include "recblock.h"

typedef struct ds_sidepair {
    ds_verside side[2];
    bool *both[2];   /* by block: it has its like on the other side */
    ds_buf files[2]; /* git_oid of each version's files, sorted */
} ds_sidepair;

/* Zeroed or fini'd before. Only the names of files are read. */
int ds_sidepair_files(ds_sidepair *p, ds_store *s, const git_oid *const ids[2], ds_err *err);
/* Both versions have the file, equally often. */
bool ds_sidepair_shared(const ds_sidepair *p, const git_oid *file);
/* After ds_sidepair_files: the sides without shared files; instead of it: with all of them. */
int ds_sidepair_open(ds_sidepair *p, ds_store *s, const git_oid *const ids[2], ds_err *err);
/* A block's sum: equal for blocks that need not be compared. */
typedef int (*ds_blocksum_fn)(void *ctx, int side, size_t block, ds_sha *out, ds_err *err);
int ds_sidepair_match(ds_sidepair *p, ds_blocksum_fn sum, void *ctx, ds_err *err);
/* A sum (ctx: the pair): the address that the block was committed with. */
int ds_sidepair_address(void *pair, int side, size_t block, ds_sha *out, ds_err *err);
void ds_sidepair_fini(ds_sidepair *p);

#endif
