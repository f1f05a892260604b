/* net.c - building, loading and saving a network; what is trained in it. */
#include "net.h"

#include <fnmatch.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "io.h"
#include "net_priv.h"
#include "rotary.h"

/* ---- building ---- */

static int vec_param(ds_net *n, ds_param **p, int64_t d, ds_err *err, const char *fmt, ...)
    DS_PRINTF(5, 6);
static int vec_param(ds_net *n, ds_param **p, int64_t d, ds_err *err, const char *fmt, ...)
{
    char name[192];
    va_list ap;

    va_start(ap, fmt);
    vsnprintf(name, sizeof name, fmt, ap);
    va_end(ap);
    return ds_params_add(&n->params, p, name, 1, d, true, n->f, err);
}

static int lin_new(ds_net *n, linear *l, int64_t out, int64_t in, bool bias, ds_err *err,
                   const char *fmt, ...) DS_PRINTF(7, 8);
static int lin_new(ds_net *n, linear *l, int64_t out, int64_t in, bool bias, ds_err *err,
                   const char *fmt, ...)
{
    char base[160], name[192];
    va_list ap;

    va_start(ap, fmt);
    vsnprintf(base, sizeof base, fmt, ap);
    va_end(ap);
    l->id = n->modules++;
    snprintf(name, sizeof name, "%s.weight", base);
    TRY(ds_params_add(&n->params, &l->w, name, out, in, false, n->f, err));
    if (!bias)
        return 0;
    snprintf(name, sizeof name, "%s.bias", base);
    return ds_params_add(&n->params, &l->b, name, 1, out, true, n->f, err);
}

static int build_attention(ds_net *n, layer *l, int32_t i, ds_err *err)
{
    const ds_modelconf *c = &n->c;
    const int64_t d = c->hidden, qk = ds_qk_dim(c), vd = ds_v_dim(c);

#define NAME(x) "model.layers.%d.self_attn." x, (int)i
    if (c->arch != DS_DEEPSEEK_V2) {
        TRY(lin_new(n, &l->q, c->heads * qk, d, c->qkv_bias, err, NAME("q_proj")));
        TRY(lin_new(n, &l->k, c->kv_heads * qk, d, c->qkv_bias, err, NAME("k_proj")));
        TRY(lin_new(n, &l->v, c->kv_heads * vd, d, c->qkv_bias, err, NAME("v_proj")));
        return lin_new(n, &l->o, d, c->heads * vd, c->o_bias, err, NAME("o_proj"));
    }
    if (c->q_lora) {
        TRY(lin_new(n, &l->qa, c->q_lora, d, false, err, NAME("q_a_proj")));
        TRY(vec_param(n, &l->qa_norm, c->q_lora, err, NAME("q_a_layernorm.weight")));
        TRY(lin_new(n, &l->qb, c->heads * qk, c->q_lora, false, err, NAME("q_b_proj")));
    } else {
        TRY(lin_new(n, &l->q, c->heads * qk, d, false, err, NAME("q_proj")));
    }
    TRY(lin_new(n, &l->kva, c->kv_lora + c->qk_rope, d, false, err, NAME("kv_a_proj_with_mqa")));
    TRY(vec_param(n, &l->kva_norm, c->kv_lora, err, NAME("kv_a_layernorm.weight")));
    TRY(lin_new(n, &l->kvb, (int64_t)c->heads * (c->qk_nope + vd), c->kv_lora, false, err,
                NAME("kv_b_proj")));
    return lin_new(n, &l->o, d, c->heads * vd, false, err, NAME("o_proj"));
#undef NAME
}

