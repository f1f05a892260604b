/* netstep.c - one pass through the network: embedding, layers, loss, and back.
 *
 * The loss is computed in chunks of rows, so that logits of the whole batch never exist at once; a
 * chunk's logits become their gradient in place and are used up at once. Layers below the lowest
 * that is trained are not gone back through, and keep nothing.
 */
#include <stdlib.h>
#include <string.h>

#include "net_priv.h"

void net_begin(ds_net *n, const ds_netbatch *b, bool dropout)
{
    n->b = b;
    n->step = (ds_kstep){.seed = b->seed, .step = b->step, .first = b->first_token};
    n->dropout = dropout;
    n->half.kept = false;
    arena_back(n, 0, 0);
    n->k->release(n->k, NULL);
}

/* ---- embedding ---- */

static int check(const ds_net *n, const ds_netbatch *b, ds_err *err)
{
    const int32_t top = n->c.vocab + (n->prompt ? (int32_t)n->prompt->rows : 0);

    for (int64_t i = 0; i < b->t; i++) {
        if (b->ids[i] < 0 || b->ids[i] >= top || b->target[i] < 0 || b->target[i] >= n->c.vocab)
            return ds_fail(err, DS_FAIL,
                           "token %lld: id %d or target %d is not in the vocabulary of %d",
                           (long long)i, (int)b->ids[i], (int)b->target[i], (int)n->c.vocab);
        if (b->pos[i] < 0 || b->pos[i] >= n->positions)
            return ds_fail(err, DS_FAIL, "token %lld: position %d of a context of %d", (long long)i,
                           (int)b->pos[i], (int)n->positions);
    }
    return 0;
}

/* Rows of the table, behind them those of the prompt; -1: of the other. Then trained ones. */
static int split_ids(const ds_net *n, const ds_netbatch *b, int32_t **out, ds_err *err)
{
    const int64_t t = b->t;
    int32_t *ids = malloc((size_t)(3 * t + 1) * sizeof *ids);

    *out = ids;
    if (!ids)
        return ds_fail_nomem(err);
    for (int64_t i = 0; i < t; i++) {
        const bool virtual = b->ids[i] >= n->c.vocab;
        ids[i] = virtual ? -1 : b->ids[i];
        ids[t + i] = virtual ? b->ids[i] - n->c.vocab : -1;
        ids[2 * t + i] = virtual || b->ids[i] < 0 || !n->rows.row ? -1 : n->rows.row[b->ids[i]];
    }
    return 0;
}

int net_ids(const ds_net *n, const ds_netbatch *b, int32_t **out, ds_err *err)
{
    *out = NULL;
    TRY(check(n, b, err));
    return split_ids(n, b, out, err);
}

int net_embed(ds_net *n, const ds_netbatch *b, const int32_t *ids, void *h, ds_err *err)
{
    const int64_t d = n->c.hidden;
    size_t block, used = arena_mark(n, &block);
    void *rows;

    TRY(n->k->embed(n->k, h, n->embed->w, n->f, ids, b->t, d, err));
    if (!n->prompt)
        return 0;
    TRY(act_get(n, &rows, n->prompt->rows, d, err));
    TRY(n->k->convert(n->k, rows, n->f, n->prompt->w, DS_KF32, n->prompt->rows * d, err));
    TRY(n->k->embed(n->k, h, rows, n->f, ids + b->t, b->t, d, err));
    arena_back(n, block, used);
    return 0;
}

static int embed_back(ds_net *n, const ds_netbatch *b, const int32_t *ids, void *dh, ds_err *err)
{
    if (n->prompt && n->prompt->train)
        TRY(n->k->embed_back(n->k, n->prompt->g, dh, n->f, ids + b->t, b->t, n->c.hidden, err));
    TRY(token_rows_embed_back(n, dh, ids + 2 * b->t, b->t, err));
    if (!n->embed->train)
        return 0;
    if (n->head == n->embed && !n->embed_g)
        TRY(n->k->alloc(n->k, (void **)&n->embed_g, (size_t)ds_param_count(n->embed) * 4, err));
    return n->k->embed_back(n->k, n->embed_g ? n->embed_g : n->embed->g, dh, n->f, ids, b->t,
                            n->c.hidden, err);
}

