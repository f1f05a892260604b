/* attention.c - causal attention over packed sequences, forward and backward.
 *
 * One worker takes one (sequence, kv head) with its whole group of query heads, in strips of BQ
 * queries: a strip's scores lie in BQ x len floats, never T x T. Products use the register tile of
 * gemm.c on panels packed once for each worker, so every element is one chain of fused
 * multiply-adds in ascending order of what it sums over: keys for o and dq; heads, then queries,
 * for dk and dv.
 *
 * Backward (Dao et al. 2022, appendix B): P = exp(s*QK' - lse), dV = P'dO, dP = dO V', D =
 * rowsum(dO.O), dS = s * P.(dP - D), dQ = dS K, dK = dS'Q.
 */
#include <stdlib.h>
#include <string.h>

#include "cpu.h"

#define BQ 48 /* queries of a strip; a multiple of every mr */

typedef struct attn {
    const ds_vec *v;
    enum ds_kfmt f;
    const ds_kattn *p;
    const ds_kseqs *s;
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

/* Panels of a right operand: element (k, n) of [depth, n] is stored at k*ld + n (rows), or at n*ld
 * + k (columns). */
static void pack_right(const ds_vec *v, float *dst, const void *src, enum ds_kfmt f, bool columns,
                       int64_t ld, int64_t n, int64_t depth)
{
    for (int64_t j = 0; j < n; j += v->nr)
        ds_pack_panel(dst + j * depth, src, f, !columns, ld, j, n - j < v->nr ? n - j : v->nr,
                      v->nr, depth);
}

static void pack_left(const ds_vec *v, float *dst, const void *src, enum ds_kfmt f, bool trans,
                      int64_t ld, int64_t m, int64_t depth)
{
    for (int64_t i = 0; i < m; i += v->mr)
        ds_pack_panel(dst + i * depth, src, f, trans, ld, i, m - i < v->mr ? m - i : v->mr, v->mr,
                      depth);
}

/* acc[m][stride] += left (panels of `depth`) times right (panels `pitch` deep, of which `depth` are
 * used). */
static void multiply(const ds_vec *v, float *acc, int64_t stride, int64_t m, int64_t n,
                     int64_t depth, const float *left, const float *right, int64_t pitch)
{
    for (int64_t j = 0; j < n; j += v->nr)
        for (int64_t i = 0; i < m; i += v->mr)
            v->tile(acc + i * stride + j, (size_t)stride, left + i * depth, right + j * pitch,
                    depth);
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
        a->v->to_bf16((uint16_t *)dst + i, row, n);
}

/* ---- forward ---- */

typedef struct strip {
    int64_t t0, len;    /* the sequence's first token and length */
    int64_t q0, rows;   /* queries of the strip */
    int64_t keys, wide; /* keys that they see, and the strip's width */
} strip;

static strip strip_of(const attn *a, int64_t t0, int64_t len, int64_t q0)
{
    strip s = {.t0 = t0, .len = len, .q0 = q0, .rows = len - q0 < BQ ? len - q0 : BQ};
    s.keys = q0 + s.rows;
    s.wide = round_up(s.keys, a->v->nr);
    return s;
}

static void forward_strip(const attn *a, const strip *s, int32_t h, float *left, float *scores,
                          float *out, const float *kp, const float *vp)
{
    const ds_kattn *p = a->p;
    const ds_vec *v = a->v;
    const int64_t qw = (int64_t)p->heads * p->qk_dim, ow = (int64_t)p->heads * p->v_dim,
                  outw = round_up(p->v_dim, v->nr);
    const int64_t first = (s->t0 + s->q0) * qw + (int64_t)h * p->qk_dim;

    memset(scores, 0, (size_t)(BQ * s->wide) * sizeof *scores);
    memset(out, 0, (size_t)(BQ * outw) * sizeof *out);
    pack_left(v, left, at(a->q, a->f, first), a->f, false, qw, s->rows, p->qk_dim);
    multiply(v, scores, s->wide, s->rows, s->keys, p->qk_dim, left, kp, p->qk_dim);
    for (int64_t r = 0; r < s->rows; r++) {
        float *x = scores + r * s->wide;
        const int64_t n = s->q0 + r + 1;
        v->scale(x, p->scale, n);
        const float top = v->max(x, n), sum = v->expsum(x, x, top, n);
        v->scale(x, 1.0f / sum, n);
        memset(x + n, 0, (size_t)(s->wide - n) * sizeof *x);
        a->lse[(s->t0 + s->q0 + r) * p->heads + h] = top + ds_logf_exact(sum);
    }
    pack_left(v, left, scores, DS_KF32, false, s->wide, s->rows, s->keys);
    multiply(v, out, outw, s->rows, p->v_dim, s->keys, left, vp, s->len);
    for (int64_t r = 0; r < s->rows; r++)
        put_row(a, a->o, (s->t0 + s->q0 + r) * ow + (int64_t)h * p->v_dim, out + r * outw,
                p->v_dim);
}

static void forward_job(void *arg, int64_t i)
{
    attn *a = arg;
    const ds_kattn *p = a->p;
    const ds_vec *v = a->v;
    const int64_t seq = i / p->kv_heads, g = i % p->kv_heads, group = p->heads / p->kv_heads;
    const int64_t t0 = a->s->cu[seq], len = a->s->cu[seq + 1] - t0;
    const int64_t kw = (int64_t)p->kv_heads * p->qk_dim, vw = (int64_t)p->kv_heads * p->v_dim;
    const int64_t wide = round_up(len, v->nr), deep = len > p->qk_dim ? len : p->qk_dim;
    const int64_t outw = round_up(p->v_dim, v->nr);

    if (len <= 0)
        return;
    float *kp = ds_cpu_scratch((size_t)(wide * p->qk_dim + outw * len + BQ * (deep + wide + outw)));
    if (!kp) {
        __atomic_store_n(&a->failed, true, __ATOMIC_RELAXED);
        return;
    }
    float *vp = kp + wide * p->qk_dim, *left = vp + outw * len, *scores = left + BQ * deep,
          *out = scores + BQ * wide;
    pack_right(v, kp, at(a->k, a->f, t0 * kw + g * p->qk_dim), a->f, true, kw, len, p->qk_dim);
    pack_right(v, vp, at(a->val, a->f, t0 * vw + g * p->v_dim), a->f, false, vw, p->v_dim, len);
    for (int64_t h = g * group; h < (g + 1) * group; h++)
        for (int64_t q0 = 0; q0 < len; q0 += BQ) {
            const strip s = strip_of(a, t0, len, q0);
            forward_strip(a, &s, (int32_t)h, left, scores, out, kp, vp);
        }
    free(kp);
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
              .f = f,
              .p = p,
              .s = s,
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

/* ---- backward ---- */

typedef struct back {
    float *k_by_key, *v_by_key; /* right operands of QK' and dO V' */
    float *k_by_dim;            /* of dS K */
    float *dk, *dv;             /* [len][dkw], [len][dvw], summed over the group */
    float *left, *right, *prob, *ds, *dq;
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
    float *m = ds_cpu_scratch((size_t)(wide * (qk + vd) + b->dkw * len + tall * (b->dkw + b->dvw) +
                                       left + right + BQ * (2 * wide + b->dkw)));
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
    memset(b->dk, 0, (size_t)(tall * (b->dkw + b->dvw)) * sizeof *b->dk);
    return m;
}

/* P and dS of a strip: prob and ds hold QK' and dO V' on entry. */
static int scores_back(const attn *a, const strip *s, int32_t h, back *b)
{
    const ds_kattn *p = a->p;
    const ds_vec *v = a->v;
    const int64_t ow = (int64_t)p->heads * p->v_dim;
    float *tmp = ds_cpu_scratch((size_t)p->v_dim * 2);

    if (!tmp)
        return -1;
    for (int64_t r = 0; r < s->rows; r++) {
        const int64_t t = s->t0 + s->q0 + r, n = s->q0 + r + 1,
                      where = t * ow + (int64_t)h * p->v_dim;
        float *pr = b->prob + r * s->wide, *ds = b->ds + r * s->wide;
        const float lse = a->lse_in[t * p->heads + h];
        const float d =
            v->dot(ds_row_get(v, a->dout, a->f, where, p->v_dim, tmp),
                   ds_row_get(v, a->o_in, a->f, where, p->v_dim, tmp + p->v_dim), p->v_dim);
        v->scale(pr, p->scale, n);
        (void)v->expsum(pr, pr, lse, n);
        memset(pr + n, 0, (size_t)(s->wide - n) * sizeof *pr);
        for (int64_t i = 0; i < n; i++)
            ds[i] = p->scale * (pr[i] * (ds[i] - d));
        memset(ds + n, 0, (size_t)(s->wide - n) * sizeof *ds);
    }
    free(tmp);
    return 0;
}

static int backward_strip(const attn *a, const strip *s, int32_t h, back *b)
{
    const ds_kattn *p = a->p;
    const ds_vec *v = a->v;
    const int64_t qw = (int64_t)p->heads * p->qk_dim, ow = (int64_t)p->heads * p->v_dim;
    const void *q = at(a->q, a->f, (s->t0 + s->q0) * qw + (int64_t)h * p->qk_dim);
    const void *dout = at(a->dout, a->f, (s->t0 + s->q0) * ow + (int64_t)h * p->v_dim);

    memset(b->prob, 0, (size_t)(BQ * s->wide) * sizeof *b->prob);
    memset(b->ds, 0, (size_t)(BQ * s->wide) * sizeof *b->ds);
    memset(b->dq, 0, (size_t)(BQ * b->dkw) * sizeof *b->dq);
    pack_left(v, b->left, q, a->f, false, qw, s->rows, p->qk_dim);
    multiply(v, b->prob, s->wide, s->rows, s->keys, p->qk_dim, b->left, b->k_by_key, p->qk_dim);
    pack_left(v, b->left, dout, a->f, false, ow, s->rows, p->v_dim);
    multiply(v, b->ds, s->wide, s->rows, s->keys, p->v_dim, b->left, b->v_by_key, p->v_dim);
    if (scores_back(a, s, h, b))
        return -1;

    pack_left(v, b->left, b->ds, DS_KF32, false, s->wide, s->rows, s->keys);
    multiply(v, b->dq, b->dkw, s->rows, p->qk_dim, s->keys, b->left, b->k_by_dim, s->len);
    for (int64_t r = 0; r < s->rows; r++)
        put_row(a, a->dq, (s->t0 + s->q0 + r) * qw + (int64_t)h * p->qk_dim, b->dq + r * b->dkw,
                p->qk_dim);

    pack_left(v, b->left, b->ds, DS_KF32, true, s->wide, s->keys, s->rows);
    pack_right(v, b->right, q, a->f, false, qw, p->qk_dim, s->rows);
    multiply(v, b->dk, b->dkw, s->keys, p->qk_dim, s->rows, b->left, b->right, s->rows);
    pack_left(v, b->left, b->prob, DS_KF32, true, s->wide, s->keys, s->rows);
    pack_right(v, b->right, dout, a->f, false, ow, p->v_dim, s->rows);
    multiply(v, b->dv, b->dvw, s->keys, p->v_dim, s->rows, b->left, b->right, s->rows);
    return 0;
}

static void backward_job(void *arg, int64_t i)
{
    attn *a = arg;
    const ds_kattn *p = a->p;
    const ds_vec *v = a->v;
    const int64_t seq = i / p->kv_heads, g = i % p->kv_heads, group = p->heads / p->kv_heads;
    const int64_t t0 = a->s->cu[seq], len = a->s->cu[seq + 1] - t0;
    const int64_t kw = (int64_t)p->kv_heads * p->qk_dim, vw = (int64_t)p->kv_heads * p->v_dim;
    back b;

    if (len <= 0)
        return;
    float *m = back_new(&b, a, len);
    bool ok = m != NULL;
    if (ok) {
        const void *k = at(a->k, a->f, t0 * kw + g * p->qk_dim),
                   *val = at(a->val, a->f, t0 * vw + g * p->v_dim);
        pack_right(v, b.k_by_key, k, a->f, true, kw, len, p->qk_dim);
        pack_right(v, b.v_by_key, val, a->f, true, vw, len, p->v_dim);
        pack_right(v, b.k_by_dim, k, a->f, false, kw, p->qk_dim, len);
        for (int64_t h = g * group; ok && h < (g + 1) * group; h++)
            for (int64_t q0 = 0; ok && q0 < len; q0 += BQ) {
                const strip s = strip_of(a, t0, len, q0);
                ok = backward_strip(a, &s, (int32_t)h, &b) == 0;
            }
    }
    if (!ok)
        __atomic_store_n(&a->failed, true, __ATOMIC_RELAXED);
    for (int64_t t = 0; ok && t < len; t++) {
        put_row(a, a->dk, (t0 + t) * kw + g * p->qk_dim, b.dk + t * b.dkw, p->qk_dim);
        put_row(a, a->dv, (t0 + t) * vw + g * p->v_dim, b.dv + t * b.dvw, p->v_dim);
    }
    free(m);
}

static int attention_back(ds_kernels *k, void *dq, void *dk, void *dv, const void *dout,
                          const void *q, const void *kk, const void *v, const void *o,
                          const float *lse, enum ds_kfmt f, const ds_kattn *p, const ds_kseqs *s,
                          ds_err *err)
{
    attn a = {.v = ds_cpu_of(k)->vec,
              .f = f,
              .p = p,
              .s = s,
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
    k->attention_back = attention_back;
}
