/* plugin.c - the CPU backend, or a plugin's. A plugin stays loaded: the CUDA run time does not like
 * to go. */
#include "plugin.h"

#include <dlfcn.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* ../lib/libds-cuda.so beside the program, unless the environment names another. */
static int plugin_path(char path[PATH_MAX], ds_err *err)
{
    const char *given = getenv("DS_CUDA_PLUGIN");

    if (given && *given) {
        if (snprintf(path, PATH_MAX, "%s", given) >= PATH_MAX)
            return ds_fail(err, DS_FAIL, "DS_CUDA_PLUGIN: the path is too long");
        return 0;
    }
    const ssize_t n = readlink("/proc/self/exe", path, PATH_MAX - 1);
    if (n < 0)
        return ds_fail(err, DS_FAIL,
                       "/proc/self/exe cannot be read: DS_CUDA_PLUGIN can name the "
                       "plugin");
    path[n] = '\0';
    char *slash = strrchr(path, '/');
    const size_t room = slash ? PATH_MAX - (size_t)(slash - path) : 0;
    if (!slash || snprintf(slash, room, "/../lib/libds-cuda.so") >= (int)room)
        return ds_fail(err, DS_FAIL, "%s: no place for a plugin beside it", path);
    return 0;
}

static int open_cuda(ds_kernels **k, int device, ds_err *err)
{
    char path[PATH_MAX];
    ds_kernels_opener *opener;
    int rc = plugin_path(path, err);

    if (rc)
        return rc;
    void *lib = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    if (!lib)
        return ds_fail(err, DS_FAIL,
                       "no CUDA here: %s (`make` builds the plugin where nvcc is found; "
                       "--device cpu needs none)",
                       dlerror());
    void *symbol = dlsym(lib, "ds_cuda_open");
    if (!symbol)
        return ds_fail(err, DS_FAIL, "%s: not a plugin of this program", path);
    memcpy(&opener, &symbol, sizeof opener);
    return opener(k, DS_KERNELS_ABI, device, err);
}

int ds_kernels_open(ds_kernels **k, const char *device, int threads, ds_err *err)
{
    char *end = NULL;

    if (strcmp(device, "cpu") == 0)
        return ds_kernels_cpu(k, threads, NULL, err);
    if (strcmp(device, "cuda") == 0)
        return open_cuda(k, 0, err);
    if (strncmp(device, "cuda:", 5) == 0 && device[5] >= '0' && device[5] <= '9') {
        const long n = strtol(device + 5, &end, 10);
        if (*end == '\0' && n <= 1023)
            return open_cuda(k, (int)n, err);
    }
    return ds_fail(err, DS_USAGE, "device '%s': it is cpu, cuda or cuda:N", device);
}
