/* reorder.h - a stream whose records come out in another order: the frame of shuffle and sort.
 *
 * Workers say by which bytes each record is sorted (its key) and pack it; packed records lie one
 * behind the other in a file without a name in $TMPDIR, what they are sorted by goes through an
 * external sort, and then they are read in the new order through a mapping. Records with equal keys
 * stay in the order of the input. Keys of at most DS_REORDER_SHORT bytes take 32 bytes each in the
 * sort; what longer ones have behind that lies in a second file that comparisons look into.
 *
 * Origins go with the records, sources stand behind the last block (any block may name any of
 * them), counts of what was held and failed before are kept, blocks are cut anew. The outcome is
 * the same for any number of threads and any memory.
 */
#ifndef DS_REORDER_H
#define DS_REORDER_H

#include "dsr_origin.h"
#include "rowstage.h"

enum { DS_REORDER_SHORT = 16 };

typedef struct ds_reorder {
    const char *tool; /* "dsprep sort" */
    const json_t *options;
    size_t memory;     /* of the sort */
    size_t state_size; /* of a worker's memory: zeroed at first */
    /* Any thread; ctx is only read. Appends the key, ordered bytewise. No key may begin with
     * another one. Values of utf8 and JSON are well formed. */
    int (*key)(const void *ctx, void *state, const ds_colview *views, const ds_value *values,
               const ds_range *ranges, size_t nranges, ds_buf *key, ds_err *err);
    void (*fini)(void *state);
} ds_reorder;

/* Reads `in` to its end and writes the output. *records: how many there were. */
int ds_reorder_run(uint64_t *records, ds_instream *in, const ds_reorder *r, const void *ctx,
                   const ds_rowopts *o, ds_err *err);

#endif
