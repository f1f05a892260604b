/* tokenpair.h - a prompt with two answers as one row of tokens (tokencol.h): the prompt with the
 * chosen one, and behind it the prompt with the rejected one. */
#ifndef DS_TOKENPAIR_H
#define DS_TOKENPAIR_H

#include "tokencol.h"

/* The texts that a plan for pairs is about. */
int ds_tokenpair_find(ds_tokenplan *p, const ds_schema *in, ds_err *err);
/* Adds a row. DS_FAIL says why the record is none: a side is missing, both are the same, one has
 * nothing to learn, or is too long. *null: it has tokens in no column, and that is all right. */
int ds_tokenpair_row(ds_tokencol *c, const ds_tokenplan *p, const ds_value *x, bool *null,
                     ds_err *err);

#endif
