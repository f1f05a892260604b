/* net_priv.h - what the files of the network share: linear.c, layermem.c, attnblock.c,
 * mlpblock.c, experts.c, net.c. */
#ifndef DS_NET_PRIV_H
#define DS_NET_PRIV_H

#include "net.h"
#include "tokenrows.h"
#include "try.h"

/* y = x W' + b + s B A dropout(x) */
typedef struct linear {
    ds_param *w, *b;    /* b may be NULL */
    ds_param *la, *lb;  /* LoRA, f32; NULL without */
    ds_param *mag;      /* DoRA: lengths of the rows of W + s B A; NULL without */
    float *norm, *gain; /* those lengths as they are, and mag / norm; not differentiated */
    float s, drop;
    uint32_t id;        /* of the module, for dropout */
    bool target;        /* is to have an adapter */
    ds_param *aside[3]; /* la, lb and mag, while the net is without adapters */
} linear;

typedef struct layer {
    ds_param *norm1, *norm2;
    linear q, k, v, o;
    /* latent attention */
    linear qa, qb, kva, kvb;
    ds_param *qa_norm, *kva_norm;
    /* dense, or shared experts */
    linear gate, up, down;
    bool moe, has_dense;
    ds_param *router;
    linear *experts; /* 3 an expert: gate, up, down */
} layer;

/* What a layer keeps for its backward pass. */
typedef struct acts {
    void *h;         /* its input */
    void *q, *k, *v; /* after rotation */
    void *o;
    float *lse, *r1, *r2;
    void *mid; /* after attention */
    void *gate, *up;
    /* latent attention */
    void *qa, *ckv;
    float *rqa, *rckv;
    /* experts */
    float *prob, *topw;
    void *xgate, *xup, *xout; /* of the sorted rows */
    ds_kchoices chosen;
} acts;

/* What is not kept lies in one place for all layers; experts need another than a dense layer. */
typedef struct places {
    acts attention, mlp[2];
    void *mid;
} places;

/* Memory of one step: a stack in blocks of the backend, kept from step to step. What it lends is
 * not zeroed. */
typedef struct arena {
    void **block;
    size_t *size, *left;      /* left: used of a block when the next one was gone on to */
    size_t n, cap, cur, used; /* used: of block cur */
    size_t peak;              /* the most that was lent at once */
} arena;

/* Where a step stands between its way forward and its way back. */
typedef struct halfway {
    void *last, *rstd, *dh; /* the last layer's output, of its norm, and room for its gradient */
    void *loss;             /* of every token */
    bool kept;              /* it does: all of it, and of every layer, is there */
} halfway;

/* Keys and values of a text so far, a layer after the other; for latent attention what they are
 * made of. */
struct ds_kvcache {
    ds_kernels *k;
    bool latent;
    void **keys, **values; /* [positions][kv_heads * width] each; latent: keys [positions][kv_lora +
                              qk_rope], norm(c) and the rotated part, and no values */
    int32_t layers;
    int64_t positions, past;
};

struct ds_net {
    ds_kernels *k;
    ds_modelconf c;
    enum ds_kfmt f;
    int32_t positions;
    ds_params params;
    ds_param *embed, *head, *norm; /* head == embed when tied */
    float *embed_g; /* of look-ups in a tied embedding, apart from those of the head until the batch
                       is whole: two chains, not one woven */
    ds_param *prompt;
    token_rows rows;
    layer *layers;
    acts *acts;
    float *cs; /* rotary table, backend memory */
    arena mem;
    halfway half;
    uint32_t modules;
    const ds_netbatch *b;
    ds_kstep step;         /* b's */
    void *x;               /* of a pass, t x hidden: what a half of a layer works on, normed */
    bool dora;             /* some projection has a magnitude */
    bool dropout;          /* on while training */
    bool bare;             /* without its adapters, for a while */
    ds_kvcache *cache;     /* while a text goes on */
    ds_kgroup *groups;     /* room for two products of each projection of all experts, */
    const float **factors; /* for factors of a projection's columns, an expert each, */
    float **sums;          /* and for sums over them */
};

int arena_get(ds_net *n, void **p, size_t bytes, ds_err *err);
size_t arena_mark(const ds_net *n, size_t *block);
void arena_back(ds_net *n, size_t block, size_t used);
void arena_fini(ds_net *n);
/* An activation of t x d in the network's format. */
static inline int act_get(ds_net *n, void **p, int64_t t, int64_t d, ds_err *err)
{
    return arena_get(n, p, (size_t)(t * d) * ds_kfmt_size(n->f), err);
}