static int build_mlp(ds_net *n, layer *l, int32_t i, ds_err *err)
{
    const ds_modelconf *c = &n->c;
    const int64_t d = c->hidden;
    const char *shared = "";
    int64_t ffn = c->ffn;

    l->moe = ds_layer_is_moe(c, i);
    l->has_dense = !l->moe || c->shared_experts > 0;
    if (l->moe) {
        char name[96];
        snprintf(name, sizeof name, "model.layers.%d.mlp.gate.weight", (int)i);
        TRY(ds_params_add(&n->params, &l->router, name, c->experts, d, false, n->f, err));
        l->experts = calloc((size_t)c->experts * 3, sizeof *l->experts);
        if (!l->experts)
            return ds_fail_nomem(err);
        for (int32_t e = 0; e < c->experts; e++) {
            linear *p = &l->experts[3 * e];
            TRY(lin_new(n, p, c->moe_ffn, d, false, err, "model.layers.%d.mlp.experts.%d.gate_proj",
                        (int)i, (int)e));
            TRY(lin_new(n, p + 1, c->moe_ffn, d, false, err,
                        "model.layers.%d.mlp.experts.%d.up_proj", (int)i, (int)e));
            TRY(lin_new(n, p + 2, d, c->moe_ffn, false, err,
                        "model.layers.%d.mlp.experts.%d.down_proj", (int)i, (int)e));
        }
        shared = "shared_experts.";
        ffn = (int64_t)c->moe_ffn * c->shared_experts;
    }
    if (!l->has_dense)
        return 0;
    TRY(lin_new(n, &l->gate, ffn, d, c->mlp_bias, err, "model.layers.%d.mlp.%sgate_proj", (int)i,
                shared));
    TRY(lin_new(n, &l->up, ffn, d, c->mlp_bias, err, "model.layers.%d.mlp.%sup_proj", (int)i,
                shared));
    return lin_new(n, &l->down, d, ffn, c->mlp_bias, err, "model.layers.%d.mlp.%sdown_proj", (int)i,
                   shared);
}

static int build(ds_net *n, ds_err *err)
{
    const ds_modelconf *c = &n->c;
    const int32_t rot = c->arch == DS_DEEPSEEK_V2 ? c->qk_rope : c->head_dim;
    float *cs;
    int rc;

    TRY(ds_params_add(&n->params, &n->embed, "model.embed_tokens.weight", c->vocab, c->hidden,
                      false, n->f, err));
    for (int32_t i = 0; i < c->layers; i++) {
        layer *l = &n->layers[i];
        TRY(vec_param(n, &l->norm1, c->hidden, err, "model.layers.%d.input_layernorm.weight",
                      (int)i));
        TRY(build_attention(n, l, i, err));
        TRY(vec_param(n, &l->norm2, c->hidden, err,
                      "model.layers.%d.post_attention_layernorm.weight", (int)i));
        TRY(build_mlp(n, l, i, err));
    }
    TRY(vec_param(n, &n->norm, c->hidden, err, "model.norm.weight"));
    n->head = n->embed;
    if (!c->tied)
        TRY(ds_params_add(&n->params, &n->head, "lm_head.weight", c->vocab, c->hidden, false, n->f,
                          err));
    if (n->modules > 0xffff)
        return ds_fail(err, DS_FAIL, "%u projections: more than dropout can tell apart",
                       n->modules);
    cs = malloc((size_t)n->positions * (size_t)rot * sizeof *cs);
    if (!cs)
        return ds_fail_nomem(err);
    rc = ds_rope_table(cs, c, rot, n->positions, err);
    rc = rc ? rc
            : n->k->alloc(n->k, (void **)&n->cs, (size_t)n->positions * (size_t)rot * sizeof *cs,
                          err);
    rc = rc ? rc
            : n->k->upload(n->k, n->cs, cs, (size_t)n->positions * (size_t)rot * sizeof *cs, err);
    free(cs);
    return rc;
}

int ds_net_new(ds_net **out, ds_kernels *k, const ds_modelconf *c, enum ds_kfmt f,
               int32_t positions, ds_err *err)
{
    ds_net *n = calloc(1, sizeof *n);
    int rc;

    if (!n)
        return ds_fail_nomem(err);
    n->k = k;
    n->params.k = k;
    n->c = *c;
    n->c.extra = c->extra ? strdup(c->extra) : NULL;
    n->f = f;
    n->positions = positions;
    n->layers = calloc((size_t)c->layers, sizeof *n->layers);
    n->acts = calloc((size_t)c->layers, sizeof *n->acts);
    rc = !n->layers || !n->acts || (c->extra && !n->c.extra) ? ds_fail_nomem(err) : build(n, err);
    if (rc)
        ds_net_free(n);
    else
        *out = n;
    return rc;
}

void ds_net_free(ds_net *n)
{
    if (!n)
        return;
    if (n->layers)
        dora_fini(n);
    token_rows_fini(n);
    for (int32_t i = 0; n->layers && i < n->c.layers; i++)
        free(n->layers[i].experts);
    ds_params_fini(&n->params);
    arena_fini(n);
    free(n->groups);
    free(n->factors);
    free(n->sums);
    if (n->cs)
        n->k->free(n->k, n->cs);
    if (n->embed_g)
        n->k->free(n->k, n->embed_g);
    free(n->layers);
    free(n->acts);
    ds_modelconf_fini(&n->c);
    free(n);
}

