/* attention.c - causal attention over packed sequences, forward and backward.
 *
 * One worker takes one (sequence, kv head) with its whole group of query heads, in strips of BQ
 * queries: a strip's scores lie in BQ x len floats, never T x T. Products use the register tiles on
 * panels packed once for each worker, so every element is one chain of fused multiply-adds in
 * ascending order of what it sums over: keys for o and dq; heads, then queries, for dk and dv. In
 * bf16 and f16 the probabilities and dS are rounded so before they are multiplied with v, q, k, dO.
 *
 * A few queries after a long past read keys, and f32 values, as they lie.
 *
 * Backward (Dao et al. 2022, appendix B): P = exp(s*QK' - lse), dV = P'dO, dP = dO V', D =
 * rowsum(dO.O), dS = s * P.(dP - D), dQ = dS K, dK = dS'Q.
 */
#include <stdlib.h>
#include <string.h>

#include "cpu.h"
#include "panel.h"

#define BQ 48 /* queries of a strip; a multiple of every mr */

typedef struct attn {
    const ds_vec *v;
    ds_scratch *scratch;
    ds_panels pan;
    enum ds_kfmt f;
    const ds_kattn *p;
    const ds_kseqs *s;
    int64_t past;  /* tokens of the one sequence that have keys and values only */
    int64_t parts; /* of a kv head's group of query heads, each for a worker */
    const void *q, *k, *val, *o_in, *dout;
    void *o, *dq, *dk, *dv;
    float *lse;
    const float *lse_in;
    bool failed;
} attn;

static int64_t round_up(int64_t n, int64_t to)
{
    return (n + to - 1) / to * to;
}

/* What a worker takes: one sequence and one kv head with its group of query heads, or a part of it.
 */
typedef struct share {
    int64_t t0, len;        /* the sequence's first token and length */
    int64_t g, h0, h1;      /* the kv head, its first query head and the one after the last */
    int64_t qw, kw, vw, ow; /* widths of the matrices */
} share;

static share share_of(const attn *a, int64_t i)
{
    const ds_kattn *p = a->p;
    const int64_t g = i / a->parts % p->kv_heads, seq = i / a->parts / p->kv_heads;
    const int64_t group = p->heads / p->kv_heads, some = group / a->parts;
    const int64_t h0 = g * group + i % a->parts * some;

    return (share){.t0 = a->s->cu[seq],
                   .len = a->s->cu[seq + 1] - a->s->cu[seq],
                   .g = g,
                   .h0 = h0,
                   .h1 = h0 + some,
                   .qw = (int64_t)p->heads * p->qk_dim,
                   .kw = (int64_t)p->kv_heads * p->qk_dim,
                   .vw = (int64_t)p->kv_heads * p->v_dim,
                   .ow = (int64_t)p->heads * p->v_dim};
}

static void pack_left(const attn *a, float *dst, const void *src, bool trans, int64_t ld, int64_t m,
                      int64_t k)
{
    ds_pack_left(&a->pan, dst, ds_panels_depth(&a->pan, k), src, a->f, trans, ld, 0, m, k);
}

static void pack_right(const attn *a, float *dst, const void *src, bool columns, int64_t ld,
                       int64_t n, int64_t k)
{
    ds_pack_right(&a->pan, dst, ds_panels_depth(&a->pan, k), src, a->f, !columns, ld, 0, n, k);
}

/* acc[m][stride] += left (k terms) times right (panels of `pitch` terms, of which k are used). */
static void multiply(const attn *a, float *acc, int64_t stride, int64_t m, int64_t n, int64_t k,
                     const float *left, const float *right, int64_t pitch)
{
    const int64_t depth = ds_panels_depth(&a->pan, k);

    ds_panels_multiply(&a->pan, acc, stride, m, n, depth, left, depth, right,
                       ds_panels_depth(&a->pan, pitch));
}

/* Scores as a left operand, in the format of the others. They are rounded in place. */
static void pack_scores(const attn *a, float *dst, float *scores, bool trans, int64_t wide,
                        int64_t rows, int64_t m, int64_t k)
{
    if (a->f != DS_KF32)
        a->v->to_half((uint16_t *)(void *)scores, a->f, scores, rows * wide);
    pack_left(a, dst, scores, trans, wide, m, k);
}

