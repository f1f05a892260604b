/* factread.h - what recfacts.h wants of a version, read from the store. */
#ifndef DS_FACTREAD_H
#define DS_FACTREAD_H

#include "colread.h"
#include "recfacts.h"

/* Takes all wanted columns, origins and sources of the version; lengths as for ds_recfacts_take, of
 * `records`. */
int ds_factread(ds_recfacts *f, ds_store *s, const git_oid *commit, const ds_schema *schema,
                const uint32_t *lengths, uint64_t records, ds_err *err);

#endif
