/* leftover.h - what erasures left of a version, held against records that were made again.
 *
 * Records come in order. Where the version has a tombstone, the record that it stood for may come,
 * since its source still has it, or not; all others must come and be the same. Blocks are read one
 * at a time. One thread.
 */
#ifndef DS_LEFTOVER_H
#define DS_LEFTOVER_H

#include "recblock.h"

typedef struct ds_leftover {
    const ds_verside *side; /* borrowed */
    ds_recblock rec;        /* at the record that has to come */
    size_t next;            /* block */
    bool erased, have;      /* something was erased from the block; there is a record at hand */
    uint64_t ordinal;       /* of that record, in the version */
    uint64_t pending;       /* tombstones right before it */
    uint64_t gone;          /* tombstones passed in all */
} ds_leftover;              /* `side` set and the rest zeroed is valid */

/* The next record that was made: 1 fits, 0 differs: *column says where, -1 = none is left to come.
 * The record that should have come is then at hand. */
int ds_leftover_take(ds_leftover *l, const ds_colview *views, const ds_value *values, long *column,
                     ds_err *err);
/* Nothing more was made: 1 fits, 0: a record should have come, and is at hand. */
int ds_leftover_end(ds_leftover *l, ds_err *err);
void ds_leftover_fini(ds_leftover *l);

/* The first column in which the record at hand in a block is another one; -1: none. */
long ds_record_differs(const ds_recblock *rec, const ds_colview *views, const ds_value *values);

#endif
