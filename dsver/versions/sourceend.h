/* sourceend.h - where a version ends in its sources: of each name the last, as followed logs have
 * it (path, bytes read so far, their digest), and whether a stream goes on right there.
 *
 * A zeroed object is valid: it knows no source. One thread.
 */
#ifndef DS_SOURCEEND_H
#define DS_SOURCEEND_H

#include "sourcelist.h"

typedef struct ds_sourceend {
    ds_sourcelist all; /* names are lent from it */
    struct ds_sourcelast *v;
    size_t n;
} ds_sourceend;

int ds_sourceend_read(ds_sourceend *e, ds_store *s, const git_oid *tree, ds_err *err);
/* A source of the stream, in order: the first of a name that the version has must be the one that
 * it ends with, and have no records: the version has these. DS_FAIL says what is not so. */
int ds_sourceend_check(ds_sourceend *e, const ds_source *s, bool has_records, ds_err *err);
void ds_sourceend_fini(ds_sourceend *e);

#endif
