/* vec_avx512.c - the inner loops for x86-64 with AVX-512. */
#if defined(__x86_64__)
#define DS_VEC_TABLE ds_vec_avx512
#define DS_VEC_NAME "avx512"
#define MR 12
#define NV 2
#include "vec_body.h"
#else
extern int ds_vec_avx512_absent;
int ds_vec_avx512_absent = 1;
#endif
