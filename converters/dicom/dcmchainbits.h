/* dcmchainbits.h - what dcmchain.c knows and dcmapply.c computes with. For these two only. */
#ifndef DS_DCMCHAINBITS_H
#define DS_DCMCHAINBITS_H

#include "dcmchain.h"

enum { FUNCTION_LINEAR, FUNCTION_EXACT, FUNCTION_SIGMOID };

typedef struct lut {
    uint32_t n;
    int32_t first;
    unsigned bits;
    uint16_t *v; /* NULL: there is none */
} lut;

typedef struct frame_steps {
    double slope, intercept, center, width;
    int function;
    bool rescaled, mapped, windowed;
} frame_steps;

struct dcm_chain {
    dcm_chain_opts o;
    dcm_image im;
    dcm_shape shape;
    lut palette[3], modality, voi;
    bool ybr, partial, invert, padded;
    int64_t pad_low, pad_high;
    frame_steps *frames; /* one for all, or one each */
    uint32_t nframes;
    ds_buf work; /* doubles */
    ds_buf seen; /* of dcm_chain_table */
};

/* The lowest and highest modality value that there can be. */
void dcm_chain_range(const dcm_chain *c, const frame_steps *f, double *lo, double *hi);

#endif
