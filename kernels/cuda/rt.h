/* rt.h - what the backend asks of the system: memory, copies, streams, products. It is CUDA's run
 * time (rtcuda.cc) and cuBLASLt (rtblas.cc), or what stands for them on the host (emu/); what is
 * made of memory is rtmem.cu's. Every status becomes a ds_err. One thread at a time.
 */
#ifndef DS_RT_H
#define DS_RT_H

#include "dev.h"
#include "try.h"

extern "C" {
#include "devroom.h"
}

typedef struct dev_rt dev_rt;

/* A call of CUDA's that must succeed. */
#define CUDA(call, what)                                                                           \
    do {                                                                                           \
        const cudaError_t status_ = (call);                                                        \
        if (status_ != cudaSuccess)                                                                \
            return rt_failed(status_, what, err);                                                  \
    } while (0)
int rt_failed(cudaError_t status, const char *what, ds_err *err);

/* Device `index`, its name and number of multiprocessors. */
int rt_open(dev_rt **rt, int index, ds_err *err);
void rt_close(dev_rt *rt);
const char *rt_name(const dev_rt *rt); /* "NVIDIA H200, sm_90, driver 13.0, cuBLASLt 13.1" */
int rt_processors(const dev_rt *rt);
size_t rt_shared(const dev_rt *rt); /* bytes of shared memory that a block may ask for */
bool rt_warpgroups(const dev_rt *rt); /* compute capability 9.0: what wgmma.h needs */
dev_stream rt_stream(const dev_rt *rt);

int rt_zero(dev_rt *rt, void *p, size_t bytes, ds_err *err);
/* The host's memory may be used again on return. */
int rt_upload(dev_rt *rt, void *dst, const void *host, size_t bytes, ds_err *err);
int rt_download(dev_rt *rt, void *host, const void *src, size_t bytes, ds_err *err);
int rt_sync(dev_rt *rt, ds_err *err);
/* The status of launches since the last call. `what` names the kernel. */
int rt_launched(dev_rt *rt, const char *what, ds_err *err);

/* ---- products: rtblas.cc ---- */

/* Row-major C[m,n] = alpha op(A) op(B) + (accumulate ? C : 0), f32 accumulation. Leading dimensions
 * are those of dense matrices. With a bias [n], of C's format, that is added to every row before it
 * is rounded; with a bias_back [m], of C's format, that becomes the sums of op(A)'s rows. */
typedef struct rt_product {
    void *c;
    const void *a, *b;
    enum ds_kfmt fc, fa, fb;
    bool ta, tb, accumulate;
    int64_t m, n, k;
    float alpha;
    bool listed; /* rt_plans is to tell of it */
    const void *bias;
    void *bias_back;
} rt_product;
/* *none: nothing was done, the library has no algorithm for it. */
int rt_matmul(dev_rt *rt, const rt_product *p, bool *none, ds_err *err);
/* Was rt_plans_again told how to compute it? */
bool rt_told(dev_rt *rt, const rt_product *p);
/* As kernels.h has them. */
size_t rt_plans(dev_rt *rt, const ds_kplan **list);
int rt_plans_again(dev_rt *rt, const ds_kplan *list, size_t n, ds_err *err);

typedef struct rt_blas rt_blas;
rt_blas **rt_blas_of(dev_rt *rt);
int rt_blas_open(dev_rt *rt, void *workspace, ds_err *err);
void rt_blas_close(dev_rt *rt);

/* ---- several devices, as kernels.h has them: rtnccl.cc ---- */

typedef struct rt_peers rt_peers;
rt_peers **rt_peers_of(dev_rt *rt);
int rt_peers_id(dev_rt *rt, char id[DS_KPEERS_ID], ds_err *err);
int rt_peers_join(dev_rt *rt, const char id[DS_KPEERS_ID], int rank, int size, ds_err *err);
const char *rt_peers_name(dev_rt *rt); /* "NCCL 2.28.3", of those that joined */
int rt_peers_gather(dev_rt *rt, void *all, const void *mine, size_t bytes, ds_err *err);
int rt_peers_exchange(dev_rt *rt, void *all, const void *mine, size_t bytes, ds_err *err);
int rt_peers_spread(dev_rt *rt, void *data, size_t bytes, int root, ds_err *err);
void rt_peers_leave(dev_rt *rt); /* nothing when none joined */

/* ---- for rtmem.cu ---- */

/* Memory as the system gives it: on the device, or of the host's for copies that do not wait. */
int rt_system_alloc(dev_rt *rt, void **p, size_t bytes, ds_err *err);
void rt_system_free(dev_rt *rt, void *p);
void rt_system_memory(dev_rt *rt, int64_t *free, int64_t *total);
int rt_host_alloc(dev_rt *rt, void **p, size_t bytes, ds_err *err);
void rt_host_free(dev_rt *rt, void *p);
/* From such memory, on a stream of its own: beside what is queued. What is queued after rt_await
 * comes after all that was sent. rt_settle: until both streams have done everything. */
