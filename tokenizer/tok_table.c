/* tok_table.c - see tok_table.h. */
#include "tok_table.h"

#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>

#define HUGE ((size_t)2 << 20)

void *ds_tok_table(size_t bytes)
{
    size_t align = bytes > HUGE / 2 ? HUGE : 64;
    if (bytes > SIZE_MAX - HUGE)
        return NULL;
    bytes = (bytes + align - 1) & ~(align - 1);
    void *t = aligned_alloc(align, bytes);
#ifdef MADV_HUGEPAGE
    if (t != NULL && align == HUGE)
        (void)madvise(t, bytes, MADV_HUGEPAGE); /* before the first touch */
#endif
    return t;
}

int ds_tok_table_buf(ds_buf *b, size_t bytes)
{
    b->data = ds_tok_table(bytes);
    b->cap = b->data != NULL ? bytes : 0;
    return b->data != NULL ? 0 : DS_NOMEM;
}
