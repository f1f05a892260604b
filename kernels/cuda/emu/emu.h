/* emu.h - enough of CUDA's dialect to run a kernel on the host, so that its logic is tested where
 * there is no device: every thread of a block is a fiber, blocks run one after the other.
 *
 * What it finds: a wrong index (device memory lies in a mapping of its own, between unreadable
 * pages, and the host cannot touch it between launches), a missing barrier (fibers run in an order
 * drawn anew at each barrier; the seed is DS_EMU_SEED), what is read before it is written (shared
 * memory and scratch begin as NaN), barriers that not all threads reach (the run ends with a
 * message), lanes of a warp that do not come to the same instructions where all have to, in the
 * same order (shuffles, barriers, products of tiles), products of a warpgroup without their fence,
 * with operands that differ between its threads or begin within eight rows. watch.cc finds races
 * whatever the order is. What it cannot find is speed. Streams, memory and launches are
 * cuda_runtime.h's, products cublasLt.h's.
 *
 * Not for several host threads at a time.
 */
#ifndef DS_EMU_H
#define DS_EMU_H

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <functional>
#include <source_location>
#include <tuple>
#include <type_traits>
#include <vector>

struct dim3 {
    unsigned x, y, z;
    constexpr dim3(unsigned a = 1, unsigned b = 1, unsigned c = 1) : x(a), y(b), z(c) {}
};

/* Words that are moved together, whatever they are words of. */
struct [[gnu::may_alias]] alignas(8) uint2 {
    uint32_t x, y;
};
struct [[gnu::may_alias]] alignas(16) uint4 {
    uint32_t x, y, z, w;
};
template <class T> static inline void __stcs(T *p, T v)
{
    *p = v;
}

namespace emu {
typedef std::source_location spot; /* where in a kernel's source */
/* The last parameter of what says where it was called. */
#define EMU_HERE emu::spot at = emu::spot::current()

/* A copy to shared memory that does not wait, of a group. */
struct copy {
    void *to;
    const void *from;
    unsigned group;
};
/* A thread's sums of products of a warpgroup that are not done: `of` has them, and `at`, where they
 * are to lie, is NaN. */
struct sums {
    float *at;
    std::vector<float> of;
    unsigned products;
};
/* What a product of a warpgroup is made of: descriptors, the same in all its threads, or four words
 * of a left operand in registers. */
struct operands {
    const uint32_t *words; /* NULL: it has a descriptor */
    uint64_t left, right;
};
/* Its part of such a product, of a group. `left`: four words of its left operand, if they are in
 * registers, and what they were. */
struct product {
    float *at;
    std::function<void()> read;
    std::function<void(float *)> make;
    bool made;
    unsigned group;
    const uint32_t *left;
    uint32_t was[4];
};
struct thread_state {
    dim3 tid;
    unsigned lane, warp;
    std::vector<copy> copies;      /* on their way */
    unsigned groups;               /* committed so far */
    std::vector<product> products; /* on their way */
    std::vector<sums> sums_of;     /* theirs */
    unsigned product_groups, products_asked;
    bool fenced; /* since it last waited for products, or began */
    unsigned block_syncs, warp_syncs;
};
extern thread_state *self;       /* the thread that runs */
extern dim3 block_at, block_dim; /* blockIdx, blockDim */
extern dim3 grid_dim;
extern unsigned char *dynamic; /* the block's dynamic shared memory */

void launch(const char *name, dim3 grid, dim3 block, size_t shared,
            const std::function<void()> &kernel);
/* Instructions that the 32 lanes of a warp make together: the lanes' are the same, of the same
 * places, in the same order, or the run ends with a message that names two of them. */
void barrier(spot at);                /* __syncthreads */
void warp_barrier(spot at);           /* __syncwarp */
void lockstep(spot at);               /* the same, but nothing that memory is ordered by */
void together(const char *, spot at); /* what is made together, but waits for nobody */
/* Each lane puts `bytes` (at most 64) down and, when all have, sees those of all: lane i's at
 * 64 * i. Valid until the lane's next exchange. */
const unsigned char *exchange(const void *mine, size_t bytes, const char *what, spot at);
typedef float exchanged __attribute__((may_alias)); /* a number among those bytes */

/* cp.async of 16 bytes, commit_group and wait_group: until a thread waits for a group its copies
 * are NaN; copies that nobody waits for end the run with a message. */
void copy_later(void *to, const void *from);
extern const unsigned char zeros[16]; /* to be copied */
void copies_commit();
void copies_wait(unsigned left);
/* wgmma.mma_async, commit_group and wait_group in the same way: a product is made at once or when
 * it is waited for, as is drawn; `read`, which tells what is read of shared memory, is called both
 * times. Until then the n sums at `sums` are NaN; whoever touches them, or a left operand in
 * registers, ends the run with a message. After a wait, as at the beginning, wgmma.fence comes
 * before a product, since registers of it may have been touched; else the run ends, too. */
void products_fence(spot at);
void product_later(float *sums, unsigned n, const operands &of, std::function<void()> read,
                   std::function<void(float *)> make, spot at);
void products_commit(spot at);
void products_wait(unsigned left, spot at);
void aligned16(const void *p); /* or the run ends with a message */

/* What watch.cc is told, where it is there: kernels that are compiled for it tell it the rest. */
struct watcher {
    void (*touch)(const void *p, size_t bytes, bool write);
    void (*product)(const void *p, size_t bytes); /* of a warpgroup reads shared memory */
    void (*visible)();                            /* fence.proxy.async by this thread */
    void (*launch)(size_t shared);                /* begins */
    void (*block)();
};
extern const watcher *watching; /* NULL: nobody */
/* A piece of 16 bytes is read by a product; so its elements need not be watched one by one. */
static inline void read16(const void *p)
{
    if (watching)
        watching->touch(p, 16, false);
}
#ifdef __SANITIZE_THREAD__
#define UNWATCHED __attribute__((no_sanitize("thread")))
#else
#define UNWATCHED
#endif

/* Of what is to be drawn: the next 31 bits. */
uint32_t draw();
/* Device memory can be touched from here on, until it is closed (which is done now and then). */
void open_memory();
void close_memory();
void *device_alloc(size_t bytes); /* NULL when out of memory; zeros, not touched yet */
void device_free(void *p);
void device_copy(void *dst, const void *src, size_t bytes);
void device_fill(void *dst, int value, size_t bytes);
constexpr size_t DEVICE_SPACE = (size_t)4 << 30;
const unsigned char *device_space(); /* NULL before anything was allocated */
} // namespace emu

