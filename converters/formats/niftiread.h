/* niftiread.h - NIfTI files read, each a record: NIfTI-1 and NIfTI-2, in one file (.nii), of either
 * byte order. Values are scaled as the file says; what they are then is in niftiread.c.
 */
#ifndef DS_NIFTIREAD_H
#define DS_NIFTIREAD_H

#include "format.h"

int ds_niftiread_open(void **r, const ds_fmtread *o, ds_err *err);
int ds_niftiread_schema(void *r, ds_schema *s, ds_err *err);
int ds_niftiread_read(void *r, const ds_fmtsink *sink, ds_err *err);
void ds_niftiread_close(void *r);

#endif
