/* npy.h - the NumPy file format (NEP 1): its head, written and read. Version 1.0 is written; 1, 2
 * and 3 are read, little endian, in C order, numbers alone: objects would have to be unpickled.
 */
#ifndef DS_NPY_H
#define DS_NPY_H

#include "fmtvalue.h"

/* Appends the head of an array. bf16, which NumPy has not, is said to be uint16. */
int ds_npy_head(ds_buf *out, int dtype, int ndim, const uint64_t *dims);
/* NumPy's name of a dtype, "<u2". */
const char *ds_npy_descr(int dtype);
/* Reads a head: the value's dtype and shape; *used its length, *bytes that of the data. NULL, or
 * why it is not read; DS_NPY_MORE when it does not end within len. */
extern const char DS_NPY_MORE[];
const char *ds_npy_parse(ds_fval *v, size_t *used, uint64_t *bytes, const uint8_t *p, size_t len);
/* A whole file as a value. NULL, or why it is none. */
const char *ds_npy_value(ds_fval *v, const uint8_t *p, size_t len);

#endif
