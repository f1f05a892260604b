/* commitpass.h - a DSR stream into a store: every block checked, addressed, put; its manifest
 * written.
 *
 * The stream is read once, in constant memory. Blocks are hashed (and, where they are new,
 * sketched) on a pool and put in stream order, so that packs and manifest are the same for any
 * number of threads. Nothing is visible in the store until the caller finishes the transaction,
 * publishes the git pack and moves a ref: a broken stream changes nothing.
 *
 * Errors: what the reader says of the stream (DS_CORRUPT, DS_FAIL for an aborted one), DS_FAIL for
 * two records with one explicit key, or with `strict` for failures that the stream counts.
 */
#ifndef DS_COMMITPASS_H
#define DS_COMMITPASS_H

#include "manifest.h"
#include "spool.h"
#include "store.h"
#include "tail.h"

/* What a piece is, in the object layer's books. */
enum { DS_KIND_COLUMN = 1, DS_KIND_ORIGIN = 2, DS_KIND_SOURCES = 3 };

typedef struct ds_pass_opts {
    int threads;
    bool strict;
    /* The stream goes on this version, with the records of its last block first (append.h): its
     * other blocks and its sources come before. NULL: a version of its own. */
    const ds_tail *after;
    const char *ref; /* the branch; references into the store are compared with its head */
} ds_pass_opts;

typedef struct ds_pass {
    ds_meta meta;
    git_oid tree;
    uint64_t bytes_read; /* of the stream as it came */
    uint64_t erased;     /* blocks that records were erased from, and that read so again */
    ds_spool stats;      /* of columns that the store lacked: entries (statcache.h) */
} ds_pass;

/* Reads fd to its end. The transaction and the git pack are the caller's. */
int ds_pass_run(ds_pass *out, ds_store *s, ds_objtx *tx, ds_gitpack *pack, int fd, const char *path,
                const ds_pass_opts *o, ds_err *err);
void ds_pass_fini(ds_pass *p);

#endif
