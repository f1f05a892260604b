/* cmd_finetune_opts.c - see cmd_finetune.h. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "cmd_finetune.h"
#include "mixture.h"

static const char *const METHODS[] = {"lora", "full", "prompt", "auto", NULL};
static const char *const SCHEDULES[] = {"constant", "linear", "cosine", NULL};
static const char *const LONGER[] = {"error", "split", "truncate", NULL};
static const char *const OPTIMS[] = {"adamw", "adamw8bit", NULL};
static const char *const FORMATS[] = {"f32", "bf16", NULL};
static const char *const SPIKES[] = {"off", "stop", "skip", NULL};

/* What the command line says, before it becomes a ds_trainconf. */
static struct {
    ds_opt_list data, targets, only;
    const char *model, *device, *store, *out, *resume, *column, *mask, *weights, *prompt_init,
        *eval_data;
    int64_t steps, epochs, batch, accumulate, slices, seq_len, seed, every, rank, prompt, warmup,
        window, threads, data_threads, memory, keep, keep_every, eval_every, eval_batches, patience,
        spike_window;
    double lr, min_lr, alpha, dropout, lr_ratio, beta1, beta2, eps, decay, clip, min_delta,
        spike_factor;
    int method, schedule, longer, format, optim, on_spike, recompute;
    bool rslora, dora, abandon, json, quiet;
    const char **target_names, **only_names; /* ended by NULL */
    uint64_t *shares;
} o = {.column = "tokens",
       .batch = 8,
       .accumulate = 1,
       .seq_len = 512,
       .seed = 1,
       .window = 4096,
       .lr = 1e-4,
       .lr_ratio = 1,
       .beta1 = 0.9,
       .beta2 = 0.999,
       .eps = 1e-8,
       .clip = 1,
       .schedule = DS_COSINE,
       .longer = DS_LONG_SPLIT,
       .spike_window = 32,
       .spike_factor = 8};

