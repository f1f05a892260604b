/* modelconf.c - see modelconf.h. */
#include "modelconf.h"

#include <float.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "io.h"
#include "json.h"
#include "try.h"

static const char *const ARCHS[] = {"llama", "qwen2", "deepseek_v2"};

static int parse_arch(enum ds_arch *a, const char *name, ds_err *err)
{
    for (int i = 0; i < 3; i++)
        if (name && !strcmp(ARCHS[i], name)) {
            *a = (enum ds_arch)i;
            return 0;
        }
    return ds_fail(err, DS_FAIL,
                   "architecture '%s' is not supported (llama, qwen2 and deepseek_v2 are)",
                   name ? name : "(none)");
}

const char *ds_arch_name(enum ds_arch a)
{
    return ARCHS[a];
}

/* ---- reading members; the first failure stands in r->err ---- */

typedef struct conf {
    const json_t *o;
    const char *what;
    ds_err *err;
    int rc;
} conf;

static int64_t whole(conf *r, const char *name, int64_t otherwise, int64_t min, int64_t max)
{
    const json_t *v = json_object_get(r->o, name);

    if (!v || json_is_null(v)) {
        if (otherwise < min && otherwise != -1 && !r->rc)
            r->rc = ds_fail(r->err, DS_FAIL, "%s: it lacks '%s'", r->what, name);
        return otherwise;
    }
    if (!json_is_integer(v) || json_integer_value(v) < min || json_integer_value(v) > max) {
        if (!r->rc)
            r->rc = ds_fail(r->err, DS_FAIL, "%s: '%s' is not a whole number from %lld to %lld",
                            r->what, name, (long long)min, (long long)max);
        return otherwise;
    }
    return json_integer_value(v);
}

static double real(conf *r, const json_t *o, const char *name, double otherwise)
{
    const json_t *v = json_object_get(o, name);

    if (!v || json_is_null(v))
        return otherwise;
    if (!json_is_number(v)) {
        if (!r->rc)
            r->rc = ds_fail(r->err, DS_FAIL, "%s: '%s' is not a number", r->what, name);
        return otherwise;
    }
    const double x = json_number_value(v);
    if (!(fabs(x) <= FLT_MAX)) {
        if (!r->rc)
            r->rc = ds_fail(r->err, DS_FAIL, "%s: '%s' of %g is no number of 32 bits", r->what,
                            name, x);
        return otherwise;
    }
    return x;
}

static bool flag(conf *r, const char *name, bool otherwise)
{
    const json_t *v = json_object_get(r->o, name);

    if (!v || json_is_null(v))
        return otherwise;
    if (!json_is_boolean(v) && !r->rc)
        r->rc = ds_fail(r->err, DS_FAIL, "%s: '%s' is not true or false", r->what, name);
    return json_is_true(v);
}

/* A member that must be absent, null or this string. */
static void only_string(conf *r, const char *name, const char *value)
{
    const json_t *v = json_object_get(r->o, name);

    if (v && !json_is_null(v) && (!json_is_string(v) || strcmp(json_string_value(v), value)) &&
        !r->rc)
        r->rc = ds_fail(r->err, DS_FAIL, "%s: '%s' of '%s' is not supported, only '%s'", r->what,
                        name, json_is_string(v) ? json_string_value(v) : "(not a string)", value);
}

static void only_false(conf *r, const char *name)
{
    if (flag(r, name, false) && !r->rc)
        r->rc = ds_fail(r->err, DS_FAIL, "%s: '%s' of true is not supported", r->what, name);
}

static void only_number(conf *r, const char *name, double value)
{
    if (real(r, r->o, name, value) != value && !r->rc)
        r->rc = ds_fail(r->err, DS_FAIL, "%s: '%s' of %g is not supported, only %g", r->what, name,
                        real(r, r->o, name, value), value);
}

