/* runtime.cc - see cuda_runtime.h. */
#include "cuda_runtime.h"

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <deque>
#include <map>
#include <memory>
#include <new>
#include <string>
#include <unistd.h>
#include <vector>

#include "emuhooks.h"

struct CUgraph_st {
    std::vector<std::function<void()>> nodes; /* in order */
};
struct CUgraphExec_st {
    std::vector<std::function<void()>> nodes;
};

namespace {
constexpr int DEVICES = 16; /* each process takes one, by a number of its own */
constexpr size_t SMALL_SHARED = 48 << 10, LARGE_SHARED = 227 << 10;
constexpr size_t STATIC_SHARED = 256; /* a block's arrays of fixed size, at most */
constexpr size_t SPOILED = 64 << 10;  /* of new memory, from its beginning */
constexpr size_t GRAPH_NODE = 512;    /* that an executable graph takes for each launch in it */

struct reached { /* an event's records are numbered */
    uint64_t last = 0, done = 0;
};

struct work {
    std::function<void()> run;      /* or, when there is none: */
    std::shared_ptr<reached> event; /* waits for record number `turn` */
    uint64_t turn = 0;
};

struct stream final : CUstream_st {
    int device = 0;
    std::deque<work> queue;
    CUgraph_st *recording = nullptr; /* while it is captured */
    bool spoiled = false;            /* the capture is */

    void add(std::function<void()> w) override;
    void finish() override;
};

struct state {
    std::vector<stream *> streams;
    std::map<const unsigned char *, size_t> device, host; /* pieces that are given out */
    std::map<const void *, size_t> shared;                /* that was asked for, of kernels */
    std::map<std::string, int> held;
    stream *captured = nullptr; /* there is one thread, and it captures one at a time */
    cudaError_t last = cudaSuccess;
    long calls = 0, fails_at = 0;
    bool said_when = false;
    size_t taken = 0;

    ~state();
};
state *all_state()
{
    static state s;
    return &s;
}
thread_local int current;

[[noreturn]] void die(const char *what)
{
    std::fprintf(stderr, "emulated device: %s\n", what);
    std::abort();
}

state::~state()
{
    const char *strict = std::getenv("DS_EMU_STRICT");

    if (strict && *strict && ds_emu_left())
        _exit(70);
}

cudaError_t ended(cudaError_t status)
{
    if (status != cudaSuccess)
        all_state()->last = status;
    return status;
}

bool inside(const std::map<const unsigned char *, size_t> &pieces, const void *p, size_t bytes)
{
    const unsigned char *at = static_cast<const unsigned char *>(p);
    auto next = pieces.upper_bound(at);

    if (next == pieces.begin())
        return false;
    --next;
    const size_t past = (size_t)(at - next->first);
    return past <= next->second && bytes <= next->second - past;
}

/* ---- what is queued ---- */

bool ready(const stream &s)
{
    return !s.queue.empty() &&
           (!s.queue.front().event || s.queue.front().event->done >= s.queue.front().turn);
}

/* One piece of work of a stream that is drawn; false: none can go on. */
bool step()
{
    std::vector<stream *> can;

    for (stream *s : all_state()->streams)
        if (ready(*s))
            can.push_back(s);
    if (can.empty())
        return false;
    stream *s = can[emu::draw() % can.size()];
    const work w = std::move(s->queue.front());
    s->queue.pop_front();
    if (!w.run)
        return true;
    emu::open_memory();
    w.run();
    return true;
}

/* Until nothing of `s` is left, or of any when it is NULL. */
void finish_all(const stream *s)
{
    const auto busy = [s] {
        if (s)
            return !s->queue.empty();
        const std::vector<stream *> &all = all_state()->streams;
        return std::any_of(all.begin(), all.end(), [](stream *o) { return !o->queue.empty(); });
    };

    while (busy())
        if (!step())
            die("streams wait for each other");
}

/* What is refused while anything is captured. */
cudaError_t refused()
{
    all_state()->captured->spoiled = true;
    return ended(cudaErrorStreamCaptureUnsupported);
}

void push(stream *s, work w)
{
    if (s->recording) {
        s->recording->nodes.push_back(std::move(w.run));
        return;
    }
    s->queue.push_back(std::move(w));
    while (emu::draw() % 8 == 0 && step())
        ;
}

/* The stream of a call, or why there is none. */
cudaError_t stream_of(stream **out, cudaStream_t s)
{
    const std::vector<stream *> &all = all_state()->streams;

    if (emu::told_to_fail())
        return cudaErrorUnknown;
    if (!s)
        die("the default stream does not wait for the others");
    *out = static_cast<stream *>(s);
    if (std::find(all.begin(), all.end(), *out) == all.end() || (*out)->device != current)
        return cudaErrorInvalidResourceHandle;
    return cudaSuccess;
}

#define STREAM(name, from)                                                                         \
    stream *name;                                                                                  \
    do {                                                                                           \
        const cudaError_t status_ = stream_of(&name, from);                                        \
        if (status_ != cudaSuccess)                                                                \
            return ended(status_);                                                                 \
    } while (0)

void stream::add(std::function<void()> w)
{
    push(this, work{std::move(w), nullptr, 0});
}
void stream::finish()
{
    finish_all(this);
}
} // namespace