const ds_modelconf *ds_net_conf(const ds_net *n)
{
    return &n->c;
}

ds_params *ds_net_params(ds_net *n)
{
    return &n->params;
}

/* ---- weights ---- */

/* What files hold beside the weights, and models are the same without: tables of positions, and a
 * head that is the embedding. */
static bool is_spare(const ds_net *n, const char *name)
{
    const char *end = strstr(name, ".rotary_emb.inv_freq");

    return (end && !end[strlen(".rotary_emb.inv_freq")]) ||
           (n->c.tied && !strcmp(name, "lm_head.weight"));
}

/* A tensor that the configuration has no place for is a model that would be another. */
static int check_known(const ds_net *n, const ds_st_set *s, const char *dir, ds_err *err)
{
    for (size_t i = 0; i < s->n; i++)
        for (size_t j = 0; j < s->files[i].n; j++) {
            const char *name = s->files[i].t[j].name;
            if (!ds_params_find(&n->params, name) && !is_spare(n, name))
                return ds_fail(
                    err, DS_FAIL,
                    "%s: tensor '%s' has no place in the model that config.json tells of", dir,
                    name);
        }
    return 0;
}

int ds_net_load(ds_net *n, const char *dir, ds_err *err)
{
    ds_st_set s;
    int rc = ds_st_set_open(&s, dir, err);

    if (rc)
        return rc;
    for (size_t i = 0; !rc && i < n->params.n; i++) {
        ds_param *p = n->params.p[i];
        const char *file = dir;
        const ds_st_tensor *t = ds_st_set_find(&s, p->name, &file);
        rc = t ? ds_param_load(&n->params, p, t, file, err)
               : ds_fail(err, DS_FAIL, "%s: tensor '%s' is missing", dir, p->name);
    }
    rc = rc ? rc : check_known(n, &s, dir, err);
    ds_st_set_close(&s);
    return rc;
}

int ds_net_init(ds_net *n, uint64_t seed, ds_err *err)
{
    for (size_t i = 0; i < n->params.n; i++) {
        ds_param *p = n->params.p[i];
        const size_t len = strlen(p->name);
        const bool bias = len > 5 && !strcmp(p->name + len - 5, ".bias");
        if (p->vector)
            TRY(ds_param_fill(&n->params, p, bias ? 0.0f : 1.0f, err));
        else
            TRY(ds_param_normal(&n->params, p, n->c.init_range, seed, err));
    }
    return 0;
}

static bool is_base(const ds_param *p)
{
    return !strstr(p->name, ".lora_") && !ds_is_token_rows(p) &&
           strcmp(p->name, "prompt_embeddings");
}

int ds_net_save(ds_net *n, const char *dir, ds_err *err)
{
    char path[DS_PATH];
    ds_buf b = {0};
    int rc;

    TRY(ds_path_join(path, dir, "model.safetensors", err));
    rc = ds_params_write(&n->params, path, is_base, NULL, NULL, err);
    rc = rc ? rc : ds_modelconf_dump(&b, &n->c, err);
    snprintf(path, sizeof path, "%s/config.json", dir);
    rc = rc ? rc : ds_atomic_write(path, 0644, b.data, b.len, err);
    ds_buf_fini(&b);
    return rc;
}

/* ---- what is trained ---- */

static bool any_matches(const ds_params *s, const char *pattern)
{
    for (size_t i = 0; i < s->n; i++)
        if (fnmatch(pattern, s->p[i]->name, 0) == 0)
            return true;
    return false;
}

int ds_net_train_full(ds_net *n, const char *const *only, ds_err *err)
{
    for (int j = 0; only && only[j]; j++)
        if (!any_matches(&n->params, only[j]))
            return ds_fail(err, DS_USAGE,
                           "no parameter's name matches '%s', which is to be trained", only[j]);
    for (size_t i = 0; i < n->params.n; i++) {
        bool want = !only || !*only;
        for (int j = 0; !want && only[j]; j++)
            want = fnmatch(only[j], n->params.p[i]->name, 0) == 0;
        if (want)
            TRY(ds_param_train(&n->params, n->params.p[i], err));
    }
    return ds_params_gradients(&n->params, err);
}

const char *const DS_PROJECTIONS[] = {
    "q_proj",    "k_proj",    "v_proj",   "o_proj",   "gate_proj",
    "up_proj",   "down_proj", "q_a_proj", "q_b_proj", "kv_a_proj_with_mqa",
    "kv_b_proj", NULL};

