/* cmd_plan.c - dstrain plan: the memory that a run will take, before it. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
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
        "Builds what dstrain finetune would build, without its memory, and takes a step of it over "
        "full rows. Weights in the number format; gradients in f32 for what is trained, with "
        "--slices also their sum, both "
        "moments of AdamW in f32 or, with --optim adamw8bit, in 8 bits, and a f32 copy of bf16 "
        "weights that are trained; activations: the most that a step has at once. Each is exact to "
        "the byte, but for experts, whose tokens are taken to be shared out alike. The program "
        "itself, some 20 MB, comes on top.\n\n"
        "Activations depend on what is computed again on the way back (--recompute, which changes "
        "no bit): nothing; attention with its queries, keys and values; the inner products of the "
        "mlp; or whole layers from their inputs.\n\n"
        "With --device cuda the sums have what a device's backend takes for itself too: then they "
        "are all that dstrain finetune --device cuda asks the device for, in one piece and before "
        "the first step (what CUDA itself takes, some 500 MB, is not in it).\n\n"
        "With --memory it names the first method, and the cheapest level of recomputation, that "
        "fit. With --data, or --tokens, it advises a method and a rank. Training tells a model "
        "about a bit a token, a trained parameter holds about two: the rank is the least "
        "of 8, 16 ... 256 whose adapters have room for the data. Where none has, all "
        "weights are trained if they fit; else the highest rank that fits; else a prompt. "
        "A tenth of the memory is left free. dstrain finetune --method auto does what is "
        "advised here.",
    .run = run,
};

static const char *const OPTIMS[] = {"adamw", "adamw8bit", NULL};
static const char *const FORMATS[] = {"f32", "bf16", NULL};
static const char *const DEVICES[] = {"cpu", "cuda", NULL};

static struct {
    const char *model, *data, *store, *column;
    ds_opt_list targets, only;
    int64_t batch, slices, seq_len, rank, prompt, memory, tokens;
    double dropout;
    int optim, format, recompute, device;
    bool dora, json;
} o = {.batch = 8, .seq_len = 512, .prompt = 32, .column = "tokens"};

static const ds_opt OPTIONS[] = {
    {.name = "model",
     .type = DS_OPT_STR,
     .var = &o.model,
     .arg = "DIR",
     .help = "Hugging Face folder; only config.json is read"},
    {.name = "batch",
     .type = DS_OPT_INT,
     .var = &o.batch,
     .arg = "N",
     .min = 1,
     .max = 65536,
     .help = "rows computed together; default 8"},
    {.name = "slices",
     .type = DS_OPT_INT,
     .var = &o.slices,
     .arg = "N",
     .min = 1,
     .max = DS_SLICES_MAX,
     .help = "parts of a step whose gradients one process adds up; default one"},
    {.name = "seq-len",
     .type = DS_OPT_INT,
     .var = &o.seq_len,
     .arg = "N",
     .min = 8,
     .max = 1 << 20,
     .help = "tokens of a row; default 512"},
    {.letter = 'r',
     .name = "rank",
     .type = DS_OPT_INT,
     .var = &o.rank,
     .arg = "N",
     .min = 1,
     .max = 4096,
     .help = "of LoRA; default 16"},
    {.name = "target",
     .type = DS_OPT_LIST,
     .var = &o.targets,
     .arg = "NAME",
     .help = "projection that gets an adapter (q_proj), or pattern; default all"},
    {.name = "dropout",
     .type = DS_OPT_REAL,
     .var = &o.dropout,
     .arg = "X",
     .help = "of LoRA's input; default 0"},
    {.name = "dora",
     .type = DS_OPT_FLAG,
     .var = &o.dora,
     .help = "adapters that also learn the length of every row (DoRA)"},
    {.name = "only",
     .type = DS_OPT_LIST,
     .var = &o.only,
     .arg = "PATTERN",
     .help = "of full fine-tuning: train the parameters whose names match"},
    {.name = "prompt-tokens",
     .type = DS_OPT_INT,
     .var = &o.prompt,
     .arg = "N",
     .min = 1,
     .max = 4096,
     .help = "virtual tokens; default 32"},
    {.name = "dtype",
     .type = DS_OPT_CHOICE,
     .var = &o.format,
     .arg = "NAME",
     .choices = FORMATS,
     .help = "f32 (default) or bf16 with f32 sums"},
    {.name = "optim",
     .type = DS_OPT_CHOICE,
     .var = &o.optim,
     .arg = "NAME",
     .choices = OPTIMS,
     .help = "adamw (default), or adamw8bit: moments of 8 bits"},
    {.name = "recompute",
     .type = DS_OPT_CHOICE,
     .var = &o.recompute,
     .arg = "LEVEL",
     .choices = TRAIN_RECOMPUTES,
     .help = "none, attention, mlp or layer; default all of them are shown"},
    {.name = "device",
     .type = DS_OPT_CHOICE,
     .var = &o.device,
     .arg = "NAME",
     .choices = DEVICES,
     .help = "cpu (default) or cuda"},
    {.name = "memory",
     .type = DS_OPT_SIZE,
     .var = &o.memory,
     .arg = "BYTES",
     .help = "what there is: names the method that fits"},
    {.name = "data",
     .type = DS_OPT_STR,
     .var = &o.data,
     .arg = "DATASET[@REV]|FILE.dsr",
     .help = "what is to be trained on: advises a method and a rank"},
    {.name = "column",
     .type = DS_OPT_STR,
     .var = &o.column,
     .arg = "NAME",
     .help = "column of tokens; default tokens"},
    TRAIN_STORE(o.store),
    {.name = "tokens",
     .type = DS_OPT_INT,
     .var = &o.tokens,
     .arg = "N",
     .min = 0,
     .max = INT64_MAX,
     .help = "instead of --data: how many tokens that is"},
    TRAIN_JSON(o.json),
    TRAIN_END};

static const enum ds_method METHODS[] = {DS_METHOD_FULL, DS_METHOD_LORA, DS_METHOD_PROMPT};

/* ---- the table ---- */