static const void *at(const void *base, enum ds_kfmt f, int64_t i)
{
    return (const char *)base + (size_t)i * ds_kfmt_size(f);
}

static void put_row(const attn *a, void *dst, int64_t i, const float *row, int64_t n)
{
    if (a->f == DS_KF32)
        memcpy((float *)dst + i, row, (size_t)n * sizeof *row);
    else
        a->v->to_half((uint16_t *)dst + i, a->f, row, n);
}

/* ---- forward ---- */

typedef struct strip {
    int64_t q0, rows;   /* queries */
    int64_t keys, wide; /* keys that they see, even but at the end, and the strip's width */
} strip;

static strip strip_of(const attn *a, int64_t len, int64_t q0)
{
    strip s = {.q0 = q0, .rows = len - q0 < BQ ? len - q0 : BQ};
    const int64_t keys = q0 + s.rows + (q0 + s.rows) % 2;

    s.keys = keys < len ? keys : len;
    s.wide = round_up(s.keys, a->v->nr);
    return s;
}

/* Scores of a strip to probabilities. */
static void softmax(const attn *a, const share *w, const strip *s, int64_t h, float *scores)
{
    const ds_vec *v = a->v;

    for (int64_t r = 0; r < s->rows; r++) {
        float *x = scores + r * s->wide;
        const int64_t n = s->q0 + r + 1;
        v->scale(x, a->p->scale, n);
        const float top = v->max(x, n), sum = v->expsum(x, x, top, n);
        v->scale(x, 1.0f / sum, n);
        memset(x + n, 0, (size_t)(s->wide - n) * sizeof *x);
        if (a->lse)
            a->lse[(w->t0 + s->q0 + r) * a->p->heads + h] = top + ds_logf_exact(sum);
    }
}

/* Scores of a few queries, without panels of the keys. */
static void scores_few(const attn *a, const share *w, const strip *s, int64_t h, float *left,
                       float *scores)
{
    const int64_t qk = a->p->qk_dim, deep = ds_panels_depth(&a->pan, qk),
                  t = w->t0 + s->q0 - a->past;

    for (int64_t r = 0; r < s->rows; r++)
        ds_units_left(&a->pan, left + r * deep, at(a->q, a->f, (t + r) * w->qw + h * qk), a->f, qk);
    a->pan.few(scores, (size_t)s->wide, (int)s->rows, left, deep,
               at(a->k, a->f, w->t0 * w->kw + w->g * qk), (size_t)w->kw * ds_kfmt_size(a->f),
               s->keys, deep);
}

/* Their sums of f32 values: the chain of the tiles, with the zeros of keys that are not seen. */
static void sums_few(const attn *a, const share *w, const strip *s, const float *scores, float *out,
                     int64_t outw)
{
    const int64_t vd = a->p->v_dim;
    const float *v = at(a->val, a->f, w->t0 * w->vw + w->g * vd);

    for (int64_t r = 0; r < s->rows; r++)
        for (int64_t t = 0; t < s->keys; t++)
            a->v->axpy(out + r * outw, scores[r * s->wide + t], v + t * w->vw, vd);
}

/* kp, vp: panels of the keys and values, NULL where there is none. */
static void forward_strip(const attn *a, const share *w, const strip *s, int64_t h, float *left,
                          float *scores, float *out, const float *kp, const float *vp)
{
    const ds_kattn *p = a->p;
    const int64_t outw = round_up(p->v_dim, a->v->nr), t = w->t0 + s->q0 - a->past;

    memset(scores, 0, (size_t)(BQ * s->wide) * sizeof *scores);
    memset(out, 0, (size_t)(BQ * outw) * sizeof *out);
    if (kp) {
        pack_left(a, left, at(a->q, a->f, t * w->qw + h * p->qk_dim), false, w->qw, s->rows,
                  p->qk_dim);
        multiply(a, scores, s->wide, s->rows, s->keys, p->qk_dim, left, kp, p->qk_dim);
    } else {
        scores_few(a, w, s, h, left, scores);
    }
    softmax(a, w, s, h, scores);
    if (vp) {
        pack_scores(a, left, scores, false, s->wide, s->rows, s->rows, s->keys);
        multiply(a, out, outw, s->rows, p->v_dim, s->keys, left, vp, w->len);
    } else {
        sums_few(a, w, s, scores, out, outw);
    }
    for (int64_t r = 0; r < s->rows; r++)
        put_row(a, a->o, (t + r) * w->ow + h * p->v_dim, out + r * outw, p->v_dim);
}