/* A pass begins: nothing of the last one is left in the memory of a step, or held by the backend.
 */
void net_begin(ds_net *n, const ds_netbatch *b, bool dropout);
/* Weights that others are made of, as they are: before a pass. */
int net_refresh(ds_net *n, ds_err *err);
/* Checks a batch; *out (malloc'd) = its 3 t rows: of the embedding, then of the prompt; -1: it is
 * of the other; then of those of the embedding that are trained alone, -1: it is none. */
int net_ids(const ds_net *n, const ds_netbatch *b, int32_t **out, ds_err *err);
int net_embed(ds_net *n, const ds_netbatch *b, const int32_t *ids, void *h, ds_err *err);
/* All layers; acts[0].h is the input. What the layers keep for the way back: those below `from`
 * nothing, the others what `r` leaves. rstd: n->x becomes the norm of the last one's output; NULL:
 * it is not asked for. */
int net_forward(ds_net *n, int64_t t, int32_t from, enum ds_recompute r, float *rstd, void **last,
                ds_err *err);
/* Room for what layer i makes on the way forward; its input h is there. keep: the layer is gone
 * back through. */
int layer_room(ds_net *n, int32_t i, int64_t t, bool keep, enum ds_recompute r, places *s,
               ds_err *err);

/* Takes adapters out of the arithmetic, and the weights before in; and back. */
void net_bare(ds_net *n, bool bare);
/* Every projection of a layer, in order; NULL past the last. */
linear *net_linear(ds_net *n, layer *l, int32_t i);
/* Adds the magnitude of a projection that has an adapter; its rows' lengths as they are. */
int dora_add(ds_net *n, linear *l, ds_err *err);
/* Gains, from the weights as they are: before a pass. */
int dora_refresh(ds_net *n, ds_err *err);
void dora_fini(ds_net *n);

int lin_fwd(ds_net *n, const linear *l, const void *x, int64_t t, void *y, ds_err *err);
/* Gradients of the weights, and dx (+)= dy W ...; dx may be NULL. x: as it went forward. */
int lin_back(ds_net *n, const linear *l, const void *dy, const void *x, int64_t t, void *dx,
             bool accumulate, ds_err *err);

/* Each works on n->x, its normed input, and takes that input (kept) to the residual sum after it;
 * forward n->x becomes the norm of that sum, so that the next half finds it. dh is the gradient of
 * the output, turned into that of the input; n->x stays. When dx is not needed (want_dx false) only
 * the parameters' gradients are made. */
int attn_fwd(ds_net *n, const layer *l, acts *a, int64_t t, ds_err *err);
int attn_back(ds_net *n, const layer *l, acts *a, int64_t t, void *dh, bool want_dx, ds_err *err);
/* What the way back needs and was not kept, from n->x, which stays. */
int attn_again(ds_net *n, const layer *l, acts *a, int64_t t, ds_err *err);
int mlp_again(ds_net *n, const layer *l, acts *a, int64_t t, ds_err *err);
/* a->o of t tokens whose q, k and v are in a, after those that the cache holds; k and v join them.
 */
int ds_kvcache_attend(ds_net *n, ds_kvcache *c, const layer *l, acts *a, const ds_kattn *p,
                      int64_t t, ds_err *err);
/* Latent: norm(c) and the rotated part of t tokens join the cache. *done: it needs no k and v of
 * the heads. */
int ds_kvcache_keep(ds_net *n, ds_kvcache *c, const layer *l, const void *norm, const acts *a,
                    int64_t t, bool *done, ds_err *err);
/* n->x = the norm of out by gain, with rstd; gain NULL: it is left as it is. */
int mlp_fwd(ds_net *n, const layer *l, acts *a, int64_t t, void *out, const ds_param *gain,
            float *rstd, ds_err *err);
int mlp_back(ds_net *n, const layer *l, acts *a, int64_t t, void *dh, ds_err *err);
/* out (+)= the experts' part; NULL: only what the way back needs. */
int moe_fwd(ds_net *n, const layer *l, acts *a, int64_t t, const void *x, void *out, ds_err *err);
/* dx += theirs and the gate's. */
int moe_back(ds_net *n, const layer *l, acts *a, int64_t t, const void *dout, const void *x,
             void *dx, ds_err *err);

#endif
