/* remotemarks.h - what a gc of a remote says of packs there, in files that all who push read:
 *
 *     gc/<64 hex>.condemned          no version needed it then; after a time of grace it goes
 *     gc/<64 hex>.deleting-<16 hex>  the gc of that number is about to delete it: nobody may rely
 * on it any more
 *
 * Who pushes versions that need a condemned pack takes the first mark away and then looks for the
 * second (relied.h); gc puts the second, one of its own, and then looks whether the first is still
 * there (remotedrop.h). So one of the two sees the other, however many gcs are at work, and no lock
 * is needed (docs/store-format.md, "Remotes"). Ages are by the remote's own clock.
 */
#ifndef DS_REMOTEMARKS_H
#define DS_REMOTEMARKS_H

#include "buf.h"
#include "hash.h"
#include "remote.h"

/* Seconds: a gc that does not come to delete a pack for so long after its mark lets it be, and so
 * much later its mark is that of a gc that died. */
enum { DS_MARK_LEASE = 300, DS_MARK_DEAD = 900 };

typedef struct ds_packmark {
    ds_sha pack;
    int64_t condemned, deleting; /* since when, the latest of them; 0: not */
    bool mine;                   /* one of those that delete it is the reader of this list */
} ds_packmark;
typedef struct ds_marks {
    ds_buf v;    /* ds_packmark, sorted */
    uint64_t me; /* the number of the gc whose list it is; 0: none */
} ds_marks;

int ds_marks_me(ds_marks *m, ds_err *err);                               /* draws a number */
int ds_marks_list(ds_marks *m, ds_remote *r, ds_err *err);               /* replaces */
const ds_packmark *ds_marks_find(const ds_marks *m, const ds_sha *pack); /* NULL: none */
void ds_marks_fini(ds_marks *m);

int ds_marks_condemn(ds_remote *r, const ds_sha *pack, ds_err *err);
int ds_marks_spare(ds_remote *r, const ds_sha *pack, ds_err *err); /* takes that away */
/* The second mark, that of m->me. */
int ds_marks_claim(const ds_marks *m, ds_remote *r, const ds_sha *pack, ds_err *err);
int ds_marks_let_go(const ds_marks *m, ds_remote *r, const ds_sha *pack, ds_err *err);
/* What time it is there. */
int ds_marks_now(int64_t *now, ds_remote *r, ds_err *err);
/* Second marks of gcs that died go; *n: how many. */
int ds_marks_bury(uint64_t *n, ds_remote *r, int64_t now, ds_err *err);

#endif
