/* cmd_finetune.c - dstrain finetune: a versioned dataset in, checkpoints that explain themselves
 * out. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cmd_train.h"
#include "sig.h"
#include "term.h"

static int run(int argc, char **argv);

extern const ds_command ds_train_finetune;
const ds_command ds_train_finetune = {
    .prog = "dstrain",
    .name = "finetune",
    .summary = "fine-tune a model on versioned, tokenized data",
    .operands = "",
    .max_operands = 0,
    .example =
        "dstrain finetune --model base/ --data docs@main --method lora --steps 300 -o runs/1",
    .description =
        "Trains on DATASET[@REV] of a dsver store, or on .dsr files, that hold a tokens column "
        "made by the model's tokenizer. Records are packed into rows of "
        "--seq-len tokens without seeing each other; the order is a function of the data and the "
        "seed. Checkpoints are RUN/step-NNNNNN; each holds "
        "weights or adapter (PEFT's format), optimizer state, the ledger of what was consumed, and "
        "lineage.json. dsver audit checks one.\n\n"
        "Another number of threads, --batch with --accumulate of the same product, another folder "
        "or machine give the same bits. SIGTERM, SIGINT and SIGUSR1 write a "
        "checkpoint and stop; --resume goes on from one, to the same result as without the "
        "interruption. From a checkpoint that is not the last, --abandon moves what came after it "
        "to RUN/abandoned; the ledger of it stays part of the lineage.\n\n"
        "Exit status 3: stopped before the last step.",
    .run = run,
};

typedef struct shown {
    ds_progress bar;
    FILE *log; /* RUN/metrics.jsonl: times are here, never in a checkpoint */
    bool json;
    uint64_t steps;
} shown;

static int show(void *ctx, const ds_step_report *r)
{
    shown *s = ctx;
    char line[320];

    snprintf(line, sizeof line,
             "{\"type\":\"step\",\"step\":%" PRIu64
             ",\"loss\":%.9g,\"lr\":%.9g,\"norm\":%.9g,\"targets\":%" PRIu64 ",\"tokens\":%" PRIu64
             ",\"seconds\":%.6f,\"waited\":%.6f}\n",
             r->step, r->loss, r->lr, r->norm, r->targets, r->tokens, r->seconds, r->waited);
    if (s->log)
        fputs(line, s->log);
    if (s->json)
        fputs(line, stdout), fflush(stdout);
    else if (r->step == 1 || r->step == s->steps ||
             r->step % (s->steps / 20 ? s->steps / 20 : 1) == 0)
        ds_info("step %" PRIu64 ": loss %.4f, %.0f tokens/s", r->step, r->loss,
                (double)r->tokens / r->seconds);
    ds_progress_at(&s->bar, r->step);
    return 0;
}

/* A checkpoint that another description made is no place to go on from. */
static int resume(ds_trainer *t, const char *from, ds_ckpt_state *state, ds_err *err)
{
    ds_lineage l = {0};
    ds_sha run;
    int rc = ds_lineage_read(&l, from, err);

    rc = rc ? rc : ds_run_digest(&run, &l.run, err);
    if (!rc && !ds_sha_eq(&run, &t->run))
        rc = ds_fail(err, DS_FAIL,
                     "%s is a checkpoint of another run: data, model and settings must be its own",
                     from);
    ds_lineage_fini(&l);
    return rc ? rc : ds_checkpoint_read(from, t->net, &t->c, true, state, err);
}

static void say_checkpoint(const ds_trainconf *c, const ds_trainer *t, const ds_ckpt_state *state,
                           const char *name)
{
    char sum[65];
    ds_sha_hex(sum, &t->lineage.files);
    if (c->json)
        printf("{\"type\":\"checkpoint\",\"path\":\"%s/%s\",\"step\":%" PRIu64
               ",\"loss\":%.9g,\"sha256\":\"%s\"}\n",
               c->out, name, state->step, state->loss, sum);
    else
        printf("%s/%s\nloss %.6f after %" PRIu64 " steps; sha256:%s\n", c->out, name, state->loss,
               state->step, sum);
}

