/* statread.h - the statistics of a version's columns, whatever of them is stored already.
 *
 * Of blocks whose statistics are not stored the columns are read, by many threads, and what comes
 * out is stored. The same result for any number of threads, and whatever was stored.
 */
#ifndef DS_STATREAD_H
#define DS_STATREAD_H

#include "colstat.h"
#include "recblock.h"
#include "statcache.h"

typedef struct ds_verstats {
    ds_version version;
    ds_schema schema;
    ds_colstat *cols; /* by column */
    uint64_t blocks;  /* of the version */
    uint64_t read;    /* chunks whose values were read */
} ds_verstats;

typedef struct ds_statread_opts {
    const char *column; /* only this one (or that of the member COLUMN.NAME);
                            NULL: all. DS_FAIL when it is not there */
    int threads;
} ds_statread_opts;

/* Zeroed or fini'd before. */
int ds_verstats_read(ds_verstats *out, ds_store *s, const git_oid *commit,
                     const ds_statread_opts *o, ds_err *err);
void ds_verstats_fini(ds_verstats *v);

/* The entry's name of column i of a block. */
int ds_stat_chunk_id(ds_sha *out, const ds_schema *s, const ds_manline *l, size_t i, ds_err *err);

/* Leaves the statistics of blocks that the head of a branch has; with `wholes` none of versions. */
int ds_stats_prune(ds_store *s, bool wholes, ds_err *err);

#endif
