/* plan.c - see plan.h. */
#include "plan.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "net_priv.h"
#include "paper.h"
#include "devroom.h"
#include "slices.h"

#define RANK_MIN 8
#define RANK_MAX 256

/* ---- counting ---- */

/* Full rows, or of prompt tuning as many tokens as there are, in sequences of a row's length. The
 * arrays are one allocation, at ids. */
static int full_rows(ds_netbatch *b, int32_t **mem, bool prompt, const ds_plan_conf *c, ds_err *err)
{
    const int64_t t = prompt && c->tokens ? c->tokens : c->rows * c->seq_len;
    const int64_t n = (t + c->seq_len - 1) / c->seq_len;
    int32_t *ids = calloc((size_t)(3 * t + n + 1), sizeof *ids), *pos, *cu;

    *mem = ids;
    if (!ids)
        return ds_fail_nomem(err);
    pos = ids + t;
    cu = ids + 3 * t;
    for (int64_t i = 0; i < t; i++)
        pos[i] = (int32_t)(i % c->seq_len);
    for (int64_t i = 0; i <= n; i++)
        cu[i] = (int32_t)(i < n ? i * c->seq_len : t);
    *b = (ds_netbatch){
        .t = t, .ids = ids, .pos = pos, .target = ids + 2 * t, .seqs = {cu, (int32_t)n}, .step = 1};
    return 0;
}

/* The most that a step has at once, at every level. */
static int count_steps(ds_net *n, int64_t most[DS_RECOMPUTES], const ds_plan_conf *c, ds_err *err)
{
    ds_netbatch b;
    int32_t *mem;
    int rc = full_rows(&b, &mem, n->prompt, c, err);
    float *loss = rc ? NULL : calloc((size_t)b.t, sizeof *loss);

    if (!rc && !loss)
        rc = ds_fail_nomem(err);
    b.weight = loss;
    for (int r = 0; !rc && r < DS_RECOMPUTES; r++) {
        n->mem.peak = 0;
        rc = ds_net_step(n, &b, 1.0f, true, (enum ds_recompute)r, loss, err);
        most[r] = (int64_t)n->mem.peak;
    }
    free(loss);
    free(mem);
    return rc;
}

static int prepare(ds_net *n, enum ds_method method, const ds_plan_conf *c, ds_err *err)
{
    static const char *const all[] = {"*", NULL};
    ds_lora_conf lora = c->lora;

    ds_net_params(n)->lone = method == DS_METHOD_FULL && c->stochastic;
    lora.targets = lora.targets ? lora.targets : all;
    lora.alpha = lora.alpha > 0 ? lora.alpha : 1;
    TRY(method == DS_METHOD_FULL   ? ds_net_train_full(n, c->only, err)
        : method == DS_METHOD_LORA ? ds_net_add_lora(n, &lora, 0, err)
                                   : ds_net_add_prompt(n, (int32_t)c->prompt, err));
    if (method != DS_METHOD_PROMPT && c->before)
        TRY(ds_net_keep_before(n, false, err));
    return ds_optim_prepare(ds_net_params(n), c->optim, err);
}

static void count_params(ds_plan_need *out, const ds_net *n)
{
    out->trained = ds_net_trained(n, &out->params);
    for (size_t i = 0; i < n->params.n; i++) {
        const ds_param *p = n->params.p[i];
        const int64_t count = ds_param_count(p), blocks = (count + DS_BLOCK8 - 1) / DS_BLOCK8;
        out->masters += p->master ? count * 4 : 0;
        out->moments += p->m ? count * 8 : p->m8 ? 2 * count + 8 * blocks : 0;
    }
    out->grads = (int64_t)(n->params.ngrads * sizeof *n->params.grads);
    out->grads += token_rows_apart(n);
    out->grads += n->embed_g ? ds_param_count(n->embed) * 4 : 0;
}

/* What the backend of a device takes beside what the network asks for; the memory of steps comes in
 * one piece. */
