/* rowpack.h - a record as bytes that lie anywhere, and back: for stages that change the order.
 *
 * Each column as a varint length and a chunk of one row, then the origin: a varint number of ranges
 * and three varints for each. A packer belongs to one thread; zeroed it is valid.
 */
#ifndef DS_ROWPACK_H
#define DS_ROWPACK_H

#include "dsr_rows.h"

typedef struct ds_rowpack {
    ds_colbuild *cols;
    size_t n;
    ds_buf head;
} ds_rowpack;

/* Appends the columns of a record. */
int ds_rowpack_put(ds_rowpack *k, ds_spool *out, const ds_schema *s, const ds_colview *views,
                   const ds_value *values, ds_err *err);
/* Appends its origin. */
int ds_rowpack_origin(ds_spool *out, const ds_range *ranges, size_t n, ds_err *err);
/* The record at p (of at most len bytes) as the next one of rows, whose schema is s; *used is how
 * long it is. */
int ds_rowpack_get(ds_rows *rows, size_t *used, const ds_schema *s, const uint8_t *p, size_t len,
                   ds_err *err);
void ds_rowpack_fini(ds_rowpack *k);

#endif
