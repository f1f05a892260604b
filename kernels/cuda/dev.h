/* dev.h - the dialect that the kernels are written in: CUDA's under nvcc, emu.h's on the host
 * (DS_EMU), and what all kernels share: numbers, loads of 16 bytes, reductions in fixed order.
 */
#ifndef DS_DEV_H
#define DS_DEV_H

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <cuda_runtime.h>
typedef cudaStream_t dev_stream;

extern "C" {
#include "kernels.h"
}

#ifndef DS_EMU
#define DYNAMIC_SHARED(name) extern __shared__ __align__(1024) unsigned char name[]
#define START(kernel, grid, block, shared, stream, ...)                                            \
    kernel<<<(grid), (block), (shared), (stream)>>>(__VA_ARGS__)
#endif

/* More than 48 KiB of shared memory, a block's arrays of fixed size among them, has to be asked
 * for; those take up to DEV_FIXED_SHARED. It is a multiple of 16 bytes: what lies aligned may be
 * read so many at a time, whatever is looked at. What goes wrong surfaces in rt_launched. */
#define DEV_FIXED_SHARED 1024u
#define LAUNCH(kernel, grid, block, shared, stream, ...)                                           \
    do {                                                                                           \
        const size_t whole_ = ((shared) + 15) / 16 * 16;                                           \
        if (whole_ > (48u << 10) - DEV_FIXED_SHARED)                                               \
            cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize,              \
                                 (int)whole_);                                                     \
        START(kernel, grid, block, whole_, stream, __VA_ARGS__);                                   \
    } while (0)

#define WARP 32u
#define ALL_LANES 0xffffffffu

/* As ds_bf16_from and ds_f16_from, but for the bits of a NaN. */
struct bf16 {
    uint16_t u;
};
struct f16 {
    uint16_t u;
};

__device__ __forceinline__ float bits_f32(uint32_t u)
{
    float f;
    memcpy(&f, &u, sizeof f);
    return f;
}
__device__ __forceinline__ uint32_t f32_bits(float f)
{
    uint32_t u;
    memcpy(&u, &f, sizeof u);
    return u;
}

__device__ __forceinline__ float to_f32(float x)
{
    return x;
}
__device__ __forceinline__ float to_f32(bf16 x)
{
    return bits_f32((uint32_t)x.u << 16);
}
__device__ __forceinline__ float to_f32(f16 x)
{
#ifdef DS_EMU
    return ds_f16_to(x.u);
#else
    float f;
    asm("cvt.f32.f16 %0, %1;" : "=f"(f) : "h"(x.u));
    return f;
#endif
}
template <class E> __device__ __forceinline__ E from_f32(float x);
template <> __device__ __forceinline__ float from_f32<float>(float x)
{
    return x;
}
template <> __device__ __forceinline__ bf16 from_f32<bf16>(float x)
{
    bf16 h;

#ifdef DS_EMU
    h.u = ds_bf16_from(x);
#else
    asm("cvt.rn.bf16.f32 %0, %1;" : "=h"(h.u) : "f"(x));
#endif
    return h;
}
template <> __device__ __forceinline__ f16 from_f32<f16>(float x)
{
    f16 h;

#ifdef DS_EMU
    h.u = ds_f16_from(x);
#else
    asm("cvt.rn.f16.f32 %0, %1;" : "=h"(h.u) : "f"(x));
#endif
    return h;
}

/* Two numbers as E, the first one in the low half. */
template <class E> __device__ __forceinline__ uint32_t pack2(float lo, float hi)
{
    return (uint32_t)from_f32<E>(lo).u | (uint32_t)from_f32<E>(hi).u << 16;
}
#ifndef DS_EMU
template <> __device__ __forceinline__ uint32_t pack2<f16>(float lo, float hi)
{
    uint32_t two;
    asm("cvt.rn.f16x2.f32 %0, %1, %2;" : "=r"(two) : "f"(hi), "f"(lo));
    return two;
}
template <> __device__ __forceinline__ uint32_t pack2<bf16>(float lo, float hi)
{
    uint32_t two;
    asm("cvt.rn.bf16x2.f32 %0, %1, %2;" : "=r"(two) : "f"(hi), "f"(lo));
    return two;
}
#endif

/* Back: a word's two numbers. */
template <class E> __device__ __forceinline__ void unpack2(float *x, uint32_t two)
{
    x[0] = to_f32(E{(uint16_t)two});
    x[1] = to_f32(E{(uint16_t)(two >> 16)});
}
template <> __device__ __forceinline__ void unpack2<bf16>(float *x, uint32_t two)
{
    x[0] = bits_f32(two << 16);
    x[1] = bits_f32(two & 0xffff0000u);
}

/* 2^x, of what is too small for a normal number 0. */
__device__ __forceinline__ float power_of_2(float x)
{
#ifdef DS_EMU
    return exp2f(x);
#else
    float y;
    asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(y) : "f"(x));
    return y;
#endif
}

/* N elements that are moved together, 16 bytes at a time at most. */
template <class E, int N> struct alignas(N * sizeof(E) < 16 ? N * sizeof(E) : 16) together {
    E at[N];
};