#define __global__
#define __device__
#define __host__
#define __forceinline__ inline
#define __restrict__ __restrict
#define __launch_bounds__(...)
#define __grid_constant__
/* Blocks run one after the other, so one copy of a block's static shared memory will do. */
#define __shared__ static
#define DYNAMIC_SHARED(name) unsigned char *const name = emu::dynamic
#define threadIdx (emu::self->tid)
#define blockIdx (emu::block_at)
#define blockDim (emu::block_dim)
#define gridDim (emu::grid_dim)
#define START(kernel, grid, block, shared, stream, ...)                                            \
    emu::queue_launch(#kernel, reinterpret_cast<const void *>(kernel), grid, block, shared,        \
                      stream, emu::call_of(kernel, __VA_ARGS__))

namespace emu {
void lead_there(const void *p); /* to the device's memory, or nowhere; else the run ends */
template <class T> static inline void check_argument(const T &a)
{
    if constexpr (std::is_pointer_v<T>)
        lead_there(a);
}
/* The kernel with its arguments as they are now. */
template <class... P, class... A>
static inline std::function<void()> call_of(void (*kernel)(P...), A... a)
{
    (check_argument<P>(a), ...);
    return [kernel, with = std::tuple<P...>(a...)] { std::apply(kernel, with); };
}
} // namespace emu

static inline void __syncthreads(EMU_HERE)
{
    emu::barrier(at);
}
static inline void __syncwarp(EMU_HERE)
{
    emu::warp_barrier(at);
}
template <class T> static inline T __shfl_xor_sync(unsigned, T v, int mask, EMU_HERE)
{
    const unsigned from = (emu::self->lane ^ (unsigned)mask) & 31;
    T got;

    std::memcpy(&got, emu::exchange(&v, sizeof v, "__shfl_xor_sync", at) + 64 * from, sizeof got);
    return got;
}
template <class T> static inline T __shfl_sync(unsigned, T v, int lane, EMU_HERE)
{
    T got;

    std::memcpy(&got, emu::exchange(&v, sizeof v, "__shfl_sync", at) + 64 * (lane & 31),
                sizeof got);
    return got;
}
static inline uint32_t __reduce_max_sync(unsigned, uint32_t v, EMU_HERE)
{
    const unsigned char *all = emu::exchange(&v, sizeof v, "__reduce_max_sync", at);

    for (unsigned i = 0; i < 32; i++) {
        uint32_t other;
        std::memcpy(&other, all + 64 * i, sizeof other);
        v = other > v ? other : v;
    }
    return v;
}
static inline float __saturatef(float x) /* NaN: 0 */
{
    return x > 0.0f ? x < 1.0f ? x : 1.0f : 0.0f;
}
static inline float __fmaf_rn(float a, float b, float c)
{
    return std::fma(a, b, c);
}
static inline uint32_t __umulhi(uint32_t a, uint32_t b)
{
    return (uint32_t)((uint64_t)a * b >> 32);
}

#endif
