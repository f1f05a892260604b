/* rmtree.c - see rmtree.h. */
#include "rmtree.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#include "io.h"

#define OPEN 32 /* folders at a time */
#define BESIDE ".dsver-"
#define DRAWN 6 /* characters of mkdtemp */

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

/* ---- a folder beside another ---- */

/* "BASE.dsver-XXXXXX" */
static bool is_beside(const char *name, const char *base)
{
    const size_t n = strlen(base);
    if (strncmp(name, base, n) != 0 || strncmp(name + n, BESIDE, sizeof BESIDE - 1) != 0)
        return false;
    const char *drawn = name + n + sizeof BESIDE - 1;
    return strlen(drawn) == DRAWN && !strchr(drawn, '.');
}

static void drop_one(const char *parent, const char *name)
{
    char path[DS_PATH];
    if (ds_path_join(path, parent, name, NULL))
        return;
    const int fd = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0)
        return;
    if (flock(fd, LOCK_EX | LOCK_NB) == 0)
        ds_remove_tree(path);
    close(fd);
}

static void drop_dead(const char *dir)
{
    const char *slash = strrchr(dir, '/'), *base = slash ? slash + 1 : dir;
    char *parent = slash ? strndup(dir, slash == dir ? 1 : (size_t)(slash - dir)) : strdup(".");
    DIR *d = parent ? opendir(parent) : NULL;
    for (const struct dirent *e; d && (e = readdir(d));)
        if (is_beside(e->d_name, base))
            drop_one(parent, e->d_name);
    if (d)
        closedir(d);
    free(parent);
}

/* 1; 0 when one who looked for dead ones came between. mkdtemp's folder is its owner's alone: who
 * else may use this one is said by umask, or by the access list that a group's folder gives to what
 * is made in it. */
static int make_locked(char *path, const char *dir, int *lock, ds_err *err)
{
    struct stat a, b;
    if (!mkdtemp(path) || (rmdir(path) != 0 && errno != ENOENT))
        return ds_fail_errno(err, errno, "%s: cannot make a folder", dir);
    if (ds_io_active->mkdir(path, 0777) != 0)
        return errno == EEXIST ? 0 : ds_fail_errno(err, errno, "%s: cannot make a folder", dir);
    *lock = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    return *lock >= 0 && flock(*lock, LOCK_EX) == 0 && fstat(*lock, &a) == 0 &&
           stat(path, &b) == 0 && a.st_ino == b.st_ino;
}

int ds_beside_folder(char **path, int *lock, const char *dir, ds_err *err)
{
    int rc = 0;
    *lock = -1;
    *path = NULL;
    drop_dead(dir);
    for (int tries = 0; rc == 0 && tries < 100; tries++) {
        free(*path);
        if (asprintf(path, "%s" BESIDE "XXXXXX", dir) < 0) {
            *path = NULL;
            return ds_fail_nomem(err);
        }
        (void)ds_close(lock, *path, NULL);
        rc = make_locked(*path, dir, lock, err);
    }
    if (rc == 0)
        rc = ds_fail(err, DS_IO, "%s: cannot be kept", *path);
    return rc < 0 ? rc : 0;
}
