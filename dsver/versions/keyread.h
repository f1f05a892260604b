/* keyread.h - the keys of a version's records, block by block: the key column, or what is derived
 * from the keyed columns. One thread.
 */
#ifndef DS_KEYREAD_H
#define DS_KEYREAD_H

#include "colread.h"

typedef struct ds_keyread ds_keyread;
int ds_keyread_open(ds_keyread **out, ds_store *s, const git_oid *commit, ds_err *err);
size_t ds_keyread_blocks(const ds_keyread *k);
uint64_t ds_keyread_erased(const ds_keyread *k); /* blocks that hold tombstones */
/* Goes to the first record of a block. */
int ds_keyread_block(ds_keyread *k, size_t block, ds_err *err);
/* The next key of the block, lent until the next call: 1, 0 after the last, < 0 error. */
int ds_keyread_next(ds_keyread *k, const char **key, size_t *len, ds_err *err);
/* The key of one record. */
int ds_keyread_at(ds_keyread *k, uint64_t record, const char **key, size_t *len, ds_err *err);
void ds_keyread_close(ds_keyread *k); /* NULL is fine */

#endif
