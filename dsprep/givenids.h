/* givenids.h - ids that somebody else's tokenizer gave, in a record's lists of whole numbers: those
 * of the tokens, and beside them, as transformers has them, `labels` (-100 where nothing is
 * learned) and `attention_mask` (0 where a row was filled up).
 *
 * A list is a column of lists of i64 or of tokens, or one of JSON, or a member of JSON. What is
 * found is read only once made and shared by threads.
 */
#ifndef DS_GIVENIDS_H
#define DS_GIVENIDS_H

#include "textref.h"

enum { DS_GIVEN_IDS, DS_GIVEN_LABELS, DS_GIVEN_MASK, DS_GIVEN };
#define DS_GIVEN_IGNORED (-100) /* a label: not learned */

/* Where the list called `name` stands: as textref.h has it. */
int ds_given_find(ds_textref *r, const ds_schema *s, const char *name, ds_err *err);
/* Its numbers (i64) in a record, in place of what `out` held. `scan` is scratch. */
int ds_given_get(const ds_textref *r, const ds_column *col, const ds_colview *v, const ds_value *x,
                 ds_jscan *scan, ds_buf *out, bool *null, ds_err *err);

#endif
