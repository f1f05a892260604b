/* relied.h - that a remote keeps what a push relies on there (docs/store-format.md, "Remotes").
 *
 * Refs may move when gc/ was listed and packs/ after that, and every piece of the new versions, and
 * all that these are built on, lies in a pack that counts by the second listing and has no mark in
 * the first. A gc that condemns such a pack afterwards leaves it its time of grace.
 */
#ifndef DS_RELIED_H
#define DS_RELIED_H

#include "transfer.h"

typedef struct ds_relied {
    ds_remotestate state; /* of the last look */
    ds_sha lacks;         /* a piece that is in no pack */
    bool gc;              /* some gc is at work there: it has left marks */
} ds_relied;

/* Looks whether packs without a mark hold all of `want`, and what that is built on; if not, takes
 * the first mark away from those that do, until all is as above: 1. 0 when it cannot be, for some
 * of it is in no pack; what is known of the remote (t->index) is of now then, so that a new plan
 * says what is to be sent. Waits for a gc that deletes such a pack at this moment; DS_LOCKED when
 * that does not get on. out zeroed before. */
int ds_relied_settle(ds_relied *out, const ds_transfer *t, const ds_shaset *want, ds_err *err);
/* Packs of these names, which were put there just now, are condemned no more. */
int ds_relied_spare(const ds_transfer *t, const ds_shaset *packs, ds_err *err);

#endif
