/* kernels.h - the arithmetic of training behind one narrow interface: a backend is a table of
 * functions.
 *
 * Memory: buffers belong to a backend (its alloc and free) and are plain pointers that only it may
 * follow; the CPU backend's are ordinary memory. All matrices are row-major and dense. T counts
 * tokens (rows) of a packed micro-batch. Numbers are stored as f32, bf16 or f16 (IEEE 754
 * binary16), rounded to nearest even; all arithmetic is f32, reductions run in an order that
 * depends on the shapes alone, so a result has the same bits for any thread count and any CPU:
 * products are accumulated in ascending k with one fused multiply-add per term, sums over rows in
 * ascending row order or in fixed blocks of 64. Products of two bf16 operands take subnormal
 * numbers, in and out, as zeros; f16 keeps its own: products of two are normal numbers of f32. What
 * is too large for f16 becomes infinite. Errors: functions return 0 or a negative ds_code; on an
 * asynchronous backend a failure may surface at sync. Threads: a ds_kernels object is used by one
 * thread at a time and runs its own workers.
 *
 * Every function names its cost: FLOPs and bytes moved for f32, per call.
 */
#ifndef DS_KERNELS_H
#define DS_KERNELS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "error.h"
#include "half.h"
#include "pixels.h"

enum ds_kfmt { DS_KF32 = 0, DS_KBF16 = 1, DS_KF16 = 2 };

/* Bytes of one number. */
static inline size_t ds_kfmt_size(enum ds_kfmt f)
{
    return f == DS_KF32 ? 4 : 2;
}

typedef struct ds_kernels ds_kernels;

/* Sequences packed into one micro-batch: sequence s holds tokens [cu[s], cu[s+1]); host memory. */
typedef struct ds_kseqs {
    const int32_t *cu; /* n + 1, cu[0] = 0, cu[n] = T */
    int32_t n;
} ds_kseqs;

/* What changes from one micro-batch to the next beside its tokens; host memory, as those are. */
typedef struct ds_kstep {
    uint64_t seed, step; /* of dropout */
    uint64_t first;      /* place of row 0 in the global batch, for dropout */
    double scale;        /* of the gradient of the loss; an f32's value */
} ds_kstep;

typedef struct ds_kattn {
    int32_t heads, kv_heads; /* heads is a multiple of kv_heads; query head h reads kv head h /
                                (heads / kv_heads) */
    int32_t qk_dim, v_dim;   /* widths of a head of q and k, and of v */
    float scale;
} ds_kattn;

typedef struct ds_kterm {
    const void *a, *b;
    int64_t k; /* what is summed over */
} ds_kterm;

/* Which kk of e experts each of t tokens goes to, and these t * kk choices sorted by expert, then
 * by token, then by place among the token's. The backend's memory, one piece; t * kk < 2^31. */
typedef struct ds_kchoices {
    int64_t t;
    int32_t e, kk;
    int32_t *expert; /* [t,kk] */
    int32_t *sorted; /* [t,kk]: where a choice was sorted to */
    int32_t *slots;  /* [t*kk]: the place in [t,kk] of a sorted one; its token is that / kk */
    int32_t *first;  /* [e+1]: of the sorted ones expert x has [first[x], first[x+1]) */
} ds_kchoices;
static inline size_t ds_kchoices_bytes(int64_t t, int32_t e, int32_t kk)
{
    return (size_t)(3 * t * kk + e + 1) * sizeof(int32_t);
}
/* In that many bytes at p. */
static inline ds_kchoices ds_kchoices_at(void *p, int64_t t, int32_t e, int32_t kk)
{
    int32_t *at = (int32_t *)p;
    const int64_t n = t * kk;

    return (ds_kchoices){t, e, kk, at, at + n, at + 2 * n, at + 3 * n};
}

/* One of several products that are asked for at once, each over an expert's rows of matrices of all
 * chosen rows: of C, A0 and A1 in C[rows,N] = alpha A0[rows] op(B0) + A1[rows] op(B1) (+ C); where
 * A is transposed, of A and B in C[M,N] = alpha A[rows]' B[rows] (+ C). */