int ds_net_finish_grads(ds_net *n, ds_err *err)
{
    const int64_t count = ds_param_count(n->embed);

    TRY(token_rows_finish(n, err));
    if (!n->embed_g)
        return 0;
    TRY(n->k->add(n->k, n->embed->g, n->embed->g, n->embed_g, 1.0f, DS_KF32, count, err));
    return n->k->zero(n->k, n->embed_g, (size_t)count * 4, err);
}

/* ---- loss ---- */

/* x: the last layer's output, whose norm is n->x, with rstd. dx: its gradient, or NULL for the loss
 * alone. loss: the backend's. */
static int loss_pass(ds_net *n, const ds_netbatch *b, const void *x, const float *rstd, void *dx,
                     float *loss, ds_err *err)
{
    ds_kernels *k = n->k;
    const int64_t d = n->c.hidden, v = n->c.vocab, t = b->t, rows = ds_logit_rows(k, v, d);
    size_t block, used = arena_mark(n, &block);
    void *dy = NULL, *logits, *dlogits;

    if (dx)
        TRY(act_get(n, &dy, t, d, err));
    TRY(arena_get(n, &logits, (size_t)((rows < t ? rows : t) * v) * 4, err));
    dlogits = logits;
    if (dx && n->f != DS_KF32)
        TRY(act_get(n, &dlogits, rows < t ? rows : t, v, err));
    for (int64_t i = 0; i < t; i += rows) {
        const int64_t m = t - i < rows ? t - i : rows;
        const char *yi = (const char *)n->x + (size_t)(i * d) * ds_kfmt_size(n->f);
        TRY(k->matmul(k, logits, DS_KF32, yi, n->f, false, n->head->w, n->f, true, m, v, d, 1.0f,
                      false, err));
        TRY(k->softmax_xent(k, dx ? dlogits : NULL, n->f, loss + i, logits, DS_KF32, b->target + i,
                            b->weight + i, m, v, &n->step, err));
        if (!dx)
            continue;
        TRY(k->matmul(k, (char *)dy + (size_t)(i * d) * ds_kfmt_size(n->f), n->f, dlogits, n->f,
                      false, n->head->w, n->f, false, m, d, v, 1.0f, false, err));
        if (n->head->train)
            TRY(k->matmul(k, n->head->g, DS_KF32, dlogits, n->f, true, yi, n->f, false, v, d, m,
                          1.0f, true, err));
        TRY(token_rows_head_back(n, dlogits, yi, m, err));
    }
    if (dx)
        TRY(k->rmsnorm_back(k, dx, n->norm->g, dy, x, n->norm->w, rstd, n->f, t, d, false, err));
    arena_back(n, block, used);
    return 0;
}

/* ---- layers ---- */

static bool trains(const ds_param *p)
{
    return p && p->train;
}

static bool lin_trains(const linear *l)
{
    return trains(l->w) || trains(l->b) || trains(l->la) || trains(l->lb) || trains(l->mag);
}

static bool layer_trains(const ds_net *n, const layer *l)
{
    const linear *fixed[] = {&l->q,   &l->k,   &l->v,    &l->o,  &l->qa,  &l->qb,
                             &l->kva, &l->kvb, &l->gate, &l->up, &l->down};

    if (trains(l->norm1) || trains(l->norm2) || trains(l->qa_norm) || trains(l->kva_norm) ||
        trains(l->router))
        return true;
    for (size_t i = 0; i < sizeof fixed / sizeof *fixed; i++)
        if (lin_trains(fixed[i]))
            return true;
    for (int32_t i = 0; l->moe && i < 3 * n->c.experts; i++)
        if (lin_trains(&l->experts[i]))
            return true;
    return false;
}

/* The lowest layer that a gradient must reach: 0 when the embedding or a prompt is trained, layers
 * when none. */
