/* piececache.h - decoded pieces that others build on, the latest used within a bound. Any thread. */
#ifndef DS_PIECECACHE_H
#define DS_PIECECACHE_H

#include "buf.h"
#include "hash.h"

/* A decoded piece shared by reference. */
typedef struct ds_shared ds_shared;
ds_shared *ds_shared_take(ds_buf *b); /* takes the bytes over; NULL when out of memory, b is then as it was */
const uint8_t *ds_shared_data(const ds_shared *s, size_t *len);
ds_shared *ds_shared_ref(ds_shared *s);
void ds_shared_unref(ds_shared *s); /* NULL is fine */

typedef struct ds_piececache ds_piececache;
int ds_piececache_new(ds_piececache **out, size_t bytes, ds_err *err);
void ds_piececache_free(ds_piececache *c);
ds_shared *ds_piececache_get(ds_piececache *c, const ds_sha *id); /* a reference of its own, or NULL */
void ds_piececache_put(ds_piececache *c, const ds_sha *id, ds_shared *s); /* best effort; takes its own reference */

#endif
