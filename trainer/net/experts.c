/* experts.c - the mixture of experts of DeepSeek-V2: softmax gate in f32, the k largest, weights
 * times routed_scaling_factor; y = sum_s w_s E_s(x) + shared(x).
 *
 * Tokens are sorted by (expert, token) with a counting sort, each expert works on its own rows, and
 * results are added in that order: nothing races. Products of one form are asked for together, for
 * all experts of the layer; where adapters have dropout or magnitudes, expert by expert.
 */
#include <stdlib.h>
#include <string.h>

#include "net_priv.h"

enum { GATE, UP, DOWN, EACH };

static char *row_of(const ds_net *n, void *base, int64_t row, int64_t d)
{
    return (char *)base + (size_t)(row * d) * ds_kfmt_size(n->f);
}

/* ---- products of all experts ---- */

/* Is there nothing about them but products? */
static bool plain(const ds_net *n, const layer *l)
{
    for (int32_t i = 0; i < EACH * n->c.experts; i++) {
        const linear *p = &l->experts[i];
        if (p->b || p->mag || (p->la && n->dropout && p->drop > 0))
            return false;
    }
    return true;
}

static int room_for_groups(ds_net *n, ds_err *err)
{
    if (!n->groups)
        n->groups = malloc((size_t)(EACH * n->c.experts) * sizeof *n->groups);
    return n->groups ? 0 : ds_fail_nomem(err);
}

/* Rows of a matrix of all chosen rows, d wide, of one expert. */
static void *part(const ds_net *n, const choices *ch, void *base, int32_t e, int64_t d)
{
    return row_of(n, base, ch->first[e], d);
}

static int64_t rows_of(const choices *ch, int32_t e)
{
    return ch->first[e + 1] - ch->first[e];
}

/* Rank of an expert's adapter; 0: it has none. */
static int64_t rank_of(const linear *p)
{
    return p->la ? p->la->rows : 0;
}

/* What adapters make of rows in between: one of the three projections, and its largest rank. */
typedef struct inner {
    void *at[EACH]; /* NULL: nobody has an adapter there */
    int64_t rank[EACH];
} inner;

/* Room for s A x, or s dy B, of the projections [from, to). */
static int inner_get(ds_net *n, const layer *l, inner *in, int from, int to, ds_err *err)
{
    const int64_t total = l->chosen.first[n->c.experts];

    for (int w = from; w < to; w++) {
        in->rank[w] = 0;
        in->at[w] = NULL;
        for (int32_t e = 0; e < n->c.experts; e++) {
            const int64_t r = rank_of(&l->experts[EACH * e + w]);
            in->rank[w] = r > in->rank[w] ? r : in->rank[w];
        }
        if (in->rank[w])
            TRY(act_get(n, &in->at[w], total, in->rank[w], err));
    }
    return 0;
}

static float scale_of(const ds_net *n, const layer *l)
{
    for (int32_t i = 0; i < EACH * n->c.experts; i++)
        if (l->experts[i].la)
            return l->experts[i].s; /* of one configuration: the same for all */
    return 1.0f;
}

static int multiply(ds_net *n, int64_t count, enum ds_kfmt fc, bool ta, bool tb, bool add,
                    float alpha, ds_err *err)
{
    const ds_kgroups p = {n->groups, count, fc, n->f, ta, tb, add, alpha};

    return count ? n->k->matmul_groups(n->k, &p, err) : 0;
}

/* in = s A x of the projections [from, to), which read the same rows. */
static int down_rank(ds_net *n, const layer *l, const inner *in, int from, int to, void *x,
                     ds_err *err)
{
    const choices *ch = &l->chosen;
    int64_t count = 0;

    for (int32_t e = 0; e < n->c.experts; e++)
        for (int w = from; w < to; w++) {
            const linear *p = &l->experts[EACH * e + w];
            const int64_t k = p->w->cols;
            if (p->la)
                n->groups[count++] = (ds_kgroup){part(n, ch, in->at[w], e, in->rank[w]),
                                                 {{part(n, ch, x, e, k), p->la->w, k}, {.k = 0}},
                                                 rows_of(ch, e),
                                                 rank_of(p)};
        }
    return multiply(n, count, n->f, false, true, false, scale_of(n, l), err);
}

