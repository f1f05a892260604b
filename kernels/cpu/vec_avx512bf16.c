/* vec_avx512bf16.c - the inner loops for x86-64 with AVX-512 and its dot products of bf16 pairs. */
#if defined(__x86_64__)
#define DS_VEC_TABLE ds_vec_avx512bf16
#define DS_VEC_NAME "avx512bf16"
#define MR 12
#define NV 2
#include "vec_body.h"
#else
extern int ds_vec_avx512bf16_absent;
int ds_vec_avx512bf16_absent = 1;
#endif
