/* gitwalk.h - all git objects that some lead to: commits to trees and parents, trees to what they
 * list, tags to what they name.
 *
 * Blobs are noted and not read, unless the walk is to look at them too. One thread. Zeroed with
 * `find` set is valid and empty.
 */
#ifndef DS_GITWALK_H
#define DS_GITWALK_H

#include <git2.h>

#include "buf.h"
#include "oidset.h"

typedef struct ds_gitwalk {
    /* 1 the object, to be freed here; 0 it is passed over; < 0 error. */
    int (*find)(void *ctx, git_object **o, const git_oid *id, ds_err *err);
    void *ctx;
    bool blobs;       /* find is asked for those as well */
    ds_oidset needed; /* what was come to */
    ds_buf todo;      /* git_oid, to be followed */
} ds_gitwalk;

int ds_gitwalk_add(ds_gitwalk *w, const git_oid *id, ds_err *err);
/* Follows all that was added. */
int ds_gitwalk_run(ds_gitwalk *w, ds_err *err);
void ds_gitwalk_fini(ds_gitwalk *w);

#endif
