/* cudak.h - what the files of the CUDA backend share. Each file defines functions of the table in
 * kernels.h, whose contract holds here too: the same bits for the same shapes on the same device.
 * Sums over rows are made in chunks whose length is a function of the shape, and their results are
 * added in an order that is one too; nothing is added by atomics.
 */
#ifndef DS_CUDAK_H
#define DS_CUDAK_H

#include "rt.h"

static inline dev_rt *rt_of(ds_kernels *k)
{
    return static_cast<dev_rt *>(k->ctx);
}

static inline unsigned blocks_of(int64_t n, int64_t size)
{
    return (unsigned)((n + size - 1) / size);
}
static inline bool fits16(const void *p)
{
    return (uintptr_t)p % 16 == 0;
}

/* Rows of n elements are whole pieces of 16 bytes. */
static inline bool wide_rows(enum ds_kfmt f, int64_t n)
{
    return n % (16 / (int64_t)ds_kfmt_size(f)) == 0;
}

/* Runs the statement with E the type of elements of format f. */
#define BY_FORMAT(f, E, ...)                                                                       \
    do {                                                                                           \
        if ((f) == DS_KF32) {                                                                      \
            using E = float;                                                                       \
            __VA_ARGS__;                                                                           \
        } else if ((f) == DS_KBF16) {                                                              \
            using E = bf16;                                                                        \
            __VA_ARGS__;                                                                           \
        } else {                                                                                   \
            using E = f16;                                                                         \
            __VA_ARGS__;                                                                           \
        }                                                                                          \
    } while (0)

/* The same with N, how many are loaded at a time: 16 bytes when `wide`, else one. */
#define BY_WIDTH(f, wide, ...)                                                                     \
    BY_FORMAT(                                                                                     \
        f, E,                                                                                      \
        if (wide) {                                                                                \
            [[maybe_unused]] constexpr int N = 16 / sizeof(E);                                     \
            __VA_ARGS__;                                                                           \
        } else {                                                                                   \
            [[maybe_unused]] constexpr int N = 1;                                                  \
            __VA_ARGS__;                                                                           \
        })

/* N elements at p as f32, and back; they are moved together. */
template <class E, int N> __device__ __forceinline__ void get(float *x, const E *p)
{
    apart(x, load_together<E, N>(p));
}
template <class E, int N> __device__ __forceinline__ void put(E *p, const float *x)
{
    store_together(p, as_one<E, N>(x));
}
template <class E, int N> __device__ __forceinline__ void put_once(E *p, const float *x)
{
    store_together<true>(p, as_one<E, N>(x));
}

/* exp(x) for x <= 88 by the steps of the CPU's vec_exp, so with its bits. */
__device__ __forceinline__ float exp_exact(float x)
{
    const bool under = x < -87.0f;

    x = under ? -87.0f : x > 88.0f ? 88.0f : x;
    const float t = fmaf(x, 1.44269504088896341f, 12582912.0f);
    const float n = t - 12582912.0f;
    float r = fmaf(n, -0.693359375f, x);
    r = fmaf(n, 2.12194440e-4f, r);
    float p = 1.9875691500e-4f;
    p = fmaf(p, r, 1.3981999507e-3f);
    p = fmaf(p, r, 8.3334519073e-3f);
    p = fmaf(p, r, 4.1665795894e-2f);
    p = fmaf(p, r, 1.6666665459e-1f);
    p = fmaf(p, r, 5.0000001201e-1f);
    p = fmaf(p, r * r, r) + 1.0f;
    const uint32_t e = (f32_bits(t) - f32_bits(12582912.0f) + 127u) << 23;
    return under ? 0.0f : p * bits_f32(e);
}
__device__ __forceinline__ float sigmoid_exact(float x)
{
    return 1.0f / (1.0f + exp_exact(-x));
}

/* One instruction, which the compiler does not always find. */
__device__ __forceinline__ uint64_t product64(uint32_t a, uint32_t b)
{
#ifdef DS_EMU
    return (uint64_t)a * b;
#else
    uint64_t p;
    asm("mul.wide.u32 %0, %1, %2;" : "=l"(p) : "r"(a), "r"(b));
    return p;
#endif
}

