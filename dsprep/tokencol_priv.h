/* tokencol_priv.h - what tokencol.c and tokenpair.c share. */
#ifndef DS_TOKENCOL_PRIV_H
#define DS_TOKENCOL_PRIV_H

#include "tokencol.h"

#define MARKED_MAX ((size_t)1 << 30) /* bytes of a record that is not plain text */
#define MARK_TARGET DS_MARK_TARGET
#define MARK_REJECTED 0x40u /* a token of the answer that is not preferred, or of its prompt */

/* Text i of a record into c->said[i]. */
int ds_tokencol_text(ds_tokencol *c, const ds_tokenplan *p, size_t i, const ds_value *x, bool *null,
                     ds_err *err);
/* Appends to c->ids and c->marks: what a prompt (i 0) says, or an answer (1) with its end. */
int ds_tokencol_said(ds_tokencol *c, const ds_tokenplan *p, int i, const void *text, size_t len,
                     ds_err *err);
/* The same of a conversation whose first `given` messages are not learned. */
int ds_tokencol_chat(ds_tokencol *c, const ds_tokenplan *p, const void *json, size_t len,
                     size_t given, ds_err *err);
/* A mark of each token of the row becomes the values of all columns but the first. */
int ds_tokencol_marks(ds_tokencol *c, const ds_tokenplan *p, const ds_buf *marks, ds_err *err);
/* More than there is room for. 1: the record goes without. */
int ds_tokencol_too_long(ds_tokencol *c, const ds_tokenplan *p, ds_err *err);

#endif