static bool is_few(const attn *a, int64_t queries)
{
    return queries <= DS_FEW && !(a->pan.pairs && a->p->qk_dim % 2);
}

static void forward_job(void *arg, int64_t i)
{
    attn *a = arg;
    const ds_kattn *p = a->p;
    const share w = share_of(a, i);
    const int64_t wide = round_up(w.len, a->v->nr), deep = w.len > p->qk_dim ? w.len : p->qk_dim;
    const int64_t outw = round_up(p->v_dim, a->v->nr);
    const bool few = is_few(a, w.len - a->past);

    if (w.len <= 0)
        return;
    float *scores = ds_scratch_take(
        a->scratch, (size_t)(wide * p->qk_dim + outw * w.len + BQ * (deep + wide + outw)));
    if (!scores) {
        __atomic_store_n(&a->failed, true, __ATOMIC_RELAXED);
        return;
    }
    float *out = scores + BQ * wide, *left = out + BQ * outw;
    float *kp = few ? NULL : left + BQ * deep;
    float *vp = few && a->f == DS_KF32 ? NULL : left + BQ * deep + wide * p->qk_dim;
    if (kp)
        pack_right(a, kp, at(a->k, a->f, w.t0 * w.kw + w.g * p->qk_dim), true, w.kw, w.len,
                   p->qk_dim);
    if (vp)
        pack_right(a, vp, at(a->val, a->f, w.t0 * w.vw + w.g * p->v_dim), false, w.vw, p->v_dim,
                   w.len);
    for (int64_t h = w.h0; h < w.h1; h++)
        for (int64_t q0 = a->past; q0 < w.len; q0 += BQ) {
            const strip s = strip_of(a, w.len, q0);
            forward_strip(a, &w, &s, h, left, scores, out, kp, vp);
        }
    ds_scratch_give(a->scratch, scores);
}

static int check(const ds_kattn *p, ds_err *err)
{
    if (p->heads < 1 || p->kv_heads < 1 || p->heads % p->kv_heads || p->qk_dim < 1 || p->v_dim < 1)
        return ds_fail(err, DS_FAIL, "attention of %d heads over %d kv heads, widths %d and %d",
                       (int)p->heads, (int)p->kv_heads, (int)p->qk_dim, (int)p->v_dim);
    return 0;
}

static int attention(ds_kernels *k, void *o, float *lse, const void *q, const void *kk,
                     const void *v, enum ds_kfmt f, const ds_kattn *p, const ds_kseqs *s,
                     ds_err *err)
{
    attn a = {.v = ds_cpu_of(k)->vec,
              .scratch = &ds_cpu_of(k)->scratch,
              .pan = ds_panels_of(ds_cpu_of(k)->vec, f, f),
              .f = f,
              .p = p,
              .s = s,
              .parts = 1,
              .q = q,
              .k = kk,
              .val = v,
              .o = o,
              .lse = lse};

    if (check(p, err))
        return DS_FAIL;
    ds_workers_run(ds_cpu_of(k)->workers, (int64_t)s->n * p->kv_heads, forward_job, &a);
    return a.failed ? ds_fail_nomem(err) : 0;
}

static int attention_past(ds_kernels *k, void *o, const void *q, const void *kk, const void *v,
                          enum ds_kfmt f, const ds_kattn *p, int64_t past, int64_t t, ds_err *err)
{
    const int32_t cu[2] = {0, (int32_t)(past + t)};
    const ds_kseqs one = {cu, 1};
    attn a = {.v = ds_cpu_of(k)->vec,
              .scratch = &ds_cpu_of(k)->scratch,
              .pan = ds_panels_of(ds_cpu_of(k)->vec, f, f),
              .f = f,
              .p = p,
              .s = &one,
              .parts = 1,
              .past = past,
              .q = q,
              .k = kk,
              .val = v,
              .o = o};

