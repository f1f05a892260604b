/* rtcuda.cc - rt.h over the CUDA run time; products are rtblas.cc's.
 *
 * One stream, so that everything happens in the order in which it was asked for; numbers of the
 * host come on a second one, which the first waits for before it uses them.
 */
#include "rt.h"

#include <cublasLt.h>
#include <cstdio>
#include <cstdlib>
#include <new>

struct dev_rt {
    int index;
    size_t shared; /* that a block may have */
    bool warpgroups;
    cudaStream_t stream, copies;
    cudaEvent_t arrived;
    rt_blas *blas;
    char name[512];
    int processors;
    rt_mem mem;
    rt_peers *peers;
    rt_graphs *graphs;
};

int rt_failed(cudaError_t status, const char *what, ds_err *err)
{
    return ds_fail(err, status == cudaErrorMemoryAllocation ? DS_NOMEM : DS_FAIL, "cuda: %s: %s",
                   what, cudaGetErrorString(status));
}

/* Which device a thread's calls go to is the thread's: that of the one that opened it need not be
 * that of the one that uses it now. */
static cudaError_t here(const dev_rt *rt)
{
    static thread_local int current = -1;

    if (current == rt->index)
        return cudaSuccess;
    const cudaError_t status = cudaSetDevice(rt->index);
    current = status == cudaSuccess ? rt->index : -1;
    return status;
}
#define HERE(rt) CUDA(here(rt), "the device cannot be used")

/* DS_CUDA_SM=80: as if the device were an older one. What is chosen by it is part of its name. */
static int capability_of(int *sm, const cudaDeviceProp *prop, ds_err *err)
{
    const char *asked = getenv("DS_CUDA_SM");
    char *end = NULL;

    *sm = prop->major * 10 + prop->minor;
    if (!asked || !*asked)
        return 0;
    const long as = strtol(asked, &end, 10);
    if (*end || as < 80 || as > *sm)
        return ds_fail(err, DS_USAGE, "cuda: DS_CUDA_SM=%s: %s can be as 80 to %d", asked,
                       prop->name, *sm);
    *sm = (int)as;
    return 0;
}

