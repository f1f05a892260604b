/* packdir.h - the folder in which the catalog's git packs lie. Zeroed is valid and empty. One
 * thread. */
#ifndef DS_PACKDIR_H
#define DS_PACKDIR_H

#include "buf.h"
#include "strlist.h"

typedef struct ds_packdir {
    char *path;
    ds_strlist names; /* of packs, without their extensions */
    ds_strlist junk;  /* whole names of what dead writers left */
} ds_packdir;

int ds_packdir_read(ds_packdir *d, const char *catalog, ds_err *err);
void ds_packdir_fini(ds_packdir *d);
/* Removes a file; one that is not there is fine. */
int ds_packdir_unlink(const ds_packdir *d, const char *name, const char *ext, ds_err *err);
/* What a pack's index lists (git_oid, in place of what was in `ids`): nothing when it was written
 * at `after` (seconds since 1970) or before, or is not there. DS_CORRUPT for one that is not whole.
 */
int ds_packdir_ids(ds_buf *ids, const ds_packdir *d, const char *name, int64_t after, ds_err *err);

#endif