struct CUevent_st {
    std::shared_ptr<reached> at = std::make_shared<reached>();
};

/* ---- hooks ---- */

long ds_emu_calls(void)
{
    return all_state()->calls;
}
void ds_emu_fail(long call)
{
    state *s = all_state();

    s->calls = 0;
    s->fails_at = call;
    s->said_when = true;
    s->last = cudaSuccess;
}
int ds_emu_left(void)
{
    int n = 0;

    for (const auto &h : all_state()->held)
        if (h.second) {
            std::fprintf(stderr, "emulated device: %d of %s not given back\n", h.second,
                         h.first.c_str());
            n += h.second;
        }
    return n;
}

bool emu::told_to_fail()
{
    state *s = all_state();

    if (!s->said_when) {
        const char *v = std::getenv("DS_EMU_FAIL");
        s->fails_at = v ? std::strtol(v, nullptr, 10) : 0;
        s->said_when = true;
    }
    return ++s->calls == s->fails_at;
}
bool emu::on_device(const void *p, size_t bytes)
{
    return inside(all_state()->device, p, bytes);
}
void emu::lead_there(const void *p)
{
    if (p && !on_device(p, 0))
        die("a kernel's argument leads to the host's memory");
}
void emu::counted(const char *what, int change)
{
    all_state()->held[what] += change;
}

/* ---- the device ---- */

cudaError_t cudaGetDeviceCount(int *count)
{
    if (emu::told_to_fail())
        return ended(cudaErrorUnknown);
    *count = DEVICES;
    return cudaSuccess;
}
cudaError_t cudaSetDevice(int device)
{
    if (emu::told_to_fail())
        return ended(cudaErrorUnknown);
    if (device < 0 || device >= DEVICES)
        return ended(cudaErrorInvalidDevice);
    current = device;
    return cudaSuccess;
}
cudaError_t cudaGetDeviceProperties(cudaDeviceProp *prop, int device)
{
    if (emu::told_to_fail())
        return ended(cudaErrorUnknown);
    if (device < 0 || device >= DEVICES)
        return ended(cudaErrorInvalidDevice);
    *prop = cudaDeviceProp{"emulated", LARGE_SHARED, 9, 0, 4};
    return cudaSuccess;
}
cudaError_t cudaDriverGetVersion(int *version)
{
    if (emu::told_to_fail())
        return ended(cudaErrorUnknown);
    *version = 13000;
    return cudaSuccess;
}
cudaError_t cudaGetLastError(void)
{
    state *s = all_state();
    const cudaError_t was = s->last;

    s->last = cudaSuccess;
    return was;
}
const char *cudaGetErrorString(cudaError_t status)
{
    switch (status) {
    case cudaSuccess:
        return "no error";
    case cudaErrorInvalidValue:
        return "invalid argument";
    case cudaErrorMemoryAllocation:
        return "out of memory";
    case cudaErrorInvalidConfiguration:
        return "invalid configuration argument";
    case cudaErrorInvalidDevice:
        return "invalid device ordinal";
    case cudaErrorInvalidResourceHandle:
        return "invalid resource handle";
    case cudaErrorIllegalState:
        return "the operation cannot be performed in the present state";
    case cudaErrorStreamCaptureUnsupported:
        return "operation not permitted when stream is capturing";
    case cudaErrorStreamCaptureInvalidated:
        return "operation failed due to a previous error during capture";
    default:
        return "the emulated device was told to fail";
    }
}

/* ---- memory ---- */

static size_t memory_of_device()
{
    const char *v = std::getenv("DS_EMU_MEMORY");

    return v ? std::strtoull(v, nullptr, 10) : (size_t)3 << 30;
}

