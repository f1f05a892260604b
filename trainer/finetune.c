/* finetune.c - see finetune.h. */
#include "finetune.h"

#include <errno.h>
#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "algorithms.h"
#include "alike.h"
#include "clock.h"
#include "consumed.h"
#include "io.h"
#include "keepers.h"
#include "net_priv.h"
#include "pairpass.h"
#include "retain.h"
#include "sig.h"
#include "slices.h"

/* ---- one step ---- */

typedef struct stepping {
    ds_trainer *t;
    const ds_run_events *ev;
    ds_run_times *times;
    ds_loader *loader;
    ds_ledger *ledger;
    ds_minibatch **micro;
    ds_slices *slices;
    ds_lossscale *scale;
    ds_consumed *consumed; /* since the last checkpoint */
    ds_eval_result *evals; /* of each dataset, the last */
    uint64_t *firsts;
    ds_buf spans;
    float *loss;
    size_t loss_cap;
    ds_pairpass pairs;
    bool lead;             /* this process writes; the others only compute */
    bool open;             /* a segment is */
    char segment[DS_PATH]; /* being written */
    uint64_t first, done;  /* its first step; the last step in it */
} stepping;

static uint64_t bits_of(double d)
{
    uint64_t u;

    memcpy(&u, &d, sizeof u);
    return isnan(d) ? DS_LEDGER_SKIPPED : u;
}

static ds_netbatch batch_of(const stepping *s, const ds_minibatch *m, uint64_t step)
{
    const ds_trainconf *c = &s->t->c;

    return (ds_netbatch){.t = m->t,
                         .ids = m->ids,
                         .pos = m->pos,
                         .target = m->target,
                         .weight = m->weight,
                         .seqs = {m->cu, m->nseqs},
                         .seed = c->seed,
                         .step = step,
                         .first_token =
                             (m->row - (step - 1) * c->batch * c->accumulate) * c->seq_len};
}

/* The micro-batch that this process computes after number i of the step, or behind its last the
 * first of the next step; NULL: it is not there yet. */
static const ds_minibatch *after(const stepping *s, uint64_t i)
{
    const ds_trainconf *c = &s->t->c;
    const uint64_t each = c->accumulate / c->slices;

    for (uint64_t j = i + 1; j < 2 * c->accumulate; j++)
        if (ds_slices_mine(s->slices, j % c->accumulate / each))
            return j < c->accumulate ? s->micro[j] : ds_loader_peek(s->loader, j - c->accumulate);
    return NULL;
}

/* Micro-batch i of the step. told: sums over its tokens, or pairs. */
static int run_micro(stepping *s, uint64_t i, uint64_t step, float scale,
                     double told[DS_SLICES_TOLD], ds_err *err)
{
    const ds_pref_conf *preference = &s->t->c.preference;
    const ds_minibatch *m = s->micro[i], *then = after(s, i);
    ds_netbatch b = batch_of(s, m, step), next;

    if (preference->kind)
        return ds_pairpass_step(&s->pairs, s->t->net, &b, m->side, preference, scale,
                                s->t->c.recompute, told, err);
    if (then) {
        next = batch_of(s, then, step);
        b.next = &next;
    }
    if (s->loss_cap < (size_t)m->t) {
        float *grown = realloc(s->loss, (size_t)m->t * sizeof *grown);
        if (!grown)
            return ds_fail_nomem(err);
        s->loss = grown;
        s->loss_cap = (size_t)m->t;
    }
    TRY(ds_net_step(s->t->net, &b, scale, true, s->t->c.recompute, s->loss, err));
    for (int64_t j = 0; j < m->t; j++)
        told[0] += (double)s->loss[j];
    return 0;
}

static int count_row(stepping *s, const ds_buf *pieces, ds_err *err)
{
    ds_buf_reset(&s->spans);
    TRY(ds_spans_decode(&s->spans, pieces->data, pieces->len, s->firsts,
                        s->t->lineage.run.ndatasets, err));
    return ds_consumed_add(s->consumed, (const ds_span *)(const void *)s->spans.data,
                           s->spans.len / sizeof(ds_span), s->firsts, err);
}

