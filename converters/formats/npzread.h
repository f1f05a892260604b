/* npzread.h - NumPy's .npz, read: see fmt_npz.c and npzarray.h.
 *
 * Arrays of others are columns, too, when all are of as many elements (along the first dimension):
 * whole numbers become i64, reals f64, truth bool, times timestamp, texts utf8, arrays of more
 * dimensions tensors. Members lie in $TMPDIR until all are there. Objects are not read.
 */
#ifndef DS_NPZREAD_H
#define DS_NPZREAD_H

#include "format.h"

int ds_npzread_open(void **r, const ds_fmtread *o, ds_err *err);
int ds_npzread_schema(void *r, ds_schema *s, ds_err *err);
int ds_npzread_read(void *r, const ds_fmtsink *sink, ds_err *err);
void ds_npzread_close(void *r);

#endif
