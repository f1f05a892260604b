/* cmd_finetune.c - dstrain finetune: a versioned dataset in, checkpoints that explain themselves
 * out. */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <math.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#include "cmd_finetune.h"
#include "io.h"
#include "memlimit.h"
#include "metrics.h"
#include "retain.h"
#include "rundiff.h"
#include "runs.h"
#include "runbase.h"
#include "sig.h"
#include "term.h"
#include "try.h"
#include "plural.h"

static int run(int argc, char **argv);

extern const ds_command ds_train_finetune;
const ds_command ds_train_finetune = {
    .prog = "dstrain",
    .name = "finetune",
    .summary = "fine-tune a model on versioned, tokenized data",
    .operands = "",
    .max_operands = 0,
    .example =
        "dsprep text docs.jsonl | dsprep tokenize -t base/tokenizer.json | dsver commit docs\n"
        "dstrain finetune --model base/ --data docs@main --method lora --steps 300 -o runs/1\n"
        "dstrain finetune --model base/ --data pairs.dsr --preference dpo --lr 5e-6 -o runs/dpo",
    .description =
        "Trains on DATASET[@REV] of a dsver store, or on .dsr files, that hold a tokens column "
        "made by the model's tokenizer: dsprep tokenize adds it, and with --prompt or --chat "
        "the mask by which answers alone are learnt. Records that dsver forget erased are left "
        "out. The others are packed into rows of --seq-len tokens, in which records do not see "
        "each other; the order is a function of the data and the seed. Checkpoints are "
        "RUN/step-NNNNNN; each holds weights or adapter (PEFT's format), optimizer state, the "
        "ledger of what was consumed, and lineage.json. dsver audit checks one.\n\n"
        "Another number of threads, --batch with --accumulate of the same product, another "
        "folder or machine give the same bits (on a GPU, the same --batch). SIGTERM, SIGINT and "
        "SIGUSR1 write a checkpoint "
        "and stop; --resume goes on from one, to the same weights and optimizer state as "
        "without the interruption (its ledger has a segment more, and the folder a digest of "
        "its own). From a checkpoint that is not the last, --abandon moves what came after it "
        "to RUN/abandoned; the ledger of it stays part of the lineage.\n\n"
        "Several processes compute one run when mpirun, srun or torchrun starts them: each "
        "takes its part of the batches of a step, on a device of its own with --device cuda, "
        "or on its share of the machine's processors and memory; the first writes. Devices "
        "give each other gradients and weights by NCCL where that can be loaded (libnccl.so.2, "
        "or what DS_NCCL names), else by way of their hosts: the same bits. --slices says how "
        "gradients are added up, so that a run of four processes goes on, and is replayed, to "
        "the same bits by two or one:\n\n"
        "    mpirun -n 4 dstrain finetune --accumulate 4 ...\n    srun -n 4 dstrain finetune "
        "--accumulate 4 ...\n    torchrun --no-python --nproc-per-node 4 dstrain finetune "
        "--accumulate 4 ...\n\n"
        "mpirun's talk by MPI, the others over TCP: process 0 waits on port MASTER_PORT of "
        "MASTER_ADDR, as torchrun sets them with RANK, WORLD_SIZE and LOCAL_RANK; under Slurm, "
        "on the step's first node, on a port that is made of the job's number. DS_RANKS=mpi or "
        "tcp chooses where both would do, DS_RANKS_PORT names another port. All must connect "
        "within DS_RANKS_TIMEOUT seconds (300), with the same DS_RANKS_TOKEN where it is set; "
        "the connection is not encrypted. When one process dies, the others name it and end; "
        "they do so too when one that they wait for does nothing for DS_RANKS_WAIT seconds "
        "(1800), or its device does not join theirs within DS_RANKS_TIMEOUT. If a process has "
        "another program, model, version of the data or option than process 0, none begins.\n\n"
        "--eval-data is evaluated as dstrain eval does it, in the order of the data, after "
        "every --eval-every steps and at the end; RUN/metrics.jsonl and dstrain report have "
        "the losses; with several datasets, the loss of each and that over all their tokens, "
        "which decides. RUN/best is a link to the checkpoint with the lowest loss. With "
        "--patience the run ends when evaluations stop improving; checkpoints are then at "
        "least as frequent as evaluations.\n\n"
        "A loss is a spike when it is above the median of the last --spike-window losses by "
        "more than --spike-factor x the larger of 1.4826 x their median distance from it and a "
        "hundredth of it. A skipped step consumes its rows and changes no weight. A loss or "
        "gradient that is not finite always ends the run, and the last checkpoint stands; but "
        "in f16, whose range is small, gradients are computed with a loss scale: where one is "
        "not finite, the step changes no weight and the scale is halved, and --scale-window "
        "updates later it is doubled. The ledger tells such steps apart.\n\n"
        "--keep removes older checkpoints once a newer one is on disk. Their ledger segments "
        "stay, and lineage.json in the catalog, so audit, seen and batch miss nothing; replay "
        "starts at what is left.\n\n"
        "peft loads the adapters and gives the same logits, with one exception: for "
        "DeepSeek-V2 it applies only those of the attention (peft 0.21 with transformers 5 "
        "misreads or ignores those of experts). dstrain merge makes a model that every program "
        "reads.\n\n"
        "Exit status 3: stopped by a signal before the last step.",
    .run = run,
};