static int log_rows(stepping *s, uint64_t step, uint64_t n, const ds_step_report *r, ds_err *err)
{
    const uint64_t last = step * s->t->c.batch * s->t->c.accumulate - 1;

    for (uint64_t i = 0; i < n; i++)
        for (uint64_t j = 0; j < s->micro[i]->rows; j++) {
            const ds_minibatch *m = s->micro[i];
            const uint64_t row = m->row + j;
            const ds_ledger_row l = {.step = step,
                                     .row = row,
                                     .targets = m->targets[j],
                                     .lr = bits_of(r->lr),
                                     .loss = row == last ? bits_of(r->loss) : 0,
                                     .norm = row == last ? bits_of(r->norm) : 0,
                                     .pieces = m->pieces[j].data,
                                     .pieces_len = m->pieces[j].len};
            TRY(ds_ledger_add(s->ledger, &l, err));
            TRY(count_row(s, &m->pieces[j], err));
        }
    return 0;
}

/* The rows of a step, and how many targets they have. */
static int fetch(stepping *s, uint64_t step, ds_step_report *r, ds_err *err)
{
    const double waited = ds_loader_about(s->loader).waited;

    for (uint64_t i = 0; i < s->t->c.accumulate; i++) {
        const int rc = ds_loader_next(s->loader, &s->micro[i], err);
        if (rc <= 0)
            return rc ? rc
                      : ds_fail(err, DS_FAIL, "step %llu: the rows end early",
                                (unsigned long long)step);
        for (uint64_t j = 0; j < s->micro[i]->rows; j++)
            r->targets += s->micro[i]->targets[j];
        r->tokens += s->micro[i]->tokens;
        r->pairs += s->micro[i]->pairs;
        r->learnt += s->micro[i]->learnt;
    }
    r->times.data = ds_loader_about(s->loader).waited - waited;
    return 0;
}

/* The slices of this process. */
static int run_slices(stepping *s, uint64_t step, float scale, ds_err *err)
{
    const ds_trainconf *c = &s->t->c;
    const uint64_t each = c->accumulate / c->slices;

    for (uint64_t i = 0; i < c->slices; i++) {
        double told[DS_SLICES_TOLD] = {0};
        if (!ds_slices_mine(s->slices, i))
            continue;
        for (uint64_t j = 0; j < each; j++)
            TRY(run_micro(s, i * each + j, step, scale, told, err));
        TRY(ds_net_finish_grads(s->t->net, err));
        TRY(ds_slices_keep(s->slices, told, err));
    }
    return 0;
}

/* The run ends here, since nothing that follows would be a number. */
static int no_number(const stepping *s, uint64_t step, const char *what, ds_err *err)
{
    const char *why = s->t->c.format == DS_KF16 ? "f16 ends at 65504, bf16 does not"
                      : step == 1               ? "the model that it begins from gives that"
                                  : "most often --lr is too high, or --warmup too short";

    return ds_fail(err, DS_FAIL, "step %llu: the %s is not a finite number; %s (%s)",
                   (unsigned long long)step, what,
                   s->first > 1 ? "the last checkpoint stands" : "there is no checkpoint yet", why);
}

static int compute(stepping *s, uint64_t step, ds_step_report *r, ds_err *err)
{
    int rc = fetch(s, step, r, err);
    const uint64_t n = s->t->c.preference.kind ? r->pairs : r->learnt;
    const float scale = n ? (float)((double)r->scale / (double)n) : 0.0f;
    const double start = ds_seconds();
    double told[DS_SLICES_TOLD];

    rc = rc ? rc : run_slices(s, step, scale, err);
    TRY(ds_slices_sum(s->slices, rc, told, err));
    r->loss = n ? told[0] / (double)n : 0.0;
    for (size_t i = 0; s->t->c.preference.kind && i < DS_PREF_SUMS; i++)
        r->pref[i] = n ? told[i] / (double)n : 0.0;
    if (!isfinite(r->loss))
        return no_number(s, step, "loss", err);
    r->times.compute = ds_seconds() - start;
    return 0;
}

