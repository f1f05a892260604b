/* lazy.h - a store whose pieces come from a remote when something reads them.
 *
 * A piece that is read and not here is fetched with what it is built on and with those that readers
 * have said they will want (ds_objreader_put); checked, and kept. Reading threads may all come at
 * once: one fetches for all. Nothing is asked of the remote before the first piece is missing.
 */
#ifndef DS_LAZY_H
#define DS_LAZY_H

#include "store.h"

/* When a remote of the store is lazy, connects the store's objects to it: s->lazy is set then. */
int ds_lazy_attach(ds_store *s, ds_err *err);
void ds_lazy_free(ds_lazy *z); /* after the objects are closed; NULL is fine */

#endif
