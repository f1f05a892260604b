/* recompare.h - a stream held against a version block by block as it arrives: the root of both, and
 * the first thing that differs.
 *
 * From some versions records were erased. Their root can be had where the sources still hold those
 * records; where they do not, all that is left must be the same, record by record, and sources need
 * not be as they were. One thread.
 */
#ifndef DS_RECOMPARE_H
#define DS_RECOMPARE_H

#include "dsr_io.h"
#include "recblock.h"
#include "sourcelist.h"

typedef struct ds_recompare ds_recompare;
/* Borrows all; `schema` is the stream's. sources: without the erased ones. */
int ds_recompare_new(ds_recompare **out, ds_store *s, const git_oid *commit,
                     const ds_schema *schema, const ds_sourcelist *sources, ds_err *err);
typedef struct ds_recompared {
    ds_sha root;
    bool same;        /* that root is the version's */
    uint64_t records; /* that were made */
    uint64_t erased;  /* that the version no longer has */
    uint64_t others;  /* sources that are no longer as recorded, in a version with erasures */
    char *differs;    /* in words: what differs first, a source before a record; NULL when root and
                         sources are the same, or all that erasures left. Caller frees */
} ds_recompared;
/* Reads the stream to its end. */
int ds_recompare_stream(ds_recompare *c, ds_reader *in, ds_recompared *out, ds_err *err);
void ds_recompare_free(ds_recompare *c); /* NULL is fine */

#endif
