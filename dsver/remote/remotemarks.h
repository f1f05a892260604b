/* remotemarks.h - what a gc of a remote says of packs there, in files that all who push read:
 *
 *     gc/<64 hex>.condemned   no version needed it then; after a time of grace it goes
 *     gc/<64 hex>.deleting    it goes now: nobody may rely on it any more
 *
 * Who pushes versions that need a condemned pack takes the first mark away and then looks for the
 * second (relied.h); gc puts the second and then looks whether the first is still there. So one of
 * the two sees the other, and no lock is needed (docs/store-format.md, "Remotes"). Ages are by the
 * remote's own clock.
 */
#ifndef DS_REMOTEMARKS_H
#define DS_REMOTEMARKS_H

#include "buf.h"
#include "hash.h"
#include "remote.h"

typedef struct ds_packmark {
    ds_sha pack;
    int64_t condemned, deleting; /* since when; 0: not */
} ds_packmark;
typedef struct ds_marks {
    ds_buf v; /* ds_packmark, sorted */
} ds_marks;

int ds_marks_list(ds_marks *m, ds_remote *r, ds_err *err);               /* replaces */
const ds_packmark *ds_marks_find(const ds_marks *m, const ds_sha *pack); /* NULL: none */
void ds_marks_fini(ds_marks *m);

int ds_marks_put(ds_remote *r, const ds_sha *pack, bool deleting, ds_err *err);
int ds_marks_drop(ds_remote *r, const ds_sha *pack, bool deleting, ds_err *err);
/* What time it is there. */
int ds_marks_now(int64_t *now, ds_remote *r, ds_err *err);

#endif
