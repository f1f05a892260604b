/* experts.c - the mixture of experts of DeepSeek-V2: softmax gate in f32, the k largest, weights
 * times routed_scaling_factor; y = sum_s w_s E_s(x) + shared(x).
 *
 * The backend sorts choices by (expert, token), each expert works on its own rows, and results are
 * added in that order: nothing races, and how many rows an expert has the host need not know.
 * Products of one form are asked for together, for all experts of the layer; where adapters have
 * magnitudes, expert by expert, and the host is told.
 */
#include <stdlib.h>

#include "net_priv.h"

enum { GATE, UP, DOWN, EACH };

/* ---- products of all experts ---- */

bool moe_apart(const ds_net *n, const layer *l)
{
    for (int32_t i = 0; l->moe && i < EACH * n->c.experts; i++)
        if (l->experts[i].mag)
            return true;
    return false;
}

static int room_for_groups(ds_net *n, ds_err *err)
{
    if (!n->groups)
        n->groups = malloc((size_t)(EACH * n->c.experts) * sizeof *n->groups);
    return n->groups ? 0 : ds_fail_nomem(err);
}

static int64_t rows_of(const ds_kchoices *ch)
{
    return ch->t * ch->kk;
}

/* Rank of an expert's adapter; 0: it has none. */
static int64_t rank_of(const linear *p)
{
    return p->la ? p->la->rows : 0;
}

/* Of one configuration, so rank, scale and dropout are the same for all experts: one that has an
 * adapter of projection w; NULL: none has. */
static const linear *adapted(const ds_net *n, const layer *l, int w)
{
    for (int32_t e = 0; e < n->c.experts; e++)
        if (l->experts[EACH * e + w].la)
            return &l->experts[EACH * e + w];
    return NULL;
}

/* What adapters of one of the three projections read, and make of it in between. */
typedef struct inner {
    const linear *one; /* that has an adapter; NULL: none has */
    const void *x;     /* dropout(x), or x */
    void *at;          /* s A x, or s dy B */
} inner;

static int inner_get(ds_net *n, const layer *l, const ds_kchoices *ch, int w, inner *in,
                     ds_err *err)
{
    *in = (inner){.one = adapted(n, l, w)};
    return in->one ? act_get(n, &in->at, rows_of(ch), rank_of(in->one), err) : 0;
}

static bool drops(const ds_net *n, const inner *in)
{
    return in->one && n->dropout && in->one->drop > 0;
}

/* Modules of a projection are numbered through the experts, EACH from one to the next. */
static int drop(ds_net *n, const layer *l, const ds_kchoices *ch, int w, const inner *in, void *y,
                const void *x, ds_err *err)
{
    return n->k->dropout_chosen(n->k, y, x, n->f, ch, 0, rows_of(ch), in->one->w->cols,
                                in->one->drop, &n->step, l->experts[w].id, EACH, err);
}

static int dropped(ds_net *n, const layer *l, const ds_kchoices *ch, int w, inner *in,
                   const void *x, ds_err *err)
{
    void *y;

    in->x = x;
    if (!drops(n, in))
        return 0;
    TRY(act_get(n, &y, rows_of(ch), in->one->w->cols, err));
    in->x = y;
    return drop(n, l, ch, w, in, y, x, err);
}

static int multiply(ds_net *n, const ds_kchoices *ch, int64_t count, enum ds_kfmt fc, bool ta,
                    bool tb, bool add, float alpha, ds_err *err)
{
    const ds_kgroups p = {n->groups, count, ch->first, rows_of(ch), fc, n->f, ta, tb, add, alpha};

    return count ? n->k->matmul_groups(n->k, &p, err) : 0;
}

/* in = s A dropout(x) of the projections [from, to), which read the same rows. */
static int down_rank(ds_net *n, const layer *l, const ds_kchoices *ch, inner in[EACH], int from,
                     int to, const void *x, ds_err *err)
{
    const linear *one = NULL;
    int64_t count = 0;

    for (int w = from; w < to; w++) {
        TRY(inner_get(n, l, ch, w, &in[w], err));
        TRY(dropped(n, l, ch, w, &in[w], x, err));
        one = in[w].one ? in[w].one : one;
    }
    for (int32_t e = 0; e < n->c.experts; e++)
        for (int w = from; w < to; w++) {
            const linear *p = &l->experts[EACH * e + w];
            if (p->la)
                n->groups[count++] =
                    (ds_kgroup){.c = in[w].at,
                                .term = {{in[w].x, p->la->w, p->w->cols}, {.k = 0}},
                                .n = rank_of(p),
                                .expert = e};
        }
    return multiply(n, ch, count, n->f, false, true, false, one ? one->s : 1.0f, err);
}

