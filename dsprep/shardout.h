/* shardout.h - records into one stream on standard output, or into shard files in a folder.
 *
 * Shards are shard-00000.dsr, shard-00001.dsr, ...: each a stream of its own with all its sources,
 * ended at the first block bound past the size asked for. A shard whose last source has not been
 * read to its end waits for that source's digest; past 200 such shards the last one grows instead.
 * Files appear when all is done, and until then lie in a hidden folder beside; when anything fails
 * none stays. A zeroed object is no valid one: _open first. One thread.
 */
#ifndef DS_SHARDOUT_H
#define DS_SHARDOUT_H

#include "dsr_rows.h"

typedef struct ds_shardout ds_shardout;

typedef struct ds_shardopts {
    const char *dir; /* NULL = standard output */
    int64_t size;    /* bytes of a shard */
    int64_t level;   /* zstd; -1: 3 for files, 0 for a pipe */
} ds_shardopts;

#define DS_SHARD_SIZE (INT64_C(64) << 20) /* where none is said */
#define DS_SHARDOPTS_DEFAULTS                                                                      \
    {                                                                                              \
        .level = -1                                                                                \
    }

/* Borrows schema and provenance. Makes the folder; one that holds shards already is refused. */
int ds_shardout_open(ds_shardout **s, const ds_shardopts *o, const ds_schema *schema,
                     const void *prov, size_t prov_len, ds_err *err);
/* Where the next record goes; after ds_rows_begin up to ds_shardout_row it is the same. */
int ds_shardout_rows(ds_shardout *s, ds_rows **rows, ds_err *err);
/* The range of the open record in the current source; then the end of the record. */
int ds_shardout_row(ds_shardout *s, uint64_t offset, uint64_t len, ds_err *err);
/* On standard output only: a column's values come late (dsr_rows.h), or are references into a
 * store.
 */
int ds_shardout_late(ds_shardout *s, const ds_rows_late *late, const ds_storeid *store,
                     ds_err *err);
/* ds_shardout_row for a record whose late value is still to come. */
int ds_shardout_row_late(ds_shardout *s, uint64_t len, uint64_t hash, uint64_t size, ds_err *err);
int ds_shardout_source(ds_shardout *s, const ds_source *src, ds_err *err);
/* A record made of n whole sources that are told of later, all at once: ordinals count from the
 * first of those. A shard ends behind such a group at the earliest. */
int ds_shardout_joined(ds_shardout *s, const uint64_t *sources, const uint64_t *sizes, size_t n,
                       ds_err *err);
int ds_shardout_sources(ds_shardout *s, const ds_source *v, size_t n, ds_err *err);
/* Finishes everything; counts go into the last shard. */
int ds_shardout_end(ds_shardout *s, const ds_counts *counts, ds_err *err);
/* The same in two steps, for who looks into the shards before they appear: after finish they lie
 * whole in the folder of _stage, which a pipe does not have (NULL). */
int ds_shardout_finish(ds_shardout *s, const ds_counts *counts, ds_err *err);
const char *ds_shardout_stage(const ds_shardout *s);
int ds_shardout_publish(ds_shardout *s, ds_err *err);
/* Tells the reader of the pipe why there is no more. */
void ds_shardout_abort(ds_shardout *s, const char *reason);
void ds_shardout_free(ds_shardout *s);

#endif
