/* kvcache.c - a text that goes on: see net.h.
 *
 * Latent attention (DeepSeek-V2 2024, 2.1.2): with kv_b of a head as [Wk; Wv], q.k is (q
 * Wk).norm(c), and the sum over v is Wv of the sum over norm(c). So all heads share one key of
 * kv_lora + qk_rope numbers, which is its own value too; what comes out beside norm(c)'s part is
 * not used.
 */
#include <stdlib.h>
#include <string.h>

#include "net_priv.h"

static int64_t latent_width(const ds_net *n)
{
    return n->c.kv_lora + n->c.qk_rope;
}

#define WIDEST 256 /* head that every backend has attention for; the CPU has it for any */

/* The weights of kv_b are taken apart by heads: not those of adapters. */
static bool can_be_latent(const ds_net *n)
{
    bool can = n->c.arch == DS_DEEPSEEK_V2 &&
               (latent_width(n) <= WIDEST || strcmp(n->k->name, "cpu") == 0);

    for (int32_t i = 0; i < n->c.layers; i++)
        can = can && !n->layers[i].kvb.la;
    return can;
}

static size_t key_bytes(const ds_net *n, bool latent)
{
    return (size_t)(latent ? latent_width(n) : n->c.kv_heads * ds_qk_dim(&n->c)) *
           ds_kfmt_size(n->f);
}

static size_t value_bytes(const ds_net *n)
{
    return (size_t)n->c.kv_heads * (size_t)ds_v_dim(&n->c) * ds_kfmt_size(n->f);
}

int ds_kvcache_new(ds_kvcache **out, ds_net *n, int64_t positions, ds_err *err)
{
    const int32_t layers = n->c.layers;
    ds_kvcache *c = calloc(1, sizeof *c);
    int rc = 0;

    if (!c)
        return ds_fail_nomem(err);
    *c = (ds_kvcache){.k = n->k,
                      .latent = can_be_latent(n),
                      .layers = layers,
                      .positions = positions,
                      .keys = calloc((size_t)layers, sizeof *c->keys),
                      .values = calloc((size_t)layers, sizeof *c->values)};
    if (positions < 1 || positions > n->positions)
        rc = ds_fail(err, DS_FAIL, "a text of %lld tokens: the context is %d", (long long)positions,
                     (int)n->positions);
    else if (!c->keys || !c->values)
        rc = ds_fail_nomem(err);
    for (int32_t i = 0; !rc && i < layers; i++) {
        rc = n->k->alloc(n->k, &c->keys[i], (size_t)positions * key_bytes(n, c->latent), err);
        if (!rc && !c->latent)
            rc = n->k->alloc(n->k, &c->values[i], (size_t)positions * value_bytes(n), err);
    }
    if (rc)
        ds_kvcache_free(c);
    else
        *out = c;
    return rc;
}

void ds_kvcache_clear(ds_kvcache *c)
{
    c->past = 0;
}

int64_t ds_kvcache_len(const ds_kvcache *c)
{
    return c->past;
}

void ds_kvcache_free(ds_kvcache *c)
{
    if (!c)
        return;
    for (int32_t i = 0; i < c->layers; i++) {
        if (c->keys)
            c->k->free(c->k, c->keys[i]);
        if (c->values && c->values[i])
            c->k->free(c->k, c->values[i]);
    }
    free(c->keys);
    free(c->values);
    free(c);
}

static char *col(const ds_net *n, void *x, int64_t i)
{
    return (char *)x + (size_t)i * ds_kfmt_size(n->f);
}

int ds_kvcache_keep(ds_net *n, ds_kvcache *c, const layer *l, const void *norm, const acts *a,
                    int64_t t, bool *done, ds_err *err)
{
    const int64_t lora = n->c.kv_lora, wide = latent_width(n);
    char *rows = c->keys[l - n->layers];

    if (!c->latent)
        return 0;
    rows = col(n, rows, c->past * wide);
    *done = c->past > 0;
    TRY(n->k->copy_cols(n->k, rows, wide, norm, lora, n->f, t, lora, false, err));
    return n->k->copy_cols(n->k, col(n, rows, lora), wide, col(n, a->ckv, lora), wide, n->f, t,
                           n->c.qk_rope, false, err);
}

