/* cpu.h - what the files of the CPU backend share. Each file defines functions of the table in
 * kernels.h. */
#ifndef DS_CPU_H
#define DS_CPU_H

#include "held.h"
#include "kernels.h"
#include "scratch.h"
#include "vec.h"
#include "workers.h"

typedef struct ds_cpu {
    const ds_vec *vec;
    ds_workers *workers;
    char detail[64];
    float *pack_a; /* panels of a product's left operand, grown as needed */
    size_t pack_a_len;
    ds_held held;
    ds_scratch scratch; /* of jobs */
} ds_cpu;

static inline ds_cpu *ds_cpu_of(ds_kernels *k)
{
    return k->ctx;
}

/* Rows are handed to workers in blocks of this many. */
#define DS_ROW_BLOCK 16

/* A row as f32: itself, or converted into tmp. */
static inline const float *ds_row_get(const ds_vec *v, const void *base, enum ds_kfmt f, int64_t at,
                                      int64_t n, float *tmp)
{
    if (f == DS_KF32)
        return (const float *)base + at;
    v->to_f32(tmp, (const uint16_t *)base + at, f, n);
    return tmp;
}

/* Where a row is to be computed: in place, or in tmp; put writes it back. */
static inline float *ds_row_out(void *base, enum ds_kfmt f, int64_t at, float *tmp)
{
    return f == DS_KF32 ? (float *)base + at : tmp;
}
static inline void ds_row_put(const ds_vec *v, void *base, enum ds_kfmt f, int64_t at, int64_t n,
                              const float *tmp)
{
    if (f != DS_KF32)
        v->to_half((uint16_t *)base + at, f, tmp, n);
}

/* Aligned memory that free() takes, for small things and those that stay; NULL when out of memory.
 */
float *ds_cpu_scratch(size_t floats);

/* Natural logarithm of a positive finite x, rounded once from double: the same bits with any C
 * library. x = m * 2^e with m near 1; ln m = 2 atanh((m-1)/(m+1)), whose series is cut off below
 * 1e-15. */
float ds_logf_exact(float x);

int ds_cpu_matmul(ds_kernels *k, void *c, enum ds_kfmt fc, const void *a, enum ds_kfmt fa, bool ta,
                  const void *b, enum ds_kfmt fb, bool tb, int64_t m, int64_t n, int64_t kk,
                  float alpha, bool accumulate, ds_err *err);
int ds_cpu_matmul2(ds_kernels *k, void *c, enum ds_kfmt fc, enum ds_kfmt f, bool tb,
                   const ds_kterm term[2], int64_t m, int64_t n, bool accumulate, ds_err *err);
int ds_cpu_matmul_groups(ds_kernels *k, const ds_kgroups *p, ds_err *err);
int ds_cpu_linear(ds_kernels *k, void *y, enum ds_kfmt f, const ds_kterm term[2], const void *bias,
                  int64_t t, int64_t n, ds_err *err);
int ds_cpu_linear_back(ds_kernels *k, float *dw, float *db, const void *dy, const void *x,
                       enum ds_kfmt f, int64_t t, int64_t n, int64_t kk, ds_err *err);
void ds_cpu_rows(ds_kernels *k);      /* rows.c: embed, norm, bias, rope, columns */
void ds_cpu_elements(ds_kernels *k);  /* elements.c */
void ds_cpu_attention(ds_kernels *k); /* attention.c */
void ds_cpu_loss(ds_kernels *k);      /* loss.c: cross entropy */
void ds_cpu_choices(ds_kernels *k);   /* choices.c: experts */
void ds_cpu_factors(ds_kernels *k);   /* factors.c */
void ds_cpu_optim(ds_kernels *k);     /* adamw.c */
void ds_cpu_image(ds_kernels *k);     /* image.c */

#endif
