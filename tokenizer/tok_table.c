/* tok_table.c - see tok_table.h. */
#include "tok_table.h"

#include <stdlib.h>
#include <sys/mman.h>

#define HUGE ((size_t)2 << 20)

void *ds_tok_table(size_t bytes)
{
    void *t = aligned_alloc(bytes >= HUGE ? HUGE : 64, bytes);
#ifdef MADV_HUGEPAGE
    if (t != NULL && bytes >= HUGE)
        (void)madvise(t, bytes, MADV_HUGEPAGE); /* before the first touch */
#endif
    return t;
}
