/* mdsread.h - reading MDS: the half of fmt_mds.c that is given index.json and files of strangers.
 * The functions are those of struct ds_format. */
#ifndef DS_MDSREAD_H
#define DS_MDSREAD_H

#include "format.h"

int ds_mdsread_open(void **r, const ds_fmtread *o, ds_err *err);
int ds_mdsread_schema(void *r, ds_schema *s, ds_err *err);
int ds_mdsread_read(void *r, const ds_fmtsink *sink, ds_err *err);
void ds_mdsread_close(void *r);

#endif
