/* backend.h - the one function of the CUDA backend, found in the plugin by its name. */
#ifndef DS_CUDA_BACKEND_H
#define DS_CUDA_BACKEND_H

#include "plugin.h"

#ifdef __cplusplus
extern "C"
#endif
    __attribute__((visibility("default"))) int
    ds_cuda_open(ds_kernels **k, int abi, int device, ds_err *err);

#endif
