/* trainer.c - see trainer.h. */
#include "trainer.h"
#include "io.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "algorithms.h"
#include "alike.h"
#include "filesum.h"
#include "loader.h"
#include "memlimit.h"
#include "net_priv.h"
#include "plan.h"
#include "plugin.h"
#include "recall.h"
#include "rundata.h"
#include "runs.h"

#define LORA_ALPHA 32.0
#define PROMPT_TOKENS_MAX 4096

/* ---- opening ---- */

/* The CPU's sums are chains over all tokens in order, however these are cut into micro-batches. */
static bool splits_freely(const ds_kernels *k)
{
    return strcmp(k->name, "cpu") == 0;
}

static ds_plan_conf plan_of(const ds_trainer *t)
{
    const ds_trainconf *c = &t->c;
    const uint32_t ranks = (uint32_t)t->ranks->size;

    return (ds_plan_conf){.rows = (int64_t)c->batch,
                          .seq_len = c->seq_len,
                          .tokens = t->longest,
                          .format = c->format,
                          .optim = c->optim.kind,
                          .stochastic = c->optim.stochastic,
                          .lora = c->lora,
                          .only = c->only,
                          .pairs = c->preference.kind,
                          .before = ds_pref_compares(&c->preference),
                          .prompt = c->prompt_tokens ? c->prompt_tokens : DS_PROMPT_TOKENS,
                          .sums = ranks > 1 ? c->slices / ranks : c->slices > 1,
                          .peers = t->peers ? ranks : 0,
                          .slices = c->slices,
                          .auto_recompute = c->auto_recompute,
                          .recompute = c->recompute,
                          .device = !splits_freely(t->k)};
}

/* What there is for the run, --memory aside: of a device what nobody else has, of the machine's
 * this process's share. */
static int64_t memory_there(const ds_trainer *t)
{
    ds_kmem m = {.total = 0};

    if (t->k)
        t->k->memory(t->k, &m);
    return m.total ? m.free + m.held : ds_memory_limit() / t->ranks->here;
}

/* Ranks on unlike machines must choose the same. */
static int64_t least_memory(const ds_trainer *t)
{
    const int64_t mine = t->c.memory ? t->c.memory : memory_there(t);
    const ds_ranks *r = t->ranks;
    int64_t least = mine;

    for (int i = 0; r->size > 1 && i < r->size; i++) {
        int64_t x = mine;
        r->spread(r, &x, sizeof x, i);
        least = x < least ? x : least;
    }
    return least;
}

/* What the user named to be trained is what the advised method trains, or nothing is. */
static int check_advice(const ds_trainconf *c, const ds_plan_advice *a, ds_err *err)
{
    if (a->method == DS_METHOD_PROMPT && c->lora.nrows)
        return ds_fail(err, DS_FAIL,
                       "--train-token: a prompt, which trains no tokens, is all that "
                       "fits: %s",
                       a->why);
    if (a->method != DS_METHOD_LORA && c->lora.targets != DS_PROJECTIONS)
        return ds_fail(err, DS_FAIL,
                       "--target: --method auto chose %s, which has no adapters (--method lora): "
                       "%s",
                       ds_method_name(a->method), a->why);
    if (a->method != DS_METHOD_FULL && c->only && *c->only)
        return ds_fail(err, DS_FAIL,
                       "--only: --method auto chose %s, which trains nothing of the model itself "
                       "(--method full): %s",
                       ds_method_name(a->method), a->why);
    return 0;
}

/* --method auto becomes the one that plan.h suggests for this model, data and memory. */
static int choose_method(ds_trainer *t, const ds_modelconf *m, ds_err *err)
{
    ds_trainconf *c = &t->c;
    const ds_plan_conf p = plan_of(t);
    ds_plan_advice advice;
    uint64_t tokens = 0;

    if (c->method != DS_METHOD_AUTO)
        return 0;
    for (size_t i = 0; i < c->ndata; i++)
        tokens += ds_dataset_about(t->data[i])->tokens;
    TRY(ds_plan_advise(&advice, m, &p, tokens, t->memory, err));
    TRY(check_advice(c, &advice, err));
    c->method = advice.method;
    c->recompute = advice.recompute;
    c->auto_recompute = false;
    c->lora.r = (int32_t)advice.rank;
    if (!(c->lora.alpha > 0))
        c->lora.alpha = 2.0 * (double)advice.rank;
    memcpy(t->advice, advice.why, sizeof t->advice);
    return 0;
}

