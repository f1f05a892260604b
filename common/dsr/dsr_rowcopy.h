/* dsr_rowcopy.h - a record as views show it, into the builders of another stream. */
#ifndef DS_DSR_ROWCOPY_H
#define DS_DSR_ROWCOPY_H

#include "dsr_rows.h"

/* The value becomes the builder's next row; types must be the same. */
int ds_colbuild_value(ds_colbuild *b, const ds_colview *v, const ds_value *x, ds_err *err);
/* All columns of the open record of r, whose schema has the same columns as s. */
int ds_rows_copy(ds_rows *r, const ds_schema *s, const ds_colview *views, const ds_value *values,
                 ds_err *err);

#endif
