/* rtcuda.cc - rt.h over the CUDA run time and cuBLASLt.
 *
 * One stream, so that everything happens in the order in which it was asked for; numbers of the
 * host come on a second one, which the first waits for. Products: bits are
 * the same from run to run because nothing that may vary is left to the library: for each shape one
 * algorithm is chosen once, by the library's own ranking among those that do not split the sum over
 * blocks (reduction scheme none), with a workspace of our own.
 */
#include "rt.h"

#include <cublasLt.h>
#include <cstdio>
#include <cstdlib>
#include <new>

#define PLANS 512 /* shapes that are remembered; then the table starts anew */

struct plan_key {
    int64_t m, n, k;
    int32_t f, fc, ta, tb, accumulate, align;
};

struct plan {
    plan_key key;
    cublasLtMatmulDesc_t op;
    cublasLtMatrixLayout_t a, b, c;
    cublasLtMatmulAlgo_t algo;
    bool none; /* the library has no algorithm for it */
};

struct dev_rt {
    int index;
    size_t shared; /* that a block may have */
    cudaStream_t stream, copies;
    cudaEvent_t arrived;
    cublasLtHandle_t lt;
    void *workspace;
    char name[512];
    int processors;
    rt_mem mem;
    rt_peers *peers;
    plan plans[PLANS];
    int nplans;
};

static int fail_cuda(ds_err *err, cudaError_t status, const char *what)
{
    return ds_fail(err, status == cudaErrorMemoryAllocation ? DS_NOMEM : DS_FAIL, "cuda: %s: %s",
                   what, cudaGetErrorString(status));
}

#define CUDA(call, what)                                                                           \
    do {                                                                                           \
        const cudaError_t status_ = (call);                                                        \
        if (status_ != cudaSuccess)                                                                \
            return fail_cuda(err, status_, what);                                                  \
    } while (0)

#define BLAS(call, what)                                                                           \
    do {                                                                                           \
        const cublasStatus_t status_ = (call);                                                     \
        if (status_ != CUBLAS_STATUS_SUCCESS)                                                      \
            return ds_fail(err, DS_FAIL, "cuda: %s: %s", what, cublasLtGetStatusString(status_));  \
    } while (0)

#define TRY_RT(x)                                                                                  \
    do {                                                                                           \
        const int rc_ = (x);                                                                       \
        if (rc_)                                                                                   \
            return rc_;                                                                            \
    } while (0)

/* Which device a thread's calls go to is the thread's: that of the one that opened it need not be
 * that of the one that uses it now. */
static void here(const dev_rt *rt)
{
    static thread_local int current = -1;

    if (current != rt->index && cudaSetDevice(rt->index) == cudaSuccess)
        current = rt->index;
}

static int start(dev_rt *rt, int index, ds_err *err)
{
    cudaDeviceProp prop;
    int count = 0, driver = 0;

    CUDA(cudaGetDeviceCount(&count), "no device can be used");
    if (index >= count)
        return ds_fail(err, DS_FAIL, "cuda: device %d: there are %d", index, count);
    rt->index = index;
    CUDA(cudaSetDevice(index), "the device cannot be used");
    CUDA(cudaGetDeviceProperties(&prop, index), "properties of the device");
    if (prop.major < 8)
        return ds_fail(err, DS_FAIL,
                       "cuda: %s has compute capability %d.%d; 8.0 is the least that is supported",
                       prop.name, prop.major, prop.minor);
    CUDA(cudaDriverGetVersion(&driver), "version of the driver");
    rt->processors = prop.multiProcessorCount;
    rt->shared = prop.sharedMemPerBlockOptin;
    snprintf(rt->name, sizeof rt->name, "%s, sm_%d%d, %d processors, cuBLASLt %zu; driver %d.%d",
             prop.name, prop.major, prop.minor, rt->processors, cublasLtGetVersion(), driver / 1000,
             driver % 1000 / 10);
    CUDA(cudaStreamCreateWithFlags(&rt->stream, cudaStreamNonBlocking), "a stream");
    CUDA(cudaStreamCreateWithFlags(&rt->copies, cudaStreamNonBlocking), "a stream");
    CUDA(cudaEventCreateWithFlags(&rt->arrived, cudaEventDisableTiming), "an event");
    BLAS(cublasLtCreate(&rt->lt), "cuBLASLt");
    return rt_mem_open(rt, &rt->workspace, err);
}

int rt_open(dev_rt **out, int index, ds_err *err)
{
    dev_rt *rt = new (std::nothrow) dev_rt();

    if (!rt)
        return ds_fail_nomem(err);
    const int rc = start(rt, index, err);
    if (rc)
        rt_close(rt);
    else
        *out = rt;
    return rc;
}