/* --recompute auto becomes the cheapest level at which the run fits; the last where none does. */
static int choose_recompute(ds_trainer *t, const ds_modelconf *m, ds_err *err)
{
    ds_trainconf *c = &t->c;
    const ds_plan_conf p = plan_of(t);
    ds_plan_need need;

    if (!c->auto_recompute)
        return 0;
    TRY(ds_plan_count(&need, m, c->method, &p, err));
    if (!ds_plan_fits(&need, &p, t->memory, &c->recompute))
        c->recompute = DS_AGAIN_LAYER;
    return 0;
}

/* The ids of tokens that are trained with adapters. */
static int find_tokens(ds_trainer *t, ds_err *err)
{
    ds_lora_conf *l = &t->c.lora;
    char path[DS_PATH];
    ds_tok *tok = NULL;

    if (!l->tokens || !*l->tokens)
        return 0;
    TRY(ds_path_join(path, t->c.model, "tokenizer.json", err));
    int rc = ds_tok_load(&tok, path, err);
    for (size_t i = 0; !rc && l->tokens[i]; i++) {
        const uint32_t id = ds_tok_id(tok, l->tokens[i], strlen(l->tokens[i]));
        if (id == DS_TOK_NONE)
            rc = ds_fail(err, DS_USAGE, "--train-token '%s': no token of %s (dstrain resize)",
                         l->tokens[i], path);
        else if (ds_ids_put(&t->tokens, &id, 1))
            rc = ds_fail_nomem(err);
    }
    ds_tok_free(tok);
    l->rows = t->tokens.v;
    l->nrows = t->tokens.n;
    return rc;
}

/* What the options left open. */
static int complete(ds_trainer *t, ds_err *err)
{
    ds_trainconf *c = &t->c;

    if (c->method == DS_METHOD_LORA) {
        c->lora.r = c->lora.r ? c->lora.r : DS_LORA_RANK;
        c->lora.alpha = c->lora.alpha > 0 ? c->lora.alpha : LORA_ALPHA;
    }
    if (c->method == DS_METHOD_PROMPT && c->prompt_init == DS_PROMPT_TEXT) {
        TRY(ds_prompt_ids(&t->prompt, c->model, c->prompt_text, err));
        c->prompt_ids = t->prompt.v;
        c->prompt_nids = t->prompt.n;
        if (!c->prompt_tokens && t->prompt.n <= PROMPT_TOKENS_MAX)
            c->prompt_tokens = (int32_t)t->prompt.n;
    }
    if (!c->prompt_tokens)
        c->prompt_tokens = DS_PROMPT_TOKENS;
    return ds_rundata_early_stop(t, err);
}

/* ---- where it is computed ---- */

ds_where ds_where_of(const ds_lineage *l)
{
    json_t *o = l->environment ? json_loads(l->environment, 0, NULL) : NULL;
    const char *backend = json_string_value(json_object_get(o, "backend"));
    const char *detail = json_string_value(json_object_get(o, "detail"));
    const json_int_t rows = json_integer_value(json_object_get(o, "rows"));
    ds_where w = {.rows = rows > 0 ? (uint64_t)rows : 0};

    if (backend)
        snprintf(w.backend, sizeof w.backend, "%s", backend);
    if (detail)
        snprintf(w.by, sizeof w.by, "%.*s", (int)strcspn(detail, ";"), detail);
    json_decref(o);
    return w;
}

/* The nearest number of steps, at least one. */
static uint64_t share_of(double share, uint64_t steps)
{
    const uint64_t n = (uint64_t)llround(share * (double)steps);

    return n ? n : 1;
}