typedef struct shown {
    const ds_trainconf *c;
    ds_progress bar;
    FILE *log; /* RUN/metrics.jsonl: times are here, never in a checkpoint */
    bool lost; /* a line of it */
    uint64_t steps;
} shown;

/* A line of the log, and of --json. */
static void put_line(shown *s, const char *line)
{
    if (s->log)
        fputs(line, s->log);
    if (s->c->json)
        fputs(line, stdout), fflush(stdout);
}

static int show_step(void *ctx, const ds_step_report *r)
{
    shown *s = ctx;
    char line[512 + DS_PREF_TOLD], norm[40] = "null", scale[80] = "", pairs[32 + DS_PREF_TOLD] = "",
                                   right[80] = "";

    if (s->c->preference.kind) {
        const int n = snprintf(pairs, sizeof pairs, ",\"pairs\":%" PRIu64, r->pairs);
        ds_pref_tell(pairs + n, sizeof pairs - (size_t)n, &s->c->preference, r->pref);
        snprintf(right, sizeof right, ", %.1f %% of the pairs the right way round",
                 100 * r->pref[DS_PREF_RIGHT]);
    }
    if (isfinite(r->norm))
        snprintf(norm, sizeof norm, "%.9g", r->norm);
    if (s->c->scaling.first)
        snprintf(scale, sizeof scale, ",\"loss_scale\":%" PRIu64 "%s", r->scale,
                 isinf(r->norm) ? ",\"overflow\":true" : "");
    snprintf(line, sizeof line,
             "{\"type\":\"step\",\"step\":%" PRIu64
             ",\"loss\":%.9g,\"lr\":%.9g,\"norm\":%s,\"targets\":%" PRIu64 ",\"tokens\":%" PRIu64
             "%s%s%s,\"seconds\":%.6f,\"waited\":%.6f,\"compute\":%.6f,\"optimizer\":%.6f,"
             "\"ledger\":%.6f}\n",
             r->step, r->loss, r->lr, norm, r->targets, r->tokens, pairs,
             r->skipped ? ",\"skipped\":true" : "", scale, r->seconds, r->times.data,
             r->times.compute, r->times.optimizer, r->times.ledger);
    put_line(s, line);
    if (r->skipped && !s->c->quiet)
        ds_warn("step %" PRIu64 ": a loss of %.4f is a spike, the limit was %.4f: skipped", r->step,
                r->loss, r->limit);
    if (isinf(r->norm) && !s->c->quiet)
        ds_warn("step %" PRIu64 ": the gradient is too large for f16 at a loss scale of %" PRIu64
                ": no update, and half of it from here on",
                r->step, r->scale);
    if (!s->c->json &&
        (r->step == 1 || r->step == s->steps || r->step % (s->steps / 20 ? s->steps / 20 : 1) == 0))
        ds_info("step %" PRIu64 ": loss %.4f%s, %.0f tokens/s", r->step, r->loss, right,
                (double)r->tokens / r->seconds);
    ds_progress_at(&s->bar, r->step);
    return 0;
}

