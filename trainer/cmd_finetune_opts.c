/* cmd_finetune_opts.c - see cmd_finetune.h. */
#include <float.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "cmd_finetune.h"
#include "io.h"
#include "mixture.h"

static const char *const METHODS[] = {"lora", "full", "prompt", "auto", NULL};
static const char *const SCHEDULES[] = {"constant", "linear", "cosine", "wsd", NULL};
static const char *const LONGER[] = {"error", "split", "truncate", NULL};
static const char *const SPIKES[] = {"off", "stop", "skip", NULL};

enum { NOT_SAID = -1 };
#define WSD_DECAY 0.2 /* of all steps: Haegele et al. 2024 */

/* What the command line says, before it becomes a ds_trainconf. */
static struct {
    train_shape s;
    const char *out, *resume, *mask, *weights, *prompt_init;
    ds_opt_list eval_data;
    int64_t steps, epochs, accumulate, seed, every, warmup, window, threads, data_threads, keep,
        keep_every, eval_every, eval_batches, patience, spike_window, loss_scale, scale_window;
    double lr, min_lr, warmup_share, decay_share, alpha, lr_ratio, beta1, beta2, eps, decay, clip,
        min_delta, spike_factor;
    int method, schedule, longer, on_spike, graphs;
    train_pref pref;
    bool rslora, abandon, json, quiet;
    uint64_t *shares;
    char *folder;       /* out, without slashes at its end */
    char last[DS_PATH]; /* its last checkpoint, where that is asked for */
} o = {.s = TRAIN_SHAPE,
       .accumulate = 1,
       .seed = TRAIN_SEED,
       .every = NOT_SAID,
       .window = TRAIN_WINDOW,
       .lr = 1e-4,
       .decay_share = (double)NAN, /* not said */
       .alpha = (double)NAN,       /* not said */
       .pref = TRAIN_PREF_UNSAID,
       .lr_ratio = 1,
       .beta1 = 0.9,
       .beta2 = 0.999,
       .eps = 1e-8,
       .clip = 1,
       .schedule = DS_COSINE,
       .longer = NOT_SAID,
       .spike_window = 32,
       .spike_factor = 8};

