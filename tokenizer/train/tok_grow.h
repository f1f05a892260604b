/* tok_grow.h - room for one more element in an array. */
#ifndef DS_TOK_GROW_H
#define DS_TOK_GROW_H

#include <stdlib.h>

#include "buf.h"

/* Makes *v hold more than n elements of `size` bytes; 0 or DS_NOMEM, with nothing changed. */
static inline int ds_tok_grow(void **v, size_t *cap, size_t n, size_t size)
{
    size_t want, bytes;
    if (n < *cap)
        return 0;
    if (!ds_add_size(*cap, *cap / 2 + 4, &want) || !ds_mul_size(want, size, &bytes))
        return DS_NOMEM;
    void *p = realloc(*v, bytes);
    if (p == NULL)
        return DS_NOMEM;
    *v = p;
    *cap = want;
    return 0;
}

#endif