static void read_rope(conf *r, ds_modelconf *c)
{
    const json_t *s = json_object_get(
        r->o, "rope_parameters"); /* transformers 5; rope_scaling and rope_theta before it */
    const bool newer = s && !json_is_null(s);
    s = newer ? s : json_object_get(r->o, "rope_scaling");
    const json_t *t = s ? json_object_get(s, "rope_type") : NULL;

    c->theta = real(r, newer ? s : r->o, "rope_theta", 10000.0);
    c->rope = DS_ROPE_PLAIN;
    if (newer && real(r, s, "partial_rotary_factor", 1.0) != 1.0 && !r->rc)
        r->rc = ds_fail(r->err, DS_FAIL, "%s: a partial_rotary_factor is not supported", r->what);
    if (!s || json_is_null(s))
        return;
    if (json_is_number(json_object_get(s, "attention_factor")) && !r->rc)
        r->rc = ds_fail(r->err, DS_FAIL, "%s: an attention_factor is not supported", r->what);
    if (json_is_false(json_object_get(s, "truncate")) && !r->rc)
        r->rc = ds_fail(r->err, DS_FAIL, "%s: 'truncate' of false is not supported", r->what);
    t = t ? t : json_object_get(s, "type");
    const char *type = json_string_value(t);
    c->rope_factor = real(r, s, "factor", 1.0);
    const double orig = real(r, s, "original_max_position_embeddings", c->max_pos);
    if (orig >= 1 && orig <= INT32_MAX && orig == floor(orig))
        c->rope_orig = (int32_t)orig;
    else if (!r->rc)
        r->rc =
            ds_fail(r->err, DS_FAIL, "%s: original_max_position_embeddings of %g", r->what, orig);
    if (type && !strcmp(type, "default")) {
        c->rope = DS_ROPE_PLAIN;
    } else if (type && !strcmp(type, "linear")) {
        c->rope = DS_ROPE_LINEAR;
    } else if (type && !strcmp(type, "llama3")) {
        c->rope = DS_ROPE_LLAMA3;
        c->rope_low = real(r, s, "low_freq_factor", 1.0);
        c->rope_high = real(r, s, "high_freq_factor", 4.0);
    } else if (type && !strcmp(type, "yarn")) {
        c->rope = DS_ROPE_YARN;
        c->rope_low = real(r, s, "beta_slow", 1.0);
        c->rope_high = real(r, s, "beta_fast", 32.0);
        c->mscale = real(r, s, "mscale", 0.0);
        c->mscale_all = real(r, s, "mscale_all_dim", 0.0);
    } else if (!r->rc) {
        r->rc = ds_fail(r->err, DS_FAIL, "%s: rope_scaling of type '%s' is not supported", r->what,
                        type ? type : "(none)");
    }
    if (!r->rc && !(c->rope_factor > 0))
        r->rc = ds_fail(r->err, DS_FAIL, "%s: rope_scaling factor %g", r->what, c->rope_factor);
}

static void read_deepseek(conf *r, ds_modelconf *c)
{
    c->q_lora = (int32_t)whole(r, "q_lora_rank", 0, 0, 1 << 20);
    c->kv_lora = (int32_t)whole(r, "kv_lora_rank", 0, 1, 1 << 20);
    c->qk_nope = (int32_t)whole(r, "qk_nope_head_dim", 0, 1, 4096);
    c->qk_rope = (int32_t)whole(r, "qk_rope_head_dim", 0, 2, 4096);
    c->v_dim = (int32_t)whole(r, "v_head_dim", 0, 1, 4096);
    c->experts = (int32_t)whole(r, "n_routed_experts", -1, 0, 4096);
    c->experts = c->experts < 0 ? 0 : c->experts;
    c->shared_experts = (int32_t)whole(r, "n_shared_experts", -1, 0, 64);
    c->shared_experts = c->shared_experts < 0 ? 0 : c->shared_experts;
    c->experts_used = (int32_t)whole(r, "num_experts_per_tok", -1, 0, 4096);
    c->moe_ffn = (int32_t)whole(r, "moe_intermediate_size", -1, 1, 1 << 24);
    c->first_dense = (int32_t)whole(r, "first_k_dense_replace", -1, 0, 1 << 20);
    c->first_dense = c->first_dense < 0 ? 0 : c->first_dense;
    c->moe_every = (int32_t)whole(r, "moe_layer_freq", -1, 1, 1 << 20);
    c->moe_every = c->moe_every < 0 ? 1 : c->moe_every;
    c->norm_topk = flag(r, "norm_topk_prob", false);
    c->routed_scale = (float)real(r, r->o, "routed_scaling_factor", 1.0);
    c->aux_alpha = (float)real(r, r->o, "aux_loss_alpha", 0.0);
    only_number(r, "n_group", 1.0);
    only_number(r, "topk_group", 1.0);
    only_string(r, "topk_method", "greedy");
    only_string(r, "scoring_func", "softmax");
    only_false(r, "attention_bias");
}

