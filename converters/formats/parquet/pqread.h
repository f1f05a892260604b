/* pqread.h - reading Parquet: the half of fmt_parquet.c that is given files of strangers. The
 * functions are those of struct ds_format.
 *
 * A damaged page costs the rest of its group of rows, which is told of; other groups are read.
 */
#ifndef DS_PQREAD_H
#define DS_PQREAD_H

#include "format.h"

int ds_pqread_open(void **r, const ds_fmtread *o, ds_err *err);
int ds_pqread_schema(void *r, ds_schema *s, ds_err *err);
int ds_pqread_read(void *r, const ds_fmtsink *sink, ds_err *err);
void ds_pqread_close(void *r);

#endif
