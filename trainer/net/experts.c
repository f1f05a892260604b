/* experts.c - the mixture of experts of DeepSeek-V2: softmax gate in f32, the k largest, weights
 * times routed_scaling_factor or normalised; y = sum_s w_s E_s(x) + shared(x).
 *
 * The backend sorts choices by (expert, token), each expert works on its own rows, and results are
 * added in that order: nothing races, and how many rows an expert has the host need not know.
 * Products of one form are asked for together, for all experts of the layer.
 */
#include <stdlib.h>

#include "net_priv.h"

enum { GATE, UP, DOWN, EACH };

/* ---- products of all experts ---- */

static int room_for_groups(ds_net *n, ds_err *err)
{
    const size_t e = (size_t)n->c.experts;

    if (!n->groups)
        n->groups = malloc(2 * EACH * e * sizeof *n->groups);
    if (!n->factors)
        n->factors = malloc(e * sizeof *n->factors);
    if (!n->sums)
        n->sums = malloc(e * sizeof *n->sums);
    return n->groups && n->factors && n->sums ? 0 : ds_fail_nomem(err);
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

/* Of one configuration, so rank, scale and dropout are the same for all experts, and all adapters
 * have magnitudes or none: one that has an adapter of projection w; NULL: none has. */
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

static bool has_magnitudes(const inner *in)
{
    return in->one && in->one->mag;
}

static bool drops(const ds_net *n, const inner *in)
{
    return in->one && n->dropout && in->one->drop > 0;
}

/* Modules of a projection are numbered through the experts, EACH from one to the next. */
static int drop(ds_net *n, const layer *l, const ds_kchoices *ch, int w, const inner *in, void *y,
                const void *x, ds_err *err)
{
    return n->k->dropout_chosen(n->k, y, x, n->f, ch, in->one->w->cols, in->one->drop, &n->step,
                                l->experts[w].id, EACH, err);
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

/* ---- magnitudes (DoRA), as linear.c has them for one ---- */

/* n->factors = gains, or lengths, of projection w of each expert that has an adapter. */
static void factors_of(ds_net *n, const layer *l, int w, bool lengths)
{
    for (int32_t e = 0; e < n->c.experts; e++) {
        const linear *p = &l->experts[EACH * e + w];
        n->factors[e] = !p->la ? NULL : lengths ? p->norm : p->gain;
    }
}

/* y = gain . x (+ y) on rows of experts with adapters. */
static int scale(ds_net *n, const layer *l, const ds_kchoices *ch, int w, void *y, const void *x,
                 bool accumulate, ds_err *err)
{
    factors_of(n, l, w, false);
    return n->k->scale_cols_chosen(n->k, y, x, n->factors, n->f, ch, l->experts[w].w->rows,
                                   accumulate, err);
}

/* W x + B in before it is scaled, and what dropout took away, which is not: where that is apart
 * from y itself. */
typedef struct parts {
    void *z, *lost; /* NULL: y, and nothing */
} parts;

static int parts_get(ds_net *n, const ds_kchoices *ch, const inner *in, const void *x, parts *s,
                     ds_err *err)
{
    *s = (parts){.z = NULL};
    if (!has_magnitudes(in) || in->x == x)
        return 0;
    const int64_t rows = rows_of(ch), cols = in->one->w->cols;
    TRY(act_get(n, &s->lost, rows, cols, err));
    TRY(act_get(n, &s->z, rows, in->one->w->rows, err));
    return n->k->add(n->k, s->lost, x, in->x, -1.0f, n->f, rows * cols, err);
}

/* ---- forward ---- */

/* Those of an expert: c = W x + B in. */
static ds_kgroup up_rank(const linear *p, int32_t expert, const void *x, const inner *in, void *c)
{
    const int64_t r = in ? rank_of(p) : 0;

    return (ds_kgroup){
        .c = c,
        .term = {{x, p->w->w, p->w->cols}, {r ? in->at : NULL, r ? p->lb->w : NULL, r}},
        .n = p->w->rows,
        .expert = expert};
}

/* y = W x + B in of the projections [from, to), with magnitudes gain . (W x + B in). */
static int forward(ds_net *n, const layer *l, const ds_kchoices *ch, int from, int to,
                   const void *x, void *const *y, ds_err *err)
{
    size_t block, used = arena_mark(n, &block);
    int64_t count = 0;
    inner in[EACH];
    parts s[EACH];

    TRY(down_rank(n, l, ch, in, from, to, x, err));
    for (int w = from; w < to; w++)
        TRY(parts_get(n, ch, &in[w], x, &s[w], err));
    for (int32_t e = 0; e < n->c.experts; e++)
        for (int w = from; w < to; w++) {
            const linear *p = &l->experts[EACH * e + w];
            const bool two = p->la && s[w].z;
            n->groups[count++] =
                up_rank(p, e, two ? in[w].x : x, &in[w], two ? s[w].z : y[w - from]);
            if (two)
                n->groups[count++] = up_rank(p, e, s[w].lost, NULL, y[w - from]);
        }
    TRY(multiply(n, ch, count, n->f, false, true, false, 1.0f, err));
    for (int w = from; w < to; w++)
        if (has_magnitudes(&in[w]))
            TRY(scale(n, l, ch, w, y[w - from], s[w].z ? s[w].z : y[w - from], s[w].z, err));
    arena_back(n, block, used);
    return 0;
}

/* ---- backward ---- */

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

/* Magnitudes of projection w: their gradients; *dz = gain . dy. */
static int magnitudes_back(ds_net *n, const layer *l, const ds_kchoices *ch, int w, const void *dy,
                           const inner *xa, void **dz, ds_err *err)
{
    const int64_t rows = rows_of(ch), out = xa->one->w->rows;
    int64_t count = 0;
    void *z;

    TRY(act_get(n, dz, rows, out, err));
    TRY(act_get(n, &z, rows, out, err));
    for (int32_t e = 0; e < n->c.experts; e++) {
        const linear *p = &l->experts[EACH * e + w];
        n->sums[e] = p->mag && p->mag->train ? p->mag->g : NULL;
        if (n->sums[e])
            n->groups[count++] = up_rank(p, e, xa->x, xa, z);
    }
    TRY(multiply(n, ch, count, n->f, false, true, false, 1.0f, err));
    factors_of(n, l, w, true);
    if (count)
        TRY(n->k->col_dot_chosen(n->k, n->sums, dy, z, n->factors, n->f, ch, out, err));
    return scale(n, l, ch, w, *dz, dy, false, err);
}

/* Of the adapters of projection w: *da = s dz B, and their gradients; *dz, in rows of experts that
 * have one, is what goes on to W x + B in: dy, or gain . dy. */
static int adapters_back(ds_net *n, const layer *l, const ds_kchoices *ch, int w, const void *dy,
                         const void *x, const void **dz, inner *da, ds_err *err)
{
    int64_t count = 0;
    inner xa[EACH];
    void *scaled;

    *dz = dy;
    TRY(inner_get(n, l, ch, w, da, err));
    if (!da->one)
        return 0;
    TRY(down_rank(n, l, ch, xa, w, w + 1, x, err));
    if (has_magnitudes(da)) {
        TRY(magnitudes_back(n, l, ch, w, dy, &xa[w], &scaled, err));
        *dz = scaled;
    }
    for (int32_t e = 0; e < n->c.experts; e++) {
        const linear *p = &l->experts[EACH * e + w];
        if (p->la)
            n->groups[count++] = (ds_kgroup){.c = da->at,
                                             .term = {{*dz, p->lb->w, p->w->rows}, {.k = 0}},
                                             .n = rank_of(p),
                                             .expert = e};
    }
    TRY(multiply(n, ch, count, n->f, false, false, false, da->one->s, err));
    TRY(weights_back(n, l, ch, w, OF_B, *dz, xa[w].at, err));
    return weights_back(n, l, ch, w, OF_A, da->at, xa[w].x, err);
}

/* One of projection w: c = dz W + da A; either NULL: without it. */
static ds_kgroup into(const linear *p, int32_t expert, const void *dz, const inner *da, void *c)
{
    const ds_kterm z = {dz, p->w->w, p->w->rows},
                   a = {da ? da->at : NULL, da ? p->la->w : NULL, da ? rank_of(p) : 0};

    return (ds_kgroup){.c = c,
                       .term = {dz ? z : a, dz ? a : (ds_kterm){.k = 0}},
                       .n = p->w->cols,
                       .expert = expert};
}

/* What goes back through the dropout of x: dx += dropout'(dz W + da A - dy W); without magnitudes
 * dropout'(da A), for W saw x itself. */
static int back_dropped(ds_net *n, const layer *l, const ds_kchoices *ch, int w, const void *dy,
                        const void *dz, const inner *da, void *dx, ds_err *err)
{
    const int64_t in = da->one->w->cols, each = rows_of(ch) * in;
    const size_t bytes = (size_t)each * ds_kfmt_size(n->f);
    const bool magnitudes = has_magnitudes(da);
    int64_t count = 0, adapters = 0;
    void *dxd, *whole = NULL;

    TRY(act_get(n, &dxd, rows_of(ch), in, err));
    if (magnitudes)
        TRY(act_get(n, &whole, rows_of(ch), in, err));
    for (int32_t e = 0; e < n->c.experts; e++) {
        const linear *p = &l->experts[EACH * e + w];
        if (!p->la)
            continue;
        adapters++;
        n->groups[count++] = into(p, e, magnitudes ? dz : NULL, da, dxd);
        if (magnitudes)
            n->groups[count++] = into(p, e, dy, NULL, whole);
    }
    if (adapters < n->c.experts) {
        TRY(n->k->zero(n->k, dxd, bytes, err));
        if (magnitudes)
            TRY(n->k->zero(n->k, whole, bytes, err));
    }
    TRY(multiply(n, ch, count, n->f, false, false, false, 1.0f, err));
    if (magnitudes)
        TRY(n->k->add(n->k, dxd, dxd, whole, -1.0f, n->f, each, err));
    TRY(drop(n, l, ch, w, da, dxd, dxd, err));
    return n->k->add(n->k, dx, dx, dxd, 1.0f, n->f, each, err);
}

/* Gradients of projection w, and dx (+)= dz W + dropout'(s dz B A), in one chain where there is no
 * dropout. */
static int backward(ds_net *n, const layer *l, const ds_kchoices *ch, int w, const void *dy,
                    const void *x, void *dx, bool accumulate, ds_err *err)
{
    size_t block, used = arena_mark(n, &block);
    const void *dz;
    inner da;

    TRY(weights_back(n, l, ch, w, OF_W, dy, x, err));
    TRY(adapters_back(n, l, ch, w, dy, x, &dz, &da, err));
    const bool dropped = drops(n, &da);
    for (int32_t e = 0; e < n->c.experts; e++) {
        const linear *p = &l->experts[EACH * e + w];
        const bool two = p->la && !dropped;
        n->groups[e] = into(p, e, two ? dz : dy, two ? &da : NULL, dx);
    }
    TRY(multiply(n, ch, n->c.experts, n->f, false, false, accumulate, 1.0f, err));
    if (dropped)
        TRY(back_dropped(n, l, ch, w, dy, dz, &da, dx, err));
    arena_back(n, block, used);
    return 0;
}

/* xout = E(xs) for all chosen rows. */
static int experts_fwd(ds_net *n, const layer *l, acts *a, const void *xs, ds_err *err)
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
static int experts_back(ds_net *n, const layer *l, acts *a, const void *dout, const void *xs,
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

/* ---- the mixture ---- */

/* out (+)= the experts' part; NULL: only what the way back needs. */
/* Weights of several experts are made to sum to 1, or they are scaled; not both, in DeepSeek-V2's
 * own modeling_deepseek.py (V3 does both; transformers' class for V2 never normalises). */
static bool normalised(const ds_modelconf *c)
{
    return c->norm_topk && c->experts_used > 1;
}
static float scale_of(const ds_modelconf *c)
{
    return normalised(c) ? 1.0f : c->routed_scale;
}

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
    TRY(n->k->topk(n->k, a->prob, ch, a->topw, logits, DS_KF32, scale_of(c), normalised(c), err));
    TRY(n->k->sort_choices(n->k, ch, err));
    TRY(act_get(n, &xs, rows_of(ch), d, err));
    TRY(n->k->dispatch(n->k, xs, x, n->f, ch, NULL, d, err));
    TRY(experts_fwd(n, l, a, xs, err));
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
    TRY(n->k->topk_back(n->k, dl, DS_KF32, a->prob, ch, dw, scale_of(c), normalised(c), err));
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
    TRY(experts_back(n, l, a, scaled, xs, dxs, err));
    TRY(n->k->combine(n->k, dx, dxs, n->f, ch, NULL, d, err));
    TRY(router_back(n, l, a, t, douts, x, dx, err));
    arena_back(n, block, used);
    return 0;
}