static int train(const ds_trainconf *c, ds_err *err)
{
    ds_trainer t;
    ds_ckpt_state state = {0};
    shown s = {.json = c->json};
    char path[4096], digest[65];
    int64_t all;
    int rc = ds_trainer_open(&t, c, err);

    if (rc)
        return rc;
    s.steps = t.c.steps;
    rc = ds_mkdirs(c->out, err);
    if (!rc && c->resume)
        rc = resume(&t, c->resume, &state, err);
    rc = rc ? rc : ds_checkpoint_begin(c->out, c->resume, state.step, c->abandon, err);
    if (!rc && snprintf(path, sizeof path, "%s/metrics.jsonl", c->out) >= (int)sizeof path)
        rc = ds_fail(err, DS_FAIL, "%s: path too long", c->out);
    if (!rc && !(s.log = fopen(path, c->resume ? "a" : "w")))
        rc = ds_fail_errno(err, errno, "%s", path);
    if (s.log)
        setvbuf(s.log, NULL, _IOLBF, BUFSIZ);
    ds_sha_hex(digest, &t.run);
    const int64_t trained = ds_net_trained(t.net, &all);
    if (!rc && !c->quiet)
        fprintf(stderr,
                "dstrain finetune: %s, %" PRId64 " of %" PRId64 " parameters (%.2f %%), %" PRIu64
                " steps of %" PRIu64 " rows, run %.16s\n",
                ds_method_name(c->method), trained, all, 100.0 * (double)trained / (double)all,
                t.c.steps, c->batch * c->accumulate, digest);
    ds_progress_begin(&s.bar, "training", t.c.steps, false);
    rc = rc ? rc : ds_trainer_run(&t, &state, show, &s, err);
    ds_progress_end(&s.bar);
    if (s.log && fclose(s.log) && !rc)
        rc = ds_fail(err, DS_IO, "%s: cannot write it", path);
    if (rc == 0 || rc == DS_PARTIAL) {
        char name[32];
        ds_checkpoint_name(name, state.step);
        say_checkpoint(c, &t, &state, name);
        if (rc == DS_PARTIAL)
            ds_fail(err, DS_PARTIAL,
                    "stopped after step %" PRIu64 " of %" PRIu64 " (--resume %s/%s goes on)",
                    state.step, t.c.steps, c->out, name);
    }
    ds_trainer_close(&t);
    return rc;
}

static const char *const METHODS[] = {"lora", "full", "prompt", NULL};
static const char *const SCHEDULES[] = {"constant", "linear", "cosine", NULL};
static const char *const LONGER[] = {"error", "split", "truncate", NULL};
static const char *const FORMATS[] = {"f32", "bf16", NULL};

/* What the command line says, before it becomes a ds_trainconf. */
typedef struct told {
    ds_opt_list data, targets, only;
    const char *model, *store, *out, *resume, *column, *mask, *weights;
    int64_t steps, epochs, batch, accumulate, seq_len, seed, every, rank, prompt, warmup, window,
        threads;
    double lr, min_lr, alpha, dropout, lr_ratio, beta1, beta2, eps, decay, clip;
    int method, schedule, longer, format;
    bool rslora, recompute, abandon, json, quiet;
} told;

static const char *const DEFAULT_TARGETS[] = {
    "q_proj",    "k_proj",    "v_proj",   "o_proj",   "gate_proj",
    "up_proj",   "down_proj", "q_a_proj", "q_b_proj", "kv_a_proj_with_mqa",
    "kv_b_proj", NULL};

static const char **ended(const ds_opt_list *l, ds_err *err)
{
    const char **v = calloc(l->n + 1, sizeof *v);

    if (!v)
        ds_fail_nomem(err);
    else if (l->n)
        memcpy(v, l->v, l->n * sizeof *v);
    return v;
}

