/* jsonfile.h - a small JSON document in a folder. */
#ifndef DS_JSONFILE_H
#define DS_JSONFILE_H

#include "json.h"

/* *o is the caller's. Messages name DIR/NAME. */
int ds_jsonfile_read(json_t **o, const char *dir, const char *name, ds_err *err);
/* Indented, for people; appears whole or not at all. */
int ds_jsonfile_write(const char *dir, const char *name, const json_t *o, ds_err *err);

#endif
