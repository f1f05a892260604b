/* pairpass.h - pairs of answers through a network: what both are worth to it and, where the loss
 * asks for that, to the model that its adapters were put on; and the gradient of that loss.
 *
 * Two passes forward, or one, without adapters and with them; and one back. The loss's derivatives
 * by the tokens' losses are the weights of the way back, so the gradient is exact. One thread, as
 * of the network.
 */
#ifndef DS_PAIRPASS_H
#define DS_PAIRPASS_H

#include "net.h"
#include "preference.h"

/* Zeroed is valid. */
typedef struct ds_pairpass {
    float *base, *loss, *weight; /* of each token */
    size_t room;
} ds_pairpass;
void ds_pairpass_fini(ds_pairpass *p);

/* side: of each sequence (enum ds_side). b's weights are 1 of targets. Adds all pairs to sums, in
 * their order. */
int ds_pairpass_look(ds_pairpass *p, ds_net *net, const ds_netbatch *b, const uint8_t *side,
                     const ds_pref_conf *c, double sums[DS_PREF_SUMS], ds_err *err);
/* The same as a step of training computes them, dropout included; and adds gradients to the
 * parameters' g: of scale * sum of the pairs' losses. p->weight is then that of each token. */
int ds_pairpass_step(ds_pairpass *p, ds_net *net, const ds_netbatch *b, const uint8_t *side,
                     const ds_pref_conf *c, float scale, enum ds_recompute r,
                     double sums[DS_PREF_SUMS], ds_err *err);

#endif
