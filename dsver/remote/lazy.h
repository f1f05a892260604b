/* lazy.h - a store whose pieces come from a remote when something reads them.
 *
 * A piece that is read and not here is fetched with what it is built on; checked, and kept. Readers
 * say which pieces they will want next (ds_objstore_expect): those are fetched by a thread of its
 * own while they work with what they have. One fetches at a time, for all who wait. Nothing is
 * asked of the remote before the first piece is missing.
 */
#ifndef DS_LAZY_H
#define DS_LAZY_H

#include "store.h"

/* When a remote of the store is lazy, connects the store's objects, if it has any open, to it:
 * s->lazy is set then. */
int ds_lazy_attach(ds_store *s, ds_err *err);
const char *ds_lazy_name(const ds_lazy *z); /* the remote's */
/* When nobody reads any more, and before the objects are closed; NULL is fine. */
void ds_lazy_free(ds_lazy *z);

#endif
