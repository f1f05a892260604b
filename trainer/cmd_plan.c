/* cmd_plan.c - dstrain plan: the memory that a run will take, before it. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "cmd_train.h"

static int run(int argc, char **argv);

extern const ds_command ds_train_plan;
const ds_command ds_train_plan = {
    .prog = "dstrain",
    .name = "plan",
    .summary = "bytes of weights, gradients, optimizer and activations, for each method",
    .operands = "",
    .max_operands = 0,
    .example = "dstrain plan --model base/ --batch 8 --seq-len 512 --memory 16G",
    .description = "Counts what dstrain finetune allocates. Weights in the number format; "
                   "gradients and both moments of AdamW in f32 for what is trained, and a f32 copy "
                   "of bf16 weights that are; activations of every layer for batch x seq-len "
                   "tokens, or with --recompute those of one layer and every layer's "
                   "input. With --memory it names the method that fits.",
    .run = run,
};

typedef struct need {
    int64_t weights, trained, grads, moments, masters, acts;
} need;

static int64_t sum(const need *n)
{
    return n->weights + n->grads + n->moments + n->masters + n->acts;
}

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

static need plan(const ds_modelconf *c, enum ds_method m, int64_t tokens, int64_t w, bool recompute,
                 int64_t rank, int64_t prompt)
{
    const int64_t base = linear_params(c, false, 0) + other_params(c);
    const int64_t chunk = ((int64_t)16 << 20) / c->vocab < 16 ? 16 : ((int64_t)16 << 20) / c->vocab;
    need n = {.weights = base * w};

    n.trained = m == DS_METHOD_FULL   ? base
                : m == DS_METHOD_LORA ? linear_params(c, true, rank)
                                      : prompt * c->hidden;
    n.weights += m == DS_METHOD_FULL ? 0 : n.trained * 4;
    n.grads =
        n.trained * 4 + (m == DS_METHOD_FULL && c->tied ? (int64_t)c->vocab * c->hidden * 4 : 0);
    n.moments = n.trained * 8;
    n.masters = m == DS_METHOD_FULL && w == 2 ? n.trained * 4 : 0;
    n.acts = (int64_t)(c->layers + 6) * tokens * c->hidden * w +
             (chunk < tokens ? chunk : tokens) * c->vocab * 4;
    for (int32_t l = 0; l < c->layers; l++)
        n.acts += recompute && l ? 0 : layer_acts(c, l, tokens, w);
    return n;
}

typedef struct asked {
    const char *model;
    int64_t batch, seq_len, rank, prompt, memory;
    bool bf16, recompute, json;
} asked;

static void say(const need *n, const char *name, bool json)
{
    if (json)
        printf("{\"type\":\"plan\",\"method\":\"%s\",\"trained\":%" PRId64 ",\"weights\":%" PRId64
               ",\"gradients\":%" PRId64 ",\"moments\":%" PRId64 ",\"masters\":%" PRId64
               ",\"activations\":%" PRId64 ",\"bytes\":%" PRId64 "}\n",
               name, n->trained, n->weights, n->grads, n->moments, n->masters, n->acts, sum(n));
    else
        printf("%-7s %12" PRId64 " %10.1f %10.1f %10.1f %10.1f %12.1f %10.1f\n", name, n->trained,
               (double)n->weights / 1e6, (double)n->grads / 1e6, (double)n->moments / 1e6,
               (double)n->masters / 1e6, (double)n->acts / 1e6, (double)sum(n) / 1e6);
}

static int make_plan(const asked *a, ds_err *err)
{
    static const enum ds_method order[] = {DS_METHOD_FULL, DS_METHOD_LORA, DS_METHOD_PROMPT};
    ds_modelconf c = {0};
    const char *advice = NULL;
    int rc = ds_modelconf_read(&c, a->model, err);

    if (rc)
        return rc;
    if (!a->json)
        printf("%s, %" PRId64 " parameters; %" PRId64 " x %" PRId64
               " tokens, %s%s; MB\n%-7s %12s %10s %10s %10s %10s %12s %10s\n",
               ds_arch_name(c.arch), linear_params(&c, false, 0) + other_params(&c), a->batch,
               a->seq_len, a->bf16 ? "bf16" : "f32", a->recompute ? ", layers computed again" : "",
               "method", "trained", "weights", "gradients", "moments", "masters", "activations",
               "sum");
    for (size_t i = 0; i < 3; i++) {
        const need n = plan(&c, order[i], a->batch * a->seq_len, a->bf16 ? 2 : 4, a->recompute,
                            a->rank, a->prompt);
        say(&n, ds_method_name(order[i]), a->json);
        if (!advice && a->memory && sum(&n) <= a->memory)
            advice = ds_method_name(order[i]);
    }
    ds_modelconf_fini(&c);
    if (a->memory && !advice)
        return ds_fail(err, DS_FAIL, "nothing fits into %" PRId64 " bytes%s", a->memory,
                       a->recompute ? ""
                                    : " (--recompute, --bf16 or a smaller --batch takes less)");
    if (advice && !a->json)
        printf("into %.1f MB fits: %s\n", (double)a->memory / 1e6, advice);
    return 0;
}

static int run(int argc, char **argv)
{
    asked a = {.batch = 8, .seq_len = 512, .rank = 16, .prompt = 32};
    const ds_opt opts[] = {{.name = "model",
                            .type = DS_OPT_STR,
                            .var = &a.model,
                            .arg = "DIR",
                            .help = "Hugging Face folder; only config.json is read"},
                           {.name = "batch",
                            .type = DS_OPT_INT,
                            .var = &a.batch,
                            .arg = "N",
                            .min = 1,
                            .max = 65536,
                            .help = "rows computed together; default 8"},
                           {.name = "seq-len",
                            .type = DS_OPT_INT,
                            .var = &a.seq_len,
                            .arg = "N",
                            .min = 8,
                            .max = 1 << 20,
                            .help = "tokens of a row; default 512"},
                           {.letter = 'r',
                            .name = "rank",
                            .type = DS_OPT_INT,
                            .var = &a.rank,
                            .arg = "N",
                            .min = 1,
                            .max = 4096,
                            .help = "of LoRA on every projection; default 16"},
                           {.name = "prompt-tokens",
                            .type = DS_OPT_INT,
                            .var = &a.prompt,
                            .arg = "N",
                            .min = 1,
                            .max = 4096,
                            .help = "virtual tokens; default 32"},
                           {.name = "memory",
                            .type = DS_OPT_SIZE,
                            .var = &a.memory,
                            .arg = "BYTES",
                            .help = "what there is: names the method that fits"},
                           {.name = "bf16",
                            .type = DS_OPT_FLAG,
                            .var = &a.bf16,
                            .help = "weights and activations in bf16"},
                           {.name = "recompute",
                            .type = DS_OPT_FLAG,
                            .var = &a.recompute,
                            .help = "layers are computed again on the way back"},
                           TRAIN_JSON(a.json),
                           TRAIN_END};
    char **operands;
    ds_err err = {0};
    int n;
    const int begun = ds_opt_begin(&ds_train_plan, opts, argc, argv, &operands, &n);

    if (begun >= 0)
        return begun;
    if (!a.model)
        ds_fail(&err, DS_USAGE, "--model DIR is missing (dstrain plan -h)");
    else
        make_plan(&a, &err);
    return ds_command_end(&ds_train_plan, &err, a.json);
}
