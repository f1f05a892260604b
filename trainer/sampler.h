/* sampler.h - the next token by a model's logits: the likeliest, or one drawn by chance.
 *
 * Drawn from softmax(logits / temperature) among the top_k likeliest and of these among the fewest
 * that make up top_p (nucleus sampling, Holtzman et al. 2020); of equal logits the lower id comes
 * first. The same logits, seed and place give the same token, on any machine. One thread.
 */
#ifndef DS_SAMPLER_H
#define DS_SAMPLER_H

#include <stdint.h>

#include "error.h"

typedef struct ds_sampler_conf {
    double temperature; /* 0: the likeliest */
    int64_t top_k;      /* 0: all */
    double top_p;       /* 1: all */
    uint64_t seed;
} ds_sampler_conf;

typedef struct ds_sampler ds_sampler;
int ds_sampler_new(ds_sampler **s, const ds_sampler_conf *c, int32_t vocab, ds_err *err);
/* logits: of the vocabulary, finite. i: the token's place among those that are drawn. */
int32_t ds_sampler_next(ds_sampler *s, const float *logits, uint64_t i);
void ds_sampler_free(ds_sampler *s); /* NULL is fine */

#endif
