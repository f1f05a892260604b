/* checkpoint.c - see checkpoint.h. PEFT's files: adapter_config.json and adapter_model.safetensors,
 * whose names are ours behind "base_model.model." (LoRA) or the one tensor prompt_embeddings. */
#include "checkpoint.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "abandon.h"
#include "filesum.h"
#include "io.h"
#include "net_priv.h"
#include "retain.h"
#include "rmtree.h"

#define PEFT_PREFIX "base_model.model."
#define PATH 4096

void ds_checkpoint_name(char out[32], uint64_t step)
{
    snprintf(out, 32, "step-%06" PRIu64, step);
}

bool ds_checkpoint_parse_name(const char *name, uint64_t *step)
{
    char same[32];
    int used = 0;

    if (sscanf(name, "step-%19" SCNu64 "%n", step, &used) != 1 || name[used])
        return false;
    ds_checkpoint_name(same, *step);
    return strcmp(same, name) == 0;
}

static int join(char out[PATH], const char *dir, const char *name, ds_err *err)
{
    return snprintf(out, PATH, "%s/%s", dir, name) >= PATH
               ? ds_fail(err, DS_FAIL, "%s/%s: path too long", dir, name)
               : 0;
}

static bool is_adapter(const ds_param *p)
{
    return strstr(p->name, ".lora_") != NULL;
}

static bool is_prompt(const ds_param *p)
{
    return !strcmp(p->name, "prompt_embeddings");
}

int ds_tokenizer_copy(const char *model, const char *dir, ds_err *err)
{
    char from[PATH], to[PATH];

    TRY(join(from, model, "tokenizer.json", err));
    TRY(join(to, dir, "tokenizer.json", err));
    return ds_path_exists(from) ? ds_copy_file(from, to, 0644, err) : 0;
}

/* ---- writing ---- */

static int write_json(const char *dir, const char *name, json_t *o, ds_err *err)
{
    char path[PATH];
    char *text = json_dumps(o, JSON_INDENT(2));
    ds_buf b = {0};
    int rc = join(path, dir, name, err);

    if (!rc && (!text || ds_buf_puts(&b, text) || ds_buf_putc(&b, '\n')))
        rc = ds_fail_nomem(err);
    rc = rc ? rc : ds_atomic_write(path, 0644, b.data, b.len, err);
    ds_buf_fini(&b);
    free(text);
    return rc;
}

static const char *last_part(const char *path)
{
    const char *s = strrchr(path, '/');
    return s && s[1] ? s + 1 : path;
}

/* PEFT knows modules by name, or by where their names end, and no patterns in a list: where there
 * are some, every module that has an adapter is named. */
static json_t *lora_targets(const ds_net *net, const char *const *targets)
{
    static const char mark[] = ".lora_A.weight";
    json_t *list = json_array();
    bool pattern = false;

    for (size_t i = 0; targets[i]; i++) {
        pattern = pattern || strpbrk(targets[i], "*?[");
        json_array_append_new(list, json_string(targets[i]));
    }
    if (!pattern)
        return list;
    json_array_clear(list);
    for (size_t i = 0; i < net->params.n; i++) {
        const char *name = net->params.p[i]->name, *end = strstr(name, mark);
        if (end)
            json_array_append_new(list, json_stringn(name, (size_t)(end - name)));
    }
    return list;
}

static int write_lora_config(const char *dir, const ds_net *net, const ds_trainconf *c,
                             const char *model, ds_err *err)
{
    json_t *o = json_object(), *targets = lora_targets(net, c->lora.targets);
    int rc;

    json_object_set_new(o, "peft_type", json_string("LORA"));
    json_object_set_new(o, "task_type", json_string("CAUSAL_LM"));
    json_object_set_new(o, "base_model_name_or_path", json_string(model));
    json_object_set_new(o, "r", json_integer(c->lora.r));
    json_object_set_new(o, "lora_alpha", json_real(c->lora.alpha));
    json_object_set_new(o, "lora_dropout", json_real(c->lora.dropout));
    json_object_set_new(o, "target_modules", targets);
    json_object_set_new(o, "bias", json_string("none"));
    json_object_set_new(o, "fan_in_fan_out", json_false());
    json_object_set_new(o, "use_rslora", json_boolean(c->lora.rslora));
    if (c->lora.dora)
        json_object_set_new(o, "use_dora", json_true());
    json_object_set_new(o, "init_lora_weights", json_true());
    json_object_set_new(o, "modules_to_save", json_null());
    json_object_set_new(o, "inference_mode", json_true());
    rc = write_json(dir, "adapter_config.json", o, err);
    json_decref(o);
    return rc;
}