int rt_send(dev_rt *rt, void *dst, const void *host, size_t bytes, ds_err *err);
int rt_await(dev_rt *rt, ds_err *err);
int rt_settle(dev_rt *rt, ds_err *err);
/* Scratch that nothing may be read from before it is written: under emulation it becomes NaN. */
void rt_spoil(dev_rt *rt, void *p, size_t bytes);
struct rt_mem *rt_mem_of(dev_rt *rt);

/* ---- memory: rtmem.cu ---- */

/* What came from the host since the ring's beginning, so that the same is not sent again. */
#define RT_STAGED 256
typedef struct rt_staged {
    size_t at, bytes;
    uint64_t turn; /* of rt_mem.sent */
} rt_staged;

typedef struct rt_piece {
    void *p;
    size_t bytes;
} rt_piece;

typedef struct rt_mem {
    rt_piece *pieces; /* asked of the device */
    size_t n, cap;
    ds_kmem about;
    char *arena; /* of rt_reserve: never given back before the end */
    size_t size, used;
    void *scratch[DS_KSLOTS];
    size_t room[DS_KSLOTS];
    char *numbers;       /* of work that is captured: DS_DEVICE_NUMBERS bytes */
    char *pinned, *ring; /* two copies of the same */
    size_t ring_used;
    rt_staged staged[RT_STAGED];
    unsigned nstaged;       /* so far: number i stands at i % RT_STAGED */
    uint64_t sent, awaited; /* pieces so far; those that what is queued next comes after */
} rt_mem;

/* Of an open device: the ring, numbers, and the workspace of products. */
int rt_mem_open(dev_rt *rt, void **workspace, ds_err *err);
void rt_mem_close(dev_rt *rt);

/* Device memory, zeroed, from what was reserved while that lasts. Out of it: DS_NOMEM with what was
 * asked for, what is free and what to do. */
int rt_alloc(dev_rt *rt, void **p, size_t bytes, ds_err *err);
void rt_free(dev_rt *rt, void *p);
/* One piece for all that is to come (kernels.h). */
int rt_reserve(dev_rt *rt, size_t bytes, const size_t scratch[DS_KSLOTS], ds_err *err);

/* A few kilobytes of the host's memory (ids, positions, sequences) to the device without waiting:
 * through a ring of pinned memory, so *dev is valid for work that is queued before the ring comes
 * round (RT_RING bytes later; then the stream is waited for). The same bytes again are there
 * already. Up to a third of the ring at a time, so what a function stages twice is all there. */
#ifdef DS_EMU
#define RT_RING ((size_t)1 << 20)
#else
#define RT_RING DS_DEVICE_RING
#endif
int rt_stage(dev_rt *rt, void **dev, const void *host, size_t bytes, ds_err *err);
/* Numbers that are made of the host's: `make` writes all `bytes` of them. In captured work that is
 * done for every launch, so it depends on nothing else. */
typedef struct rt_made {
    int (*make)(void *to, const struct rt_made *m, ds_err *err);
    const void *from;
    size_t from_bytes, bytes;
    int64_t how[2]; /* what make has to know */
} rt_made;
int rt_stage_made(dev_rt *rt, void **dev, const rt_made *m, ds_err *err);
/* What will be staged soon is sent now, where there is room. Nothing that is queued waits for it
 * before it is staged. */
int rt_ahead(dev_rt *rt, const void *host, size_t bytes, ds_err *err);
int rt_ahead_made(dev_rt *rt, const rt_made *m, ds_err *err);

/* Scratch that stays and, where nothing was reserved, grows: valid until the next call with the
 * same slot. */
int rt_scratch(dev_rt *rt, int slot, void **p, size_t bytes, ds_err *err);

/* ---- work that is captured, as kernels.h has it: rtgraph.cc ---- */

typedef struct rt_graphs rt_graphs;
/* Launches are as large as so many sequences may need: up to the next power of two. */
static inline int32_t rt_seqs_room(int32_t n)
{
    int32_t room = 1;

    while (room < n)
        room *= 2;
    return room;
}
rt_graphs **rt_graphs_of(dev_rt *rt);
int rt_graphs_open(dev_rt *rt, ds_err *err);
void rt_graphs_close(dev_rt *rt); /* once nothing is queued */
void rt_graphs_drop(dev_rt *rt);  /* scratch that they know of goes; once nothing is queued */
int rt_work_begin(dev_rt *rt, const ds_kwork *w, bool capture, bool *done, ds_err *err);
int rt_work_end(dev_rt *rt, bool whole, ds_err *err);
int rt_work_ahead(dev_rt *rt, const ds_kwork *w, ds_err *err);
void rt_work_forget(dev_rt *rt, const void *of);
void rt_worked(dev_rt *rt, int64_t *captured, int64_t *launched);

/* Of the work under way: the piece of its numbers that this memory lies in; NULL: in none. */
const ds_kpiece *rt_work_piece(const dev_rt *rt, const void *host, size_t bytes);
/* While it is captured: where these numbers, or those that are made, will be at each launch. */
bool rt_capturing(const dev_rt *rt);
int rt_work_place(dev_rt *rt, void **dev, const void *host, size_t bytes, ds_err *err);
int rt_work_place_made(dev_rt *rt, void **dev, const rt_made *m, ds_err *err);

#endif