static const ds_opt OPTIONS[] = {
    TRAIN_MODEL(o.s.model),
    TRAIN_DATA(o.s),
    TRAIN_OUTPUT(o.out, "RUN", "folder of the run"),
    OPT_STR(0, "resume", o.resume, "CHECKPOINT|auto",
            "go on from a checkpoint of this run; auto: the last of RUN, or begin, or nothing is "
            "left to do"),
    OPT_FLAG(0, "abandon", o.abandon, "with --resume: set aside the run's later checkpoints"),
    OPT_CHOICE(0, "method", o.method, "NAME", METHODS,
               "lora (default), full, prompt, or auto: as dstrain plan suggests"),
    OPT_HEADING("Data"),
    TRAIN_STORE(o.s.store),
    TRAIN_COLUMN(o.s.column),
    TRAIN_MASK(o.mask),
    OPT_STR(0, "weights", o.weights, "X,X,...",
            "shares of the tokens, one for each --data: 0.7,0.3; default as they come"),
    OPT_CHOICE(0, "long", o.longer, "HOW", LONGER,
               "records longer than a row: error, split (default) or truncate"),
    OPT_INT(0, "window", o.window, "N", 1, 1 << 24,
            "records packed together; default 4096, 1 = a row each"),
    OPT_INT(0, "seed", o.seed, "N", 0, 0, "of order, dropout and new weights; default 1"),
    OPT_HEADING("Steps and rows"),
    OPT_INT(0, "steps", o.steps, "N", 1, INT32_MAX, "optimizer steps; default 100"),
    OPT_INT(0, "epochs", o.epochs, "N", 1, 100000, "passes over the data, instead of --steps"),
    TRAIN_BATCH(o.s),
    OPT_INT(0, "accumulate", o.accumulate, "N", 1, 65536, "batches of a step; default 1"),
    TRAIN_SLICES(o.s),
    TRAIN_SEQ_LEN(o.s),
    OPT_HEADING("Optimizer and learning rate"),
    OPT_REAL(0, "lr", o.lr, "X", "learning rate; default 1e-4"),
    OPT_REAL(0, "min-lr", o.min_lr, "X", "where the schedule ends; default 0"),
    OPT_CHOICE(0, "schedule", o.schedule, "NAME", SCHEDULES,
               "constant, linear, cosine (default), or wsd: stays, then falls by 1 - sqrt"),
    OPT_INT(0, "warmup", o.warmup, "N", 0, INT32_MAX, "steps of linear warm-up; default 0"),
    OPT_REAL(0, "warmup-share", o.warmup_share, "X", "those as a share of all steps: 0.03"),
    OPT_REAL(0, "decay-share", o.decay_share, "X",
             "share of the steps, at the end, in which the rate falls, of any schedule; default "
             "all after the warm-up, 0.2 of wsd"),
    OPT_REAL(0, "clip", o.clip, "X", "largest gradient norm; default 1, 0 = any"),
    OPT_REAL(0, "weight-decay", o.decay, "X", "of matrices; default 0"),
    TRAIN_OPTIM(o.s),
    TRAIN_ROUNDING(o.s),
    OPT_REAL(0, "beta1", o.beta1, "X", "AdamW; default 0.9"),
    OPT_REAL(0, "beta2", o.beta2, "X", "AdamW; default 0.999"),
    OPT_REAL(0, "eps", o.eps, "X", "AdamW; default 1e-8"),
    OPT_HEADING("Adapters (LoRA)"),
    TRAIN_RANK(o.s),
    OPT_REAL(0, "alpha", o.alpha, "X", "of LoRA; default 32, or twice the rank that auto chose"),
    TRAIN_DROPOUT(o.s),
    TRAIN_TARGET(o.s),
    TRAIN_DORA(o.s),
    TRAIN_TOKEN(o.s),
    OPT_FLAG(0, "rslora", o.rslora, "scale by alpha over the square root of the rank"),
    OPT_REAL(0, "lora-plus", o.lr_ratio, "X",
             "LoRA+: learning rate of B over that of A; default 1"),
    OPT_HEADING("Preferences (DPO)"),
    TRAIN_PREFERENCES(o.pref),
    OPT_HEADING("Other methods"),
    TRAIN_PROMPT(o.s),
    OPT_STR(0, "prompt-init", o.prompt_init, "text:STRING|vocab|random",
            "what virtual tokens begin as: embeddings of a text, of the vocabulary (default)"),
    TRAIN_ONLY(o.s),
    OPT_HEADING("Checkpoints and evaluation"),
    OPT_INT(0, "checkpoint-every", o.every, "N", 0, INT32_MAX,
            "steps; default 500, 0 = only at the end; there is one at the end in any case"),
    OPT_INT(0, "keep", o.keep, "N", 0, INT32_MAX,
            "keep the last N checkpoints and the best; default all"),
    OPT_INT(0, "keep-every", o.keep_every, "N", 0, INT32_MAX,
            "with --keep: those of every N-th step, too"),
    OPT_LIST(0, "eval-data", o.eval_data, TRAIN_DATA_ARG,
             "what to evaluate on during training; changes no bit of it; may be repeated"),
    OPT_INT(0, "eval-every", o.eval_every, "N", 0, INT32_MAX,
            "steps; default --checkpoint-every, and at the end"),
    OPT_INT(0, "eval-batches", o.eval_batches, "N", 0, INT32_MAX,
            "evaluate on as many stretches as N steps have rows, of each; default all"),
    OPT_INT(0, "patience", o.patience, "N", 0, INT32_MAX,
            "stop after N evaluations that are no better; default never"),
    OPT_REAL(0, "min-delta", o.min_delta, "X",
             "how much lower a loss must be to be better; default 0"),
    OPT_HEADING("Losses that stand out, and f16"),
    OPT_CHOICE(0, "on-spike", o.on_spike, "WHAT", SPIKES,
               "a loss that stands out: off (default), stop before it, or skip its update"),
    OPT_INT(0, "spike-window", o.spike_window, "N", DS_SPIKE_WINDOW_MIN, DS_SPIKE_WINDOW_MAX,
            "steps that a loss is compared with; default 32"),
    OPT_REAL(0, "spike-factor", o.spike_factor, "X",
             "deviations above their median that make a spike; default 8"),
    OPT_INT(0, "loss-scale", o.loss_scale, "N", 1, DS_LOSSSCALE_MOST,
            "with --dtype f16: what the loss is multiplied with at first, a power of two; default "
            "65536"),
    OPT_INT(0, "scale-window", o.scale_window, "N", 1, INT32_MAX,
            "with --dtype f16: updates after which the loss scale is doubled; default 2000"),
    OPT_HEADING("Machine"),
    TRAIN_DTYPE(o.s.format),
    TRAIN_RECOMPUTE(o.s),
    TRAIN_MEMORY(o.s),
    TRAIN_DEVICE(o.s.device),
    TRAIN_GRAPHS(o.graphs),
    TRAIN_THREADS(o.threads),
    OPT_INT(0, "data-threads", o.data_threads, "N", 0, 64,
            "threads that fetch data, at most; one, until training had to wait for it"),
    OPT_HEADING("Messages"),
    TRAIN_JSON(o.json),
    TRAIN_QUIET(o.quiet),
    OPT_END};

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

    if (!c->neval && asked)
        return ds_fail(err, DS_USAGE,
                       "--eval-every, --eval-batches and --patience want --eval-data");
    if (!o.eval_every && o.every <= 0 && o.patience)
        return ds_fail(err, DS_USAGE, "--patience wants --eval-every");
    if (o.every <= 0 && o.patience)
        c->checkpoint_every = (uint64_t)o.eval_every;
    c->eval_every = o.eval_every ? (uint64_t)o.eval_every : c->checkpoint_every;
    if (o.patience && c->eval_every % c->checkpoint_every)
        return ds_fail(err, DS_USAGE,
                       "--eval-every %lld: with --patience a multiple of --checkpoint-every",
                       (long long)o.eval_every);
    return 0;
}

