/* adam.h - AdamW's step (Loshchilov & Hutter 2019) of a weight, with the CPU's bits, and where
 * weights lie: what the forms of its state share (adamw.cu, adamw8.cu). */
#ifndef DS_ADAM_H
#define DS_ADAM_H

#include "cudak.h"

struct adam {
    float keep, b1, b2, c1, c2, eps, lr, i1, i2, gs;
};

/* Of numbers that lie on the device, so that captured work finds other ones there every time. */
__device__ __forceinline__ adam adam_of(const ds_kadamw *p)
{
    return adam{1.0f - p->lr * p->decay, p->beta1, p->beta2, 1.0f - p->beta1,
                1.0f - p->beta2,         p->eps,   -p->lr,   1.0f / p->corr1,
                1.0f / p->corr2,         p->gscale};
}

static inline int stage_numbers(ds_kernels *k, const ds_kadamw **dev, const ds_kadamw *p,
                                ds_err *err)
{
    void *at;

    TRY(rt_stage(rt_of(k), &at, p, sizeof *p, err));
    *dev = static_cast<const ds_kadamw *>(at);
    return 0;
}

__device__ __forceinline__ float adam_step(float w, float *m, float *v, float g, const adam &a)
{
    g *= a.gs;
    *m = fmaf(a.b1, *m, a.c1 * g);
    *v = fmaf(a.b2, *v, a.c2 * (g * g));
    const float step = (*m * a.i1) / (sqrtf(*v * a.i2) + a.eps);
    return fmaf(a.lr, step, w * a.keep);
}

template <class H> __device__ __forceinline__ H stochastic(float x, uint32_t word);
/* As ds_bf16_stochastic. */
template <> __device__ __forceinline__ bf16 stochastic<bf16>(float x, uint32_t word)
{
    const uint32_t u = f32_bits(x);

    return (u & 0x7f800000u) == 0x7f800000u ? from_f32<bf16>(x)
                                            : bf16{(uint16_t)((u + (word >> 16)) >> 16)};
}

/* f16 weights have a master, so this is never done. */
template <> __device__ __forceinline__ f16 stochastic<f16>(float x, uint32_t)
{
    return from_f32<f16>(x);
}

/* Word i of a stream, of the four that it is among. */
__device__ __forceinline__ uint32_t word_of(const uint32_t r[4], int64_t i)
{
    const uint32_t low = i & 1 ? r[1] : r[0], high = i & 1 ? r[3] : r[2];

    return i & 2 ? high : low;
}

/* N weights from number i on: w's, of which half has the rounded ones where it is not NULL; or
 * those of half alone, which are rounded by chance. */
template <class H, int N>
__device__ __forceinline__ void weights_get(float *x, const float *w, const H *half, int64_t i)
{
    if (w)
        get<float, N>(x, w + i);
    else
        get<H, N>(x, half + i);
}
template <class H, int N>
__device__ __forceinline__ void weights_put(float *w, H *half, int64_t i, const float *x,
                                            const ds_kadamw *p)
{
    uint32_t r[4];
    together<H, N> to;

    if (w) {
        put<float, N>(w + i, x);
        if (half)
            put<H, N>(half + i, x);
        return;
    }
    philox(r, p->seed, p->stream, (uint64_t)i >> 2);
    for (int j = 0; j < N; j++)
        to.at[j] = stochastic<H>(x[j], N == 4 ? r[j] : word_of(r, i));
    store_together(half + i, to);
}

/* Weights of two bytes without a master that are to be rounded as they come would stand still. */
static inline int check(enum ds_kfmt f, const float *master, const ds_kadamw *p, ds_err *err)
{
    if (f == DS_KF32 || master || (f == DS_KBF16 && p->stochastic))
        return 0;
    return ds_fail(err, DS_FAIL, "%s weights are trained through f32 master weights%s",
                   f == DS_KBF16 ? "bf16" : "f16",
                   f == DS_KBF16 ? ", or rounded by chance" : ", and not rounded by chance");
}

/* Weights as kernels take them: whole ones, and those of two bytes that go with them. */
static inline float *whole(void *w, enum ds_kfmt f, float *master)
{
    return f == DS_KF32 ? static_cast<float *>(w) : master;
}
template <class H> static inline H *halves(void *w, enum ds_kfmt f)
{
    return f == DS_KF32 ? NULL : static_cast<H *>(w);
}

#endif
