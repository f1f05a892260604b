/* fmtcolumns.h - the columns of an input whose format says which it has: those that --columns asks
 * for, the schema of them, and where in another schema they go.
 */
#ifndef DS_FMTCOLUMNS_H
#define DS_FMTCOLUMNS_H

#include <stdbool.h>
#include <stddef.h>

#include "dsr_schema.h"

/* Columns of a format's own type, each of which begins with its name. */
typedef struct ds_fmtnamed {
    const void *v;
    size_t n, size; /* size: bytes of one */
} ds_fmtnamed;

/* only: names of columns, or of groups that become several (their names go on with a dot),
 * separated by commas; NULL: all. keep[i] says whether column i is wanted, as the key always is.
 * DS_USAGE when one that is asked for is not there: `input` says where. */
int ds_fmtcolumns_choose(bool *keep, const ds_fmtnamed *c, const char *only, const char *key,
                         const char *input, ds_err *err);

typedef struct ds_fmtcolumn {
    const char *name;
    enum ds_type type, item; /* item: of a list */
    bool nullable;
} ds_fmtcolumn;

/* key: what --key-field names, which must be there; NULL: "key", where there is one. */
int ds_fmtcolumns_schema(ds_schema *s, const ds_fmtcolumn *v, size_t n, const char *key,
                         const char *input, ds_err *err);
/* to[i]: the column of the schema for column i, each of which has one of its own. */
int ds_fmtcolumns_map(long *to, const ds_fmtnamed *c, const ds_schema *s, const char *key,
                      const char *input, ds_err *err);

#endif