static const char *const READ[] = {"model_type",
                                   "hidden_size",
                                   "intermediate_size",
                                   "num_hidden_layers",
                                   "num_attention_heads",
                                   "num_key_value_heads",
                                   "head_dim",
                                   "vocab_size",
                                   "max_position_embeddings",
                                   "rms_norm_eps",
                                   "rope_theta",
                                   "rope_scaling",
                                   "rope_parameters",
                                   "tie_word_embeddings",
                                   "attention_bias",
                                   "mlp_bias",
                                   "bos_token_id",
                                   "eos_token_id",
                                   "initializer_range",
                                   "hidden_act",
                                   "q_lora_rank",
                                   "kv_lora_rank",
                                   "qk_nope_head_dim",
                                   "qk_rope_head_dim",
                                   "v_head_dim",
                                   "n_routed_experts",
                                   "n_shared_experts",
                                   "num_experts_per_tok",
                                   "moe_intermediate_size",
                                   "first_k_dense_replace",
                                   "moe_layer_freq",
                                   "norm_topk_prob",
                                   "routed_scaling_factor",
                                   "aux_loss_alpha",
                                   "topk_method",
                                   "scoring_func",
                                   "architectures",
                                   NULL};

static int32_t id_of(const json_t *v)
{
    return json_is_integer(v) && json_integer_value(v) >= 0 && json_integer_value(v) < INT32_MAX
               ? (int32_t)json_integer_value(v)
               : -1;
}

/* One, or a list: chat models end a turn with another token than a document. */
static void read_ends(conf *r, ds_modelconf *c)
{
    const json_t *v = json_object_get(r->o, "eos_token_id");
    const size_t n = json_is_array(v) ? json_array_size(v) : 1;

    for (size_t i = 0; i < n && !r->rc; i++) {
        const int32_t id = id_of(json_is_array(v) ? json_array_get(v, i) : v);
        if (id >= 0 && c->neos == DS_EOS_MAX)
            r->rc =
                ds_fail(r->err, DS_FAIL, "%s: more than %d of 'eos_token_id'", r->what, DS_EOS_MAX);
        else if (id >= 0)
            c->eos[c->neos++] = id;
    }
}

bool ds_modelconf_ends(const ds_modelconf *c, int32_t id)
{
    for (int32_t i = 0; i < c->neos; i++)
        if (c->eos[i] == id)
            return true;
    return false;
}

static json_t *ends_json(const ds_modelconf *c)
{
    json_t *a;

    if (c->neos <= 1)
        return c->neos ? json_integer(c->eos[0]) : json_null();
    a = json_array();
    for (int32_t i = 0; i < c->neos; i++)
        json_array_append_new(a, json_integer(c->eos[i]));
    return a;
}

static int keep_extra(ds_modelconf *c, json_t *o, ds_err *err)
{
    ds_buf b = {0};
    int rc;

    for (int i = 0; READ[i]; i++)
        json_object_del(o, READ[i]);
    rc = ds_json_dump(&b, o, err);
    if (!rc && !ds_buf_cstr(&b))
        rc = ds_fail_nomem(err);
    if (rc) {
        ds_buf_fini(&b);
        return rc;
    }
    c->extra = (char *)b.data;
    return 0;
}

