/* finetune.c - see finetune.h. */
#include "finetune.h"

#include <dirent.h>
#include <errno.h>
#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "consumed.h"
#include "net_priv.h"
#include "runs.h"
#include "sig.h"

#define PATH 4096

/* ---- opening ---- */

static int tokenizer_digest(char out[80], const char *model, ds_err *err)
{
    char path[PATH], hex[65];
    ds_sha sum;

    out[0] = '\0';
    if (snprintf(path, sizeof path, "%s/tokenizer.json", model) >= PATH || !ds_path_exists(path))
        return 0;
    TRY(ds_sha_file(&sum, NULL, path, err));
    ds_sha_hex(hex, &sum);
    snprintf(out, 80, "sha256:%s", hex);
    return 0;
}

static int open_data(ds_trainer *t, ds_err *err)
{
    const ds_trainconf *c = &t->c;
    ds_run *r = &t->lineage.run;
    char tokenizer[80];

    TRY(tokenizer_digest(tokenizer, c->model, err));
    t->data = calloc(c->ndata + 1, sizeof *t->data);
    r->datasets = calloc(c->ndata + 1, sizeof *r->datasets);
    if (!t->data || !r->datasets)
        return ds_fail_nomem(err);
    for (size_t i = 0; i < c->ndata; i++) {
        TRY(ds_dataset_open(&t->data[i], c->data[i], c->store, c->column,
                            c->masks ? c->masks[i] : c->mask, err));
        const ds_dataset_info *d = ds_dataset_about(t->data[i]);
        ds_run_dataset *to = &r->datasets[r->ndatasets++];
        to->name = strdup(d->name);
        to->column = strdup(c->column);
        to->tokenizer = strdup(d->tokenizer);
        to->mask = *d->mask ? strdup(d->mask) : NULL;
        if (!to->name || !to->column || !to->tokenizer || (*d->mask && !to->mask))
            return ds_fail_nomem(err);
        to->weight = c->weights ? c->weights[i] : 0;
        to->root = d->root;
        to->records = d->records;
        snprintf(to->commit, sizeof to->commit, "%s", d->commit);
        if (tokenizer[0] && d->tokenizer[0] && strcmp(tokenizer, d->tokenizer))
            return ds_fail(err, DS_FAIL,
                           "dataset '%s' was tokenized with %s, the model's tokenizer.json is %s",
                           d->name, d->tokenizer, tokenizer);
    }
    return 0;
}

static int describe(ds_trainer *t, ds_err *err)
{
    const ds_trainconf *c = &t->c;
    ds_run *r = &t->lineage.run;
    const char *slash = strrchr(c->model, '/');
    ds_buf training = {0}, env = {0};

    r->seed = c->seed;
    r->rows = c->batch * c->accumulate;
    r->steps = c->steps;
    r->seq_len = c->seq_len - (c->method == DS_METHOD_PROMPT ? (uint32_t)c->prompt_tokens : 0);
    r->window = c->window;
    r->longer = c->longer;
    TRY(ds_model_sum(&r->model, c->model, err));
    if (!c->steps) {
        uint64_t rows;
        TRY(ds_loader_count(&rows, r, t->data, (uint32_t)c->epochs, err));
        r->steps = (rows + r->rows - 1) / r->rows;
        t->c.steps = r->steps;
    }
    t->c.optim.steps = r->steps;
    int rc = ds_trainconf_dump(&training, &t->c, err);
    if (!rc && ds_buf_printf(&env, "{\"backend\":\"%s\",\"detail\":\"%s\",\"compiler\":\"%s\"}",
                             t->k->name, t->k->detail, __VERSION__))
        rc = ds_fail_nomem(err);
    if (!rc && (!ds_buf_cstr(&training) || !ds_buf_cstr(&env)))
        rc = ds_fail_nomem(err);
    r->training = (char *)training.data;
    t->lineage.environment = (char *)env.data;
    r->trainer = strdup(DS_VERSION);
    t->lineage.model_name = strdup(slash && slash[1] ? slash + 1 : c->model);
    if (!rc && (!r->trainer || !t->lineage.model_name))
        rc = ds_fail_nomem(err);
    rc = rc ? rc : ds_sha_file(&t->lineage.binary, NULL, "/proc/self/exe", err);
    return rc ? rc : ds_run_digest(&t->run, r, err);
}

/* The rows of the embedding that a prompt begins with: ids spread over the vocabulary by the run's
 * seed. */
