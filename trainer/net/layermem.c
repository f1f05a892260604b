/* layermem.c - the memory of layers in a step: what each keeps for the way back, and the one place
 * of what none keeps. */
#include "net_priv.h"

static const char *const NAMES[] = {"none", "attention", "mlp", "layer"};

const char *ds_recompute_name(enum ds_recompute r)
{
    return NAMES[r];
}

bool ds_recompute_attention(enum ds_recompute r)
{
    return r == DS_AGAIN_ATTENTION || r == DS_AGAIN_LAYER;
}

bool ds_recompute_mlp(enum ds_recompute r)
{
    return r == DS_AGAIN_MLP || r == DS_AGAIN_LAYER;
}

static int attention_get(ds_net *n, acts *a, int64_t t, ds_err *err)
{
    const ds_modelconf *c = &n->c;
    const int64_t qk = ds_qk_dim(c), vd = ds_v_dim(c);

    TRY(act_get(n, &a->q, t, c->heads * qk, err));
    TRY(act_get(n, &a->k, t, c->kv_heads * qk, err));
    TRY(act_get(n, &a->v, t, c->kv_heads * vd, err));
    TRY(act_get(n, &a->o, t, c->heads * vd, err));
    TRY(arena_get(n, (void **)&a->lse, (size_t)(t * c->heads) * 4, err));
    TRY(arena_get(n, (void **)&a->r1, (size_t)t * 4, err));
    if (c->arch != DS_DEEPSEEK_V2)
        return 0;
    TRY(act_get(n, &a->ckv, t, c->kv_lora + c->qk_rope, err));
    TRY(arena_get(n, (void **)&a->rckv, (size_t)t * 4, err));
    if (!c->q_lora)
        return 0;
    TRY(act_get(n, &a->qa, t, c->q_lora, err));
    return arena_get(n, (void **)&a->rqa, (size_t)t * 4, err);
}

static int mlp_get(ds_net *n, acts *a, const layer *l, int64_t t, ds_err *err)
{
    const ds_modelconf *c = &n->c;
    const int64_t total = t * c->experts_used;
    void *chosen;

    TRY(arena_get(n, (void **)&a->r2, (size_t)t * 4, err));
    if (l->has_dense) {
        TRY(act_get(n, &a->gate, t, l->gate.w->rows, err));
        TRY(act_get(n, &a->up, t, l->gate.w->rows, err));
    }
    if (!l->moe)
        return 0;
    TRY(arena_get(n, &chosen, ds_kchoices_bytes(t, c->experts, c->experts_used), err));
    a->chosen = ds_kchoices_at(chosen, t, c->experts, c->experts_used);
    TRY(arena_get(n, (void **)&a->prob, (size_t)(t * c->experts) * 4, err));
    TRY(arena_get(n, (void **)&a->topw, (size_t)total * 4, err));
    TRY(act_get(n, &a->xgate, total, c->moe_ffn, err));
    TRY(act_get(n, &a->xup, total, c->moe_ffn, err));
    return act_get(n, &a->xout, total, c->hidden, err);
}

static void mlp_share(acts *a, const acts *from)
{
    a->r2 = from->r2;
    a->gate = from->gate;
    a->up = from->up;
    a->prob = from->prob;
    a->topw = from->topw;
    a->chosen = from->chosen;
    a->xgate = from->xgate;
    a->xup = from->xup;
    a->xout = from->xout;
}

int layer_room(ds_net *n, int32_t i, int64_t t, bool keep, enum ds_recompute r, places *s,
               ds_err *err)
{
    const layer *l = &n->layers[i];
    acts *a = &n->acts[i], *shared = &s->mlp[l->moe];
    void *h = a->h;

    *a = (acts){.h = NULL};
    if (keep && !ds_recompute_attention(r)) {
        TRY(attention_get(n, a, t, err));
    } else {
        if (!s->attention.q)
            TRY(attention_get(n, &s->attention, t, err));
        *a = s->attention;
    }
    a->h = h;
    if (keep && r != DS_AGAIN_LAYER)
        TRY(act_get(n, &a->mid, t, n->c.hidden, err));
    else if (!s->mid)
        TRY(act_get(n, &s->mid, t, n->c.hidden, err));
    a->mid = a->mid ? a->mid : s->mid;
    if (keep && !ds_recompute_mlp(r)) {
        TRY(mlp_get(n, a, l, t, err));
    } else {
        if (!shared->r2)
            TRY(mlp_get(n, shared, l, t, err));
        mlp_share(a, shared);
    }
    return 0;
}
