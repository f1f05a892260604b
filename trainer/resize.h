/* resize.h - a model with rows for tokens that its tokenizer has not had.
 *
 * The rows of new tokens, in the embedding and in a head of its own, begin as the mean of the rows
 * of all tokens that were there: sums in f64, in the order of the ids, rounded once to the tensor's
 * numbers (Hewitt 2021: the mean bounds by how much other tokens' probabilities fall). All other
 * tensors and rows stay to the byte. The same model and tokens give the same bytes.
 */
#ifndef DS_RESIZE_H
#define DS_RESIZE_H

#include <stdint.h>

#include "error.h"

typedef struct ds_resize_conf {
    const char *model, *out;  /* folders */
    const char *tokenizer;    /* tokenizer.json that has the new tokens; or NULL: the model's and */
    const char *const *added; /* these, NULL-terminated, as special tokens behind its last */
    int64_t multiple;         /* that the rows are rounded up to */
} ds_resize_conf;

typedef struct ds_resize_done {
    int64_t rows_before, rows;
    int64_t fresh;       /* tokens that are new */
    int64_t first, last; /* the ids of the first and the last of them; -1: there is none */
} ds_resize_done;

int ds_resize(ds_resize_done *done, const ds_resize_conf *c, ds_err *err);

#endif
