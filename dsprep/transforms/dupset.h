/* dupset.h - which records are duplicates of which, found outside of memory.
 *
 * Records are numbered in the order in which they are told of. Marks (hashes of whole texts, or of
 * MinHash bands) go to an external sort; records that share a mark belong together, and so do those
 * that belong together with the same one. The first of a group stands for it, whatever the order in
 * which marks are met. Groups need 4 bytes a record, in a file when that is much; keys lie in a
 * spool. One thread; after ds_dupset_join any number may look.
 */
#ifndef DS_DUPSET_H
#define DS_DUPSET_H

#include "buf.h"
#include "error.h"

#define DS_DUP_MARK 17 /* bytes of a mark */

typedef struct ds_dupset ds_dupset;
/* `memory`: bytes that the sort may hold. `keys`: keep them, for ds_dupset_key. `sizes`: reckon
 * them, for ds_dupset_size, in 4 bytes a record more. */
int ds_dupset_new(ds_dupset **out, size_t memory, bool keys, bool sizes, ds_err *err);
void ds_dupset_free(ds_dupset *d);

/* The next record, with its key (looked at only when keys are kept), then its marks. */
int ds_dupset_record(ds_dupset *d, const void *key, size_t len, ds_err *err);
int ds_dupset_mark(ds_dupset *d, const uint8_t mark[DS_DUP_MARK], ds_err *err);
uint64_t ds_dupset_records(const ds_dupset *d);

/* After the last record, once. */
int ds_dupset_join(ds_dupset *d, ds_err *err);
/* The first record of the group that `record` belongs to: itself when it is no duplicate. */
uint64_t ds_dupset_first(const ds_dupset *d, uint64_t record);
/* How many records its group has. */
uint32_t ds_dupset_size(const ds_dupset *d, uint64_t record);
const uint8_t *ds_dupset_key(const ds_dupset *d, uint64_t record, size_t *len);

#endif
