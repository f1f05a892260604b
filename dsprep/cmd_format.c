/* cmd_format.c - see cmd_format.h. */
#include "cmd_format.h"

#include <sys/stat.h>

int ds_format_named(const ds_format **f, const char *name, const char *path, ds_err *err)
{
    struct stat st;
    const bool folder = path && stat(path, &st) == 0 && S_ISDIR(st.st_mode);
    *f = name ? ds_format_find(name) : path ? ds_format_of(path) : NULL;
    if (!*f && !name && folder)
        *f = ds_format_of_folder(path);
    if (*f)
        return 0;
    return name ? ds_fail(err, DS_USAGE, "--format %s: it is one of " DS_FORMAT_NAMES, name)
                : ds_fail(err, DS_USAGE, "--format is needed: " DS_FORMAT_NAMES);
}