/* y = W x + B in of the projections [from, to). */
static int forward(ds_net *n, const layer *l, int from, int to, void *x, void *const *y,
                   ds_err *err)
{
    const choices *ch = &l->chosen;
    size_t block, used = arena_mark(n, &block);
    int64_t count = 0;
    inner in;

    TRY(inner_get(n, l, &in, from, to, err));
    TRY(down_rank(n, l, &in, from, to, x, err));
    for (int32_t e = 0; e < n->c.experts; e++)
        for (int w = from; w < to; w++) {
            const linear *p = &l->experts[EACH * e + w];
            const int64_t k = p->w->cols, r = rank_of(p);
            n->groups[count++] = (ds_kgroup){
                part(n, ch, y[w - from], e, p->w->rows),
                {{part(n, ch, x, e, k), p->w->w, k},
                 {r ? part(n, ch, in.at[w], e, in.rank[w]) : NULL, r ? p->lb->w : NULL, r}},
                rows_of(ch, e),
                p->w->rows};
        }
    TRY(multiply(n, count, n->f, false, true, false, 1.0f, err));
    arena_back(n, block, used);
    return 0;
}

enum member { OF_W, OF_A, OF_B };

static ds_param *member_of(const linear *p, enum member m)
{
    return m == OF_W ? p->w : m == OF_A ? p->la : p->lb;
}

/* Gradients of what is trained of projection w: += a' b over each expert's rows. */
static int weights_back(ds_net *n, const layer *l, int w, enum member m, void *a, int64_t a_wide,
                        void *b, int64_t b_wide, ds_err *err)
{
    const choices *ch = &l->chosen;
    int64_t count = 0;

    for (int32_t e = 0; e < n->c.experts; e++) {
        const ds_param *p = member_of(&l->experts[EACH * e + w], m);
        if (p && p->train)
            n->groups[count++] = (ds_kgroup){
                p->g,
                {{part(n, ch, a, e, a_wide), part(n, ch, b, e, b_wide), rows_of(ch, e)}, {.k = 0}},
                p->rows,
                p->cols};
    }
    return multiply(n, count, DS_KF32, true, false, true, 1.0f, err);
}

/* Of the adapters of projection w: *da = s dy B, and their gradients. */
static int adapters_back(ds_net *n, const layer *l, int w, void *dy, void *x, inner *da,
                         ds_err *err)
{
    const linear *one = &l->experts[w];
    const int64_t out = one->w->rows, in = one->w->cols;
    const choices *ch = &l->chosen;
    int64_t count = 0;
    inner xa;

    TRY(inner_get(n, l, da, w, w + 1, err));
    if (!da->rank[w])
        return 0;
    TRY(inner_get(n, l, &xa, w, w + 1, err));
    TRY(down_rank(n, l, &xa, w, w + 1, x, err));
    for (int32_t e = 0; e < n->c.experts; e++) {
        const linear *p = &l->experts[EACH * e + w];
        if (p->la)
            n->groups[count++] = (ds_kgroup){part(n, ch, da->at[w], e, da->rank[w]),
                                             {{part(n, ch, dy, e, out), p->lb->w, out}, {.k = 0}},
                                             rows_of(ch, e),
                                             rank_of(p)};
    }
    TRY(multiply(n, count, n->f, false, false, false, scale_of(n, l), err));
    TRY(weights_back(n, l, w, OF_B, dy, out, xa.at[w], xa.rank[w], err));
    return weights_back(n, l, w, OF_A, da->at[w], da->rank[w], x, in, err);
}

/* Gradients of projection w, and dx (+)= dy W + s dy B A. */
static int backward(ds_net *n, const layer *l, int w, void *dy, void *x, void *dx, bool accumulate,
                    ds_err *err)
{
    const linear *one = &l->experts[w];
    const int64_t out = one->w->rows, in = one->w->cols;
    size_t block, used = arena_mark(n, &block);
    const choices *ch = &l->chosen;
    inner da;

    TRY(weights_back(n, l, w, OF_W, dy, out, x, in, err));
    TRY(adapters_back(n, l, w, dy, x, &da, err));
    for (int32_t e = 0; e < n->c.experts; e++) {
        const linear *p = &l->experts[EACH * e + w];
        const int64_t r = rank_of(p);
        n->groups[e] =
            (ds_kgroup){part(n, ch, dx, e, in),
                        {{part(n, ch, dy, e, out), p->w->w, out},
                         {r ? part(n, ch, da.at[w], e, da.rank[w]) : NULL, r ? p->la->w : NULL, r}},
                        rows_of(ch, e),
                        in};
    }
    TRY(multiply(n, n->c.experts, n->f, false, false, accumulate, 1.0f, err));
    arena_back(n, block, used);
    return 0;
}

