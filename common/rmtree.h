/* rmtree.h - a folder goes, with all that is in it; one that is there only for a while. */
#ifndef DS_RMTREE_H
#define DS_RMTREE_H

#include "error.h"

/* As far as it can; links are removed, not followed. Nothing there is fine. */
void ds_remove_tree(const char *path);
/* A new folder below $TMPDIR that only its owner may enter: $TMPDIR/NAME-XXXXXX. Caller frees. */
int ds_temp_folder(char **dir, const char *name, ds_err *err);
/* A new folder that is to take the name `dir`: DIR.dsver-XXXXXX beside it. *lock, to be closed by
 * the caller, says that it is being filled; those that nobody fills any more, of runs that were
 * killed, go. Caller frees *path. */
int ds_beside_folder(char **path, int *lock, const char *dir, ds_err *err);

#endif
