/* statcache.h - statistics that were made once: `stats.db` of a store (docs/store-format.md,
 * "Statistics").
 *
 * A cache: it can be removed at any time, and one that is damaged or of another version is removed
 * here. Entries are of a chunk, or of a column of a version ("whole"). One thread a cache; any
 * number of processes. Where it cannot be written (a store that is only to be read, a full disk) it
 * is a temporary one, from that moment on.
 */
#ifndef DS_STATCACHE_H
#define DS_STATCACHE_H

#include "buf.h"
#include "dsr_schema.h"
#include "shaset.h"

typedef struct ds_statcache ds_statcache;

enum { DS_STATCACHE_ID = 16 }; /* bytes of a name that count */

/* Of the store in `dir`. */
int ds_statcache_open(ds_statcache **out, const char *dir, ds_err *err);
/* What is not in c is looked up in that of another store; NULL: nowhere. */
int ds_statcache_lay_over(ds_statcache *c, const char *dir, ds_err *err);
bool ds_statcache_there(const char *dir);
/* Removes it, and what one that died while it did so left. */
int ds_statcache_drop(const char *dir, ds_err *err);
void ds_statcache_close(ds_statcache *c); /* NULL is fine */

/* The name of a chunk's entry: of what kind of column, and the chunk's address. */
int ds_statcache_id(ds_sha *out, const ds_column *col, bool key, const ds_sha *chunk, ds_err *err);
/* out is replaced. 1 found, 0 not, < 0 error. */
int ds_statcache_get(ds_statcache *c, const ds_sha *id, ds_buf *out, ds_err *err);
/* Entries to be stored, one appended to what is there. DS_NOMEM. */
int ds_statcache_entry(ds_buf *entries, const ds_sha *id, bool whole, const ds_buf *data);
/* Stores them, in one transaction or few. */
int ds_statcache_store(ds_statcache *c, const uint8_t *entries, size_t len, ds_err *err);
/* Removes the entries of chunks that are not in `keep`, and with `wholes` those of versions; what
 * was removed is not in the file afterwards. One that cannot be written goes altogether. */
int ds_statcache_prune(ds_statcache *c, const ds_shaset *keep, bool wholes, ds_err *err);

#endif
