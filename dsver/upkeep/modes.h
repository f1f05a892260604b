/* modes.h - the permissions and groups of a shared store's files (sharing.h): which are not what
 * they are to be, and made so.
 *
 * Somebody's tar, cp or rsync, a git command with another umask, or a store that was not shared
 * before. Only the owner of a file, or root, can change it, so each tells whose it is.
 */
#ifndef DS_MODES_H
#define DS_MODES_H

#include "store.h"

typedef struct ds_wrongmode {
    const char *file;   /* in the store; "." is the store's folder */
    const char *reason; /* what it is, what it is to be, and whose it is */
    bool mended;
} ds_wrongmode;
typedef void (*ds_mode_fn)(void *ctx, const ds_wrongmode *w);

typedef struct ds_modes {
    uint64_t wrong, mended;
} ds_modes;

/* Looks at all of a store's folder; nothing is wrong in one that is not shared. With `mend` what
 * this process may change is changed. A file that is just being made is no fault: what is wrong is
 * looked at twice. fn may be NULL. */
int ds_modes_check(ds_modes *out, const char *store, bool mend, ds_mode_fn fn, void *ctx,
                   ds_err *err);

#endif