static int init_prompt(ds_trainer *t, ds_err *err)
{
    ds_params *p = ds_net_params(t->net);
    ds_param *prompt = ds_params_find(p, "prompt_embeddings");
    const ds_param *embed = ds_params_find(p, "model.embed_tokens.weight");
    const int64_t d = prompt->cols;
    float *table, *rows = malloc((size_t)ds_param_count(prompt) * sizeof *rows);
    int rc = rows ? ds_param_get(p, embed, &table, err) : ds_fail_nomem(err);

    if (!rc) {
        for (int64_t i = 0; i < prompt->rows; i++) {
            const uint32_t id =
                ds_philox(t->c.seed, UINT64_C(0x70726f6d7074), (uint64_t)i) % (uint32_t)embed->rows;
            memcpy(rows + i * d, table + (int64_t)id * d, (size_t)d * sizeof *rows);
        }
        rc = ds_param_set(p, prompt, rows, err);
        free(table);
    }
    free(rows);
    return rc;
}

static int prepare_method(ds_trainer *t, ds_err *err)
{
    const ds_trainconf *c = &t->c;

    if (c->method == DS_METHOD_LORA)
        TRY(ds_net_add_lora(t->net, &c->lora, c->seed, err));
    else if (c->method == DS_METHOD_FULL)
        TRY(ds_net_train_full(t->net, c->only, err));
    else {
        TRY(ds_net_add_prompt(t->net, c->prompt_tokens, err));
        TRY(init_prompt(t, err));
    }
    return ds_optim_prepare(ds_net_params(t->net), err);
}

static int check_conf(const ds_trainconf *c, const ds_modelconf *m, ds_err *err)
{
    if (c->seq_len < 8 || c->seq_len % 4 || (int64_t)c->seq_len > m->max_pos)
        return ds_fail(err, DS_USAGE, "--seq-len %u: a multiple of 4 from 8 to the model's %d",
                       c->seq_len, (int)m->max_pos);
    if (c->method == DS_METHOD_PROMPT &&
        (c->prompt_tokens < 1 || (uint32_t)c->prompt_tokens + 4 > c->seq_len))
        return ds_fail(err, DS_USAGE, "--prompt-tokens %d: at least 1, and room for a record in %u",
                       (int)c->prompt_tokens, c->seq_len);
    if (!c->steps && !c->epochs)
        return ds_fail(err, DS_USAGE, "neither --steps nor --epochs says how long to train");
    return 0;
}

int ds_trainer_open(ds_trainer *t, const ds_trainconf *c, ds_err *err)
{
    ds_modelconf m = {0};
    int rc;

    memset(t, 0, sizeof *t);
    t->c = *c;
    rc = ds_modelconf_read(&m, c->model, err);
    rc = rc ? rc : check_conf(c, &m, err);
    rc = rc ? rc : open_data(t, err);
    rc = rc ? rc : ds_kernels_cpu(&t->k, c->threads, NULL, err);
    rc = rc ? rc : describe(t, err);
    rc = rc ? rc : ds_net_new(&t->net, t->k, &m, c->format, (int32_t)c->seq_len, err);
    rc = rc ? rc : ds_net_load(t->net, c->model, err);
    rc = rc ? rc : ds_loader_check(&t->lineage.run, t->data, m.vocab, err);
    rc = rc ? rc : prepare_method(t, err);
    ds_modelconf_fini(&m);
    if (rc)
        ds_trainer_close(t);
    return rc;
}

void ds_trainer_close(ds_trainer *t)
{
    ds_net_free(t->net);
    if (t->k)
        t->k->close(t->k);
    for (size_t i = 0; t->data && i < t->c.ndata; i++)
        ds_dataset_close(t->data[i]);
    free(t->data);
    ds_lineage_fini(&t->lineage);
    memset(t, 0, sizeof *t);
}

/* ---- one step ---- */

typedef struct stepping {
    ds_trainer *t;
    ds_loader *loader;
    ds_ledger *ledger;
    ds_minibatch **micro;
    ds_consumed *consumed; /* since the last checkpoint */
    uint64_t *firsts;
    ds_buf spans;
    float *loss;
    size_t loss_cap;
    char segment[PATH];   /* being written */
    uint64_t first, done; /* its first step; the last step in it */
} stepping;

static double seconds(void)
{
    struct timespec ts;

    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (double)ts.tv_sec + (double)ts.tv_nsec * 1e-9;
}

static uint64_t bits_of(double d)
{
    uint64_t u;

    memcpy(&u, &d, sizeof u);
    return u;
}

