/* mlpblock.c - the feed-forward half of a layer: SwiGLU, and the mixture of experts of DeepSeek-V2.
 *
 * Experts: softmax gate in f32, the k largest, weights times routed_scaling_factor; y = sum_s w_s
 * E_s(x) + shared(x). Tokens are sorted by (expert, token) with a counting sort, each expert works
 * on its own rows, and results are added in that order: nothing races.
 */
#include <stdlib.h>
#include <string.h>

#include "net_priv.h"

/* ---- one SwiGLU: out (+)= down(silu(gate x) * up x) ---- */

static int glu_in(ds_net *n, const linear *g, const linear *u, const void *x, int64_t t, void *gate,
                  void *up, ds_err *err)
{
    n->k->hold(n->k, x);
    TRY(lin_fwd(n, g, x, t, gate, err));
    TRY(lin_fwd(n, u, x, t, up, err));
    n->k->release(n->k, x);
    return 0;
}

static int glu_fwd(ds_net *n, const linear *g, const linear *u, const linear *d, const void *x,
                   int64_t t, void *gate, void *up, void *out, ds_err *err)
{
    const int64_t w = g->w->rows;
    size_t block, used = arena_mark(n, &block);
    void *s;

    TRY(glu_in(n, g, u, x, t, gate, up, err));
    TRY(act_get(n, &s, t, w, err));
    TRY(n->k->swiglu(n->k, s, gate, up, n->f, t * w, err));
    TRY(lin_fwd(n, d, s, t, out, err));
    arena_back(n, block, used);
    return 0;
}

static int glu_back(ds_net *n, const linear *g, const linear *u, const linear *d, const void *dout,
                    const void *x, int64_t t, const void *gate, const void *up, void *dx,
                    bool accumulate, ds_err *err)
{
    const int64_t w = g->w->rows;
    size_t block, used = arena_mark(n, &block);
    void *s, *ds, *dg, *du;

    TRY(act_get(n, &s, t, w, err));
    TRY(act_get(n, &ds, t, w, err));
    TRY(act_get(n, &dg, t, w, err));
    TRY(act_get(n, &du, t, w, err));
    TRY(n->k->swiglu(n->k, s, gate, up, n->f, t * w, err));
    TRY(lin_back(n, d, dout, s, t, ds, false, err));
    TRY(n->k->swiglu_back(n->k, dg, du, ds, gate, up, n->f, t * w, err));
    n->k->hold(n->k, x);
    TRY(lin_back(n, g, dg, x, t, dx, accumulate, err));
    TRY(lin_back(n, u, du, x, t, dx, true, err));
    n->k->release(n->k, x);
    arena_back(n, block, used);
    return 0;
}

/* ---- experts ---- */

static char *row_of(const ds_net *n, void *base, int64_t row, int64_t d)
{
    return (char *)base + (size_t)(row * d) * fmt_size(n->f);
}

/* Counting sort of the T*k choices by expert; within one, by token and then by place. */
static int sort_choices(const ds_net *n, choices *c, int64_t t, ds_err *err)
{
    const int32_t e = n->c.experts, k = n->c.experts_used;
    int32_t *at = calloc((size_t)e + 1, sizeof *at);

    if (!at)
        return ds_fail_nomem(err);
    for (int64_t i = 0; i < t * k; i++)
        at[c->idx[i] + 1]++;
    for (int32_t x = 0; x < e; x++)
        at[x + 1] += at[x];
    memcpy(c->first, at, ((size_t)e + 1) * sizeof *at);
    for (int64_t i = 0; i < t * k; i++) {
        const int32_t to = at[c->idx[i]]++;
        c->rows[to] = (int32_t)(i / k);
        c->slot[to] = (int32_t)i;
        c->sorted[i] = to;
    }
    free(at);
    return 0;
}

/* The weights of the choices, as they are sorted. */
static int sorted_weights(ds_net *n, const acts *a, void **w, int64_t total, ds_err *err)
{
    TRY(arena_get(n, w, (size_t)total * 4, err));
    return n->k->gather(n->k, *w, a->topw, DS_KF32, a->chosen->slot, total, 1, err);
}

