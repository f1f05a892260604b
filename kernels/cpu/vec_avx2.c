/* vec_avx2.c - the inner loops for x86-64 with AVX2, FMA and F16C. */
#if defined(__x86_64__)
#define DS_VEC_TABLE ds_vec_avx2
#define DS_VEC_NAME "avx2"
#define MR 6
#define NV 1
#include "vec_body.h"
#else
extern int ds_vec_avx2_absent;
int ds_vec_avx2_absent = 1;
#endif
