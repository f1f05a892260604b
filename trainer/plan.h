/* plan.h - the memory that a run takes, counted before it, and which method it suggests.
 *
 * Counted is what dstrain finetune allocates: weights in the number format; gradients in f32 for
 * what is trained, both moments of AdamW in f32 or in 8 bits, and a f32 copy of bf16 weights that
 * are trained; activations of every layer for the tokens of a batch, or with `recompute` those of
 * one layer and every layer's input. The first four are exact; activations are
 * those of a step without dropout, within 5 %.
 *
 * Advice. A fact that training tells a model is worth about a bit a token, and a trained parameter
 * holds about two (Allen-Zhu and Li 2024; Schulman et al. 2025, "LoRA Without Regret": LoRA learns
 * as full fine-tuning does while its adapters have room). So the rank is the least of 8 ... 256 at
 * which 2 bits x parameters of the adapters reach the data's tokens; where none does, everything is
 * trained if that fits; else the highest rank that fits; else a prompt.
 */
#ifndef DS_PLAN_H
#define DS_PLAN_H

#include "trainconf.h"

typedef struct ds_plan_conf {
    int64_t tokens; /* of a batch */
    enum ds_kfmt format;
    bool recompute, dora;
    enum ds_optim_kind optim;
    int64_t rank, prompt;
} ds_plan_conf;

typedef struct ds_plan_need {
    int64_t trained;                                /* parameters */
    int64_t weights, grads, moments, masters, acts; /* bytes */
} ds_plan_need;

void ds_plan_count(ds_plan_need *out, const ds_modelconf *m, enum ds_method method,
                   const ds_plan_conf *c);
int64_t ds_plan_sum(const ds_plan_need *n);
int64_t ds_plan_params(const ds_modelconf *m); /* of the model */

typedef struct ds_plan_advice {
    enum ds_method method;
    int64_t rank;
    char why[512]; /* the arithmetic, in words */
} ds_plan_advice;

/* For `tokens` of data and so many bytes of memory, of which a tenth is left to others. A rank in c
 * that is not 0 is the only one considered. DS_FAIL when nothing fits. */
int ds_plan_advise(ds_plan_advice *out, const ds_modelconf *m, const ds_plan_conf *c,
                   uint64_t tokens, int64_t memory, ds_err *err);

#endif
