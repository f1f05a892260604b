/* half.h - numbers of two bytes, to f32 and from it: bf16 and f16 (IEEE 754 binary16).
 *
 * To f32 is exact. From f32 is to the nearest, ties to even. NaN stays NaN; of f16 it becomes a
 * quiet one. As plain as this they are for one number at a time; kernels have loops of their own,
 * with the same bits. Subnormal numbers must not be switched off (MXCSR's DAZ and FTZ).
 */
#ifndef DS_HALF_H
#define DS_HALF_H

#include <stdint.h>

/* bf16: the upper half of an f32. */
static inline uint16_t ds_bf16_from(float f)
{
    union {
        float f;
        uint32_t u;
    } x = {.f = f};
    if ((x.u & 0x7fffffffu) > 0x7f800000u)
        return (uint16_t)(x.u >> 16 | 0x40);
    return (uint16_t)((x.u + 0x7fffu + (x.u >> 16 & 1)) >> 16);
}
static inline float ds_bf16_to(uint16_t h)
{
    union {
        uint32_t u;
        float f;
    } x = {.u = (uint32_t)h << 16};
    return x.f;
}

/* f16: 10 bits of a fraction and exponents from -14 to 15, subnormal numbers below. What is at
 * least half way to 65536, which it has not, is infinite. */
#define DS_F16_INFINITE 65520.0f
static inline uint16_t ds_f16_from(float f)
{
    union {
        float f;
        uint32_t u;
    } x = {.f = f}, low;
    const uint32_t sign = x.u >> 16 & 0x8000, size = x.u & 0x7fffffff;

    if (size > 0x7f800000)
        return (uint16_t)(sign | 0x7e00 | (size >> 13 & 0x3ff));
    if (size >= 0x477ff000)
        return (uint16_t)(sign | 0x7c00);
    if (size >= 0x38800000) /* 2^-14 */
        return (uint16_t)(sign | (size - 0x38000000 + 0xfff + (size >> 13 & 1)) >> 13);
    low.u = size;
    low.f += 0.5f; /* whose last bit is worth 2^-24, as that of a subnormal one: this rounds */
    return (uint16_t)(sign | (low.u - 0x3f000000));
}
static inline float ds_f16_to(uint16_t h)
{
    union {
        uint32_t u;
        float f;
    } x = {.u = (uint32_t)(h & 0x7fff) << 13};

    if ((h & 0x7c00) == 0x7c00)
        x.u |= 0x7f800000 | (h & 0x3ff ? 0x400000 : 0);
    else
        x.f *= 0x1p112f;
    x.u |= (uint32_t)(h & 0x8000) << 16;
    return x.f;
}

#endif
