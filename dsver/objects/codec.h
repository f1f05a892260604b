/* codec.h - how a piece becomes a payload and back: zstd, byte-plane filters, deltas against a
 * base.
 *
 * Filters (docs/store-format.md, "Filters") rearrange arrays of little-endian words before zstd:
 * low two bits of the filter byte = log2 of the word's bytes (1, 2, 3; 0 = no filter), bit 2 = each
 * word less the one before first; then all low bytes, all second bytes, and so on; bytes past the
 * last whole word stay at the end. A delta is a zstd frame whose prefix is the raw base; no filter.
 * A ds_codec is one thread's scratch space.
 */
#ifndef DS_CODEC_H
#define DS_CODEC_H

#include "pack.h"

typedef struct ds_codec ds_codec;

int ds_codec_new(ds_codec **out, ds_err *err);
void ds_codec_free(ds_codec *c);

/* Appends the payload of (raw, n) to out, never longer than n; sets codec and filter in h. word: 0,
 * 2, 4 or 8. */
int ds_codec_pack(ds_codec *c, const uint8_t *raw, size_t n, unsigned word, ds_buf *out,
                  ds_objhead *h, ds_err *err);
/* Appends the delta of (raw, n) against base, when it is shorter than the piece: *got says whether
 * it was. row: as in ds_piece; decides how thorough the search is. */
int ds_codec_delta(ds_codec *c, const uint8_t *raw, size_t n, const uint8_t *base, size_t nbase,
                   size_t row, ds_buf *out, bool *got, ds_err *err);
/* Replaces out's content by the piece. base: DS_CODEC_DELTA only. NULL when well, else what is
 * wrong. */
const char *ds_codec_unpack(ds_codec *c, const ds_objhead *h, const uint8_t *payload,
                            const uint8_t *base, size_t nbase, ds_buf *out);

/* The filters alone, for tests. dst and src must not overlap. */
void ds_filter_apply(uint8_t *dst, const uint8_t *src, size_t n, unsigned filter);
void ds_filter_undo(uint8_t *dst, const uint8_t *src, size_t n, unsigned filter);

#endif
