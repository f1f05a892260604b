/* evaluate.h - loss of a model on datasets.
 *
 * Records in the order of the dataset, each by itself, cut into stretches of seq_len tokens; the
 * first token of a stretch is not predicted. A prompt's virtual tokens stand before every stretch
 * and count for seq_len. Of pairs of answers a record is both its sides, whole, and what is taken
 * is the loss of preference tuning, over pairs, against the model without its adapter. Nothing of
 * the model changes, and how many stretches are computed together changes no bit.
 */
#ifndef DS_EVALUATE_H
#define DS_EVALUATE_H

#include "dataset.h"
#include "net.h"
#include "preference.h"

typedef struct ds_eval_conf {
    uint32_t seq_len;
    uint64_t stretches;             /* the first only; 0 = all */
    uint32_t together;              /* tokens computed together; at least one stretch */
    const ds_pref_conf *preference; /* NULL, or of kind NONE: of tokens. Else stretches are pairs */
} ds_eval_conf;

typedef struct ds_eval_result {
    double sum;                /* of the losses of all targets, or pairs */
    uint64_t targets;          /* or pairs */
    double pref[DS_PREF_SUMS]; /* of pairs; the first is sum */
} ds_eval_result;

/* Mean over the targets, or pairs; of several datasets over those of all. */
static inline double ds_eval_loss(const ds_eval_result *r)
{
    return r->sum / (double)r->targets;
}

/* One more of several; all zeroed at first. */
static inline void ds_eval_add(ds_eval_result *all, const ds_eval_result *r)
{
    all->sum += r->sum;
    all->targets += r->targets;
    for (int i = 0; i < DS_PREF_SUMS; i++)
        all->pref[i] += r->pref[i];
}
/* Mean over the pairs, of enum DS_PREF_... */
static inline double ds_eval_mean(const ds_eval_result *r, int what)
{
    return r->pref[what] / (double)r->targets;
}

/* DS_FAIL where there is no target; or pairs are to be learned from and there is none, or the other
 * way round. */
int ds_evaluate(ds_eval_result *out, ds_net *net, ds_dataset *d, const ds_eval_conf *c,
                ds_err *err);

#endif