cudaError_t cudaMemGetInfo(size_t *free, size_t *total)
{
    const size_t taken = all_state()->taken;

    if (emu::told_to_fail())
        return ended(cudaErrorUnknown);
    *total = memory_of_device();
    *free = *total > taken ? *total - taken : 0;
    return cudaSuccess;
}
cudaError_t cudaMalloc(void **p, size_t bytes)
{
    state *s = all_state();
    const size_t total = memory_of_device();

    if (emu::told_to_fail())
        return ended(cudaErrorUnknown);
    if (s->captured)
        return refused();
    void *got = s->taken <= total && bytes <= total - s->taken ? emu::device_alloc(bytes) : nullptr;
    if (!got)
        return ended(cudaErrorMemoryAllocation);
    emu::device_fill(got, 0xff, bytes < SPOILED ? bytes : SPOILED);
    s->device[static_cast<unsigned char *>(got)] = bytes;
    s->taken += bytes;
    emu::counted("memory", 1);
    *p = got;
    return cudaSuccess;
}
/* It waits for the whole device, as CUDA's does. */
cudaError_t cudaFree(void *p)
{
    state *s = all_state();

    if (!p)
        return cudaSuccess;
    if (s->captured)
        return refused();
    finish_all(nullptr);
    const auto at = s->device.find(static_cast<unsigned char *>(p));
    if (at == s->device.end())
        return ended(cudaErrorInvalidValue);
    s->taken -= at->second;
    s->device.erase(at);
    emu::device_free(p);
    emu::counted("memory", -1);
    return cudaSuccess;
}
cudaError_t cudaMallocHost(void **p, size_t bytes)
{
    if (emu::told_to_fail())
        return ended(cudaErrorUnknown);
    if (all_state()->captured)
        return refused();
    *p = std::malloc(bytes);
    if (!*p)
        return ended(cudaErrorMemoryAllocation);
    all_state()->host[static_cast<unsigned char *>(*p)] = bytes;
    emu::counted("pinned memory", 1);
    return cudaSuccess;
}
cudaError_t cudaFreeHost(void *p)
{
    state *s = all_state();
    const auto at = s->host.find(static_cast<unsigned char *>(p));

    finish_all(nullptr);
    if (at == s->host.end())
        return ended(cudaErrorInvalidValue);
    s->host.erase(at);
    std::free(p);
    emu::counted("pinned memory", -1);
    return cudaSuccess;
}

/* ---- streams and events ---- */

cudaError_t cudaStreamCreateWithFlags(cudaStream_t *s, unsigned flags)
{
    if (emu::told_to_fail())
        return ended(cudaErrorUnknown);
    stream *fresh = new (std::nothrow) stream();
    if (!fresh || flags != cudaStreamNonBlocking)
        die("a stream that waits for the default one");
    fresh->device = current;
    all_state()->streams.push_back(fresh);
    emu::counted("streams", 1);
    *s = fresh;
    return cudaSuccess;
}
/* What is queued is done nevertheless. */
cudaError_t cudaStreamDestroy(cudaStream_t s)
{
    std::vector<stream *> *streams = &all_state()->streams;
    stream *mine = static_cast<stream *>(s);

    finish_all(mine);
    std::erase(*streams, mine);
    delete mine;
    emu::counted("streams", -1);
    return cudaSuccess;
}
/* Where it fails nothing is on its way either: memory of the host may be gone. */
cudaError_t cudaStreamSynchronize(cudaStream_t s)
{
    if (s && s == all_state()->captured)
        return refused();
    finish_all(static_cast<stream *>(s));
    STREAM(mine, s);
    return mine->queue.empty() ? cudaSuccess : ended(cudaErrorUnknown);
}
cudaError_t cudaEventCreateWithFlags(cudaEvent_t *e, unsigned)
{
    if (emu::told_to_fail())
        return ended(cudaErrorUnknown);
    *e = new (std::nothrow) CUevent_st();
    emu::counted("events", 1);
    return *e ? cudaSuccess : ended(cudaErrorMemoryAllocation);
}
cudaError_t cudaEventDestroy(cudaEvent_t e)
{
    delete e;
    emu::counted("events", -1);
    return cudaSuccess;
}
cudaError_t cudaEventRecord(cudaEvent_t e, cudaStream_t s)
{
    STREAM(mine, s);
    if (mine->recording)
        return refused();
    const std::shared_ptr<reached> at = e->at;
    const uint64_t turn = ++at->last;

    push(mine, work{[at, turn] { at->done = turn; }, nullptr, 0});
    return cudaSuccess;
}
cudaError_t cudaStreamWaitEvent(cudaStream_t s, cudaEvent_t e, unsigned)
{
    STREAM(mine, s);
    if (mine->recording)
        return refused();
    push(mine, work{nullptr, e->at, e->at->last});
    return cudaSuccess;
}