typedef struct ds_kgroup {
    void *c;
    ds_kterm term[2]; /* term[1].k 0: there is one. A transposed: k is not looked at */
    int64_t m, n;     /* m: where A is transposed */
    int32_t expert;
} ds_kgroup;
typedef struct ds_kgroups {
    const ds_kgroup *g; /* host memory; those of one expert lie together */
    int64_t n;
    const int32_t *first;    /* of the choices; the backend's memory */
    int64_t rows;            /* of all experts */
    enum ds_kfmt fc, f;      /* of results, and of all operands */
    bool ta, tb, accumulate; /* ta: single terms alone, and no tb */
    float alpha;             /* of a single term; 1 where there are two */
} ds_kgroups;

/* Host memory, as numbers of a step are. */
typedef struct ds_kadamw {
    float lr, beta1, beta2, eps, decay;
    float corr1, corr2; /* 1 - beta^t */
    float gscale;       /* gradients are multiplied by this first (clipping) */
    /* bf16 weights without a master are rounded up or down by chance, so that in the mean nothing
     * is lost: element i by the upper half of word i of (seed, stream), philox.h. */
    bool stochastic;
    uint64_t seed, stream;
} ds_kadamw;

/* An image whose samples become values by a table, and what is made of them (pixels.h). */
typedef struct ds_kimage {
    enum ds_pixel from; /* of 8 or 16 bits */
    enum ds_pixel to;
    int64_t rows, cols, samples; /* of the image */
    int64_t to_rows, to_cols;    /* of what is made of it */
    const double *table;         /* k's memory: sample s has value table[s - low] */
    int32_t low;
    double gain, bias; /* of values in their new size: v * gain + bias; gain 0: none of it */
    int64_t side;      /* of patches; 0: none */
} ds_kimage;
static inline size_t ds_kimage_bytes(const ds_kimage *p)
{
    return ds_pixel_count((size_t)p->to_rows, (size_t)p->to_cols, (size_t)p->side) *
           (size_t)p->samples * ds_pixel_size(p->to);
}

/* A device's memory. What is not known is 0. */
typedef struct ds_kmem {
    int64_t total, free; /* of the device, whoever uses it */
    int64_t held, peak;  /* of it this backend's, now and at most */
    int64_t allocations; /* how often it asked the device so far */
    int64_t graphs;      /* what the driver took for captured work, by what was free before and
                            after; not in held */
} ds_kmem;

/* How a device computes products of one shape, so that it can be asked for the same again. What
 * `algorithm` says only the library knows that computes them. */
#define DS_KALGORITHM 64
enum { DS_KPLAN_PRODUCT, DS_KPLAN_BIAS, DS_KPLAN_BIAS_BACK };
typedef struct ds_kplan {
    int64_t m, n, k;
    int32_t in, out; /* enum ds_kfmt of both operands, and of the result */
    int32_t ta, tb, accumulate;
    int32_t align; /* of all addresses: the largest power of two up to 256 */
    int32_t extra; /* what else it makes: DS_KPLAN_... */
    int32_t none;  /* the library has nothing for it: the backend's own kernel does it */
    uint8_t algorithm[DS_KALGORITHM];
} ds_kplan;

/* Elements of logits at once, on the CPU and on a device: there the weights of a large vocabulary
 * are to be read for many rows. */
#define DS_CPU_LOGITS ((int64_t)16 << 20)
#define DS_DEVICE_LOGITS ((int64_t)128 << 20)
/* Elements of a product's result that give each multiprocessor of a large device a tile of 128 x
 * 256. */
#define DS_DEVICE_RESULT ((int64_t)132 * 128 * 256)

/* Places of scratch: what a function takes beside its operands (devroom.h). */
#define DS_KSLOTS 4

/* The word that joins several devices. */
#define DS_KPEERS_ID 128

/* Work that is asked for again and again with other numbers. Where `of`, t, how and the number of
 * sequences, up to the next power of two, are the same, it is the same functions in the same order
 * with the same arguments, but for bytes of the host's memory. All of those lie in `numbers`: piece
 * i is the same thing each time, and of the same size, but for sequences' cu. */
typedef struct ds_kpiece {
    const void *p; /* host memory */
    size_t bytes;
} ds_kpiece;
typedef struct ds_kwork {
    const void *of; /* whose: its buffers stay where they are until work_forget */
    int64_t t;
    int32_t seqs;
    uint32_t how;
    const ds_kpiece *numbers;
    int n;
} ds_kwork;