/* xout = E(xs) for all chosen rows. */
static int together_fwd(ds_net *n, const layer *l, acts *a, void *xs, ds_err *err)
{
    const int64_t each = l->chosen.first[n->c.experts] * n->c.moe_ffn;
    void *const in[] = {a->xgate, a->xup}, *const out[] = {a->xout};
    size_t block, used = arena_mark(n, &block);
    void *s;

    TRY(room_for_groups(n, err));
    TRY(forward(n, l, GATE, DOWN, xs, in, err));
    TRY(act_get(n, &s, each, 1, err));
    TRY(n->k->swiglu(n->k, s, a->xgate, a->xup, n->f, each, err));
    TRY(forward(n, l, DOWN, EACH, s, out, err));
    arena_back(n, block, used);
    return 0;
}

/* dxs = that of xs, from dout of xout. The gradients of gate and up take the place of those of
 * their product, and of the product itself. */
static int together_back(ds_net *n, const layer *l, acts *a, void *dout, void *xs, void *dxs,
                         ds_err *err)
{
    const int64_t each = l->chosen.first[n->c.experts] * n->c.moe_ffn;
    size_t block, used = arena_mark(n, &block);
    void *s, *ds;

    TRY(room_for_groups(n, err));
    TRY(act_get(n, &s, each, 1, err));
    TRY(act_get(n, &ds, each, 1, err));
    TRY(n->k->swiglu(n->k, s, a->xgate, a->xup, n->f, each, err));
    TRY(backward(n, l, DOWN, dout, s, ds, false, err));
    TRY(n->k->swiglu_back(n->k, ds, s, ds, a->xgate, a->xup, n->f, each, err));
    TRY(backward(n, l, GATE, ds, xs, dxs, false, err));
    TRY(backward(n, l, UP, s, xs, dxs, true, err));
    arena_back(n, block, used);
    return 0;
}

/* ---- expert by expert ---- */

static int apart_fwd(ds_net *n, const layer *l, acts *a, void *xs, ds_err *err)
{
    const ds_modelconf *c = &n->c;
    const choices *ch = &l->chosen;

    for (int32_t e = 0; e < c->experts; e++) {
        const linear *p = &l->experts[EACH * e];
        n->drop_rows = ch->rows + ch->first[e];
        if (rows_of(ch, e) > 0)
            TRY(glu_fwd(n, p, p + 1, p + 2, part(n, ch, xs, e, c->hidden), rows_of(ch, e),
                        part(n, ch, a->xgate, e, c->moe_ffn), part(n, ch, a->xup, e, c->moe_ffn),
                        part(n, ch, a->xout, e, c->hidden), err));
    }
    n->drop_rows = NULL;
    return 0;
}

static int apart_back(ds_net *n, const layer *l, acts *a, void *dout, void *xs, void *dxs,
                      ds_err *err)
{
    const ds_modelconf *c = &n->c;
    const choices *ch = &l->chosen;

    for (int32_t e = 0; e < c->experts; e++) {
        const linear *p = &l->experts[EACH * e];
        n->drop_rows = ch->rows + ch->first[e];
        if (rows_of(ch, e) > 0)
            TRY(glu_back(n, p, p + 1, p + 2, part(n, ch, dout, e, c->hidden),
                         part(n, ch, xs, e, c->hidden), rows_of(ch, e),
                         part(n, ch, a->xgate, e, c->moe_ffn), part(n, ch, a->xup, e, c->moe_ffn),
                         part(n, ch, dxs, e, c->hidden), false, err));
    }
    n->drop_rows = NULL;
    return 0;
}

/* ---- the mixture ---- */

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
int moe_fwd(ds_net *n, const layer *l, acts *a, int64_t t, const void *x, void *out, ds_err *err)
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
    TRY(plain(n, l) ? together_fwd(n, l, a, xs, err) : apart_fwd(n, l, a, xs, err));
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

int moe_back(ds_net *n, const layer *l, acts *a, int64_t t, const void *dout, const void *x,
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
    TRY(n->k->zero(n->k, scaled, (size_t)(total * d) * ds_kfmt_size(n->f), err));
    int32_t *self = malloc((size_t)(total ? total : 1) * sizeof *self);
    if (!self)
        return ds_fail_nomem(err);
    for (int64_t i = 0; i < total; i++)
        self[i] = (int32_t)i;
    int rc = n->k->scatter_add(n->k, scaled, douts, n->f, self, w, total, d, err);
    free(self);
    TRY(rc);
    TRY(plain(n, l) ? together_back(n, l, a, scaled, xs, dxs, err)
                    : apart_back(n, l, a, scaled, xs, dxs, err));
    TRY(n->k->scatter_add(n->k, dx, dxs, n->f, ch->rows, NULL, total, d, err));
    TRY(router_back(n, l, a, t, douts, x, dx, err));
    arena_back(n, block, used);
    return 0;
}
