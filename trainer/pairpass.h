/* pairpass.h - pairs of answers through a network: what both are worth to it and to the model that
 * its adapters were put on, and the weights with which their tokens go back.
 *
 * Two passes forward, without adapters and with them; the way back (ds_net_step) goes forward once
 * more. The weights are the loss's derivatives by the tokens' losses, so the gradient is exact. One
 * thread, as of the network.
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
 * their order; p->weight is then that of each token, for the sum of the pairs' losses. training: as
 * a step of training computes them, dropout included. */
int ds_pairpass_look(ds_pairpass *p, ds_net *net, const ds_netbatch *b, const uint8_t *side,
                     const ds_pref_conf *c, bool training, double sums[DS_PREF_SUMS], ds_err *err);

#endif
