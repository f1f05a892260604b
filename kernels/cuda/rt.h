/* rt.h - what the backend asks of the system: memory, copies, a stream. CUDA's run time, or the
 * emulated device's. Every status becomes a ds_err. One thread at a time.
 */
#ifndef DS_RT_H
#define DS_RT_H

#include "dev.h"

extern "C" {
#include "kernels.h"
}

typedef struct dev_rt dev_rt;

/* Device `index`, its name and number of multiprocessors. */
int rt_open(dev_rt **rt, int index, ds_err *err);
void rt_close(dev_rt *rt);
const char *rt_name(const dev_rt *rt); /* "NVIDIA H200, sm_90, driver 13.0, cuBLASLt 13.1" */
int rt_processors(const dev_rt *rt);
dev_stream rt_stream(const dev_rt *rt);

/* Device memory, zeroed. Out of it: DS_NOMEM with what was asked for, what is free and what to
 * do. */
int rt_alloc(dev_rt *rt, void **p, size_t bytes, ds_err *err);
void rt_free(dev_rt *rt, void *p);
int rt_zero(dev_rt *rt, void *p, size_t bytes, ds_err *err);
/* The host's memory may be used again on return. */
int rt_upload(dev_rt *rt, void *dst, const void *host, size_t bytes, ds_err *err);
int rt_download(dev_rt *rt, void *host, const void *src, size_t bytes, ds_err *err);
int rt_sync(dev_rt *rt, ds_err *err);
/* The status of launches since the last call. `what` names the kernel. */
int rt_launched(dev_rt *rt, const char *what, ds_err *err);

/* A few kilobytes of the host's memory (ids, positions, sequences) to the device without waiting:
 * through a ring of pinned memory, so *dev is valid for work that is queued before the ring comes
 * round (RT_RING bytes later; then the stream is waited for). */
#ifdef DS_EMU
#define RT_RING ((size_t)1 << 20)
#else
#define RT_RING ((size_t)32 << 20)
#endif
int rt_stage(dev_rt *rt, void **dev, const void *host, size_t bytes, ds_err *err);

/* Scratch that stays and grows: valid until the next call with the same slot. */
#define RT_SLOTS 4
int rt_scratch(dev_rt *rt, int slot, void **p, size_t bytes, ds_err *err);

/* Row-major C[m,n] = alpha op(A) op(B) + (accumulate ? C : 0), f32 accumulation. Leading dimensions
 * are those of dense matrices. */
typedef struct rt_product {
    void *c;
    const void *a, *b;
    enum ds_kfmt fc, fa, fb;
    bool ta, tb, accumulate;
    int64_t m, n, k;
    float alpha;
} rt_product;
int rt_matmul(dev_rt *rt, const rt_product *p, ds_err *err);

#endif
