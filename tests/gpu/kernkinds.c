/* kernkinds.c - the kernels that bench_kernels knows: their operands, and the call. */
#include <stdlib.h>

#include "kernjob.h"

#define D(c) ds_job_dim(j, c)
#define SAYS(w) ds_job_says(j, w)
#define F DS_KBF16 /* of all operands but those that are f32 always */

static const ds_kstep STEP = {.seed = 1, .step = 1, .scale = 1};

static enum ds_kfmt result(const ds_kernjob *j)
{
    return SAYS("to_f32") ? DS_KF32 : F;
}
static enum ds_kfmt source(const ds_kernjob *j)
{
    return SAYS("from_f32") ? DS_KF32 : F;
}

/* ---- products ---- */

static int matmul(const ds_kernjob *j, ds_err *err)
{
    return j->k->matmul(j->k, j->p[0], result(j), j->p[1], source(j), SAYS("ta"), j->p[2], F,
                        SAYS("tb"), D('m'), D('n'), D('k'), 1, SAYS("acc"), err);
}
const ds_kernkind ds_kern_matmul = {"matmul", "=Cmn Amk kn", "2mnk", NULL, matmul};

static int matmul2(const ds_kernjob *j, ds_err *err)
{
    const ds_kterm term[2] = {{j->p[1], j->p[2], D('k')}, {j->p[3], j->p[4], D('r')}};

    return j->k->matmul2(j->k, j->p[0], result(j), F, SAYS("tb"), term, D('m'), D('n'), SAYS("acc"),
                         err);
}
const ds_kernkind ds_kern_matmul2 = {"matmul2", "=Cmn mk kn mr rn", "2mnk 2mnr", NULL, matmul2};

static int linear(const ds_kernjob *j, ds_err *err)
{
    const ds_kterm term[2] = {{j->p[1], j->p[2], D('k')}, {j->p[3], j->p[4], D('r')}};

    return j->k->linear(j->k, j->p[0], F, term, SAYS("bias") ? j->p[5] : NULL, D('m'), D('n'), err);
}
const ds_kernkind ds_kern_linear = {"linear", "=mn mk nk mr nr n", "2mnk 2mnr", NULL, linear};

static int linear_back(const ds_kernjob *j, ds_err *err)
{
    return j->k->linear_back(j->k, j->p[0], j->p[1], j->p[2], j->p[3], F, D('k'), D('m'), D('n'),
                             err);
}
const ds_kernkind ds_kern_linear_back = {"linear_back", "+Fmn +Fm km kn", "2mnk", NULL,
                                         linear_back};

static int dropout_matmul(const ds_kernjob *j, ds_err *err)
{
    return j->k->dropout_matmul(j->k, j->p[0], j->p[1], j->p[2], F, D('m'), D('n'), D('k'), 1,
                                0.05f, &STEP, 1, err);
}
const ds_kernkind ds_kern_dropout_matmul = {"dropout_matmul", "=mn mk nk", "2mnk", NULL,
                                            dropout_matmul};

/* ---- rows ---- */

static int embed(const ds_kernjob *j, ds_err *err)
{
    return j->k->embed(j->k, j->p[0], j->p[1], F, j->ids, D('t'), D('d'), err);
}
const ds_kernkind ds_kern_embed = {"embed", "=td td:vd", "", NULL, embed};

static int embed_back(const ds_kernjob *j, ds_err *err)
{
    return j->k->embed_back(j->k, j->p[0], j->p[1], F, j->ids, D('t'), D('d'), err);
}
const ds_kernkind ds_kern_embed_back = {"embed_back", "+Ftd:vd td", "", NULL, embed_back};

static int rmsnorm(const ds_kernjob *j, ds_err *err)
{
    return j->k->rmsnorm(j->k, j->p[0], j->p[1], j->p[2], j->p[3], F, D('t'), D('n'), 1e-5f, err);
}
const ds_kernkind ds_kern_rmsnorm = {"rmsnorm", "=tn =Ft tn n", "", NULL, rmsnorm};

static int add_rmsnorm(const ds_kernjob *j, ds_err *err)
{
    return j->k->add_rmsnorm(j->k, j->p[0], j->p[1], j->p[2], j->p[3], j->p[4], j->p[5], F, D('t'),
                             D('n'), 1e-5f, err);
}
const ds_kernkind ds_kern_add_rmsnorm = {"add_rmsnorm", "=tn =tn =Ft tn tn n", "", NULL,
                                         add_rmsnorm};