/* The gradients go, weights and moments stay. */
static int skip(ds_net *net, ds_step_report *r, ds_err *err)
{
    r->skipped = true;
    r->norm = (double)NAN;
    TRY(ds_params_zero(&net->params, err));
    return net->k->sync(net->k, err);
}

static int update(stepping *s, uint64_t step, ds_step_report *r, ds_err *err)
{
    const ds_trainconf *c = &s->t->c;

    TRY(ds_optim_step(ds_net_params(s->t->net), &c->optim, step, s->scale, &r->norm, err));
    return ds_lossscale_see(s->scale, &c->scaling, isfinite(r->norm))
               ? 0
               : no_number(s, step, "gradient", err);
}

/* *stop: the loss is a spike before which the run is to stop; nothing came of the step then. */
static int one_step(stepping *s, uint64_t step, ds_step_report *r, bool *stop, ds_err *err)
{
    ds_trainer *t = s->t;
    const double start = ds_seconds();
    double at;

    *r = (ds_step_report){
        .step = step, .lr = ds_optim_lr(&t->c.optim, step), .scale = s->scale->scale};
    TRY(compute(s, step, r, err));
    const bool spike = ds_spike_see(&t->spike, r->loss, &r->limit);
    *stop = spike && t->spike.c.policy == DS_SPIKE_STOP;
    at = ds_seconds();
    if (spike && !*stop)
        TRY(ds_ranks_agree(t->ranks, skip(t->net, r, err), err));
    else if (!*stop)
        TRY(update(s, step, r, err));
    r->times.optimizer = ds_seconds() - at;
    at = ds_seconds();
    if (!*stop)
        TRY(ds_ranks_agree(t->ranks, s->lead ? log_rows(s, step, t->c.accumulate, r, err) : 0,
                           err));
    r->times.ledger = ds_seconds() - at;
    for (uint64_t i = 0; i < t->c.accumulate; i++)
        ds_loader_give_back(s->loader, s->micro[i]);
    r->seconds = ds_seconds() - start;
    return 0;
}

static void add_times(ds_run_times *to, const ds_run_times *t)
{
    to->data += t->data;
    to->compute += t->compute;
    to->optimizer += t->optimizer;
    to->ledger += t->ledger;
}

/* ---- the run ---- */

static volatile sig_atomic_t asked_to_stop;

static void on_usr1(int sig)
{
    (void)sig;
    asked_to_stop = 1;
}

static int segment_path(char out[DS_PATH], const char *run, uint64_t first, uint64_t last,
                        ds_err *err)
{
    char name[64] = "ledger/";

    ds_ledger_name(name + strlen(name), first, last);
    return ds_path_join(out, run, name, err);
}

/* A segment's name holds its last step, which is known when it ends: it is written under the next
 * multiple and renamed when cut short. */
static int open_segment(stepping *s, const ds_ckpt_state *state, uint64_t first, ds_err *err)
{
    const uint64_t every = s->t->c.checkpoint_every, steps = s->t->c.steps;
    uint64_t last = (state->step / every + 1) * every;

    last = last > steps ? steps : last;
    s->first = first;
    s->open = true;
    if (!s->lead)
        return 0;
    TRY(segment_path(s->segment, s->t->c.out, first, last, err));
    return ds_ledger_create(&s->ledger, s->segment, &state->head, err);
}

/* The lineage of the checkpoint to come tells what these steps consumed. */
static int say_consumed(stepping *s, uint64_t first, uint64_t last, ds_err *err)
{
    ds_buf b = {0};
    int rc = ds_consumed_dump(&b, s->consumed, first, last, err);

    if (!rc && !ds_buf_cstr(&b))
        rc = ds_fail_nomem(err);
    ds_consumed_reset(s->consumed);
    free(s->t->lineage.consumed);
    s->t->lineage.consumed = rc ? NULL : (char *)b.data;
    if (rc)
        ds_buf_fini(&b);
    return rc;
}