static int run_micro(stepping *s, const ds_minibatch *m, uint64_t step, float scale, double *loss,
                     ds_err *err)
{
    const ds_trainconf *c = &s->t->c;
    const ds_netbatch b = {.t = m->t,
                           .ids = m->ids,
                           .pos = m->pos,
                           .target = m->target,
                           .weight = m->weight,
                           .seqs = {m->cu, m->nseqs},
                           .seed = c->seed,
                           .step = step,
                           .first_token =
                               (m->row - (step - 1) * c->batch * c->accumulate) * c->seq_len};

    if (s->loss_cap < (size_t)m->t) {
        float *grown = realloc(s->loss, (size_t)m->t * sizeof *grown);
        if (!grown)
            return ds_fail_nomem(err);
        s->loss = grown;
        s->loss_cap = (size_t)m->t;
    }
    TRY(ds_net_step(s->t->net, &b, scale, true, c->recompute, s->loss, err));
    for (int64_t i = 0; i < m->t; i++)
        *loss += (double)s->loss[i];
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

static int one_step(stepping *s, uint64_t step, ds_step_report *r, ds_err *err)
{
    ds_trainer *t = s->t;
    const uint64_t n = t->c.accumulate;
    const double start = seconds();
    const double waited = ds_loader_about(s->loader).waited;
    double loss = 0;

    *r = (ds_step_report){.step = step};
    for (uint64_t i = 0; i < n; i++) {
        const int rc = ds_loader_next(s->loader, &s->micro[i], err);
        if (rc <= 0)
            return rc ? rc
                      : ds_fail(err, DS_FAIL, "step %llu: the rows end early",
                                (unsigned long long)step);
        for (uint64_t j = 0; j < s->micro[i]->rows; j++)
            r->targets += s->micro[i]->targets[j];
        r->tokens += s->micro[i]->tokens;
    }
    const float scale = r->targets ? (float)(1.0 / (double)r->targets) : 0.0f;
    for (uint64_t i = 0; i < n; i++)
        TRY(run_micro(s, s->micro[i], step, scale, &loss, err));
    r->loss = r->targets ? loss / (double)r->targets : 0.0;
    if (!isfinite(r->loss))
        return ds_fail(err, DS_FAIL,
                       "step %llu: the loss is not a finite number; the last checkpoint stands",
                       (unsigned long long)step);
    TRY(ds_net_finish_grads(t->net, err));
    r->lr = ds_optim_lr(&t->c.optim, step);
    TRY(ds_optim_step(ds_net_params(t->net), &t->c.optim, step, &r->norm, err));
    TRY(log_rows(s, step, n, r, err));
    for (uint64_t i = 0; i < n; i++)
        ds_loader_give_back(s->loader, s->micro[i]);
    r->waited = ds_loader_about(s->loader).waited - waited;
    r->seconds = seconds() - start;
    return 0;
}

/* ---- the run ---- */

static volatile sig_atomic_t asked_to_stop;

static void on_usr1(int sig)
{
    (void)sig;
    asked_to_stop = 1;
}

static int segment_path(char out[PATH], const char *run, uint64_t first, uint64_t last, ds_err *err)
{
    char name[48];

    ds_ledger_name(name, first, last);
    return snprintf(out, PATH, "%s/ledger/%s", run, name) >= PATH
               ? ds_fail(err, DS_FAIL, "%s: path too long", run)
               : 0;
}

/* A segment's name holds its last step, which is known when it ends: it is written under the next
 * multiple and renamed when cut short. */
static int open_segment(stepping *s, const ds_ckpt_state *state, char path[PATH], ds_err *err)
{
    const uint64_t every = s->t->c.checkpoint_every, steps = s->t->c.steps;
    uint64_t last = (state->step / every + 1) * every;

    last = last > steps ? steps : last;
    TRY(segment_path(path, s->t->c.out, state->step + 1, last, err));
    return ds_ledger_create(&s->ledger, path, &state->head, err);
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

static int close_segment(stepping *s, ds_ckpt_state *state, const char *path, uint64_t first,
                         uint64_t step, ds_err *err)
{
    char wanted[PATH];
    uint64_t rows;
    ds_ledger *l = s->ledger;

    s->ledger = NULL;
    TRY(ds_ledger_finish(l, &state->head, &rows, err));
    state->rows += rows;
    TRY(say_consumed(s, first, step, err));
    TRY(segment_path(wanted, s->t->c.out, first, step, err));
    if (strcmp(path, wanted) && ds_io_active->rename(path, wanted))
        return ds_fail_errno(err, errno, "%s", wanted);
    return 0;
}

static int publish(stepping *s, ds_ckpt_state *state, uint64_t step, double loss, ds_err *err)
{
    char path[PATH], name[32];

    state->step = step;
    state->loss = loss;
    TRY(ds_checkpoint_write(s->t->c.out, s->t->net, &s->t->c, state, &s->t->lineage, err));
    ds_checkpoint_name(name, step);
    if (snprintf(path, sizeof path, "%s/%s", s->t->c.out, name) >= PATH)
        return ds_fail(err, DS_FAIL, "%s: path too long", s->t->c.out);
    return ds_trainer_register(s->t, path, err);
}

static int steps_loop(stepping *s, ds_ckpt_state *state, ds_step_fn fn, void *ctx, ds_err *err)
{
    const ds_trainconf *c = &s->t->c;
    bool stop = false;

    for (uint64_t step = state->step + 1; step <= c->steps && !stop; step++) {
        ds_step_report r;
        if (!s->ledger) {
            s->first = step;
            TRY(open_segment(s, state, s->segment, err));
        }
        TRY(one_step(s, step, &r, err));
        s->done = step;
        stop = (fn && fn(ctx, &r)) || ds_interrupted() || asked_to_stop;
        if (step % c->checkpoint_every == 0 || step == c->steps || stop) {
            TRY(close_segment(s, state, s->segment, s->first, step, err));
            TRY(publish(s, state, step, r.loss, err));
        }
    }
    return stop && state->step < c->steps ? DS_PARTIAL : 0;
}

/* A run that fails leaves the rows after its last checkpoint where a resume finds and keeps them.
 */
static void leave_rows(stepping *s, const ds_ckpt_state *state)
{
    ds_ckpt_state after = *state;
    ds_err why = {0}; /* what ended the run is told */

    if (s->ledger && s->done >= s->first)
        close_segment(s, &after, s->segment, s->first, s->done, &why);
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

int ds_trainer_run(ds_trainer *t, ds_ckpt_state *state, ds_step_fn fn, void *ctx, ds_err *err)
{
    const uint64_t rows = t->c.batch * t->c.accumulate;
    ds_loader_conf lc = {.run = &t->lineage.run,
                         .datasets = t->data,
                         .first = state->step * rows,
                         .rows = t->c.batch,
                         .count = (t->c.steps - state->step) * rows,
                         .vocab = ds_net_conf(t->net)->vocab,
                         .virtual_tokens = t->c.method == DS_METHOD_PROMPT ? t->c.prompt_tokens : 0,
                         .depth = (int)(2 * t->c.accumulate + 1)};
    stepping s = {.t = t};
    struct sigaction usr1 = {.sa_handler = on_usr1, .sa_flags = SA_RESTART};
    char dir[PATH];
    int rc = 0;

    if (state->step >= t->c.steps)
        return ds_fail(err, DS_FAIL, "the run of %llu steps is over already",
                       (unsigned long long)t->c.steps);
    if (!state->step)
        rc = ds_ledger_first(&state->head, &t->run, err);
    if (!rc && snprintf(dir, sizeof dir, "%s/ledger", t->c.out) >= PATH)
        rc = ds_fail(err, DS_FAIL, "%s: path too long", t->c.out);
    rc = rc ? rc : ds_mkdirs(dir, err);
    asked_to_stop = 0;
    sigaction(SIGUSR1, &usr1, NULL);
    s.micro = calloc((size_t)t->c.accumulate, sizeof *s.micro);
    rc = rc ? rc : begin_counting(&s, err);
    rc = rc ? rc : s.micro ? ds_loader_new(&s.loader, &lc, err) : ds_fail_nomem(err);
    rc = rc ? rc : steps_loop(&s, state, fn, ctx, err);
    if (rc < 0 && rc != DS_PARTIAL)
        leave_rows(&s, state);
    ds_ledger_drop(s.ledger);
    ds_loader_free(s.loader);
    ds_consumed_free(s.consumed);
    ds_buf_fini(&s.spans);
    free(s.firsts);
    free(s.micro);
    free(s.loss);
    return rc;
}

int ds_trainer_register(const ds_trainer *t, const char *checkpoint, ds_err *err)
{
    const char *slash = strrchr(t->c.out, '/');
    char path[PATH];
    ds_store store = {0};
    ds_buf b = {0};
    int rc;

    if (t->c.scratch || !t->lineage.run.datasets[0].commit[0])
        return 0;
    if (snprintf(path, sizeof path, "%s/lineage.json", checkpoint) >= PATH)
        return ds_fail(err, DS_FAIL, "%s: path too long", checkpoint);
    rc = ds_read_file(&b, path, 1u << 26, err);
    rc = rc ? rc : ds_store_open(&store, t->c.store, DS_OBJ_WRITE, err);
    rc = rc ? rc
            : ds_run_register(&store, &t->lineage, b.data, b.len,
                              slash && slash[1] ? slash + 1 : t->c.out, checkpoint, err);
    ds_store_close(&store);
    ds_buf_fini(&b);
    return rc;
}

/* ---- evaluation ---- */

/* One stretch of a record, after the virtual tokens if there are any. */
typedef struct stretch {
    int32_t *ids, *pos, *target, cu[2];
    float *weight, *loss;
    uint8_t *learn;
    int32_t lead; /* virtual tokens */
} stretch;

static int stretch_loss(ds_net *net, ds_dataset *d, stretch *s, uint64_t record, uint32_t from,
                        uint32_t len, double *sum, uint64_t *targets, ds_err *err)
{
    const int32_t n = (int32_t)len + s->lead;
    const ds_netbatch b = {.t = n,
                           .ids = s->ids,
                           .pos = s->pos,
                           .target = s->target,
                           .weight = s->weight,
                           .seqs = {s->cu, 1}};

    s->cu[1] = n;
    TRY(ds_dataset_tokens(d, record, from, len, s->ids + s->lead, err));
    for (int32_t i = s->lead; i < n; i++)
        if (s->ids[i] < 0 || s->ids[i] >= net->c.vocab)
            return ds_fail(err, DS_FAIL,
                           "dataset '%s', record %llu: token %d is not in the model's vocabulary "
                           "of %d",
                           ds_dataset_about(d)->name, (unsigned long long)record, (int)s->ids[i],
                           (int)net->c.vocab);
    ds_dataset_targets(d, record, from, len, s->learn);
    for (int32_t i = 0; i < n; i++) {
        const bool learn = i + 1 < n && i >= s->lead && s->learn[i + 1 - s->lead];
        if (i < s->lead)
            s->ids[i] = net->c.vocab + i;
        s->pos[i] = i;
        s->target[i] = learn ? s->ids[i + 1] : 0;
        s->weight[i] = learn ? 1.0f : 0.0f;
        *targets += learn;
    }
    TRY(ds_net_step(net, &b, 1.0f, false, false, s->loss, err));
    for (int32_t i = 0; i < n; i++)
        *sum += (double)s->loss[i];
    return ds_check_interrupt(err);
}

int ds_trainer_eval(ds_net *net, ds_dataset *d, uint32_t seq_len, uint64_t rows, double *loss,
                    uint64_t *targets, ds_err *err)
{
    const ds_dataset_info *info = ds_dataset_about(d);
    const uint32_t lead = net->prompt ? (uint32_t)net->prompt->rows : 0;
    int32_t *ids = malloc((size_t)seq_len * 3 * sizeof *ids);
    float *f = malloc((size_t)seq_len * 2 * sizeof *f);
    stretch s = {.ids = ids, .weight = f, .learn = malloc(seq_len), .lead = (int32_t)lead};
    uint64_t done = 0;
    double sum = 0;
    int rc = ids && f && s.learn ? 0 : ds_fail_nomem(err);

    *targets = 0;
    if (!rc && seq_len < lead + 2)
        rc = ds_fail(err, DS_USAGE, "--seq-len %u: no room for a record after %u virtual tokens",
                     seq_len, lead);
    if (!rc) {
        s.pos = ids + seq_len;
        s.target = ids + 2 * (size_t)seq_len;
        s.loss = f + seq_len;
        seq_len -= lead;
    }
    for (uint64_t r = 0; !rc && r < info->records && (!rows || done < rows); r++)
        for (uint32_t at = 0; !rc && at < info->lengths[r] && (!rows || done < rows); done++) {
            const uint32_t left = info->lengths[r] - at, n = left < seq_len ? left : seq_len;
            rc = stretch_loss(net, d, &s, r, at, n, &sum, targets, err);
            at += n;
        }
    *loss = *targets ? sum / (double)*targets : 0.0;
    free(ids);
    free(f);
    free(s.learn);
    return rc;
}
