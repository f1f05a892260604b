/* evaluate.c - see evaluate.h. */
#include "evaluate.h"

#include <stdlib.h>
#include <string.h>

#include "net_priv.h"
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
    return s->ids && s->pos && s->target && s->cu && s->weight && s->loss && s->learn
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
    TRY(ds_net_step(net, &b, 1.0f, false, DS_AGAIN_NONE, s->loss, err));
    for (int32_t i = 0; i < s->t; i++)
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

int ds_evaluate(ds_eval_result *out, ds_net *net, ds_dataset *d, const ds_eval_conf *c, ds_err *err)
{
    const ds_dataset_info *info = ds_dataset_about(d);
    uint64_t done = 0;
    stretches s;
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
