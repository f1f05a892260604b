/* colname.h - what a name that a user wrote stands for in a stream. All commands have this rule
 * (docs/transforms.md, section 1): a column; COLUMN.MEMBER, in a column of JSON; or, when no column
 * is called so, a member of the column of JSON for all that has no column of its own: meta (of
 * dsprep text), fields (of logs) or rest (of import), the first of them that the stream has.
 *
 * A name of the last kind must be a member of one of the stream's first records (those of its first
 * block), so that a slip of the pen is no member that nobody has; meta.NAME is taken as it is, and
 * so is every member in a stream without records, or that follows another in a pipe. One thread.
 */
#ifndef DS_COLNAME_H
#define DS_COLNAME_H

#include "instream.h"

typedef struct ds_colnames {
    const ds_schema *schema;
    ds_instream *in; /* whose first records are looked at when they must be; NULL: they are not */
    const struct ds_wherelists *lists; /* that expressions may ask; NULL: none */
} ds_colnames;

/* The columns of the stream. */
ds_colnames ds_colnames_of(ds_instream *in);
/* `parts`: n parts of a name, each with its NUL, an empty one behind them. *below: the members,
 * within parts; NULL where the column itself is meant. DS_USAGE says which names there are. */
int ds_colname_find(const ds_colnames *c, const char *parts, size_t n, size_t *column,
                    const char **below, ds_err *err);
/* Fails with DS_USAGE: `name` is no column. The message lists the columns, and members. */
int ds_colname_missing(const ds_colnames *c, const char *name, ds_err *err);
/* Where a column itself must be named. */
int ds_colname_column(const ds_colnames *c, const char *name, size_t *column, ds_err *err);

/* Names for a message, as many whole ones as there is room for; zeroed at first. */
typedef struct ds_namelist {
    char text[160];
    size_t len;
    bool full;
} ds_namelist;
void ds_namelist_add(ds_namelist *l, const void *name, size_t len);

#endif
