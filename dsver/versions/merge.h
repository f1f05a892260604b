/* merge.h - three versions into one, record by record.
 *
 * What theirs did to base since is done to ours. The order is that of ours; a record that theirs
 * added comes after the record before it in theirs, the nearest that ours has (the first with that
 * key), or at the beginning. A record that both removed, added or changed to the same values is no
 * conflict; all else that both touched is one. All three have the same columns. Of files the names
 * must be those of a folder that can be made. Memory follows what
 * changed: some 100 bytes a record; where theirs are in another order, so does disk, below $TMPDIR.
 * The step in the result's provenance has the roots of all three, and how many conflicts were
 * decided for whom.
 */
#ifndef DS_MERGE_H
#define DS_MERGE_H

#include "streamfeed.h"
#include "verdiff.h"

#define DS_MERGE_TOOL "dsver merge" /* its step; of a revert too */

enum ds_favour { DS_FAVOUR_NONE, DS_FAVOUR_OURS, DS_FAVOUR_THEIRS };

typedef struct ds_merge_opts {
    int threads;
    enum ds_favour favour; /* for conflicts that `choose` leaves open */
    /* Who wins a conflict over this key; NULL = favour. */
    enum ds_favour (*choose)(void *ctx, const void *key, size_t len);
    void *choose_ctx;
    const git_oid *as; /* what is open after that is decided as this version has it; NULL: not */
} ds_merge_opts;

enum ds_mergeside { DS_MERGE_BASE, DS_MERGE_OURS, DS_MERGE_THEIRS };

typedef struct ds_conflict {
    char *key; /* NUL-terminated; len bytes without it */
    size_t len;
    enum ds_change ours, theirs;
    bool has[3];       /* by side: it has the record, */
    ds_recplace at[3]; /* here */
} ds_conflict;

typedef struct ds_merge_stats {
    uint64_t removed, changed, added; /* what comes from theirs */
    uint64_t conflicts, resolved;     /* left open; decided */
    uint64_t ours;                    /* of the decided ones: for ours */
} ds_merge_stats;

typedef struct ds_merge ds_merge;
int ds_merge_plan(ds_merge **out, ds_store *s, const git_oid *base, const git_oid *ours,
                  const git_oid *theirs, const ds_merge_opts *o, ds_err *err);
const ds_merge_stats *ds_merge_about(const ds_merge *m);
/* Those left open, in the order of theirs' version: first what theirs removed, in that of base. */
const ds_conflict *ds_merge_conflict(const ds_merge *m, size_t i);
/* All have the same columns. */
const ds_verside *ds_merge_side(const ds_merge *m, enum ds_mergeside which);
/* A thread begins to write the merged stream, to be read from feed->fd. It touches no git object: a
 * commit may read what it writes. */
int ds_merge_feed(ds_feed *feed, ds_merge *m, ds_err *err);
void ds_merge_free(ds_merge *m); /* NULL is fine */

#endif
