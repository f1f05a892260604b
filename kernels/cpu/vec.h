/* vec.h - the inner loops of the CPU backend, one table for each instruction set; cpu.c picks one
 * at run time. All tables give the same bits: lanes are always 16 wide, sums go lane by lane in a
 * fixed tree, and a*b+c is fused only where vec_fma says so.
 *
 * Products of two bf16 operands take subnormal numbers, in and out, as zeros of their sign. That is
 * what AVX512-BF16's vdpbf16ps does, which adds the product of the upper halves of a pair and then
 * that of the lower, each by one fused multiply-add: a pair holds element 2p above and 2p+1 below,
 * and the chain is the ascending one. Where the instruction is missing the same chain is made in
 * f32 with subnormals off. f16 becomes f32 on its way to a tile: the chain is that of f32.
 */
#ifndef DS_VEC_H
#define DS_VEC_H

#include "kernels.h"

/* acc[mr][stride] += a-panel (k x mr) times b-panel (k x nr); one fused multiply-add a term,
 * ascending k. Elements are f32, or pairs of bf16 for tiles of pairs. */
typedef void ds_tile(float *acc, size_t stride, const void *a, const void *b, int64_t k);

/* acc[m][stride] += m <= DS_FEW rows of a times n lines of b, which are `pitch` bytes apart; k
 * terms (pairs, for few_pairs), chains as above. Rows of a are of units as in panels, lda apart; of
 * b they are as they lie in the matrix. acc has room for whole vectors of 16. */
#define DS_FEW 4
typedef void ds_few(float *acc, size_t stride, int m, const void *a, int64_t lda, const void *b,
                    size_t pitch, int64_t n, int64_t k);

typedef struct ds_vec {
    const char *name;
    int mr, nr;                       /* tile of the matrix product: mr rows by nr columns */
    ds_tile *tile, *tile_half;        /* half: the first 16 columns of a panel of 32; NULL: none */
    ds_tile *flush;                   /* f32 with subnormals off */
    ds_tile *pairs, *pairs_half;      /* bf16; NULL: flush does it */
    ds_few *few, *few_bf16, *few_f16; /* f32 rows times lines of f32, of bf16, of f16 */
    ds_few *few_flush;                /* of bf16 with subnormals off */
    ds_few *few_pairs;                /* bf16; NULL: few_flush does it */
    /* Lines [first, first + have) of a matrix into one panel[k][w]; lines from `have` to w are
     * zero. A line is a row of the left operand or a column of the right one; `trans` says that
     * element (line, p) is stored at p * ld + line, else at line * ld + p. pack_pairs makes
     * (k + 1) / 2 pairs a line; `tail` is the partner of a last odd element. */
    void (*pack)(float *dst, const void *src, enum ds_kfmt f, bool trans, int64_t ld, int64_t first,
                 int64_t have, int w, int64_t k);
    void (*pack_pairs)(uint32_t *dst, const uint16_t *src, bool trans, int64_t ld, int64_t first,
                       int64_t have, int w, int64_t k, uint16_t tail);
    /* s = alpha * s + c (c NULL: 0) */
    void (*finish)(float *s, float alpha, const float *c, int64_t n);

    float (*dot)(const float *a, const float *b, int64_t n);
    float (*sum)(const float *a, int64_t n);
    float (*max)(const float *a, int64_t n);
    double (*squares)(const float *x, int64_t n); /* sum of x^2: element i in lane i % 8, in f64 */
    void (*axpy)(float *y, float s, const float *x, int64_t n); /* y = fma(s, x, y) */
    void (*scale)(float *y, float s, int64_t n);
    float (*expsum)(float *y, const float *x, float m,
                    int64_t n); /* y = exp(x - m), returns the sum */
    void (*norm_row)(float *y, const float *x, const float *g, float r,
                     int64_t n); /* y = x * r * g */
    void (*norm_back_row)(float *dx, const float *dy, const float *x, const float *g, float r,
                          float c, int64_t n);
    void (*score_back)(float *ds, const float *p, float d, float s,
                       int64_t n); /* ds = s * (p * (ds - d)) */
    float (*dot3)(const float *a, const float *b, const float *c, int64_t n); /* sum a*b*c */
    void (*swiglu)(float *y, const float *a, const float *b, int64_t n);
    void (*swiglu_back)(float *da, float *db, const float *dy, const float *a, const float *b,
                        int64_t n);
    void (*add_scaled)(float *y, const float *a, const float *b, float s,
                       int64_t n); /* y = fma(s, b, a) */
    void (*mul_add3)(float *y, const float *a, const float *b, float s,
                     int64_t n); /* y = fma(a*s, b, y) */
    void (*scale_by)(float *y, const float *x, const float *g, const float *c,
                     int64_t n); /* y = fma(g, x, c), or g * x (c NULL) */
    void (*dot_by)(float *y, const float *a, const float *b, const float *c,
                   int64_t n); /* y = fma(a/c, b, y) */
    void (*adamw)(float *w, float *m, float *v, const float *g, int64_t n,
                  const float *p); /* p: see adamw.c */
    /* q[i] = the code whose value is nearest to x[i] * inv; edges: the 255 middles between values.
     * y[i] = map[q[i]] * s. */
    void (*code8)(uint8_t *q, const float *x, float inv, const float *edges, int64_t n);
    void (*value8)(float *y, const uint8_t *q, const float *map, float s, int64_t n);
    float (*absmax)(const float *x, int64_t n);
    /* Pairs (a[i], b[i]) turned by angles whose cosines and sines are c[i], s[i]. */
    void (*rotate)(float *a, float *b, const float *c, const float *s, int64_t n);
    /* f: bf16 or f16. */
    void (*to_f32)(float *y, const uint16_t *x, enum ds_kfmt f, int64_t n);
    void (*to_half)(uint16_t *y, enum ds_kfmt f, const float *x, int64_t n);
} ds_vec;

extern const ds_vec ds_vec_base;
#if defined(__x86_64__)
extern const ds_vec ds_vec_avx2, ds_vec_avx512, ds_vec_avx512bf16;
#endif
/* The fastest that this processor has, or the one named; NULL when the name is unknown or the
 * processor lacks it. */
const ds_vec *ds_vec_pick(const char *name);

#endif
