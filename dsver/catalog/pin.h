/* pin.h - a reader keeps the version that it reads alive.
 *
 * A version that a branch leads to stays anyway. One that is left behind while it is read - a
 * reset, a deleted branch, `gc --grace 0` - would lose its pieces under a reader of hours. So a
 * reader leaves a file in locks/readers that names the commit, and holds a lock on it: gc takes it
 * for a root, and removes those whose reader is dead. In a store that cannot be written nothing is
 * left, and nothing collected either; on a full disk gc is kept out until the reader's end.
 *
 *     ds_pin_begin; find the version; ds_pin_set; read; ds_pin_end
 *
 * Between begin and set gc is kept out. One thread.
 */
#ifndef DS_PIN_H
#define DS_PIN_H

#include "store.h"

typedef struct ds_pin {
    char *path;
    int gate; /* on gc.lock */
    int fd;
} ds_pin;

int ds_pin_begin(ds_pin *p, ds_store *s, ds_err *err);
int ds_pin_set(ds_pin *p, ds_store *s, const git_oid *commit, ds_err *err);
void ds_pin_end(ds_pin *p); /* what ds_pin_begin was called for, in any state */

/* Commits that readers hold; files of dead ones go. Non-zero from fn stops and is returned. */
typedef int (*ds_pin_fn)(void *ctx, const git_oid *commit, ds_err *err);
int ds_pin_each(ds_store *s, ds_pin_fn fn, void *ctx, ds_err *err);

#endif
