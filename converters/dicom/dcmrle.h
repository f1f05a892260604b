/* dcmrle.h - RLE frames: PS3.5 Annex G. Own code: a segment that runs short or over is refused. */
#ifndef DS_DCMRLE_H
#define DS_DCMRLE_H

#include "buf.h"

/* One frame (its fragments joined) to values of `bytes` bytes, little endian, `samples`
 * interleaved. Replaces out. 0, or DS_FAIL when it is not what the image says. */
int dcm_rle_decode(ds_buf *out, const uint8_t *p, size_t len, size_t pixels, unsigned samples,
                   unsigned bytes, ds_err *err);

#endif
