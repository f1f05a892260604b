/* npy.h - the NumPy file format (NEP 1): its head, written and read. Version 1.0 is written; 1, 2
 * and 3 are read, little endian, in C order, without objects, which would have to be unpickled.
 */
#ifndef DS_NPY_H
#define DS_NPY_H

#include "fmtvalue.h"

/* Appends the head of an array. bf16, which NumPy has not, is said to be uint16. */
int ds_npy_head(ds_buf *out, int dtype, int ndim, const uint64_t *dims);
/* NumPy's name of a dtype, "<u2". */
const char *ds_npy_descr(int dtype);
/* The same of any descr: "<M8[ns]". */
int ds_npy_head_of(ds_buf *out, const char *descr, int ndim, const uint64_t *dims);

/* What a head says. */
typedef struct ds_npyhead {
    char kind;    /* u i f: numbers, of `dtype`; b: truth; M: times; U: texts of UCS-4; S: bytes */
    int dtype;    /* of numbers and truth (as u8) */
    size_t width; /* bytes of an element; may be 0 for U and S */
    int64_t unit; /* ns of a time's unit */
    int ndim;
    uint64_t dims[8];
    size_t used;    /* bytes of the head */
    uint64_t bytes; /* of the data */
} ds_npyhead;
/* NULL, or why it is not read; DS_NPY_MORE when it does not end within len. */
const char *ds_npyhead_parse(ds_npyhead *h, const uint8_t *p, size_t len);

/* Reads a head of numbers: the value's dtype and shape; *used its length, *bytes that of the data.
 * NULL, or why it is not read; DS_NPY_MORE when it does not end within len. */
extern const char DS_NPY_MORE[];
const char *ds_npy_parse(ds_fval *v, size_t *used, uint64_t *bytes, const uint8_t *p, size_t len);
/* A whole file as a value. NULL, or why it is none. */
const char *ds_npy_value(ds_fval *v, const uint8_t *p, size_t len);

#endif
