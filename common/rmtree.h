/* rmtree.h - a folder goes, with all that is in it; one that is there only for a while. */
#ifndef DS_RMTREE_H
#define DS_RMTREE_H

#include "error.h"

/* As far as it can; links are removed, not followed. Nothing there is fine. */
void ds_remove_tree(const char *path);
/* A new folder below $TMPDIR that only its owner may enter: $TMPDIR/NAME-XXXXXX. Caller frees. */
int ds_temp_folder(char **dir, const char *name, ds_err *err);

#endif