/* Real numbers that have no range in the table. */
static int ranges(ds_err *err)
{
    const struct {
        const char *name;
        double v, least, below;
    } all[] = {{"lr", o.lr, 0, INFINITY},
               {"min-lr", o.min_lr, 0, INFINITY},
               {"warmup-share", o.warmup_share, 0, 1},
               {"decay-share", isnan(o.decay_share) ? 0.5 : o.decay_share, DBL_MIN, 1},
               {"clip", o.clip, 0, INFINITY},
               {"weight-decay", o.decay, 0, INFINITY},
               {"beta1", o.beta1, 0, 1},
               {"beta2", o.beta2, 0, 1},
               {"eps", o.eps, DBL_MIN, INFINITY},
               {"alpha", isnan(o.alpha) ? 1 : o.alpha, DBL_MIN, INFINITY},
               {"dropout", o.s.dropout, 0, 1},
               {"lora-plus", o.lr_ratio, DBL_MIN, INFINITY},
               {"min-delta", o.min_delta, 0, INFINITY},
               {"spike-factor", o.spike_factor, DBL_MIN, INFINITY}};

    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        if (!(all[i].v >= all[i].least && all[i].v < all[i].below))
            return ds_fail(err, DS_USAGE, "--%s %g: %s%s", all[i].name, all[i].v,
                           all[i].least > 0 ? "more than 0" : "0 or more",
                           all[i].below <= 1 ? ", and less than 1" : "");
    return 0;
}

/* What chooses for another method would be read and change nothing. Sizes (a rank, virtual tokens)
 * may stand beside any method, so that one line of a script serves all. */