static int start(dev_rt *rt, int index, ds_err *err)
{
    cudaDeviceProp prop;
    int count = 0, driver = 0, sm;
    void *workspace;

    CUDA(cudaGetDeviceCount(&count), "no device can be used");
    if (index >= count)
        return ds_fail(err, DS_FAIL, "cuda: device %d: there are %d", index, count);
    rt->index = index;
    HERE(rt);
    CUDA(cudaGetDeviceProperties(&prop, index), "properties of the device");
    if (prop.major < 8)
        return ds_fail(err, DS_FAIL,
                       "cuda: %s has compute capability %d.%d; 8.0 is the least that is supported",
                       prop.name, prop.major, prop.minor);
    CUDA(cudaDriverGetVersion(&driver), "version of the driver");
    rt->processors = prop.multiProcessorCount;
    rt->shared = prop.sharedMemPerBlockOptin;
    TRY(capability_of(&sm, &prop, err));
    rt->warpgroups = sm == 90;
    snprintf(rt->name, sizeof rt->name, "%s, sm_%d, %d processors, cuBLASLt %zu; driver %d.%d",
             prop.name, sm, rt->processors, cublasLtGetVersion(), driver / 1000,
             driver % 1000 / 10);
    CUDA(cudaStreamCreateWithFlags(&rt->stream, cudaStreamNonBlocking), "a stream");
    CUDA(cudaStreamCreateWithFlags(&rt->copies, cudaStreamNonBlocking), "a stream");
    CUDA(cudaEventCreateWithFlags(&rt->arrived, cudaEventDisableTiming), "an event");
    TRY(rt_mem_open(rt, &workspace, err));
    TRY(rt_graphs_open(rt, err));
    return rt_blas_open(rt, workspace, err);
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

void rt_close(dev_rt *rt)
{
    here(rt);
    for (cudaStream_t s : {rt->stream, rt->copies})
        if (s)
            cudaStreamSynchronize(s);
    rt_peers_leave(rt);
    rt_graphs_close(rt);
    rt_blas_close(rt);
    rt_mem_close(rt);
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
bool rt_warpgroups(const dev_rt *rt)
{
    return rt->warpgroups;
}

/* A stream of a device that is not the thread's refuses all work, and rt_launched tells why. */
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

rt_blas **rt_blas_of(dev_rt *rt)
{
    return &rt->blas;
}

rt_graphs **rt_graphs_of(dev_rt *rt)
{
    return &rt->graphs;
}

void rt_system_memory(dev_rt *rt, int64_t *free, int64_t *total)
{
    size_t f = 0, t = 0;

    if (here(rt) != cudaSuccess || cudaMemGetInfo(&f, &t) != cudaSuccess)
        cudaGetLastError();
    *free = (int64_t)f;
    *total = (int64_t)t;
}

int rt_system_alloc(dev_rt *rt, void **p, size_t bytes, ds_err *err)
{
    int64_t free, total;

    HERE(rt);
    const cudaError_t status = cudaMalloc(p, bytes);
    if (status == cudaSuccess)
        return 0;
    cudaGetLastError(); /* it would be reported again */
    if (status != cudaErrorMemoryAllocation)
        return rt_failed(status, "memory", err);
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
    HERE(rt);
    CUDA(cudaMallocHost(p, bytes), "pinned memory");
    return 0;
}

void rt_host_free(dev_rt *rt, void *p)
{
    here(rt);
    if (p)
        cudaFreeHost(p);
}

int rt_send(dev_rt *rt, void *dst, const void *host, size_t bytes, ds_err *err)
{
    HERE(rt);
    CUDA(cudaMemcpyAsync(dst, host, bytes, cudaMemcpyHostToDevice, rt->copies),
         "indices to the device");
    CUDA(cudaEventRecord(rt->arrived, rt->copies), "indices to the device");
    return 0;
}

/* The event is that of the piece sent last, and copies arrive in order. */
int rt_await(dev_rt *rt, ds_err *err)
{
    HERE(rt);
    CUDA(cudaStreamWaitEvent(rt->stream, rt->arrived, 0), "indices to the device");
    return 0;
}

int rt_settle(dev_rt *rt, ds_err *err)
{
    TRY(rt_sync(rt, err));
    CUDA(cudaStreamSynchronize(rt->copies), "indices to the device");
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
    HERE(rt);
    CUDA(cudaMemsetAsync(p, 0, bytes, rt->stream), "memory set to zero");
    return 0;
}

int rt_upload(dev_rt *rt, void *dst, const void *host, size_t bytes, ds_err *err)
{
    HERE(rt);
    CUDA(cudaMemcpyAsync(dst, host, bytes, cudaMemcpyHostToDevice, rt->stream),
         "a copy to the device");
    CUDA(cudaStreamSynchronize(rt->stream), "a copy to the device");
    return 0;
}

int rt_download(dev_rt *rt, void *host, const void *src, size_t bytes, ds_err *err)
{
    HERE(rt);
    CUDA(cudaMemcpyAsync(host, src, bytes, cudaMemcpyDeviceToHost, rt->stream),
         "a copy from the device");
    CUDA(cudaStreamSynchronize(rt->stream), "a copy from the device");
    return 0;
}

int rt_sync(dev_rt *rt, ds_err *err)
{
    HERE(rt);
    CUDA(cudaStreamSynchronize(rt->stream), "work on the device");
    return 0;
}

int rt_launched(dev_rt *rt, const char *what, ds_err *err)
{
    HERE(rt);
    const cudaError_t status = cudaGetLastError();

    if (status == cudaErrorInvalidValue || status == cudaErrorInvalidConfiguration)
        return ds_fail(err, DS_FAIL, "cuda: %s: %s; a block has %zu bytes of shared memory here",
                       what, cudaGetErrorString(status), rt->shared);
    CUDA(status, what);
    return 0;
}
