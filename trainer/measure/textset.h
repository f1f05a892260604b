/* textset.h - the texts of a dataset and what is known about each, in the order of the records. */
#ifndef DS_TEXTSET_H
#define DS_TEXTSET_H

#include <stddef.h>
#include <stdint.h>

#include "error.h"

/* Everything is lent for the call. answer: what is known, as text; NULL where the record has none.
 * Non-zero ends the reading with that code. */
typedef int (*ds_text_fn)(void *ctx, uint64_t record, const void *text, size_t len,
                          const void *answer, size_t answer_len, ds_err *err);

/* spec and store as for ds_dataset_open; records that were erased are passed over. text_column must
 * hold text. truth: a column of text, i64 or bool, or a member of a column of JSON, as
 * COLUMN.MEMBER, that holds text, a whole number, true or false. */
int ds_texts_each(const char *spec, const char *store, const char *text_column, const char *truth,
                  ds_text_fn fn, void *ctx, ds_err *err);

#endif
