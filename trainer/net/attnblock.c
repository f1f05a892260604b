/* attnblock.c - the attention half of a layer: grouped-query (LLaMA, Qwen2) and multi-head latent
 * (DeepSeek-V2) attention.
 *
 * Latent attention: q = q_proj(x) or q_b(norm(q_a(x))); [c, k_pe] = kv_a(x); [k_nope, v] of each
 * head = kv_b(norm(c)); k_pe is rotated once and shared by all heads, so its gradient is their sum,
 * in head order.
 */
#include "net_priv.h"
#include "rotary.h"

static ds_kattn shape_of(const ds_net *n)
{
    return (ds_kattn){.heads = n->c.heads,
                      .kv_heads = n->c.kv_heads,
                      .qk_dim = ds_qk_dim(&n->c),
                      .v_dim = ds_v_dim(&n->c),
                      .scale = ds_attn_scale(&n->c)};
}

/* ---- grouped-query ---- */

static int turn(ds_net *n, void *x, int64_t t, int32_t heads, bool back, ds_err *err)
{
    const int32_t hd = n->c.head_dim;

    return n->k->rope(n->k, x, n->f, n->b->pos, n->cs, t, (int64_t)heads * hd, 0, heads, hd, hd,
                      false, back, err);
}

static int gqa_fwd(ds_net *n, const layer *l, acts *a, int64_t t, const void *x, ds_err *err)
{
    n->k->hold(n->k, x);
    TRY(lin_fwd(n, &l->q, x, t, a->q, err));
    TRY(lin_fwd(n, &l->k, x, t, a->k, err));
    TRY(lin_fwd(n, &l->v, x, t, a->v, err));
    n->k->release(n->k, x);
    TRY(turn(n, a->q, t, n->c.heads, false, err));
    return turn(n, a->k, t, n->c.kv_heads, false, err);
}

static int gqa_back(ds_net *n, const layer *l, int64_t t, void *dq, void *dk, void *dv,
                    const void *x, void *dx, ds_err *err)
{
    TRY(turn(n, dq, t, n->c.heads, true, err));
    TRY(turn(n, dk, t, n->c.kv_heads, true, err));
    n->k->hold(n->k, x);
    TRY(lin_back(n, &l->q, dq, x, t, dx, false, err));
    TRY(lin_back(n, &l->k, dk, x, t, dx, true, err));
    TRY(lin_back(n, &l->v, dv, x, t, dx, true, err));
    n->k->release(n->k, x);
    return 0;
}

/* ---- latent ---- */

static int turn_pe(ds_net *n, void *x, int64_t t, int64_t stride, int64_t first, int32_t heads,
                   int32_t hd, bool back, ds_err *err)
{
    return n->k->rope(n->k, x, n->f, n->b->pos, n->cs, t, stride, first, heads, hd, n->c.qk_rope,
                      true, back, err);
}

static char *col(const ds_net *n, void *x, int64_t i)
{
    return (char *)x + (size_t)i * ds_kfmt_size(n->f);
}

static int copy(ds_net *n, void *dst, int64_t dstride, const void *src, int64_t sstride, int64_t t,
                int64_t w, bool add, ds_err *err)
{
    return n->k->copy_cols(n->k, dst, dstride, src, sstride, n->f, t, w, add, err);
}

/* k and v of every head from kv_b's output and the shared rotated part; or back: their gradients
 * into those of the two. */
static int spread(ds_net *n, void *k, void *v, void *kvb, void *pe, int64_t t, bool back,
                  ds_err *err)
{
    const ds_modelconf *c = &n->c;
    const int64_t qk = c->qk_nope + c->qk_rope, kw = c->heads * qk,
                  vw = (int64_t)c->heads * c->v_dim;
    const int64_t one = c->qk_nope + c->v_dim, bw = c->heads * one, pw = c->kv_lora + c->qk_rope;

    for (int64_t h = 0; h < c->heads; h++) {
        if (!back) {
            TRY(copy(n, col(n, k, h * qk), kw, col(n, kvb, h * one), bw, t, c->qk_nope, false,
                     err));
            TRY(copy(n, col(n, k, h * qk + c->qk_nope), kw, pe, pw, t, c->qk_rope, false, err));
            TRY(copy(n, col(n, v, h * c->v_dim), vw, col(n, kvb, h * one + c->qk_nope), bw, t,
                     c->v_dim, false, err));
        } else {
            TRY(copy(n, col(n, kvb, h * one), bw, col(n, k, h * qk), kw, t, c->qk_nope, false,
                     err));
            TRY(copy(n, pe, pw, col(n, k, h * qk + c->qk_nope), kw, t, c->qk_rope, h > 0, err));
            TRY(copy(n, col(n, kvb, h * one + c->qk_nope), bw, col(n, v, h * c->v_dim), vw, t,
                     c->v_dim, false, err));
        }
    }
    return 0;
}

