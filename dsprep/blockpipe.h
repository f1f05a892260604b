/* blockpipe.h - work on the blocks of a stream by many threads, with results taken in stream order.
 *
 * For each block: `prepare` (in order, on the caller's thread), `work` (any thread), `done` (in
 * order, on the caller's thread). For each source: `source`, after `done` of the blocks before it
 * and before that of the blocks after it. For each file's end: `end`, when all of its blocks are
 * done. So the outcome is the same for any number of threads.
 *
 * Memory is bounded: at most 2 blocks a thread are copied, of at most 4 MiB each; a larger block is
 * worked on in place on the caller's thread when those before it are done, through `big` where the
 * stage has one (work and done otherwise). A worker's memory lies in its state: state_size bytes,
 * zeroed at first, used again and again, freed by `fini`.
 */
#ifndef DS_BLOCKPIPE_H
#define DS_BLOCKPIPE_H

#include "instream.h"

typedef struct ds_blockpipe_ops {
    size_t state_size;
    int (*prepare)(void *ctx, void *state, const ds_block *b, ds_err *err);
    int (*work)(void *ctx, void *state, const ds_block *b,
                ds_err *err); /* ctx is shared: read only */
    int (*done)(void *ctx, void *state, const ds_block *b, ds_err *err);
    int (*big)(void *ctx, void *state, const ds_block *b, ds_err *err);
    int (*source)(void *ctx, const ds_source *s, ds_err *err); /* NULL: sources are passed over */
    int (*end)(void *ctx, ds_instream *in, ds_err *err);
    void (*fini)(void *state);
} ds_blockpipe_ops;

/* Reads `in` to the end of its last file. threads 0 = one for each processor. */
int ds_blockpipe_run(ds_instream *in, const ds_blockpipe_ops *ops, void *ctx, int threads,
                     ds_err *err);

#endif