/* How rows are made of the data, and how many; so how long the longest batch of them is. */
static int describe_rows(ds_trainer *t, ds_err *err)
{
    const ds_trainconf *c = &t->c;
    ds_run *r = &t->lineage.run;
    const bool prompt = c->method == DS_METHOD_PROMPT;

    r->seed = c->seed;
    r->rows = c->batch * c->accumulate;
    r->steps = c->steps;
    r->seq_len = c->seq_len - (prompt ? (uint32_t)c->prompt_tokens : 0);
    r->window = c->window;
    r->longer = c->longer;
    if (!c->steps) {
        uint64_t rows;
        TRY(ds_loader_count(&rows, r, t->data, (uint32_t)c->epochs, err));
        r->steps = (rows + r->rows - 1) / r->rows;
        t->c.steps = r->steps;
    }
    t->c.optim.steps = r->steps;
    if (c->warmup_share > 0)
        t->c.optim.warmup = share_of(c->warmup_share, r->steps);
    if (c->decay_share > 0)
        t->c.optim.decay_steps = share_of(c->decay_share, r->steps);
    if (!prompt)
        return 0;
    const ds_loader_conf rows = {.run = r,
                                 .datasets = t->data,
                                 .rows = c->batch,
                                 .count = r->rows * r->steps,
                                 .virtual_tokens = c->prompt_tokens,
                                 .even = t->k->work_begin};
    return ds_loader_longest(&t->longest, &rows, err);
}

static int describe(ds_trainer *t, ds_err *err)
{
    const ds_trainconf *c = &t->c;
    ds_run *r = &t->lineage.run;
    ds_buf training = {0}, env = {0};

    int rc = ds_trainconf_dump(&training, &t->c, err);
    if (!rc &&
        ds_buf_printf(&env,
                      "{\"backend\":\"%s\",\"detail\":\"%s\",\"compiler\":\"%s\","
                      "\"recompute\":\"%s\"",
                      t->k->name, t->k->detail, __VERSION__, ds_recompute_name(c->recompute)))
        rc = ds_fail_nomem(err);
    if (!rc && !splits_freely(t->k) &&
        ds_buf_printf(&env, ",\"rows\":%" PRIu64 ",\"graphs\":%s", c->batch,
                      c->eager ? "false" : "true"))
        rc = ds_fail_nomem(err);
    if (!rc && t->ranks->size > 1 && ds_buf_printf(&env, ",\"processes\":%d", t->ranks->size))
        rc = ds_fail_nomem(err);
    if (!rc && ds_buf_printf(&env, "}"))
        rc = ds_fail_nomem(err);
    if (!rc && (!ds_buf_cstr(&training) || !ds_buf_cstr(&env)))
        rc = ds_fail_nomem(err);
    r->training = (char *)training.data;
    t->lineage.environment = (char *)env.data;
    r->trainer = strdup(DS_VERSION);
    if (!rc && !r->trainer)
        rc = ds_fail_nomem(err);
    rc = rc ? rc : ds_path_name(&t->lineage.model_name, c->model, err);
    return rc ? rc : ds_sha_file(&t->lineage.binary, NULL, "/proc/self/exe", err);
}

/* The model's digest is what the description still lacks. */
static int describe_model(ds_trainer *t, ds_model_job *sum, ds_err *err)
{
    TRY(ds_model_sum_end(sum, &t->lineage.run.model, err));
    return ds_run_digest(&t->run, &t->lineage.run, err);
}

static int prepare_method(ds_trainer *t, ds_err *err)
{
    const ds_trainconf *c = &t->c;

    ds_net_params(t->net)->ranks = t->ranks;
    ds_net_params(t->net)->peers = t->peers;
    ds_net_params(t->net)->lone = c->method == DS_METHOD_FULL && c->optim.stochastic;
    if (c->method == DS_METHOD_LORA) {
        TRY(ds_net_add_lora(t->net, &c->lora, c->seed, err));
    } else if (c->method == DS_METHOD_FULL) {
        TRY(ds_net_train_full(t->net, c->only, err));
    } else {
        TRY(ds_net_add_prompt(t->net, c->prompt_tokens, err));
        TRY(ds_prompt_fill(t->net, c->prompt_init, c->prompt_ids, c->prompt_nids, c->seed, err));
    }
    if (ds_pref_compares(&c->preference))
        TRY(ds_net_keep_before(t->net, false, err));
    return ds_optim_prepare(ds_net_params(t->net), c->optim.kind, err);
}