/* y = W x + B in of the projections [from, to). */
static int forward(ds_net *n, const layer *l, const ds_kchoices *ch, int from, int to,
                   const void *x, void *const *y, ds_err *err)
{
    size_t block, used = arena_mark(n, &block);
    int64_t count = 0;
    inner in[EACH];

    TRY(down_rank(n, l, ch, in, from, to, x, err));
    for (int32_t e = 0; e < n->c.experts; e++)
        for (int w = from; w < to; w++) {
            const linear *p = &l->experts[EACH * e + w];
            const int64_t r = rank_of(p);
            n->groups[count++] = (ds_kgroup){
                .c = y[w - from],
                .term = {{x, p->w->w, p->w->cols}, {r ? in[w].at : NULL, r ? p->lb->w : NULL, r}},
                .n = p->w->rows,
                .expert = e};
        }
    TRY(multiply(n, ch, count, n->f, false, true, false, 1.0f, err));
    arena_back(n, block, used);
    return 0;
}

enum member { OF_W, OF_A, OF_B };

static ds_param *member_of(const linear *p, enum member m)
{
    return m == OF_W ? p->w : m == OF_A ? p->la : p->lb;
}

/* Gradients of what is trained of projection w: += a' b over each expert's rows. */
static int weights_back(ds_net *n, const layer *l, const ds_kchoices *ch, int w, enum member m,
                        const void *a, const void *b, ds_err *err)
{
    int64_t count = 0;

    for (int32_t e = 0; e < n->c.experts; e++) {
        const ds_param *p = member_of(&l->experts[EACH * e + w], m);
        if (p && p->train)
            n->groups[count++] = (ds_kgroup){
                .c = p->g, .term = {{a, b, 0}, {.k = 0}}, .m = p->rows, .n = p->cols, .expert = e};
    }
    return multiply(n, ch, count, DS_KF32, true, false, true, 1.0f, err);
}

/* Of the adapters of projection w: *da = s dy B, and their gradients. */
static int adapters_back(ds_net *n, const layer *l, const ds_kchoices *ch, int w, const void *dy,
                         const void *x, inner *da, ds_err *err)
{
    int64_t count = 0;
    inner xa[EACH];

    TRY(inner_get(n, l, ch, w, da, err));
    if (!da->one)
        return 0;
    TRY(down_rank(n, l, ch, xa, w, w + 1, x, err));
    for (int32_t e = 0; e < n->c.experts; e++) {
        const linear *p = &l->experts[EACH * e + w];
        if (p->la)
            n->groups[count++] = (ds_kgroup){.c = da->at,
                                             .term = {{dy, p->lb->w, p->w->rows}, {.k = 0}},
                                             .n = rank_of(p),
                                             .expert = e};
    }
    TRY(multiply(n, ch, count, n->f, false, false, false, da->one->s, err));
    TRY(weights_back(n, l, ch, w, OF_B, dy, xa[w].at, err));
    return weights_back(n, l, ch, w, OF_A, da->at, xa[w].x, err);
}

/* What goes back through the dropout of x: dx += dropout'(da A). */
static int back_dropped(ds_net *n, const layer *l, const ds_kchoices *ch, int w, const inner *da,
                        void *dx, ds_err *err)
{
    const int64_t in = da->one->w->cols, each = rows_of(ch) * in;
    int64_t count = 0;
    void *dxd;

    TRY(act_get(n, &dxd, rows_of(ch), in, err));
    for (int32_t e = 0; e < n->c.experts; e++) {
        const linear *p = &l->experts[EACH * e + w];
        if (p->la)
            n->groups[count++] = (ds_kgroup){
                .c = dxd, .term = {{da->at, p->la->w, rank_of(p)}, {.k = 0}}, .n = in, .expert = e};
    }
    if (count < n->c.experts)
        TRY(n->k->zero(n->k, dxd, (size_t)each * ds_kfmt_size(n->f), err));
    TRY(multiply(n, ch, count, n->f, false, false, false, 1.0f, err));
    TRY(drop(n, l, ch, w, da, dxd, dxd, err));
    return n->k->add(n->k, dx, dx, dxd, 1.0f, n->f, each, err);
}

/* Gradients of projection w, and dx (+)= dy W + dropout'(s dy B A), in one chain where there is no
 * dropout. */