static int32_t lowest(const ds_net *n)
{
    int32_t i = 0;

    if (trains(n->embed) || trains(n->prompt) || trains(n->rows.in))
        return -1;
    while (i < n->c.layers && !layer_trains(n, &n->layers[i]))
        i++;
    return i;
}

/* n->x = norm(x) for the first half of a layer, or the second. */
static int norm_in(ds_net *n, const layer *l, const acts *a, int64_t t, ds_err *err)
{
    return n->k->rmsnorm(n->k, n->x, a->r1, a->h, l->norm1->w, n->f, t, n->c.hidden, n->c.eps, err);
}

static int norm_mid(ds_net *n, const layer *l, const acts *a, int64_t t, ds_err *err)
{
    return n->k->rmsnorm(n->k, n->x, a->r2, a->mid, l->norm2->w, n->f, t, n->c.hidden, n->c.eps,
                         err);
}

int net_forward(ds_net *n, int64_t t, int32_t from, enum ds_recompute r, float *rstd, void **last,
                ds_err *err)
{
    void *between[2] = {n->acts[0].h, NULL}; /* inputs of layers that no way back needs */
    places shared = {.mid = NULL};
    const ds_param *gain;

    TRY(act_get(n, &n->x, t, n->c.hidden, err));
    TRY(layer_room(n, 0, t, from <= 0, r, &shared, err));
    TRY(norm_in(n, &n->layers[0], &n->acts[0], t, err));
    for (int32_t i = 0; i < n->c.layers; i++) {
        const bool end = i + 1 == n->c.layers;
        void **next = i >= from ? last : &between[(i + 1) % 2];
        if (i >= from || !*next)
            TRY(act_get(n, next, t, n->c.hidden, err));
        TRY(attn_fwd(n, &n->layers[i], &n->acts[i], t, err));
        if (!end) {
            n->acts[i + 1].h = *next;
            TRY(layer_room(n, i + 1, t, i + 1 >= from, r, &shared, err));
        }
        gain = !end ? n->layers[i + 1].norm1 : rstd ? n->norm : NULL;
        TRY(mlp_fwd(n, &n->layers[i], &n->acts[i], t, *next, gain, end ? rstd : n->acts[i + 1].r1,
                    err));
        *last = *next;
    }
    return 0;
}

static int backward(ds_net *n, int64_t t, int32_t low, enum ds_recompute r, void *dh, ds_err *err)
{
    for (int32_t i = n->c.layers - 1; i >= 0 && i >= low; i--) {
        const layer *l = &n->layers[i];
        acts *a = &n->acts[i];
        TRY(r == DS_AGAIN_LAYER ? norm_in(n, l, a, t, err) : norm_mid(n, l, a, t, err));
        if (r == DS_AGAIN_LAYER)
            TRY(attn_fwd(n, l, a, t, err));
        if (ds_recompute_mlp(r))
            TRY(mlp_again(n, l, a, t, err));
        TRY(mlp_back(n, l, a, t, dh, err));
        TRY(norm_in(n, l, a, t, err));
        if (r == DS_AGAIN_ATTENTION)
            TRY(attn_again(n, l, a, t, err));
        TRY(attn_back(n, l, a, t, dh, i > low, err));
    }
    return 0;
}

/* A step, or a part of one. */
enum part { WHOLE, AHEAD, BACK };
typedef struct pass {
    ds_net *n;
    const ds_netbatch *b;
    int32_t *ids;
    enum part part;
    bool grads;
    enum ds_recompute r;
} pass;

int net_refresh(ds_net *n, ds_err *err)
{
    TRY(token_rows_refresh(n, err));
    return dora_refresh(n, err);
}

