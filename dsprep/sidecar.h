/* sidecar.h - the file beside an export that says what no other format can: the schema, and the
 * steps that made the records.
 *
 * {"dsr_schema":{},"format":"mds","records":3,"provenance":[]}, at OUT/dsr-schema.json where OUT
 * is a folder, and at OUT.dsr-schema.json where it is a file. With it an import gives back the
 * records with their types and the same root, as far as the format held them.
 */
#ifndef DS_SIDECAR_H
#define DS_SIDECAR_H

#include "dsr_schema.h"
#include "io.h"

typedef struct ds_sidecar {
    ds_schema schema;
    ds_buf provenance; /* canonical; empty: none */
} ds_sidecar;

/* Written beside OUT before that appears, so that nothing but a rename is left to do when it has.
 * ds_atomic_abort drops it. */
int ds_sidecar_begin(ds_atomic *a, const char *out, const ds_schema *s, const char *format,
                     uint64_t records, const ds_buf *prov, ds_err *err);
int ds_sidecar_commit(ds_atomic *a, const char *out, ds_err *err);
/* The one of an input: in the folder that it is, beside the file, or in the file's folder. *found
 * tells whether there is one. */
int ds_sidecar_find(ds_sidecar *c, bool *found, const char *input, ds_err *err);
int ds_sidecar_read(ds_sidecar *c, const char *path, ds_err *err);
void ds_sidecar_fini(ds_sidecar *c);

#define DS_SIDECAR_NAME "dsr-schema.json"

#endif