static int rmsnorm_back(const ds_kernjob *j, ds_err *err)
{
    return j->k->rmsnorm_back(j->k, j->p[0], SAYS("dg") ? j->p[1] : NULL, j->p[2], j->p[3], j->p[4],
                              j->p[5], F, D('t'), D('n'), SAYS("acc"), err);
}
const ds_kernkind ds_kern_rmsnorm_back = {"rmsnorm_back", "=tn +Fn tn tn n Ft", "", NULL,
                                          rmsnorm_back};

static int bias(const ds_kernjob *j, ds_err *err)
{
    return j->k->bias(j->k, j->p[0], j->p[1], F, D('t'), D('n'), err);
}
const ds_kernkind ds_kern_bias = {"bias", "+tn n", "", NULL, bias};

static int bias_back(const ds_kernjob *j, ds_err *err)
{
    return j->k->bias_back(j->k, j->p[0], j->p[1], F, D('t'), D('n'), err);
}
const ds_kernkind ds_kern_bias_back = {"bias_back", "+Fn tn", "", NULL, bias_back};

static int rope(const ds_kernjob *j, ds_err *err)
{
    const int32_t hd = (int32_t)D('d');

    return j->k->rope(j->k, j->p[0], F, j->pos, j->p[1], D('t'), D('n'), 0, (int32_t)(D('n') / hd),
                      hd, hd, false, false, err);
}
const ds_kernkind ds_kern_rope = {"rope", "+tn Fld", "", NULL, rope};

static int swiglu(const ds_kernjob *j, ds_err *err)
{
    return j->k->swiglu(j->k, j->p[0], j->p[1], j->p[2], F, D('t') * D('n'), err);
}
const ds_kernkind ds_kern_swiglu = {"swiglu", "=tn tn tn", "", NULL, swiglu};

static int swiglu_back(const ds_kernjob *j, ds_err *err)
{
    return j->k->swiglu_back(j->k, j->p[0], j->p[1], j->p[2], j->p[3], j->p[4], F, D('t') * D('n'),
                             err);
}
const ds_kernkind ds_kern_swiglu_back = {"swiglu_back", "=tn =tn tn tn tn", "", NULL, swiglu_back};

static int add(const ds_kernjob *j, ds_err *err)
{
    return j->k->add(j->k, j->p[0], j->p[1], j->p[2], 1, F, D('t') * D('n'), err);
}
const ds_kernkind ds_kern_add = {"add", "=tn tn tn", "", NULL, add};

static int convert(const ds_kernjob *j, ds_err *err)
{
    return j->k->convert(j->k, j->p[0], result(j), j->p[1], source(j), D('t') * D('n'), err);
}
const ds_kernkind ds_kern_convert = {"convert", "=Ctn Atn", "", NULL, convert};

static int dropout(const ds_kernjob *j, ds_err *err)
{
    return j->k->dropout(j->k, j->p[0], j->p[1], F, D('t'), D('n'), 0.05f, &STEP, 1, err);
}
const ds_kernkind ds_kern_dropout = {"dropout", "=tn tn", "", NULL, dropout};

static int copy_cols(const ds_kernjob *j, ds_err *err)
{
    return j->k->copy_cols(j->k, j->p[0], D('n'), j->p[1], D('s'), F, D('t'), D('n'), SAYS("acc"),
                           err);
}
const ds_kernkind ds_kern_copy_cols = {"copy_cols", "=tn tn:ts", "", NULL, copy_cols};

static int row_dot(const ds_kernjob *j, ds_err *err)
{
    return j->k->row_dot(j->k, j->p[0], j->p[1], j->p[2], F, D('t'), D('n'), err);
}
const ds_kernkind ds_kern_row_dot = {"row_dot", "=Ft tn tn", "", NULL, row_dot};

static int scale_cols(const ds_kernjob *j, ds_err *err)
{
    return j->k->scale_cols(j->k, j->p[0], j->p[1], j->p[2], F, D('t'), D('n'), SAYS("acc"), err);
}
const ds_kernkind ds_kern_scale_cols = {"scale_cols", "=tn tn Fn", "", NULL, scale_cols};

static int col_dot(const ds_kernjob *j, ds_err *err)
{
    return j->k->col_dot(j->k, j->p[0], j->p[1], j->p[2], j->p[3], F, D('t'), D('n'), err);
}
const ds_kernkind ds_kern_col_dot = {"col_dot", "+Fn tn tn Fn", "", NULL, col_dot};

static int row_norm(const ds_kernjob *j, ds_err *err)
{
    return j->k->row_norm(j->k, j->p[0], j->p[1], j->p[2], j->p[3], D('t'), D('n'), err);
}
const ds_kernkind ds_kern_row_norm = {"row_norm", "=Ft =Ft Ft Ftn", "", NULL, row_norm};

/* ---- attention, loss ---- */

