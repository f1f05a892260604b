/* cmd_plan.c - dstrain plan: the memory that a run will take, before it. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "cmd_train.h"
#include "memlimit.h"
#include "plan.h"
#include "plugin.h"
#include "try.h"

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
        "full rows; of --model only config.json is read. Weights in the number format; gradients "
        "in f32 for what is trained, with --slices also their sum, both moments of AdamW in f32 "
        "or, with --optim adamw8bit, in 8 bits, and a f32 copy of bf16 or f16 weights that are "
        "trained, but for --method full with --rounding stochastic; activations: the most that a "
        "step has at once. Each is exact to the byte, but for experts, whose tokens are taken to "
        "be shared out alike. Of --method prompt a row is longer by the virtual tokens of each "
        "record in it but the first: the longest batch is looked for in --data, over its first "
        "epoch with the seed and window that finetune has by default; without --data rows hold one "
        "record each. The program itself, some 20 MB, comes on top.\n\n"
        "Activations depend on what is computed again on the way back (--recompute, which changes "
        "no bit): nothing; attention with its queries, keys and values; the inner products of the "
        "mlp; or whole layers from their inputs. Without --recompute all levels are shown.\n\n"
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

static struct {
    train_shape s;
    int64_t tokens;
    int preference;
    bool json;
} o = {.s = TRAIN_SHAPE};

static const ds_opt OPTIONS[] = {
    TRAIN_MODEL(o.s.model),
    TRAIN_BATCH(o.s),
    TRAIN_SLICES(o.s),
    TRAIN_SEQ_LEN(o.s),
    TRAIN_RANK(o.s),
    TRAIN_TARGET(o.s),
    TRAIN_DROPOUT(o.s),
    TRAIN_DORA(o.s),
    TRAIN_TOKEN(o.s),
    TRAIN_ONLY(o.s),
    TRAIN_PROMPT(o.s),
    TRAIN_DTYPE(o.s.format),
    TRAIN_OPTIM(o.s),
    TRAIN_ROUNDING(o.s),
    TRAIN_RECOMPUTE(o.s),
    TRAIN_DEVICE(o.s.device),
    TRAIN_MEMORY(o.s),
    TRAIN_DATA(o.s),
    TRAIN_COLUMN(o.s.column),
    TRAIN_STORE(o.s.store),
    OPT_CHOICE(
        0, "preference", o.preference, "LOSS", DS_PREF_NAMES,
        "of pairs of answers, as dstrain finetune has it: for full the weights before come on "
        "top, and prompt is no method"),
    OPT_INT(0, "tokens", o.tokens, "N", 0, INT64_MAX, "instead of --data: how many tokens that is"),
    TRAIN_JSON(o.json),
    OPT_END};

static const enum ds_method METHODS[] = {DS_METHOD_FULL, DS_METHOD_LORA, DS_METHOD_PROMPT};

static size_t methods(void)
{
    return o.preference ? 2 : 3;
}

/* ---- the table ---- */

