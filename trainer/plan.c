/* plan.c - see plan.h. */
#include "plan.h"

#include <inttypes.h>
#include <stdio.h>

#define CHUNK ((int64_t)16 << 20) /* logits held at a time: netstep.c */
#define RANK_MIN 8
#define RANK_MAX 256

/* Parameters of the base model: as net.c builds them. */
static int64_t linear_params(const ds_modelconf *c, bool lora, int64_t r)
{
    const int64_t d = c->hidden, qk = ds_qk_dim(c), vd = ds_v_dim(c);
    int64_t total = 0;

#define LINEAR(out, in)                                                                            \
    (total += lora ? r * ((int64_t)(out) + (int64_t)(in)) : (int64_t)(out) * (int64_t)(in))
    for (int32_t l = 0; l < c->layers; l++) {
        if (c->arch != DS_DEEPSEEK_V2) {
            LINEAR(c->heads * qk, d);
            LINEAR(c->kv_heads * qk, d);
            LINEAR(c->kv_heads * vd, d);
        } else {
            if (c->q_lora) {
                LINEAR(c->q_lora, d);
                LINEAR(c->heads * qk, c->q_lora);
            } else {
                LINEAR(c->heads * qk, d);
            }
            LINEAR(c->kv_lora + c->qk_rope, d);
            LINEAR(c->heads * (c->qk_nope + vd), c->kv_lora);
        }
        LINEAR(d, c->heads * vd);
        const bool moe = ds_layer_is_moe(c, l);
        const int64_t ffn = moe ? (int64_t)c->moe_ffn * c->shared_experts : c->ffn;
        for (int i = 0; i < 3 && ffn; i++)
            LINEAR(ffn, d);
        for (int32_t e = 0; moe && e < 3 * c->experts; e++)
            LINEAR(c->moe_ffn, d);
        if (moe && !lora)
            total += (int64_t)c->experts * d;
    }
#undef LINEAR
    return total;
}

static int64_t other_params(const ds_modelconf *c)
{
    int64_t n = (int64_t)c->vocab * c->hidden * (c->tied ? 1 : 2) + c->hidden;

    n += (int64_t)c->layers * 2 * c->hidden;
    if (c->arch == DS_DEEPSEEK_V2)
        n += (int64_t)c->layers * (c->kv_lora + c->q_lora);
    if (c->qkv_bias)
        n += (int64_t)c->layers * (c->heads + 2 * (int64_t)c->kv_heads) * c->head_dim;
    return n;
}

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
        per += c->experts * 4 + c->experts_used * (16 + w * (2 * (int64_t)c->moe_ffn + c->hidden));
    return per * t;
}

int64_t ds_plan_params(const ds_modelconf *m)
{
    return linear_params(m, false, 0) + other_params(m);
}

void ds_plan_count(ds_plan_need *out, const ds_modelconf *m, enum ds_method method,
                   const ds_plan_conf *c)
{
    const int64_t base = ds_plan_params(m), w = c->format == DS_KF32 ? 4 : 2;
    const int64_t chunk = CHUNK / m->vocab < 16 ? 16 : CHUNK / m->vocab;
    const bool full = method == DS_METHOD_FULL;

    *out = (ds_plan_need){.weights = base * w};
    out->trained = full                       ? base
                   : method == DS_METHOD_LORA ? linear_params(m, true, c->rank)
                                              : c->prompt * m->hidden;
    out->weights += full ? 0 : out->trained * 4;
    out->grads = out->trained * 4 + (full && m->tied ? (int64_t)m->vocab * m->hidden * 4 : 0);
    out->moments = out->trained * 8;
    out->masters = full && w == 2 ? out->trained * 4 : 0;
    out->acts = (int64_t)(m->layers + 6) * c->tokens * m->hidden * w +
                (chunk < c->tokens ? chunk : c->tokens) * m->vocab * 4;
    for (int32_t l = 0; l < m->layers; l++)
        out->acts += c->recompute && l ? 0 : layer_acts(m, l, c->tokens, w);
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