/* l: of each sequence; h and g: heads, and of k and v; q and v: their widths. */
static ds_kattn heads(const ds_kernjob *j)
{
    return (ds_kattn){(int32_t)D('h'), (int32_t)D('g'), (int32_t)D('q'), (int32_t)D('v'), 0.1f};
}
static ds_kseqs sequences(const ds_kernjob *j)
{
    return (ds_kseqs){j->cu, (int32_t)(D('t') / D('l'))};
}

static int attention(const ds_kernjob *j, ds_err *err)
{
    const ds_kattn p = heads(j);
    const ds_kseqs s = sequences(j);

    return j->k->attention(j->k, j->p[0], j->p[1], j->p[2], j->p[3], j->p[4], F, &p, &s, err);
}
const ds_kernkind ds_kern_attention = {"attention", "=thv =Fth thq tgq tgv", "tlhq tlhv", NULL,
                                       attention};

static int attention_back(const ds_kernjob *j, ds_err *err)
{
    const ds_kattn p = heads(j);
    const ds_kseqs s = sequences(j);

    return j->k->attention_back(j->k, j->p[0], j->p[1], j->p[2], j->p[3], j->p[4], j->p[5], j->p[6],
                                j->p[7], j->p[8], F, &p, &s, err);
}
const ds_kernkind ds_kern_attention_back = {"attention_back",
                                            "=thq =tgq =tgv thv thq tgq tgv thv Fth",
                                            "2.5tlhq 2.5tlhv", NULL, attention_back};

static int xent(const ds_kernjob *j, ds_err *err)
{
    return j->k->softmax_xent(j->k, j->p[0], F, j->p[1], j->p[2], DS_KF32, j->ids, j->ones, D('t'),
                              D('v'), &STEP, err);
}
const ds_kernkind ds_kern_xent = {"softmax_xent", "=tv =Ft ~Ftv", "", NULL, xent};

/* ---- mixture of experts: c of e experts for each of t tokens, r = t * c ---- */

static int choose(const ds_kernjob *j, ds_err *err)
{
    return j->k->topk(j->k, j->p[0], &j->choices, j->p[1], j->p[2], DS_KF32, 1, false, err);
}
static int sort(const ds_kernjob *j, ds_err *err)
{
    return j->k->sort_choices(j->k, &j->choices, err);
}
static int choices_at(ds_kernjob *j, ds_err *err)
{
    const int32_t e = (int32_t)D('e'), c = (int32_t)D('c');
    void *p;

    if (ds_job_take(j, &p, ds_kchoices_bytes(D('t'), e, c), err))
        return DS_FAIL;
    j->choices = ds_kchoices_at(p, D('t'), e, c);
    return 0;
}
/* Sorted choices, of random logits. */
static int choices_made(ds_kernjob *j, ds_err *err)
{
    void *prob, *w;
    int rc = choices_at(j, err);

    rc = rc ? rc : ds_job_take(j, &prob, (size_t)(D('t') * D('e')) * sizeof(float), err);
    rc = rc ? rc : ds_job_take(j, &w, (size_t)(D('t') * D('c')) * sizeof(float), err);
    rc = rc ? rc : j->k->topk(j->k, prob, &j->choices, w, j->room->random, DS_KF32, 1, false, err);
    return rc ? rc : sort(j, err);
}
const ds_kernkind ds_kern_topk = {"topk", "=Fte =Ftc Fte", "", choices_at, choose};
const ds_kernkind ds_kern_sort = {"sort_choices", "", "", choices_made, sort};

static int topk_back(const ds_kernjob *j, ds_err *err)
{
    return j->k->topk_back(j->k, j->p[0], DS_KF32, j->p[1], &j->choices, j->p[2], 1, false, err);
}
const ds_kernkind ds_kern_topk_back = {"topk_back", "=Fte Fte Ftc", "", choices_made, topk_back};

static int dispatch(const ds_kernjob *j, ds_err *err)
{
    return j->k->dispatch(j->k, j->p[0], j->p[1], F, &j->choices, NULL, D('d'), err);
}
const ds_kernkind ds_kern_dispatch = {"dispatch", "=tcd td", "", choices_made, dispatch};

static int combine(const ds_kernjob *j, ds_err *err)
{
    return j->k->combine(j->k, j->p[0], j->p[1], F, &j->choices, j->p[2], D('d'), err);
}
const ds_kernkind ds_kern_combine = {"combine", "+td tcd Ftc", "", choices_made, combine};

/* Every expert has as many rows as the others. With ta experts' results are [m,n] each, of all
 * their rows; else their rows are multiplied by a matrix [k,n] of their own. */
