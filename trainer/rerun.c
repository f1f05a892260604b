/* rerun.c - see rerun.h. The run is opened as lineage.json describes it and compared in three
 * ways: the description itself (data, model, settings), loss and gradient norm of every step with
 * the ledger, and the files of weights and moments at the end. */
#include "rerun.h"
#include "io.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "net_priv.h"
#include "runbase.h"
#include "rundiff.h"
#include "segments.h"

typedef struct recorded {
    uint64_t step, lr, loss, norm;
} recorded;

typedef struct replay {
    const ds_replay_conf *c;
    ds_replay_result *out;
    ds_lineage lineage;
    ds_sha head;
    ds_buf steps;  /* recorded, step 1 on */
    uint64_t from; /* the checkpoint that is left, at or before the one asked for; 0: none */
    ds_step_fn fn;
    void *ctx;
    char was_dir[DS_PATH], run_dir[DS_PATH]; /* the run's, and that of the one now */
} replay;

/* ---- what was recorded ---- */

static int take_row(void *ctx, const ds_ledger_row *r, ds_err *err)
{
    replay *p = ctx;
    const recorded s = {r->step, r->lr, r->loss, r->norm};
    const size_t n = p->steps.len / sizeof s;

    if (r->step == n) { /* the last row of a step holds its loss and norm */
        memcpy(p->steps.data + (n - 1) * sizeof s, &s, sizeof s);
        return 0;
    }
    if (r->step != n + 1)
        return ds_fail(err, DS_CORRUPT, "the ledger goes from step %zu to %" PRIu64, n, r->step);
    return ds_buf_put(&p->steps, &s, sizeof s) ? ds_fail_nomem(err) : 0;
}

static int read_ledger(replay *p, ds_err *err)
{
    char dir[DS_PATH];
    ds_segments l;

    TRY(ds_path_join(dir, p->c->checkpoint, "ledger", err));
    TRY(ds_segments_dir(&l, dir, err));
    int rc = 0;
    for (size_t i = 0; !rc && i < l.n; i++)
        rc = ds_ledger_read(l.v[i].path, &p->head, take_row, p, err);
    ds_segments_fini(&l);
    return rc;
}

/* ---- the run again ---- */

static int compare_step(void *ctx, const ds_step_report *r)
{
    replay *p = ctx;
    const recorded *was = (const recorded *)(const void *)p->steps.data + (r->step - 1);
    uint64_t now[3];
    const double values[3] = {r->lr, r->loss, r->norm};

    for (int i = 0; i < 3; i++)
        memcpy(&now[i], &values[i], sizeof now[i]);
    if (r->skipped)
        now[2] = DS_LEDGER_SKIPPED;
    if (!p->out->differs && (now[0] != was->lr || now[1] != was->loss || now[2] != was->norm)) {
        double old[2];
        memcpy(&old[0], &was->loss, sizeof old[0]);
        memcpy(&old[1], &was->norm, sizeof old[1]);
        p->out->differs = r->step;
        snprintf(p->out->why, sizeof p->out->why,
                 "step %" PRIu64
                 ": loss %.17g and gradient norm %.17g, recorded were %.17g and %.17g",
                 r->step, r->loss, r->norm, old[0], old[1]);
    }
    return p->fn ? p->fn(p->ctx, r) : 0;
}

static int dataset_specs(const replay *p, char ***out, ds_err *err)
{
    const ds_run *r = &p->lineage.run;
    char **v = calloc(r->ndatasets + 1, sizeof *v);

    if (!v)
        return ds_fail_nomem(err);
    *out = v;
    for (size_t i = 0; i < r->ndatasets; i++) {
        if (p->c->ndata > i)
            v[i] = strdup(p->c->data[i]);
        else if (!r->datasets[i].commit[0])
            return ds_fail(err, DS_USAGE, "the run read the file '%s': --data tells where it is",
                           r->datasets[i].name);
        else if (asprintf(&v[i], "%s@%s", r->datasets[i].name, r->datasets[i].commit) < 0)
            v[i] = NULL;
        if (!v[i])
            return ds_fail_nomem(err);
    }
    return 0;
}