static int backward(ds_net *n, const layer *l, const ds_kchoices *ch, int w, const void *dy,
                    const void *x, void *dx, bool accumulate, ds_err *err)
{
    size_t block, used = arena_mark(n, &block);
    inner da;

    TRY(weights_back(n, l, ch, w, OF_W, dy, x, err));
    TRY(adapters_back(n, l, ch, w, dy, x, &da, err));
    const bool two = da.one && !drops(n, &da);
    for (int32_t e = 0; e < n->c.experts; e++) {
        const linear *p = &l->experts[EACH * e + w];
        const int64_t r = two ? rank_of(p) : 0;
        n->groups[e] = (ds_kgroup){
            .c = dx,
            .term = {{dy, p->w->w, p->w->rows}, {r ? da.at : NULL, r ? p->la->w : NULL, r}},
            .n = p->w->cols,
            .expert = e};
    }
    TRY(multiply(n, ch, n->c.experts, n->f, false, false, accumulate, 1.0f, err));
    if (drops(n, &da))
        TRY(back_dropped(n, l, ch, w, &da, dx, err));
    arena_back(n, block, used);
    return 0;
}

/* xout = E(xs) for all chosen rows. */
static int together_fwd(ds_net *n, const layer *l, acts *a, const void *xs, ds_err *err)
{
    const int64_t each = rows_of(&a->chosen) * n->c.moe_ffn;
    void *const in[] = {a->xgate, a->xup}, *const out[] = {a->xout};
    size_t block, used = arena_mark(n, &block);
    void *s;

    TRY(room_for_groups(n, err));
    TRY(forward(n, l, &a->chosen, GATE, DOWN, xs, in, err));
    TRY(act_get(n, &s, each, 1, err));
    TRY(n->k->swiglu(n->k, s, a->xgate, a->xup, n->f, each, err));
    TRY(forward(n, l, &a->chosen, DOWN, EACH, s, out, err));
    arena_back(n, block, used);
    return 0;
}

/* dxs = that of xs, from dout of xout. The gradients of gate and up take the place of those of
 * their product, and of the product itself. */
static int together_back(ds_net *n, const layer *l, acts *a, const void *dout, const void *xs,
                         void *dxs, ds_err *err)
{
    const ds_kchoices *ch = &a->chosen;
    const int64_t each = rows_of(ch) * n->c.moe_ffn;
    size_t block, used = arena_mark(n, &block);
    void *s, *ds;

    TRY(room_for_groups(n, err));
    TRY(act_get(n, &s, each, 1, err));
    TRY(act_get(n, &ds, each, 1, err));
    TRY(n->k->swiglu(n->k, s, a->xgate, a->xup, n->f, each, err));
    TRY(backward(n, l, ch, DOWN, dout, s, ds, false, err));
    TRY(n->k->swiglu_back(n->k, ds, s, ds, a->xgate, a->xup, n->f, each, err));
    TRY(backward(n, l, ch, GATE, ds, xs, dxs, false, err));
    TRY(backward(n, l, ch, UP, s, xs, dxs, true, err));
    arena_back(n, block, used);
    return 0;
}

/* ---- expert by expert ---- */

/* The host is told how many rows each has; on paper, as many as another. */
static int first_rows(ds_net *n, const ds_kchoices *ch, ds_err *err)
{
    const size_t bytes = ((size_t)ch->e + 1) * sizeof *n->first;

    if (!n->first)
        n->first = malloc(bytes);
    if (!n->first)
        return ds_fail_nomem(err);
    for (int32_t e = 0; n->k->paper && e <= ch->e; e++)
        n->first[e] = (int32_t)(rows_of(ch) * e / ch->e);
    return n->k->paper ? 0 : n->k->download(n->k, n->first, ch->first, bytes, err);
}

/* Rows from `row` on, d wide. */
static void *row_at(const ds_net *n, void *base, int64_t row, int64_t d)
{
    return (char *)base + (size_t)(row * d) * ds_kfmt_size(n->f);
}

static int apart_fwd(ds_net *n, const layer *l, acts *a, void *xs, ds_err *err)
{
    const ds_modelconf *c = &n->c;

    TRY(first_rows(n, &a->chosen, err));
    n->chosen = &a->chosen;
    for (int32_t e = 0; e < c->experts; e++) {
        const linear *p = &l->experts[EACH * e];
        const int64_t at = n->chosen_from = n->first[e], rows = n->first[e + 1] - at;
        if (rows > 0)
            TRY(glu_fwd(n, p, p + 1, p + 2, row_at(n, xs, at, c->hidden), rows,
                        row_at(n, a->xgate, at, c->moe_ffn), row_at(n, a->xup, at, c->moe_ffn),
                        row_at(n, a->xout, at, c->hidden), err));
    }
    n->chosen = NULL;
    return 0;
}