/* Their bytes as words, so that one instruction moves 16 of them. Where a struct is copied, the
 * compiler may as well move its members or, where a reference leads to it, its bytes. */
template <size_t BYTES> struct word;
template <> struct word<1> {
    using type = uint8_t;
};
template <> struct word<2> {
    using type = uint16_t;
};
template <> struct word<4> {
    using type = uint32_t;
};
template <> struct word<8> {
    using type = uint2;
};
template <> struct word<16> {
    using type = uint4;
};
template <class E, int N> struct words {
    using type = typename word<alignof(together<E, N>)>::type;
    static constexpr size_t MANY = sizeof(together<E, N>) / sizeof(type);
    type at[MANY];
};

template <class E, int N> __device__ __forceinline__ together<E, N> load_together(const E *p)
{
    words<E, N> w;
    together<E, N> v;

    for (size_t i = 0; i < w.MANY; i++)
        w.at[i] = reinterpret_cast<const typename words<E, N>::type *>(p)[i];
    memcpy(&v, &w, sizeof v);
    return v;
}
template <class T> __device__ __forceinline__ void store_word(T *p, T x)
{
    *p = x;
}
#ifndef DS_EMU
template <> __device__ __forceinline__ void store_word(uint2 *p, uint2 x)
{
    asm volatile("st.global.v2.u32 [%0], {%1, %2};" ::"l"(__cvta_generic_to_global(p)), "r"(x.x),
                 "r"(x.y)
                 : "memory");
}
template <> __device__ __forceinline__ void store_word(uint4 *p, uint4 x)
{
    asm volatile("st.global.v4.u32 [%0], {%1, %2, %3, %4};" ::"l"(__cvta_generic_to_global(p)),
                 "r"(x.x), "r"(x.y), "r"(x.z), "r"(x.w)
                 : "memory");
}
#endif

/* To global memory. ONCE: nobody reads them soon, so they are the first to go when the cache is
 * full. */
template <bool ONCE = false, class E, int N>
__device__ __forceinline__ void store_together(E *p, const together<E, N> &v)
{
    words<E, N> w;

    memcpy(&w, &v, sizeof v);
    for (size_t i = 0; i < w.MANY; i++)
        if (ONCE)
            __stcs(reinterpret_cast<typename words<E, N>::type *>(p) + i, w.at[i]);
        else
            store_word(reinterpret_cast<typename words<E, N>::type *>(p) + i, w.at[i]);
}
/* To shared memory. */
template <class E, int N>
__device__ __forceinline__ void store_shared(E *p, const together<E, N> &v)
{
    *reinterpret_cast<together<E, N> *>(p) = v;
}

/* They as f32, and back; two of two bytes at once. */
template <class E, int N> __device__ __forceinline__ void apart(float *x, const together<E, N> &v)
{
    if constexpr (sizeof(E) == 2 && N % 2 == 0) {
        together<uint32_t, N / 2> w;
        memcpy(&w, &v, sizeof w);
        for (int i = 0; i < N; i += 2)
            unpack2<E>(x + i, w.at[i / 2]);
    } else {
        for (int i = 0; i < N; i++)
            x[i] = to_f32(v.at[i]);
    }
}
template <class E, int N> __device__ __forceinline__ together<E, N> as_one(const float *x)
{
    together<E, N> v;

    if constexpr (sizeof(E) == 2 && N % 2 == 0) {
        together<uint32_t, N / 2> w;
        for (int i = 0; i < N; i += 2)
            w.at[i / 2] = pack2<E>(x[i], x[i + 1]);
        memcpy(&v, &w, sizeof v);
    } else {
        for (int i = 0; i < N; i++)
            v.at[i] = from_f32<E>(x[i]);
    }
    return v;
}

/* ---- reductions: the same order for the same shape ---- */

__device__ __forceinline__ float warp_sum(float x)
{
    for (int m = 16; m > 0; m >>= 1)
        x += __shfl_xor_sync(ALL_LANES, x, m);
    return x;
}
__device__ __forceinline__ float warp_max(float x)
{
    for (int m = 16; m > 0; m >>= 1) {
        const float y = __shfl_xor_sync(ALL_LANES, x, m);
        x = y > x ? y : x;
    }
    return x;
}

/* Of a block of up to 1024 threads; every thread gets the result. `room` is 32 floats of shared
 * memory, which may be used again at once. */
__device__ __forceinline__ float block_sum(float x, float *room)
{
    const unsigned lane = threadIdx.x % WARP, warp = threadIdx.x / WARP;

    x = warp_sum(x);
    if (lane == 0)
        room[warp] = x;
    __syncthreads();
    x = warp_sum(lane < blockDim.x / WARP ? room[lane] : 0.0f);
    __syncthreads();
    return x;
}
__device__ __forceinline__ float block_max(float x, float *room)
{
    const unsigned lane = threadIdx.x % WARP, warp = threadIdx.x / WARP;

    x = warp_max(x);
    if (lane == 0)
        room[warp] = x;
    __syncthreads();
    x = warp_max(lane < blockDim.x / WARP ? room[lane] : room[0]);
    __syncthreads();
    return x;
}

#endif