cudaError_t cudaMemcpyAsync(void *dst, const void *src, size_t bytes, cudaMemcpyKind kind,
                            cudaStream_t s)
{
    STREAM(mine, s);
    const bool from = kind != cudaMemcpyHostToDevice, to = kind != cudaMemcpyDeviceToHost;

    if (bytes == 0)
        return cudaSuccess;
    if (emu::on_device(dst, to ? bytes : 1) != to || emu::on_device(src, from ? bytes : 1) != from)
        return ended(cudaErrorInvalidValue);
    if (!to)
        std::memset(dst, 0xff, bytes);
    mine->add([=] { emu::device_copy(dst, src, bytes); });
    return cudaSuccess;
}
cudaError_t cudaMemsetAsync(void *p, int value, size_t bytes, cudaStream_t s)
{
    STREAM(mine, s);
    if (bytes == 0)
        return cudaSuccess;
    if (!emu::on_device(p, bytes))
        return ended(cudaErrorInvalidValue);
    mine->add([=] { emu::device_fill(p, value, bytes); });
    return cudaSuccess;
}

/* ---- graphs ---- */

cudaError_t cudaStreamBeginCapture(cudaStream_t s, cudaStreamCaptureMode mode)
{
    STREAM(mine, s);
    if (mode != cudaStreamCaptureModeThreadLocal)
        return ended(cudaErrorInvalidValue);
    if (all_state()->captured)
        return ended(cudaErrorIllegalState);
    mine->recording = new CUgraph_st();
    mine->spoiled = false;
    all_state()->captured = mine;
    emu::counted("graphs", 1);
    return cudaSuccess;
}
/* However it ends, the stream is captured no more. */
cudaError_t cudaStreamEndCapture(cudaStream_t s, cudaGraph_t *graph)
{
    stream *mine = nullptr, *captured = all_state()->captured;
    cudaError_t status = stream_of(&mine, s);

    *graph = nullptr;
    if (!captured)
        return ended(cudaErrorIllegalState);
    if (status == cudaSuccess && mine != captured)
        status = cudaErrorIllegalState;
    else if (captured->spoiled)
        status = cudaErrorStreamCaptureInvalidated;
    if (status == cudaSuccess)
        *graph = captured->recording;
    else
        cudaGraphDestroy(captured->recording);
    captured->recording = nullptr;
    all_state()->captured = nullptr;
    return ended(status);
}
cudaError_t cudaGraphInstantiate(cudaGraphExec_t *exec, cudaGraph_t graph, unsigned long long flags)
{
    if (emu::told_to_fail())
        return ended(cudaErrorUnknown);
    if (!graph || flags != 0)
        return ended(cudaErrorInvalidValue);
    *exec = new CUgraphExec_st{graph->nodes};
    all_state()->taken += GRAPH_NODE * graph->nodes.size();
    emu::counted("executable graphs", 1);
    return cudaSuccess;
}
cudaError_t cudaGraphLaunch(cudaGraphExec_t exec, cudaStream_t s)
{
    STREAM(mine, s);
    if (!exec)
        return ended(cudaErrorInvalidValue);
    for (const std::function<void()> &node : exec->nodes)
        push(mine, work{node, nullptr, 0});
    return cudaSuccess;
}
cudaError_t cudaGraphDestroy(cudaGraph_t graph)
{
    delete graph;
    emu::counted("graphs", -1);
    return cudaSuccess;
}
cudaError_t cudaGraphExecDestroy(cudaGraphExec_t exec)
{
    all_state()->taken -= GRAPH_NODE * exec->nodes.size();
    delete exec;
    emu::counted("executable graphs", -1);
    return cudaSuccess;
}

/* ---- launches ---- */

cudaError_t emu::set_shared(const void *kernel, cudaFuncAttribute what, int bytes)
{
    if (what != cudaFuncAttributeMaxDynamicSharedMemorySize || bytes < 0 ||
        (size_t)bytes > LARGE_SHARED - STATIC_SHARED)
        return ended(cudaErrorInvalidValue);
    all_state()->shared[kernel] = (size_t)bytes;
    return cudaSuccess;
}

static bool possible(const void *kernel, dim3 grid, dim3 block, size_t shared)
{
    const auto asked = all_state()->shared.find(kernel);
    const bool large = asked != all_state()->shared.end() && shared <= asked->second;

    return grid.x > 0 && grid.y > 0 && grid.z > 0 && grid.x <= 0x7fffffffu && grid.y <= 65535 &&
           grid.z <= 65535 && block.x > 0 && block.y > 0 && block.z > 0 && block.z <= 64 &&
           block.x * block.y * block.z <= 1024 && (large || shared + STATIC_SHARED <= SMALL_SHARED);
}

void emu::queue_launch(const char *name, const void *kernel, dim3 grid, dim3 block, size_t shared,
                       cudaStream_t s, std::function<void()> body)
{
    stream *mine = nullptr;
    cudaError_t status = stream_of(&mine, s);

    if (status == cudaSuccess && !possible(kernel, grid, block, shared))
        status = cudaErrorInvalidConfiguration;
    if (ended(status) == cudaSuccess)
        mine->add([=, body = std::move(body)] { emu::launch(name, grid, block, shared, body); });
}
