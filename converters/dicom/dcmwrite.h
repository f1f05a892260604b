/* dcmwrite.h - a tree as a DICOM file: PS3.10, explicit VR little endian (PS3.5 A.2).
 *
 * Preamble zero, file meta from the tree with its length made anew, sequences of undefined length,
 * values padded to even length. Pixels are decoded values, frame by frame, native: what a masked
 * image needs anyway. Bytes go to a function; one thread.
 */
#ifndef DS_DCMWRITE_H
#define DS_DCMWRITE_H

#include "dcmshim.h"

typedef int dcm_sink(void *ctx, const void *p, size_t n, ds_err *err);

typedef struct dcm_write dcm_write;
/* Begins a file: describes `im` in the tree (transfer syntax, bits, photometric interpretation,
 * planes, frames; im is NULL for an object without pixels), then writes all that stands before the
 * pixels. DS_FAIL when pixels take 4 GiB or more, which native pixel data cannot say. */
int dcm_write_new(dcm_write **w, dcm_tree *t, const dcm_image *im, dcm_sink *sink, void *ctx,
                  ds_err *err);
/* The next frame: values as dcm_file_frame() gives them. */
int dcm_write_frame(dcm_write *w, const void *p, size_t n, ds_err *err);
/* What stands behind the pixels. DS_FAIL when frames are missing. */
int dcm_write_end(dcm_write *w, ds_err *err);
void dcm_write_free(dcm_write *w);

/* Zeroes what the verdict masks in one frame (values interleaved, `size` bytes a sample). What is
 * not covered is untouched. */
struct dcm_verdict;
void dcm_mask_frame(void *p, uint32_t rows, uint32_t cols, uint32_t samples, unsigned size,
                    const struct dcm_verdict *v);

#endif
