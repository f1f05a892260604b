/* plan.c - see plan.h. */
#include "plan.h"

#include <inttypes.h>
#include <stdio.h>

#define CHUNK ((int64_t)16 << 20) /* logits held at a time: netstep.c */
#define RANK_MIN 8
#define RANK_MAX 256

/* What is counted of parameters. */
typedef struct tally {
    const ds_plan_conf *c;
    bool adapters; /* those of the projections are counted, not the projections */
    int64_t n, moments;
    int64_t norms; /* DoRA: rows whose lengths are kept beside */
} tally;

static void one_param(tally *t, const char *name, int64_t rows, int64_t cols)
{
    const int64_t n = rows * cols, blocks = (n + DS_BLOCK8 - 1) / DS_BLOCK8;

    t->n += n;
    t->moments += ds_optim_is8(t->c->optim, name, rows, cols) ? 2 * n + 8 * blocks : 8 * n;
}

static void one_linear(tally *t, int64_t out, int64_t in)
{
    if (!t->adapters) {
        one_param(t, "", out, in);
        return;
    }
    one_param(t, "", t->c->rank, in);
    one_param(t, "", out, t->c->rank);
    if (t->c->dora) {
        one_param(t, "", 1, out);
        t->norms += out;
    }
}

/* The projections of a layer, as net.c builds them. */
static void one_layer(tally *t, const ds_modelconf *c, int32_t l)
{
    const int64_t d = c->hidden, qk = ds_qk_dim(c), vd = ds_v_dim(c);

    if (c->arch != DS_DEEPSEEK_V2) {
        one_linear(t, c->heads * qk, d);
        one_linear(t, c->kv_heads * qk, d);
        one_linear(t, c->kv_heads * vd, d);
    } else {
        one_linear(t, c->q_lora ? c->q_lora : c->heads * qk, d);
        if (c->q_lora)
            one_linear(t, c->heads * qk, c->q_lora);
        one_linear(t, c->kv_lora + c->qk_rope, d);
        one_linear(t, c->heads * (c->qk_nope + vd), c->kv_lora);
    }
    one_linear(t, d, c->heads * vd);
    const bool moe = ds_layer_is_moe(c, l);
    const int64_t ffn = moe ? (int64_t)c->moe_ffn * c->shared_experts : c->ffn;
    for (int32_t e = moe ? -1 : 0; e < (moe ? c->experts : 1); e++) {
        const int64_t wide = moe && e >= 0 ? c->moe_ffn : ffn;
        if (wide == 0 || (!moe && e < 0))
            continue;
        one_linear(t, wide, d);
        one_linear(t, wide, d);
        one_linear(t, d, wide);
    }
    if (moe && !t->adapters)
        one_param(t, "", c->experts, d);
}

/* What is not a projection. */
static void the_rest(tally *t, const ds_modelconf *c)
{
    one_param(t, "model.embed_tokens.weight", c->vocab, c->hidden);
    if (!c->tied)
        one_param(t, "lm_head.weight", c->vocab, c->hidden);
    one_param(t, "", 1, c->hidden);
    for (int32_t l = 0; l < c->layers; l++) {
        one_param(t, "", 1, 2 * (int64_t)c->hidden);
        if (c->arch == DS_DEEPSEEK_V2)
            one_param(t, "", 1, (int64_t)c->kv_lora + c->q_lora);
        if (c->qkv_bias)
            one_param(t, "", 1, (c->heads + 2 * (int64_t)c->kv_heads) * c->head_dim);
        if (c->o_bias)
            one_param(t, "", 1, c->hidden);
        if (c->mlp_bias)
            one_param(t, "", 1, 2 * (int64_t)c->ffn + c->hidden);
    }
}

static tally count_params(const ds_modelconf *m, const ds_plan_conf *c, bool adapters)
{
    tally t = {.c = c, .adapters = adapters};

    for (int32_t l = 0; l < m->layers; l++)
        one_layer(&t, m, l);
    if (!adapters)
        the_rest(&t, m);
    return t;
}

/* ---- activations ---- */

