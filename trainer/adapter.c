/* adapter.c - see adapter.h. */
#include "adapter.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "adapterpattern.h"
#include "io.h"
#include "jsonfile.h"
#include "net_priv.h"

#define PREFIX "base_model.model."
#define WEIGHTS "adapter_model.safetensors"
#define CONFIG "adapter_config.json"
#define A_MARK ".lora_A.weight"
#define PROMPT "prompt_embeddings"

static bool is_adapter(const ds_param *p)
{
    return strstr(p->name, ".lora_") || ds_is_token_rows(p);
}

static bool is_prompt(const ds_param *p)
{
    return !strcmp(p->name, PROMPT);
}

/* ---- writing ---- */

/* PEFT knows modules by name, or by where their names end, and no patterns in a list: where there
 * are some, every module that has an adapter is named. */
static json_t *lora_targets(const ds_net *net, const char *const *targets)
{
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
        const char *name = net->params.p[i]->name, *end = strstr(name, A_MARK);
        if (end)
            json_array_append_new(list, json_stringn(name, (size_t)(end - name)));
    }
    return list;
}

/* As PEFT has it: of a head that is the embedding a list, else of both. */
static json_t *token_rows_json(const ds_net *net)
{
    json_t *list = json_array();

    for (int64_t i = 0; i < net->rows.in->rows; i++)
        json_array_append_new(list, json_integer(net->rows.ids[i]));
    return !net->rows.out ? list : json_pack("{s:O, s:o}", "embed_tokens", list, "lm_head", list);
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
    if (net->rows.in)
        json_object_set_new(o, "trainable_token_indices", token_rows_json(net));
    json_object_set_new(o, "inference_mode", json_true());
    rc = ds_jsonfile_write(dir, CONFIG, o, err);
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
    rc = ds_jsonfile_write(dir, CONFIG, o, err);
    json_decref(o);
    return rc;
}

int ds_adapter_write(ds_net *net, const char *dir, const ds_trainconf *c, const char *model,
                     ds_err *err)
{
    char path[DS_PATH];

    TRY(ds_path_join(path, dir, WEIGHTS, err));
    if (c->method == DS_METHOD_LORA) {
        TRY(ds_params_write(&net->params, path, is_adapter, PREFIX, NULL, err));
        return write_lora_config(dir, net, c, model, err);
    }
    TRY(ds_params_write(&net->params, path, is_prompt, NULL, NULL, err));
    return write_prompt_config(dir, c, &net->c, model, err);
}

/* ---- reading ---- */

