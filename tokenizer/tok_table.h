/* tok_table.h - memory for tables that are looked into at random: in huge pages where the system
 * has them, so that neither the first touch nor every access waits for a page. Freed with free().
 */
#ifndef DS_TOK_TABLE_H
#define DS_TOK_TABLE_H

#include <stddef.h>

/* Not zeroed; at least as aligned as a cache line. NULL without memory. `bytes` is a power of two,
 * 64 or more. */
void *ds_tok_table(size_t bytes);

#endif