/* Columns [first, first + n) of x[t][stride] as a matrix of their own: in place where it is one
 * row, else in `room`, to which they are copied. */
static int columns(ds_net *n, void **m, void *room, void *x, int64_t stride, int64_t first,
                   int64_t t, int64_t w, bool copy, ds_err *err)
{
    *m = t == 1 ? col(n, x, first) : room;
    return t == 1 || !copy
               ? 0
               : n->k->copy_cols(n->k, room, w, col(n, x, first), stride, n->f, t, w, false, err);
}

static int put_columns(ds_net *n, const void *m, void *x, int64_t stride, int64_t first, int64_t t,
                       int64_t w, ds_err *err)
{
    return t == 1 ? 0
                  : n->k->copy_cols(n->k, col(n, x, first), stride, m, w, n->f, t, w, false, err);
}

/* Queries as they meet the latent keys: q_nope Wk of each head, and its rotated part. */
static int latent_queries(ds_net *n, const layer *l, const acts *a, int64_t t, void *out,
                          ds_err *err)
{
    const ds_modelconf *c = &n->c;
    const int64_t qk = ds_qk_dim(c), one = c->qk_nope + c->v_dim, wide = latent_width(n);
    const int64_t in = c->heads * qk, to = c->heads * wide;
    ds_kernels *k = n->k;
    void *rooms[2], *q, *y;

    TRY(act_get(n, &rooms[0], t, c->qk_nope, err));
    TRY(act_get(n, &rooms[1], t, c->kv_lora, err));
    for (int64_t h = 0; h < c->heads; h++) {
        TRY(columns(n, &q, rooms[0], a->q, in, h * qk, t, c->qk_nope, true, err));
        TRY(columns(n, &y, rooms[1], out, to, h * wide, t, c->kv_lora, false, err));
        TRY(k->matmul(k, y, n->f, q, n->f, false, col(n, l->kvb.w->w, h * one * c->kv_lora), n->f,
                      false, t, c->kv_lora, c->qk_nope, 1.0f, false, err));
        TRY(put_columns(n, y, out, to, h * wide, t, c->kv_lora, err));
        TRY(k->copy_cols(k, col(n, out, h * wide + c->kv_lora), to,
                         col(n, a->q, h * qk + c->qk_nope), in, n->f, t, c->qk_rope, false, err));
    }
    return 0;
}

/* a->o of sums over latent rows: Wv of each head. */
static int latent_values(ds_net *n, const layer *l, void *sums, int64_t t, acts *a, ds_err *err)
{
    const ds_modelconf *c = &n->c;
    const int64_t one = c->qk_nope + c->v_dim, wide = latent_width(n);
    const int64_t in = c->heads * wide, to = (int64_t)c->heads * c->v_dim;
    ds_kernels *k = n->k;
    void *rooms[2], *x, *y;

    TRY(act_get(n, &rooms[0], t, c->kv_lora, err));
    TRY(act_get(n, &rooms[1], t, c->v_dim, err));
    for (int64_t h = 0; h < c->heads; h++) {
        TRY(columns(n, &x, rooms[0], sums, in, h * wide, t, c->kv_lora, true, err));
        TRY(columns(n, &y, rooms[1], a->o, to, h * c->v_dim, t, c->v_dim, false, err));
        TRY(k->matmul(k, y, n->f, x, n->f, false,
                      col(n, l->kvb.w->w, (h * one + c->qk_nope) * c->kv_lora), n->f, true, t,
                      c->v_dim, c->kv_lora, 1.0f, false, err));
        TRY(put_columns(n, y, a->o, to, h * c->v_dim, t, c->v_dim, err));
    }
    return 0;
}

