/* vec_base.c - the inner loops for any processor: fused multiply-adds come from the C library,
 * exact and slow. */
#define DS_VEC_TABLE ds_vec_base
#define DS_VEC_NAME "base"
#define MR 4
#define NV 1
#include "vec_body.h"
