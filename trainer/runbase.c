/* runbase.c - see runbase.h. */
#include "runbase.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "io.h"

static const char name[] = "base";

int ds_runbase_write(const char *run_dir, const char *model, ds_err *err)
{
    char *path = NULL, *to = realpath(model, NULL);
    int rc = 0;

    if (!to)
        return ds_fail_errno(err, errno, "%s", model);
    if (asprintf(&path, "%s/%s", run_dir, name) < 0) {
        free(to);
        return ds_fail_nomem(err);
    }
    if ((ds_io_active->unlink(path) != 0 && errno != ENOENT) || symlink(to, path) != 0)
        rc = errno == EPERM || errno == EOPNOTSUPP || errno == EISDIR
                 ? 0
                 : ds_fail_errno(err, errno, "%s", path);
    free(path);
    free(to);
    return rc;
}

int ds_runbase_folder(char out[DS_PATH], const char *checkpoint, ds_err *err)
{
    const char *slash = strrchr(checkpoint, '/');

    if (snprintf(out, DS_PATH, "%.*s", slash ? (int)(slash - checkpoint) : 1,
                 slash ? checkpoint : ".") >= DS_PATH)
        return ds_fail(err, DS_FAIL, "%s: path too long", checkpoint);
    return 0;
}

int ds_runbase_find(char **model, const char *checkpoint, ds_err *err)
{
    char run_dir[DS_PATH], path[DS_PATH];

    *model = NULL;
    if (ds_runbase_folder(run_dir, checkpoint, err) || ds_path_join(path, run_dir, name, err))
        return err->code;
    if (access(path, F_OK) != 0) /* of what the link leads to */
        return ds_fail(err, DS_USAGE, "%s leads to no model: --model DIR says where it is", path);
    *model = strdup(path);
    return *model ? 0 : ds_fail_nomem(err);
}
