/* partset.h - which parts of records stood in the stream before, found outside of memory.
 *
 * Records are told of in their order, each with the hashes of its parts in theirs. All go to an
 * external sort; of those that are the same, the first stays and the others are listed, by record
 * and number of the part, in a spool. One thread; after ds_partset_join any number may look.
 */
#ifndef DS_PARTSET_H
#define DS_PARTSET_H

#include "buf.h"
#include "error.h"
#include "textparts.h"

typedef struct ds_partset ds_partset;
/* `memory`: bytes that sorting may hold. */
int ds_partset_new(ds_partset **out, size_t memory, ds_err *err);
void ds_partset_free(ds_partset *s); /* NULL is fine */

/* The next record, then its parts. */
int ds_partset_record(ds_partset *s, ds_err *err);
int ds_partset_part(ds_partset *s, const uint8_t hash[DS_PART_HASH], ds_err *err);
uint64_t ds_partset_records(const ds_partset *s);
uint64_t ds_partset_parts(const ds_partset *s);

/* After the last record, once. The first `before` records are only compared with. Of one record,
 * parts whose numbers differ by less than `reach` overlap, and are no copies of each other. */
int ds_partset_join(ds_partset *s, uint64_t before, unsigned reach, ds_err *err);
/* The parts of a record that stood before, in order: record << 32 | part. Lent. */
const uint64_t *ds_partset_again(const ds_partset *s, uint64_t record, size_t *n);

#endif
