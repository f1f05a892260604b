/* mlpblock.c - the feed-forward half of a layer: SwiGLU, and beside it or in its place experts.c.
 */
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

/* One SwiGLU: out (+)= down(silu(gate x) * up x). */
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
        TRY(n->k->zero(n->k, y, (size_t)(t * d) * ds_kfmt_size(n->f), err));
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
        TRY(n->k->zero(n->k, dx, (size_t)(t * d) * ds_kfmt_size(n->f), err));
    if (l->moe)
        TRY(moe_back(n, l, a, t, dh, n->x, dx, err));
    TRY(n->k->rmsnorm_back(n->k, dh, l->norm2->g, dx, a->mid, l->norm2->w, a->r2, n->f, t, d, true,
                           err));
    arena_back(n, block, used);
    return 0;
}
