/* openpacks.c - see openpacks.h. */
#include "openpacks.h"

#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "io.h"
#include "strlist.h"

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static ds_strlist dirs;

int ds_openpacks_add(const char *dir, ds_err *err)
{
    pthread_mutex_lock(&lock);
    const int rc = ds_strlist_add(&dirs, dir, err);
    pthread_mutex_unlock(&lock);
    return rc;
}

void ds_openpacks_drop(const char *dir)
{
    size_t i = 0;
    pthread_mutex_lock(&lock);
    while (i < dirs.n && strcmp(dirs.v[i], dir) != 0)
        i++;
    if (i < dirs.n) {
        free(dirs.v[i]);
        dirs.v[i] = dirs.v[--dirs.n];
    }
    if (dirs.n == 0)
        ds_strlist_fini(&dirs);
    pthread_mutex_unlock(&lock);
}

static int read_some(const char *path, ds_err *err)
{
    char byte;
    size_t got;
    int fd = -1, rc = ds_open(&fd, path, O_RDONLY, 0, err);
    rc = rc ? rc : ds_read_full(fd, path, &byte, 1, &got, err);
    (void)ds_close(&fd, path, NULL);
    return rc;
}

static int check_folder(const char *dir, ds_err *err)
{
    ds_strlist names = {0};
    int rc = ds_strlist_folder_if_there(&names, dir, err);
    for (size_t i = 0; !rc && i < names.n; i++) {
        char path[DS_PATH];
        ds_err why = {0};
        if (ds_path_join(path, dir, names.v[i], NULL) || read_some(path, &why) == 0)
            continue;
        if (ds_path_exists(path)) /* else it was joined with others meanwhile */
            rc = ds_fail_as(err, &why);
    }
    ds_strlist_fini(&names);
    return rc;
}

int ds_openpacks_check(ds_err *err)
{
    int rc = 0;
    pthread_mutex_lock(&lock);
    for (size_t i = 0; !rc && i < dirs.n; i++)
        rc = check_folder(dirs.v[i], err);
    pthread_mutex_unlock(&lock);
    return rc;
}
