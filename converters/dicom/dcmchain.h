/* dcmchain.h - from stored values to those of a record, frame by frame, and the words for it.
 *
 * In this order, each step in double precision with one rounding an operation (no fused products),
 * and one rounding to the type of the output at the end:
 *
 *   1. padding     values from PixelPaddingValue to PixelPaddingRangeLimit are known, as stored
 *   2. palette     indices to RGB (modality and window only; those of a label map stay)
 *   3. colour      YBR_FULL and YBR_PARTIAL to RGB, PS3.3 C.7.6.3.1.2 (modality and window only)
 *   4. modality    Modality LUT, or slope * v + intercept: the frame's own (5200,9230), else the
 *                  shared ones (5200,9229), else those at the top; the real world value map where
 *                  there is neither, or before them when it is asked for; then the dose grid
 *                  scaling
 *   5. window      VOI LUT, or LINEAR, LINEAR_EXACT, SIGMOID (PS3.3 C.11.2.1.2) to 0 .. 1
 *   6. inversion   MONOCHROME1: (lowest + highest possible value) - v
 *   7. padding     replaced as asked for; with a window it is 0
 *   8. size        a triangle filter as wide as the scale, weights normalised, columns before rows
 *   9. type        to the nearest, ties to even, clamped; after a window, integers are scaled to
 *                  their whole range
 *
 * A chain is made from the tree before it is de-identified and borrows nothing of it. One thread.
 */
#ifndef DS_DCMCHAIN_H
#define DS_DCMCHAIN_H

#include "dcmshim.h"

enum dcm_values { DCM_VALUES_STORED, DCM_VALUES_MODALITY, DCM_VALUES_WINDOW };
enum dcm_padding { DCM_PADDING_KEEP, DCM_PADDING_ZERO, DCM_PADDING_NAN };

typedef struct dcm_chain_opts {
    enum dcm_values values;
    int dtype; /* enum dcm_sample; 0: stored as stored; modality i16, i32 when that is exact, else
                * f32, of doubles and of whole numbers of more bits f64; window f32 */
    uint32_t rows, cols; /* of the output; 0: as it is */
    bool real_world;
    bool has_window, auto_window; /* center and width given; auto: the frame's own range */
    double center, width;
    enum dcm_padding padding;
} dcm_chain_opts;

typedef struct dcm_shape {
    uint32_t frames, rows, cols, samples;
    enum dcm_sample dtype;
} dcm_shape;

typedef struct dcm_chain dcm_chain;
/* DS_FAIL with *reason when the file's tables are no good. */
int dcm_chain_new(dcm_chain **c, const dcm_set *main, const dcm_image *im, const dcm_chain_opts *o,
                  const char **reason, ds_err *err);
dcm_shape dcm_chain_shape(const dcm_chain *c);
/* True when the values of a frame go out as they came in. */
bool dcm_chain_keeps(const dcm_chain *c, uint32_t frame);
/* One frame: `in` is what dcm_file_frame gave. Replaces out. */
int dcm_chain_frame(dcm_chain *c, uint32_t frame, const ds_buf *in, ds_buf *out, ds_err *err);
/* The values of a frame's samples where each is a function of one sample of 8 or 16 bits: v[s -
 * low] is that of sample s before size and type, and then v * gain + bias where gain is not 0. Of
 * samples that the frame does not have it says nothing. v NULL: they are no such function
 * (palettes, colour spaces, wider samples). Borrowed until the next call. */
typedef struct dcm_table {
    const double *v;
    uint32_t n;
    int32_t low;
    double gain, bias;
} dcm_table;
int dcm_chain_table(dcm_chain *c, uint32_t frame, const ds_buf *in, dcm_table *t, ds_err *err);
/* Appends the steps of a frame as a JSON array: [{"op":"rescale","slope":1,"intercept":-1024},...].
 */
int dcm_chain_json(const dcm_chain *c, uint32_t frame, ds_buf *out, ds_err *err);
void dcm_chain_free(dcm_chain *c);

/* The frame's functional group item that holds tag, else the shared one, else NULL. */
const dcm_set *dcm_group_find(const dcm_set *main, uint32_t frame, uint32_t tag);

#endif