static int close_segment(stepping *s, ds_ckpt_state *state, uint64_t step, ds_err *err)
{
    const double start = ds_seconds();
    char wanted[DS_PATH];
    uint64_t rows;
    ds_ledger *l = s->ledger;

    s->ledger = NULL;
    s->open = false;
    TRY(ds_ledger_finish(l, &state->head, &rows, err));
    state->rows += rows;
    TRY(say_consumed(s, s->first, step, err));
    TRY(segment_path(wanted, s->t->c.out, s->first, step, err));
    if (strcmp(s->segment, wanted) && ds_io_active->rename(s->segment, wanted))
        return ds_fail_errno(err, errno, "%s", wanted);
    s->times->ledger += ds_seconds() - start;
    return 0;
}

/* Writes and registers a checkpoint; then lets older ones go. */
static int write_checkpoint(stepping *s, ds_ckpt_state *state, uint64_t step, double loss,
                            ds_err *err)
{
    const ds_trainconf *c = &s->t->c;
    const double start = ds_seconds();
    char path[DS_PATH], name[32];

    TRY(close_segment(s, state, step, err));
    state->step = step;
    state->loss = loss;
    TRY(ds_checkpoint_write(c->out, s->t->net, c, state, &s->t->lineage, err));
    ds_checkpoint_name(name, step);
    TRY(ds_path_join(path, c->out, name, err));
    TRY(ds_trainer_register(s->t, path, false, err));
    if (state->watch.best_step == step)
        TRY(ds_retain_best(c->out, step, err));
    const double time = ds_seconds() - start;
    s->times->checkpoint += time;
    if (s->ev->written)
        s->ev->written(s->ev->ctx, state, time);
    const ds_retain_conf keep = {
        .last = c->keep, .every = c->keep_every, .best = state->watch.best_step};
    return ds_retain(c->out, &s->t->run, &keep, s->ev->removed, s->ev->ctx, err);
}

static int publish(stepping *s, ds_ckpt_state *state, uint64_t step, double loss, ds_err *err)
{
    int rc;

    TRY(ds_algorithms_share(s->t->ranks, s->t->k, err));
    if (s->lead) {
        rc = write_checkpoint(s, state, step, loss, err);
        ds_keepers_done(ds_net_params(s->t->net));
    } else {
        rc = ds_optim_serve(ds_net_params(s->t->net), err);
        s->open = false;
        state->step = step;
        state->loss = loss;
    }
    return ds_ranks_agree(s->t->ranks, rc, err);
}

static bool is_kept(const ds_trainconf *c, uint64_t step)
{
    return step % c->checkpoint_every == 0 || step == c->steps;
}

static bool is_evaluated(const ds_trainconf *c, uint64_t step)
{
    return c->neval && (step % c->eval_every == 0 || step == c->steps);
}

/* Of each dataset, and together. */
static int evaluate_all(stepping *s, ds_eval_result *all, ds_err *err)
{
    const ds_trainconf *c = &s->t->c;
    const ds_eval_conf ec = {.seq_len = c->seq_len,
                             .stretches = c->eval_stretches,
                             .together = (uint32_t)c->batch * c->seq_len,
                             .preference = &c->preference};

    *all = (ds_eval_result){.sum = 0};
    for (size_t i = 0; i < c->neval; i++) {
        TRY(ds_evaluate(&s->evals[i], s->t->net, s->t->eval[i], &ec, err));
        ds_eval_add(all, &s->evals[i]);
    }
    return 0;
}

/* Only a step that becomes a checkpoint can be the best. An evaluation that a signal cuts short is
 * as if it had not begun. All ranks evaluate the same, so that none has to be told what to do. */
