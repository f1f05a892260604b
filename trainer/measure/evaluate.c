/* evaluate.c - see evaluate.h. */
#include "evaluate.h"

#include <stdlib.h>
#include <string.h>

#include "loader.h"
#include "net_priv.h"
#include "pairpass.h"
#include "sig.h"

/* Stretches that wait to be computed together. */
typedef struct stretches {
    int32_t *ids, *pos, *target, *cu;
    float *weight, *loss;
    uint8_t *learn; /* of the stretch added last: which of its tokens are targets */
    int32_t lead;   /* virtual tokens before each */
    int32_t t, n;   /* tokens and stretches in it */
    int32_t room;
    double sum;
    uint64_t targets;
    /* of pairs */
    const ds_pref_conf *preference;
    ds_pairpass pass;
    uint8_t *side;
    double pref[DS_PREF_SUMS];
    uint64_t pairs;
} stretches;

static int init(stretches *s, const ds_net *net, const ds_eval_conf *c, ds_err *err)
{
    const uint32_t room = c->together > c->seq_len ? c->together : c->seq_len;

    *s = (stretches){.lead = net->prompt ? (int32_t)net->prompt->rows : 0, .room = (int32_t)room};
    if (c->seq_len < (uint32_t)s->lead + 2)
        return ds_fail(err, DS_USAGE, "--seq-len %u: no room for a record after %d virtual tokens",
                       c->seq_len, (int)s->lead);
    s->ids = calloc(room, sizeof *s->ids);
    s->pos = calloc(room, sizeof *s->pos);
    s->target = calloc(room, sizeof *s->target);
    s->cu = calloc((size_t)room + 1, sizeof *s->cu);
    s->weight = calloc(room, sizeof *s->weight);
    s->loss = calloc(room, sizeof *s->loss);
    s->learn = calloc(room, sizeof *s->learn);
    s->side = calloc((size_t)room + 1, sizeof *s->side);
    return s->ids && s->pos && s->target && s->cu && s->weight && s->loss && s->learn && s->side
               ? 0
               : ds_fail_nomem(err);
}

static void fini(stretches *s)
{
    free(s->ids);
    free(s->pos);
    free(s->target);
    free(s->cu);
    free(s->weight);
    free(s->loss);
    free(s->learn);
    free(s->side);
    ds_pairpass_fini(&s->pass);
}

static int compute(stretches *s, ds_net *net, ds_err *err)
{
    const ds_netbatch b = {.t = s->t,
                           .ids = s->ids,
                           .pos = s->pos,
                           .target = s->target,
                           .weight = s->weight,
                           .seqs = {s->cu, s->n}};

    if (!s->t)
        return 0;
    if (s->preference)
        TRY(ds_pairpass_look(&s->pass, net, &b, s->side, s->preference, s->pref, err));
    else
        TRY(ds_net_step(net, &b, 1.0f, false, DS_AGAIN_NONE, s->loss, err));
    for (int32_t i = 0; !s->preference && i < s->t; i++)
        s->sum += (double)s->loss[i];
    s->t = s->n = 0;
    return ds_check_interrupt(err);
}

static int add(stretches *s, const ds_net *net, ds_dataset *d, uint64_t record, uint32_t from,
               uint32_t len, ds_err *err)
{
    const int32_t at = s->t, n = (int32_t)len + s->lead, vocab = net->c.vocab;

    TRY(ds_dataset_tokens(d, record, from, len, s->ids + at + s->lead, err));
    ds_dataset_targets(d, record, from, len, s->learn);
    for (int32_t i = 0; i < n; i++) {
        int32_t *id = s->ids + at + i;
        const bool learn = i + 1 < n && i >= s->lead && s->learn[i + 1 - s->lead];
        if (i < s->lead)
            *id = vocab + i;
        else if (*id < 0 || *id >= vocab)
            return ds_fail(err, DS_FAIL,
                           "dataset '%s', record %llu: token %d is not in the model's vocabulary "
                           "of %d",
                           ds_dataset_about(d)->name, (unsigned long long)record, (int)*id,
                           (int)vocab);
        s->pos[at + i] = i;
        s->target[at + i] = learn ? id[1] : 0;
        s->weight[at + i] = learn ? 1.0f : 0.0f;
        s->targets += learn;
    }
    s->t += n;
    s->cu[++s->n] = s->t;
    return 0;
}

/* Both sides of a record, one after the other. */
static int add_pair(stretches *s, ds_net *net, ds_dataset *d, uint64_t record, uint32_t seq_len,
                    ds_err *err)
{
    const uint32_t n = ds_dataset_about(d)->lengths[record];
    uint32_t at;

    if (!n || !ds_dataset_pair(d, record, &at))
        return 0; /* it was erased */
    if (n > seq_len)
        return ds_fail(
            err, DS_FAIL,
            "dataset '%s', record %llu: both sides of the pair have %u tokens, --seq-len "
            "is %u",
            ds_dataset_about(d)->name, (unsigned long long)record, n, seq_len);
    if (s->t + (int32_t)n > s->room)
        TRY(compute(s, net, err));
    s->side[s->n] = DS_SIDE_CHOSEN;
    TRY(add(s, net, d, record, 0, at, err));
    s->side[s->n] = DS_SIDE_REJECTED;
    TRY(add(s, net, d, record, at, n - at, err));
    s->pairs++;
    return 0;
}

static int evaluate_pairs(ds_eval_result *out, ds_net *net, ds_dataset *d, const ds_eval_conf *c,
                          ds_err *err)
{
    const ds_dataset_info *info = ds_dataset_about(d);
    stretches s;
    int rc = init(&s, net, c, err);

    s.preference = c->preference;
    for (uint64_t r = 0; !rc && r < info->records; r++)
        if (!c->stretches || s.pairs < c->stretches)
            rc = add_pair(&s, net, d, r, c->seq_len, err);
    rc = rc ? rc : compute(&s, net, err);
    if (!rc && !s.pairs)
        rc = ds_fail(err, DS_FAIL, "'%s' has no pair", info->name);
    *out = (ds_eval_result){.sum = s.pref[DS_PREF_LOSS], .targets = s.pairs};
    memcpy(out->pref, s.pref, sizeof out->pref);
    fini(&s);
    return rc;
}

int ds_evaluate(ds_eval_result *out, ds_net *net, ds_dataset *d, const ds_eval_conf *c, ds_err *err)
{
    const ds_dataset_info *info = ds_dataset_about(d);
    const bool pairs = c->preference && c->preference->kind;
    uint64_t done = 0;
    stretches s;

    *out = (ds_eval_result){.sum = 0};
    TRY(ds_dataset_want_pairs(d, pairs, err));
    if (pairs)
        return evaluate_pairs(out, net, d, c, err);
    int rc = init(&s, net, c, err);
    const uint32_t most = c->seq_len - (uint32_t)s.lead;

    for (uint64_t r = 0; !rc && r < info->records; r++)
        for (uint32_t at = 0; !rc && at < info->lengths[r]; done++) {
            const uint32_t left = info->lengths[r] - at, n = left < most ? left : most;
            if (c->stretches && done == c->stretches)
                goto enough;
            if (s.t + (int32_t)n + s.lead > s.room)
                rc = compute(&s, net, err);
            rc = rc ? rc : add(&s, net, d, r, at, n, err);
            at += n;
        }
enough:
    rc = rc ? rc : compute(&s, net, err);
    if (!rc && !s.targets)
        rc = ds_fail(err, DS_FAIL, "'%s' has no token to predict", info->name);
    *out = (ds_eval_result){.sum = s.sum, .targets = s.targets};
    fini(&s);
    return rc;
}