struct ds_kernels {
    const char *name;   /* "cpu" */
    const char *detail; /* "avx512, 2 threads": goes into the lineage */
    bool paper;         /* nothing is behind its buffers: paper.h */
    int64_t logits;     /* elements of logits that are best made at once... */
    int64_t result;     /* ... if their gradient's product has as many, where that matters, or 0 */
    bool unlisted;      /* set by the user: products from here on only look on; see plans */
    bool eager;         /* set by the user: no work is captured */
    void *ctx;

    /* ---- memory ---- */
    int (*alloc)(ds_kernels *k, void **p, size_t bytes, ds_err *err); /* zeroed, 64-byte aligned */
    void (*free)(ds_kernels *k, void *p);
    int (*upload)(ds_kernels *k, void *dst, const void *host, size_t bytes, ds_err *err);
    int (*download)(ds_kernels *k, void *host, const void *src, size_t bytes, ds_err *err);
    int (*zero)(ds_kernels *k, void *p, size_t bytes, ds_err *err);
    int (*sync)(ds_kernels *k, ds_err *err);
    void (*memory)(ds_kernels *k, ds_kmem *m);
    /* Asks a device once for all that is to come: `bytes` for alloc, whose buffers take up
     * multiples of 256 there and are not given back before the end, and scratch. Nothing elsewhere.
     */
    int (*reserve)(ds_kernels *k, size_t bytes, const size_t scratch[DS_KSLOTS], ds_err *err);
    /* From hold to release the bytes at x stay as they are, so a backend may keep what it made of
     * them (panels of a left operand) from one product to the next. They nest; releasing NULL
     * releases all. Results do not depend on them. */
    void (*hold)(ds_kernels *k, const void *x);
    void (*release)(ds_kernels *k, const void *x);
    void (*close)(ds_kernels *k);

    /* ---- work ---- */
    /* From work_begin to work_end functions are asked for a work. What they were asked for may be
     * done once more when the same work comes again: then *done says that it is queued, with the
     * numbers of now; nothing is asked for, and work_end is left out. In between nothing may be
     * asked for that waits for the device, nor memory, except the first time. whole false:
     * something failed, and what was begun goes. Results do not depend on any of it. NULL where
     * nothing would come of it. */
    int (*work_begin)(ds_kernels *k, const ds_kwork *w, bool *done, ds_err *err);
    int (*work_end)(ds_kernels *k, bool whole, ds_err *err);
    /* Work that will soon be begun, of whose numbers the first n are known already: they, and what
     * is made of them, may be sent while the device computes. Results do not depend on it. NULL
     * where nothing has to be sent. */
    int (*work_ahead)(ds_kernels *k, const ds_kwork *w, ds_err *err);
    void (*work_forget)(ds_kernels *k, const void *of);
    /* How often work was captured so far, and how often done from what was captured. */
    void (*worked)(ds_kernels *k, int64_t *captured, int64_t *launched);

    /* ---- products ---- */
    /* What was chosen for the products so far, in the order in which they were first computed while
     * not `unlisted`; valid until the next product. NULL where there is nothing to choose. */
    size_t (*plans)(ds_kernels *k, const ds_kplan **list);
    /* These are to be computed as they were, and are listed. One that is computed by another
     * algorithm already is an error; one that the library does not take is one of the product. */
    int (*plans_again)(ds_kernels *k, const ds_kplan *list, size_t n, ds_err *err);
    /* C[M,N] = op(A) op(B) (+ C when accumulate). op(A) is [M,K]: A is stored [M,K], or [K,M] when
     * ta; op(B) is [K,N]: stored [K,N], or [N,K] when tb (a weight [out,in]). Formats of A, B and C
     * are free. With alpha 1 and an f32 C, accumulation goes on with C's own chain of fused
     * multiply-adds: a product over all rows has the bits of the sum of products over parts of
     * them, in order. 2MNK FLOPs. */
    int (*matmul)(ds_kernels *k, void *c, enum ds_kfmt fc, const void *a, enum ds_kfmt fa, bool ta,
                  const void *b, enum ds_kfmt fb, bool tb, int64_t m, int64_t n, int64_t kk,
                  float alpha, bool accumulate, ds_err *err);

    /* C[M,N] = A0 op(B0) + A1 op(B1) (+ C): one chain that goes on from the first product to the
     * second. Both have format f and B's layout; A is [M,K]. */
    int (*matmul2)(ds_kernels *k, void *c, enum ds_kfmt fc, enum ds_kfmt f, bool tb,
                   const ds_kterm term[2], int64_t m, int64_t n, bool accumulate, ds_err *err);

