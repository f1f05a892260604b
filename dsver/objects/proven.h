/* proven.h - pieces that were found to be what their addresses say, by their rows in the index.
 *
 * One bit each. Any thread may set and ask; the object lives longer than they do.
 */
#ifndef DS_PROVEN_H
#define DS_PROVEN_H

#include <stdbool.h>
#include <stdint.h>

#include "error.h"

typedef struct ds_proven ds_proven;

/* For rows up to `last`; others are never proven. */
int ds_proven_new(ds_proven **out, int64_t last, ds_err *err);
bool ds_proven_has(ds_proven *p, int64_t row);
void ds_proven_add(ds_proven *p, int64_t row);
void ds_proven_free(ds_proven *p); /* NULL is fine */

#endif