static int evaluate(stepping *s, ds_ckpt_state *state, uint64_t step, ds_err *err)
{
    const double start = ds_seconds();
    ds_eval_report r = {.step = step, .sets = s->evals};
    ds_err own = {0};

    s->t->k->unlisted = true; /* looking on changes no byte of a checkpoint */
    int rc = evaluate_all(s, &r.all, &own);
    s->t->k->unlisted = false;
    if (ds_ranks_any(s->t->ranks, rc && ds_interrupted()))
        return 0;
    rc = rc ? ds_fail(err, own.code, "evaluation: %s", own.msg) : 0;
    TRY(ds_ranks_agree(s->t->ranks, rc, err));
    r.loss = ds_eval_loss(&r.all);
    if (!isfinite(r.loss))
        return ds_fail(err, DS_FAIL, "evaluation after step %llu: the loss is not a finite number",
                       (unsigned long long)step);
    if (is_kept(&s->t->c, step))
        r.best = ds_watch_see(&state->watch, step, r.loss, s->t->c.min_delta);
    r.waited = state->watch.waited;
    r.seconds = ds_seconds() - start;
    s->times->evaluation += r.seconds;
    if (s->ev->evaluated)
        s->ev->evaluated(s->ev->ctx, &r);
    return 0;
}

static bool out_of_patience(const ds_trainconf *c, const ds_ckpt_state *state)
{
    return c->patience && state->watch.waited >= c->patience;
}

/* The run stops before a step; what was done since the last checkpoint is kept. */
static int stop_at_spike(stepping *s, ds_ckpt_state *state, const ds_step_report *r, ds_err *err)
{
    if (state->step < r->step - 1)
        TRY(publish(s, state, r->step - 1, state->loss, err));
    return ds_fail(err, DS_FAIL,
                   "step %llu: a loss of %.6g is a spike, the limit was %.6g; stopped before it, "
                   "after %s/step-%06llu",
                   (unsigned long long)r->step, r->loss, r->limit, s->t->c.out,
                   (unsigned long long)state->step);
}

static int steps_loop(stepping *s, ds_ckpt_state *state, enum ds_run_end *end, ds_err *err)
{
    const ds_trainconf *c = &s->t->c;
    bool stop = false, spike;

    if (c->patience && is_evaluated(c, state->step) && state->watch.evaluated != state->step)
        TRY(evaluate(s, state, state->step, err)); /* a signal had cut it short */
    for (uint64_t step = state->step + 1; step <= c->steps && !stop; step++) {
        ds_step_report r;
        if (!s->open)
            TRY(ds_ranks_agree(s->t->ranks, open_segment(s, state, step, err), err));
        TRY(one_step(s, step, &r, &spike, err));
        if (spike) {
            *end = DS_RUN_SPIKE;
            return stop_at_spike(s, state, &r, err);
        }
        s->done = step;
        add_times(s->times, &r.times);
        state->loss = r.loss;
        stop = (s->ev->step && s->ev->step(s->ev->ctx, &r)) || asked_to_stop;
        const bool cut = ds_ranks_any(s->t->ranks, ds_interrupted());
        if (is_evaluated(c, step) && !cut)
            TRY(evaluate(s, state, step, err));
        stop = ds_ranks_any(s->t->ranks, stop || cut || ds_interrupted());
        if (is_kept(c, step) || stop)
            TRY(publish(s, state, step, r.loss, err));
        if (out_of_patience(c, state) && step < c->steps) {
            *end = DS_RUN_EARLY;
            return 0;
        }
    }
    *end = state->step < c->steps ? DS_RUN_INTERRUPTED : DS_RUN_DONE;
    return 0;
}

/* A run that fails leaves the rows after its last checkpoint where a resume finds and keeps them.
 */
static void leave_rows(stepping *s, const ds_ckpt_state *state)
{
    ds_ckpt_state after = *state;
    ds_err why = {0}; /* what ended the run is told */

    if (s->ledger && s->done >= s->first)
        close_segment(s, &after, s->done, &why);
}