static int write_prompt_config(const char *dir, const ds_trainconf *c, const ds_modelconf *m,
                               const char *model, ds_err *err)
{
    json_t *o = json_object();
    int rc;

    json_object_set_new(o, "peft_type", json_string("PROMPT_TUNING"));
    json_object_set_new(o, "task_type", json_string("CAUSAL_LM"));
    json_object_set_new(o, "base_model_name_or_path", json_string(model));
    json_object_set_new(o, "num_virtual_tokens", json_integer(c->prompt_tokens));
    json_object_set_new(o, "token_dim", json_integer(m->hidden));
    json_object_set_new(o, "num_transformer_submodules", json_integer(1));
    json_object_set_new(o, "num_layers", json_integer(m->layers));
    json_object_set_new(o, "num_attention_heads", json_integer(m->heads));
    json_object_set_new(o, "inference_mode", json_true());
    rc = write_json(dir, "adapter_config.json", o, err);
    json_decref(o);
    return rc;
}

static int write_weights(const char *dir, ds_net *net, const ds_trainconf *c, const char *model,
                         ds_err *err)
{
    char path[PATH];

    if (c->method == DS_METHOD_FULL)
        return ds_net_save(net, dir, err);
    TRY(join(path, dir, "adapter_model.safetensors", err));
    if (c->method == DS_METHOD_LORA) {
        TRY(ds_params_write(&net->params, path, is_adapter, PEFT_PREFIX, NULL, err));
        return write_lora_config(dir, net, c, model, err);
    }
    TRY(ds_params_write(&net->params, path, is_prompt, NULL, NULL, err));
    return write_prompt_config(dir, c, &net->c, model, err);
}

static json_t *watch_json(const ds_watch *w)
{
    json_t *o = json_object();

    json_object_set_new(o, "evaluated", json_integer((json_int_t)w->evaluated));
    json_object_set_new(o, "best_step", json_integer((json_int_t)w->best_step));
    json_object_set_new(o, "waited", json_integer((json_int_t)w->waited));
    json_object_set_new(o, "best", json_real(w->best));
    json_object_set_new(o, "mark", json_real(w->mark));
    return o;
}

/* What an early stop depends on is part of a checkpoint only where a run may stop early: looking on
 * changes none. */
static int write_state(const char *dir, const ds_trainconf *c, const ds_ckpt_state *s, ds_err *err)
{
    json_t *o = json_object();
    char head[65];
    int rc;

    ds_sha_hex(head, &s->head);
    json_object_set_new(o, "step", json_integer((json_int_t)s->step));
    json_object_set_new(o, "rows", json_integer((json_int_t)s->rows));
    json_object_set_new(o, "head", json_string(head));
    json_object_set_new(o, "loss", json_real(s->loss));
    if (c->patience)
        json_object_set_new(o, "early_stop", watch_json(&s->watch));
    rc = write_json(dir, "state.json", o, err);
    json_decref(o);
    return rc;
}

/* Links the segments of one folder into another; those that are there already stay. */
static int link_segments(const char *from, const char *to, ds_err *err)
{
    char a[PATH], b[PATH] = "";
    struct dirent *e;
    int rc = ds_mkdirs(to, err);
    DIR *d = rc ? NULL : opendir(from);

    if (!rc && !d)
        return ds_fail_errno(err, errno, "%s", from);
    while (!rc && (e = readdir(d))) {
        uint64_t first, last;
        if (!ds_ledger_parse_name(e->d_name, &first, &last))
            continue;
        rc = join(a, from, e->d_name, err);
        rc = rc ? rc : join(b, to, e->d_name, err);
        if (!rc && link(a, b) && errno != EEXIST)
            rc = ds_copy_file(a, b, 0644, err);
    }
    if (d)
        closedir(d);
    return rc || !b[0] ? rc : ds_fsync_parent(b, err);
}