static void drop_plans(dev_rt *rt)
{
    for (int i = 0; i < rt->nplans; i++) {
        plan *p = &rt->plans[i];
        if (p->op)
            cublasLtMatmulDescDestroy(p->op);
        for (cublasLtMatrixLayout_t layout : {p->a, p->b, p->c})
            if (layout)
                cublasLtMatrixLayoutDestroy(layout);
    }
    rt->nplans = 0;
}

void rt_close(dev_rt *rt)
{
    here(rt);
    if (rt->stream)
        cudaStreamSynchronize(rt->stream);
    rt_peers_leave(rt);
    drop_plans(rt);
    rt_mem_close(rt);
    if (rt->lt)
        cublasLtDestroy(rt->lt);
    if (rt->arrived)
        cudaEventDestroy(rt->arrived);
    if (rt->copies)
        cudaStreamDestroy(rt->copies);
    if (rt->stream)
        cudaStreamDestroy(rt->stream);
    delete rt;
}

const char *rt_name(const dev_rt *rt)
{
    return rt->name;
}
int rt_processors(const dev_rt *rt)
{
    return rt->processors;
}
size_t rt_shared(const dev_rt *rt)
{
    return rt->shared;
}
dev_stream rt_stream(const dev_rt *rt)
{
    here(rt);
    return rt->stream;
}

/* ---- memory ---- */

rt_mem *rt_mem_of(dev_rt *rt)
{
    return &rt->mem;
}

rt_peers **rt_peers_of(dev_rt *rt)
{
    return &rt->peers;
}

void rt_system_memory(dev_rt *rt, int64_t *free, int64_t *total)
{
    size_t f = 0, t = 0;

    here(rt);
    if (cudaMemGetInfo(&f, &t) != cudaSuccess)
        cudaGetLastError();
    *free = (int64_t)f;
    *total = (int64_t)t;
}

int rt_system_alloc(dev_rt *rt, void **p, size_t bytes, ds_err *err)
{
    int64_t free, total;

    here(rt);
    const cudaError_t status = cudaMalloc(p, bytes);
    if (status == cudaSuccess)
        return 0;
    cudaGetLastError(); /* it would be reported again */
    if (status != cudaErrorMemoryAllocation)
        return fail_cuda(err, status, "memory");
    rt_system_memory(rt, &free, &total);
    return ds_fail(err, DS_NOMEM,
                   "cuda: %.1f MB are not there: %.1f of %.1f GB are free; dstrain plan shows what "
                   "a run needs",
                   (double)bytes / 1e6, (double)free / 1e9, (double)total / 1e9);
}

void rt_system_free(dev_rt *rt, void *p)
{
    here(rt);
    cudaFree(p);
}

int rt_host_alloc(dev_rt *rt, void **p, size_t bytes, ds_err *err)
{
    here(rt);
    CUDA(cudaMallocHost(p, bytes), "pinned memory");
    return 0;
}

void rt_host_free(dev_rt *, void *p)
{
    if (p)
        cudaFreeHost(p);
}

int rt_send(dev_rt *rt, void *dst, const void *host, size_t bytes, ds_err *err)
{
    here(rt);
    CUDA(cudaMemcpyAsync(dst, host, bytes, cudaMemcpyHostToDevice, rt->copies),
         "indices to the device");
    CUDA(cudaEventRecord(rt->arrived, rt->copies), "indices to the device");
    CUDA(cudaStreamWaitEvent(rt->stream, rt->arrived, 0), "indices to the device");
    return 0;
}

void rt_spoil([[maybe_unused]] dev_rt *rt, [[maybe_unused]] void *p, [[maybe_unused]] size_t bytes)
{
#ifdef DS_EMU
    cudaMemsetAsync(p, 0xff, bytes, rt->stream);
#endif
}

int rt_zero(dev_rt *rt, void *p, size_t bytes, ds_err *err)
{
    here(rt);
    CUDA(cudaMemsetAsync(p, 0, bytes, rt->stream), "memory set to zero");
    return 0;
}

int rt_upload(dev_rt *rt, void *dst, const void *host, size_t bytes, ds_err *err)
{
    here(rt);
    CUDA(cudaMemcpyAsync(dst, host, bytes, cudaMemcpyHostToDevice, rt->stream),
         "a copy to the device");
    CUDA(cudaStreamSynchronize(rt->stream), "a copy to the device");
    return 0;
}

int rt_download(dev_rt *rt, void *host, const void *src, size_t bytes, ds_err *err)
{
    here(rt);
    CUDA(cudaMemcpyAsync(host, src, bytes, cudaMemcpyDeviceToHost, rt->stream),
         "a copy from the device");
    CUDA(cudaStreamSynchronize(rt->stream), "a copy from the device");
    return 0;
}

int rt_sync(dev_rt *rt, ds_err *err)
{
    here(rt);
    CUDA(cudaStreamSynchronize(rt->stream), "work on the device");
    return 0;
}

