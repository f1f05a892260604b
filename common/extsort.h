/* extsort.h - sorting more entries than memory holds: of one size, in bytewise order or by a
 * function.
 *
 * Entries go in one by one, and come out sorted by memcmp over all of their bytes; equal ones come
 * out as often as they went in. What exceeds the limit lies in sorted runs in one unnamed file,
 * merged at the end. Numbers must stand in big endian order to sort as numbers. One thread.
 */
#ifndef DS_EXTSORT_H
#define DS_EXTSORT_H

#include <stddef.h>
#include <stdint.h>

#include "error.h"

typedef struct ds_extsort ds_extsort;
/* `size`: bytes of an entry, up to 4096. `limit`: bytes kept in memory, 0 = 24 MiB. `dir`: where
 * runs go, NULL = $TMPDIR or /tmp. */
int ds_extsort_new(ds_extsort **out, size_t size, size_t limit, const char *dir, ds_err *err);
int ds_extsort_put(ds_extsort *s, const void *entry, ds_err *err);
/* Before the first put: entries are ordered by `compare`, a total order, instead of bytewise. It
 * may look into what `ready` gets ready, which is called each time before entries are compared. */
void ds_extsort_by(ds_extsort *s, int (*compare)(const void *a, const void *b, void *ctx),
                   int (*ready)(void *ctx, ds_err *err), void *ctx);
/* After the last put, once. */
int ds_extsort_sort(ds_extsort *s, ds_err *err);
/* 1 and the next entry, lent until the next call; 0 at the end; < 0 error. */
int ds_extsort_next(ds_extsort *s, const void **entry, ds_err *err);
void ds_extsort_free(ds_extsort *s); /* NULL is fine */

#endif