/* All that the run will take of a device is asked for at once; what that is, is known before
 * anything is there. Where processes share out the moments of all weights, each takes what it comes
 * to. */
static int open_net(ds_trainer *t, const ds_modelconf *m, ds_err *err)
{
    const ds_trainconf *c = &t->c;
    const bool whole = !splits_freely(t->k) && (t->ranks->size == 1 || c->method != DS_METHOD_FULL);
    const ds_plan_conf p = plan_of(t);
    ds_plan_need need;
    ds_kmem about;

    if (whole) {
        TRY(ds_plan_count(&need, m, c->method, &p, err));
        t->planned = ds_plan_sum(&need, c->recompute);
        if (t->planned > memory_there(t))
            return ds_plan_refuse(&need, c->recompute, memory_there(t), err);
        TRY(t->k->reserve(t->k, ds_plan_reserve(&need, c->recompute), need.scratch, err));
        t->k->memory(t->k, &about);
        t->asked = about.allocations;
    }
    TRY(ds_net_new(&t->net, t->k, m, c->format, (int32_t)c->seq_len, err));
    if (whole)
        TRY(ds_net_reserve(t->net, (size_t)need.acts[c->recompute], err));
    return ds_net_load(t->net, c->model, err);
}

static int check_slices(const ds_trainconf *c, const ds_ranks *r, ds_err *err)
{
    if (c->slices % (uint32_t)r->size)
        return ds_fail(err, DS_USAGE, "%u slices for %d processes: a multiple of these (--slices)",
                       c->slices, r->size);
    if (c->accumulate % c->slices)
        return ds_fail(err, DS_USAGE,
                       "--accumulate %" PRIu64 ": a multiple of the %u slices of a step%s",
                       c->accumulate, c->slices,
                       c->slices == (uint32_t)r->size ? ", one for each process" : "");
    return 0;
}

static int check_conf(const ds_trainconf *c, const ds_modelconf *m, ds_err *err)
{
    if (c->seq_len < 8 || c->seq_len % 4 || (int64_t)c->seq_len > m->max_pos)
        return ds_fail(err, DS_USAGE, "--seq-len %u: a multiple of 4 from 8 to the model's %d",
                       c->seq_len, (int)m->max_pos);
    if (c->batch > (uint64_t)DS_PLAN_TOKENS_MAX / c->seq_len)
        return ds_fail(err, DS_USAGE,
                       "--batch %" PRIu64 ": %" PRId64
                       " tokens are the most at once (--accumulate takes as many batches)",
                       c->batch, DS_PLAN_TOKENS_MAX);
    if (c->method == DS_METHOD_PROMPT &&
        (c->prompt_tokens < 1 || (uint32_t)c->prompt_tokens + 4 > c->seq_len))
        return ds_fail(err, DS_USAGE, "--prompt-tokens %d: at least 1, and room for a record in %u",
                       (int)c->prompt_tokens, c->seq_len);
    if (c->optim.stochastic && c->format != DS_KBF16)
        return ds_fail(err, DS_USAGE, "--rounding stochastic is of bf16 weights (--dtype bf16)");
    if (!c->steps && !c->epochs)
        return ds_fail(err, DS_USAGE, "neither --steps nor --epochs says how long to train");
    return 0;
}

/* A launcher may show each process nothing but its own device. */
static bool shown_one(void)
{
    const char *v = getenv("CUDA_VISIBLE_DEVICES");

    return v && *v && !strchr(v, ',');
}

/* Each of several processes on a machine has a device of its own, or its share of the processors.
 */
static int open_kernels(ds_trainer *t, ds_err *err)
{
    const char *device = t->c.device ? t->c.device : "cpu";
    const int threads = t->c.threads ? t->c.threads : t->ranks->processors;
    char own[32];

    if (t->ranks->size > 1 && strcmp(device, "cuda") == 0) {
        snprintf(own, sizeof own, "cuda:%d", shown_one() ? 0 : t->ranks->local);
        device = own;
    }
    TRY(ds_kernels_open(&t->k, device, threads, err));
    t->k->eager = t->c.eager;
    return 0;
}

