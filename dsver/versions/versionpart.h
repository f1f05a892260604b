/* versionpart.h - a part of a version: its blocks that hold some keys or lie in some shards, and of
 * these some columns; and the pieces that it is made of.
 *
 * A shard is what a file of the manifest lists, numbered from 0 (the view `shards` of dsver sql).
 * To find keys, the columns that keys are made of are read, of the shards in question.
 */
#ifndef DS_VERSIONPART_H
#define DS_VERSIONPART_H

#include "shaset.h"
#include "store.h"

typedef struct ds_versionpart {
    const char *from_key, *to_key; /* both belong to it, byte by byte; NULL: no limit */
    uint64_t from_shard, to_shard; /* both belong to it; 0 and UINT64_MAX: all */
    const char *const *columns;    /* n = 0: all, and what says where records came from */
    size_t ncolumns;
} ds_versionpart;

typedef struct ds_partsize {
    uint64_t blocks, records; /* that it has */
    uint64_t of;              /* blocks of the version */
} ds_partsize;

/* Adds its pieces. DS_FAIL when there is no such column or shard, or no such key. */
int ds_versionpart_pieces(ds_shaset *out, ds_partsize *size, ds_store *s, const git_oid *commit,
                          const ds_versionpart *p, ds_err *err);

#endif
