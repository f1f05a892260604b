/* tok_table.h - memory for tables that are looked into at random: in huge pages where the system
 * has them, so that neither the first touch nor every access waits for a page. Freed with free().
 */
#ifndef DS_TOK_TABLE_H
#define DS_TOK_TABLE_H

#include <stddef.h>

#include "buf.h"

/* Not zeroed; at least as aligned as a cache line. NULL without memory. May be passed to realloc,
 * but what that returns is as any memory is. */
void *ds_tok_table(size_t bytes);
/* An empty buffer (zeroed) with room for so much: 0 or DS_NOMEM. */
int ds_tok_table_buf(ds_buf *b, size_t bytes);

#endif
