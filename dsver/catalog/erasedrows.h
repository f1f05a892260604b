/* erasedrows.h - which rows of a block, or sources of a page, are tombstones, and what they are
 * called: a line of `rows` under refs/dsver/erased (docs/store-format.md, "Erasure").
 *
 * With these, whoever still holds what was replaced makes what is read instead, to the byte.
 */
#ifndef DS_ERASEDROWS_H
#define DS_ERASEDROWS_H

#include "buf.h"

typedef struct ds_erasedrow {
    uint64_t row;  /* from 0 */
    char name[33]; /* the hex digits behind "erased:"; "": it has no key of its own */
} ds_erasedrow;

/* " ROW" or " ROW:NAME" for each; rows ascend. DS_NOMEM. */
int ds_erasedrows_put(ds_buf *text, const ds_erasedrow *v, size_t n);
/* Appends those of a text, as put makes it, to *out (ds_erasedrow). DS_CORRUPT. */
int ds_erasedrows_parse(ds_buf *out, const uint8_t *text, size_t len, ds_err *err);
/* Appends the text of both. A row of both is called what b says (`later`), or by the name that
 * comes first, so that it does not matter who joins them. */
int ds_erasedrows_merge(ds_buf *text, const uint8_t *a, size_t alen, const uint8_t *b, size_t blen,
                        bool later, ds_err *err);

#endif