/* Where there is more than one dataset: of each. The names are those of the command line. */
static int put_sets(ds_buf *b, const ds_trainconf *c, const ds_eval_result *v)
{
    int rc = c->neval > 1 ? ds_buf_puts(b, ",\"sets\":[") : 0;

    for (size_t i = 0; !rc && c->neval > 1 && i < c->neval; i++)
        rc = ds_buf_puts(b, i ? ",{\"data\":" : "{\"data\":") || ds_json_text(b, c->eval_data[i]) ||
             ds_buf_printf(b, ",\"loss\":%.17g", ds_eval_loss(&v[i])) ||
             train_put_result(b, &v[i], &c->preference) || ds_buf_puts(b, "}");
    return rc ? rc : c->neval > 1 ? ds_buf_puts(b, "]") : 0;
}

static void show_eval(void *ctx, const ds_eval_report *r)
{
    shown *s = ctx;
    const ds_trainconf *c = s->c;
    ds_buf line = {0};

    if (ds_buf_printf(&line, "{\"type\":\"eval\",\"step\":%" PRIu64 ",\"loss\":%.17g", r->step,
                      r->loss) == 0 &&
        train_put_result(&line, &r->all, &c->preference) == 0 &&
        ds_buf_printf(&line, ",\"best\":%s,\"seconds\":%.6f", r->best ? "true" : "false",
                      r->seconds) == 0 &&
        put_sets(&line, c, r->sets) == 0 && ds_buf_puts(&line, "}\n") == 0 && ds_buf_cstr(&line))
        put_line(s, (const char *)line.data);
    else
        s->lost = true;
    ds_buf_fini(&line);
    if (c->json || c->quiet)
        return;
    char words[TRAIN_WORDS];
    train_say_result(words, &r->all, c->preference.kind);
    printf("step %" PRIu64 ": evaluation: %s%s\n", r->step, words,
           r->best ? "  the best so far" : "");
    for (size_t i = 0; c->neval > 1 && i < c->neval; i++) {
        train_say_result(words, &r->sets[i], c->preference.kind);
        printf("  %s: %s\n", c->eval_data[i], words);
    }
}

static void show_written(void *ctx, const ds_ckpt_state *state, double seconds)
{
    char line[160];

    snprintf(line, sizeof line, "{\"type\":\"written\",\"step\":%" PRIu64 ",\"seconds\":%.6f}\n",
             state->step, seconds);
    put_line(ctx, line);
}

static void show_removed(void *ctx, uint64_t step)
{
    shown *s = ctx;
    char line[96];

    snprintf(line, sizeof line, "{\"type\":\"removed\",\"step\":%" PRIu64 "}\n", step);
    put_line(s, line);
    ds_info("%s/step-%06" PRIu64 " removed: neither of the last %" PRIu64 " nor the best",
            s->c->out, step, s->c->keep);
}

/* A checkpoint that another description made is no place to go on from. */
static int resume(ds_trainer *t, const char *from, ds_ckpt_state *state, ds_err *err)
{
    ds_lineage l = {0};
    ds_sha run;
    int rc = ds_lineage_read(&l, from, err);

    rc = rc ? rc : ds_run_digest(&run, &l.run, err);
    if (!rc && !ds_sha_eq(&run, &t->run)) {
        rc = ds_rundiff(&l.run, &t->lineage.run, err);
        ds_err_prefix(err, "%s is a checkpoint of another run", from);
    }
    ds_lineage_fini(&l);
    rc = rc ? rc : ds_trainer_restore(t, from, state, err);
    if (!rc && t->ranks->rank == 0)
        rc = ds_trainer_register(t, from, true, err);
    /* Where nothing depends on it, the log alone knows which was the best. */
    if (!rc && t->c.neval && !t->c.patience)
        rc = ds_metrics_best(&state->watch, t->c.out, state->step, err);
    return rc;
}

