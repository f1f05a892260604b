/* keyclash.h - tells in words which two records share a key: looked up only once it is known that
 * two do.
 *
 * During the pass the addresses of each block's key and origin pieces, and of the pages of sources,
 * are noted in a spool (some hundred bytes a block); the answer is read back through the open
 * transaction.
 */
#ifndef DS_KEYCLASH_H
#define DS_KEYCLASH_H

#include "manifest.h"
#include "objstore.h"

typedef struct ds_keyclash {
    ds_spool blocks, pages; /* zeroed is valid */
} ds_keyclash;

int ds_keyclash_block(ds_keyclash *k, const ds_manline *l, ds_err *err);
int ds_keyclash_page(ds_keyclash *k, const ds_manline *l, ds_err *err);
/* Always fails: DS_FAIL, with the key, both records' numbers (from 1) and where each came from. */
int ds_keyclash_fail(ds_keyclash *k, ds_objtx *tx, const ds_schema *s, uint64_t a, uint64_t b,
                     ds_err *err);
void ds_keyclash_fini(ds_keyclash *k);

#endif
