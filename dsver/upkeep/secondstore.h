/* secondstore.h - another store that holds the same data: a folder, or a remote, of which a lazy
 * clone lies in a temporary folder as long as it is open. One thread.
 */
#ifndef DS_SECONDSTORE_H
#define DS_SECONDSTORE_H

#include "store.h"

typedef struct ds_secondstore {
    ds_store store; /* open for reading */
    char *dir;      /* of the clone; NULL: it is a folder */
} ds_secondstore;

/* from: a store's folder or one that holds it, the name of a remote of the store in the folder
 * `store`, or a remote's URL. Zeroed may be closed. */
int ds_secondstore_open(ds_secondstore *s, const char *store, const char *from, ds_err *err);
void ds_secondstore_close(ds_secondstore *s);

#endif
