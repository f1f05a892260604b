/* dsr_frame.h - frames as writer and reader share them (docs/dsr-format.md, section 1). Not for
 * others. */
#ifndef DS_DSR_FRAME_H
#define DS_DSR_FRAME_H

#include "dsr_io.h"
#include "xxh.h"

#define DS_MAGIC "DSR1\r\n\x1a\n"
#define DS_MAGIC_LEN 8
#define DS_FRAME_HEAD 32 /* header and sum */
#define DS_FRAME_MAX ((size_t)1 << 20)
#define DS_TRAILER_LEN 16
#define DS_TRAILER_MAGIC "DSRINDEX"
#define DS_INDEX_BLOCKS 32768 /* in every X frame but the last */

typedef struct ds_frame {
    uint8_t type, codec;
    uint16_t column;
    uint32_t stored, raw, seq;
} ds_frame;

void ds_frame_encode(uint8_t out[16], const ds_frame *f);
void ds_frame_decode(ds_frame *f, const uint8_t p[16]);
/* XXH3-128 of header || a || b. */
ds_x128 ds_frame_sum(XXH3_state_t *x, const uint8_t head[16], const void *a, size_t alen,
                     const void *b, size_t blen);
ds_x128 ds_xxh128_digest(const XXH3_state_t *x);

/* The text of an E frame. root may be NULL. */
int ds_end_dump(ds_buf *out, const ds_counts *c, const ds_sha *root, const ds_x128 *frames,
                ds_err *err);
/* Reads one back: *has_root tells whether *root was set. Accepts nothing that ds_end_dump would not
 * write. */
int ds_end_parse(ds_counts *c, bool *has_root, ds_sha *root, ds_x128 *frames, const void *p,
                 size_t len, ds_err *err);

#endif
