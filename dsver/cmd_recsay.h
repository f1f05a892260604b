/* cmd_recsay.h - single records of a version, as members of JSON on standard output: what dsver
 * diff and dsver merge print of the values that differ.
 *
 * One for each version; records are best asked for in the order of the version. One thread.
 */
#ifndef DS_CMD_RECSAY_H
#define DS_CMD_RECSAY_H

#include "jsonrow.h"
#include "verdiff.h"

typedef struct recsay {
    const ds_verside *side; /* borrowed */
    ds_recblock rec;        /* the values of the record that recsay_seek came to */
    ds_jsonform form;
    ds_jsonrow row;
} recsay; /* a zeroed object is valid */

/* data: tensors as base64, not as digests. Zeroed before. */
int recsay_open(recsay *r, const ds_verside *side, bool data, ds_err *err);
int recsay_seek(recsay *r, ds_recplace at, ds_err *err);
/* Of the record that it is at. The key, "key":"..." without it in *out, lent until the next call,
 * as one column's value is; the members of all columns, and one column's value, to standard
 * output. */
int recsay_key(recsay *r, const ds_buf **out, ds_err *err);
int recsay_text(recsay *r, size_t column, const ds_buf **out, ds_err *err);
int recsay_values(recsay *r, ds_err *err);
int recsay_value(recsay *r, size_t column, ds_err *err);
ds_x128 recsay_digest(const recsay *r, size_t column); /* equal for equal values */
bool recsay_differs(const recsay *a, size_t column_a, const recsay *b, size_t column_b);
void recsay_fini(recsay *r);

#endif