int rt_launched(dev_rt *rt, const char *what, ds_err *err)
{
    const cudaError_t status = cudaGetLastError();

    if (status == cudaErrorInvalidValue || status == cudaErrorInvalidConfiguration)
        return ds_fail(err, DS_FAIL, "cuda: %s: %s; a block has %zu bytes of shared memory here",
                       what, cudaGetErrorString(status), rt->shared);
    CUDA(status, what);
    return 0;
}

/* ---- products ---- */

static cudaDataType_t type_of(int f)
{
    return f == DS_KF32 ? CUDA_R_32F : CUDA_R_16BF;
}

/* The largest power of two up to 256 that divides all addresses. */
static int alignment_of(const rt_product *p)
{
    const uintptr_t all = (uintptr_t)p->a | (uintptr_t)p->b | (uintptr_t)p->c | 256;

    return (int)(all & (~all + 1));
}

static int choose(dev_rt *rt, plan *pl, ds_err *err)
{
    cublasLtMatmulPreference_t want;
    cublasLtMatmulHeuristicResult_t found;
    const uint32_t schemes = CUBLASLT_REDUCTION_SCHEME_NONE, align = (uint32_t)pl->key.align;
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
        s = cublasLtMatmulAlgoGetHeuristic(rt->lt, pl->op, pl->a, pl->b, pl->c, pl->c, want, 1,
                                           &found, &n);
    cublasLtMatmulPreferenceDestroy(want);
    pl->none = s == CUBLAS_STATUS_NOT_SUPPORTED ||
               (s == CUBLAS_STATUS_SUCCESS && (n == 0 || found.state != CUBLAS_STATUS_SUCCESS));
    if (!pl->none) {
        BLAS(s, "choice of an algorithm");
        pl->algo = found.algo;
    }
    return 0;
}

/* cuBLASLt is told of column-major matrices: of C' = B' A'. */
static int make_plan(dev_rt *rt, plan *pl, ds_err *err)
{
    const plan_key *k = &pl->key;
    const cublasOperation_t ta = k->tb ? CUBLAS_OP_T : CUBLAS_OP_N,
                            tb = k->ta ? CUBLAS_OP_T : CUBLAS_OP_N;

    BLAS(cublasLtMatmulDescCreate(&pl->op, CUBLAS_COMPUTE_32F, CUDA_R_32F), "cuBLASLt");
    BLAS(cublasLtMatmulDescSetAttribute(pl->op, CUBLASLT_MATMUL_DESC_TRANSA, &ta, sizeof ta),
         "cuBLASLt");
    BLAS(cublasLtMatmulDescSetAttribute(pl->op, CUBLASLT_MATMUL_DESC_TRANSB, &tb, sizeof tb),
         "cuBLASLt");
    BLAS(cublasLtMatrixLayoutCreate(&pl->a, type_of(k->f), (uint64_t)(k->tb ? k->k : k->n),
                                    (uint64_t)(k->tb ? k->n : k->k), k->tb ? k->k : k->n),
         "cuBLASLt");
    BLAS(cublasLtMatrixLayoutCreate(&pl->b, type_of(k->f), (uint64_t)(k->ta ? k->m : k->k),
                                    (uint64_t)(k->ta ? k->k : k->m), k->ta ? k->m : k->k),
         "cuBLASLt");
    BLAS(cublasLtMatrixLayoutCreate(&pl->c, type_of(k->fc), (uint64_t)k->n, (uint64_t)k->m, k->n),
         "cuBLASLt");
    return choose(rt, pl, err);
}

static int plan_of(dev_rt *rt, const plan **out, const rt_product *p, ds_err *err)
{
    const plan_key key = {p->m,  p->n,  p->k,          p->fa,          p->fc,
                          p->ta, p->tb, p->accumulate, alignment_of(p)};

    for (int i = 0; i < rt->nplans; i++)
        if (memcmp(&rt->plans[i].key, &key, sizeof key) == 0) {
            *out = &rt->plans[i];
            return 0;
        }
    if (rt->nplans == PLANS) {
        TRY_RT(rt_sync(rt, err));
        drop_plans(rt);
    }
    plan *pl = &rt->plans[rt->nplans];
    *pl = plan();
    pl->key = key;
    const int rc = make_plan(rt, pl, err);
    rt->nplans++; /* whatever was made of it is destroyed with the others */
    if (rc)
        pl->key.m = -1; /* not to be found again */
    *out = pl;
    return rc;
}

int rt_matmul(dev_rt *rt, const rt_product *p, bool *none, ds_err *err)
{
    const float beta = p->accumulate ? 1.0f : 0.0f;
    const plan *pl;

    here(rt);
    TRY_RT(plan_of(rt, &pl, p, err));
    *none = pl->none;
    if (pl->none)
        return 0;
    BLAS(cublasLtMatmul(rt->lt, pl->op, &p->alpha, p->b, pl->a, p->a, pl->b, &beta, p->c, pl->c,
                        p->c, pl->c, &pl->algo, rt->workspace, DS_DEVICE_WORKSPACE, rt->stream),
         "a matrix product");
    return 0;
}
