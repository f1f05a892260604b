/* evaluate.h - loss of a model on datasets.
 *
 * Records in the order of the dataset, each by itself, cut into stretches of seq_len tokens; the
 * first token of a stretch is not predicted. A prompt's virtual tokens stand before every stretch
 * and count for seq_len. Nothing of the model changes, and how many stretches are computed together
 * changes no bit.
 */
#ifndef DS_EVALUATE_H
#define DS_EVALUATE_H

#include "dataset.h"
#include "net.h"

typedef struct ds_eval_conf {
    uint32_t seq_len;
    uint64_t stretches; /* the first only; 0 = all */
    uint32_t together;  /* tokens computed together; at least one stretch */
} ds_eval_conf;

typedef struct ds_eval_result {
    double sum; /* of the losses of all targets */
    uint64_t targets;
} ds_eval_result;

/* Mean over the targets; of several datasets over those of all. */
static inline double ds_eval_loss(const ds_eval_result *r)
{
    return r->sum / (double)r->targets;
}

/* DS_FAIL where there is no target. */
int ds_evaluate(ds_eval_result *out, ds_net *net, ds_dataset *d, const ds_eval_conf *c,
                ds_err *err);

#endif
