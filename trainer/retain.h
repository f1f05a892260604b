/* retain.h - which checkpoints of a run stay on disk.
 *
 * Kept are the last `last`, every one whose step is a multiple of `every`, and the
 * best. What replay, audit and the catalog need of the others is not lost with
 * them: each checkpoint holds the whole ledger before it, the catalog has their lineage.json, and a
 * stretch that began at a removed one is replayed from one before it, or from the beginning.
 *
 * A checkpoint disappears by rename to .NAME.old, which is then emptied: there is never half a
 * checkpoint under its name. Folders that are not of this run are left alone.
 */
#ifndef DS_RETAIN_H
#define DS_RETAIN_H

#include "hash.h"

typedef struct ds_retain_conf {
    uint64_t last, every; /* last 0: nothing is removed; every 0: none */
    uint64_t best;        /* a step; 0: none */
} ds_retain_conf;

/* Called for each checkpoint that was removed. */
typedef void (*ds_retain_fn)(void *ctx, uint64_t step);
int ds_retain(const char *run_dir, const ds_sha *run, const ds_retain_conf *c, ds_retain_fn fn,
              void *ctx, ds_err *err);
/* What a run that was killed left half written or half removed. */
void ds_retain_sweep(const char *run_dir);
/* RUN/best leads to the checkpoint of a step, or is gone: 0. */
int ds_retain_best(const char *run_dir, uint64_t step, ds_err *err);

#endif
