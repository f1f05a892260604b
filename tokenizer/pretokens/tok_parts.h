/* tok_parts.h - normalizer, pre_tokenizer, post_processor and decoder of tokenizer.json: each is
 * one part, or a Sequence of some, which may hold Sequences of its own. */
#ifndef DS_TOK_PARTS_H
#define DS_TOK_PARTS_H

#include <jansson.h>

#include "error.h"

typedef int (*tok_part_fn)(void *ctx, const json_t *o, const char *type, ds_err *err);
/* Every part in order. `what` is for messages, `list` the member of a Sequence that holds its
 * parts. Nothing and null are no part. Non-zero from fn stops. */
int ds_tok_parts_each(const json_t *o, const char *what, const char *list, tok_part_fn fn,
                      void *ctx, ds_err *err);

#endif