static int attend_latent(ds_net *n, ds_kvcache *c, const layer *l, acts *a, const ds_kattn *p,
                         int64_t t, ds_err *err)
{
    const int32_t wide = (int32_t)latent_width(n);
    const ds_kattn one = {
        .heads = p->heads, .kv_heads = 1, .qk_dim = wide, .v_dim = wide, .scale = p->scale};
    const void *rows = c->keys[l - n->layers];
    void *q, *sums;

    if (!c->past) /* the heads' own keys and values are there */
        return n->k->attention_past(n->k, a->o, a->q, a->k, a->v, n->f, p, 0, t, err);
    TRY(act_get(n, &q, t, (int64_t)p->heads * wide, err));
    TRY(act_get(n, &sums, t, (int64_t)p->heads * wide, err));
    TRY(latent_queries(n, l, a, t, q, err));
    TRY(n->k->attention_past(n->k, sums, q, rows, rows, n->f, &one, c->past, t, err));
    return latent_values(n, l, sums, t, a, err);
}

int ds_kvcache_attend(ds_net *n, ds_kvcache *c, const layer *l, acts *a, const ds_kattn *p,
                      int64_t t, ds_err *err)
{
    const size_t kw = key_bytes(n, false), vw = value_bytes(n), past = (size_t)c->past;
    char *keys = c->keys[l - n->layers], *values = c->values[l - n->layers];
    ds_kernels *k = n->k;

    if (c->latent)
        return attend_latent(n, c, l, a, p, t, err);
    TRY(k->convert(k, keys + past * kw, n->f, a->k, n->f, t * (int64_t)(kw / ds_kfmt_size(n->f)),
                   err));
    TRY(k->convert(k, values + past * vw, n->f, a->v, n->f, t * (int64_t)(vw / ds_kfmt_size(n->f)),
                   err));
    return k->attention_past(k, a->o, a->q, keys, values, n->f, p, c->past, t, err);
}

/* Layers and logits of a checked batch. */
static int feed(ds_net *n, const ds_netbatch *b, const int32_t *ids, float *logits, ds_err *err)
{
    ds_kernels *k = n->k;
    const int64_t d = n->c.hidden, vocab = n->c.vocab;
    void *last, *y, *r, *z;

    TRY(act_get(n, &n->acts[0].h, b->t, d, err));
    TRY(net_embed(n, b, ids, n->acts[0].h, err));
    TRY(net_forward(n, b->t, n->c.layers, DS_AGAIN_NONE, NULL, &last, err));
    TRY(act_get(n, &y, 1, d, err));
    TRY(arena_get(n, &r, 4, err));
    TRY(arena_get(n, &z, (size_t)vocab * 4, err));
    TRY(k->rmsnorm(k, y, r, (char *)last + (size_t)((b->t - 1) * d) * ds_kfmt_size(n->f),
                   n->norm->w, n->f, 1, d, n->c.eps, err));
    TRY(k->matmul(k, z, DS_KF32, y, n->f, false, n->head->w, n->f, true, 1, vocab, d, 1.0f, false,
                  err));
    return k->download(k, logits, z, (size_t)vocab * 4, err);
}

int ds_net_next(ds_net *n, ds_kvcache *c, const int32_t *ids, int64_t t, float *logits, ds_err *err)
{
    int32_t *pos, *real = NULL;
    float *weight;
    int rc = 0;

    if (t < 1 || c->past + t > c->positions)
        return ds_fail(err, DS_FAIL, "%lld more tokens after %lld: there is room for %lld",
                       (long long)t, (long long)c->past, (long long)c->positions);
    pos = calloc((size_t)t * 2, sizeof *pos);
    weight = calloc((size_t)t, sizeof *weight);
    if (!pos || !weight)
        rc = ds_fail_nomem(err);
    for (int64_t i = 0; !rc && i < t; i++)
        pos[i] = (int32_t)(c->past + i);
    const ds_netbatch b = {
        .t = t, .ids = ids, .pos = pos, .target = pos ? pos + t : NULL, .weight = weight};
    net_begin(n, &b, false);
    n->cache = c;
    rc = rc ? rc : net_ids(n, &b, &real, err);
    if (!rc && !c->past)
        rc = net_refresh(n, err);
    rc = rc ? rc : feed(n, &b, real, logits, err);
    if (!rc)
        c->past += t;
    n->cache = NULL;
    n->b = NULL;
    free(real);
    free(pos);
    free(weight);
    return rc;
}
