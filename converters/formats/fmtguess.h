/* fmtguess.h - which columns an input has that does not say so: from the values at its beginning.
 *
 * A field becomes a column of the narrowest type that holds all of its values that were seen; what
 * is mixed becomes JSON. All are nullable but the key. One thread.
 */
#ifndef DS_FMTGUESS_H
#define DS_FMTGUESS_H

#include "fmtvalue.h"

typedef struct ds_fguess {
    ds_schema names; /* a column for each field, in the order in which they came */
    uint16_t seen[256];
} ds_fguess; /* ds_fguess_init */

void ds_fguess_init(ds_fguess *g);
int ds_fguess_see(ds_fguess *g, const char *name, size_t len, const ds_fval *v, ds_err *err);
/* Adds the columns. `key`: the field that is the key, NULL: "key" when there is one. */
int ds_fguess_schema(const ds_fguess *g, ds_schema *s, const char *key, ds_err *err);
void ds_fguess_fini(ds_fguess *g);

/* The schema of an input that names its fields: with columns in the order of the calls. */
int ds_fmtschema_begin(ds_schema *s, bool explicit_key, ds_err *err);
/* What is left to say of one whose columns are there: "text", or else the first that can be, is
 * primary; without an explicit key all that can make it. */
int ds_fmtschema_end(ds_schema *s, ds_err *err);
/* The column for a field of an input; -1 when there is none. */
long ds_fmtschema_column(const ds_schema *s, const char *key, const char *name, size_t len);

#endif