/* norm(c), dense, from the first kv_lora columns of ckv; when dense is not NULL the columns
 * themselves too. */
static int latent(ds_net *n, const layer *l, acts *a, int64_t t, void **dense, void **out,
                  ds_err *err)
{
    const ds_modelconf *c = &n->c;

    TRY(act_get(n, dense, t, c->kv_lora, err));
    TRY(act_get(n, out, t, c->kv_lora, err));
    TRY(copy(n, *dense, c->kv_lora, a->ckv, c->kv_lora + c->qk_rope, t, c->kv_lora, false, err));
    return n->k->rmsnorm(n->k, *out, a->rckv, *dense, l->kva_norm->w, n->f, t, c->kv_lora, c->eps,
                         err);
}

static int mla_fwd(ds_net *n, const layer *l, acts *a, int64_t t, const void *x, ds_err *err)
{
    const ds_modelconf *c = &n->c;
    const int64_t qk = ds_qk_dim(c), bw = (int64_t)c->heads * (c->qk_nope + c->v_dim);
    void *tmp, *norm, *kvb;
    bool done = false;

    n->k->hold(n->k, x);
    if (c->q_lora) {
        TRY(lin_fwd(n, &l->qa, x, t, a->qa, err));
        TRY(act_get(n, &tmp, t, c->q_lora, err));
        TRY(n->k->rmsnorm(n->k, tmp, a->rqa, a->qa, l->qa_norm->w, n->f, t, c->q_lora, c->eps,
                          err));
        TRY(lin_fwd(n, &l->qb, tmp, t, a->q, err));
    } else {
        TRY(lin_fwd(n, &l->q, x, t, a->q, err));
    }
    TRY(lin_fwd(n, &l->kva, x, t, a->ckv, err));
    n->k->release(n->k, x);
    TRY(turn_pe(n, a->q, t, c->heads * qk, c->qk_nope, c->heads, (int32_t)qk, false, err));
    TRY(turn_pe(n, a->ckv, t, c->kv_lora + c->qk_rope, c->kv_lora, 1, c->qk_rope, false, err));
    TRY(latent(n, l, a, t, &tmp, &norm, err));
    if (n->cache)
        TRY(ds_kvcache_keep(n, n->cache, l, norm, a, t, &done, err));
    if (done)
        return 0;
    TRY(act_get(n, &kvb, t, bw, err));
    TRY(lin_fwd(n, &l->kvb, norm, t, kvb, err));
    return spread(n, a->k, a->v, kvb, col(n, a->ckv, c->kv_lora), t, false, err);
}

static int mla_back_q(ds_net *n, const layer *l, acts *a, int64_t t, void *dq, const void *x,
                      void *dx, ds_err *err)
{
    const ds_modelconf *c = &n->c;
    void *norm, *dnorm, *dqa;

    if (!c->q_lora)
        return lin_back(n, &l->q, dq, x, t, dx, false, err);
    TRY(act_get(n, &norm, t, c->q_lora, err));
    TRY(act_get(n, &dnorm, t, c->q_lora, err));
    TRY(act_get(n, &dqa, t, c->q_lora, err));
    TRY(n->k->rmsnorm(n->k, norm, a->rqa, a->qa, l->qa_norm->w, n->f, t, c->q_lora, c->eps, err));
    TRY(lin_back(n, &l->qb, dq, norm, t, dnorm, false, err));
    TRY(n->k->rmsnorm_back(n->k, dqa, l->qa_norm->g, dnorm, a->qa, l->qa_norm->w, a->rqa, n->f, t,
                           c->q_lora, false, err));
    return lin_back(n, &l->qa, dqa, x, t, dx, false, err);
}