static int count_device(ds_plan_need *out, ds_net *n, const ds_plan_conf *c, ds_err *err)
{
    const ds_optim_conf one = {.steps = 1, .stochastic = c->stochastic};
    size_t kept = 0, bucket = 0;
    double norm;

    TRY(ds_optim_step(ds_net_params(n), &one, 1, NULL, &norm, err));
    out->device = ds_paper_room(n->k, out->scratch) - ds_paper_bytes(n->k);
    for (size_t i = 0; i < n->mem.n; i++)
        out->device -= (int64_t)(ds_device_room(n->mem.size[i]) - n->mem.size[i]);
    for (int i = 0; i < DS_KSLOTS; i++)
        out->device += out->scratch[i] ? (int64_t)ds_device_room(out->scratch[i]) : 0;
    out->device += (int64_t)DS_DEVICE_OWN;
    if (c->peers)
        ds_slices_room(ds_net_params(n), c->peers, c->slices, &kept, &bucket);
    out->device +=
        (int64_t)((kept ? ds_device_room(kept) : 0) + (bucket ? ds_device_room(bucket) : 0));
    for (int r = 0; r < DS_RECOMPUTES; r++)
        out->acts[r] = (int64_t)ds_device_room((size_t)out->acts[r]);
    return 0;
}

size_t ds_plan_reserve(const ds_plan_need *n, enum ds_recompute r)
{
    size_t bytes = (size_t)ds_plan_sum(n, r) - DS_DEVICE_OWN;

    for (int i = 0; i < DS_KSLOTS; i++)
        bytes -= n->scratch[i] ? ds_device_room(n->scratch[i]) : 0;
    return bytes;
}

int ds_plan_count(ds_plan_need *out, const ds_modelconf *m, enum ds_method method,
                  const ds_plan_conf *c, ds_err *err)
{
    ds_kernels *k = NULL;
    ds_net *n = NULL;
    int rc;

    *out = (ds_plan_need){.trained = 0};
    if (c->seq_len > m->max_pos || c->rows > DS_PLAN_TOKENS_MAX / c->seq_len ||
        c->tokens > DS_PLAN_TOKENS_MAX)
        return ds_fail(err, DS_USAGE,
                       "a batch of %" PRId64 " x %" PRId64
                       " tokens: the model's context is %d, and %" PRId64 " are the most",
                       c->rows, c->seq_len, (int)m->max_pos, DS_PLAN_TOKENS_MAX);
    rc = ds_kernels_paper(&k, err);
    if (!rc && c->device) {
        k->logits = DS_DEVICE_LOGITS;
        k->result = DS_DEVICE_RESULT;
    } else if (!rc) {
        k->dropout_matmul = NULL;
    }
    rc = rc ? rc : ds_net_new(&n, k, m, c->format, (int32_t)c->seq_len, err);
    rc = rc ? rc : prepare(n, method, c, err);
    rc = rc ? rc : count_steps(n, out->acts, c, err);
    if (!rc) {
        count_params(out, n);
        out->weights = ds_paper_bytes(k) - out->grads - out->masters - out->moments;
        for (size_t i = 0; i < n->mem.n; i++)
            out->weights -= (int64_t)n->mem.size[i];
        if (c->sums && !c->device)
            out->grads += (int64_t)ds_slices_held(&n->params, (size_t)c->sums);
        if (c->device)
            rc = count_device(out, n, c, err);
    }
    ds_net_free(n);
    if (k)
        k->close(k);
    return rc;
}

int64_t ds_plan_sum(const ds_plan_need *n, enum ds_recompute r)
{
    return n->weights + n->grads + n->moments + n->masters + n->acts[r] + n->device;
}

static double gb(int64_t bytes)
{
    return (double)bytes / 1e9;
}

int ds_plan_refuse(const ds_plan_need *n, enum ds_recompute r, int64_t have, ds_err *err)
{
    char less[96] = "a smaller --batch, --dtype bf16 or --optim adamw8bit takes less";
    enum ds_recompute least = r;

    for (int i = 0; i < DS_RECOMPUTES; i++)
        if (ds_plan_sum(n, (enum ds_recompute)i) < ds_plan_sum(n, least))
            least = (enum ds_recompute)i;
    if (least != r && ds_plan_sum(n, least) <= have)
        snprintf(less, sizeof less, "--recompute %s takes %.3f", ds_recompute_name(least),
                 gb(ds_plan_sum(n, least)));
    return ds_fail(
        err, DS_NOMEM,
        "the run takes %.3f GB and %.3f are there: weights %.3f, gradients %.3f, moments "
        "%.3f, masters %.3f, activations %.3f, the device's own %.3f (dstrain plan "
        "--device cuda); %s",
        gb(ds_plan_sum(n, r)), gb(have), gb(n->weights), gb(n->grads), gb(n->moments),
        gb(n->masters), gb(n->acts[r]), gb(n->device), less);
}

