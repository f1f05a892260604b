/* repair.h - pieces that are missing or damaged come from a second store, which holds the same
 * data.
 *
 * Every piece that a version needs is read and its address checked; those that fail are taken from
 * the other store, checked there too, and stored anew; then all that no version needs goes, damaged
 * objects with it. With nobody else writing.
 */
#ifndef DS_REPAIR_H
#define DS_REPAIR_H

#include "collect.h"
#include "mend.h"

typedef struct ds_repaired {
    uint64_t pieces; /* looked at */
    uint64_t bad;    /* missing or damaged */
    uint64_t healed; /* of those */
    ds_sha lost;     /* one that the other store has not either, when healed < bad */
} ds_repaired;

typedef struct ds_repair_opts {
    const char *name; /* of the other store, in messages */
    int threads;
    bool wait;
} ds_repair_opts;

/* from: the other store, open. mended: what ds_mend_store left, of which refs that may never have
 * been made are settled first. DS_CORRUPT when some could not be had: the others are repaired all
 * the same. */
int ds_repair_run(ds_repaired *out, ds_mended *mended, ds_store *s, ds_store *from,
                  const ds_repair_opts *o, ds_err *err);

#endif