/* Philox 4x32-10 (Salmon et al. 2011): four words of a stream. */
__device__ __forceinline__ void philox(uint32_t out[4], uint64_t seed, uint64_t stream,
                                       uint64_t block)
{
    uint32_t k0 = (uint32_t)seed, k1 = (uint32_t)(seed >> 32);
    uint32_t c0 = (uint32_t)block, c1 = (uint32_t)(block >> 32), c2 = (uint32_t)stream,
             c3 = (uint32_t)(stream >> 32);

    for (int i = 0; i < 10; i++) {
        const uint64_t p0 = product64(0xD2511F53u, c0), p1 = product64(0xCD9E8D57u, c2);
        c0 = (uint32_t)(p1 >> 32) ^ c1 ^ k0;
        c1 = (uint32_t)p1;
        c2 = (uint32_t)(p0 >> 32) ^ c3 ^ k1;
        c3 = (uint32_t)p0;
        k0 += 0x9E3779B9u;
        k1 += 0xBB67AE85u;
    }
    out[0] = c0;
    out[1] = c1;
    out[2] = c2;
    out[3] = c3;
}

/* What is dropped, and by how much the rest grows. */
struct drop {
    uint32_t below;
    float up;
    const ds_kstep *at;
    uint32_t module;
    int64_t d;
};

int ds_cuda_drop_of(dev_rt *rt, drop *to, float p, const ds_kstep *at, uint32_t module, int64_t d,
                    ds_err *err);

/* What the host has a pointer to for each expert, so many at once, as an argument of a launch:
 * captured work keeps it. */
#define DS_EXPERTS_AT_ONCE 128
template <class T> struct by_expert {
    int32_t from, n;
    T *at[DS_EXPERTS_AT_ONCE];
};
template <class T>
static inline by_expert<T> experts_from(T *const *all, int32_t from, int32_t experts)
{
    by_expert<T> some = {};

    some.from = from;
    some.n = experts - from < DS_EXPERTS_AT_ONCE ? experts - from : DS_EXPERTS_AT_ONCE;
    for (int32_t i = 0; i < some.n; i++)
        some.at[i] = all[from + i];
    return some;
}

/* A product that cuBLASLt has nothing for; operands have one format. */
int ds_cuda_product(dev_rt *rt, const rt_product *p, ds_err *err);

/* A product as ds_thin_product (devroom.h) has it, operands at multiples of 16: `room` bytes of
 * scratch. */
int ds_cuda_thin(dev_rt *rt, const rt_product *p, size_t room, ds_err *err);

/* out[i] (+)= the sum of part[c][i] over c: the second half of a sum over rows. Up to eight runs of
 * parts are added ascending, then their sums. */
int ds_cuda_add_parts(dev_rt *rt, float *out, const float *part, int64_t parts, int64_t n,
                      bool accumulate, ds_err *err);

void ds_cuda_embed(ds_kernels *k);     /* embed.cu */
void ds_cuda_rows(ds_kernels *k);      /* rows.cu: bias, rope, columns */
void ds_cuda_norm(ds_kernels *k);      /* norm.cu: RMSNorm */
void ds_cuda_sums(ds_kernels *k);      /* sums.cu: sums over rows */
void ds_cuda_factors(ds_kernels *k);   /* factors.cu: of columns; lengths of rows */
void ds_cuda_groups(ds_kernels *k);    /* groups.cu: products of all experts at once */
void ds_cuda_elements(ds_kernels *k);  /* elements.cu: what works element by element */
void ds_cuda_dropdown(ds_kernels *k);  /* dropdown.cu: dropout and a product at once */
void ds_cuda_attention(ds_kernels *k); /* attn.cu */
void ds_cuda_loss(ds_kernels *k);      /* loss.cu: cross entropy */
void ds_cuda_choices(ds_kernels *k);   /* choices.cu: experts */
void ds_cuda_norm2(ds_kernels *k);     /* norm2.cu: of all gradients */
void ds_cuda_adamw(ds_kernels *k);     /* adamw.cu */
void ds_cuda_adamw8(ds_kernels *k);    /* adamw8.cu: moments of 8 bits */
void ds_cuda_image(ds_kernels *k);     /* image.cu */

#endif
