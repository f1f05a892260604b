/* notedlock.c - see notedlock.h. */
#include "notedlock.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "io.h"

enum { NOTE_MAX = 640, LOOKS = 50, LOOK_MS = 10 };

int ds_notedlock_wait(int fd, const char *path, ds_err *err)
{
    while (flock(fd, LOCK_EX) != 0)
        if (errno != EINTR)
            return ds_fail_errno(err, errno, "%s: cannot lock", path);
    return 0;
}

static int take(int fd, const char *path, const char *note, ds_buf *left, bool *died, ds_err *err)
{
    char old[NOTE_MAX];
    size_t n = 0;
    int rc = ds_notedlock_wait(fd, path, err);
    rc = rc ? rc : ds_read_full(fd, path, old, sizeof old, &n, err);
    *died = !rc && n > 0 && old[n - 1] == '\n';
    if (*died && ds_buf_put(left, old, n - 1))
        rc = ds_fail_nomem(err);
    if (!rc && (ftruncate(fd, 0) != 0 || lseek(fd, 0, SEEK_SET) != 0))
        rc = ds_fail_errno(err, errno, "%s", path);
    rc = rc ? rc : ds_write_full(fd, path, note, strlen(note), err);
    rc = rc ? rc : ds_write_full(fd, path, "\n", 1, err);
    return rc ? rc : ds_fsync(fd, path, err); /* before git's lock can be on disk */
}

int ds_notedlock_take(int *fd, const char *path, const char *note, ds_buf *left, bool *died,
                      ds_err *err)
{
    const bool there = ds_path_exists(path);
    ds_buf_reset(left);
    *died = false;
    int rc = ds_open(fd, path, O_RDWR | O_CREAT, 0666, err);
    rc = rc || there ? rc : ds_fsync_parent(path, err);
    return rc ? rc : take(*fd, path, note, left, died, err);
}

void ds_notedlock_release(int *fd, const char *path, bool unfinished)
{
    if (*fd < 0)
        return;
    if (!unfinished && ftruncate(*fd, 0) != 0) {
        /* harmless: the next holder removes a lock file that is not there */
    }
    ds_close(fd, path, NULL);
}

/* Whether the file that was there stays there, the same. */
static bool stays(const char *lock)
{
    const struct timespec t = {.tv_nsec = LOOK_MS * 1000000L};
    struct stat a, b;
    if (stat(lock, &a) != 0)
        return false;
    for (int i = 0; i < LOOKS; i++) {
        nanosleep(&t, NULL);
        if (stat(lock, &b) != 0 || a.st_ino != b.st_ino || a.st_size != b.st_size ||
            a.st_mtim.tv_sec != b.st_mtim.tv_sec || a.st_mtim.tv_nsec != b.st_mtim.tv_nsec)
            return false;
    }
    return true;
}

void ds_gitlock_drop(const char *path)
{
    char *lock = NULL;
    if (asprintf(&lock, "%s.lock", path) < 0)
        return;
    if (stays(lock))
        ds_io_active->unlink(lock);
    free(lock);
}
