/* rmtree.c - see rmtree.h. */
#include "rmtree.h"

#include <ftw.h>
#include <stdio.h>

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
