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
    uint64_t detached; /* pieces stored anew, since what they were stored against went */
    ds_tidied catalog;
    uint64_t kept_expired; /* heads that a reset or a deleted branch left, let go */
    bool kept;             /* there are such heads that stay; ds_collect_cramped alone tells */
} ds_collected;

/* DS_LOCKED when `wait` is false and a writer is at work. DS_CORRUPT, with nothing removed, when a
 * version cannot be read. */
typedef struct ds_collect_opts {
    bool dry_run, wait;
    int64_t grace; /* seconds for which heads that refs left behind stay alive */
} ds_collect_opts;
/* After an erasure that was not carried through it purges as below. */
int ds_collect_run(ds_collected *out, ds_store *s, const ds_collect_opts *o, ds_err *err);

/* When that ends with DS_NOROOM: what can go without any room does. Packs in which nothing is live,
 * what dead writers left; caches where that is not enough. *s is opened bare. The rest is for
 * ds_collect_run, once there is room. Nothing goes when a piece that a version needs is missing;
 * out->objs.dead counts what went. DS_NOROOM: there was no room to make the index anew, and the
 * store waits for `dsver reindex`. */
int ds_collect_cramped(ds_collected *out, ds_store *s, const ds_collect_opts *o, ds_err *err);

/* All but what versions need goes, down to the last dead piece of a pack. alone: from now on nobody
 * else writes or collects. purge: afterwards the catalog says that erasures are carried through. */
int ds_collect_alone(ds_objgc **gc, ds_store *s, bool wait, ds_err *err);
/* Carries through what a command that died, or a fetch, left to do; nothing to do is fine. */
int ds_collect_pending(ds_collected *out, ds_store *s, bool wait, ds_err *err);
int ds_collect_purge(ds_collected *out, ds_store *s, ds_objgc *gc, int threads, ds_err *err);

#endif
