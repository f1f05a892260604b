/* ipcread.h - Apache Arrow's files and streams (IPC) as records: what ds_format asks of one that is
 * read.
 *
 * A batch that is damaged costs its rows, a value its record; of a stream what follows a message
 * that cannot be read is lost.
 */
#ifndef DS_IPCREAD_H
#define DS_IPCREAD_H

#include "format.h"

int ds_ipcread_open(void **r, const ds_fmtread *o, ds_err *err);
int ds_ipcread_schema(void *r, ds_schema *s, ds_err *err);
int ds_ipcread_read(void *r, const ds_fmtsink *sink, ds_err *err);
void ds_ipcread_close(void *r);

#endif
