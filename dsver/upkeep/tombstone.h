/* tombstone.h - a block with some of its records emptied, and a page with some of its sources.
 *
 * A record stays a row: its explicit key becomes a name that tells nothing, columns become null, or
 * empty where they may not be; tokens become as many zeros, and runs stay, so that ordinals,
 * lengths and ledgers hold. Origins stay. A source's name becomes one that tells nothing, its size
 * and digest zero. One thread.
 */
#ifndef DS_TOMBSTONE_H
#define DS_TOMBSTONE_H

#include <string.h>

#include "blockjob.h"
#include "erasedrows.h"
#include "recblock.h"

#define DS_TOMBSTONE "erased:" /* and 32 hex digits: what the key or name becomes */
/* So long is its beginning that all of one erasure share, and no other has; its statement tells. */
#define DS_TOMBSTONE_MARK (sizeof DS_TOMBSTONE - 1 + 8)

static inline bool ds_tombstone_name(const void *name, size_t len)
{
    return len == sizeof DS_TOMBSTONE - 1 + 32 &&
           memcmp(name, DS_TOMBSTONE, sizeof DS_TOMBSTONE - 1) == 0;
}
void ds_tombstone_mark(char out[DS_TOMBSTONE_MARK + 1], const uint8_t salt[32]);

/* Of a record of a block from which something was erased (in others an empty one is a record). */
bool ds_tombstone_is(const ds_recblock *r);
/* Whether a record's column `now` (no explicit key) is what an erasure leaves of `was`. */
bool ds_tombstone_left(const ds_colview *v, const ds_value *was, const ds_value *now);
/* Whether a source's name is one that an erasure left. */
static inline bool ds_tombstone_source(const ds_source *s)
{
    return ds_tombstone_name(s->name, s->len);
}
/* rows: ds_erasedrow, ascending. The new block's pieces go into tx, and *line is its line (zeroed
 * or fini'd before). salt: 32 bytes, by which the rows' names are made and told; NULL: they have
 * theirs. */
int ds_tombstone_block(ds_manline *line, const ds_verside *v, size_t block, ds_buf *rows,
                       const uint8_t *salt, ds_objtx *tx, ds_err *err);
/* A block as two erasures left it, with the tombstones of both. */
int ds_tombstone_join(ds_manline *line, const ds_verside *a, size_t block_a, const ds_verside *b,
                      size_t block_b, ds_objtx *tx, ds_err *err);
/* The same of a page. */
int ds_tombstone_join_page(ds_manline *line, const ds_buf *a, const ds_buf *b, uint64_t sources,
                           ds_objstore *objs, ds_objtx *tx, ds_err *err);
/* The page, with its sources numbered `rows` (in the page, ascending) emptied. salt: as above. */
int ds_tombstone_page(ds_manline *line, const ds_buf *page, uint64_t sources, ds_buf *rows,
                      const uint8_t *salt, ds_objstore *objs, ds_objtx *tx, ds_err *err);

#endif
