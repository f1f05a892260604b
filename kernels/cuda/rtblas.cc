/* rtblas.cc - products of rt.h, by cuBLASLt.
 *
 * Bits are the same from run to run because nothing that may vary is left to the library: for each
 * shape one algorithm is chosen once, the first of the library's own ranking among those that do
 * not split the sum over blocks (reduction scheme none), with a workspace of our own. The ranking
 * is a function of shape, device and library. A choice by the clock would not be: two runs of the
 * same description would differ. What was chosen is told, and what is told is taken again without
 * asking the ranking; the library's documentation has its bytes restored within one version.
 */
#include "rt.h"

#include <cublasLt.h>
#include <cstddef>
#include <cstdlib>
#include <new>

static_assert(sizeof(cublasLtMatmulAlgo_t) == DS_KALGORITHM, "an algorithm fits");

struct plan {
    ds_kplan is;
    cublasLtMatmulDesc_t op; /* NULL: not made yet, only told of */
    cublasLtMatrixLayout_t a, b, c;
    cublasLtMatmulAlgo_t algo;
    bool told, listed;
};

struct rt_blas {
    cublasLtHandle_t lt;
    void *workspace;
    plan *plans;
    size_t n, cap;
    uint32_t *slot; /* plans by shape, open addressing: their place + 1; twice as many as cap */
    ds_kplan *list; /* those that were computed while listed; room for cap */
    size_t nlist;
};

#define BLAS(call, what)                                                                           \
    do {                                                                                           \
        const cublasStatus_t status_ = (call);                                                     \
        if (status_ != CUBLAS_STATUS_SUCCESS)                                                      \
            return ds_fail(err, DS_FAIL, "cuda: %s: %s", what, cublasLtGetStatusString(status_));  \
    } while (0)

int rt_blas_open(dev_rt *rt, void *workspace, ds_err *err)
{
    rt_blas *b = new (std::nothrow) rt_blas();

    if (!b)
        return ds_fail_nomem(err);
    *rt_blas_of(rt) = b;
    b->workspace = workspace;
    BLAS(cublasLtCreate(&b->lt), "cuBLASLt");
    return 0;
}

static void unmake(plan *p)
{
    if (p->op)
        cublasLtMatmulDescDestroy(p->op);
    for (cublasLtMatrixLayout_t layout : {p->a, p->b, p->c})
        if (layout)
            cublasLtMatrixLayoutDestroy(layout);
    p->op = NULL;
    p->a = p->b = p->c = NULL;
}

void rt_blas_close(dev_rt *rt)
{
    rt_blas *b = *rt_blas_of(rt);

    if (!b)
        return;
    for (size_t i = 0; i < b->n; i++)
        unmake(&b->plans[i]);
    if (b->lt)
        cublasLtDestroy(b->lt);
    free(b->plans);
    free(b->slot);
    free(b->list);
    delete b;
    *rt_blas_of(rt) = NULL;
}

/* ---- plans by shape ---- */

/* What tells one shape from another: members without holes between them. */
#define SHAPE offsetof(ds_kplan, none)

static uint64_t digest_of(const ds_kplan *shape)
{
    const unsigned char *p = reinterpret_cast<const unsigned char *>(shape);
    uint64_t h = 14695981039346656037u;

    for (size_t i = 0; i < SHAPE; i++)
        h = (h ^ p[i]) * 1099511628211u;
    return h ^ h >> 32;
}

/* The slot of a shape, or the free one where it would be. */
static uint32_t *slot_of(rt_blas *b, const ds_kplan *shape)
{
    const size_t mask = b->cap * 2 - 1;
    size_t i = digest_of(shape) & mask;

    while (b->slot[i] && memcmp(&b->plans[b->slot[i] - 1].is, shape, SHAPE) != 0)
        i = (i + 1) & mask;
    return &b->slot[i];
}

template <class T> static bool grow(T **p, size_t n)
{
    T *grown = static_cast<T *>(realloc(*p, n * sizeof *grown));

    *p = grown ? grown : *p;
    return grown;
}

static int room_for_one(rt_blas *b, ds_err *err)
{
    const size_t cap = b->cap ? b->cap * 2 : 64;

    if (b->n < b->cap)
        return 0;
    if (!grow(&b->plans, cap) || !grow(&b->list, cap) || !grow(&b->slot, cap * 2))
        return ds_fail_nomem(err);
    b->cap = cap;
    memset(b->slot, 0, cap * 2 * sizeof *b->slot);
    for (size_t i = 0; i < b->n; i++)
        *slot_of(b, &b->plans[i].is) = (uint32_t)(i + 1);
    return 0;
}

/* The plan of a shape; a new one knows nothing but that. Valid until the next new one. */
static int plan_at(rt_blas *b, plan **out, const ds_kplan *shape, ds_err *err)
{
    TRY(room_for_one(b, err));
    uint32_t *at = slot_of(b, shape);
    if (!*at) {
        plan *fresh = &b->plans[b->n++];
        *fresh = plan();
        memcpy(&fresh->is, shape, SHAPE);
        *at = (uint32_t)b->n;
    }
    *out = &b->plans[*at - 1];
    return 0;
}

