/* trainconf.c - see trainconf.h. */
#include "trainconf.h"

#include <stdlib.h>
#include <string.h>

static const char *const METHODS[] = {"lora", "full", "prompt", "auto"};
static const char *const INITS[] = {"vocab", "random", "text"};
static const char *const SCHEDULES[] = {"constant", "linear", "cosine", "wsd"};
static const char *const OPTIMS[] = {"adamw", "adamw8bit"};
static const char *const ROUNDINGS[] = {"nearest", "stochastic"};
const char *const DS_FORMAT_NAMES[DS_FORMATS + 1] = {"f32", "bf16", "f16", NULL};

const char *ds_method_name(enum ds_method m)
{
    return METHODS[m];
}

static json_t *list(const char *const *v)
{
    json_t *a = json_array();

    for (size_t i = 0; v && v[i]; i++)
        json_array_append_new(a, json_string(v[i]));
    return a;
}

static json_t *numbers(const uint32_t *v, size_t n)
{
    json_t *a = json_array();

    for (size_t i = 0; i < n; i++)
        json_array_append_new(a, json_integer(v[i]));
    return a;
}

static void dump_lora(json_t *m, const ds_lora_conf *c)
{
    json_object_set_new(m, "r", json_integer(c->r));
    json_object_set_new(m, "alpha", json_real(c->alpha));
    json_object_set_new(m, "dropout", json_real(c->dropout));
    json_object_set_new(m, "rslora", json_boolean(c->rslora));
    if (c->dora)
        json_object_set_new(m, "dora", json_true());
    json_object_set_new(m, "lr_ratio", json_real(c->lr_ratio));
    json_object_set_new(m, "targets", list(c->targets));
    if (c->nrows) {
        json_object_set_new(m, "tokens", list(c->tokens));
        json_object_set_new(m, "ids", numbers(c->rows, c->nrows));
    }
}

int ds_trainconf_dump(ds_buf *out, const ds_trainconf *c, ds_err *err)
{
    json_t *o = json_object(), *m = json_object(), *p = json_object();
    const ds_optim_conf *q = &c->optim;
    int rc;

    json_object_set_new(o, "method", json_string(METHODS[c->method]));
    if (c->method == DS_METHOD_LORA) {
        dump_lora(m, &c->lora);
    } else if (c->method == DS_METHOD_PROMPT) {
        json_object_set_new(m, "tokens", json_integer(c->prompt_tokens));
        json_object_set_new(m, "init", json_string(INITS[c->prompt_init]));
        if (c->prompt_init == DS_PROMPT_TEXT) {
            json_object_set_new(m, "text", json_string(c->prompt_text));
            json_object_set_new(m, "ids", numbers(c->prompt_ids, c->prompt_nids));
        }
    } else {
        json_object_set_new(m, "only", list(c->only));
    }
    json_object_set_new(o, "settings", m);
    if (ds_pref_describe(o, &c->preference, err)) {
        json_decref(p);
        json_decref(o);
        return DS_NOMEM;
    }
    json_object_set_new(p, "name", json_string(ds_optim_name(q->kind)));
    json_object_set_new(p, "lr", json_real(q->lr));
    json_object_set_new(p, "min_lr", json_real(q->min_lr));
    json_object_set_new(p, "schedule", json_string(SCHEDULES[q->schedule]));
    json_object_set_new(p, "warmup", json_integer((json_int_t)q->warmup));
    if (q->decay_steps)
        json_object_set_new(p, "decay_steps", json_integer((json_int_t)q->decay_steps));
    json_object_set_new(p, "beta1", json_real(q->beta1));
    json_object_set_new(p, "beta2", json_real(q->beta2));
    json_object_set_new(p, "eps", json_real(q->eps));
    json_object_set_new(p, "decay", json_real(q->decay));
    json_object_set_new(p, "clip", json_real(q->clip));
    if (c->method == DS_METHOD_FULL && q->stochastic)
        json_object_set_new(p, "rounding", json_string(ROUNDINGS[1]));
    json_object_set_new(o, "optimizer", p);
    json_object_set_new(o, "format", json_string(DS_FORMAT_NAMES[c->format]));
    if (c->spike.policy == DS_SPIKE_SKIP) { /* the other policies change no weight */
        json_t *k = json_object();
        json_object_set_new(k, "window", json_integer(c->spike.window));
        json_object_set_new(k, "factor", json_real(c->spike.factor));
        json_object_set_new(o, "skip_spikes", k);
    }
    if (c->scaling.first)
        json_object_set_new(o, "loss_scale",
                            json_pack("{s:I, s:I}", "first", (json_int_t)c->scaling.first, "window",
                                      (json_int_t)c->scaling.window));
    if (c->slices > 1)
        json_object_set_new(o, "slices", json_integer(c->slices));
    if (c->early_stop)
        json_object_set_new(o, "early_stop", json_deep_copy(c->early_stop));
    rc = ds_json_dump(out, o, err);
    json_decref(o);
    return rc;
}

static int choice(int *out, const json_t *v, const char *const *names, int n, const char *what,
                  ds_err *err)
{
    const char *s = json_string_value(v);

    for (int i = 0; s && i < n; i++)
        if (!strcmp(s, names[i])) {
            *out = i;
            return 0;
        }
    return ds_fail(err, DS_CORRUPT, "run description: %s of '%s'", what, s ? s : "(none)");
}

