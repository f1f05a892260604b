/* statement.h - the statement of the erasure that a tombstone comes from. */
#ifndef DS_STATEMENT_H
#define DS_STATEMENT_H

#include "catalog.h"

typedef struct ds_statement {
    char *actor, *reason, *date;
    ds_sha sum; /* of all of it */
} ds_statement; /* a zeroed object is valid */

/* 1 with it; 0 when `key` is none that an erasure left, or the statement is of a store of old and
 * does not say which tombstones are its own. */
int ds_statement_of(ds_statement *st, ds_catalog *c, const char *key, ds_err *err);
void ds_statement_fini(ds_statement *st);

#endif
