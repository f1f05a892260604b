/* plan.h - the memory that a run takes, counted before it, and which method it suggests.
 *
 * Counted is what the network of dstrain finetune allocates, by building it and taking a step of it
 * on paper (kernels' paper.h): weights in the number format; gradients in f32 for what is trained,
 * both moments of AdamW in f32 or in 8 bits, and a f32 copy of bf16 or f16 weights that are
 * trained; and the most that a step over full rows has at once, at each level of recomputation. Of
 * prompt tuning a row that holds several records is longer, by the virtual tokens of each but one:
 * how long the longest batch is, only the data says. All are exact to the byte, but for experts,
 * whose tokens are taken to be shared out alike.
 *
 * On a device there is more, which is counted too: what its backend takes for products and for what
 * is on its way, what functions take beside their operands, and that each buffer there takes up a
 * multiple of 256 bytes. A run of one process, or of adapters, asks for the whole of it once and
 * for nothing in a step, but for experts.
 *
 * Not counted is what does not grow with the model: the program, records that wait for their turn,
 * and what the backend packs of the operands under its hands.
 *
 * Advice. A fact that training tells a model is worth about a bit a token, and a trained parameter
 * holds about two (Allen-Zhu and Li 2024; Schulman et al. 2025, "LoRA Without Regret": LoRA learns
 * as full fine-tuning does while its adapters have room). So the rank is the least of 8 ... 256 at
 * which 2 bits x parameters of the adapters reach the data's tokens; where none does, everything is
 * trained if that fits; else the highest rank that fits; else a prompt. What fits, fits at some
 * level of recomputation; the cheapest such is taken.
 */
#ifndef DS_PLAN_H
#define DS_PLAN_H

#include "trainconf.h"

#define DS_PLAN_TOKENS_MAX ((int64_t)1 << 26) /* of a batch */

typedef struct ds_plan_conf {
    int64_t rows, seq_len; /* of a batch */
    int64_t tokens;        /* of the longest of prompt tuning; 0: rows x seq_len */
    enum ds_kfmt format;
    enum ds_optim_kind optim;
    bool stochastic;         /* as ds_optim_conf's, where everything is trained */
    ds_lora_conf lora;       /* targets NULL: every projection */
    const char *const *only; /* as ds_trainconf's */
    bool pairs;              /* answers are compared: a prompt is no method */
    bool before;             /* weights that are trained are kept as they were, too */
    int64_t prompt;          /* virtual tokens */
    int64_t sums;            /* copies of all gradients that slices.h keeps to add them up */
    uint32_t peers, slices;  /* devices that joined, which do that for so many slices; 0: none */
    bool auto_recompute;     /* for advice: any level; else this one */
    enum ds_recompute recompute;
    bool device; /* on one, not on the CPU */
} ds_plan_conf;

typedef struct ds_plan_need {
    int64_t trained, params;                  /* of them trained, and all, adapters too */
    int64_t weights, grads, moments, masters; /* bytes; those copies are among the grads */
    int64_t acts[DS_RECOMPUTES];              /* of a step, by level */
    int64_t device;                           /* its backend's own; 0 on the CPU */
    size_t scratch[DS_KSLOTS];                /* of that, what functions take */
} ds_plan_need;

int ds_plan_count(ds_plan_need *out, const ds_modelconf *m, enum ds_method method,
                  const ds_plan_conf *c, ds_err *err);
int64_t ds_plan_sum(const ds_plan_need *n, enum ds_recompute r);
/* What is to be reserved for a run of level r: all of it but what the backend has already, and
 * scratch. */
size_t ds_plan_reserve(const ds_plan_need *n, enum ds_recompute r);
/* DS_NOMEM, with the sum and its parts, and what would take less. */
int ds_plan_refuse(const ds_plan_need *n, enum ds_recompute r, int64_t have, ds_err *err);
/* DS_FAIL, with what would take less. */
int ds_plan_nothing_fits(const ds_plan_conf *c, int64_t memory, ds_err *err);
/* The cheapest level that c allows at which a need fits, of which a tenth is left to others; false:
 * none. */
bool ds_plan_fits(const ds_plan_need *n, const ds_plan_conf *c, int64_t memory,
                  enum ds_recompute *r);

typedef struct ds_plan_advice {
    enum ds_method method;
    int64_t rank;
    enum ds_recompute recompute;
    char why[512]; /* the arithmetic, in words */
} ds_plan_advice;

/* For `tokens` of data and so many bytes of memory. A rank in c that is not 0 is the only one
 * considered. DS_FAIL when nothing fits. */
int ds_plan_advise(ds_plan_advice *out, const ds_modelconf *m, const ds_plan_conf *c,
                   uint64_t tokens, int64_t memory, ds_err *err);

#endif
