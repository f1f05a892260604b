/* tok_like.h - the tokenizer whose pipeline a vocabulary is learned for (tok_train.h). Not for
 * users. */
#ifndef DS_TOK_LIKE_H
#define DS_TOK_LIKE_H

#include "tok_train.h"
#include "tok_write.h"

/* Special tokens of the new vocabulary: the added ones, then `more`. To be freed, but not the
 * texts; NULL when there is no memory. */
const char **ds_tok_like_special(const ds_tok_like *l, const char *const *more, size_t n);
/* Appends the tokenizer.json that the table makes of it. */
int ds_tok_like_write(ds_buf *out, const ds_tok_like *l, const tok_table *t, ds_err *err);

#endif