    /* Y[T,N] = X0 W0' + X1 W1' + bias: a projection, with an adapter or without (term[1].k 0), all
     * of format f; weights are [N,K], bias NULL: none. The bias is added to sums that were rounded
     * to f, or before they are: which one is the backend's. 2TN(K0+K1) FLOPs; with the bias in the
     * product nothing is read or written for it but itself, else Y once more each. */
    int (*linear)(ds_kernels *k, void *y, enum ds_kfmt f, const ds_kterm term[2], const void *bias,
                  int64_t t, int64_t n, ds_err *err);
    /* dW[N,K] += dy' x, db[N] += sum_t dy: of a projection with both, from dy[T,N] and x[T,K]. dW
     * and db are f32. 2TNK FLOPs. */
    int (*linear_back)(ds_kernels *k, float *dw, float *db, const void *dy, const void *x,
                       enum ds_kfmt f, int64_t t, int64_t n, int64_t kk, ds_err *err);

    /* As matmul and matmul2 of each, in one go; results lie apart. */
    int (*matmul_groups)(ds_kernels *k, const ds_kgroups *p, ds_err *err);

    /* ---- rows ---- */
    /* out[T,d] = table[ids[t]]; ids are host memory and were checked against the table's rows. Of
     * those below 0 out stays, and nothing goes back. */
    int (*embed)(ds_kernels *k, void *out, const void *table, enum ds_kfmt f, const int32_t *ids,
                 int64_t t, int64_t d, ds_err *err);
    /* dtable[ids[t]] += dout[t], in ascending t for each row; dtable is f32. */
    int (*embed_back)(ds_kernels *k, float *dtable, const void *dout, enum ds_kfmt f,
                      const int32_t *ids, int64_t t, int64_t d, ds_err *err);
    /* RMSNorm (Zhang & Sennrich 2019): y = x * rstd * g, rstd[t] = 1/sqrt(mean x^2 + eps). */
    int (*rmsnorm)(ds_kernels *k, void *y, float *rstd, const void *x, const void *g,
                   enum ds_kfmt f, int64_t t, int64_t d, float eps, ds_err *err);
    /* sum = x + r, y = rmsnorm(sum): the bits of add and rmsnorm one after the other, in one pass.
     * sum may be x. 5 TD FLOPs; 2 TD read, 2 TD written. */
    int (*add_rmsnorm)(ds_kernels *k, void *sum, void *y, float *rstd, const void *x, const void *r,
                       const void *g, enum ds_kfmt f, int64_t t, int64_t d, float eps, ds_err *err);
    /* dx (+)= rstd*(g.dy) - x*rstd^3/d * sum(g.dy.x); dg[d] += sum_t dy.x.rstd (f32; NULL to leave
     * out). */
    int (*rmsnorm_back)(ds_kernels *k, void *dx, float *dg, const void *dy, const void *x,
                        const void *g, const float *rstd, enum ds_kfmt f, int64_t t, int64_t d,
                        bool accumulate, ds_err *err);
    /* y[T,n] += bias[n];  dbias[n] += sum_t dy (f32). */
    int (*bias)(ds_kernels *k, void *y, const void *b, enum ds_kfmt f, int64_t t, int64_t n,
                ds_err *err);
    int (*bias_back)(ds_kernels *k, float *db, const void *dy, enum ds_kfmt f, int64_t t, int64_t n,
                     ds_err *err);
    /* Rotary embedding (Su et al. 2021) in place on heads of x[T, stride]: head h begins at column
     * first + h*hd and its first `rot` columns are rotated by pos[t] using cs[pos][rot/2][2] =
     * (cos, sin). interleaved: pairs (2i, 2i+1), else (i, i + rot/2). `back` rotates by the
     * opposite angle: the gradient. pos is host memory. */
    int (*rope)(ds_kernels *k, void *x, enum ds_kfmt f, const int32_t *pos, const float *cs,
                int64_t t, int64_t stride, int64_t first, int32_t heads, int32_t hd, int32_t rot,
                bool interleaved, bool back, ds_err *err);
    /* y = silu(a) * b, and its gradient (Shazeer 2020). n elements. */
    int (*swiglu)(ds_kernels *k, void *y, const void *a, const void *b, enum ds_kfmt f, int64_t n,
                  ds_err *err);
    int (*swiglu_back)(ds_kernels *k, void *da, void *db, const void *dy, const void *a,
                       const void *b, enum ds_kfmt f, int64_t n, ds_err *err);
    /* y = a + s*b (y may be a). */
    int (*add)(ds_kernels *k, void *y, const void *a, const void *b, float s, enum ds_kfmt f,
               int64_t n, ds_err *err);
    int (*convert)(ds_kernels *k, void *dst, enum ds_kfmt fd, const void *src, enum ds_kfmt fs,
                   int64_t n, ds_err *err);
    /* Dropout by a counter generator: element i of x[t,d] is kept when the Philox 4x32-10 word of
     * (seed, step << 16 | module, first * d + i) >= p * 2^32, and then divided by 1-p. The same
     * call on a gradient is the backward pass. first * d is a multiple of 4. */
    int (*dropout)(ds_kernels *k, void *y, const void *x, enum ds_kfmt f, int64_t t, int64_t d,
                   float p, const ds_kstep *at, uint32_t module, ds_err *err);
    /* The same for rows of choices, x[t * kk, d]: element i of one has number (first + its token) *
     * d + i, and module + each * its expert is its module. d is a multiple of 4. */
    int (*dropout_chosen)(ds_kernels *k, void *y, const void *x, enum ds_kfmt f,
                          const ds_kchoices *c, int64_t d, float p, const ds_kstep *at,
                          uint32_t module, uint32_t each, ds_err *err);
    /* Y[T,N] = alpha D B', D what dropout makes of X[T,K], which is not written; p 0: X itself. So
     * of D with p 0 it has the same bits. f is of two bytes, K a multiple of 8, x and b lie at
     * multiples of 16. NULL where a backend has none: dropout and matmul are as good. 2TNK FLOPs.
     */
    int (*dropout_matmul)(ds_kernels *k, void *y, const void *x, const void *b, enum ds_kfmt f,
                          int64_t t, int64_t n, int64_t kk, float alpha, float p,
                          const ds_kstep *at, uint32_t module, ds_err *err);

