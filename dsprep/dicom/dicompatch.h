/* dicompatch.h - images as sequences of square patches, and the words that stand for them.
 *
 * A frame is cut from the upper left, row by row of patches; right and below it is filled up with
 * zeros, and the mask says where (1: image, 0: filled up). A patch is its pixels row by row,
 * samples interleaved, so that [count, side * side * samples] is what a linear patch embedding
 * takes.
 */
#ifndef DS_DICOMPATCH_H
#define DS_DICOMPATCH_H

#include "buf.h"
#include "dcmchain.h"

typedef struct ds_patches {
    uint32_t side, rows, cols, down, across;
    size_t pixel;   /* bytes, all samples */
    uint64_t count; /* of all frames */
} ds_patches;
int ds_patches_of(ds_patches *g, uint32_t side, const dcm_shape *s, ds_err *err);
/* One frame; replaces out. */
int ds_patches_lay(const ds_patches *g, const uint8_t *frame, ds_buf *out, ds_err *err);
int ds_patches_mask(const ds_patches *g, ds_buf *out, ds_err *err); /* of one frame */

/* Appends `n` placeholders, a line end when text follows, and the text with a space put behind the
 * first character of each placeholder in it: what a report says never counts as an image. */
int ds_patches_text(ds_buf *out, const char *placeholder, uint64_t n, const void *text, size_t len,
                    ds_err *err);

#endif