/* abandoned/: a folder of segments for each stretch. */
static int link_stretches(const char *from, const char *to, ds_err *err)
{
    char a[PATH], b[PATH];
    struct dirent *e;
    DIR *d = opendir(from);
    int rc = 0;

    while (!rc && d && (e = readdir(d))) {
        uint64_t number, step;
        if (!ds_stretch_parse_name(e->d_name, &number, &step))
            continue;
        rc = join(a, from, e->d_name, err);
        rc = rc ? rc : join(b, to, e->d_name, err);
        rc = rc ? rc : link_segments(a, b, err);
        rc = rc ? rc : ds_fsync_parent(b, err);
    }
    if (d)
        closedir(d);
    return rc;
}

/* RUN/ledger holds the segments while the run goes on, RUN/abandoned what it went back from; a
 * checkpoint has them all. */
static int link_ledger(const char *run_dir, const char *dir, ds_err *err)
{
    char from[PATH], to[PATH];

    TRY(join(from, run_dir, "ledger", err));
    TRY(join(to, dir, "ledger", err));
    TRY(link_segments(from, to, err));
    TRY(ds_fsync_parent(to, err));
    TRY(join(from, run_dir, "abandoned", err));
    TRY(join(to, dir, "abandoned", err));
    return link_stretches(from, to, err);
}

static int write_lineage(const char *dir, ds_lineage *l, const ds_ckpt_state *s, ds_err *err)
{
    char name[32], path[PATH];
    ds_buf b = {0};
    int rc;

    ds_checkpoint_name(name, s->step);
    free(l->name);
    l->name = strdup(name);
    if (!l->name)
        return ds_fail_nomem(err);
    l->step = s->step;
    l->rows = s->rows;
    l->head = s->head;
    rc = ds_filesum_dir(&l->files, dir, "lineage.json", err);
    rc = rc ? rc : ds_lineage_dump(&b, l, err);
    rc = rc ? rc : join(path, dir, "lineage.json", err);
    rc = rc ? rc : ds_atomic_write(path, 0644, b.data, b.len, err);
    ds_buf_fini(&b);
    return rc;
}

int ds_checkpoint_write(const char *run_dir, ds_net *net, const ds_trainconf *c,
                        const ds_ckpt_state *s, ds_lineage *lineage, ds_err *err)
{
    char name[32], tmp[PATH], final[PATH], to[PATH];
    int rc;

    ds_checkpoint_name(name, s->step);
    if (snprintf(tmp, sizeof tmp, "%s/.%s.tmp", run_dir, name) >= PATH ||
        snprintf(final, sizeof final, "%s/%s", run_dir, name) >= PATH)
        return ds_fail(err, DS_FAIL, "%s: path too long", run_dir);
    ds_remove_tree(tmp);
    rc = ds_mkdirs(tmp, err);
    rc = rc ? rc : write_weights(tmp, net, c, last_part(c->model), err);
    rc = rc ? rc : join(to, tmp, "optimizer.safetensors", err);
    rc = rc ? rc : ds_optim_write(&net->params, to, err);
    rc = rc ? rc : write_state(tmp, c, s, err);
    rc = rc ? rc : link_ledger(run_dir, tmp, err);
    rc = rc ? rc : ds_tokenizer_copy(c->model, tmp, err);
    rc = rc ? rc : write_lineage(tmp, lineage, s, err);
    if (!rc && ds_io_active->rename(tmp, final))
        rc = ds_fail_errno(err, errno, "%s", final);
    rc = rc ? rc : ds_fsync_parent(final, err);
    if (rc)
        ds_remove_tree(tmp);
    return rc;
}