int ds_adapter_read(ds_net *net, const char *dir, bool lora, ds_err *err)
{
    bool (*const want)(const ds_param *) = lora ? is_adapter : is_prompt;
    const char *prefix = lora ? PREFIX : "";
    char path[DS_PATH], name[512];
    ds_st_file f = {0};
    int rc = ds_path_join(path, dir, WEIGHTS, err);

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

/* What changes an adapter's arithmetic, or the weights below it, and is not done here. */
static int refuse_options(const json_t *o, const char *dir, ds_err *err)
{
    static const char *const unset[] = {
        "modules_to_save",         "layer_replication", "target_parameters", "fan_in_fan_out",
        "alora_invocation_tokens", "lora_bias",         "use_qalora",        "arrow_config",
        "velora_config",           "monteclora_config", "use_bdlora"};
    static const char *const begun[] = {"gaussian", "eva", "orthogonal"};
    const char *init = json_string_value(json_object_get(o, "init_lora_weights"));
    bool known = !init;

    for (size_t i = 0; i < sizeof unset / sizeof *unset; i++) {
        const json_t *v = json_object_get(o, unset[i]);
        if (json_object_size(v) || json_array_size(v) || json_is_true(v))
            return ds_fail(err, DS_FAIL, "%s/" CONFIG ": %s is not supported", dir, unset[i]);
    }
    for (size_t i = 0; i < sizeof begun / sizeof *begun; i++)
        known = known || !strcmp(init, begun[i]);
    return known ? 0
                 : ds_fail(err, DS_FAIL,
                           "%s/" CONFIG ": init_lora_weights '%s' is not supported: it changes the "
                           "base model",
                           dir, init);
}

/* The modules that PEFT's list names. */
static int listed(char **out, const json_t *list, ds_err *err)
{
    size_t n = 0;

    for (size_t i = 0; i < json_array_size(list); i++) {
        const char *name = json_string_value(json_array_get(list, i));
        if (name && !(out[n++] = strdup(name)))
            return ds_fail_nomem(err);
    }
    return 0;
}

/* The modules that tensors are for. */
static int present(char **out, const ds_st_file *f, ds_err *err)
{
    size_t n = 0;

    for (size_t i = 0; i < f->n; i++) {
        const char *name = f->t[i].name, *end = strstr(name, A_MARK);
        if (!end || strncmp(name, PREFIX, strlen(PREFIX)) || end < name + strlen(PREFIX))
            continue;
        name += strlen(PREFIX);
        if (!(out[n++] = strndup(name, (size_t)(end - name))))
            return ds_fail_nomem(err);
    }
    return 0;
}

static bool is_set(const json_t *o, const char *name)
{
    const json_t *v = json_object_get(o, name);

    return v && !json_is_null(v) && !(json_is_array(v) && !json_array_size(v));
}

/* Which modules have an adapter: the listed ones, all of them; where the list is a regular
 * expression or is cut down in another way, those that the file has tensors of. */
static int lora_modules(char ***out, const char *dir, const json_t *o, const ds_st_file *f,
                        ds_err *err)
{
    const json_t *list = json_object_get(o, "target_modules");
    int rc;

    *out = calloc(f->n + json_array_size(list) + 1, sizeof **out);
    if (!*out)
        return ds_fail_nomem(err);
    rc = json_is_array(list) && !is_set(o, "layers_to_transform") && !is_set(o, "exclude_modules")
             ? listed(*out, list, err)
             : present(*out, f, err);
    if (!rc && !**out)
        rc = ds_fail(err, DS_FAIL, "%s/" CONFIG ": target_modules names no module", dir);
    return rc;
}

static int whole(int32_t *out, const json_t *o, const char *name, const char *dir, ds_err *err)
{
    const json_int_t n = json_integer_value(json_object_get(o, name));

    *out = (int32_t)n;
    return n >= 1 && n <= INT32_MAX
               ? 0
               : ds_fail(err, DS_FAIL, "%s/" CONFIG ": %s of %lld", dir, name, (long long)n);
}

/* A number of the config that is the rows of all tensors whose names end so. They must have them
 * before memory is taken for what the config says. */
static int rows_of(int32_t *rows, const json_t *o, const char *name, const ds_st_file *f,
                   const char *end, ds_err *err)
{
    const json_int_t n = json_integer_value(json_object_get(o, name));
    size_t found = 0;

    for (size_t i = 0; i < f->n; i++) {
        const ds_st_tensor *t = &f->t[i];
        const size_t len = strlen(t->name), m = strlen(end);
        if (len < m || strcmp(t->name + len - m, end) != 0)
            continue;
        if (t->ndim != 2 || t->dims[0] != n || n < 1 || n > INT32_MAX)
            return ds_fail(err, DS_FAIL,
                           "%s: tensor '%s' does not have the %lld rows of " CONFIG "'s %s",
                           f->path, t->name, (long long)n, name);
        found++;
    }
    *rows = (int32_t)n;
    return found ? 0 : ds_fail(err, DS_FAIL, "%s: no tensor of its adapter (*%s)", f->path, end);
}

/* PEFT's list, or its lists of embedding and head, which are the same. */
static int token_rows_of(ds_lora_conf *c, uint32_t **ids, const json_t *o, const char *dir,
                         ds_err *err)
{
    const json_t *said = json_object_get(o, "trainable_token_indices"), *list = said;
    const json_t *head = json_object_get(said, "lm_head");

    if (json_is_object(said)) {
        list = json_object_get(said, "embed_tokens");
        if (!list || json_object_size(said) > (head ? 2 : 1) || (head && !json_equal(head, list)))
            return ds_fail(err, DS_FAIL,
                           "%s/" CONFIG ": trainable_token_indices are not the same tokens of "
                           "embed_tokens and lm_head, or of embed_tokens",
                           dir);
    }
    if (list && !json_is_array(list) && !json_is_null(list))
        return ds_fail(err, DS_FAIL, "%s/" CONFIG ": trainable_token_indices: no list", dir);
    c->rows_in_only = !head;
    c->rows_fixed = true;
    *ids = calloc(json_array_size(list) + 1, sizeof **ids);
    if (!*ids)
        return ds_fail_nomem(err);
    for (size_t i = 0; i < json_array_size(list); i++) {
        const json_t *id = json_array_get(list, i);
        const json_int_t v = json_integer_value(id);
        if (!json_is_integer(id) || v < 0 || v >= DS_VOCAB_MAX)
            return ds_fail(err, DS_FAIL, "%s/" CONFIG ": trainable_token_indices: no id", dir);
        (*ids)[i] = (uint32_t)v;
    }
    c->rows = *ids;
    c->nrows = json_array_size(list);
    return 0;
}

/* A config, and the tensors that it tells of. */
typedef struct configured {
    const json_t *o;
    const ds_st_file *f;
} configured;

/* A module's own rank, which its tensor must have before memory is taken for it; and its alpha. */
static int of_module(void *ctx, const char *module, int32_t *r, double *alpha, ds_err *err)
{
    const configured *c = ctx;
    const json_t *ranks = json_object_get(c->o, "rank_pattern"),
                 *alphas = json_object_get(c->o, "alpha_pattern");
    char name[512];
    double rank;

    snprintf(name, sizeof name, PREFIX "%s" A_MARK, module);
    const ds_st_tensor *t = ds_st_find(c->f, name);
    if (!t)
        return ds_fail(err, DS_CORRUPT, "%s: tensor '%s' is missing", c->f->path, name);
    TRY(ds_adapter_number(&rank, ranks, CONFIG "'s rank_pattern", module, *r, err));
    if (t->ndim != 2 || (double)t->dims[0] != rank || rank > INT32_MAX)
        return ds_fail(err, DS_FAIL,
                       "%s: tensor '%s' does not have the %.17g rows of " CONFIG "'s rank_pattern",
                       c->f->path, name, rank);
    *r = (int32_t)rank;
    return ds_adapter_number(alpha, alphas, CONFIG "'s alpha_pattern", module, *alpha, err);
}

static int load_lora(ds_net *net, const char *dir, const json_t *o, const ds_st_file *f,
                     ds_err *err)
{
    char **modules = NULL;
    uint32_t *ids = NULL;
    int32_t r = 0;
    int rc = refuse_options(o, dir, err);

    configured by = {o, f};
    const bool ranks = json_object_size(json_object_get(o, "rank_pattern")) > 0;
    const bool apart = ranks || json_object_size(json_object_get(o, "alpha_pattern")) > 0;
    if (ranks)
        rc = rc ? rc : whole(&r, o, "r", dir, err);
    else
        rc = rc ? rc : rows_of(&r, o, "r", f, A_MARK, err);
    rc = rc ? rc : lora_modules(&modules, dir, o, f, err);
    ds_lora_conf c = {.r = r,
                      .alpha = json_number_value(json_object_get(o, "lora_alpha")),
                      .rslora = json_is_true(json_object_get(o, "use_rslora")),
                      .dora = json_is_true(json_object_get(o, "use_dora")),
                      .targets = (const char *const *)modules,
                      .of_module = apart ? of_module : NULL,
                      .of_ctx = &by};
    rc = rc ? rc : token_rows_of(&c, &ids, o, dir, err);
    rc = rc ? rc : ds_net_add_lora(net, &c, 0, err);
    free(ids);
    for (size_t i = 0; modules && modules[i]; i++)
        free(modules[i]);
    free(modules);
    return rc ? rc : ds_adapter_read(net, dir, true, err);
}

static int load_prompt(ds_net *net, const char *dir, const json_t *o, const ds_st_file *f,
                       ds_err *err)
{
    int32_t n;

    TRY(rows_of(&n, o, "num_virtual_tokens", f, PROMPT, err));
    TRY(ds_net_add_prompt(net, n, err));
    return ds_adapter_read(net, dir, false, err);
}

int ds_adapter_load(ds_net *net, const char *dir, ds_err *err)
{
    json_t *o = NULL;
    char path[DS_PATH];
    ds_st_file f = {0};
    int rc = ds_jsonfile_read(&o, dir, CONFIG, err);
    const char *type = json_string_value(json_object_get(o, "peft_type"));
    const bool lora = type && !strcmp(type, "LORA"),
               prompt = type && !strcmp(type, "PROMPT_TUNING");

    if (!rc && !lora && !prompt)
        rc = ds_fail(err, DS_FAIL, "%s: an adapter of type '%s' is not supported", dir,
                     type ? type : "(none)");
    rc = rc ? rc : ds_path_join(path, dir, WEIGHTS, err);
    rc = rc ? rc : ds_st_open(&f, path, err);
    if (!rc)
        rc = (lora ? load_lora : load_prompt)(net, dir, o, &f, err);
    ds_st_close(&f);
    json_decref(o);
    return rc;
}