    /* dst[t*dstride + i] = (or +=) src[t*sstride + i] for i < n: columns of one matrix to columns
     * of another. */
    int (*copy_cols)(ds_kernels *k, void *dst, int64_t dstride, const void *src, int64_t sstride,
                     enum ds_kfmt f, int64_t t, int64_t n, bool accumulate, ds_err *err);
    /* out[i] = sum over columns of a[i].b[i], f32. */
    int (*row_dot)(ds_kernels *k, float *out, const void *a, const void *b, enum ds_kfmt f,
                   int64_t t, int64_t d, ds_err *err);

    /* Columns with factors of their own (DoRA): y[t,i] = g[i] * x[t,i] (+ y); g f32. */
    int (*scale_cols)(ds_kernels *k, void *y, const void *x, const float *g, enum ds_kfmt f,
                      int64_t t, int64_t n, bool accumulate, ds_err *err);
    /* dg[i] += sum over t of (a[t,i] / c[i]) * b[t,i], in ascending t; dg and c f32. */
    int (*col_dot)(ds_kernels *k, float *dg, const void *a, const void *b, const float *c,
                   enum ds_kfmt f, int64_t t, int64_t n, ds_err *err);
    /* The same for rows of choices, a and so on [t * kk, n]: those of expert e by g[e], or with
     * c[e] into dg[e]. The arrays are the host's, of pointers to the backend's memory; NULL: rows
     * of that expert are left alone, or not summed. */
    int (*scale_cols_chosen)(ds_kernels *k, void *y, const void *x, const float *const *g,
                             enum ds_kfmt f, const ds_kchoices *ch, int64_t n, bool accumulate,
                             ds_err *err);
    int (*col_dot_chosen)(ds_kernels *k, float *const *dg, const void *a, const void *b,
                          const float *const *c, enum ds_kfmt f, const ds_kchoices *ch, int64_t n,
                          ds_err *err);
    /* norm[i] = length of row i of v[rows, cols]; gain[i] = m[i] / norm[i] (gain NULL: not asked
     * for). All f32. */
    int (*row_norm)(ds_kernels *k, float *norm, float *gain, const float *m, const float *v,
                    int64_t rows, int64_t cols, ds_err *err);

