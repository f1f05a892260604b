/* piececache.h - decoded pieces that others build on: those used last, within a bound.
 * Any thread. */
#ifndef DS_PIECECACHE_H
#define DS_PIECECACHE_H

#include "buf.h"
#include "hash.h"

/* A decoded piece shared by reference. Lives no longer than its cache. */
typedef struct ds_shared ds_shared;
const uint8_t *ds_shared_data(const ds_shared *s, size_t *len);
ds_shared *ds_shared_ref(ds_shared *s); /* one reference more */
void ds_shared_unref(ds_shared *s);     /* NULL is fine */

typedef struct ds_piececache ds_piececache;
int ds_piececache_new(ds_piececache **out, size_t bytes, ds_err *err);
void ds_piececache_free(ds_piececache *c);
/* Memory for a piece of n bytes: buffers come back when pieces are dropped, so that reading on and
 * on does not ask the system for new pages all the time. Give it to take, or to ds_buf_fini. */
int ds_piececache_buf(ds_piececache *c, ds_buf *b, size_t n, ds_err *err);
/* Takes the bytes over; NULL when out of memory, b is then as it was. */
ds_shared *ds_piececache_take(ds_piececache *c, ds_buf *b);
ds_shared *ds_piececache_get(ds_piececache *c,
                             const ds_sha *id); /* a reference of its own, or NULL */
void ds_piececache_put(ds_piececache *c, const ds_sha *id,
                       ds_shared *s); /* best effort; takes its own reference */

#endif
