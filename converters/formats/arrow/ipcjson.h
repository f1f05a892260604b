/* ipcjson.h - an Arrow value as JSON text: a struct has its fields in order, a map whose keys are
 * text is an object, any other map a list of pairs.
 */
#ifndef DS_IPCJSON_H
#define DS_IPCJSON_H

#include "ipcvalue.h"

/* Appends it, up to `most` bytes of text. DS_NOMEM, or 1 with *why (static). */
int ds_ipc_json(ds_ipcat at, ds_buf *out, size_t most, const char **why);
/* The text of an interval, which is JSON. */
int ds_ipc_span(const ds_ipcnode *n, const ds_pqvalue *x, ds_buf *out);

#endif