/* ---- advice ---- */

bool ds_plan_fits(const ds_plan_need *n, const ds_plan_conf *c, int64_t memory,
                  enum ds_recompute *r)
{
    const int from = c->auto_recompute ? 0 : (int)c->recompute,
              to = c->auto_recompute ? DS_RECOMPUTES : from + 1;

    for (int i = from; i < to; i++)
        if (ds_plan_sum(n, (enum ds_recompute)i) <= memory - memory / 10) {
            *r = (enum ds_recompute)i;
            return true;
        }
    return false;
}

typedef struct choice {
    ds_plan_need need;
    int64_t rank; /* 0: there is none */
    enum ds_recompute recompute;
} choice;

/* The least rank whose adapters hold the data, and the highest that fits. */
static int ranks(choice *enough, choice *highest, const ds_modelconf *m, const ds_plan_conf *c,
                 uint64_t tokens, int64_t memory, ds_err *err)
{
    const int64_t from = c->lora.r > 0 ? c->lora.r : RANK_MIN,
                  to = c->lora.r > 0 ? c->lora.r : RANK_MAX;

    for (int64_t r = from; r <= to && !enough->rank; r *= 2) {
        ds_plan_conf one = *c;
        choice x = {.rank = r};
        one.lora.r = (int32_t)r;
        TRY(ds_plan_count(&x.need, m, DS_METHOD_LORA, &one, err));
        if (!ds_plan_fits(&x.need, c, memory, &x.recompute))
            break;
        *highest = x;
        if (2 * (uint64_t)x.need.trained >= tokens)
            *enough = x;
    }
    return 0;
}

int ds_plan_nothing_fits(const ds_plan_conf *c, int64_t memory, ds_err *err)
{
    return ds_fail(err, DS_FAIL,
                   "nothing fits into %" PRId64 " bytes (%s%sa smaller --batch takes less)", memory,
                   c->format == DS_KF32 ? "--dtype bf16, " : "",
                   c->optim == DS_ADAMW ? "--optim adamw8bit, " : "");
}

int ds_plan_advise(ds_plan_advice *out, const ds_modelconf *m, const ds_plan_conf *c,
                   uint64_t tokens, int64_t memory, ds_err *err)
{
    choice enough = {.rank = 0}, highest = {.rank = 0}, other = {.rank = 0};
    const choice *chosen = &other;
    const char *reason;

    *out = (ds_plan_advice){.method = DS_METHOD_LORA};
    TRY(ranks(&enough, &highest, m, c, tokens, memory, err));
    if (!enough.rank)
        TRY(ds_plan_count(&other.need, m, DS_METHOD_FULL, c, err));
    if (enough.rank) {
        chosen = &enough;
        reason = "its adapters have room for that";
    } else if (ds_plan_fits(&other.need, c, memory, &other.recompute)) {
        out->method = DS_METHOD_FULL;
        reason = "more than adapters have room for, and all weights fit";
    } else if (highest.rank) {
        chosen = &highest;
        reason = "the most that fits, though the data is more";
    } else if (c->pairs) {
        return ds_plan_nothing_fits(c, memory, err);
    } else {
        out->method = DS_METHOD_PROMPT;
        TRY(ds_plan_count(&other.need, m, DS_METHOD_PROMPT, c, err));
        if (!ds_plan_fits(&other.need, c, memory, &other.recompute))
            return ds_plan_nothing_fits(c, memory, err);
        reason = "nothing more fits";
    }
    out->rank = chosen->rank;
    out->recompute = chosen->recompute;
    snprintf(out->why, sizeof out->why,
             "%" PRIu64 " tokens of data, about a bit each; %" PRId64
             " trained parameters hold about 2 bits each: %s; %.1f MB of %.1f MB%s%s",
             tokens, chosen->need.trained, reason,
             (double)ds_plan_sum(&chosen->need, out->recompute) / 1e6, (double)memory / 1e6,
             out->recompute ? ", with --recompute " : "",
             out->recompute ? ds_recompute_name(out->recompute) : "");
    return 0;
}
