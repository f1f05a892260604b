/* optim.h - from gradients to weights: clipping, learning rate, AdamW, in the order of the
 * parameters; its state on disk. */
#ifndef DS_OPTIM_H
#define DS_OPTIM_H

#include "lossscale.h"
#include "params.h"

/* Moments in f32, or of 8 bits: large matrices but the embedding then, the rest as before. */
enum ds_optim_kind { DS_ADAMW, DS_ADAMW8 };
enum ds_schedule { DS_CONSTANT, DS_LINEAR, DS_COSINE, DS_WSD };

typedef struct ds_optim_conf {
    double lr, min_lr; /* min_lr: where the schedule ends, unless it is constant */
    enum ds_schedule schedule;
    uint64_t warmup, steps;
    uint64_t decay_steps; /* the last steps, in which the rate falls; 0: all after the warm-up */
    double beta1, beta2, eps, decay, clip; /* clip 0: none */
    enum ds_optim_kind kind;
    bool stochastic; /* bf16 weights have no f32 masters and are rounded by chance (kernels.h), by a
                        stream of its own for each step and parameter */
    uint64_t seed;   /* of that */
} ds_optim_conf;

/* Learning rate of step s (from 1): rises linearly over `warmup` steps, stays until the last
 * decay_steps, and falls in these to min_lr at the last step: in a line, along a cosine, or (WSD:
 * Haegele et al. 2024) by 1 - sqrt. Source: docs/architecture.md, "Learning rates". */
double ds_optim_lr(const ds_optim_conf *c, uint64_t step);
const char *ds_optim_name(enum ds_optim_kind k); /* "adamw", "adamw8bit" */
/* Moments, zero, for every trained parameter of which this rank keeps them (keepers.h). */
int ds_optim_prepare(ds_params *p, enum ds_optim_kind kind, ds_err *err);
/* Moments and master weights to a safetensors file and back: NAME.m, NAME.v, NAME.master; of 8
 * bits NAME.m8, NAME.v8 with NAME.m8.scale, NAME.v8.scale. Rank 0 writes, between calls of serve by
 * the others, which come back when it says ds_keepers_done; all read. */
int ds_optim_write(ds_params *p, const char *path, ds_err *err);
int ds_optim_serve(ds_params *p, ds_err *err);
int ds_optim_read(ds_params *p, const char *path, ds_err *err);
/* One step: *norm = global norm before clipping (sums in f64, parameter by parameter). Gradients
 * are zero afterwards. They are `scale` times what they are without one (NULL: none); bias
 * corrections count the updates, so not the steps that overflowed. Collective. When the norm is not
 * finite no weight and no moment changes, and *norm is infinite. */
int ds_optim_step(ds_params *p, const ds_optim_conf *c, uint64_t step, const ds_lossscale *scale,
                  double *norm, ds_err *err);

#endif
