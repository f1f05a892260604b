/* dsr_origin.h - where records came from: ranges in sources, coded relative to the record before, so that an insertion
 * changes one block's origins and no others. The state runs on from block to block. */
#ifndef DS_DSR_ORIGIN_H
#define DS_DSR_ORIGIN_H

#include "dsr_column.h"

typedef struct ds_range { uint64_t source, offset, len; } ds_range; /* source ordinal; bytes of the decoded source */
typedef struct ds_origin_state { uint64_t source, end; } ds_origin_state; /* zeroed before the first record */

/* Appends one record's ranges (n may be 0) to an origin body. */
int ds_origin_put(ds_buf *body, ds_origin_state *st, const ds_range *ranges, size_t n, ds_err *err);
/* Reads one record's ranges at *pos into `out` (reset; ds_range objects one after the other). */
int ds_origin_get(const uint8_t *p, size_t len, size_t *pos, ds_origin_state *st, ds_buf *out, ds_err *err);

#endif