int ds_modelconf_parse(ds_modelconf *c, const void *json, size_t len, const char *what, ds_err *err)
{
    json_t *o = NULL;
    int rc = ds_json_parse(&o, json, len, what, err);
    conf r = {.o = o, .what = what, .err = err};

    memset(c, 0, sizeof *c);
    if (rc)
        return rc;
    if (!json_is_object(o)) {
        json_decref(o);
        return ds_fail(err, DS_FAIL, "%s: not an object", what);
    }
    r.rc = parse_arch(&c->arch, json_string_value(json_object_get(o, "model_type")), err);
    if (r.rc)
        ds_err_prefix(err, "%s", what);
    c->hidden = (int32_t)whole(&r, "hidden_size", 0, 1, 1 << 20);
    c->ffn = (int32_t)whole(&r, "intermediate_size", 0, 1, 1 << 24);
    c->layers = (int32_t)whole(&r, "num_hidden_layers", 0, 1, 1024);
    c->heads = (int32_t)whole(&r, "num_attention_heads", 0, 1, 4096);
    c->kv_heads = (int32_t)whole(&r, "num_key_value_heads", c->heads, 1, 4096);
    c->vocab = (int32_t)whole(&r, "vocab_size", 0, 1, DS_VOCAB_MAX);
    c->max_pos = (int32_t)whole(&r, "max_position_embeddings", 2048, 1, 1 << 30);
    c->head_dim = (int32_t)whole(&r, "head_dim", c->heads > 0 ? c->hidden / c->heads : 1, 1, 4096);
    c->eps = (float)real(&r, o, "rms_norm_eps", 1e-6);
    c->init_range = (float)real(&r, o, "initializer_range", 0.02);
    c->tied = flag(&r, "tie_word_embeddings", false);
    c->qkv_bias = c->arch == DS_QWEN2 || (c->arch == DS_LLAMA && flag(&r, "attention_bias", false));
    c->o_bias = c->arch == DS_LLAMA && c->qkv_bias;
    c->mlp_bias = c->arch == DS_LLAMA && flag(&r, "mlp_bias", false);
    c->bos = id_of(json_object_get(o, "bos_token_id"));
    read_ends(&r, c);
    only_string(&r, "hidden_act", "silu");
    only_false(&r, "use_sliding_window");
    only_number(&r, "attention_dropout", 0.0);
    only_number(&r, "pretraining_tp", 1.0);
    only_string(&r, "quantization_config", "none");
    read_rope(&r, c);
    if (c->arch == DS_DEEPSEEK_V2)
        read_deepseek(&r, c);
    rc = r.rc ? r.rc : ds_modelconf_check(c, err);
    if (rc && !r.rc)
        ds_err_prefix(err, "%s", what);
    rc = rc ? rc : keep_extra(c, o, err);
    json_decref(o);
    return rc;
}

void ds_modelconf_fini(ds_modelconf *c)
{
    free(c->extra);
    memset(c, 0, sizeof *c);
}

int ds_modelconf_read(ds_modelconf *c, const char *dir, ds_err *err)
{
    char path[DS_PATH];
    ds_buf b = {0};
    int rc;

    memset(c, 0, sizeof *c);
    TRY(ds_path_join(path, dir, "adapter_config.json", err));
    const bool adapter = ds_path_exists(path);
    TRY(ds_path_join(path, dir, "config.json", err));
    if (adapter && !ds_path_exists(path))
        return ds_fail(err, DS_FAIL, "%s is an adapter: --model names what it is trained on", dir);
    rc = ds_read_file(&b, path, 16u << 20, err);
    rc = rc ? rc : ds_modelconf_parse(c, b.data, b.len, path, err);
    ds_buf_fini(&b);
    return rc;
}

int ds_modelconf_check(const ds_modelconf *c, ds_err *err)
{
    if (c->heads % c->kv_heads)
        return ds_fail(err, DS_FAIL, "%d heads are no multiple of %d kv heads", (int)c->heads,
                       (int)c->kv_heads);
    if (c->arch != DS_DEEPSEEK_V2 && c->head_dim % 2)
        return ds_fail(err, DS_FAIL, "a head of %d columns cannot be rotated in pairs",
                       (int)c->head_dim);
    if (c->arch == DS_DEEPSEEK_V2 && c->kv_heads != c->heads)
        return ds_fail(err, DS_FAIL,
                       "%d kv heads of %d: latent attention has keys and values for every head",
                       (int)c->kv_heads, (int)c->heads);
    if (c->arch == DS_DEEPSEEK_V2 && c->qk_rope % 2)
        return ds_fail(err, DS_FAIL, "qk_rope_head_dim of %d cannot be rotated in pairs",
                       (int)c->qk_rope);
    if (c->arch == DS_DEEPSEEK_V2 && c->experts > 0 &&
        (c->experts_used < 1 || c->experts_used > c->experts || c->moe_ffn < 1))
        return ds_fail(err, DS_FAIL, "%d of %d experts a token, of width %d", (int)c->experts_used,
                       (int)c->experts, (int)c->moe_ffn);
    if (!(c->eps >= 0) || !(c->theta > 0))
        return ds_fail(err, DS_FAIL, "rms_norm_eps %g, rope_theta %g", (double)c->eps, c->theta);
    return 0;
}