/* Loss masks and weights as they were. */
static int dataset_settings(const ds_run *r, const char ***masks, uint64_t **weights, ds_err *err)
{
    *masks = calloc(r->ndatasets + 1, sizeof **masks);
    *weights = calloc(r->ndatasets + 1, sizeof **weights);
    if (!*masks || !*weights)
        return ds_fail_nomem(err);
    for (size_t i = 0; i < r->ndatasets; i++) {
        (*masks)[i] = r->datasets[i].mask ? r->datasets[i].mask : "none";
        (*weights)[i] = r->datasets[i].weight;
    }
    return 0;
}

static bool same_file(const char *a_dir, const char *b_dir, const char *name, ds_err *err)
{
    char a[DS_PATH], b[DS_PATH];
    ds_sha x, y;

    if (snprintf(a, sizeof a, "%s/%s", a_dir, name) >= DS_PATH ||
        snprintf(b, sizeof b, "%s/%s", b_dir, name) >= DS_PATH)
        return false;
    if (!ds_path_exists(a) && !ds_path_exists(b))
        return true;
    return ds_sha_file(&x, NULL, a, err) == 0 && ds_sha_file(&y, NULL, b, err) == 0 &&
           ds_sha_eq(&x, &y);
}

/* After the last step: weights, moments, head of the ledger. */
static void compare_end(replay *p, const ds_ckpt_state *state, ds_err *err)
{
    static const char *const files[] = {"adapter_model.safetensors", "model.safetensors",
                                        "optimizer.safetensors"};
    char name[32], dir[DS_PATH];

    ds_checkpoint_name(name, state->step);
    if (snprintf(dir, sizeof dir, "%s/%s", p->run_dir, name) >= DS_PATH)
        return;
    p->out->same = !p->out->differs;
    for (size_t i = 0; i < sizeof files / sizeof *files; i++)
        if (!same_file(dir, p->c->checkpoint, files[i], err) && p->out->same) {
            p->out->same = false;
            snprintf(p->out->why, sizeof p->out->why,
                     "every step's loss is the same, but %s differs", files[i]);
        }
    if (p->out->same && !ds_sha_eq(&state->head, &p->head)) {
        p->out->same = false;
        snprintf(p->out->why, sizeof p->out->why,
                 "the ledger's last value differs: other records were consumed");
    }
}

static int run_again(replay *p, ds_trainer *t, ds_err *err)
{
    char from[DS_PATH], name[32];
    ds_ckpt_state state = {0};
    const ds_run_events ev = {.step = compare_step, .ctx = p};
    enum ds_run_end end;
    ds_run_times times;

    if (p->from) {
        ds_checkpoint_name(name, p->from);
        TRY(ds_path_join(from, p->was_dir, name, err));
        TRY(ds_trainer_restore(t, from, &state, err));
    }
    p->out->last = p->lineage.step;
    t->c.steps = p->lineage.step;
    TRY(ds_trainer_run(t, &state, &ev, &end, &times, err));
    compare_end(p, &state, err);
    return 0;
}

/* The run's description now and then: the first member that differs. */
static int compare_description(replay *p, const ds_trainer *t, ds_err *err)
{
    const ds_run *was = &p->lineage.run, *now = &t->lineage.run;
    ds_sha digest;

    TRY(ds_run_digest(&digest, was, err));
    if (ds_sha_eq(&digest, &t->run))
        return 0;
    for (size_t i = 0; i < was->ndatasets && i < now->ndatasets; i++)
        if (!ds_sha_eq(&was->datasets[i].root, &now->datasets[i].root))
            return ds_fail(err, DS_FAIL, "dataset '%s' is not what the run read: its root differs",
                           was->datasets[i].name);
    if (!ds_sha_eq(&was->model, &now->model))
        return ds_fail(err, DS_FAIL,
                       "%s is not the model that the run began with: its digest differs",
                       p->c->model);
    if (strcmp(was->trainer, now->trainer))
        return ds_fail(err, DS_FAIL, "the run was made by dstrain %s, this is %s", was->trainer,
                       now->trainer);
    return ds_rundiff(was, now, err);
}

