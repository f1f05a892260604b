/* pairpass.c - see pairpass.h. */
#include "pairpass.h"

#include <stdlib.h>
#include <string.h>

#include "loader.h"
#include "try.h"

void ds_pairpass_fini(ds_pairpass *p)
{
    free(p->base);
    free(p->loss);
    free(p->weight);
    memset(p, 0, sizeof *p);
}

static int grow(ds_pairpass *p, size_t t, ds_err *err)
{
    float **arrays[] = {&p->base, &p->loss, &p->weight};

    if (t <= p->room)
        return 0;
    for (size_t i = 0; i < sizeof arrays / sizeof *arrays; i++) {
        float *grown = realloc(*arrays[i], t * sizeof *grown);
        if (!grown)
            return ds_fail_nomem(err);
        *arrays[i] = grown;
    }
    p->room = t;
    return 0;
}

/* Sequence s, in ascending order of its tokens. */
static ds_pref_answer answer_of(const ds_pairpass *p, const ds_netbatch *b, int32_t s)
{
    ds_pref_answer a = {.logp = 0};

    for (int32_t i = b->seqs.cu[s]; i < b->seqs.cu[s + 1]; i++) {
        a.logp -= (double)p->loss[i];
        a.base -= (double)p->base[i];
        a.targets += b->weight[i] != 0.0f;
    }
    return a;
}

static void weigh(ds_pairpass *p, const ds_netbatch *b, int32_t s, double slope)
{
    for (int32_t i = b->seqs.cu[s]; i < b->seqs.cu[s + 1]; i++)
        p->weight[i] = b->weight[i] == 0.0f ? 0.0f : (float)slope;
}

/* Of the losses of all tokens what the pairs' are, and what each token weighs in them. */
static void compare(ds_pairpass *p, const ds_netbatch *b, const uint8_t *side,
                    const ds_pref_conf *c, double sums[DS_PREF_SUMS])
{
    double slope[2];

    memset(p->weight, 0, (size_t)b->t * sizeof *p->weight);
    for (int32_t s = 0; s + 1 < b->seqs.n; s++) {
        if (side[s] != DS_SIDE_CHOSEN)
            continue;
        const ds_pref_answer both[2] = {answer_of(p, b, s), answer_of(p, b, s + 1)};
        ds_pref_pair(c, both, sums, slope);
        weigh(p, b, s, slope[0]);
        weigh(p, b, s + 1, slope[1]);
    }
}

static int look_before(ds_pairpass *p, ds_net *net, const ds_netbatch *b, const ds_pref_conf *c,
                       ds_err *err)
{
    memset(p->base, 0, (size_t)b->t * sizeof *p->base);
    return ds_pref_compares(c) ? ds_net_look(net, b, p->base, err) : 0;
}

int ds_pairpass_look(ds_pairpass *p, ds_net *net, const ds_netbatch *b, const uint8_t *side,
                     const ds_pref_conf *c, double sums[DS_PREF_SUMS], ds_err *err)
{
    TRY(grow(p, (size_t)b->t, err));
    TRY(look_before(p, net, b, c, err));
    TRY(ds_net_step(net, b, 1.0f, false, DS_AGAIN_NONE, p->loss, err));
    compare(p, b, side, c, sums);
    return 0;
}

int ds_pairpass_step(ds_pairpass *p, ds_net *net, const ds_netbatch *b, const uint8_t *side,
                     const ds_pref_conf *c, float scale, enum ds_recompute r,
                     double sums[DS_PREF_SUMS], ds_err *err)
{
    ds_netbatch weighed = *b;

    TRY(grow(p, (size_t)b->t, err));
    TRY(look_before(p, net, b, c, err));
    TRY(ds_net_ahead(net, b, scale, r, p->loss, err));
    compare(p, b, side, c, sums);
    weighed.weight = p->weight;
    return ds_net_back(net, &weighed, scale, r, p->loss, err);
}