/* out (+)= the experts' part; NULL: only what the way back needs. */
static int moe_fwd(ds_net *n, const layer *l, acts *a, int64_t t, const void *x, void *out,
                   ds_err *err)
{
    const ds_modelconf *c = &n->c;
    const int64_t d = c->hidden, total = t * c->experts_used;
    size_t block, used = arena_mark(n, &block);
    const choices *ch = a->chosen;
    void *logits, *xs, *w;

    TRY(arena_get(n, &logits, (size_t)(t * c->experts) * 4, err));
    TRY(n->k->matmul(n->k, logits, DS_KF32, x, n->f, false, l->router->w, l->router->f, true, t,
                     c->experts, d, 1.0f, false, err));
    TRY(n->k->topk(n->k, a->prob, ch->idx, a->topw, logits, DS_KF32, t, c->experts, c->experts_used,
                   c->routed_scale, c->norm_topk, err));
    TRY(sort_choices(n, a->chosen, t, err));
    TRY(act_get(n, &xs, total, d, err));
    TRY(n->k->gather(n->k, xs, x, n->f, ch->rows, total, d, err));
    for (int32_t e = 0; e < c->experts; e++) {
        const int64_t r0 = ch->first[e], r = ch->first[e + 1] - r0;
        const linear *p = &l->experts[3 * e];
        n->drop_rows = ch->rows + r0;
        if (r > 0)
            TRY(glu_fwd(n, p, p + 1, p + 2, row_of(n, xs, r0, d), r,
                        row_of(n, a->xgate, r0, c->moe_ffn), row_of(n, a->xup, r0, c->moe_ffn),
                        row_of(n, a->xout, r0, d), err));
    }
    n->drop_rows = NULL;
    if (out) {
        TRY(sorted_weights(n, a, &w, total, err));
        TRY(n->k->scatter_add(n->k, out, a->xout, n->f, ch->rows, w, total, d, err));
    }
    arena_back(n, block, used);
    return 0;
}

/* Gradient of the gate: of dw[t,s] = dout[t] . E_s(x)[t]. */
static int router_back(ds_net *n, const layer *l, acts *a, int64_t t, const void *douts,
                       const void *x, void *dx, ds_err *err)
{
    const ds_modelconf *c = &n->c;
    const int64_t d = c->hidden, total = t * c->experts_used;
    void *dws, *dw, *dl;

    TRY(arena_get(n, &dws, (size_t)total * 4, err));
    TRY(arena_get(n, &dw, (size_t)total * 4, err));
    TRY(arena_get(n, &dl, (size_t)(t * c->experts) * 4, err));
    TRY(n->k->row_dot(n->k, dws, douts, a->xout, n->f, total, d, err));
    TRY(n->k->gather(n->k, dw, dws, DS_KF32, a->chosen->sorted, total, 1, err));
    TRY(n->k->topk_back(n->k, dl, DS_KF32, a->prob, a->chosen->idx, dw, t, c->experts,
                        c->experts_used, c->routed_scale, c->norm_topk, err));
    if (l->router->train)
        TRY(n->k->matmul(n->k, l->router->g, DS_KF32, dl, DS_KF32, true, x, n->f, false, c->experts,
                         d, t, 1.0f, true, err));
    return n->k->matmul(n->k, dx, n->f, dl, DS_KF32, false, l->router->w, l->router->f, false, t, d,
                        c->experts, 1.0f, true, err);
}