/* A new run: segments that another one left there before its first checkpoint are no part of it. */
static int drop_segments(const char *run_dir, ds_err *err)
{
    char ledger[PATH], path[PATH];
    uint64_t first, last;
    struct dirent *e;
    int rc = join(ledger, run_dir, "ledger", err);
    DIR *d = rc ? NULL : opendir(ledger);

    while (!rc && d && (e = readdir(d)))
        if (ds_ledger_parse_name(e->d_name, &first, &last)) {
            rc = join(path, ledger, e->d_name, err);
            if (!rc && unlink(path))
                rc = ds_fail_errno(err, errno, "%s", path);
        }
    if (d)
        closedir(d);
    return rc;
}

/* The last step that the folder has a checkpoint of; 0: none. */
static uint64_t newest(const char *run_dir)
{
    struct dirent *e;
    uint64_t at, last = 0;
    DIR *d = opendir(run_dir);

    while (d && (e = readdir(d)))
        if (ds_checkpoint_parse_name(e->d_name, &at) && at > last)
            last = at;
    if (d)
        closedir(d);
    return last;
}

int ds_checkpoint_begin(const char *run_dir, const char *resume, uint64_t step, bool abandon,
                        ds_err *err)
{
    char name[32];

    ds_retain_sweep(run_dir);
    const uint64_t last = newest(run_dir);
    ds_checkpoint_name(name, last);
    if (last > step && !(resume && abandon))
        return ds_fail(err, DS_FAIL, "%s holds %s already: another -o, or --resume %s/%s%s",
                       run_dir, name, run_dir, name,
                       resume ? " (--abandon sets aside what is later)" : "");
    if (!resume)
        return drop_segments(run_dir, err);
    TRY(ds_abandon(run_dir, step, err));
    return link_ledger(resume, run_dir, err);
}

/* ---- reading ---- */

static int read_json(json_t **o, const char *dir, const char *name, ds_err *err)
{
    char path[PATH];
    ds_buf b = {0};
    int rc = join(path, dir, name, err);

    rc = rc ? rc : ds_read_file(&b, path, 1u << 24, err);
    rc = rc ? rc : ds_json_parse(o, b.data, b.len, path, err);
    ds_buf_fini(&b);
    return rc;
}

/* Loads the parameters that `want` chooses from an adapter file. */
static int read_adapter(ds_net *net, const char *dir, bool (*want)(const ds_param *),
                        const char *prefix, ds_err *err)
{
    char path[PATH], name[512];
    ds_st_file f = {0};
    int rc = join(path, dir, "adapter_model.safetensors", err);

    rc = rc ? rc : ds_st_open(&f, path, err);
    for (size_t i = 0; !rc && i < net->params.n; i++) {
        ds_param *p = net->params.p[i];
        if (!want(p))
            continue;
        snprintf(name, sizeof name, "%s%s", prefix, p->name);
        const ds_st_tensor *t = ds_st_find(&f, name);
        rc = t ? ds_param_load(&net->params, p, t, path, err)
               : ds_fail(err, DS_CORRUPT, "%s: tensor '%s' is missing", path, name);
    }
    for (size_t i = 0; !rc && i < f.n; i++) {
        const bool ours = !strncmp(f.t[i].name, prefix, strlen(prefix));
        const ds_param *p =
            ours ? ds_params_find(&net->params, f.t[i].name + strlen(prefix)) : NULL;
        if (!p || !want(p))
            rc = ds_fail(err, DS_FAIL, "%s: tensor '%s' has no place in the adapter", path,
                         f.t[i].name);
    }
    ds_st_close(&f);
    return rc;
}

/* What changes an adapter's arithmetic and is not done here. */
static int refuse_options(const json_t *o, const char *dir, ds_err *err)
{
    static const char *const empty[] = {"rank_pattern", "alpha_pattern", "modules_to_save",
                                        "layer_replication", "target_parameters"};

    for (size_t i = 0; i < sizeof empty / sizeof *empty; i++) {
        const json_t *v = json_object_get(o, empty[i]);
        if (json_object_size(v) || json_array_size(v))
            return ds_fail(err, DS_FAIL, "%s/adapter_config.json: %s is not supported", dir,
                           empty[i]);
    }
    if (json_is_true(json_object_get(o, "fan_in_fan_out")))
        return ds_fail(err, DS_FAIL, "%s/adapter_config.json: fan_in_fan_out is not supported",
                       dir);
    return 0;
}