    if (check(p, err))
        return DS_FAIL;
    if (f == DS_KF32 && is_few(&a, t)) /* nothing is packed for the group */
        a.parts = p->heads / p->kv_heads;
    ds_workers_run(ds_cpu_of(k)->workers, p->kv_heads * a.parts, forward_job, &a);
    return a.failed ? ds_fail_nomem(err) : 0;
}

/* ---- backward ---- */

typedef struct back {
    float *k_by_key, *v_by_key; /* right operands of QK' and dO V' */
    float *k_by_dim;            /* of dS K */
    float *dk, *dv;             /* [len][dkw], [len][dvw], summed over the group */
    float *left, *right, *prob, *ds, *dq, *row;
    int64_t dkw, dvw;
} back;

static float *back_new(back *b, const attn *a, int64_t len)
{
    const ds_vec *v = a->v;
    const int64_t wide = round_up(len, v->nr), tall = round_up(len, v->mr);
    const int64_t qk = a->p->qk_dim, vd = a->p->v_dim;
    const int64_t depth = qk > vd ? qk : vd;

    b->dkw = round_up(qk, v->nr);
    b->dvw = round_up(vd, v->nr);
    const int64_t left = BQ * (tall > depth ? tall : depth),
                  right = BQ * (b->dkw > b->dvw ? b->dkw : b->dvw);
    float *m = ds_scratch_take(a->scratch,
                               (size_t)(wide * (qk + vd) + b->dkw * len + tall * (b->dkw + b->dvw) +
                                        left + right + BQ * (2 * wide + b->dkw) + 2 * vd));
    if (!m)
        return NULL;
    b->k_by_key = m;
    b->v_by_key = b->k_by_key + wide * qk;
    b->k_by_dim = b->v_by_key + wide * vd;
    b->dk = b->k_by_dim + b->dkw * len;
    b->dv = b->dk + tall * b->dkw;
    b->left = b->dv + tall * b->dvw;
    b->right = b->left + left;
    b->prob = b->right + right;
    b->ds = b->prob + BQ * wide;
    b->dq = b->ds + BQ * wide;
    b->row = b->dq + BQ * b->dkw;
    memset(b->dk, 0, (size_t)(tall * (b->dkw + b->dvw)) * sizeof *b->dk);
    return m;
}

/* P and dS of a strip: prob and ds hold QK' and dO V' on entry. */
static void scores_back(const attn *a, const share *w, const strip *s, int64_t h, back *b)
{
    const ds_kattn *p = a->p;
    const ds_vec *v = a->v;

    for (int64_t r = 0; r < s->rows; r++) {
        const int64_t t = w->t0 + s->q0 + r, n = s->q0 + r + 1, where = t * w->ow + h * p->v_dim;
        float *pr = b->prob + r * s->wide, *ds = b->ds + r * s->wide;
        const float d =
            v->dot(ds_row_get(v, a->dout, a->f, where, p->v_dim, b->row),
                   ds_row_get(v, a->o_in, a->f, where, p->v_dim, b->row + p->v_dim), p->v_dim);
        v->scale(pr, p->scale, n);
        (void)v->expsum(pr, pr, a->lse_in[t * p->heads + h], n);
        memset(pr + n, 0, (size_t)(s->wide - n) * sizeof *pr);
        v->score_back(ds, pr, d, p->scale, n);
        memset(ds + n, 0, (size_t)(s->wide - n) * sizeof *ds);
    }
}

