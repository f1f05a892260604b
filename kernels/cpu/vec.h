/* vec.h - the inner loops of the CPU backend, one table for each instruction set; cpu.c picks one
 * at run time. All tables give the same bits: lanes are always 16 wide, sums go lane by lane in a
 * fixed tree, and a*b+c is fused only where vec_fma says so.
 */
#ifndef DS_VEC_H
#define DS_VEC_H

#include <stddef.h>
#include <stdint.h>

typedef struct ds_vec {
    const char *name;
    int mr, nr; /* tile of the matrix product: mr rows by nr columns */
    /* acc[mr][stride] += a-panel (k x mr) times b-panel (k x nr); one fused multiply-add a term,
     * ascending k */
    void (*tile)(float *acc, size_t stride, const float *a, const float *b, int64_t k);

    float (*dot)(const float *a, const float *b, int64_t n);
    float (*sum)(const float *a, int64_t n);
    float (*max)(const float *a, int64_t n);
    void (*axpy)(float *y, float s, const float *x, int64_t n); /* y = fma(s, x, y) */
    void (*scale)(float *y, float s, int64_t n);
    float (*expsum)(float *y, const float *x, float m,
                    int64_t n); /* y = exp(x - m), returns the sum */
    void (*norm_row)(float *y, const float *x, const float *g, float r,
                     int64_t n); /* y = x * r * g */
    void (*norm_back_row)(float *dx, const float *dy, const float *x, const float *g, float r,
                          float c, int64_t n);
    float (*dot3)(const float *a, const float *b, const float *c, int64_t n); /* sum a*b*c */
    void (*swiglu)(float *y, const float *a, const float *b, int64_t n);
    void (*swiglu_back)(float *da, float *db, const float *dy, const float *a, const float *b,
                        int64_t n);
    void (*add_scaled)(float *y, const float *a, const float *b, float s,
                       int64_t n); /* y = fma(s, b, a) */
    void (*mul_add3)(float *y, const float *a, const float *b, float s,
                     int64_t n); /* y = fma(a*s, b, y) */
    void (*adamw)(float *w, float *m, float *v, const float *g, int64_t n,
                  const float *p); /* p: see adamw.c */
    void (*to_f32)(float *y, const uint16_t *x, int64_t n);
    void (*to_bf16)(uint16_t *y, const float *x, int64_t n);
} ds_vec;

extern const ds_vec ds_vec_base;
#if defined(__x86_64__)
extern const ds_vec ds_vec_avx2, ds_vec_avx512;
#endif
/* The fastest that this processor has, or the one named; NULL when the name is unknown or the
 * processor lacks it. */
const ds_vec *ds_vec_pick(const char *name);

#endif
