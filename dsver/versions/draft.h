/* draft.h - a stream as the version that it would become, while nothing is written to the store.
 *
 * The stream is committed to a store in a temporary folder that is laid over the real one
 * (ds_store_lay_over): it is checked as a commit checks it, and what the store has is not kept
 * twice. In that store both the versions that there are and the draft can be read. One thread.
 */
#ifndef DS_DRAFT_H
#define DS_DRAFT_H

#include "publish.h"
#include "revision.h"
#include "strlist.h"

typedef struct ds_draft {
    ds_store store;
    git_oid id; /* the version's; the one that it goes on when that is the same */
    char *dir;
    ds_store *held; /* gc is kept out of it; NULL: it cannot be, or nothing is */
} ds_draft;         /* a zeroed object may be closed */

typedef struct ds_draft_input {
    int fd; /* read to its end */
    const char *path;
    const ds_strlist
        *more; /* files behind it, one stream with it (a folder of shards); NULL: none */
} ds_draft_input;

/* `on`: the version that it would go on, in `s`, which is borrowed. Errors as ds_publish_stream. */
int ds_draft_make(ds_draft *d, ds_store *s, const ds_revision *on, const ds_draft_input *in,
                  int threads, ds_err *err);
void ds_draft_close(ds_draft *d);

#endif