/* Erased records are zeros now. */
static void explain(ds_replay_result *out, const ds_trainer *t)
{
    for (size_t i = 0; !out->same && i < t->c.ndata; i++) {
        const ds_dataset_info *d = ds_dataset_about(t->data[i]);
        const size_t n = strlen(out->why);
        if (d->gone)
            snprintf(out->why + n, sizeof out->why - n, "; records of '%s' were erased since",
                     d->name);
    }
}

static int replay_run(replay *p, ds_err *err)
{
    const ds_run *r = &p->lineage.run;
    ds_trainconf c = {.model = p->c->model,
                      .column = r->ndatasets ? r->datasets[0].column : "tokens",
                      .store = p->c->store,
                      .out = p->run_dir,
                      .again = p->c->checkpoint,
                      .seed = r->seed,
                      .steps = r->steps,
                      .batch = r->rows,
                      .accumulate = 1,
                      .window = r->window,
                      .longer = r->longer,
                      .auto_recompute = true,
                      .device = p->c->device,
                      .eager = p->c->eager,
                      .threads = p->c->threads,
                      .checkpoint_every = r->steps}; /* the end is all that is compared */
    const char **targets = NULL, **masks = NULL;
    uint64_t *weights = NULL;
    char **specs = NULL;
    json_t *keep = NULL;
    ds_trainer t = {0};
    int rc = ds_trainconf_parse(&c, r->training, &keep, &targets, err);

    c.seq_len = r->seq_len + (c.method == DS_METHOD_PROMPT ? (uint32_t)c.prompt_tokens : 0);
    rc = rc ? rc : dataset_specs(p, &specs, err);
    rc = rc ? rc : dataset_settings(r, &masks, &weights, err);
    c.data = (const char *const *)specs;
    c.masks = masks;
    c.weights = weights;
    c.ndata = r->ndatasets;
    c.scratch = true;
    const uint64_t was = ds_where_of(&p->lineage).rows;
    const uint64_t at_once = was ? was : c.slices ? r->rows / c.slices : 0;
    if (at_once && r->rows % at_once == 0) {
        c.batch = at_once;
        c.accumulate = r->rows / at_once;
    }
    rc = rc ? rc : ds_trainer_open(&t, &c, err);
    if (!rc) {
        rc = ds_trainer_same_device(&t, &p->lineage, err);
        rc = rc ? rc : compare_description(p, &t, err);
        rc = rc ? rc : run_again(p, &t, err);
        if (!rc)
            explain(p->out, &t);
        ds_trainer_close(&t);
    }
    for (size_t i = 0; specs && i < r->ndatasets; i++)
        free(specs[i]);
    free(specs);
    free(masks);
    free(weights);
    free(targets);
    json_decref(keep);
    return rc;
}

int ds_replay(ds_replay_result *out, const ds_replay_conf *c, ds_step_fn fn, void *ctx, ds_err *err)
{
    ds_replay_conf own = *c;
    replay p = {.c = &own, .out = out, .fn = fn, .ctx = ctx};
    char *base = NULL;
    ds_sha run;
    int rc = ds_lineage_read(&p.lineage, c->checkpoint, err);

    rc = rc ? ds_checkpoint_meant(c->checkpoint, err) : 0;
    memset(out, 0, sizeof *out);
    rc = rc || c->model ? rc : ds_runbase_find(&base, c->checkpoint, err);
    own.model = c->model ? c->model : base;
    rc = rc ? rc : ds_runbase_folder(p.was_dir, c->checkpoint, err);
    p.from = rc ? 0 : ds_checkpoint_last(p.was_dir, c->from);
    out->first = p.from + 1;
    rc = rc ? rc : ds_path_join(p.run_dir, c->scratch, "run", err);
    rc = rc ? rc : ds_run_digest(&run, &p.lineage.run, err);
    rc = rc ? rc : ds_ledger_first(&p.head, &run, err);
    rc = rc ? rc : read_ledger(&p, err);
    if (!rc && c->from >= p.lineage.step)
        rc = ds_fail(err, DS_USAGE, "--from %" PRIu64 ": the checkpoint is of step %" PRIu64,
                     c->from, p.lineage.step);
    rc = rc ? rc : replay_run(&p, err);
    ds_lineage_fini(&p.lineage);
    ds_buf_fini(&p.steps);
    free(base);
    return rc;
}