static int load_lora(ds_net *net, const char *dir, const json_t *o, ds_err *err)
{
    const json_t *targets = json_object_get(o, "target_modules");
    const size_t n = json_array_size(targets);
    const char **names = calloc(n + 2, sizeof *names);
    ds_lora_conf c = {.r = (int32_t)json_integer_value(json_object_get(o, "r")),
                      .alpha = json_number_value(json_object_get(o, "lora_alpha")),
                      .rslora = json_is_true(json_object_get(o, "use_rslora")),
                      .dora = json_is_true(json_object_get(o, "use_dora")),
                      .targets = names};
    int rc = names ? 0 : ds_fail_nomem(err);

    for (size_t i = 0; !rc && i < n; i++)
        names[i] = json_string_value(json_array_get(targets, i));
    if (!rc && json_is_string(targets))
        names[0] = json_string_value(targets);
    rc = rc ? rc : refuse_options(o, dir, err);
    rc = rc ? rc : ds_net_add_lora(net, &c, 0, err);
    free(names);
    return rc ? rc : read_adapter(net, dir, is_adapter, PEFT_PREFIX, err);
}

int ds_adapter_load(ds_net *net, const char *dir, ds_err *err)
{
    json_t *o = NULL;
    int rc = read_json(&o, dir, "adapter_config.json", err);
    const char *type = json_string_value(json_object_get(o, "peft_type"));

    if (!rc && type && !strcmp(type, "LORA"))
        rc = load_lora(net, dir, o, err);
    else if (!rc && type && !strcmp(type, "PROMPT_TUNING")) {
        rc = ds_net_add_prompt(
            net, (int32_t)json_integer_value(json_object_get(o, "num_virtual_tokens")), err);
        rc = rc ? rc : read_adapter(net, dir, is_prompt, "", err);
    } else if (!rc)
        rc = ds_fail(err, DS_FAIL, "%s: an adapter of type '%s' is not supported", dir,
                     type ? type : "(none)");
    json_decref(o);
    return rc;
}

static ds_watch watch_of(const json_t *o)
{
    return (ds_watch){.evaluated = (uint64_t)json_integer_value(json_object_get(o, "evaluated")),
                      .best_step = (uint64_t)json_integer_value(json_object_get(o, "best_step")),
                      .waited = (uint64_t)json_integer_value(json_object_get(o, "waited")),
                      .best = json_number_value(json_object_get(o, "best")),
                      .mark = json_number_value(json_object_get(o, "mark"))};
}

static int read_state(const char *dir, ds_ckpt_state *s, ds_err *err)
{
    json_t *o = NULL;
    int rc = read_json(&o, dir, "state.json", err);
    const char *head = json_string_value(json_object_get(o, "head"));

    if (!rc) {
        s->step = (uint64_t)json_integer_value(json_object_get(o, "step"));
        s->rows = (uint64_t)json_integer_value(json_object_get(o, "rows"));
        s->loss = json_number_value(json_object_get(o, "loss"));
        s->watch = watch_of(json_object_get(o, "early_stop"));
        if (!head || !ds_sha_parse(&s->head, head, strlen(head)))
            rc = ds_fail(err, DS_CORRUPT, "%s/state.json: no ledger head", dir);
    }
    json_decref(o);
    return rc;
}

int ds_checkpoint_read(const char *dir, ds_net *net, const ds_trainconf *c, bool moments,
                       ds_ckpt_state *s, ds_err *err)
{
    char path[PATH];

    TRY(read_state(dir, s, err));
    if (c->method == DS_METHOD_FULL)
        TRY(ds_net_load(net, dir, err));
    else
        TRY(read_adapter(net, dir, c->method == DS_METHOD_LORA ? is_adapter : is_prompt,
                         c->method == DS_METHOD_LORA ? PEFT_PREFIX : "", err));
    if (!moments)
        return 0;
    TRY(join(path, dir, "optimizer.safetensors", err));
    return ds_optim_read(&net->params, path, err);
}
