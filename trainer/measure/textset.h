/* textset.h - the texts of a dataset and what is known about each, in the order of the records. */
#ifndef DS_TEXTSET_H
#define DS_TEXTSET_H

#include <stddef.h>
#include <stdint.h>

#include "error.h"

/* Everything is lent for the call. meta: JSON text, NULL where the record has none. Non-zero ends
 * the reading with that code. */
typedef int (*ds_text_fn)(void *ctx, uint64_t record, const void *text, size_t len,
                          const void *meta, size_t meta_len, ds_err *err);

/* spec and store as for ds_dataset_open. text_column must hold text, meta_column JSON. */
int ds_texts_each(const char *spec, const char *store, const char *text_column,
                  const char *meta_column, ds_text_fn fn, void *ctx, ds_err *err);

#endif