static int moe_back(ds_net *n, const layer *l, acts *a, int64_t t, const void *dout, const void *x,
                    void *dx, ds_err *err)
{
    const ds_modelconf *c = &n->c;
    const int64_t d = c->hidden, total = t * c->experts_used;
    size_t block, used = arena_mark(n, &block);
    const choices *ch = a->chosen;
    void *xs, *douts, *scaled, *dxs, *w;

    TRY(act_get(n, &xs, total, d, err));
    TRY(act_get(n, &douts, total, d, err));
    TRY(act_get(n, &scaled, total, d, err));
    TRY(act_get(n, &dxs, total, d, err));
    TRY(n->k->gather(n->k, xs, x, n->f, ch->rows, total, d, err));
    TRY(n->k->gather(n->k, douts, dout, n->f, ch->rows, total, d, err));
    TRY(sorted_weights(n, a, &w, total, err));
    TRY(n->k->zero(n->k, scaled, (size_t)(total * d) * fmt_size(n->f), err));
    int32_t *self = malloc((size_t)(total ? total : 1) * sizeof *self);
    if (!self)
        return ds_fail_nomem(err);
    for (int64_t i = 0; i < total; i++)
        self[i] = (int32_t)i;
    int rc = n->k->scatter_add(n->k, scaled, douts, n->f, self, w, total, d, err);
    free(self);
    TRY(rc);
    for (int32_t e = 0; e < c->experts; e++) {
        const int64_t r0 = ch->first[e], r = ch->first[e + 1] - r0;
        const linear *p = &l->experts[3 * e];
        n->drop_rows = ch->rows + r0;
        if (r > 0)
            TRY(glu_back(n, p, p + 1, p + 2, row_of(n, scaled, r0, d), row_of(n, xs, r0, d), r,
                         row_of(n, a->xgate, r0, c->moe_ffn), row_of(n, a->xup, r0, c->moe_ffn),
                         row_of(n, dxs, r0, d), false, err));
    }
    n->drop_rows = NULL;
    TRY(n->k->scatter_add(n->k, dx, dxs, n->f, ch->rows, NULL, total, d, err));
    TRY(router_back(n, l, a, t, douts, x, dx, err));
    arena_back(n, block, used);
    return 0;
}

/* ---- both ---- */

int mlp_fwd(ds_net *n, const layer *l, acts *a, int64_t t, void *out, const ds_param *gain,
            float *rstd, ds_err *err)
{
    const int64_t d = n->c.hidden;
    size_t block, used = arena_mark(n, &block);
    void *y;

    TRY(act_get(n, &y, t, d, err));
    if (l->has_dense)
        TRY(glu_fwd(n, &l->gate, &l->up, &l->down, n->x, t, a->gate, a->up, y, err));
    else
        TRY(n->k->zero(n->k, y, (size_t)(t * d) * fmt_size(n->f), err));
    if (l->moe)
        TRY(moe_fwd(n, l, a, t, n->x, y, err));
    TRY(gain ? n->k->add_rmsnorm(n->k, out, n->x, rstd, a->mid, y, gain->w, n->f, t, d, n->c.eps,
                                 err)
             : n->k->add(n->k, out, a->mid, y, 1.0f, n->f, t * d, err));
    arena_back(n, block, used);
    return 0;
}

int mlp_again(ds_net *n, const layer *l, acts *a, int64_t t, ds_err *err)
{
    size_t block, used = arena_mark(n, &block);

    if (l->has_dense)
        TRY(glu_in(n, &l->gate, &l->up, n->x, t, a->gate, a->up, err));
    if (l->moe)
        TRY(moe_fwd(n, l, a, t, n->x, NULL, err));
    arena_back(n, block, used);
    return 0;
}

int mlp_back(ds_net *n, const layer *l, acts *a, int64_t t, void *dh, ds_err *err)
{
    const int64_t d = n->c.hidden;
    size_t block, used = arena_mark(n, &block);
    void *dx;

    TRY(act_get(n, &dx, t, d, err));
    if (l->has_dense)
        TRY(glu_back(n, &l->gate, &l->up, &l->down, dh, n->x, t, a->gate, a->up, dx, false, err));
    else
        TRY(n->k->zero(n->k, dx, (size_t)(t * d) * fmt_size(n->f), err));
    if (l->moe)
        TRY(moe_back(n, l, a, t, dh, n->x, dx, err));
    TRY(n->k->rmsnorm_back(n->k, dh, l->norm2->g, dx, a->mid, l->norm2->w, a->r2, n->f, t, d, true,
                           err));
    arena_back(n, block, used);
    return 0;
}
