/* blockwalk.h - blocks looked at by many threads, one after the other for whoever takes the
 * results.
 *
 * `next` names blocks, `work` looks at one on any thread, `done` takes what came out, in the order
 * in which the blocks were named: the same for any number of threads.
 */
#ifndef DS_BLOCKWALK_H
#define DS_BLOCKWALK_H

#include "recblock.h"

/* A caller's own begins with it; zeroed at first, and used again for one block after the other. */
typedef struct ds_blocklook {
    const ds_verside *side;
    size_t block;
    bool alone;      /* a large block: all before it are done with, and none is at work beside it */
    ds_recblock rec; /* work's: loaded with side and block, all columns of `only` */
    ds_err err;
} ds_blocklook;

typedef struct ds_blockwalk {
    size_t size;                              /* of a look */
    const bool *only;                         /* columns; NULL = all */
    bool origins;                             /* load the origin chunk too */
    bool (*next)(void *ctx, ds_blocklook *l); /* sets side and block; false: no more */
    int (*work)(void *ctx, ds_blocklook *l);  /* the block is loaded; errors go to l->err */
    int (*done)(void *ctx, ds_blocklook *l, ds_err *err); /* non-zero stops and is returned */
    void (*fini)(ds_blocklook *l);                        /* of what is the caller's; may be NULL */
    void *ctx;
} ds_blockwalk;

int ds_blockwalk_run(const ds_blockwalk *w, int threads, ds_err *err);

#endif