static void say_title(const ds_modelconf *m, int64_t params)
{
    printf("%s, %" PRId64 " parameters; %" PRId64 " x %" PRId64 " tokens, %s; MB\n"
           "%-7s %12s %9s %9s %9s %9s  %-9s %11s %9s\n",
           ds_arch_name(m->arch), params, o.s.batch, o.s.seq_len, DS_FORMAT_NAMES[o.s.format],
           "method", "trained", "weights", "gradients", "moments", "masters", "recompute",
           "activations", "sum");
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

static bool has_data(void)
{
    return o.s.data.n || o.tokens;
}

/* Of the first epoch, in the order that a run has by default. */
static int find_longest(int64_t *longest, ds_run *run, ds_dataset **d, const ds_plan_conf *c,
                        ds_err *err)
{
    uint64_t rows;

    if (c->seq_len < c->prompt + 4)
        return 0; /* no such run */
    run->seed = TRAIN_SEED;
    run->window = TRAIN_WINDOW;
    run->longer = DS_LONG_SPLIT;
    run->seq_len = (uint32_t)(c->seq_len - c->prompt);
    TRY(ds_loader_count(&rows, run, d, 1, err));
    const ds_loader_conf l = {.run = run,
                              .datasets = d,
                              .rows = (uint64_t)c->rows,
                              .count = (rows + (uint64_t)c->rows - 1) / (uint64_t)c->rows *
                                       (uint64_t)c->rows,
                              .virtual_tokens = (int32_t)c->prompt,
                              .even = c->device};
    return ds_loader_longest(longest, &l, err);
}

/* What is to be trained on: all its tokens, and those of the longest batch of prompt tuning. */
static int look_at_data(uint64_t *tokens, ds_plan_conf *c, ds_err *err)
{
    const size_t n = o.s.data.n;
    ds_dataset **d = calloc(n + 1, sizeof *d);
    ds_run run = {.datasets = calloc(n + 1, sizeof *run.datasets)};
    int rc = d && run.datasets ? 0 : ds_fail_nomem(err);

    for (size_t i = 0; !rc && i < n; i++) {
        rc = ds_dataset_open(&d[i], o.s.data.v[i], o.s.store, o.s.column, NULL, err);
        rc = rc ? rc : ds_dataset_want_pairs(d[i], o.preference, err);
        if (rc)
            break;
        run.datasets[run.ndatasets++].records = ds_dataset_about(d[i])->records;
        *tokens += ds_dataset_about(d[i])->tokens;
    }
    if (!rc && *tokens && !o.preference)
        rc = find_longest(&c->tokens, &run, d, c, err);
    for (size_t i = 0; d && i < n; i++)
        ds_dataset_close(d[i]);
    free(d);
    free(run.datasets);
    return rc;
}

static int advise(const ds_modelconf *m, const ds_plan_conf *planned, uint64_t tokens, ds_err *err)
{
    ds_plan_conf c = *planned;
    ds_plan_advice v;
    int rc;

    c.lora.r = (int32_t)o.s.rank; /* 0: any */
    rc = ds_plan_advise(&v, m, &c, tokens, o.s.memory ? o.s.memory : ds_memory_limit(), err);
    if (!rc)
        say_advice(&v);
    return rc;
}

static void say_fit(const ds_plan_need *n, enum ds_method method, const ds_plan_conf *c, bool *fits)
{
    enum ds_recompute r;

    if (*fits || !o.s.memory || !ds_plan_fits(n, c, o.s.memory, &r))
        return;
    *fits = true;
    if (!o.json && !has_data())
        printf("into %.1f MB, less a tenth, fits: %s%s%s\n", mb(o.s.memory), ds_method_name(method),
               r ? ", with --recompute " : "", r ? ds_recompute_name(r) : "");
}

static int make_plan(ds_plan_conf *c, ds_err *err)
{
    uint64_t tokens = (uint64_t)o.tokens;
    ds_plan_need need[3];
    ds_modelconf m = {0};
    bool fits = false;
    int rc = ds_modelconf_read(&m, o.s.model, err);

    rc = rc || !o.s.data.n ? rc : look_at_data(&tokens, c, err);
    for (size_t i = 0; !rc && i < methods(); i++)
        rc = ds_plan_count(&need[i], &m, METHODS[i], c, err);
    if (!rc && !o.json)
        say_title(&m, need[0].params);
    for (size_t i = 0; !rc && i < methods(); i++)
        say_need(&need[i], METHODS[i], c);
    for (size_t i = 0; !rc && i < methods(); i++)
        say_fit(&need[i], METHODS[i], c, &fits);
    if (!rc && o.s.memory && !fits)
        rc = ds_plan_nothing_fits(c, o.s.memory, err);
    if (!rc && has_data())
        rc = advise(&m, c, tokens, err);
    ds_modelconf_fini(&m);
    return rc;
}

/* As many tokens as are named: which they are changes nothing. */
static int plan_tokens(ds_plan_conf *c, ds_err *err)
{
    const size_t n = o.s.tokens.n;
    uint32_t *ids = calloc(n + 1, sizeof *ids);

    if (!ids)
        return ds_fail_nomem(err);
    for (size_t i = 0; i < n; i++)
        ids[i] = (uint32_t)i;
    c->lora.rows = ids;
    c->lora.nrows = n;
    const int rc = make_plan(c, err);
    free(ids);
    return rc;
}

static int planned(ds_err *err)
{
    const int again = train_recompute(&o.s);
    int device = -1;

    if (train_shape_end(&o.s, err) || (o.s.device && ds_device_parse(&device, o.s.device, err)))
        return err->code;
    ds_plan_conf c = {
        .rows = o.s.batch,
        .seq_len = o.s.seq_len,
        .format = (enum ds_kfmt)o.s.format,
        .optim = (enum ds_optim_kind)o.s.optim,
        .stochastic = o.s.rounding && o.s.format == DS_KBF16,
        .lora = {.r = (int32_t)(o.s.rank ? o.s.rank : DS_LORA_RANK),
                 .dropout = o.s.dropout,
                 .dora = o.s.dora,
                 .targets = o.s.targets.n ? o.s.target_names : NULL},
        .only = o.s.only_names,
        .pairs = o.preference != 0,
        .before = ds_pref_compares(&(ds_pref_conf){.kind = (enum ds_pref_kind)o.preference}),
        .prompt = o.s.prompt ? o.s.prompt : DS_PROMPT_TOKENS,
        .sums = o.s.slices > 1,
        .auto_recompute = again < 0,
        .recompute = again < 0 ? DS_AGAIN_NONE : (enum ds_recompute)again,
        .device = device >= 0};
    return plan_tokens(&c, err);
}

static int run(int argc, char **argv)
{
    char **operands;
    ds_err err = {0};
    int n;
    const int begun = ds_opt_begin(&ds_train_plan, OPTIONS, argc, argv, &operands, &n);

    if (begun >= 0)
        return begun;
    if (!o.s.model)
        ds_fail(&err, DS_USAGE, "--model DIR is missing (dstrain plan -h)");
    else
        planned(&err);
    train_shape_fini(&o.s);
    return ds_command_end(&ds_train_plan, &err, o.json);
}