size_t rt_plans(dev_rt *rt, const ds_kplan **list)
{
    const rt_blas *b = *rt_blas_of(rt);

    *list = b->list;
    return b->nlist;
}

static void list(rt_blas *b, plan *p)
{
    if (!p->listed)
        b->list[b->nlist++] = p->is;
    p->listed = true;
}

/* Are two of one shape computed alike? */
static bool same_algorithm(const ds_kplan *p, const ds_kplan *q)
{
    return p->none == q->none && memcmp(p->algorithm, q->algorithm, sizeof p->algorithm) == 0;
}

int rt_plans_again(dev_rt *rt, const ds_kplan *told, size_t n, ds_err *err)
{
    rt_blas *b = *rt_blas_of(rt);
    plan *p;

    for (size_t i = 0; i < n; i++) {
        const ds_kplan *t = &told[i];
        TRY(plan_at(b, &p, t, err));
        if ((p->op || p->told) && !same_algorithm(&p->is, t))
            return ds_fail(err, DS_FAIL,
                           "cuda: a product of %lld x %lld x %lld is computed by another algorithm "
                           "already",
                           (long long)t->m, (long long)t->n, (long long)t->k);
        p->is = *t;
        p->told = true;
        memcpy(&p->algo, t->algorithm, sizeof p->algo);
        list(b, p);
    }
    return 0;
}

/* ---- making one ---- */

static cudaDataType_t type_of(int f)
{
    return f == DS_KF32 ? CUDA_R_32F : f == DS_KBF16 ? CUDA_R_16BF : CUDA_R_16F;
}

static int rank(cublasLtHandle_t lt, plan *pl, ds_err *err)
{
    cublasLtMatmulPreference_t want;
    cublasLtMatmulHeuristicResult_t found;
    const uint32_t schemes = CUBLASLT_REDUCTION_SCHEME_NONE, align = (uint32_t)pl->is.align;
    const size_t room = DS_DEVICE_WORKSPACE;
    int n = 0;

    BLAS(cublasLtMatmulPreferenceCreate(&want), "cuBLASLt");
    cublasStatus_t s = cublasLtMatmulPreferenceSetAttribute(
        want, CUBLASLT_MATMUL_PREF_REDUCTION_SCHEME_MASK, &schemes, sizeof schemes);
    const cublasLtMatmulPreferenceAttributes_t sides[4] = {
        CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_B_BYTES,
        CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_C_BYTES, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_D_BYTES};
    for (int i = 0; i < 4 && s == CUBLAS_STATUS_SUCCESS; i++)
        s = cublasLtMatmulPreferenceSetAttribute(want, sides[i], &align, sizeof align);
    if (s == CUBLAS_STATUS_SUCCESS)
        s = cublasLtMatmulPreferenceSetAttribute(want, CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES,
                                                 &room, sizeof room);
    if (s == CUBLAS_STATUS_SUCCESS)
        s = cublasLtMatmulAlgoGetHeuristic(lt, pl->op, pl->a, pl->b, pl->c, pl->c, want, 1, &found,
                                           &n);
    cublasLtMatmulPreferenceDestroy(want);
    pl->is.none = s == CUBLAS_STATUS_NOT_SUPPORTED ||
                  (s == CUBLAS_STATUS_SUCCESS && (n == 0 || found.state != CUBLAS_STATUS_SUCCESS));
    if (!pl->is.none) {
        BLAS(s, "choice of an algorithm");
        pl->algo = found.algo;
        memcpy(pl->is.algorithm, &found.algo, sizeof found.algo);
    }
    return 0;
}

/* The algorithm that was told of, if the library takes it. */
static int check(cublasLtHandle_t lt, const plan *pl, ds_err *err)
{
    cublasLtMatmulHeuristicResult_t about;

    if (pl->is.none)
        return 0;
    const cublasStatus_t s =
        cublasLtMatmulAlgoCheck(lt, pl->op, pl->a, pl->b, pl->c, pl->c, &pl->algo, &about);
    if (s == CUBLAS_STATUS_SUCCESS && about.workspaceSize <= DS_DEVICE_WORKSPACE)
        return 0;
    return ds_fail(err, DS_FAIL,
                   "cuda: the algorithm that the checkpoint has for a product of %lld x %lld x "
                   "%lld cannot be used here (%s): another would give other bits",
                   (long long)pl->is.m, (long long)pl->is.n, (long long)pl->is.k,
                   s == CUBLAS_STATUS_SUCCESS ? "it wants more room" : cublasLtGetStatusString(s));
}

