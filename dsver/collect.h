/* collect.h - garbage: pieces that no version needs, what dead writers left, many small packs.
 *
 * Live is what any ref of the catalog leads to, through all of history, and what readers hold
 * (pin.h). Writers and readers go on while all that is marked and packs are copied; writers wait
 * for the moment in which what they added meanwhile is marked as well and the old packs go.
 */
#ifndef DS_COLLECT_H
#define DS_COLLECT_H

#include "store.h"
#include "tidy.h"

typedef struct ds_collected {
    ds_gcstats objs;
    uint64_t versions; /* that were marked */
    uint64_t missing;  /* pieces that versions need and the store lacks: run fsck */
    ds_tidied catalog;
    uint64_t kept_expired; /* heads that a reset or a deleted branch left, let go */
} ds_collected;

/* DS_LOCKED when `wait` is false and a writer is at work. DS_CORRUPT, with nothing removed, when a
 * version cannot be read. */
typedef struct ds_collect_opts {
    bool dry_run, wait;
    int64_t grace; /* seconds for which heads that refs left behind stay alive */
} ds_collect_opts;
int ds_collect_run(ds_collected *out, ds_store *s, const ds_collect_opts *o, ds_err *err);

#endif
