/* dsr_origin.h - where records came from: ranges in sources, coded relative to the record before,
 * so that an insertion changes one block's origins and no others. The state runs on from block to
 * block. */
#ifndef DS_DSR_ORIGIN_H
#define DS_DSR_ORIGIN_H

#include "dsr_column.h"

typedef struct ds_range {
    uint64_t source, offset, len; /* source ordinal; bytes of the decoded source */
} ds_range;
/* Zeroed before the first record of a stream. */
typedef struct ds_origin_state {
    uint64_t source, end;
} ds_origin_state;

/* The body is what follows the number of rows in an origin chunk: who reads a chunk takes that
 * varint before the first get. */

/* Appends one record's ranges (n may be 0) to an origin body. */
int ds_origin_put(ds_buf *body, ds_origin_state *st, const ds_range *ranges, size_t n, ds_err *err);
/* Reads one record's ranges at *pos into `out` (reset; ds_range objects one after the other). */
int ds_origin_get(const uint8_t *p, size_t len, size_t *pos, ds_origin_state *st, ds_buf *out,
                  ds_err *err);
/* Goes over a whole origin chunk (with its number of rows): sound, and of how many rows. The
 * sources it names lie in [*lowest, *highest); none: UINT64_MAX and 0. */
int ds_origin_scan(const uint8_t *p, size_t len, uint64_t rows, ds_origin_state *st,
                   uint64_t *lowest, uint64_t *highest, ds_err *err);

#endif
