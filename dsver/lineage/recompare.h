/* recompare.h - a stream held against a version block by block as it arrives: the root of both, and
 * the first thing that differs. One thread.
 */
#ifndef DS_RECOMPARE_H
#define DS_RECOMPARE_H

#include "recblock.h"
#include "sourcelist.h"

typedef struct ds_recompare ds_recompare;
/* Borrows all; `schema` is the stream's. */
int ds_recompare_new(ds_recompare **out, ds_store *s, const git_oid *commit,
                     const ds_schema *schema, const ds_sourcelist *sources, ds_err *err);
int ds_recompare_block(ds_recompare *c, const ds_block *b, ds_err *err);
int ds_recompare_source(ds_recompare *c, const ds_source *s, ds_err *err);
/* *differs: in words, a source before a record; NULL when the roots and sources are the same.
 * Caller frees. */
int ds_recompare_end(ds_recompare *c, ds_sha *root, uint64_t *records, char **differs, ds_err *err);
void ds_recompare_free(ds_recompare *c); /* NULL is fine */

#endif
