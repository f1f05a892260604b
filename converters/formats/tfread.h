/* tfread.h - reading TFRecord: the half of fmt_tfrecord.c that is given files of strangers. The
 * functions are those of struct ds_format. */
#ifndef DS_TFREAD_H
#define DS_TFREAD_H

#include "format.h"

int ds_tfread_open(void **r, const ds_fmtread *o, ds_err *err);
int ds_tfread_schema(void *r, ds_schema *s, ds_err *err);
int ds_tfread_read(void *r, const ds_fmtsink *sink, ds_err *err);
void ds_tfread_close(void *r);

#endif