static int run_told(const told *o, ds_err *err)
{
    const char **targets = ended(&o->targets, err), **only = ended(&o->only, err);
    uint64_t *weights = calloc(o->data.n + 1, sizeof *weights);
    const ds_trainconf c = {.model = o->model,
                            .data = o->data.v,
                            .ndata = o->data.n,
                            .column = o->column,
                            .mask = o->mask,
                            .weights = o->weights ? weights : NULL,
                            .store = o->store,
                            .out = o->out,
                            .resume = o->resume,
                            .method = (enum ds_method)o->method,
                            .seed = (uint64_t)o->seed,
                            .steps = o->steps    ? (uint64_t)o->steps
                                     : o->epochs ? 0
                                                 : 100,
                            .epochs = (uint64_t)o->epochs,
                            .batch = (uint64_t)o->batch,
                            .accumulate = (uint64_t)o->accumulate,
                            .checkpoint_every = o->every ? (uint64_t)o->every : UINT64_MAX / 4,
                            .seq_len = (uint32_t)o->seq_len,
                            .window = (uint32_t)o->window,
                            .longer = (enum ds_long)o->longer,
                            .format = o->format ? DS_KBF16 : DS_KF32,
                            .recompute = o->recompute,
                            .abandon = o->abandon,
                            .threads = (int)o->threads,
                            .optim = {.lr = o->lr,
                                      .min_lr = o->min_lr,
                                      .schedule = (enum ds_schedule)o->schedule,
                                      .warmup = (uint64_t)o->warmup,
                                      .beta1 = o->beta1,
                                      .beta2 = o->beta2,
                                      .eps = o->eps,
                                      .decay = o->decay,
                                      .clip = o->clip},
                            .lora = {.r = (int32_t)o->rank,
                                     .alpha = o->alpha,
                                     .dropout = o->dropout,
                                     .rslora = o->rslora,
                                     .lr_ratio = o->lr_ratio,
                                     .targets = o->targets.n ? targets : DEFAULT_TARGETS},
                            .prompt_tokens = (int32_t)o->prompt,
                            .only = only,
                            .json = o->json,
                            .quiet = o->quiet};
    int rc = 0;

    if (!targets || !only || !weights)
        rc = ds_fail_nomem(err);
    else if (!o->model || !o->out || !o->data.n)
        rc = ds_fail(err, DS_USAGE, "%s is missing (dstrain finetune -h)",
                     !o->model ? "--model DIR"
                     : !o->out ? "-o RUN"
                               : "--data DATASET");
    else if (o->method == DS_METHOD_PROMPT && o->resume && !o->model)
        rc = ds_fail(err, DS_USAGE, "--resume wants --model too");
    else if (o->weights && ds_weights_parse(weights, o->data.n, o->weights, err))
        rc = DS_USAGE;
    else
        rc = train(&c, err);
    free(weights);
    free(targets);
    free(only);
    return rc;
}

static int run(int argc, char **argv)
{
    told o = {.column = "tokens",
              .batch = 8,
              .accumulate = 1,
              .seq_len = 512,
              .seed = 1,
              .rank = 16,
              .prompt = 32,
              .window = 4096,
              .lr = 1e-4,
              .alpha = 32,
              .lr_ratio = 1,
              .beta1 = 0.9,
              .beta2 = 0.999,
              .eps = 1e-8,
              .clip = 1,
              .schedule = DS_COSINE,
              .longer = DS_LONG_SPLIT};
    const ds_opt opts[] = {
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
         .help = "lora (default), full or prompt"},
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
        {.name = "eps",
         .type = DS_OPT_REAL,
         .var = &o.eps,
         .arg = "X",
         .help = "AdamW; default 1e-8"},
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
         .help = "virtual tokens of --method prompt; default 32"},
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
         .type = DS_OPT_FLAG,
         .var = &o.recompute,
         .help = "keep only layer inputs for the way back; changes no bit"},
        {.name = "checkpoint-every",
         .type = DS_OPT_INT,
         .var = &o.every,
         .arg = "N",
         .min = 0,
         .max = INT32_MAX,
         .help = "steps; default only at the end"},
        TRAIN_THREADS(o.threads),
        TRAIN_JSON(o.json),
        {.letter = 'q',
         .name = "quiet",
         .type = DS_OPT_FLAG,
         .var = &o.quiet,
         .help = "no words but errors"},
        TRAIN_END};
    char **operands;
    ds_err err = {0};
    int n;
    const int begun = ds_opt_begin(&ds_train_finetune, opts, argc, argv, &operands, &n);

    if (begun >= 0)
        return begun;
    ds_sig_setup();
    ds_sig_restart();
    if (run_told(&o, &err) == DS_PARTIAL)
        ds_sig_answered(); /* by a checkpoint */
    ds_opt_list_fini(&o.data);
    ds_opt_list_fini(&o.targets);
    ds_opt_list_fini(&o.only);
    return ds_command_end(&ds_train_finetune, &err, o.json);
}