static int apart_back(ds_net *n, const layer *l, acts *a, void *dout, void *xs, void *dxs,
                      ds_err *err)
{
    const ds_modelconf *c = &n->c;

    TRY(first_rows(n, &a->chosen, err));
    n->chosen = &a->chosen;
    for (int32_t e = 0; e < c->experts; e++) {
        const linear *p = &l->experts[EACH * e];
        const int64_t at = n->chosen_from = n->first[e], rows = n->first[e + 1] - at;
        if (rows > 0)
            TRY(glu_back(n, p, p + 1, p + 2, row_at(n, dout, at, c->hidden),
                         row_at(n, xs, at, c->hidden), rows, row_at(n, a->xgate, at, c->moe_ffn),
                         row_at(n, a->xup, at, c->moe_ffn), row_at(n, dxs, at, c->hidden), false,
                         err));
    }
    n->chosen = NULL;
    return 0;
}

/* ---- the mixture ---- */

/* out (+)= the experts' part; NULL: only what the way back needs. */
int moe_fwd(ds_net *n, const layer *l, acts *a, int64_t t, const void *x, void *out, ds_err *err)
{
    const ds_modelconf *c = &n->c;
    const ds_kchoices *ch = &a->chosen;
    const int64_t d = c->hidden;
    size_t block, used = arena_mark(n, &block);
    void *logits, *xs;

    TRY(arena_get(n, &logits, (size_t)(t * c->experts) * 4, err));
    TRY(n->k->matmul(n->k, logits, DS_KF32, x, n->f, false, l->router->w, l->router->f, true, t,
                     c->experts, d, 1.0f, false, err));
    TRY(n->k->topk(n->k, a->prob, ch, a->topw, logits, DS_KF32, c->routed_scale, c->norm_topk,
                   err));
    TRY(n->k->sort_choices(n->k, ch, err));
    TRY(act_get(n, &xs, rows_of(ch), d, err));
    TRY(n->k->dispatch(n->k, xs, x, n->f, ch, NULL, d, err));
    TRY(moe_apart(n, l) ? apart_fwd(n, l, a, xs, err) : together_fwd(n, l, a, xs, err));
    if (out)
        TRY(n->k->combine(n->k, out, a->xout, n->f, ch, a->topw, d, err));
    arena_back(n, block, used);
    return 0;
}

/* Gradient of the gate: of dw[t,s] = dout[t] . E_s(x)[t]. */
static int router_back(ds_net *n, const layer *l, acts *a, int64_t t, const void *douts,
                       const void *x, void *dx, ds_err *err)
{
    const ds_modelconf *c = &n->c;
    const ds_kchoices *ch = &a->chosen;
    const int64_t d = c->hidden;
    void *dw, *dl;

    TRY(arena_get(n, &dw, (size_t)rows_of(ch) * 4, err));
    TRY(arena_get(n, &dl, (size_t)(t * c->experts) * 4, err));
    TRY(n->k->row_dot(n->k, dw, douts, a->xout, n->f, rows_of(ch), d, err));
    TRY(n->k->topk_back(n->k, dl, DS_KF32, a->prob, ch, dw, c->routed_scale, c->norm_topk, err));
    if (l->router->train)
        TRY(n->k->matmul(n->k, l->router->g, DS_KF32, dl, DS_KF32, true, x, n->f, false, c->experts,
                         d, t, 1.0f, true, err));
    return n->k->matmul(n->k, dx, n->f, dl, DS_KF32, false, l->router->w, l->router->f, false, t, d,
                        c->experts, 1.0f, true, err);
}

int moe_back(ds_net *n, const layer *l, acts *a, int64_t t, const void *dout, const void *x,
             void *dx, ds_err *err)
{
    const ds_kchoices *ch = &a->chosen;
    const int64_t d = n->c.hidden, total = rows_of(ch);
    size_t block, used = arena_mark(n, &block);
    void *xs, *douts, *scaled, *dxs;

    TRY(act_get(n, &xs, total, d, err));
    TRY(act_get(n, &douts, total, d, err));
    TRY(act_get(n, &scaled, total, d, err));
    TRY(act_get(n, &dxs, total, d, err));
    TRY(n->k->dispatch(n->k, xs, x, n->f, ch, NULL, d, err));
    TRY(n->k->dispatch(n->k, douts, dout, n->f, ch, NULL, d, err));
    TRY(n->k->dispatch(n->k, scaled, dout, n->f, ch, a->topw, d, err));
    TRY(moe_apart(n, l) ? apart_back(n, l, a, scaled, xs, dxs, err)
                        : together_back(n, l, a, scaled, xs, dxs, err));
    TRY(n->k->combine(n->k, dx, dxs, n->f, ch, NULL, d, err));
    TRY(router_back(n, l, a, t, douts, x, dx, err));
    arena_back(n, block, used);
    return 0;
}