static const ds_opt OPTIONS[] = {
    {.name = "model",
     .type = DS_OPT_STR,
     .var = &o.model,
     .arg = "DIR",
     .help = "Hugging Face folder of the base model"},
    {.name = "data",
     .type = DS_OPT_LIST,
     .var = &o.data,
     .arg = "DATASET[@REV]|FILE.dsr",
     .help = "what to train on; may be repeated"},
    {.name = "column",
     .type = DS_OPT_STR,
     .var = &o.column,
     .arg = "NAME",
     .help = "column of tokens; default tokens"},
    TRAIN_MASK(o.mask),
    {.name = "weights",
     .type = DS_OPT_STR,
     .var = &o.weights,
     .arg = "X,X,...",
     .help = "shares of the tokens, one for each --data: 0.7,0.3; default as they come"},
    {.name = "data-threads",
     .type = DS_OPT_INT,
     .var = &o.data_threads,
     .arg = "N",
     .min = 0,
     .max = 64,
     .help = "threads that fetch data, at most; one, until training had to wait for it"},
    TRAIN_STORE(o.store),
    {.letter = 'o',
     .name = "output",
     .type = DS_OPT_STR,
     .var = &o.out,
     .arg = "RUN",
     .help = "folder of the run"},
    {.name = "resume",
     .type = DS_OPT_STR,
     .var = &o.resume,
     .arg = "CHECKPOINT",
     .help = "go on from a checkpoint of this run"},
    {.name = "abandon",
     .type = DS_OPT_FLAG,
     .var = &o.abandon,
     .help = "with --resume: set aside the run's later checkpoints"},
    {.name = "method",
     .type = DS_OPT_CHOICE,
     .var = &o.method,
     .arg = "NAME",
     .choices = METHODS,
     .help = "lora (default), full, prompt, or auto: as dstrain plan suggests"},
    {.name = "memory",
     .type = DS_OPT_SIZE,
     .var = &o.memory,
     .arg = "BYTES",
     .help = "what --method auto and --recompute auto may fill; default all that this process may "
             "use"},
    {.name = "steps",
     .type = DS_OPT_INT,
     .var = &o.steps,
     .arg = "N",
     .min = 0,
     .max = INT32_MAX,
     .help = "optimizer steps; default 100"},
    {.name = "epochs",
     .type = DS_OPT_INT,
     .var = &o.epochs,
     .arg = "N",
     .min = 0,
     .max = 100000,
     .help = "passes over the data, instead of --steps"},
    {.name = "batch",
     .type = DS_OPT_INT,
     .var = &o.batch,
     .arg = "N",
     .min = 1,
     .max = 65536,
     .help = "rows computed together; default 8"},
    {.name = "accumulate",
     .type = DS_OPT_INT,
     .var = &o.accumulate,
     .arg = "N",
     .min = 1,
     .max = 65536,
     .help = "batches of a step; default 1"},
    {.name = "slices",
     .type = DS_OPT_INT,
     .var = &o.slices,
     .arg = "N",
     .min = 1,
     .max = DS_SLICES_MAX,
     .help = "parts of a step whose gradients are added up; default one, or one for each process"},
    {.name = "seq-len",
     .type = DS_OPT_INT,
     .var = &o.seq_len,
     .arg = "N",
     .min = 8,
     .max = 1 << 20,
     .help = "tokens of a row; default 512"},
    {.name = "long",
     .type = DS_OPT_CHOICE,
     .var = &o.longer,
     .arg = "HOW",
     .choices = LONGER,
     .help = "records longer than a row: error, split (default) or truncate"},
    {.name = "window",
     .type = DS_OPT_INT,
     .var = &o.window,
     .arg = "N",
     .min = 1,
     .max = 1 << 24,
     .help = "records packed together; default 4096"},
    {.name = "seed",
     .type = DS_OPT_INT,
     .var = &o.seed,
     .arg = "N",
     .help = "of order, dropout and new weights; default 1"},
    {.name = "optim",
     .type = DS_OPT_CHOICE,
     .var = &o.optim,
     .arg = "NAME",
     .choices = OPTIMS,
     .help = "adamw (default), or adamw8bit: moments of 8 bits, a quarter of their memory"},
    {.name = "lr",
     .type = DS_OPT_REAL,
     .var = &o.lr,
     .arg = "X",
     .help = "learning rate; default 1e-4"},
    {.name = "min-lr",
     .type = DS_OPT_REAL,
     .var = &o.min_lr,
     .arg = "X",
     .help = "where the schedule ends; default 0"},
    {.name = "schedule",
     .type = DS_OPT_CHOICE,
     .var = &o.schedule,
     .arg = "NAME",
     .choices = SCHEDULES,
     .help = "constant, linear or cosine (default)"},
    {.name = "warmup",
     .type = DS_OPT_INT,
     .var = &o.warmup,
     .arg = "N",
     .min = 0,
     .max = INT32_MAX,
     .help = "steps of linear warm-up; default 0"},
    {.name = "clip",
     .type = DS_OPT_REAL,
     .var = &o.clip,
     .arg = "X",
     .help = "largest gradient norm; default 1, 0 = any"},
    {.name = "weight-decay",
     .type = DS_OPT_REAL,
     .var = &o.decay,
     .arg = "X",
     .help = "of matrices; default 0"},
    {.name = "beta1",
     .type = DS_OPT_REAL,
     .var = &o.beta1,
     .arg = "X",
     .help = "AdamW; default 0.9"},
    {.name = "beta2",
     .type = DS_OPT_REAL,
     .var = &o.beta2,
     .arg = "X",
     .help = "AdamW; default 0.999"},
    {.name = "eps", .type = DS_OPT_REAL, .var = &o.eps, .arg = "X", .help = "AdamW; default 1e-8"},
    {.letter = 'r',
     .name = "rank",
     .type = DS_OPT_INT,
     .var = &o.rank,
     .arg = "N",
     .min = 1,
     .max = 4096,
     .help = "of LoRA; default 16"},
    {.name = "alpha",
     .type = DS_OPT_REAL,
     .var = &o.alpha,
     .arg = "X",
     .help = "of LoRA; default 32"},
    {.name = "dropout",
     .type = DS_OPT_REAL,
     .var = &o.dropout,
     .arg = "X",
     .help = "of LoRA's input; default 0"},
    {.name = "target",
     .type = DS_OPT_LIST,
     .var = &o.targets,
     .arg = "NAME",
     .help = "projection that gets an adapter (q_proj), or pattern; default all"},
    {.name = "dora",
     .type = DS_OPT_FLAG,
     .var = &o.dora,
     .help = "adapters that also learn the length of every row of the weights (DoRA)"},
    {.name = "rslora",
     .type = DS_OPT_FLAG,
     .var = &o.rslora,
     .help = "scale by alpha over the square root of the rank"},
    {.name = "lora-plus",
     .type = DS_OPT_REAL,
     .var = &o.lr_ratio,
     .arg = "X",
     .help = "LoRA+: learning rate of B over that of A; default 1"},
    {.name = "prompt-tokens",
     .type = DS_OPT_INT,
     .var = &o.prompt,
     .arg = "N",
     .min = 1,
     .max = 4096,
     .help = "virtual tokens of --method prompt; default 32, or as many as the text has"},
    {.name = "prompt-init",
     .type = DS_OPT_STR,
     .var = &o.prompt_init,
     .arg = "text:STRING|vocab|random",
     .help = "what virtual tokens begin as: embeddings of a text, of the vocabulary (default)"},
    {.name = "only",
     .type = DS_OPT_LIST,
     .var = &o.only,
     .arg = "PATTERN",
     .help = "with --method full: train the parameters whose names match"},
    {.name = "dtype",
     .type = DS_OPT_CHOICE,
     .var = &o.format,
     .arg = "NAME",
     .choices = FORMATS,
     .help = "f32 (default) or bf16 with f32 sums"},
    {.name = "recompute",
     .type = DS_OPT_CHOICE,
     .var = &o.recompute,
     .arg = "LEVEL",
     .choices = TRAIN_RECOMPUTES,
     .help = "what is computed again on the way back: none, attention, mlp, layer, or auto "
             "(default): the least that fits into memory; changes no bit"},
    {.name = "checkpoint-every",
     .type = DS_OPT_INT,
     .var = &o.every,
     .arg = "N",
     .min = 0,
     .max = INT32_MAX,
     .help = "steps; default only at the end"},
    {.name = "keep",
     .type = DS_OPT_INT,
     .var = &o.keep,
     .arg = "N",
     .min = 0,
     .max = INT32_MAX,
     .help = "keep the last N checkpoints and the best; default all"},
    {.name = "keep-every",
     .type = DS_OPT_INT,
     .var = &o.keep_every,
     .arg = "N",
     .min = 0,
     .max = INT32_MAX,
     .help = "with --keep: those of every N-th step, too"},
    {.name = "eval-data",
     .type = DS_OPT_STR,
     .var = &o.eval_data,
     .arg = "DATASET[@REV]|FILE.dsr",
     .help = "what to evaluate on during training; changes no bit of it"},
    {.name = "eval-every",
     .type = DS_OPT_INT,
     .var = &o.eval_every,
     .arg = "N",
     .min = 0,
     .max = INT32_MAX,
     .help = "steps; default --checkpoint-every, and at the end"},
    {.name = "eval-batches",
     .type = DS_OPT_INT,
     .var = &o.eval_batches,
     .arg = "N",
     .min = 0,
     .max = INT32_MAX,
     .help = "evaluate on as many stretches as N steps have rows; default all"},
    {.name = "patience",
     .type = DS_OPT_INT,
     .var = &o.patience,
     .arg = "N",
     .min = 0,
     .max = INT32_MAX,
     .help = "stop after N evaluations that are no better; default never"},
    {.name = "min-delta",
     .type = DS_OPT_REAL,
     .var = &o.min_delta,
     .arg = "X",
     .help = "how much lower a loss must be to be better; default 0"},
    {.name = "on-spike",
     .type = DS_OPT_CHOICE,
     .var = &o.on_spike,
     .arg = "WHAT",
     .choices = SPIKES,
     .help = "a loss that stands out: off (default), stop before it, or skip its update"},
    {.name = "spike-window",
     .type = DS_OPT_INT,
     .var = &o.spike_window,
     .arg = "N",
     .min = DS_SPIKE_WINDOW_MIN,
     .max = DS_SPIKE_WINDOW_MAX,
     .help = "steps that a loss is compared with; default 32"},
    {.name = "spike-factor",
     .type = DS_OPT_REAL,
     .var = &o.spike_factor,
     .arg = "X",
     .help = "deviations above their median that make a spike; default 8"},
    TRAIN_DEVICE(o.device),
    TRAIN_THREADS(o.threads),
    TRAIN_JSON(o.json),
    {.letter = 'q',
     .name = "quiet",
     .type = DS_OPT_FLAG,
     .var = &o.quiet,
     .help = "no words but errors"},
    TRAIN_END};