static int of_method(ds_err *err)
{
    const struct {
        const char *name;
        bool given;
        enum ds_method method;
    } all[] = {{"target", o.s.targets.n, DS_METHOD_LORA},
               {"train-token", o.s.tokens.n, DS_METHOD_LORA},
               {"dora", o.s.dora, DS_METHOD_LORA},
               {"rslora", o.rslora, DS_METHOD_LORA},
               {"alpha", !isnan(o.alpha), DS_METHOD_LORA},
               {"dropout", o.s.dropout > 0, DS_METHOD_LORA},
               {"lora-plus", o.lr_ratio != 1, DS_METHOD_LORA},
               {"prompt-init", o.prompt_init, DS_METHOD_PROMPT},
               {"rounding", o.s.rounding, DS_METHOD_FULL},
               {"only", o.s.only.n, DS_METHOD_FULL}};

    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        if (all[i].given && o.method != DS_METHOD_AUTO && o.method != (int)all[i].method)
            return ds_fail(err, DS_USAGE, "--%s is for --method %s, this is %s", all[i].name,
                           METHODS[all[i].method], METHODS[o.method]);
    return 0;
}

/* The loss is scaled where the range of gradients is that of f16. */
static int scaling(ds_trainconf *c, ds_err *err)
{
    const bool asked = o.loss_scale || o.scale_window;

    if (c->format != DS_KF16)
        return asked ? ds_fail(err, DS_USAGE, "--loss-scale and --scale-window want --dtype f16")
                     : 0;
    if (o.loss_scale & (o.loss_scale - 1))
        return ds_fail(err, DS_USAGE, "--loss-scale %lld: a power of two", (long long)o.loss_scale);
    c->scaling.first = o.loss_scale ? (uint64_t)o.loss_scale : DS_LOSSSCALE_FIRST;
    c->scaling.window = o.scale_window ? (uint64_t)o.scale_window : DS_LOSSSCALE_WINDOW;
    return 0;
}

/* The model before is the base with its adapter taken off, or with the weights that it had. */
static int preference(ds_trainconf *c, ds_err *err)
{
    if (train_preference(&c->preference, &o.pref, err))
        return DS_USAGE;
    if (!o.pref.kind)
        return 0;
    if (o.method != DS_METHOD_LORA && o.method != DS_METHOD_FULL)
        return ds_fail(err, DS_USAGE, "--preference is for --method lora or full, this is %s",
                       METHODS[o.method]);
    if (c->longer != DS_LONG_ERROR)
        return ds_fail(err, DS_USAGE, "--long: a pair is not cut (dsprep tokenize --max-tokens)");
    return 0;
}

static int settings(ds_trainconf *c, ds_err *err)
{
    const bool model = train_named(c->model), out = train_named(c->out);

    if (!model || !out || !c->ndata)
        return ds_fail(err, DS_USAGE, "%s is missing (dstrain finetune -h)",
                       !model ? "--model DIR"
                       : !out ? "-o RUN"
                              : "--data DATASET");
    if (o.weights && ds_weights_parse(o.shares, c->ndata, o.weights, err))
        return DS_USAGE;
    if (o.keep_every && !o.keep)
        return ds_fail(err, DS_USAGE, "--keep-every is for --keep, without which all are kept");
    if (o.steps && o.epochs)
        return ds_fail(err, DS_USAGE, "--steps and --epochs: one of them says how long to train");
    if (o.warmup && o.warmup_share > 0)
        return ds_fail(err, DS_USAGE, "--warmup and --warmup-share: one of them says how long");
    if (!isnan(o.decay_share) && o.schedule == DS_CONSTANT)
        return ds_fail(err, DS_USAGE, "--decay-share: --schedule constant does not fall");
    if (ranges(err) || of_method(err) || preference(c, err) || scaling(c, err) ||
        prompt_init(c, o.prompt_init, err))
        return DS_USAGE;
    return evaluation(c, err);
}

/* The checkpoint to go on from; NULL: the run begins. */
static const char *resumed(void)
{
    char name[32];

    if (!o.resume || !o.folder || strcmp(o.resume, "auto") != 0)
        return o.resume;
    const uint64_t last = ds_checkpoint_last(o.folder, UINT64_MAX);
    ds_checkpoint_name(name, last);
    return last && ds_path_join(o.last, o.folder, name, NULL) == 0 ? o.last : NULL;
}