static int forward(const pass *s, int32_t low, ds_err *err)
{
    const ds_netbatch *b = s->b;
    ds_net *n = s->n;
    halfway *h = &n->half;

    TRY(net_refresh(n, err));
    TRY(act_get(n, &n->acts[0].h, b->t, n->c.hidden, err));
    TRY(net_embed(n, b, s->ids, n->acts[0].h, err));
    TRY(arena_get(n, &h->rstd, (size_t)b->t * 4, err));
    TRY(net_forward(n, b->t, low, s->r, h->rstd, &h->last, err));
    return s->grads ? act_get(n, &h->dh, b->t, n->c.hidden, err) : 0;
}

/* All that a step asks of the backend, which may not have done it yet. A way back whose way forward
 * the backend did without asking does not know where that left things, and goes forward itself. */
static int queue_step(void *ctx, ds_err *err)
{
    const pass *s = ctx;
    const ds_netbatch *b = s->b;
    ds_net *n = s->n;
    halfway *h = &n->half;
    const bool back = s->grads && s->part != AHEAD;
    const int32_t low = s->grads ? lowest(n) : n->c.layers;

    if (!h->kept)
        TRY(forward(s, low, err));
    TRY(loss_pass(n, b, h->last, h->rstd, back ? h->dh : NULL, h->loss, err));
    h->kept = s->part == AHEAD;
    if (back)
        TRY(backward(n, b->t, low, s->r, h->dh, err));
    return back && low < 0 ? embed_back(n, b, s->ids, h->dh, err) : 0;
}

/* The numbers of a batch, in this order in every step. */
enum { IDS, VIRTUAL, ROWS, POS, TARGET, WEIGHT, CU, STEP, NUMBERS };

static void numbers_of(ds_kpiece p[NUMBERS], const ds_net *n, const ds_netbatch *b,
                       const int32_t *ids)
{
    const size_t t = (size_t)b->t;

    p[IDS] = (ds_kpiece){ids, t * sizeof *ids};
    p[VIRTUAL] = (ds_kpiece){n->prompt ? ids + t : NULL, n->prompt ? t * sizeof *ids : 0};
    p[ROWS] = (ds_kpiece){n->rows.in ? ids + 2 * t : NULL, n->rows.in ? t * sizeof *ids : 0};
    p[POS] = (ds_kpiece){b->pos, t * sizeof *b->pos};
    p[TARGET] = (ds_kpiece){b->target, t * sizeof *b->target};
    p[WEIGHT] = (ds_kpiece){b->weight, t * sizeof *b->weight};
    p[CU] = (ds_kpiece){b->seqs.cu, ((size_t)b->seqs.n + 1) * sizeof *b->seqs.cu};
    p[STEP] = (ds_kpiece){&n->step, sizeof n->step};
}

static ds_kwork work_of(const ds_net *n, const ds_netbatch *b, const pass *s)
{
    const uint32_t how = (uint32_t)s->part << 8 | (uint32_t)n->dropout << 7 |
                         (uint32_t)n->bare << 6 | (uint32_t)s->r << 4 |
                         (uint32_t)(b->first_token % 4) << 2 | (uint32_t)n->k->unlisted << 1 |
                         (uint32_t)s->grads;

    return (ds_kwork){.of = &n->params, .t = b->t, .seqs = b->seqs.n, .how = how};
}

/* What the next batch will ask for, but for the numbers of its step. */
static int send_ahead(const ds_net *n, const pass *s, ds_err *err)
{
    const ds_netbatch *b = s->b->next;
    ds_kpiece numbers[NUMBERS];
    int32_t *ids;

    if (!n->k->work_ahead || !b || b->t <= 0)
        return 0;
    ds_kwork w = work_of(n, b, s);
    TRY(split_ids(n, b, &ids, err));
    numbers_of(numbers, n, b, ids);
    w.numbers = numbers;
    w.n = STEP;
    const int rc = n->k->work_ahead(n->k, &w, err);
    free(ids);
    return rc;
}