static int prompt_init(ds_trainconf *c, const char *how, ds_err *err)
{
    if (!how || !strcmp(how, "vocab"))
        c->prompt_init = DS_PROMPT_VOCAB;
    else if (!strcmp(how, "random"))
        c->prompt_init = DS_PROMPT_RANDOM;
    else if (!strncmp(how, "text:", 5) && how[5]) {
        c->prompt_init = DS_PROMPT_TEXT;
        c->prompt_text = how + 5;
    } else
        return ds_fail(err, DS_USAGE, "--prompt-init %s: text:STRING, vocab or random", how);
    return 0;
}

/* An early stop ends at a checkpoint, and the best must be one. */
static int evaluation(ds_trainconf *c, ds_err *err)
{
    const bool asked = o.eval_every || o.eval_batches || o.patience;

    if (!c->eval_data && asked)
        return ds_fail(err, DS_USAGE,
                       "--eval-every, --eval-batches and --patience want --eval-data");
    if (!(o.min_delta >= 0) || isinf(o.min_delta))
        return ds_fail(err, DS_USAGE, "--min-delta %g: 0 or more", o.min_delta);
    if (!o.eval_every && !o.every && o.patience)
        return ds_fail(err, DS_USAGE, "--patience wants --eval-every");
    if (!o.every && o.patience)
        c->checkpoint_every = (uint64_t)o.eval_every;
    c->eval_every = o.eval_every ? (uint64_t)o.eval_every : c->checkpoint_every;
    if (o.patience && c->eval_every % c->checkpoint_every)
        return ds_fail(err, DS_USAGE,
                       "--eval-every %lld: with --patience a multiple of --checkpoint-every",
                       (long long)o.eval_every);
    return 0;
}

