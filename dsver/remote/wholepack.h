/* wholepack.h - a pack as it is, from a remote into a store's tmp/, and from there into packs/.
 *
 * Checked against its name, which is its SHA-256, while it comes. Any number of threads. Errors:
 * those of remote.h; DS_CORRUPT when its bytes are others at every try.
 */
#ifndef DS_WHOLEPACK_H
#define DS_WHOLEPACK_H

#include <stdatomic.h>

#include "objindex.h"
#include "remote.h"

typedef struct ds_wholepack {
    const char *dir; /* the store's */
    ds_remote *remote;
    const ds_packrow *pack;
    const atomic_bool *stop; /* it is not wanted any more, which is an error; NULL: it is */
} ds_wholepack;

/* *path, freed by the caller: a file in tmp/, the caller's to name or remove. NULL on failure. */
int ds_wholepack_get(char **path, const ds_wholepack *w, ds_err *err);
/* Syncs that file and gives it its name; removes it on failure. The caller syncs the folder. */
int ds_wholepack_name(const char *dir, const char *path, const ds_sha *name, ds_err *err);

#endif