/* Of p what it is and how; the memory of the way forward stays for a way back from it. */
static int step(ds_net *n, const ds_netbatch *b, float scale, const pass *p, float *loss,
                ds_err *err)
{
    const bool go_on = p->part == BACK && n->half.kept;
    ds_kpiece numbers[NUMBERS];
    pass s = *p;
    int rc;

    if (b->t <= 0)
        return 0;
    s.n = n;
    s.b = b;
    if (!go_on)
        net_begin(n, b, s.grads);
    n->b = b;
    ds_kwork w = work_of(n, b, &s);
    n->step.scale = (double)scale;
    rc = net_ids(n, b, &s.ids, err);
    numbers_of(numbers, n, b, s.ids);
    w.numbers = numbers;
    w.n = NUMBERS;
    if (!rc && !go_on)
        rc = arena_get(n, &n->half.loss, (size_t)b->t * 4, err);
    rc = rc ? rc : ds_kwork_do(n->k, &w, queue_step, &s, err);
    rc = rc ? rc : send_ahead(n, &s, err);
    rc = rc ? rc : n->k->download(n->k, loss, n->half.loss, (size_t)b->t * 4, err);
    rc = rc ? rc : n->k->sync(n->k, err);
    free(s.ids);
    n->b = NULL;
    n->half.kept = n->half.kept && !rc;
    return rc;
}

int ds_net_step(ds_net *n, const ds_netbatch *b, float scale, bool grads, enum ds_recompute r,
                float *loss, ds_err *err)
{
    return step(n, b, scale, &(pass){.grads = grads, .r = r}, loss, err);
}

int ds_net_ahead(ds_net *n, const ds_netbatch *b, float scale, enum ds_recompute r, float *loss,
                 ds_err *err)
{
    return step(n, b, scale, &(pass){.part = AHEAD, .grads = true, .r = r}, loss, err);
}

int ds_net_back(ds_net *n, const ds_netbatch *b, float scale, enum ds_recompute r, float *loss,
                ds_err *err)
{
    return step(n, b, scale, &(pass){.part = BACK, .grads = true, .r = r}, loss, err);
}

int ds_net_look(ds_net *n, const ds_netbatch *b, float *loss, ds_err *err)
{
    if (n->prompt || (n->rows.in && !n->rows.in->before))
        return ds_fail(err, DS_FAIL, "a model without its %s is not to be had",
                       n->prompt ? "virtual tokens" : "trained tokens");
    net_bare(n, true);
    const int rc = ds_net_step(n, b, 1.0f, false, DS_AGAIN_NONE, loss, err);
    net_bare(n, false);
    return rc;
}

int ds_net_logits(ds_net *n, const ds_netbatch *b, const int32_t *tokens, int64_t count, float *out,
                  ds_err *err)
{
    const int64_t d = n->c.hidden;
    int32_t *ids = NULL;
    void *last, *x, *y, *r, *logits;
    int rc;

    net_begin(n, b, false);
    rc = net_ids(n, b, &ids, err);
    rc = rc ? rc : net_refresh(n, err);
    rc = rc ? rc : act_get(n, &n->acts[0].h, b->t, d, err);
    rc = rc ? rc : net_embed(n, b, ids, n->acts[0].h, err);
    rc = rc ? rc : net_forward(n, b->t, n->c.layers, DS_AGAIN_NONE, NULL, &last, err);
    rc = rc ? rc : act_get(n, &x, count, d, err);
    rc = rc ? rc : act_get(n, &y, count, d, err);
    rc = rc ? rc : arena_get(n, &r, (size_t)count * 4, err);
    rc = rc ? rc : arena_get(n, &logits, (size_t)(count * n->c.vocab) * 4, err);
    rc = rc ? rc : n->k->embed(n->k, x, last, n->f, tokens, count, d, err);
    rc = rc ? rc : n->k->rmsnorm(n->k, y, r, x, n->norm->w, n->f, count, d, n->c.eps, err);
    rc = rc ? rc
            : n->k->matmul(n->k, logits, DS_KF32, y, n->f, false, n->head->w, n->f, true, count,
                           n->c.vocab, d, 1.0f, false, err);
    rc = rc ? rc : n->k->download(n->k, out, logits, (size_t)(count * n->c.vocab) * 4, err);
    free(ids);
    n->b = NULL;
    return rc;
}
