/* mdscode.h - the encodings of MosaicML MDS columns (streaming 0.13, format/mds/encodings.py), and
 * which of our types they stand for.
 *
 * A value of a column without a fixed size stands behind its u32 length. ndarray: a byte for the
 * dtype and a byte `dimensions << 2 | log2(bytes of a dimension)` with the dimensions, where the
 * encoding's name does not fix them, then the data, little endian. Nothing is ever unpickled.
 */
#ifndef DS_MDSCODE_H
#define DS_MDSCODE_H

#include "fmtvalue.h"

#define DS_MDS_INDEX "index.json"

typedef struct ds_mdscode {
    char name[64];     /* "ndarray:uint16" */
    uint32_t size;     /* fixed, or 0 */
    enum ds_type type; /* of a column that is made for it */
    int dtype;         /* of numbers and arrays; 0: the value says it */
    int ndim;          /* of arrays of a fixed shape; -1: the value says it */
    uint64_t dims[8];
    bool array, json, number; /* otherwise text or bytes */
} ds_mdscode;

/* The encoding that is written for a column. */
void ds_mdscode_of(ds_mdscode *c, const ds_column *col);
/* False: not known, or it would be unpickled. */
bool ds_mdscode_parse(ds_mdscode *c, const char *name);
/* The bytes of a value; false: they are not of this encoding. */
bool ds_mdscode_value(const ds_mdscode *c, const uint8_t *p, size_t len, ds_fval *v);
/* The head of an array: dtype where the encoding does not say it, and dimensions. Appended. */
int ds_mdscode_head(const ds_mdscode *c, ds_buf *out, int dtype, int ndim, const uint64_t *dims);

/* The column that lists, separated by commas, which columns have no value in a record. */
#define DS_MDS_NULLS "__null__"

#endif
