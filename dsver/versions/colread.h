/* colread.h - one column of a version, block by block, in any order: what a trainer or an audit
 * reads.
 *
 * Opening reads the manifest (32 bytes of memory a piece); a block's chunk is fetched piece by
 * piece, its addresses checked. Blocks may be fetched by any number of threads; a store whose
 * pieces lie afar is told of those that follow (ds_objstore_expect) while they are read in order.
 */
#ifndef DS_COLREAD_H
#define DS_COLREAD_H

#include "manifest.h"
#include "store.h"

typedef struct ds_colread ds_colread;

/* DS_FAIL when the version has no such column. */
int ds_colread_open(ds_colread **out, ds_store *s, const git_oid *commit, const char *column,
                    ds_err *err);
/* The origin chunks instead of a column: ds_colread_bytes alone gives their blocks. */
int ds_colread_origins(ds_colread **c, ds_store *s, const git_oid *commit, ds_err *err);
const ds_schema *ds_colread_schema(const ds_colread *c);
const ds_column *ds_colread_column(const ds_colread *c);
const ds_version *ds_colread_version(const ds_colread *c);
uint64_t ds_colread_records(const ds_colread *c);
/* Blocks that hold tombstones instead of records that were erased. */
uint64_t ds_colread_erased(const ds_colread *c);
size_t ds_colread_blocks(const ds_colread *c);
uint64_t
ds_colread_first(const ds_colread *c,
                 size_t block); /* its first record; block == blocks: the number of records */
size_t ds_colread_find(const ds_colread *c, uint64_t record); /* the block that holds it */
/* Fetches the block's chunk into buf (replaced). */
int ds_colread_bytes(ds_colread *c, size_t block, ds_buf *buf, ds_err *err);
/* The same, and opens a view of it. */
int ds_colread_block(ds_colread *c, size_t block, ds_buf *buf, ds_colview *view, ds_err *err);
void ds_colread_close(ds_colread *c); /* NULL is fine */

#endif
