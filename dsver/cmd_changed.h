/* cmd_changed.h - changed records, many at a time: the columns that differ, and what they held.
 *
 * How the records were is read in the order of the version before, whatever order they have now:
 * one of a block after the other, and not a block for each. Texts lie in a spool. One thread.
 */
#ifndef DS_CMD_CHANGED_H
#define DS_CMD_CHANGED_H

#include "cmd_recsay.h"
#include "spool.h"

typedef struct changed_column {
    size_t column;  /* of the version after */
    size_t at, len; /* its value before, as JSON, in the texts; nothing where none are wanted */
} changed_column;

typedef struct changed {
    ds_buf records; /* of those that changed */
    ds_buf digests; /* ds_x128: of their columns after */
    ds_buf columns; /* changed_column */
    ds_spool texts;
} changed; /* a zeroed object is valid */

/* Of n items; columns: of the version after, where they are before (ds_verdiff_columns). */
int changed_read(changed *c, recsay rec[2], const long *columns, const ds_diffitem *v, size_t n,
                 bool texts, ds_err *err);
/* How many columns of an item differ, and the first; items are asked for in their order. */
size_t changed_of(const changed *c, size_t item, const changed_column **first);
/* To standard output. */
int changed_say(changed *c, const changed_column *k, ds_err *err);
void changed_fini(changed *c);

#endif