/* ---- writing ---- */

static void put_deepseek(json_t *o, const ds_modelconf *c)
{
    json_object_set_new(o, "q_lora_rank", c->q_lora ? json_integer(c->q_lora) : json_null());
    json_object_set_new(o, "kv_lora_rank", json_integer(c->kv_lora));
    json_object_set_new(o, "qk_nope_head_dim", json_integer(c->qk_nope));
    json_object_set_new(o, "qk_rope_head_dim", json_integer(c->qk_rope));
    json_object_set_new(o, "v_head_dim", json_integer(c->v_dim));
    json_object_set_new(o, "n_routed_experts", c->experts ? json_integer(c->experts) : json_null());
    json_object_set_new(o, "n_shared_experts",
                        c->shared_experts ? json_integer(c->shared_experts) : json_null());
    json_object_set_new(o, "num_experts_per_tok",
                        json_integer(c->experts_used > 0 ? c->experts_used : 0));
    json_object_set_new(o, "moe_intermediate_size", json_integer(c->moe_ffn > 0 ? c->moe_ffn : 1));
    json_object_set_new(o, "first_k_dense_replace", json_integer(c->first_dense));
    json_object_set_new(o, "moe_layer_freq", json_integer(c->moe_every));
    json_object_set_new(o, "norm_topk_prob", json_boolean(c->norm_topk));
    json_object_set_new(o, "routed_scaling_factor", json_real((double)c->routed_scale));
    json_object_set_new(o, "aux_loss_alpha", json_real((double)c->aux_alpha));
    json_object_set_new(o, "topk_method", json_string("greedy"));
    json_object_set_new(o, "scoring_func", json_string("softmax"));
}

static void put_rope(json_t *o, const ds_modelconf *c)
{
    static const char *const type[] = {"default", "linear", "llama3", "yarn"};
    json_t *s;

    json_object_set_new(o, "rope_theta", json_real(c->theta));
    if (c->rope == DS_ROPE_PLAIN)
        return;
    s = json_object();
    json_object_set_new(s, "rope_type", json_string(type[c->rope]));
    json_object_set_new(s, "type", json_string(type[c->rope]));
    json_object_set_new(s, "factor", json_real(c->rope_factor));
    json_object_set_new(s, "original_max_position_embeddings", json_integer(c->rope_orig));
    if (c->rope == DS_ROPE_LLAMA3) {
        json_object_set_new(s, "low_freq_factor", json_real(c->rope_low));
        json_object_set_new(s, "high_freq_factor", json_real(c->rope_high));
    } else if (c->rope == DS_ROPE_YARN) {
        json_object_set_new(s, "beta_slow", json_real(c->rope_low));
        json_object_set_new(s, "beta_fast", json_real(c->rope_high));
        json_object_set_new(s, "mscale", json_real(c->mscale));
        json_object_set_new(s, "mscale_all_dim", json_real(c->mscale_all));
    }
    json_object_set_new(o, "rope_scaling", s);
}

/* A float's shortest decimal text as a double: 1e-05 stays 1e-05. */
static double tidy(float f)
{
    char text[32];
    double d = (double)f;

    for (int digits = 1; digits <= 9; digits++) {
        snprintf(text, sizeof text, "%.*g", digits, (double)f);
        sscanf(text, "%lf", &d);
        if ((float)d == f)
            break;
    }
    return d;
}