/* The strings of a, ended by NULL, and behind it those of b (may be NULL), too. */
static int strings(const char ***out, const json_t *a, const json_t *b, ds_err *err)
{
    const size_t n = json_array_size(a), all = n + 1 + json_array_size(b);
    const char **v = calloc(all + 1, sizeof *v);

    if (!v)
        return ds_fail_nomem(err);
    for (size_t i = 0; i < all; i++) {
        if (i == n)
            continue;
        v[i] = json_string_value(i < n ? json_array_get(a, i) : json_array_get(b, i - n - 1));
        if (!v[i]) {
            free(v);
            return ds_fail(err, DS_CORRUPT, "run description: a pattern or token is no string");
        }
    }
    *out = v;
    return 0;
}

/* What the method has for itself. */
static int parse_settings(ds_trainconf *c, const json_t *m, const char ***targets, ds_err *err)
{
    int rc = 0, init = 0;

    if (c->method == DS_METHOD_LORA) {
        c->lora = (ds_lora_conf){.r = (int32_t)json_integer_value(json_object_get(m, "r")),
                                 .alpha = json_number_value(json_object_get(m, "alpha")),
                                 .dropout = json_number_value(json_object_get(m, "dropout")),
                                 .rslora = json_is_true(json_object_get(m, "rslora")),
                                 .dora = json_is_true(json_object_get(m, "dora")),
                                 .lr_ratio = json_number_value(json_object_get(m, "lr_ratio"))};
        const json_t *names = json_object_get(m, "targets"), *tokens = json_object_get(m, "tokens");
        rc = strings(targets, names, tokens, err);
        c->lora.targets = *targets;
        if (!rc && tokens)
            c->lora.tokens = *targets + json_array_size(names) + 1;
    } else if (c->method == DS_METHOD_PROMPT) {
        c->prompt_tokens = (int32_t)json_integer_value(json_object_get(m, "tokens"));
        rc = choice(&init, json_object_get(m, "init"), INITS, 3, "beginning of a prompt", err);
        c->prompt_init = (enum ds_prompt_init)init;
        c->prompt_text = json_string_value(json_object_get(m, "text"));
        if (!rc && c->prompt_init == DS_PROMPT_TEXT && !c->prompt_text)
            rc = ds_fail(err, DS_CORRUPT, "run description: a prompt begins as no text");
    } else {
        rc = strings(targets, json_object_get(m, "only"), NULL, err);
        c->only = *targets;
    }
    return rc;
}

static int parse_optimizer(ds_optim_conf *q, const json_t *p, ds_err *err)
{
    const json_t *rounding = json_object_get(p, "rounding");
    int kind = 0, schedule = 0, way = 0;

    if (rounding && choice(&way, rounding, ROUNDINGS, 2, "rounding", err))
        return DS_CORRUPT;
    if (choice(&kind, json_object_get(p, "name"), OPTIMS, 2, "optimizer", err) ||
        choice(&schedule, json_object_get(p, "schedule"), SCHEDULES, 4, "schedule", err))
        return DS_CORRUPT;
    *q = (ds_optim_conf){.kind = (enum ds_optim_kind)kind,
                         .stochastic = way,
                         .lr = json_number_value(json_object_get(p, "lr")),
                         .min_lr = json_number_value(json_object_get(p, "min_lr")),
                         .schedule = (enum ds_schedule)schedule,
                         .warmup = (uint64_t)json_integer_value(json_object_get(p, "warmup")),
                         .steps = q->steps,
                         .decay_steps =
                             (uint64_t)json_integer_value(json_object_get(p, "decay_steps")),
                         .beta1 = json_number_value(json_object_get(p, "beta1")),
                         .beta2 = json_number_value(json_object_get(p, "beta2")),
                         .eps = json_number_value(json_object_get(p, "eps")),
                         .decay = json_number_value(json_object_get(p, "decay")),
                         .clip = json_number_value(json_object_get(p, "clip"))};
    return 0;
}

int ds_trainconf_parse(ds_trainconf *c, const char *training, json_t **keep, const char ***targets,
                       ds_err *err)
{
    int method = 0, format = 0;
    json_t *o = NULL;
    int rc = ds_json_parse(&o, training, strlen(training), "run description", err);
    const json_int_t slices = json_integer_value(json_object_get(o, "slices"));

    *keep = o;
    *targets = NULL;
    c->optim.steps = c->steps;
    rc = rc ? rc : choice(&method, json_object_get(o, "method"), METHODS, 3, "method", err);
    rc = rc ? rc
            : choice(&format, json_object_get(o, "format"), DS_FORMAT_NAMES, DS_FORMATS,
                     "number format", err);
    rc = rc ? rc : parse_optimizer(&c->optim, json_object_get(o, "optimizer"), err);
    if (!rc && (slices < 0 || slices > DS_SLICES_MAX))
        rc = ds_fail(err, DS_CORRUPT, "run description: %lld slices", (long long)slices);
    rc = rc ? rc : ds_spike_described(&c->spike, o, err);
    rc = rc ? rc : ds_lossscale_described(&c->scaling, o, err);
    rc = rc ? rc : ds_pref_described(&c->preference, o, err);
    if (rc)
        return rc;
    c->method = (enum ds_method)method;
    c->format = (enum ds_kfmt)format;
    c->early_stop = json_object_get(o, "early_stop");
    c->slices = slices ? (uint32_t)slices : 1;
    return parse_settings(c, json_object_get(o, "settings"), targets, err);
}