    /* ---- attention ---- */
    /* Causal attention inside each sequence, tiled, no T x T matrix: o[T, heads*v_dim], lse[T,
     * heads] (log of the softmax sum). q[T, heads*qk_dim], k[T, kv_heads*qk_dim], v[T,
     * kv_heads*v_dim]. 2*T*len*heads*(qk_dim+v_dim)/2 FLOPs. */
    int (*attention)(ds_kernels *k, void *o, float *lse, const void *q, const void *kk,
                     const void *v, enum ds_kfmt f, const ds_kattn *p, const ds_kseqs *s,
                     ds_err *err);
    /* One sequence of which the first `past` tokens lie behind: q[T, ...] and o[T, ...] are of
     * tokens past..past+T, k and v of all past + T. The same bits as attention's. */
    int (*attention_past)(ds_kernels *k, void *o, const void *q, const void *kk, const void *v,
                          enum ds_kfmt f, const ds_kattn *p, int64_t past, int64_t t, ds_err *err);
    /* dq, dk, dv are overwritten; groups of query heads are summed in ascending head order. */
    int (*attention_back)(ds_kernels *k, void *dq, void *dk, void *dv, const void *dout,
                          const void *q, const void *kk, const void *v, const void *o,
                          const float *lse, enum ds_kfmt f, const ds_kattn *p, const ds_kseqs *s,
                          ds_err *err);

    /* ---- loss ---- */
    /* grad[T,V] = weight[t] * (softmax(logits) - onehot(target[t])) * scale, 0 in rows of weight 0;
     * grad may be logits, of the same format then, or NULL: not asked for. loss[t] = weight[t] *
     * -log p(target) (f32, not scaled). Nothing is left of logits. targets and weights are host
     * memory. */
    int (*softmax_xent)(ds_kernels *k, void *grad, enum ds_kfmt fg, float *loss, void *logits,
                        enum ds_kfmt f, const int32_t *target, const float *weight, int64_t t,
                        int64_t v, const ds_kstep *at, ds_err *err);

    /* ---- mixture of experts ---- */
    /* prob[T,E] = softmax(logits) in f32; the kk largest (ties: lower index first) are c->expert,
     * and w[T,kk] = prob * scale, divided by their sum first when normalise. */
    int (*topk)(ds_kernels *k, float *prob, const ds_kchoices *c, float *w, const void *logits,
                enum ds_kfmt f, float scale, bool normalise, ds_err *err);
    /* Stable counting sort of c->expert: the rest of c. */
    int (*sort_choices)(ds_kernels *k, const ds_kchoices *c, ds_err *err);
    /* Gradient of the gate: dlogits[T,E] of the softmax from dw[T*kk] of the sorted choices,
     * undoing scale and normalisation. */
    int (*topk_back)(ds_kernels *k, void *dlogits, enum ds_kfmt f, const float *prob,
                     const ds_kchoices *c, const float *dw, float scale, bool normalise,
                     ds_err *err);
    /* Rows of tokens to the sorted choices and back: out[i] = w x[token of i]; y[token] += the sum
     * of w x[i] over its choices i, ascending. w[T,kk]; NULL: 1. */
    int (*dispatch)(ds_kernels *k, void *out, const void *x, enum ds_kfmt f, const ds_kchoices *c,
                    const float *w, int64_t d, ds_err *err);
    int (*combine)(ds_kernels *k, void *y, const void *x, enum ds_kfmt f, const ds_kchoices *c,
                   const float *w, int64_t d, ds_err *err);

    /* ---- images ---- */
    /* out = the image by its table, in its new size and type, in patches: ds_kimage_bytes of it.
     * The same bits on every backend. 5 FLOPs for each of the samples that a new one is made of. */
    int (*image)(ds_kernels *k, void *out, const void *image, const ds_kimage *p, ds_err *err);

