/* npzarray.h - which arrays of an .npz stand for a column, and by which names.
 *
 *     NAME           bool |b1, i64 <i8, f64 <f8, timestamp <M8[ns]: one element a record;
 *                    tensors of one dtype and shape, none of them missing: stacked
 *     NAME           all else: values end to end: bytes |u1, ids <u2 or <u4, lists of numbers <i8
 *                    or <f8; other lists and runs as JSON
 *     NAME.offsets   <i8, records + 1: where each begins, in elements
 *     NAME.dtype     tensors end to end as bytes: <U4 a record
 *     NAME.shape     <i8, records x 8: their dimensions, -1 behind the last
 *     NAME.valid     |b1, where a column may be null: is there a value?
 */
#ifndef DS_NPZARRAY_H
#define DS_NPZARRAY_H

#include "dsr_schema.h"

enum ds_npzpart {
    DS_NPZ_DATA,
    DS_NPZ_OFFSETS,
    DS_NPZ_DTYPE,
    DS_NPZ_SHAPE,
    DS_NPZ_VALID,
    DS_NPZ_PARTS
};
extern const char *const ds_npz_suffix[DS_NPZ_PARTS];

/* How a column's values lie in NAME. */
enum ds_npzform {
    DS_NPZ_BOOL,
    DS_NPZ_I64,
    DS_NPZ_F64,
    DS_NPZ_TIME,
    DS_NPZ_BYTES,
    DS_NPZ_IDS,
    DS_NPZ_NUMBERS,
    DS_NPZ_TENSORS
};

#endif
