/* rmtree.c - see rmtree.h. */
#include "rmtree.h"

#include <errno.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>

#define OPEN 32 /* folders at a time */

static int remove_one(const char *path, const struct stat *st, int flag, struct FTW *ftw)
{
    (void)st;
    (void)flag;
    (void)ftw;
    (void)remove(path);
    return 0;
}

void ds_remove_tree(const char *path)
{
    (void)nftw(path, remove_one, OPEN, FTW_DEPTH | FTW_PHYS);
}

int ds_temp_folder(char **dir, const char *name, ds_err *err)
{
    const char *tmp = getenv("TMPDIR");
    if (asprintf(dir, "%s/%s-XXXXXX", tmp && *tmp ? tmp : "/tmp", name) < 0) {
        *dir = NULL;
        return ds_fail_nomem(err);
    }
    if (mkdtemp(*dir))
        return 0;
    const int rc = ds_fail_errno(err, errno, "%s", *dir);
    free(*dir);
    *dir = NULL;
    return rc;
}