    /* ---- several devices ---- */
    /* Ranks that compute one run, each on a device of its own, give each other bytes of their
     * devices' memory; nothing is added on the way. Collective: every rank calls the same ones in
     * the same order, and one that fails leaves the others waiting. NULL where a backend has none.
     */
    /* The word, for one rank to make and to tell all by other means; NULL: only whether there is
     * what is needed. */
    int (*peers_id)(ds_kernels *k, char id[DS_KPEERS_ID], ds_err *err);
    int (*peers_join)(ds_kernels *k, const char id[DS_KPEERS_ID], int rank, int size, ds_err *err);
    /* Of `bytes` each. Gather: all[i] is rank i's mine. Exchange: all[i] is piece number `rank` of
     * rank i's mine. Spread: data is root's. all and mine are apart, but for a gather's mine that
     * is its own piece of all. */
    int (*peers_gather)(ds_kernels *k, void *all, const void *mine, size_t bytes, ds_err *err);
    int (*peers_exchange)(ds_kernels *k, void *all, const void *mine, size_t bytes, ds_err *err);
    int (*peers_spread)(ds_kernels *k, void *data, size_t bytes, int root, ds_err *err);

    /* ---- optimizer ---- */
    /* Sum of squares of `count` arrays, n[i] elements at x[i], in f64: of each in fixed blocks of
     * 4096 elements added in order, then those in order. */
    int (*norm2)(ds_kernels *k, double *sum, const float *const *x, const int64_t *n, int64_t count,
                 ds_err *err);
    /* AdamW (Loshchilov & Hutter 2019): m, v and the master weights are f32; when `w` is not,
     * `master` holds the f32 weights and w is rounded from them, or is NULL, w bf16 and p says
     * stochastic; when f32, master is NULL. 16 FLOPs an element; 28 bytes moved in f32, 30 in two
     * bytes, 24 without a master. */
    int (*adamw)(ds_kernels *k, void *w, enum ds_kfmt f, float *master, float *m, float *v,
                 const float *g, int64_t n, const ds_kadamw *p, ds_err *err);
    /* The same with moments of 8 bits: in blocks of DS_BLOCK8 elements, code times the block's
     * scale, its largest absolute value (Dettmers et al. 2022). Codes are of ds_dynamic_map, m's
     * with sign; a v that is not 0 never becomes 0. All zero is the state at the beginning. */
    int (*adamw8)(ds_kernels *k, void *w, enum ds_kfmt f, float *master, uint8_t *m, float *mscale,
                  uint8_t *v, float *vscale, const float *g, int64_t n, const ds_kadamw *p,
                  ds_err *err);
};

/* Rows of logits that are best made at once: their number follows from the shapes alone. What the
 * product with `hidden` columns leaves a device idle for is worth up to four times the memory. */
static inline int64_t ds_logit_rows(const ds_kernels *k, int64_t vocab, int64_t hidden)
{
    const int64_t most = k->logits / vocab, want = k->result / hidden;
    const int64_t rows = most >= want ? most : want < 4 * most ? want : 4 * most;

    return rows < 16 ? 16 : k->result && rows >= 128 ? rows / 128 * 128 : rows;
}

/* A work: `ask` asks for its functions, where they have to be asked for. */
int ds_kwork_do(ds_kernels *k, const ds_kwork *w, int (*ask)(void *ctx, ds_err *err), void *ctx,
                ds_err *err);

#define DS_BLOCK8 256
/* The values of the codes, ascending, with sign or without: 0 and 1 among them. */
void ds_dynamic_map(float map[256], bool sign);

/* The CPU backend, always there. `threads` 0 = as many as processors. isa: NULL = the best that
 * there is, or "base", "avx2", "avx512", "avx512bf16": speed differs, bits do not. */
int ds_kernels_cpu(ds_kernels **k, int threads, const char *isa, ds_err *err);

/* A number of two bytes, of either format. */
static inline uint16_t ds_half_from(enum ds_kfmt f, float x)
{
    return f == DS_KF16 ? ds_f16_from(x) : ds_bf16_from(x);
}
static inline float ds_half_to(enum ds_kfmt f, uint16_t h)
{
    return f == DS_KF16 ? ds_f16_to(h) : ds_bf16_to(h);
}

/* f rounded away from 0 as often as what is left over by the other way is large, by 16 random bits,
 * so that the mean is f; what is no finite number becomes what ds_bf16_from makes of it. */
static inline uint16_t ds_bf16_stochastic(float f, uint32_t chance)
{
    union {
        float f;
        uint32_t u;
    } x = {.f = f};
    return (x.u & 0x7f800000u) == 0x7f800000u ? ds_bf16_from(f)
                                              : (uint16_t)((x.u + (chance & 0xffffu)) >> 16);
}

#endif