static void say_title(const ds_modelconf *m, int64_t params)
{
    printf("%s, %" PRId64 " parameters; %" PRId64 " x %" PRId64 " tokens, %s; MB\n"
           "%-7s %12s %9s %9s %9s %9s  %-9s %11s %9s\n",
           ds_arch_name(m->arch), params, o.batch, o.seq_len, FORMATS[o.format], "method",
           "trained", "weights", "gradients", "moments", "masters", "recompute", "activations",
           "sum");
}

static double mb(int64_t bytes)
{
    return (double)bytes / 1e6;
}

static void say_line(const ds_plan_need *n, const char *method, enum ds_recompute r, bool first)
{
    if (o.json)
        printf("{\"type\":\"plan\",\"method\":\"%s\",\"trained\":%" PRId64 ",\"weights\":%" PRId64
               ",\"gradients\":%" PRId64 ",\"moments\":%" PRId64 ",\"masters\":%" PRId64
               ",\"recompute\":\"%s\",\"activations\":%" PRId64 ",\"device\":%" PRId64
               ",\"bytes\":%" PRId64 "}\n",
               method, n->trained, n->weights, n->grads, n->moments, n->masters,
               ds_recompute_name(r), n->acts[r], n->device, ds_plan_sum(n, r));
    else if (first)
        printf("%-7s %12" PRId64 " %9.1f %9.1f %9.1f %9.1f", method, n->trained, mb(n->weights),
               mb(n->grads), mb(n->moments), mb(n->masters));
    else
        printf("%60s", "");
    if (!o.json)
        printf("  %-9s %11.1f %9.1f%s\n", ds_recompute_name(r), mb(n->acts[r]),
               mb(ds_plan_sum(n, r)), first && n->device ? ", the device's own with it" : "");
}

static void say_need(const ds_plan_need *n, enum ds_method method, const ds_plan_conf *c)
{
    for (int r = 0; r < DS_RECOMPUTES; r++)
        if (c->auto_recompute || r == (int)c->recompute)
            say_line(n, ds_method_name(method), (enum ds_recompute)r, r == 0 || !c->auto_recompute);
}

/* ---- what to use ---- */

