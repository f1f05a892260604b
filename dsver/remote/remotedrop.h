/* remotedrop.h - packs leave a remote while others push to it and other gcs are at work there.
 *
 * Our mark on each first, from which on nobody relies on them; then a look at all marks, and at the
 * refs: what the decision rests on must still hold. Who moved refs before that look is seen by it;
 * who moves them later looks at the marks once more when he has, and sends what went
 * (docs/store-format.md, "Remotes").
 */
#ifndef DS_REMOTEDROP_H
#define DS_REMOTEDROP_H

#include "remotemarks.h"
#include "remotesync.h"

typedef struct ds_remotedrop {
    ds_link *l;
    const ds_gitrefs *refs; /* by which nobody needs them */
    const ds_marks *seen;   /* only those go whose condemnation is still the same; NULL: all */
} ds_remotedrop;

/* 1 when everything is done that could be; 0 when the refs have moved: the rest is to be decided
 * anew. Those that went are added to gone. */
int ds_remotedrop_run(ds_shaset *gone, const ds_remotedrop *d, const ds_shaset *packs, ds_err *err);

#endif
