/* optim.h - from gradients to weights: clipping, learning rate, AdamW, in the order of the
 * parameters. */
#ifndef DS_OPTIM_H
#define DS_OPTIM_H

#include "params.h"

enum ds_schedule { DS_CONSTANT, DS_LINEAR, DS_COSINE };

typedef struct ds_optim_conf {
    double lr, min_lr; /* min_lr: where linear and cosine end */
    enum ds_schedule schedule;
    uint64_t warmup, steps;
    double beta1, beta2, eps, decay, clip; /* clip 0: none */
} ds_optim_conf;

/* Learning rate of step s (from 1): rises linearly over `warmup` steps, then follows the schedule
 * down to min_lr at the last. */
double ds_optim_lr(const ds_optim_conf *c, uint64_t step);
/* Moments for every trained parameter. */
int ds_optim_prepare(ds_params *p, ds_err *err);
/* One step: *norm = global norm before clipping (sums in f64, parameter by parameter). Gradients
 * are zero afterwards. DS_FAIL when the norm is not finite: nothing was changed then. */
int ds_optim_step(ds_params *p, const ds_optim_conf *c, uint64_t step, double *norm, ds_err *err);

#endif
