/* refchunk.h - chunks that a stream tells of by references into this store (dsr_refs.h): whether
 * they may be believed.
 *
 * Every piece must be here; gc is kept out by the caller's hold. A chunk that the version before
 * has for a block of as many rows, in the same column, was looked at when it was committed, and is
 * taken as it is; lines of that version's manifest are read along with the stream, in bounded
 * memory. Any other is read from the store, to be checked as if it had come in the stream.
 *
 * Where blocks end is decided by the primary column. What a reference claims of its rows is taken
 * only where it decides nothing, since the block and seven records before it stand in the version
 * before as in the stream and a block follows there; the chunk is read everywhere else, and the
 * records before it are, too, when they were not.
 *
 * Errors: DS_FAIL for a piece that is not here. One thread.
 */
#ifndef DS_REFCHUNK_H
#define DS_REFCHUNK_H

#include "manifest.h"
#include "store.h"

typedef struct ds_refcheck ds_refcheck;
/* Borrows all. `ref`: the branch whose head is the version before; NULL or not there: none. */
int ds_refcheck_new(ds_refcheck **c, ds_store *s, const ds_schema *schema, const char *ref,
                    ds_err *err);
/* *out is the block, or one like it in which chunks were read; lent until the next call. */
int ds_refcheck_block(ds_refcheck *c, const ds_block *b, const ds_block **out, ds_err *err);
void ds_refcheck_free(ds_refcheck *c);

#endif