/* A line that a full disk or the end of the machine cut short would spoil the one after it. */
static int drop_half_line(FILE *log)
{
    long at;

    if (fseek(log, 0, SEEK_END) || (at = ftell(log)) < 0)
        return -1;
    for (int last = 0; at > 0 && last != '\n'; at -= last != '\n')
        if (fseek(log, at - 1, SEEK_SET) || (last = fgetc(log)) == EOF)
            return -1;
    return fseek(log, at, SEEK_SET) || ftruncate(fileno(log), at);
}

static int open_log(shown *s, ds_err *err)
{
    const ds_trainconf *c = s->c;
    char path[DS_PATH];

    TRY(ds_path_join(path, c->out, "metrics.jsonl", err));
    s->log = fopen(path, c->resume ? "a+" : "w");
    if (!s->log || (c->resume && drop_half_line(s->log)))
        return ds_fail_errno(err, errno, "%s", path);
    setvbuf(s->log, NULL, _IOLBF, BUFSIZ);
    return 0;
}

/* A schedule that ends where the run does ends at its lowest rate; where that is its only step's,
 * nothing is learnt. */
static void warn_of_rate(const ds_optim_conf *o)
{
    if (o->warmup >= o->steps)
        ds_warn("a warm-up of %" PRIu64 " of %" PRIu64
                " step%s: the learning rate does nothing but rise",
                o->warmup, o->steps, ds_s(o->steps));
    else if (o->lr > 0 && o->steps == 1 && ds_optim_lr(o, 1) == 0)
        ds_warn(
            "the only step of the run has a learning rate of 0, where the schedule ends: nothing "
            "changes (--schedule constant, or --min-lr)");
}

static void say_begin(const ds_trainer *t)
{
    char digest[65];
    int64_t all;
    const int64_t trained = ds_net_trained(t->net, &all);

    ds_sha_hex(digest, &t->run);
    if (t->c.quiet)
        return;
    if (t->advice[0])
        fprintf(stderr, "dstrain finetune: --method auto: %s%s%.0d: %s\n",
                ds_method_name(t->c.method), t->c.method == DS_METHOD_LORA ? " of rank " : "",
                t->c.method == DS_METHOD_LORA ? (int)t->c.lora.r : 0, t->advice);
    if (t->c.recompute && !t->advice[0])
        fprintf(stderr, "dstrain finetune: --recompute %s\n", ds_recompute_name(t->c.recompute));
    fprintf(stderr,
            "dstrain finetune: %s, %" PRId64 " of %" PRId64 " parameters (%.2f %%), %" PRIu64
            " step%s of %" PRIu64 " row%s, run %.16s\n",
            ds_method_name(t->c.method), trained, all, 100.0 * (double)trained / (double)all,
            t->c.steps, ds_s(t->c.steps), t->c.batch * t->c.accumulate,
            ds_s(t->c.batch * t->c.accumulate), digest);
    warn_of_rate(&t->c.optim);
    for (size_t i = 0; i < t->c.ndata; i++) {
        const ds_dataset_info *d = ds_dataset_about(t->data[i]);
        uint64_t left_out = 0;
        for (size_t k = 0; k < d->nleft_out; k++)
            left_out += d->left_out[k].n;
        if (left_out)
            fprintf(stderr, "dstrain finetune: '%s': %" PRIu64 " record%s erased, and left out\n",
                    d->name, left_out, left_out == 1 ? " was" : "s were");
        if (d->gone)
            ds_warn("'%s': %" PRIu64 " record%s erased since the run began: where they stood, "
                    "nothing is learnt, and what was trained before is not replayed to its bits",
                    d->name, d->gone, d->gone == 1 ? " was" : "s were");
    }
}