linear *net_linear(ds_net *n, layer *l, int32_t i)
{
    linear *fixed[] = {&l->q, &l->qa, &l->qb,   &l->kva, &l->kvb, &l->k,
                       &l->v, &l->o,  &l->gate, &l->up,  &l->down};
    const int32_t nfixed = (int32_t)(sizeof fixed / sizeof *fixed);

    if (i < nfixed)
        return fixed[i];
    i -= nfixed;
    return l->moe && i < 3 * n->c.experts ? &l->experts[i] : NULL;
}

/* Does "model.layers.0.self_attn.q_proj.weight" end in the target "q_proj", or do the name without
 * ".weight" or the last part of it match the target as a pattern? */
static bool targeted(const char *name, const char *target)
{
    char module[192];
    const size_t len = strlen(name) - strlen(".weight"), m = strlen(target);

    snprintf(module, sizeof module, "%.*s", (int)(len < sizeof module ? len : sizeof module - 1),
             name);
    const size_t at = strlen(module);
    if (at >= m && !strcmp(module + at - m, target) && (at == m || module[at - m - 1] == '.'))
        return true;
    const char *dot = strrchr(module, '.');
    return fnmatch(target, module, 0) == 0 || (dot && fnmatch(target, dot + 1, 0) == 0);
}

static bool is_projection(const char *name)
{
    for (int i = 0; DS_PROJECTIONS[i]; i++)
        if (!strcmp(DS_PROJECTIONS[i], name))
            return true;
    return false;
}

static int add_lora(ds_net *n, linear *l, const ds_lora_conf *c, uint64_t seed, ds_err *err)
{
    char name[224];
    const int base = (int)(strlen(l->w->name) - strlen(".weight"));
    double alpha = c->alpha;
    int32_t r = c->r;

    snprintf(name, sizeof name, "%.*s", base, l->w->name);
    if (c->of_module)
        TRY(c->of_module(c->of_ctx, name, &r, &alpha, err));
    snprintf(name, sizeof name, "%.*s.lora_A.weight", base, l->w->name);
    TRY(ds_params_add(&n->params, &l->la, name, r, l->w->cols, false, n->f, err));
    snprintf(name, sizeof name, "%.*s.lora_B.weight", base, l->w->name);
    TRY(ds_params_add(&n->params, &l->lb, name, l->w->rows, r, false, n->f, err));
    l->la->wide = l->lb->wide = true;
    l->s = (float)(c->rslora ? alpha / sqrt((double)r) : alpha / (double)r);
    l->drop = (float)c->dropout;
    l->lb->lr_scale = c->lr_ratio > 0 ? (float)c->lr_ratio : 1.0f;
    TRY(ds_param_uniform(&n->params, l->la, 1.0f / sqrtf((float)l->w->cols), seed, err));
    TRY(ds_param_train(&n->params, l->la, err));
    TRY(ds_param_train(&n->params, l->lb, err));
    return c->dora ? dora_add(n, l, err) : 0;
}

int ds_net_add_lora(ds_net *n, const ds_lora_conf *c, uint64_t seed, ds_err *err)
{
    size_t found = 0;

    if (c->r < 1 || !(c->alpha > 0) || !(c->dropout >= 0 && c->dropout < 1))
        return ds_fail(err, DS_USAGE, "LoRA of rank %d, alpha %g, dropout %g", (int)c->r, c->alpha,
                       c->dropout);
    for (int t = 0; c->targets[t]; t++) {
        size_t here = 0;
        for (int32_t i = 0; i < n->c.layers; i++) {
            linear *l;
            for (int32_t j = 0; (l = net_linear(n, &n->layers[i], j)); j++)
                if (l->w && targeted(l->w->name, c->targets[t])) {
                    l->target = true;
                    here++;
                }
        }
        if (!here && !is_projection(c->targets[t])) /* those of other architectures may be named */
            return ds_fail(err, DS_USAGE, "no projection matches the adapter's target '%s'",
                           c->targets[t]);
        found += here;
    }
    if (!found)
        return ds_fail(err, DS_USAGE, "no projection matches the adapter's targets");
    for (int32_t i = 0; i < n->c.layers; i++) {
        linear *l;
        for (int32_t j = 0; (l = net_linear(n, &n->layers[i], j)); j++)
            if (l->target && !l->la)
                TRY(add_lora(n, l, c, seed, err));
    }
    TRY(token_rows_add(n, c, err));
    return ds_params_gradients(&n->params, err);
}

