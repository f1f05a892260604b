/* store.h - a dsver store: where it is, its configuration, and its two layers (objects and
 * catalog).
 *
 *     .dsver/ config catalog.git/ packs/ index.db locks/ tmp/
 *
 * A folder is a store when it holds a `config` file, which is written last when a store is made.
 * Format: docs/store-format.md. A ds_store belongs to one thread; its object layer may be used by
 * many (objstore.h).
 */
#ifndef DS_STORE_H
#define DS_STORE_H

#include "catalog.h"
#include "objstore.h"
#include "sharing.h"
#include "storefind.h"

typedef struct ds_lazy ds_lazy;

typedef struct ds_store {
    char *dir; /* of the store itself: ".../.dsver" */
    ds_catalog *cat;
    ds_objstore *objs;
    ds_lazy *lazy; /* pieces that are not here are fetched when they are read (lazy.h); NULL: no */
    struct ds_store *under; /* what is not here is read there; NULL: nowhere */
} ds_store;

/* Makes DIR/.dsver, for whom `how` says. *made (may be NULL) = false when it was there already;
 * what a dead init left is completed. DS_USAGE for an empty name. */
int ds_store_init(const char *dir, enum ds_sharing how, bool *made, ds_err *err);
/* Finds and opens. Caller closes; a zeroed object may be closed. */
int ds_store_open(ds_store *s, const char *given, enum ds_objmode mode, ds_err *err);
/* The same without its objects, which cannot be opened just now: objs is NULL. */
int ds_store_open_bare(ds_store *s, const char *given, ds_err *err);
void ds_store_close(ds_store *s);
/* An empty one in a temporary folder, *dir; both go with close_temp, which takes NULL in *dir. */
int ds_store_open_temp(ds_store *s, char **dir, ds_err *err);
void ds_store_close_temp(ds_store *s, char **dir);
/* Makes an empty store, open for writing, read as if all that `under` holds were in it: versions,
 * pieces, what was erased, statistics. `under` is borrowed, and nothing is written to it. */
int ds_store_lay_over(ds_store *s, ds_store *under, ds_err *err);
/* Whom it is for from now on: what is made in it. What is there already is modes.h's. */
int ds_store_share(ds_store *s, enum ds_sharing how, ds_err *err);
/* Where the configuration says of sharing what nobody knows, it says this from now on: such a store
 * cannot be opened. Others stay as they are. */
int ds_store_reshare(const char *given, enum ds_sharing how, ds_err *err);
/* Who does what to the store from now on, and why, for its operation log (oplog.h). */
int ds_store_act(ds_store *s, const char *command, const char *author, const char *reason,
                 ds_err *err);

/* ---- configuration: git-config syntax ---- */
/* Known names: dsver.dataset (the dataset when none is named), user.name, user.email. 1 found, 0
 * not, < 0 error. Names with a dot but unknown are kept too. With `inherit` git's own configuration
 * of user and system is asked next. */
int ds_config_get(ds_buf *value, const char *dir, const char *name, bool inherit, ds_err *err);
int ds_config_set(const char *dir, const char *name, const char *value,
                  ds_err *err); /* value NULL: unset */
typedef int (*ds_config_fn)(void *ctx, const char *name, const char *value);
int ds_config_each(const char *dir, ds_config_fn fn, void *ctx, ds_err *err);

#endif