static void say_advice(const ds_plan_advice *v)
{
    if (o.json)
        printf("{\"type\":\"advice\",\"method\":\"%s\",\"rank\":%" PRId64
               ",\"recompute\":\"%s\",\"why\":\"%s\"}\n",
               ds_method_name(v->method), v->rank, ds_recompute_name(v->recompute), v->why);
    else if (v->method == DS_METHOD_LORA)
        printf("advised: lora of rank %" PRId64 ": %s\n", v->rank, v->why);
    else
        printf("advised: %s: %s\n", ds_method_name(v->method), v->why);
}

static int advise(const ds_modelconf *m, const ds_plan_conf *planned, ds_err *err)
{
    ds_plan_conf c = *planned;
    ds_plan_advice v;
    ds_dataset *d = NULL;
    uint64_t tokens = (uint64_t)o.tokens;
    int rc = o.data ? ds_dataset_open(&d, o.data, o.store, o.column, NULL, err) : 0;

    c.lora.r = (int32_t)o.rank; /* 0: any */
    if (d)
        tokens = ds_dataset_about(d)->tokens;
    ds_dataset_close(d);
    rc = rc ? rc : ds_plan_advise(&v, m, &c, tokens, o.memory ? o.memory : ds_memory_limit(), err);
    if (!rc)
        say_advice(&v);
    return rc;
}

static void say_fit(const ds_plan_need *n, enum ds_method method, const ds_plan_conf *c, bool *fits)
{
    enum ds_recompute r;

    if (*fits || !o.memory || !ds_plan_fits(n, c, o.memory, &r))
        return;
    *fits = true;
    if (!o.json && !o.data && !o.tokens)
        printf("into %.1f MB, less a tenth, fits: %s%s%s\n", mb(o.memory), ds_method_name(method),
               r ? ", with --recompute " : "", r ? ds_recompute_name(r) : "");
}

static int make_plan(const ds_plan_conf *c, ds_err *err)
{
    ds_plan_need need[3];
    ds_modelconf m = {0};
    bool fits = false;
    int rc = ds_modelconf_read(&m, o.model, err);

    for (size_t i = 0; !rc && i < 3; i++)
        rc = ds_plan_count(&need[i], &m, METHODS[i], c, err);
    if (!rc && !o.json)
        say_title(&m, need[0].params);
    for (size_t i = 0; !rc && i < 3; i++)
        say_need(&need[i], METHODS[i], c);
    for (size_t i = 0; !rc && i < 3; i++)
        say_fit(&need[i], METHODS[i], c, &fits);
    if (!rc && o.memory && !fits)
        rc = ds_fail(err, DS_FAIL,
                     "nothing fits into %" PRId64
                     " bytes (--dtype bf16, --optim adamw8bit or a smaller --batch takes less)",
                     o.memory);
    if (!rc && (o.data || o.tokens))
        rc = advise(&m, c, err);
    ds_modelconf_fini(&m);
    return rc;
}

static int planned(ds_err *err)
{
    const char **targets = train_list_ended(&o.targets, err),
               **only = targets ? train_list_ended(&o.only, err) : NULL;
    const ds_plan_conf c = {.rows = o.batch,
                            .seq_len = o.seq_len,
                            .format = o.format ? DS_KBF16 : DS_KF32,
                            .optim = (enum ds_optim_kind)o.optim,
                            .lora = {.r = (int32_t)(o.rank ? o.rank : RANK),
                                     .dropout = o.dropout,
                                     .dora = o.dora,
                                     .targets = o.targets.n ? targets : NULL},
                            .only = only,
                            .prompt = o.prompt,
                            .sums = o.slices > 1,
                            .auto_recompute = !o.recompute,
                            .recompute = train_recompute(o.recompute),
                            .device = o.device};
    const int rc = only ? make_plan(&c, err) : err->code;

    free(targets);
    free(only);
    return rc;
}

static int run(int argc, char **argv)
{
    char **operands;
    ds_err err = {0};
    int n;
    const int begun = ds_opt_begin(&ds_train_plan, OPTIONS, argc, argv, &operands, &n);

    if (begun >= 0)
        return begun;
    if (!o.model)
        ds_fail(&err, DS_USAGE, "--model DIR is missing (dstrain plan -h)");
    else
        planned(&err);
    ds_opt_list_fini(&o.targets);
    ds_opt_list_fini(&o.only);
    return ds_command_end(&ds_train_plan, &err, o.json);
}
