/* tail.h - the end of a version, as far as records that follow it depend on it.
 *
 * All blocks but the last stay what they are; the last goes on where the stream ended. Where blocks
 * end depends on the records right before them, origins on the one range before them. Reading it
 * takes the primary columns of a block or two and all origin chunks, or those that are new since a
 * tail that is handed in. One thread.
 */
#ifndef DS_TAIL_H
#define DS_TAIL_H

#include "dsr_origin.h"
#include "recblock.h"

#define DS_TAIL_WINDOW 7 /* records before a block that have a say in where it ends */

typedef struct ds_tail {
    ds_verside side;
    ds_meta meta;
    ds_buf provenance;
    size_t keep;                     /* blocks that stay */
    uint64_t window[DS_TAIL_WINDOW]; /* hashes of the last nwindow records in them */
    size_t nwindow;
    ds_origin_state origin; /* behind them */
} ds_tail;                  /* a zeroed object is valid */

/* `before`: the tail of an earlier version of which this one goes on, or NULL. */
int ds_tail_open(ds_tail *t, ds_store *s, const git_oid *commit, const ds_tail *before,
                 ds_err *err);
void ds_tail_fini(ds_tail *t);

#endif
