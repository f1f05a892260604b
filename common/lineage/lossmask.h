/* lossmask.h - which tokens of a data set are targets (docs/lineage-format.md, "Targets").
 *
 * A mask is a value of type runs beside a record's tokens: runs of 0 and 1 that cover them all; a
 * null says 1 for each. All masks of a data set are kept in memory, in some bytes a record. Adding
 * is for one thread, looking for any number.
 */
#ifndef DS_LOSSMASK_H
#define DS_LOSSMASK_H

#include "dsr_column.h"

/* Zeroed is valid: no records. */
typedef struct ds_lossmask {
    uint64_t records, targets; /* of whole records */
    ds_buf bytes;              /* of each record: varint 2 * runs + first value; lengths of runs */
    ds_buf index;              /* uint64_t: where every 64th record begins in bytes */
} ds_lossmask;
void ds_lossmask_fini(ds_lossmask *m);
/* The next record's mask. DS_FAIL names the record: a value other than 0 and 1, or another number
 * of tokens. */
int ds_lossmask_add(ds_lossmask *m, const ds_value *runs, uint64_t tokens, ds_err *err);
/* out[i] = the mask of token offset + i; m may be NULL: all 1. */
void ds_lossmask_get(const ds_lossmask *m, uint64_t record, uint32_t offset, uint32_t n,
                     uint8_t *out);
/* Are a record's values 0s and then 1s? *at is where the 1s begin. Its tokens are n. */
bool ds_lossmask_split(const ds_lossmask *m, uint64_t record, uint32_t n, uint32_t *at);
/* Targets of a piece: its tokens but the first whose mask is 1; m may be NULL. */
uint64_t ds_lossmask_targets(const ds_lossmask *m, uint64_t record, uint32_t offset, uint32_t n);

#endif
