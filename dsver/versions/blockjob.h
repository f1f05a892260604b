/* blockjob.h - what a commit computes about one block (or one page of sources), apart from all
 * others.
 *
 * Filled by ds_blockjob_block or _page (main thread), computed by ds_blockjob_run (any thread; its
 * error is in job->err), then put into the store by ds_blockjob_put (main thread, in stream order).
 */
#ifndef DS_BLOCKJOB_H
#define DS_BLOCKJOB_H

#include "colstat.h"
#include "keycheck.h"
#include "manifest.h"
#include "objstore.h"
#include "overlay.h"

/* Whether a piece is to be put: the store lacks it, has it, or has it no longer and must not have
 * it again. The first two as ds_objstore_has_each has them. */
enum ds_known { DS_PIECE_NEW, DS_PIECE_KNOWN, DS_PIECE_ERASED };

/* What all jobs of a pass share, read only. */
typedef struct ds_blockctx {
    const ds_schema *schema;
    ds_objstore *objs;
    uint64_t *salts;          /* one a chunk: keeps the sketches of columns apart */
    const ds_overlay *erased; /* blocks and pages it replaces are not stored again; NULL: none */
} ds_blockctx;
int ds_blockctx_init(ds_blockctx *c, const ds_schema *s, ds_objstore *objs, ds_err *err);
void ds_blockctx_fini(ds_blockctx *c);

typedef struct ds_blockjob {
    bool page;       /* of sources, not a block */
    bool large;      /* chunks are lent, not copied: run and put before the reader goes on */
    uint64_t offset; /* in the stream, for messages */
    size_t nchunks;
    ds_chunk *chunks; /* head_len == 0 */
    ds_buf *copies;   /* the chunks' bytes when they are ours */
    ds_refs *refs;    /* of chunks that the store has */
    size_t cap;
    ds_buf ends;     /* size_t: where the pieces end in their chunk */
    ds_manline line; /* rows, chunk lengths and addresses */
    ds_buf known;    /* a byte a piece: enum ds_known */
    bool erased;     /* something was erased from this block: it reads as it did then */
    ds_buf sketches; /* ds_sketch a piece */
    ds_buf keys;     /* ds_keyhash a record, when keys are explicit */
    ds_buf stats;    /* statistics of columns that the store lacks: entries (statcache.h) */
    ds_colstat stat;
    ds_buf statbytes;
    ds_sha addr, origin;
    ds_hasher *hasher;
    ds_err err;
} ds_blockjob;

/* from: the reader whose block in hand b is, which its bytes are taken over from; NULL: they are
 * copied. A large block is lent. */
int ds_blockjob_block(ds_blockjob *j, const ds_block *b, ds_reader *from, ds_err *err);
int ds_blockjob_page(ds_blockjob *j, ds_buf *page, uint64_t rows,
                     ds_err *err); /* takes the bytes by exchange */
/* Of n jobs: their pieces are hashed together, which is faster than one after the other (hash.h).
 */
void ds_blockjob_run(ds_blockjob *v, size_t n, const ds_blockctx *c);
int ds_blockjob_put(ds_blockjob *j, const ds_blockctx *c, ds_objtx *tx, ds_err *err);
void ds_blockjob_fini(ds_blockjob *j);

#endif