/* A checkpoint says what computed it: one kind of device, or CPUs. */
static int check_alike(const ds_trainer *t, ds_err *err)
{
    const ds_kernels *k = t->k;
    char mine[sizeof(ds_where)], first[sizeof mine];

    snprintf(mine, sizeof mine, "%s%s%.*s", k->name, splits_freely(k) ? "" : ", ",
             splits_freely(k) ? 0 : (int)strcspn(k->detail, ";"), k->detail);
    memcpy(first, mine, sizeof mine);
    t->ranks->spread(t->ranks, first, sizeof first, 0);
    return strcmp(mine, first) == 0
               ? 0
               : ds_fail(err, DS_FAIL,
                         "this computes by %s, and process 0 by %s: each has bits of its own", mine,
                         first);
}

/* Devices of several processes give each other gradients and weights themselves where all of them
 * can; else their hosts do, by MPI. The bits are the same. */
static int join_devices(ds_trainer *t, int opened, ds_err *err)
{
    const ds_ranks *r = t->ranks;
    char id[DS_KPEERS_ID] = "";

    if (r->size == 1)
        return opened;
    TRY(ds_ranks_agree(r, opened, err));
    TRY(ds_ranks_agree(r, check_alike(t, err), err));
    int rc = t->k->peers_id ? t->k->peers_id(t->k, r->rank ? NULL : id, &t->apart) : DS_FAIL;
    if (ds_ranks_agree(r, rc, &t->apart))
        return 0;
    r->spread(r, id, sizeof id, 0);
    r->wait(r, "the other processes' devices", true); /* whose processes may have failed to join */
    rc = t->k->peers_join(t->k, id, r->rank, r->size, &t->apart);
    r->wait(r, NULL, true);
    t->peers = ds_ranks_agree(r, rc, &t->apart) == 0;
    return 0;
}

/* What a checkpoint's products were computed by is what those of its run are computed by. */
static int follow(ds_trainer *t, ds_err *err)
{
    const char *was = t->c.again ? t->c.again : t->c.resume;

    return was ? ds_algorithms_read(was, t->k, err) : 0;
}

int ds_trainer_open(ds_trainer *t, const ds_trainconf *c, ds_err *err)
{
    static const ds_ranks alone = {.size = 1, .here = 1};
    ds_modelconf m = {0};
    ds_model_job *sum = NULL;
    int rc;

    memset(t, 0, sizeof *t);
    t->c = *c;
    t->ranks = c->ranks ? c->ranks : &alone;
    t->c.optim.seed = c->seed;
    t->c.slices = c->slices ? c->slices : (uint32_t)t->ranks->size;
    rc = ds_model_sum_begin(&sum, c->model, err); /* beside all that comes */
    rc = join_devices(t, rc ? rc : open_kernels(t, err), err);
    t->memory = least_memory(t); /* of all ranks, whatever became of this one */
    rc = rc ? rc : follow(t, err);
    if (!rc && ds_modelconf_read(&m, c->model, err))
        rc = ds_checkpoint_meant(c->model, err);
    rc = rc ? rc : check_slices(&t->c, t->ranks, err);
    rc = rc ? rc : ds_rundata_open(t, err);
    rc = rc ? rc : find_tokens(t, err);
    rc = rc ? rc : choose_method(t, &m, err);
    rc = rc ? rc : complete(t, err);
    rc = rc ? rc : check_conf(&t->c, &m, err);
    rc = rc ? rc : describe_rows(t, err);
    rc = rc ? rc : choose_recompute(t, &m, err);
    rc = rc ? rc : ds_spike_init(&t->spike, &c->spike, err);
    rc = rc ? rc : describe(t, err);
    rc = rc ? rc : open_net(t, &m, err);
    rc = rc ? rc : ds_loader_check(&t->lineage.run, t->data, m.vocab, err);
    rc = rc ? rc : prepare_method(t, err);
    rc = rc ? ds_model_sum_end(sum, NULL, NULL), rc : describe_model(t, sum, err);
    rc = ds_ranks_agree(t->ranks, rc, err);
    rc = rc ? rc : ds_alike_run(t, err);
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
    ds_rundata_close(t);
    ds_ids_fini(&t->prompt);
    ds_ids_fini(&t->tokens);
    ds_spike_fini(&t->spike);
    ds_lineage_fini(&t->lineage);
    memset(t, 0, sizeof *t);
}

