/* attn.cu - attention's place in the table: items of work, and the choice of form. */
#include "attn.h"

static int check(const ds_kattn *p, ds_err *err)
{
    if (p->heads < 1 || p->kv_heads < 1 || p->heads % p->kv_heads || p->qk_dim < 1 || p->v_dim < 1)
        return ds_fail(err, DS_FAIL, "attention of %d heads over %d kv heads, widths %d and %d",
                       (int)p->heads, (int)p->kv_heads, (int)p->qk_dim, (int)p->v_dim);
    if (p->qk_dim > ATTN_WIDEST || p->v_dim > ATTN_WIDEST)
        return ds_fail(err, DS_FAIL, "cuda: heads of %d and %d columns; up to %d are supported",
                       (int)p->qk_dim, (int)p->v_dim, ATTN_WIDEST);
    return 0;
}

static attn_args args_of(const ds_kattn *p)
{
    attn_args a = {};

    a.heads = p->heads;
    a.kv_heads = p->kv_heads;
    a.qk = p->qk_dim;
    a.vd = p->v_dim;
    a.scale = p->scale;
    return a;
}

/* Tiles of all sequences from their cu; those with most work behind them (late queries) first, so
 * that the last blocks to run are short ones. What is left over is empty. */
static int make_items(void *to, const rt_made *m, ds_err *)
{
    const int32_t *cu = static_cast<const int32_t *>(m->from),
                  n = (int32_t)(m->from_bytes / sizeof *cu) - 1;
    const int64_t past = m->how[0], tile = m->how[1];
    attn_item *item = static_cast<attn_item *>(to);
    int32_t longest = 0;

    memset(to, 0, m->bytes);
    for (int32_t i = 0; i < n; i++)
        longest = cu[i + 1] - cu[i] > longest ? cu[i + 1] - cu[i] : longest;
    for (int64_t t = (longest - past + tile - 1) / tile - 1; t >= 0; t--)
        for (int32_t i = 0; i < n; i++) {
            const int32_t len = cu[i + 1] - cu[i];
            if (past + t * tile < len)
                *item++ =
                    attn_item{(int32_t)(past + t * tile), len, cu[i], (int32_t)(cu[i] - past)};
        }
    return 0;
}

/* As many as the sequences may have whatever they are cut into. */
static int items_of(dev_rt *rt, attn_args *a, unsigned *n, const ds_kseqs *s, int64_t past,
                    int tile, ds_err *err)
{
    const int64_t queries = s->cu[s->n] - s->n * past;
    void *dev;

    *n = queries > 0 ? (unsigned)(queries / tile + rt_seqs_room(s->n)) : 0;
    if (*n == 0)
        return 0;
    const rt_made m = {make_items,
                       s->cu,
                       ((size_t)s->n + 1) * sizeof *s->cu,
                       *n * sizeof(attn_item),
                       {past, tile}};
    TRY(rt_stage_made(rt, &dev, &m, err));
    a->item = static_cast<const attn_item *>(dev);
    return 0;
}

static bool aligned(const attn_args *a)
{
    return fits16(a->q) && fits16(a->k) && fits16(a->v) && fits16(a->dout) && fits16(a->o) &&
           fits16(a->dq) && fits16(a->dk) && fits16(a->dv);
}

typedef struct attn_form {
    int tile;
    void (*forward)(dev_stream st, enum ds_kfmt f, const attn_args *a, unsigned items);
    void (*back)(dev_stream st, enum ds_kfmt f, const attn_args *a, unsigned items);
} attn_form;

static const attn_form *form_of(const dev_rt *rt, enum ds_kfmt f, const attn_args *a)
{
    static const attn_form any = {ANY_TILE, ds_attn_any, ds_attn_any_back},
                           tiles = {TILE, ds_attn_tile, ds_attn_tile_back},
                           groups = {WG_TILE, ds_attn_wg, ds_attn_wg_back};

    return !ds_attn_tiles(f, a->qk, a->vd) || !aligned(a) ? &any
           : rt_warpgroups(rt)                            ? &groups
                                                          : &tiles;
}