static int groups_ready(ds_kernjob *j, ds_err *err)
{
    const int64_t e = D('e'), c = D('m') * D('n') * (int64_t)ds_kfmt_size(result(j)),
                  b = D('k') * D('n') * 2;
    void *first;

    j->groups = calloc((size_t)e, sizeof *j->groups);
    if (!j->groups)
        return ds_fail_nomem(err);
    for (int64_t x = 0; x < e; x++) {
        const bool ta = SAYS("ta");
        j->groups[x] = (ds_kgroup){(char *)j->p[0] + (ta ? x * c : 0),
                                   {{j->p[1], (char *)j->p[2] + (ta ? 0 : x * b), D('k')}},
                                   D('m'),
                                   D('n'),
                                   (int32_t)x};
    }
    if (ds_job_take(j, &first, (size_t)(e + 1) * sizeof(int32_t), err))
        return DS_FAIL;
    j->choices.first = first;
    int32_t *host = calloc((size_t)e + 1, sizeof *host);
    if (!host)
        return ds_fail_nomem(err);
    for (int64_t x = 0; x <= e; x++)
        host[x] = (int32_t)(D('r') * x / e);
    const int rc = j->k->upload(j->k, first, host, (size_t)(e + 1) * sizeof *host, err);
    free(host);
    return rc;
}
static int groups(const ds_kernjob *j, ds_err *err)
{
    const ds_kgroups p = {.g = j->groups,
                          .n = D('e'),
                          .first = j->choices.first,
                          .rows = D('r'),
                          .fc = result(j),
                          .f = F,
                          .ta = SAYS("ta"),
                          .tb = SAYS("tb"),
                          .accumulate = SAYS("acc"),
                          .alpha = 1};

    return j->k->matmul_groups(j->k, &p, err);
}
const ds_kernkind ds_kern_groups = {"matmul_groups", "=Crn rk ekn", "2rnk", groups_ready, groups};
const ds_kernkind ds_kern_groups_ta = {"matmul_groups", "=Cemn rm rn", "2rmn", groups_ready,
                                       groups};

/* ---- optimizer ---- */

static int norm2(const ds_kernjob *j, ds_err *err)
{
    const float *const x[1] = {j->p[0]};
    const int64_t n[1] = {D('n')};
    double sum;

    return j->k->norm2(j->k, &sum, x, n, 1, err);
}
const ds_kernkind ds_kern_norm2 = {"norm2", "Fn", "", NULL, norm2};

/* Without a master, weights are rounded by chance. */
static ds_kadamw adam(const ds_kernjob *j)
{
    return (ds_kadamw){.lr = 1e-5f,
                       .beta1 = 0.9f,
                       .beta2 = 0.999f,
                       .eps = 1e-8f,
                       .corr1 = 0.1f,
                       .corr2 = 0.001f,
                       .gscale = 1,
                       .stochastic = !j->p[4],
                       .seed = 1};
}

/* Moments begin as zeros. */
static int moments_ready(ds_kernjob *j, ds_err *err)
{
    const size_t bytes = (size_t)D('n') * (D('b') > 0 ? 1 : sizeof(float));
    const int rc = j->k->zero(j->k, j->p[1], bytes, err);

    return rc ? rc : j->k->zero(j->k, j->p[2], bytes, err);
}
static int moments8_ready(ds_kernjob *j, ds_err *err)
{
    const size_t bytes = (size_t)D('b') * sizeof(float);
    int rc = moments_ready(j, err);

    rc = rc ? rc : j->k->zero(j->k, j->p[5], bytes, err);
    return rc ? rc : j->k->zero(j->k, j->p[6], bytes, err);
}

static int adamw(const ds_kernjob *j, ds_err *err)
{
    const ds_kadamw p = adam(j);

    return j->k->adamw(j->k, j->p[0], F, j->p[4], j->p[1], j->p[2], j->p[3], D('n'), &p, err);
}
const ds_kernkind ds_kern_adamw = {"adamw", "=n +Fn +Fn Fn +Fn", "", moments_ready, adamw};
const ds_kernkind ds_kern_adamw_alone = {"adamw", "+n +Fn +Fn Fn", "", moments_ready, adamw};

/* b: blocks of DS_BLOCK8. */
static int adamw8(const ds_kernjob *j, ds_err *err)
{
    const ds_kadamw p = adam(j);

    return j->k->adamw8(j->k, j->p[0], F, j->p[4], j->p[1], j->p[5], j->p[2], j->p[6], j->p[3],
                        D('n'), &p, err);
}
const ds_kernkind ds_kern_adamw8 = {"adamw8", "=n +Bn +Bn Fn +Fn +Fb +Fb", "", moments8_ready,
                                    adamw8};
/* No elements of a master: m is no dimension of the shape. */
const ds_kernkind ds_kern_adamw8_alone = {"adamw8", "+n +Bn +Bn Fn Fm +Fb +Fb", "", moments8_ready,
                                          adamw8};