int ds_net_keep_before(ds_net *n, bool all, ds_err *err)
{
    for (size_t i = 0; i < n->params.n; i++) {
        ds_param *p = n->params.p[i];
        const int64_t count = ds_param_count(p);
        if (ds_is_token_rows(p) || strstr(p->name, ".lora_") || (!all && !p->train))
            continue;
        if (!p->before)
            TRY(n->k->alloc(n->k, &p->before, (size_t)count * ds_kfmt_size(p->f), err));
        TRY(n->k->convert(n->k, p->before, p->f, p->w, p->f, count, err));
    }
    return token_rows_keep(n, err);
}

void net_bare(ds_net *n, bool bare)
{
    n->bare = bare;
    for (size_t i = 0; i < n->params.n; i++) {
        ds_param *p = n->params.p[i];
        void *now = p->w;
        if (p->before) {
            p->w = p->before;
            p->before = now;
        }
    }
    for (int32_t i = 0; i < n->c.layers; i++) {
        linear *l;
        for (int32_t j = 0; (l = net_linear(n, &n->layers[i], j)); j++) {
            ds_param **in[] = {&l->la, &l->lb, &l->mag};
            for (size_t k = 0; k < sizeof in / sizeof *in; k++) {
                ds_param *now = *in[k];
                *in[k] = l->aside[k];
                l->aside[k] = now;
            }
        }
    }
}

/* Rows times their gains, through host memory. */
static int stretch_rows(ds_net *n, const linear *l, float *w, ds_err *err)
{
    const int64_t out = l->w->rows, in = l->w->cols;
    const size_t bytes = (size_t)(out * in) * 4;
    float *host = malloc(bytes), *gain = malloc((size_t)out * 4);
    int rc = host && gain ? 0 : ds_fail_nomem(err);

    rc = rc ? rc : n->k->download(n->k, host, w, bytes, err);
    rc = rc ? rc : n->k->download(n->k, gain, l->gain, (size_t)out * 4, err);
    for (int64_t i = 0; !rc && i < out * in; i++)
        host[i] *= gain[i / in];
    rc = rc ? rc : n->k->upload(n->k, w, host, bytes, err);
    free(host);
    free(gain);
    return rc;
}

static int merge_one(ds_net *n, linear *l, ds_err *err)
{
    ds_kernels *k = n->k;
    const int64_t out = l->w->rows, in = l->w->cols;
    float *w;

    TRY(k->alloc(k, (void **)&w, (size_t)(out * in) * 4, err));
    int rc = k->convert(k, w, DS_KF32, l->w->w, l->w->f, out * in, err);
    rc = rc ? rc
            : k->matmul(k, w, DS_KF32, l->lb->w, l->lb->f, false, l->la->w, l->la->f, false, out,
                        in, l->la->rows, l->s, true, err);
    if (!rc && l->mag)
        rc = stretch_rows(n, l, w, err);
    rc = rc ? rc : k->convert(k, l->w->w, l->w->f, w, DS_KF32, out * in, err);
    k->free(k, w);
    if (!rc)
        l->la = l->lb = l->mag = NULL;
    return rc;
}

int ds_net_merge_lora(ds_net *n, ds_err *err)
{
    ds_params_changed(&n->params);
    TRY(net_refresh(n, err));
    for (int32_t i = 0; i < n->c.layers; i++) {
        linear *l;
        for (int32_t j = 0; (l = net_linear(n, &n->layers[i], j)); j++)
            if (l->w && l->la)
                TRY(merge_one(n, l, err));
    }
    return 0;
}

int ds_net_add_prompt(ds_net *n, int32_t count, ds_err *err)
{
    if (count < 1 || n->prompt)
        return ds_fail(err, DS_USAGE, "a prompt of %d virtual tokens%s", (int)count,
                       n->prompt ? ", and there is one" : "");
    TRY(ds_params_add(&n->params, &n->prompt, "prompt_embeddings", count, n->c.hidden, false,
                      DS_KF32, err));
    TRY(ds_param_train(&n->params, n->prompt, err));
    return ds_params_gradients(&n->params, err);
}

int64_t ds_net_trained(const ds_net *n, int64_t *all)
{
    int64_t trained = 0, total = 0;

    for (size_t i = 0; i < n->params.n; i++) {
        total += ds_param_count(n->params.p[i]);
        trained += n->params.p[i]->train ? ds_param_count(n->params.p[i]) : 0;
    }
    if (all)
        *all = total;
    return trained;
}
