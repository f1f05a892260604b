/* plugin.c - the CPU backend, or a plugin's. */
#include "plugin.h"

#include <stdlib.h>
#include <string.h>

#include "sharedobj.h"

static int open_cuda(ds_kernels **k, int device, ds_err *err)
{
    static const ds_so_part part = {
        .file = "libds-cuda.so",
        .env = "DS_CUDA_PLUGIN",
        .symbol = "ds_cuda_open",
        .missing = "no CUDA here",
        .instead = "`make` builds the plugin where nvcc is found; --device cpu needs none"};
    ds_so_fn *fn;
    const int rc = ds_so_find(&fn, &part, err);

    return rc ? rc : ((ds_kernels_opener *)fn)(k, DS_KERNELS_ABI, device, err);
}

int ds_device_parse(int *n, const char *device, ds_err *err)
{
    char *end = NULL;
    long v = 0;

    *n = -1;
    if (strcmp(device, "cpu") == 0)
        return 0;
    if (strncmp(device, "cuda:", 5) == 0 && device[5] >= '0' && device[5] <= '9')
        v = strtol(device + 5, &end, 10);
    if ((end ? *end != '\0' : strcmp(device, "cuda") != 0) || v > 1023)
        return ds_fail(err, DS_USAGE, "device '%s': it is cpu, cuda or cuda:N", device);
    *n = (int)v;
    return 0;
}

int ds_kernels_open(ds_kernels **k, const char *device, int threads, ds_err *err)
{
    int n;

    if (ds_device_parse(&n, device, err))
        return DS_USAGE;
    return n < 0 ? ds_kernels_cpu(k, threads, NULL, err) : open_cuda(k, n, err);
}