static int forward(ds_kernels *k, attn_args *a, enum ds_kfmt f, const ds_kseqs *s, int64_t past,
                   ds_err *err)
{
    dev_rt *rt = rt_of(k);
    const attn_form *form = form_of(rt, f, a);
    unsigned items;

    TRY(items_of(rt, a, &items, s, past, form->tile, err));
    if (items == 0)
        return 0;
    form->forward(rt_stream(rt), f, a, items);
    return rt_launched(rt, "attention", err);
}

static int attention(ds_kernels *k, void *o, float *lse, const void *q, const void *kk,
                     const void *v, enum ds_kfmt f, const ds_kattn *p, const ds_kseqs *s,
                     ds_err *err)
{
    attn_args a = args_of(p);

    TRY(check(p, err));
    a.q = q;
    a.k = kk;
    a.v = v;
    a.o = o;
    a.lse = lse;
    return forward(k, &a, f, s, 0, err);
}

static int attention_past(ds_kernels *k, void *o, const void *q, const void *kk, const void *v,
                          enum ds_kfmt f, const ds_kattn *p, int64_t past, int64_t t, ds_err *err)
{
    const int32_t cu[2] = {0, (int32_t)(past + t)};
    const ds_kseqs one = {cu, 1};
    attn_args a = args_of(p);

    TRY(check(p, err));
    a.q = q;
    a.k = kk;
    a.v = v;
    a.o = o;
    return forward(k, &a, f, &one, past, err);
}

/* delta[t,h] = rowsum(dO . O): a warp each. */
template <class E, int N>
__global__ void delta_kernel(float *delta, const E *dout, const E *o, int64_t n, int32_t vd)
{
    const int64_t i = (int64_t)blockIdx.x * (blockDim.x / WARP) + threadIdx.x / WARP;
    float x[N], y[N], s = 0.0f;

    for (int32_t c = (int32_t)(threadIdx.x % WARP) * N; i < n && c < vd; c += (int32_t)WARP * N) {
        get<E, N>(x, dout + i * vd + c);
        get<E, N>(y, o + i * vd + c);
        for (int j = 0; j < N; j++)
            s = fmaf(x[j], y[j], s);
    }
    s = warp_sum(s);
    if (i < n && threadIdx.x % WARP == 0)
        delta[i] = s;
}

static int attention_back(ds_kernels *k, void *dq, void *dk, void *dv, const void *dout,
                          const void *q, const void *kk, const void *v, const void *o,
                          const float *lse, enum ds_kfmt f, const ds_kattn *p, const ds_kseqs *s,
                          ds_err *err)
{
    dev_rt *rt = rt_of(k);
    const int64_t n = (int64_t)s->cu[s->n] * p->heads;
    attn_args a = args_of(p);
    unsigned items;
    void *delta;

    TRY(check(p, err));
    if (n <= 0)
        return 0;
    a.q = q;
    a.k = kk;
    a.v = v;
    a.dout = dout;
    a.dq = dq;
    a.dk = dk;
    a.dv = dv;
    a.lse = const_cast<float *>(lse);
    const attn_form *form = form_of(rt, f, &a);
    TRY(rt_scratch(rt, 0, &delta, ds_scratch_delta(s->cu[s->n], p->heads), err));
    const bool wide = wide_rows(f, p->v_dim) && fits16(dout) && fits16(o);
    BY_WIDTH(f, wide,
             LAUNCH((delta_kernel<E, N>), dim3(blocks_of(n, 8)), dim3(8 * WARP), 0, rt_stream(rt),
                    (float *)delta, (const E *)dout, (const E *)o, n, p->v_dim));
    TRY(rt_launched(rt, "attention_back", err));
    a.delta = static_cast<const float *>(delta);
    TRY(items_of(rt, &a, &items, s, 0, form->tile, err));
    if (items == 0)
        return 0;
    form->back(rt_stream(rt), f, &a, items);
    return rt_launched(rt, "attention_back", err);
}

void ds_cuda_attention(ds_kernels *k)
{
    k->attention = attention;
    k->attention_past = attention_past;
    k->attention_back = attention_back;
}