static void say_times(shown *s, const ds_run_times *t)
{
    char line[320];

    const long long peak = ds_memory_peak();
    snprintf(line, sizeof line,
             "{\"type\":\"time\",\"data\":%.6f,\"compute\":%.6f,\"optimizer\":%.6f,"
             "\"ledger\":%.6f,\"checkpoint\":%.6f,\"evaluation\":%.6f,\"peak_bytes\":%lld}\n",
             t->data, t->compute, t->optimizer, t->ledger, t->checkpoint, t->evaluation, peak);
    put_line(s, line);
    ds_info("%.1f s forward and back, %.1f optimizer, %.1f waiting for data, %.3f ledger, %.1f "
            "checkpoints, %.1f evaluation; at most %.1f MB of memory",
            t->compute, t->optimizer, t->data, t->ledger, t->checkpoint, t->evaluation,
            (double)peak / 1e6);
}

/* What was taken of a device, and what had been planned. */
static void say_device(shown *s, const ds_trainer *t)
{
    int64_t captured, launched;
    char line[384];
    ds_kmem m;

    t->k->memory(t->k, &m);
    if (!m.total)
        return;
    t->k->worked(t->k, &captured, &launched);
    snprintf(line, sizeof line,
             "{\"type\":\"device\",\"peak_bytes\":%" PRId64 ",\"planned_bytes\":%" PRId64
             ",\"asked_in_steps\":%" PRId64 ",\"total_bytes\":%" PRId64 ",\"joined\":%s"
             ",\"graphs\":%" PRId64 ",\"graph_launches\":%" PRId64 ",\"graph_bytes\":%" PRId64
             "}\n",
             m.peak, t->planned, m.allocations - t->asked, m.total, t->peers ? "true" : "false",
             captured, launched, m.graphs);
    put_line(s, line);
    ds_info("at most %.1f MB of the device's %.1f", (double)m.peak / 1e6, (double)m.total / 1e6);
}

static void say_end(const ds_trainer *t, const ds_ckpt_state *state, enum ds_run_end end)
{
    const ds_trainconf *c = &t->c;
    char name[32], sum[65];

    ds_checkpoint_name(name, state->step);
    ds_sha_hex(sum, &t->lineage.files);
    if (c->json) {
        printf("{\"type\":\"checkpoint\",\"path\":\"%s/%s\",\"step\":%" PRIu64
               ",\"loss\":%.9g,\"sha256\":\"%s\",\"best\":%" PRIu64 ",\"early\":%s}\n",
               c->out, name, state->step, state->loss, sum, state->watch.best_step,
               end == DS_RUN_EARLY ? "true" : "false");
        return;
    }
    if (end == DS_RUN_EARLY)
        printf("stopped after step %" PRIu64 " of %" PRIu64 ": no better for %" PRIu64
               " evaluation%s\n",
               state->step, c->steps, c->patience, ds_s(c->patience));
    printf("%s/%s\nloss %.6f after %" PRIu64 " step%s; sha256:%s\n", c->out, name, state->loss,
           state->step, ds_s(state->step), sum);
    if (state->watch.best_step) {
        ds_checkpoint_name(name, state->watch.best_step);
        printf("best: %s/%s, evaluation loss %.6f\n", c->out, name, state->watch.best);
    }
}

/* Two runs that write into one folder take each other's files away, and what is left is neither's.
 * The folder itself is locked, so that nothing stays behind a process that is killed; a file system
 * that has no such locks goes without. */
static int lock_folder(int *fd, const char *out, ds_err *err)
{
    TRY(ds_open(fd, out, O_RDONLY | O_DIRECTORY, 0, err));
    if (flock(*fd, LOCK_EX | LOCK_NB) && errno == EWOULDBLOCK)
        return ds_fail(err, DS_LOCKED, "%s: another dstrain finetune writes into it", out);
    return 0;
}

/* The folder of the run, as it was after the state's step. */
static int prepare(ds_trainer *t, ds_ckpt_state *state, int *lock, ds_err *err)
{
    const ds_trainconf *c = &t->c;
    char *name = NULL;

    if (t->ranks->rank)
        return c->resume ? resume(t, c->resume, state, err) : 0;
    TRY(ds_mkdirs(c->out, err));
    TRY(lock_folder(lock, c->out, err));
    TRY(ds_run_name(&name, c->out, err)); /* rather than with the first checkpoint */
    free(name);
    if ((c->resume && resume(t, c->resume, state, err)) ||
        ds_checkpoint_begin(c->out, c->resume, state->step, c->abandon, err) ||
        ds_runbase_write(c->out, c->model, err))
        return err->code;
    return ds_retain_best(c->out, state->watch.best_step, err);
}

