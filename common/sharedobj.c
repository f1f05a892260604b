/* sharedobj.c - see sharedobj.h. */
#include "sharedobj.h"

#include <dlfcn.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static int path_of(char path[PATH_MAX], const ds_so_part *part, ds_err *err)
{
    const char *given = getenv(part->env);

    if (given && *given) {
        if (snprintf(path, PATH_MAX, "%s", given) >= PATH_MAX)
            return ds_fail(err, DS_FAIL, "%s: the path is too long", part->env);
        return 0;
    }
    const ssize_t n = readlink("/proc/self/exe", path, PATH_MAX - 1);
    if (n < 0)
        return ds_fail(err, DS_FAIL, "/proc/self/exe cannot be read: %s can name %s", part->env,
                       part->file);
    path[n] = '\0';
    char *slash = strrchr(path, '/');
    const size_t room = slash ? PATH_MAX - (size_t)(slash - path) : 0;
    if (!slash || snprintf(slash, room, "/../lib/%s", part->file) >= (int)room)
        return ds_fail(err, DS_FAIL, "%s: no place for %s beside it", path, part->file);
    return 0;
}

int ds_so_find(ds_so_fn **fn, const ds_so_part *part, ds_err *err)
{
    char path[PATH_MAX];
    const int rc = path_of(path, part, err);

    if (rc)
        return rc;
    void *lib = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    if (!lib)
        return ds_fail(err, DS_FAIL, "%s: %s (%s)", part->missing, dlerror(), part->instead);
    void *found = dlsym(lib, part->symbol);
    if (!found)
        return ds_fail(err, DS_FAIL, "%s: not a part of this program", path);
    memcpy(fn, &found, sizeof *fn);
    return 0;
}