/* Bytes kept by layer l for t tokens: as netstep.c's acts_get. */
static int64_t layer_acts(const ds_modelconf *c, int32_t l, int64_t t, int64_t w)
{
    const int64_t qk = ds_qk_dim(c), vd = ds_v_dim(c);
    int64_t per = (c->heads * qk + c->kv_heads * (qk + vd) + c->heads * vd + c->hidden) * w +
                  (c->heads + 2) * 4;
    const bool moe = ds_layer_is_moe(c, l);

    per += 2 * w * (moe ? (int64_t)c->moe_ffn * c->shared_experts : c->ffn);
    if (c->arch == DS_DEEPSEEK_V2)
        per += (c->kv_lora + c->qk_rope + c->q_lora) * w + 8;
    if (moe)
        per += c->experts * 4 + c->experts_used * (4 + w * (2 * (int64_t)c->moe_ffn + c->hidden));
    return per * t;
}

static int64_t most(int64_t a, int64_t b)
{
    return a > b ? a : b;
}

/* What an adapter takes of t rows on the way back: two low-rank products, and with DoRA two more
 * of its output's width. */
static int64_t adapter_back(const ds_plan_conf *c, bool adapters, int64_t t, int64_t widest)
{
    return adapters ? t * (2 * c->rank + (c->dora ? 2 * widest : 0)) : 0;
}

/* What comes and goes while layer l is gone back through: mlp_back, then attn_back. Experts are
 * taken to have shares alike. */
static int64_t layer_back(const ds_modelconf *m, int32_t l, const ds_plan_conf *c, bool adapters,
                          int64_t w)
{
    const int64_t t = c->tokens, d = m->hidden, qk = ds_qk_dim(m), vd = ds_v_dim(m);
    const bool moe = ds_layer_is_moe(m, l);
    const int64_t ffn = moe ? (int64_t)m->moe_ffn * m->shared_experts : m->ffn;
    int64_t mlp = ffn ? 4 * ffn * t + adapter_back(c, adapters, t, most(ffn, d)) : 0;
    int64_t attn = (m->heads * (qk + vd) + m->kv_heads * (qk + vd)) * t +
                   adapter_back(c, adapters, t, most(m->heads * qk, d));

    if (moe) {
        const int64_t rows = t * m->experts_used, one = rows / m->experts;
        mlp = most(mlp, 4 * rows * d + 4 * one * m->moe_ffn +
                            adapter_back(c, adapters, one, most(m->moe_ffn, d)));
    }
    if (m->arch == DS_DEEPSEEK_V2)
        attn += t * (m->heads * (m->qk_nope + vd) + m->kv_lora + m->qk_rope + 2 * m->kv_lora +
                     most(3 * (int64_t)m->q_lora, 2 * (int64_t)m->kv_lora));
    return (2 * t * d + most(mlp, attn)) * w;
}

/* The most that is there at once: the loss, or a layer on the way back. */
static int64_t count_acts(const ds_modelconf *m, const ds_plan_conf *c, bool adapters, int64_t w)
{
    const int64_t t = c->tokens, d = m->hidden, row = t * d * w;
    const int64_t chunk = CHUNK / m->vocab < 16 ? 16 : CHUNK / m->vocab;
    const int64_t rows = chunk < t ? chunk : t;
    const int64_t loss = 2 * row + rows * m->vocab * (w == 2 ? 6 : 4) + 8 * t;
    int64_t kept = (m->layers + 2) * row, back = 0;

    for (int32_t l = 0; l < m->layers; l++) {
        const int64_t own = layer_acts(m, l, t, w);
        /* computed again: one place that layers of a kind share, and one on the way back */
        if (!c->recompute || l == 0 || ds_layer_is_moe(m, l) != ds_layer_is_moe(m, l - 1))
            kept += own;
        back = most(back, layer_back(m, l, c, adapters, w) + (c->recompute ? own + row : 0));
    }
    return kept + most(loss, back);
}

int64_t ds_plan_params(const ds_modelconf *m)
{
    const ds_plan_conf none = {.rank = 0};

    return count_params(m, &none, false).n;
}

