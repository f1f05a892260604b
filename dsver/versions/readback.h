/* readback.h - a version back into a DSR stream: blocks, sources, provenance and counts as they
 * were committed.
 *
 * Pieces are fetched ahead and checked on a pool; block addresses and both roots are recomputed on
 * the way, and the end frame is written only when they are those of the version. Memory: pieces in
 * flight, and a block's chunks (in a spool when large).
 */
#ifndef DS_READBACK_H
#define DS_READBACK_H

#include "manifest.h"
#include "store.h"

typedef struct ds_readback_opts {
    int threads;
    /* Of each block, whether it is written; NULL: all. The version's root is checked all the same,
     * from the blocks' addresses; the stream is without sources and has a root of its own. */
    const bool *only;
    ds_writer_opts writer;
} ds_readback_opts;

/* Writes the version's stream into `out`. When it fails after the first byte, an abort frame ends
 * the stream. */
int ds_readback_write(ds_out *out, ds_store *s, const git_oid *commit, const ds_readback_opts *o,
                      ds_err *err);

#endif