int ds_trainer_same_device(const ds_trainer *t, const ds_lineage *l, ds_err *err)
{
    const ds_where was = ds_where_of(l);
    const int by = (int)strcspn(t->k->detail, ";");
    int rc = 0;

    if (was.backend[0] && strcmp(was.backend, t->k->name) != 0)
        rc = ds_fail(err, DS_FAIL,
                     "the run is of --device %s, and this is %s: each has bits of its own, so "
                     "that what came out would be neither's",
                     was.backend, t->k->name);
    else if (was.rows && was.rows != t->c.batch && !splits_freely(t->k))
        rc = ds_fail(err, DS_FAIL,
                     "the run took %" PRIu64 " rows at a time, and this takes %" PRIu64
                     ": on a device that changes bits (--batch)",
                     was.rows, t->c.batch);
    else if (was.by[0] && !splits_freely(t->k) &&
             (strlen(was.by) != (size_t)by || strncmp(was.by, t->k->detail, (size_t)by) != 0))
        rc = ds_fail(err, DS_FAIL,
                     "the run was computed by %s, and this is %.*s: their bits may differ", was.by,
                     by, t->k->detail);
    return rc;
}

/* What goes on from altered bytes is nobody's run, and no audit of it would say so. */
static int check_files(const char *checkpoint, const ds_lineage *l, ds_err *err)
{
    ds_sha sum;

    TRY(ds_filesum_dir(&sum, checkpoint, "lineage.json", err));
    return ds_sha_eq(&sum, &l->files)
               ? 0
               : ds_fail(err, DS_CORRUPT,
                         "%s: its files are not those that its lineage.json was written for "
                         "(dsver audit tells more)",
                         checkpoint);
}

int ds_trainer_restore(ds_trainer *t, const char *checkpoint, ds_ckpt_state *state, ds_err *err)
{
    ds_lineage was = {0};
    int rc = ds_lineage_read(&was, checkpoint, err);

    rc = rc ? rc : ds_trainer_same_device(t, &was, err);
    rc = rc ? rc : check_files(checkpoint, &was, err);
    rc = rc ? rc : ds_checkpoint_read(checkpoint, t->net, &t->c, true, state, err);
    if (!rc &&
        (state->step != was.step || state->rows != was.rows || !ds_sha_eq(&state->head, &was.head)))
        rc = ds_fail(err, DS_CORRUPT,
                     "%s: state.json tells of step %" PRIu64 " and another ledger than "
                     "lineage.json, which is of step %" PRIu64,
                     checkpoint, state->step, was.step);
    ds_lineage_fini(&was);
    TRY(rc);
    return ds_spike_recall(&t->spike, checkpoint, state->step, err);
}

/* ---- the catalog ---- */

/* lineage.json as it stands, and as it reads. */
static int read_both(ds_lineage *l, ds_buf *json, const char *checkpoint, ds_err *err)
{
    char path[DS_PATH];

    TRY(ds_path_join(path, checkpoint, "lineage.json", err));
    TRY(ds_read_file(json, path, 1u << 26, err));
    return ds_lineage_parse(l, json->data, json->len, path, err);
}

int ds_trainer_register(const ds_trainer *t, const char *checkpoint, bool left, ds_err *err)
{
    enum ds_run_standing is;
    ds_store store = {0};
    ds_lineage l = {0};
    ds_buf b = {0};
    char *name = NULL;
    int rc;

    if (t->c.scratch || !t->lineage.run.datasets[0].commit[0])
        return 0;
    rc = ds_run_name(&name, t->c.out, err);
    rc = rc ? rc : read_both(&l, &b, checkpoint, err);
    rc = rc ? rc : ds_store_open(&store, t->c.store, DS_OBJ_WRITE, err);
    rc = rc ? rc : ds_run_standing(&is, &store, &l, err);
    if (!rc && (is <= DS_RUN_NEW || (is == DS_RUN_OTHER && !left)))
        rc = ds_run_register(&store, &l, b.data, b.len, name, checkpoint, err);
    ds_store_close(&store);
    ds_lineage_fini(&l);
    ds_buf_fini(&b);
    free(name);
    return rc;
}