static void backward_strip(const attn *a, const share *w, const strip *s, int64_t h, back *b)
{
    const ds_kattn *p = a->p;
    const int64_t t = w->t0 + s->q0;
    const void *q = at(a->q, a->f, t * w->qw + h * p->qk_dim);
    const void *dout = at(a->dout, a->f, t * w->ow + h * p->v_dim);

    memset(b->prob, 0, (size_t)(BQ * s->wide) * sizeof *b->prob);
    memset(b->ds, 0, (size_t)(BQ * s->wide) * sizeof *b->ds);
    memset(b->dq, 0, (size_t)(BQ * b->dkw) * sizeof *b->dq);
    pack_left(a, b->left, q, false, w->qw, s->rows, p->qk_dim);
    multiply(a, b->prob, s->wide, s->rows, s->keys, p->qk_dim, b->left, b->k_by_key, p->qk_dim);
    pack_left(a, b->left, dout, false, w->ow, s->rows, p->v_dim);
    multiply(a, b->ds, s->wide, s->rows, s->keys, p->v_dim, b->left, b->v_by_key, p->v_dim);
    scores_back(a, w, s, h, b);

    pack_scores(a, b->left, b->ds, false, s->wide, s->rows, s->rows, s->keys);
    multiply(a, b->dq, b->dkw, s->rows, p->qk_dim, s->keys, b->left, b->k_by_dim, w->len);
    for (int64_t r = 0; r < s->rows; r++)
        put_row(a, a->dq, (t + r) * w->qw + h * p->qk_dim, b->dq + r * b->dkw, p->qk_dim);

    pack_left(a, b->left, b->ds, true, s->wide, s->keys, s->rows);
    pack_right(a, b->right, q, false, w->qw, p->qk_dim, s->rows);
    multiply(a, b->dk, b->dkw, s->keys, p->qk_dim, s->rows, b->left, b->right, s->rows);
    pack_scores(a, b->left, b->prob, true, s->wide, s->rows, s->keys, s->rows);
    pack_right(a, b->right, dout, false, w->ow, p->v_dim, s->rows);
    multiply(a, b->dv, b->dvw, s->keys, p->v_dim, s->rows, b->left, b->right, s->rows);
}

static void backward_job(void *arg, int64_t i)
{
    attn *a = arg;
    const ds_kattn *p = a->p;
    const share w = share_of(a, i);
    back b;

    if (w.len <= 0)
        return;
    float *m = back_new(&b, a, w.len);
    if (!m) {
        __atomic_store_n(&a->failed, true, __ATOMIC_RELAXED);
        return;
    }
    const void *k = at(a->k, a->f, w.t0 * w.kw + w.g * p->qk_dim),
               *val = at(a->val, a->f, w.t0 * w.vw + w.g * p->v_dim);
    pack_right(a, b.k_by_key, k, true, w.kw, w.len, p->qk_dim);
    pack_right(a, b.v_by_key, val, true, w.vw, w.len, p->v_dim);
    pack_right(a, b.k_by_dim, k, false, w.kw, p->qk_dim, w.len);
    for (int64_t h = w.h0; h < w.h1; h++)
        for (int64_t q0 = 0; q0 < w.len; q0 += BQ) {
            const strip s = strip_of(a, w.len, q0);
            backward_strip(a, &w, &s, h, &b);
        }
    for (int64_t t = 0; t < w.len; t++) {
        put_row(a, a->dk, (w.t0 + t) * w.kw + w.g * p->qk_dim, b.dk + t * b.dkw, p->qk_dim);
        put_row(a, a->dv, (w.t0 + t) * w.vw + w.g * p->v_dim, b.dv + t * b.dvw, p->v_dim);
    }
    ds_scratch_give(a->scratch, m);
}

static int attention_back(ds_kernels *k, void *dq, void *dk, void *dv, const void *dout,
                          const void *q, const void *kk, const void *v, const void *o,
                          const float *lse, enum ds_kfmt f, const ds_kattn *p, const ds_kseqs *s,
                          ds_err *err)
{
    attn a = {.v = ds_cpu_of(k)->vec,
              .scratch = &ds_cpu_of(k)->scratch,
              .pan = ds_panels_of(ds_cpu_of(k)->vec, f, f),
              .f = f,
              .p = p,
              .s = s,
              .parts = 1,
              .q = q,
              .k = kk,
              .val = v,
              .o_in = o,
              .dout = dout,
              .dq = dq,
              .dk = dk,
              .dv = dv,
              .lse_in = lse};

    if (check(p, err))
        return DS_FAIL;
    ds_workers_run(ds_cpu_of(k)->workers, (int64_t)s->n * p->kv_heads, backward_job, &a);
    return a.failed ? ds_fail_nomem(err) : 0;
}

void ds_cpu_attention(ds_kernels *k)
{
    k->attention = attention;
    k->attention_past = attention_past;
    k->attention_back = attention_back;
}
