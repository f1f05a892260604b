/* sourcelater.h - sources that a stage tells of behind its last block, since any block may name any
 * of them: their names, sizes and digests, in the order in which they came.
 *
 * Memory: 48 bytes and the name for each. A zeroed object is valid and empty. One thread.
 */
#ifndef DS_SOURCELATER_H
#define DS_SOURCELATER_H

#include "dsr_rows.h"

typedef struct ds_sourcelater {
    ds_buf bytes; /* length of the name, size, digest, name */
} ds_sourcelater;

int ds_sourcelater_put(ds_sourcelater *s, const ds_source *src, ds_err *err);
/* All of them, to the rows. */
int ds_sourcelater_tell(const ds_sourcelater *s, ds_rows *rows, ds_err *err);
/* The next one at *at, which begins with 0; false behind the last. Lent. */
bool ds_sourcelater_next(const ds_sourcelater *s, size_t *at, ds_source *out);
void ds_sourcelater_fini(ds_sourcelater *s);

#endif
