/* kvcache.c - a text that goes on: see net.h. */
#include <stdlib.h>
#include <string.h>

#include "net_priv.h"

static size_t row_bytes(const ds_net *n, bool key)
{
    return (size_t)n->c.kv_heads * (size_t)(key ? ds_qk_dim(&n->c) : ds_v_dim(&n->c)) *
           fmt_size(n->f);
}

int ds_kvcache_new(ds_kvcache **out, ds_net *n, int64_t positions, ds_err *err)
{
    const int32_t layers = n->c.layers;
    ds_kvcache *c = calloc(1, sizeof *c);
    int rc = 0;

    if (!c)
        return ds_fail_nomem(err);
    *c = (ds_kvcache){.k = n->k,
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
        rc = n->k->alloc(n->k, &c->keys[i], (size_t)positions * row_bytes(n, true), err);
        rc = rc ? rc
                : n->k->alloc(n->k, &c->values[i], (size_t)positions * row_bytes(n, false), err);
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
        if (c->values)
            c->k->free(c->k, c->values[i]);
    }
    free(c->keys);
    free(c->values);
    free(c);
}

int ds_kvcache_attend(ds_net *n, ds_kvcache *c, int32_t i, acts *a, const ds_kattn *p, int64_t t,
                      ds_err *err)
{
    const size_t kw = row_bytes(n, true), vw = row_bytes(n, false), at = (size_t)c->past;
    char *keys = c->keys[i], *values = c->values[i];
    ds_kernels *k = n->k;

    TRY(k->convert(k, keys + at * kw, n->f, a->k, n->f, t * (int64_t)(kw / fmt_size(n->f)), err));
    TRY(k->convert(k, values + at * vw, n->f, a->v, n->f, t * (int64_t)(vw / fmt_size(n->f)), err));
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
    TRY(net_forward(n, b->t, n->c.layers, DS_AGAIN_NONE, &last, err));
    TRY(act_get(n, &y, 1, d, err));
    TRY(arena_get(n, &r, 4, err));
    TRY(arena_get(n, &z, (size_t)vocab * 4, err));
    TRY(k->rmsnorm(k, y, r, (char *)last + (size_t)((b->t - 1) * d) * fmt_size(n->f), n->norm->w,
                   n->f, 1, d, n->c.eps, err));
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
        rc = dora_refresh(n, err);
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