static int settings(ds_trainconf *c, ds_err *err)
{
    if (!c->model || !c->out || !c->ndata)
        return ds_fail(err, DS_USAGE, "%s is missing (dstrain finetune -h)",
                       !c->model ? "--model DIR"
                       : !c->out ? "-o RUN"
                                 : "--data DATASET");
    if (o.weights && ds_weights_parse(o.shares, c->ndata, o.weights, err))
        return DS_USAGE;
    if (!(o.spike_factor > 0) || isinf(o.spike_factor))
        return ds_fail(err, DS_USAGE, "--spike-factor %g: above 0", o.spike_factor);
    if (o.keep_every && !o.keep)
        return ds_fail(err, DS_USAGE, "--keep-every is for --keep, without which all are kept");
    if (prompt_init(c, o.prompt_init, err))
        return DS_USAGE;
    return evaluation(c, err);
}

static ds_trainconf told(void)
{
    return (ds_trainconf){
        .model = o.model,
        .data = o.data.v,
        .ndata = o.data.n,
        .column = o.column,
        .mask = o.mask,
        .weights = o.weights ? o.shares : NULL,
        .store = o.store,
        .out = o.out,
        .resume = o.resume,
        .method = (enum ds_method)o.method,
        .memory = o.memory,
        .seed = (uint64_t)o.seed,
        .steps = o.steps    ? (uint64_t)o.steps
                 : o.epochs ? 0
                            : 100,
        .epochs = (uint64_t)o.epochs,
        .batch = (uint64_t)o.batch,
        .accumulate = (uint64_t)o.accumulate,
        .slices = (uint32_t)o.slices,
        .checkpoint_every = o.every ? (uint64_t)o.every : UINT64_MAX / 4,
        .keep = (uint64_t)o.keep,
        .keep_every = (uint64_t)o.keep_every,
        .eval_data = o.eval_data,
        .eval_stretches = (uint64_t)(o.eval_batches * o.batch * o.accumulate),
        .patience = (uint64_t)o.patience,
        .min_delta = o.min_delta,
        .spike = {(enum ds_spike_policy)o.on_spike, (uint32_t)o.spike_window, o.spike_factor},
        .seq_len = (uint32_t)o.seq_len,
        .window = (uint32_t)o.window,
        .longer = (enum ds_long)o.longer,
        .format = o.format ? DS_KBF16 : DS_KF32,
        .recompute = train_recompute(o.recompute),
        .auto_recompute = !o.recompute,
        .abandon = o.abandon,
        .device = o.device,
        .threads = (int)o.threads,
        .data_threads = (int)o.data_threads,
        .optim = {o.lr, o.min_lr, (enum ds_schedule)o.schedule, (uint64_t)o.warmup, 0, o.beta1,
                  o.beta2, o.eps, o.decay, o.clip, (enum ds_optim_kind)o.optim},
        .lora = {.r = (int32_t)o.rank,
                 .alpha = o.alpha,
                 .dropout = o.dropout,
                 .rslora = o.rslora,
                 .dora = o.dora,
                 .lr_ratio = o.lr_ratio,
                 .targets = o.targets.n ? o.target_names : DS_PROJECTIONS},
        .prompt_tokens = (int32_t)o.prompt,
        .only = o.only_names,
        .json = o.json,
        .quiet = o.quiet};
}

int finetune_options(ds_trainconf *c, const ds_command *cmd, int argc, char **argv, ds_err *err)
{
    char **operands;
    int n;
    const int begun = ds_opt_begin(cmd, OPTIONS, argc, argv, &operands, &n);

    if (begun >= 0)
        return begun;
    o.target_names = train_list_ended(&o.targets, err);
    o.only_names = train_list_ended(&o.only, err);
    o.shares = calloc(o.data.n + 1, sizeof *o.shares);
    if (!o.target_names || !o.only_names || !o.shares) {
        ds_fail_nomem(err);
        return -1;
    }
    *c = told();
    settings(c, err);
    return -1;
}

void finetune_options_fini(void)
{
    free(o.target_names);
    free(o.only_names);
    free(o.shares);
    ds_opt_list_fini(&o.data);
    ds_opt_list_fini(&o.targets);
    ds_opt_list_fini(&o.only);
}