/* The steps that are left. Only the first process tells what happens. */
static int take_steps(ds_trainer *t, ds_ckpt_state *state, shown *s, enum ds_run_end *end,
                      ds_err *err)
{
    const bool lead = t->ranks->rank == 0;
    const ds_run_events told = {.step = show_step,
                                .evaluated = show_eval,
                                .written = show_written,
                                .removed = show_removed,
                                .ctx = s},
                        silent = {.ctx = NULL};
    ds_run_times times;

    if (!lead)
        return ds_trainer_run(t, state, &silent, end, &times, err);
    say_begin(t);
    if (t->apart.msg[0])
        ds_info("the devices give each other nothing themselves, so their hosts do: %s",
                t->apart.msg);
    ds_progress_begin(&s->bar, "training", t->c.steps, false);
    const int rc = ds_trainer_run(t, state, &told, end, &times, err);
    ds_progress_end(&s->bar);
    if (!rc) {
        say_times(s, &times);
        say_device(s, t);
    }
    return rc;
}

static int train(const ds_trainconf *c, ds_err *err)
{
    ds_trainer t;
    ds_ckpt_state state = {0};
    ds_err why = {0};
    enum ds_run_end end = DS_RUN_DONE;
    int rc = ds_trainer_open(&t, c, err), lock = -1;
    shown s = {.c = &t.c};

    if (rc)
        return rc;
    const bool lead = t.ranks->rank == 0;
    s.steps = t.c.steps;
    rc = prepare(&t, &state, &lock, err);
    const bool over = !rc && c->over_is_done && ds_trainer_over(&t, &state, &why);
    rc = rc || over || !lead ? rc : open_log(&s, err);
    rc = ds_ranks_agree(t.ranks, rc, err);
    if (over)
        end = state.step < t.c.steps ? DS_RUN_EARLY : DS_RUN_DONE;
    else
        rc = rc ? rc : take_steps(&t, &state, &s, &end, err);
    s.lost = s.lost || (s.log && ferror(s.log));
    if (((s.log && fclose(s.log)) || s.lost) && !rc)
        rc = ds_fail(err, DS_IO, "%s/metrics.jsonl: cannot write it", c->out);
    if (!rc) {
        if (lead && over)
            ds_info("%s", why.msg);
        if (lead)
            say_end(&t, &state, end);
        if (end == DS_RUN_INTERRUPTED)
            rc = ds_fail(err, DS_PARTIAL,
                         "stopped after step %" PRIu64 " of %" PRIu64
                         " (--resume %s/step-%06" PRIu64 " goes on)",
                         state.step, t.c.steps, c->out, state.step);
    }
    ds_trainer_close(&t);
    ds_close(&lock, c->out, NULL);
    return rc;
}

static int run(int argc, char **argv)
{
    ds_trainconf c;
    ds_ranks ranks;
    ds_err err = {0};
    const int begun = finetune_options(&c, &ds_train_finetune, argc, argv, &err);

    if (begun >= 0)
        return begun;
    ds_sig_setup();
    ds_sig_restart();
    const int joined = err.code ? err.code : ds_ranks_join(&ranks, &err);
    c.ranks = &ranks;
    if (!joined && train(&c, &err) == DS_PARTIAL)
        ds_sig_answered(); /* by a checkpoint */
    finetune_options_fini();
    /* The first has told before the others end: a launcher kills what is left when one has failed.
     */
    const bool tells = joined || ranks.rank == 0;
    const int status =
        tells ? ds_command_end(&ds_train_finetune, &err, c.json) : ds_exit_code(err.code);
    if (!joined)
        ds_ranks_leave(&ranks);
    return status;
}
