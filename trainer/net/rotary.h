/* rotary.h - where a token stands: what its queries and keys are turned by (Su et al. 2021), and
 * the factor of the scores that some scalings bring.
 */
#ifndef DS_ROTARY_H
#define DS_ROTARY_H

#include "modelconf.h"

/* cos and sin of every position: cs[pos][rot/2][2], with the model's scaling and attention factor.
 * rot: rotated width of a head. */
int ds_rope_table(float *cs, const ds_modelconf *c, int32_t rot, int32_t positions, ds_err *err);
/* The factor of the scores: 1/sqrt(qk width), times YaRN's m(mscale_all_dim)^2 where the model has
 * it. */
float ds_attn_scale(const ds_modelconf *c);

#endif