/* The bias of column-major C' is as long as its columns are; the sums are those of B's rows. */
static int describe_extra(plan *pl, const void *where, ds_err *err)
{
    const cublasLtEpilogue_t what =
        pl->is.extra == DS_KPLAN_BIAS ? CUBLASLT_EPILOGUE_BIAS : CUBLASLT_EPILOGUE_BGRADB;

    if (pl->is.extra == DS_KPLAN_PRODUCT)
        return 0;
    BLAS(cublasLtMatmulDescSetAttribute(pl->op, CUBLASLT_MATMUL_DESC_EPILOGUE, &what, sizeof what),
         "cuBLASLt");
    BLAS(cublasLtMatmulDescSetAttribute(pl->op, CUBLASLT_MATMUL_DESC_BIAS_POINTER, &where,
                                        sizeof where),
         "cuBLASLt");
    return 0;
}

/* cuBLASLt is told of column-major matrices: of C' = B' A'. */
static int describe(plan *pl, const void *extra, ds_err *err)
{
    const ds_kplan *k = &pl->is;
    const cublasOperation_t ta = k->tb ? CUBLAS_OP_T : CUBLAS_OP_N,
                            tb = k->ta ? CUBLAS_OP_T : CUBLAS_OP_N;

    BLAS(cublasLtMatmulDescCreate(&pl->op, CUBLAS_COMPUTE_32F, CUDA_R_32F), "cuBLASLt");
    BLAS(cublasLtMatmulDescSetAttribute(pl->op, CUBLASLT_MATMUL_DESC_TRANSA, &ta, sizeof ta),
         "cuBLASLt");
    BLAS(cublasLtMatmulDescSetAttribute(pl->op, CUBLASLT_MATMUL_DESC_TRANSB, &tb, sizeof tb),
         "cuBLASLt");
    BLAS(cublasLtMatrixLayoutCreate(&pl->a, type_of(k->in), (uint64_t)(k->tb ? k->k : k->n),
                                    (uint64_t)(k->tb ? k->n : k->k), k->tb ? k->k : k->n),
         "cuBLASLt");
    BLAS(cublasLtMatrixLayoutCreate(&pl->b, type_of(k->in), (uint64_t)(k->ta ? k->m : k->k),
                                    (uint64_t)(k->ta ? k->k : k->m), k->ta ? k->m : k->k),
         "cuBLASLt");
    BLAS(cublasLtMatrixLayoutCreate(&pl->c, type_of(k->out), (uint64_t)k->n, (uint64_t)k->m, k->n),
         "cuBLASLt");
    return describe_extra(pl, extra, err);
}

/* The largest power of two up to 256 that divides all addresses. */
static int32_t alignment_of(const rt_product *p)
{
    const uintptr_t all = (uintptr_t)p->a | (uintptr_t)p->b | (uintptr_t)p->c | (uintptr_t)p->bias |
                          (uintptr_t)p->bias_back | 256;

    return (int32_t)(all & (~all + 1));
}

static ds_kplan shape_of(const rt_product *p)
{
    ds_kplan shape = {};

    shape.m = p->m;
    shape.n = p->n;
    shape.k = p->k;
    shape.in = p->fa;
    shape.out = p->fc;
    shape.ta = p->ta;
    shape.tb = p->tb;
    shape.accumulate = p->accumulate;
    shape.align = alignment_of(p);
    shape.extra = p->bias ? DS_KPLAN_BIAS : p->bias_back ? DS_KPLAN_BIAS_BACK : DS_KPLAN_PRODUCT;
    return shape;
}

bool rt_told(dev_rt *rt, const rt_product *p)
{
    rt_blas *b = *rt_blas_of(rt);
    const ds_kplan shape = shape_of(p);
    const uint32_t at = b->cap ? *slot_of(b, &shape) : 0;

    return at && b->plans[at - 1].told;
}

static int plan_of(rt_blas *b, const plan **out, const rt_product *p, const void *extra,
                   ds_err *err)
{
    const ds_kplan shape = shape_of(p);
    plan *pl;

    TRY(plan_at(b, &pl, &shape, err));
    *out = pl;
    if (!pl->op) {
        int rc = describe(pl, extra, err);
        rc = rc ? rc : pl->told ? check(b->lt, pl, err) : rank(b->lt, pl, err);
        if (rc) {
            unmake(pl); /* to be tried again */
            return rc;
        }
    }
    if (p->listed)
        list(b, pl);
    return 0;
}

int rt_matmul(dev_rt *rt, const rt_product *p, bool *none, ds_err *err)
{
    const float beta = p->accumulate ? 1.0f : 0.0f;
    rt_blas *b = *rt_blas_of(rt);
    const dev_stream stream = rt_stream(rt);
    const void *extra = p->bias ? p->bias : p->bias_back;
    const plan *pl;

    TRY(plan_of(b, &pl, p, extra, err));
    *none = pl->is.none;
    if (pl->is.none)
        return 0;
    if (extra)
        BLAS(cublasLtMatmulDescSetAttribute(pl->op, CUBLASLT_MATMUL_DESC_BIAS_POINTER, &extra,
                                            sizeof extra),
             "cuBLASLt");
    BLAS(cublasLtMatmul(b->lt, pl->op, &p->alpha, p->b, pl->a, p->a, pl->b, &beta, p->c, pl->c,
                        p->c, pl->c, &pl->algo, b->workspace, DS_DEVICE_WORKSPACE, stream),
         "a matrix product");
    return 0;
}
