/* storefind.h - where a store is, and which one it is. Needs neither catalog nor packs. */
#ifndef DS_STOREFIND_H
#define DS_STOREFIND_H

#include "dsr_refs.h"
#include "sharing.h"

#define DS_STORE_DIR ".dsver"
#define DS_CONFIG_SHARED "dsver.shared"
#define DS_STORE_FILES "files" /* below it: what producers know of files (a cache) */

/* dir/name; caller frees. */
int ds_store_path(char **path, const char *dir, const char *name, ds_err *err);
/* Whether this folder is a store: it holds a config file. */
bool ds_store_is(const char *dir);
/* The store's folder: `given` (the folder itself or one that holds it) if not NULL, else
 * $DSVER_STORE, else the first .dsver upward from the working directory. DS_NOSTORE with a hint.
 * Caller frees *dir. From now on what is made in it is for whom its configuration says (sharing.h).
 */
int ds_store_find(char **dir, const char *given, ds_err *err);
/* The same for one who only reads its configuration, whatever that says. */
int ds_store_find_config(char **dir, const char *given, ds_err *err);
/* Whom its configuration says that a store is shared with: 1, 0 it says what nobody knows, < 0. */
int ds_store_shared(enum ds_sharing *how, const char *dir, ds_err *err);
/* A store's own number, in the file `id`, which references to its pieces name. Where it has none
 * yet one is drawn, or, without `draw`, it is all zeros. */
int ds_store_id(ds_storeid *id, const char *dir, bool draw, ds_err *err);
/* For a store that has none yet. All zeros: it keeps none. */
int ds_store_id_set(const char *dir, const ds_storeid *id, ds_err *err);

#endif