int ds_modelconf_dump(ds_buf *out, const ds_modelconf *c, ds_err *err)
{
    static const char *const classes[] = {"LlamaForCausalLM", "Qwen2ForCausalLM",
                                          "DeepseekV2ForCausalLM"};
    json_t *o = json_object(), *extra = NULL;
    int rc = 0;

    if (!o)
        return ds_fail_nomem(err);
    json_object_set_new(o, "architectures", json_pack("[s]", classes[c->arch]));
    json_object_set_new(o, "model_type", json_string(ARCHS[c->arch]));
    json_object_set_new(o, "hidden_size", json_integer(c->hidden));
    json_object_set_new(o, "intermediate_size", json_integer(c->ffn));
    json_object_set_new(o, "num_hidden_layers", json_integer(c->layers));
    json_object_set_new(o, "num_attention_heads", json_integer(c->heads));
    json_object_set_new(o, "num_key_value_heads", json_integer(c->kv_heads));
    if (c->arch != DS_DEEPSEEK_V2)
        json_object_set_new(o, "head_dim", json_integer(c->head_dim));
    json_object_set_new(o, "vocab_size", json_integer(c->vocab));
    json_object_set_new(o, "max_position_embeddings", json_integer(c->max_pos));
    json_object_set_new(o, "rms_norm_eps", json_real(tidy(c->eps)));
    json_object_set_new(o, "initializer_range", json_real(tidy(c->init_range)));
    json_object_set_new(o, "hidden_act", json_string("silu"));
    json_object_set_new(o, "tie_word_embeddings", json_boolean(c->tied));
    if (c->arch == DS_LLAMA) {
        json_object_set_new(o, "attention_bias", json_boolean(c->qkv_bias));
        json_object_set_new(o, "mlp_bias", json_boolean(c->mlp_bias));
    }
    json_object_set_new(o, "bos_token_id", c->bos >= 0 ? json_integer(c->bos) : json_null());
    json_object_set_new(o, "eos_token_id", ends_json(c));
    put_rope(o, c);
    if (c->arch == DS_DEEPSEEK_V2)
        put_deepseek(o, c);
    if (c->extra)
        rc = ds_json_parse(&extra, c->extra, strlen(c->extra), "config.json", err);
    if (!rc && extra)
        json_object_update_missing(o, extra);
    json_decref(extra);
    rc = rc ? rc : ds_json_dump_pretty(out, o, err);
    if (!rc && ds_buf_putc(out, '\n'))
        rc = ds_fail_nomem(err);
    json_decref(o);
    return rc;
}

/* ---- presets ---- */

int ds_modelconf_preset(ds_modelconf *c, enum ds_arch arch, const char *preset, int32_t vocab,
                        ds_err *err)
{
    static const struct {
        const char *name;
        int32_t hidden, ffn, layers, heads, kv;
    } sizes[] = {{"tiny", 128, 352, 4, 4, 2},
                 {"small", 384, 1024, 8, 6, 2},
                 {"100m", 768, 2048, 12, 12, 12}};
    size_t i = 0;

    memset(c, 0, sizeof *c);
    while (i < sizeof sizes / sizeof *sizes && strcmp(sizes[i].name, preset))
        i++;
    if (i == sizeof sizes / sizeof *sizes)
        return ds_fail(err, DS_USAGE, "preset '%s': there are tiny, small and 100m", preset);
    c->arch = arch;
    c->hidden = sizes[i].hidden;
    c->ffn = sizes[i].ffn;
    c->layers = sizes[i].layers;
    c->heads = sizes[i].heads;
    c->kv_heads = arch == DS_DEEPSEEK_V2 ? c->heads : sizes[i].kv;
    c->head_dim = c->hidden / c->heads;
    c->vocab = vocab;
    c->max_pos = 2048;
    c->eps = arch == DS_LLAMA ? 1e-5f : 1e-6f;
    c->theta = 10000.0;
    c->tied = true;
    c->qkv_bias = arch == DS_QWEN2;
    c->bos = -1;
    c->init_range = 0.02f;
    if (arch == DS_DEEPSEEK_V2) {
        c->tied = false;
        c->qk_rope = c->head_dim / 2;
        c->qk_nope = c->head_dim;
        c->v_dim = c->head_dim;
        c->kv_lora = c->hidden / 2;
        c->experts = 8;
        c->experts_used = 2;
        c->shared_experts = 1;
        c->moe_ffn = c->ffn / 4;
        c->first_dense = 1;
        c->moe_every = 1;
        c->routed_scale = 1.0f;
    }
    return ds_modelconf_check(c, err);
}

/* ---- derived numbers ---- */

int32_t ds_qk_dim(const ds_modelconf *c)
{
    return c->arch == DS_DEEPSEEK_V2 ? c->qk_nope + c->qk_rope : c->head_dim;
}

int32_t ds_v_dim(const ds_modelconf *c)
{
    return c->arch == DS_DEEPSEEK_V2 ? c->v_dim : c->head_dim;
}

bool ds_layer_is_moe(const ds_modelconf *c, int32_t layer)
{
    return c->arch == DS_DEEPSEEK_V2 && c->experts > 0 && layer >= c->first_dense &&
           layer % c->moe_every == 0;
}