static ds_optim_conf optimizer(void)
{
    return (ds_optim_conf){.lr = o.lr,
                           .min_lr = o.min_lr,
                           .schedule = (enum ds_schedule)o.schedule,
                           .warmup = (uint64_t)o.warmup,
                           .beta1 = o.beta1,
                           .beta2 = o.beta2,
                           .eps = o.eps,
                           .decay = o.decay,
                           .clip = o.clip,
                           .kind = (enum ds_optim_kind)o.s.optim,
                           .stochastic = o.s.rounding,
                           .seed = (uint64_t)o.seed};
}

static ds_lora_conf lora(void)
{
    return (ds_lora_conf){.r = (int32_t)o.s.rank,
                          .alpha = isnan(o.alpha) ? 0 : o.alpha,
                          .dropout = o.s.dropout,
                          .rslora = o.rslora,
                          .dora = o.s.dora,
                          .lr_ratio = o.lr_ratio,
                          .targets = o.s.targets.n ? o.s.target_names : DS_PROJECTIONS,
                          .tokens = o.s.token_names};
}

static ds_trainconf told(void)
{
    const int again = train_recompute(&o.s);

    return (ds_trainconf){
        .model = o.s.model,
        .data = o.s.data.v,
        .ndata = o.s.data.n,
        .column = o.s.column,
        .mask = o.mask,
        .weights = o.weights ? o.shares : NULL,
        .store = o.s.store,
        .out = o.folder,
        .resume = resumed(),
        .over_is_done = o.resume && strcmp(o.resume, "auto") == 0,
        .method = (enum ds_method)o.method,
        .memory = o.s.memory,
        .seed = (uint64_t)o.seed,
        .steps = o.steps    ? (uint64_t)o.steps
                 : o.epochs ? 0
                            : 100,
        .epochs = (uint64_t)o.epochs,
        .batch = (uint64_t)o.s.batch,
        .accumulate = (uint64_t)o.accumulate,
        .slices = (uint32_t)o.s.slices,
        .checkpoint_every = o.every == NOT_SAID ? 500
                            : o.every           ? (uint64_t)o.every
                                                : UINT64_MAX / 4,
        .keep = (uint64_t)o.keep,
        .keep_every = (uint64_t)o.keep_every,
        .eval_data = o.eval_data.v,
        .neval = o.eval_data.n,
        .eval_stretches = (uint64_t)(o.eval_batches * o.s.batch * o.accumulate),
        .patience = (uint64_t)o.patience,
        .min_delta = o.min_delta,
        .spike = {(enum ds_spike_policy)o.on_spike, (uint32_t)o.spike_window, o.spike_factor},
        .seq_len = (uint32_t)o.s.seq_len,
        .window = (uint32_t)o.window,
        .longer = o.longer != NOT_SAID ? (enum ds_long)o.longer
                  : o.pref.kind        ? DS_LONG_ERROR
                                       : DS_LONG_SPLIT,
        .format = (enum ds_kfmt)o.s.format,
        .recompute = again < 0 ? DS_AGAIN_NONE : (enum ds_recompute)again,
        .auto_recompute = again < 0,
        .abandon = o.abandon,
        .device = o.s.device,
        .eager = o.graphs,
        .threads = (int)o.threads,
        .data_threads = (int)o.data_threads,
        .warmup_share = o.warmup_share,
        .decay_share = !isnan(o.decay_share)  ? o.decay_share
                       : o.schedule == DS_WSD ? WSD_DECAY
                                              : 0,
        .optim = optimizer(),
        .lora = lora(),
        .prompt_tokens = (int32_t)o.s.prompt,
        .only = o.s.only_names,
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
    o.shares = calloc(o.s.data.n + 1, sizeof *o.shares);
    o.folder = o.out ? strndup(o.out, ds_path_len(o.out)) : NULL;
    if (train_shape_end(&o.s, err) || !o.shares || (o.out && !o.folder)) {
        ds_fail_nomem(err);
        return -1;
    }
    *c = told();
    settings(c, err);
    return -1;
}

void finetune_options_fini(void)
{
    free(o.shares);
    free(o.folder);
    ds_opt_list_fini(&o.eval_data);
    train_shape_fini(&o.s);
}