static int begin_counting(stepping *s, ds_err *err)
{
    const size_t n = s->t->lineage.run.ndatasets;
    const ds_recfacts **facts = calloc(n, sizeof *facts);
    int rc;

    s->firsts = calloc(n, sizeof *s->firsts);
    for (size_t i = 0; facts && i < n; i++)
        facts[i] = ds_dataset_about(s->t->data[i])->facts;
    rc = facts && s->firsts ? ds_consumed_new(&s->consumed, facts, n, err) : ds_fail_nomem(err);
    if (!rc)
        ds_run_firsts(&s->t->lineage.run, s->firsts);
    free(facts);
    return rc;
}

bool ds_trainer_over(const ds_trainer *t, const ds_ckpt_state *state, ds_err *why)
{
    if (state->step >= t->c.steps)
        return ds_fail(why, DS_FAIL, "the run of %llu steps is over already",
                       (unsigned long long)t->c.steps) < 0;
    return out_of_patience(&t->c, state) &&
           ds_fail(why, DS_FAIL,
                   "the run is over already: it stopped after step %llu, when evaluations had "
                   "been no better since step %llu",
                   (unsigned long long)state->step, (unsigned long long)state->watch.best_step) < 0;
}

static int begin(stepping *s, ds_ckpt_state *state, ds_err *err)
{
    const ds_trainconf *c = &s->t->c;
    const uint64_t rows = c->batch * c->accumulate;
    const ds_loader_conf lc = {.run = &s->t->lineage.run,
                               .datasets = s->t->data,
                               .first = state->step * rows,
                               .rows = c->batch,
                               .count = (c->steps - state->step) * rows,
                               .vocab = ds_net_conf(s->t->net)->vocab,
                               .virtual_tokens =
                                   c->method == DS_METHOD_PROMPT ? c->prompt_tokens : 0,
                               .depth = (int)(2 * c->accumulate + 1),
                               .threads = c->data_threads,
                               .even = s->t->k->work_begin};
    char dir[DS_PATH];

    s->lead = s->t->ranks->rank == 0;
    s->scale = &state->scale;
    if (!state->step)
        state->scale = ds_lossscale_begin(&c->scaling);
    if (!state->step)
        TRY(ds_ledger_first(&state->head, &s->t->run, err));
    TRY(ds_path_join(dir, c->out, "ledger", err));
    if (s->lead)
        TRY(ds_mkdirs(dir, err));
    s->micro = calloc((size_t)c->accumulate, sizeof *s->micro);
    s->evals = calloc(c->neval + 1, sizeof *s->evals);
    if (!s->micro || !s->evals)
        return ds_fail_nomem(err);
    TRY(begin_counting(s, err));
    TRY(ds_slices_new(&s->slices, s->t->ranks, ds_net_params(s->t->net), c->slices, err));
    return ds_loader_new(&s->loader, &lc, err);
}

int ds_trainer_run(ds_trainer *t, ds_ckpt_state *state, const ds_run_events *ev,
                   enum ds_run_end *end, ds_run_times *times, ds_err *err)
{
    stepping s = {.t = t, .ev = ev, .times = times};
    struct sigaction usr1 = {.sa_handler = on_usr1, .sa_flags = SA_RESTART};
    int rc = ds_trainer_over(t, state, err) ? err->code : 0;

    *times = (ds_run_times){.data = 0};
    *end = DS_RUN_DONE;
    asked_to_stop = 0;
    sigaction(SIGUSR1, &usr1, NULL);
    rc = rc ? rc : begin(&s, state, err);
    rc = ds_ranks_agree(t->ranks, rc, err);
    rc = rc ? rc : ds_alike_state(t->ranks, state, err);
    rc = rc ? rc : steps_loop(&s, state, end, err);
    if (rc)
        leave_rows(&s, state);
    ds_ledger_drop(s.ledger);
    ds_loader_free(s.loader);
    ds_slices_free(s.slices);
    ds_consumed_free(s.consumed);
    ds_buf_fini(&s.spans);
    free(s.firsts);
    free(s.micro);
    free(s.evals);
    free(s.loss);
    ds_pairpass_fini(&s.pairs);
    return rc;
}
