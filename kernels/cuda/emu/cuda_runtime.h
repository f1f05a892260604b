/* cuda_runtime.h - as much of CUDA's run time as the backend uses, for the emulated device.
 *
 * Work that is queued on a stream is done later: when somebody waits for it, or whenever it is
 * drawn; streams go on in drawn order, but for the events that one of them waits for. So what is
 * read too early, written over too early or given back too early is found by wrong results, as NaN
 * or by a fault. Memory of the host is read and written when a copy is done, pinned or not: what
 * CUDA promises beyond that for pageable memory is not relied on.
 *
 * Arguments are checked as CUDA documents them: ranges, limits of a launch, shared memory that was
 * not asked for, streams of another device than the thread's, pointers of a kernel that lead to the
 * host. Memory begins as NaN.
 *
 * A stream that is captured does nothing: launches, copies and memory set are recorded with their
 * arguments as they are then, one after the other, and done at each launch of the graph. What CUDA
 * refuses meanwhile (waiting for the stream, memory, events from outside) spoils the capture.
 *
 * DS_EMU_SEED: of what is drawn. DS_EMU_MEMORY: bytes that a device has. DS_EMU_FAIL=N: call number
 * N fails. DS_EMU_STRICT: what was not given back at the end of the process is named, and ends it.
 */
#ifndef DS_EMU_CUDA_RUNTIME_H
#define DS_EMU_CUDA_RUNTIME_H

#include <cstddef>
#include <functional>

#include "emu.h"

enum cudaError_t {
    cudaSuccess = 0,
    cudaErrorInvalidValue = 1,
    cudaErrorMemoryAllocation = 2,
    cudaErrorInvalidConfiguration = 9,
    cudaErrorInvalidDevice = 101,
    cudaErrorInvalidResourceHandle = 400,
    cudaErrorIllegalState = 401,
    cudaErrorStreamCaptureUnsupported = 900,
    cudaErrorStreamCaptureInvalidated = 901,
    cudaErrorUnknown = 999
};
enum cudaMemcpyKind {
    cudaMemcpyHostToDevice = 1,
    cudaMemcpyDeviceToHost = 2,
    cudaMemcpyDeviceToDevice = 3
};
enum cudaStreamCaptureMode { cudaStreamCaptureModeThreadLocal = 1 };
enum cudaFuncAttribute { cudaFuncAttributeMaxDynamicSharedMemorySize = 8 };
#define cudaStreamNonBlocking 1u
#define cudaEventDisableTiming 2u

/* For libraries that are loaded: work is added, and finish returns when nothing is left. */
struct CUstream_st {
    virtual void add(std::function<void()> work) = 0;
    virtual void finish() = 0;

  protected:
    ~CUstream_st() = default;
};
typedef CUstream_st *cudaStream_t;
typedef struct CUevent_st *cudaEvent_t;
typedef struct CUgraph_st *cudaGraph_t;
typedef struct CUgraphExec_st *cudaGraphExec_t;

struct cudaDeviceProp {
    char name[256];
    size_t sharedMemPerBlockOptin;
    int major, minor, multiProcessorCount;
};

cudaError_t cudaGetDeviceCount(int *count);
cudaError_t cudaSetDevice(int device);
cudaError_t cudaGetDeviceProperties(cudaDeviceProp *prop, int device);
cudaError_t cudaDriverGetVersion(int *version);
cudaError_t cudaGetLastError(void);
const char *cudaGetErrorString(cudaError_t status);

cudaError_t cudaMemGetInfo(size_t *free, size_t *total);
cudaError_t cudaMalloc(void **p, size_t bytes);
cudaError_t cudaFree(void *p);
cudaError_t cudaMallocHost(void **p, size_t bytes);
cudaError_t cudaFreeHost(void *p);

cudaError_t cudaStreamCreateWithFlags(cudaStream_t *s, unsigned flags);
cudaError_t cudaStreamDestroy(cudaStream_t s);
cudaError_t cudaStreamSynchronize(cudaStream_t s);
cudaError_t cudaStreamWaitEvent(cudaStream_t s, cudaEvent_t e, unsigned flags);
cudaError_t cudaEventCreateWithFlags(cudaEvent_t *e, unsigned flags);
cudaError_t cudaEventDestroy(cudaEvent_t e);
cudaError_t cudaEventRecord(cudaEvent_t e, cudaStream_t s);
cudaError_t cudaMemcpyAsync(void *dst, const void *src, size_t bytes, cudaMemcpyKind kind,
                            cudaStream_t s);
cudaError_t cudaMemsetAsync(void *p, int value, size_t bytes, cudaStream_t s);

cudaError_t cudaStreamBeginCapture(cudaStream_t s, cudaStreamCaptureMode mode);
cudaError_t cudaStreamEndCapture(cudaStream_t s, cudaGraph_t *graph);
cudaError_t cudaGraphInstantiate(cudaGraphExec_t *exec, cudaGraph_t graph,
                                 unsigned long long flags);
cudaError_t cudaGraphLaunch(cudaGraphExec_t exec, cudaStream_t s);
cudaError_t cudaGraphDestroy(cudaGraph_t graph);
cudaError_t cudaGraphExecDestroy(cudaGraphExec_t exec);

namespace emu {
cudaError_t set_shared(const void *kernel, cudaFuncAttribute what, int bytes);
void queue_launch(const char *name, const void *kernel, dim3 grid, dim3 block, size_t shared,
                  cudaStream_t s, std::function<void()> body);

/* For libraries on top of it: whether this call is the one that is to fail; are these bytes of one
 * piece of device memory; one more, or one less, of what has to be given back. */
bool told_to_fail();
bool on_device(const void *p, size_t bytes);
void counted(const char *what, int change);
} // namespace emu

template <class F>
static inline cudaError_t cudaFuncSetAttribute(F *kernel, cudaFuncAttribute what, int bytes)
{
    return emu::set_shared(reinterpret_cast<const void *>(kernel), what, bytes);
}

#endif
