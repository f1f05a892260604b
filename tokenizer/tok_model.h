/* tok_model.h - model.vocab and model.merges, read from the text of tokenizer.json itself.
 *
 * They are all of the file but for a few kilobytes, and going through a tree of values would take
 * ten times as long as all the rest of loading. The text is walked once: what these two members
 * hold goes to the tables of the ds_tok, everything else, with {} and [] in their place, to `rest`,
 * which the reader of JSON checks and takes apart.
 */
#ifndef DS_TOK_MODEL_H
#define DS_TOK_MODEL_H

#include "tok_priv.h"

/* Fills t's entries, indexes and merges; rest must be zeroed and is the caller's. What is not JSON
 * may be found here or be left for the reader of `rest` to find. */
int ds_tok_model_read(ds_tok *t, const uint8_t *json, size_t len, ds_buf *rest, ds_err *err);

#endif
