/* pqlist.h - a list of leaves on its way into a column: numbers as an array of their own dtype,
 * other items as a list of values. Nothing is kept; `text` and `items` are the caller's, empty when
 * a list begins.
 */
#ifndef DS_PQLIST_H
#define DS_PQLIST_H

#include "pqvalue.h"

/* The narrowest dtype that the leaf's numbers have; 0: they are no numbers. */
int ds_pqlist_dtype(const ds_pqnode *item);
/* Another item; x NULL: it is null. most: bytes that all may take. DS_NOMEM, or 1: it is none, and
 * *why (static) says so. */
int ds_pqlist_add(ds_buf *text, ds_buf *items, const ds_pqnode *item, int dtype,
                  const ds_pqvalue *x, size_t most, const char **why);
/* What came, as a value that points into both. */
ds_fval ds_pqlist_value(ds_buf *text, ds_buf *items, int dtype);
/* Numbers of 64 bits as the shape of an array; false when there are more than it can have. */
bool ds_pqlist_shape(ds_fval *v, const ds_buf *text);

#endif
