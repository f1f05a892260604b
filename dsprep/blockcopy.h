/* blockcopy.h - a block of one's own: the reader lends a block only until the next one, a worker
 * needs it longer.
 *
 * A zeroed object is valid and empty. Setting it again reuses its memory. One thread at a time.
 */
#ifndef DS_BLOCKCOPY_H
#define DS_BLOCKCOPY_H

#include "dsr_io.h"

typedef struct ds_blockcopy {
    ds_block block; /* points into the buffers below */
    ds_buf bytes, chunks, npieces, ends, lists;
} ds_blockcopy;

size_t ds_block_bytes(const ds_block *b); /* of all its chunks */
int ds_blockcopy_set(ds_blockcopy *c, const ds_block *b, ds_err *err);
void ds_blockcopy_fini(ds_blockcopy *c);

#endif