static int mla_back(ds_net *n, const layer *l, acts *a, int64_t t, void *dq, void *dk, void *dv,
                    const void *x, void *dx, ds_err *err)
{
    const ds_modelconf *c = &n->c;
    const int64_t qk = ds_qk_dim(c), bw = (int64_t)c->heads * (c->qk_nope + c->v_dim),
                  pw = c->kv_lora + c->qk_rope;
    void *dkvb, *dckv, *dense, *norm, *dnorm, *dc;

    TRY(act_get(n, &dkvb, t, bw, err));
    TRY(act_get(n, &dckv, t, pw, err));
    TRY(act_get(n, &dnorm, t, c->kv_lora, err));
    TRY(act_get(n, &dc, t, c->kv_lora, err));
    TRY(spread(n, dk, dv, dkvb, col(n, dckv, c->kv_lora), t, true, err));
    TRY(turn_pe(n, dq, t, c->heads * qk, c->qk_nope, c->heads, (int32_t)qk, true, err));
    TRY(turn_pe(n, dckv, t, pw, c->kv_lora, 1, c->qk_rope, true, err));
    TRY(mla_back_q(n, l, a, t, dq, x, dx, err));
    TRY(latent(n, l, a, t, &dense, &norm, err));
    TRY(lin_back(n, &l->kvb, dkvb, norm, t, dnorm, false, err));
    TRY(n->k->rmsnorm_back(n->k, dc, l->kva_norm->g, dnorm, dense, l->kva_norm->w, a->rckv, n->f, t,
                           c->kv_lora, false, err));
    TRY(copy(n, dckv, pw, dc, c->kv_lora, t, c->kv_lora, false, err));
    return lin_back(n, &l->kva, dckv, x, t, dx, true, err);
}

/* ---- both ---- */

int attn_again(ds_net *n, const layer *l, acts *a, int64_t t, ds_err *err)
{
    const ds_modelconf *c = &n->c;
    const ds_kattn p = shape_of(n);
    size_t block, used = arena_mark(n, &block);

    TRY(c->arch == DS_DEEPSEEK_V2 ? mla_fwd(n, l, a, t, n->x, err)
                                  : gqa_fwd(n, l, a, t, n->x, err));
    if (n->cache)
        TRY(ds_kvcache_attend(n, n->cache, l, a, &p, t, err));
    else
        TRY(n->k->attention(n->k, a->o, a->lse, a->q, a->k, a->v, n->f, &p, &n->b->seqs, err));
    arena_back(n, block, used);
    return 0;
}

int attn_fwd(ds_net *n, const layer *l, acts *a, int64_t t, ds_err *err)
{
    const int64_t d = n->c.hidden;
    size_t block, used = arena_mark(n, &block);
    void *y;

    TRY(attn_again(n, l, a, t, err));
    TRY(act_get(n, &y, t, d, err));
    TRY(lin_fwd(n, &l->o, a->o, t, y, err));
    TRY(n->k->add_rmsnorm(n->k, a->mid, n->x, a->r2, a->h, y, l->norm2->w, n->f, t, d, n->c.eps,
                          err));
    arena_back(n, block, used);
    return 0;
}

int attn_back(ds_net *n, const layer *l, acts *a, int64_t t, void *dh, bool want_dx, ds_err *err)
{
    const ds_modelconf *c = &n->c;
    const ds_kattn p = shape_of(n);
    size_t block, used = arena_mark(n, &block);
    void *dx, *dout, *dq, *dk, *dv;

    TRY(act_get(n, &dx, t, c->hidden, err));
    TRY(act_get(n, &dout, t, (int64_t)p.heads * p.v_dim, err));
    TRY(act_get(n, &dq, t, (int64_t)p.heads * p.qk_dim, err));
    TRY(act_get(n, &dk, t, (int64_t)p.kv_heads * p.qk_dim, err));
    TRY(act_get(n, &dv, t, (int64_t)p.kv_heads * p.v_dim, err));
    TRY(lin_back(n, &l->o, dh, a->o, t, dout, false, err));
    TRY(n->k->attention_back(n->k, dq, dk, dv, dout, a->q, a->k, a->v, a->o, a->lse, n->f, &p,
                             &n->b->seqs, err));
    TRY(c->arch == DS_DEEPSEEK_V2
            ? mla_back(n, l, a, t, dq, dk, dv, n->x, dx, err)
            : gqa_back(n, l, t, dq, dk, dv, n->x, want_dx || l->norm1->train ? dx : NULL, err));
    if (want_dx || l->norm1->train)
        TRY(n->k->rmsnorm_back(n->k, dh, l->norm1->g, dx, a->h, l->norm1->w, a->r1, n->f, t,
                               c->hidden, true, err));
    arena_back(n, block, used);
    return 0;
}
