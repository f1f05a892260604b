/* cmd_plan.c - dstrain plan: the memory that a run will take, before it. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "cmd_train.h"
#include "memlimit.h"
#include "plan.h"

#define RANK 16

static int run(int argc, char **argv);

extern const ds_command ds_train_plan;
const ds_command ds_train_plan = {
    .prog = "dstrain",
    .name = "plan",
    .summary = "bytes of weights, gradients, optimizer and activations, for each method",
    .operands = "",
    .max_operands = 0,
    .example = "dstrain plan --model base/ --batch 8 --seq-len 512 --memory 16G",
    .description =
        "Counts what dstrain finetune allocates. Weights in the number format; "
        "gradients in f32 for what is trained, both moments of AdamW in f32 or, with "
        "--optim adamw8bit, in 8 bits, and a f32 copy of bf16 weights that are trained; "
        "activations of every layer for batch x seq-len "
        "tokens, or with --recompute those of one layer and every layer's "
        "input. With --memory it names the method that fits.\n\n"
        "With --data, or --tokens, it advises a method and a rank. Training tells a model "
        "about a bit a token, a trained parameter holds about two: the rank is the least "
        "of 8, 16 ... 256 whose adapters have room for the data. Where none has, all "
        "weights are trained if they fit; else the highest rank that fits; else a prompt. "
        "A tenth of the memory is left free. dstrain finetune --method auto does what is "
        "advised here.",
    .run = run,
};

typedef struct asked {
    const char *model, *data, *store, *column;
    int64_t batch, seq_len, rank, prompt, memory, tokens;
    int optim;
    bool bf16, recompute, dora, json;
} asked;

static const char *const OPTIMS[] = {"adamw", "adamw8bit", NULL};

static void say(const ds_plan_need *n, const char *name, bool json)
{
    if (json)
        printf("{\"type\":\"plan\",\"method\":\"%s\",\"trained\":%" PRId64 ",\"weights\":%" PRId64
               ",\"gradients\":%" PRId64 ",\"moments\":%" PRId64 ",\"masters\":%" PRId64
               ",\"activations\":%" PRId64 ",\"bytes\":%" PRId64 "}\n",
               name, n->trained, n->weights, n->grads, n->moments, n->masters, n->acts,
               ds_plan_sum(n));
    else
        printf("%-7s %12" PRId64 " %10.1f %10.1f %10.1f %10.1f %12.1f %10.1f\n", name, n->trained,
               (double)n->weights / 1e6, (double)n->grads / 1e6, (double)n->moments / 1e6,
               (double)n->masters / 1e6, (double)n->acts / 1e6, (double)ds_plan_sum(n) / 1e6);
}

static void say_title(const asked *a, const ds_modelconf *m)
{
    if (!a->json)
        printf("%s, %" PRId64 " parameters; %" PRId64 " x %" PRId64
               " tokens, %s%s; MB\n%-7s %12s %10s %10s %10s %10s %12s %10s\n",
               ds_arch_name(m->arch), ds_plan_params(m), a->batch, a->seq_len,
               a->bf16 ? "bf16" : "f32", a->recompute ? ", layers computed again" : "", "method",
               "trained", "weights", "gradients", "moments", "masters", "activations", "sum");
}

/* What to use for the data, and why. */
static int advise(const asked *a, const ds_modelconf *m, ds_plan_conf c, ds_err *err)
{
    ds_plan_advice v;
    ds_dataset *d = NULL;
    uint64_t tokens = (uint64_t)a->tokens;
    int rc = a->data ? ds_dataset_open(&d, a->data, a->store, a->column, NULL, err) : 0;

    c.rank = a->rank;
    if (d)
        tokens = ds_dataset_about(d)->tokens;
    ds_dataset_close(d);
    rc =
        rc ? rc : ds_plan_advise(&v, m, &c, tokens, a->memory ? a->memory : ds_memory_limit(), err);
    if (rc)
        return rc;
    if (a->json)
        printf("{\"type\":\"advice\",\"method\":\"%s\",\"rank\":%" PRId64 ",\"why\":\"%s\"}\n",
               ds_method_name(v.method), v.rank, v.why);
    else if (v.method == DS_METHOD_LORA)
        printf("advised: lora of rank %" PRId64 ": %s\n", v.rank, v.why);
    else
        printf("advised: %s: %s\n", ds_method_name(v.method), v.why);
    return 0;
}

static int make_plan(const asked *a, ds_err *err)
{
    static const enum ds_method order[] = {DS_METHOD_FULL, DS_METHOD_LORA, DS_METHOD_PROMPT};
    const ds_plan_conf c = {.tokens = a->batch * a->seq_len,
                            .format = a->bf16 ? DS_KBF16 : DS_KF32,
                            .recompute = a->recompute,
                            .dora = a->dora,
                            .optim = (enum ds_optim_kind)a->optim,
                            .rank = a->rank ? a->rank : RANK,
                            .prompt = a->prompt};
    ds_modelconf m = {0};
    const char *advice = NULL;
    int rc = ds_modelconf_read(&m, a->model, err);

    if (rc)
        return rc;
    say_title(a, &m);
    for (size_t i = 0; i < 3; i++) {
        ds_plan_need n;
        ds_plan_count(&n, &m, order[i], &c);
        say(&n, ds_method_name(order[i]), a->json);
        if (!advice && a->memory && ds_plan_sum(&n) <= a->memory)
            advice = ds_method_name(order[i]);
    }
    if (a->memory && !advice)
        rc = ds_fail(
            err, DS_FAIL, "nothing fits into %" PRId64 " bytes%s", a->memory,
            a->recompute
                ? ""
                : " (--recompute, --bf16, --optim adamw8bit or a smaller --batch takes less)");
    else if (a->data || a->tokens)
        rc = advise(a, &m, c, err);
    else if (advice && !a->json)
        printf("into %.1f MB fits: %s\n", (double)a->memory / 1e6, advice);
    ds_modelconf_fini(&m);
    return rc;
}

static int run(int argc, char **argv)
{
    asked a = {.batch = 8, .seq_len = 512, .prompt = 32, .column = "tokens"};
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
                           {.name = "data",
                            .type = DS_OPT_STR,
                            .var = &a.data,
                            .arg = "DATASET[@REV]|FILE.dsr",
                            .help = "what is to be trained on: advises a method and a rank"},
                           {.name = "column",
                            .type = DS_OPT_STR,
                            .var = &a.column,
                            .arg = "NAME",
                            .help = "column of tokens; default tokens"},
                           TRAIN_STORE(a.store),
                           {.name = "tokens",
                            .type = DS_OPT_INT,
                            .var = &a.tokens,
                            .arg = "N",
                            .min = 0,
                            .max = INT64_MAX,
                            .help = "instead of --data: how many tokens that is"},
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
                           {.name = "dora",
                            .type = DS_OPT_FLAG,
                            .var = &a.dora,
                            .help = "adapters that also learn the length of every row (DoRA)"},
                           {.name = "optim",
                            .type = DS_OPT_CHOICE,
                            .var = &a.optim,
                            .arg = "NAME",
                            .choices = OPTIMS,
                            .help = "adamw (default), or adamw8bit: moments of 8 bits"},
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
