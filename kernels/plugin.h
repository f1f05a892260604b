/* plugin.h - backends by name, and those that are loaded when they are asked for.
 *
 * The CUDA backend is a shared object, so that everything builds and runs without CUDA. It is
 * looked for in $DS_CUDA_PLUGIN, or as ../lib/libds-cuda.so from the folder of the running program.
 */
#ifndef DS_PLUGIN_H
#define DS_PLUGIN_H

#ifdef __cplusplus
extern "C" {
#endif
#include "kernels.h"

/* Counts changes of struct ds_kernels: program and plugin must agree. */
#define DS_KERNELS_ABI 12

/* What a plugin gives under the name ds_cuda_open. */
typedef int ds_kernels_opener(ds_kernels **k, int abi, int device, ds_err *err);

/* Which device "cpu", "cuda" or "cuda:N" is: -1 the CPU, else the number of the other. */
int ds_device_parse(int *n, const char *device, ds_err *err);
/* `device`: "cpu", or "cuda" or "cuda:N". `threads` is for the CPU (0: as many as processors). */
int ds_kernels_open(ds_kernels **k, const char *device, int threads, ds_err *err);

#ifdef __cplusplus
}
#endif
#endif