void ds_plan_count(ds_plan_need *out, const ds_modelconf *m, enum ds_method method,
                   const ds_plan_conf *c)
{
    const tally base = count_params(m, c, false), lora = count_params(m, c, true);
    const int64_t w = c->format == DS_KF32 ? 4 : 2;
    const bool full = method == DS_METHOD_FULL;
    tally own = full ? base : method == DS_METHOD_LORA ? lora : (tally){.c = c};
    /* a prompt, and lengths of rows, are f32 in any format */
    const int64_t wide = method == DS_METHOD_PROMPT ? c->prompt * m->hidden : own.norms;

    if (method == DS_METHOD_PROMPT)
        one_param(&own, "prompt_embeddings", c->prompt, m->hidden);
    *out = (ds_plan_need){.trained = own.n, .weights = base.n * w, .moments = own.moments};
    out->weights += full ? 0 : (own.n - wide) * w + wide * 4 + own.norms * 8;
    out->grads = own.n * 4 + (full && m->tied ? (int64_t)m->vocab * m->hidden * 4 : 0);
    out->masters = w == 2 ? (own.n - wide) * 4 : 0;
    out->acts = count_acts(m, c, method == DS_METHOD_LORA, w);
}

int64_t ds_plan_sum(const ds_plan_need *n)
{
    return n->weights + n->grads + n->moments + n->masters + n->acts;
}

static bool fits(const ds_modelconf *m, enum ds_method method, const ds_plan_conf *c,
                 int64_t memory, ds_plan_need *n)
{
    ds_plan_count(n, m, method, c);
    return ds_plan_sum(n) <= memory - memory / 10;
}

/* The least rank whose adapters hold the data, and the highest that fits; 0 = none. */
static void ranks(int64_t *enough, int64_t *highest, const ds_modelconf *m, const ds_plan_conf *c,
                  uint64_t tokens, int64_t memory)
{
    const int64_t from = c->rank > 0 ? c->rank : RANK_MIN, to = c->rank > 0 ? c->rank : RANK_MAX;

    *enough = *highest = 0;
    for (int64_t r = from; r <= to; r *= 2) {
        ds_plan_conf one = *c;
        ds_plan_need n;
        one.rank = r;
        if (!fits(m, DS_METHOD_LORA, &one, memory, &n))
            break;
        *highest = r;
        if (!*enough && 2 * (uint64_t)n.trained >= tokens)
            *enough = r;
    }
}

int ds_plan_advise(ds_plan_advice *out, const ds_modelconf *m, const ds_plan_conf *c,
                   uint64_t tokens, int64_t memory, ds_err *err)
{
    ds_plan_conf chosen = *c;
    ds_plan_need n;
    int64_t enough, highest;
    const char *reason;

    ranks(&enough, &highest, m, c, tokens, memory);
    *out = (ds_plan_advice){.method = DS_METHOD_LORA, .rank = enough ? enough : highest};
    if (enough)
        reason = "its adapters have room for that";
    else if (fits(m, DS_METHOD_FULL, c, memory, &n)) {
        out->method = DS_METHOD_FULL;
        reason = "more than adapters have room for, and all weights fit";
    } else if (highest)
        reason = "the most that fits, though the data is more";
    else if (fits(m, DS_METHOD_PROMPT, c, memory, &n)) {
        out->method = DS_METHOD_PROMPT;
        reason = "nothing more fits";
    } else
        return ds_fail(
            err, DS_FAIL, "nothing fits into %" PRId64 " bytes%s", memory,
            c->recompute ? "" : " (--recompute, --dtype bf16 or a smaller --batch takes less)");
    chosen.rank = out->rank;
    ds_plan_count(&n, m, out->method, &chosen);
    snprintf(out->why, sizeof out->why,
             "%" PRIu64 " tokens of data, about a bit each; %" PRId64
             " trained parameters hold about 2 bits each: %s; %.1f MB of %.1f MB",
             tokens, n.trained, reason, (double)ds_plan_sum(&n) / 1e6, (double)memory / 1e6);
    return 0;
}
