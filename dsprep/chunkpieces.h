/* chunkpieces.h - addresses of the pieces of a chunk that is about to be written, for who remembers
 * them and refers to them another time (dsr_refs.h). One thread. */
#ifndef DS_CHUNKPIECES_H
#define DS_CHUNKPIECES_H

#include "dsr_column.h"
#include "dsr_refs.h"
#include "objstore.h"

/* before || [at, at + n) of the chunk, in one place: the chunk's own, or the window. NULL: memory.
 */
const uint8_t *ds_chunk_bytes(ds_buf *window, const void *before, size_t len, const ds_chunk *c,
                              size_t at, size_t n);
/* Adds them all; what lies in a spool is let go of behind them. */
int ds_chunk_pieces(ds_refs *refs, ds_buf *window, const ds_chunk *c, ds_err *err);
/* Whether a store has them all. */
bool ds_chunk_stored(const ds_refs *refs, ds_objstore *objs);

#endif
