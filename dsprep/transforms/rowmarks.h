/* rowmarks.h - the marks of a block's records: what those share that belong together (dupset.h).
 *
 * A worker makes them, record by record; whoever takes the blocks in order tells them to the set.
 * Zeroed at first; one thread at a time.
 */
#ifndef DS_ROWMARKS_H
#define DS_ROWMARKS_H

#include "dupset.h"
#include "minhash.h"

typedef struct ds_rowmarks {
    ds_minwork min;
    ds_buf bands;  /* u64: hashes of one text */
    ds_buf marks;  /* of the block's records, one after the other */
    ds_buf counts; /* u32 a record */
    uint32_t n;    /* of the record at hand */
} ds_rowmarks;

void ds_rowmarks_reset(ds_rowmarks *m); /* for another block */
/* What a text shares with those that are nearly the same; nothing for one without words. */
int ds_rowmarks_near(ds_rowmarks *m, const ds_minhash *h, const uint8_t *p, size_t len,
                     ds_err *err);
/* What it shares with those of the same bytes. */
int ds_rowmarks_same(ds_rowmarks *m, const uint8_t *p, size_t len, ds_err *err);
int ds_rowmarks_end(ds_rowmarks *m, ds_err *err); /* the record ends, with or without marks */
/* Those of record `row` of the block, whose turn it is in the set; *at is 0 before the first. */
int ds_rowmarks_tell(const ds_rowmarks *m, uint64_t row, size_t *at, ds_dupset *set, ds_err *err);
void ds_rowmarks_fini(ds_rowmarks *m);

#endif
