/* The locks of the object layer (docs/store-format.md, "Locks"). */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "clock.h"
#include "objcore.h"

/* How often, and for how long at first, new writers are kept out for one who wants to be alone. */
enum { GATES = 5, GATE_MS = 250 };

const char *ds_objcore_keptout(const char *path)
{
    struct stat st;
    return stat(path, &st) == 0 && st.st_uid != geteuid() && !(st.st_mode & S_IWGRP) &&
                   (st.st_gid == getegid() || group_member(st.st_gid))
               ? ": its group may not write it, as whoever made it had another umask than 002 "
                 "(he can share it: dsver init --shared group)"
               : "";
}

static int lock_file(int *fd, const char *dir, const char *name, int how, ds_err *err)
{
    size_t cap = strlen(dir) + 32;
    char *p = malloc(cap);
    ds_err why = {0};
    int rc = p ? 0 : ds_fail_nomem(err);
    if (rc == 0)
        snprintf(p, cap, "%s/locks/%s.lock", dir, name);
    if (rc == 0 && *fd < 0)
        rc = ds_open(fd, p, O_RDWR | O_CREAT, 0666, &why);
    if (rc == DS_IO && *ds_objcore_keptout(p))
        rc = ds_fail_errno(err, EACCES, "%s%s", p, ds_objcore_keptout(p));
    else if (why.code)
        rc = ds_fail_as(err, &why);
    while (rc == 0 && flock(*fd, how) != 0) {
        if (errno == EWOULDBLOCK)
            rc = ds_fail(err, DS_LOCKED, "%s: another process is at work in this store", dir);
        else if (errno != EINTR)
            rc = ds_fail_errno(err, errno, "%s: cannot be locked", p);
    }
    free(p);
    return rc;
}

int ds_objcore_flock(int *fd, const char *dir, int how, ds_err *err)
{
    return lock_file(fd, dir, "gc", how, err);
}

int ds_objcore_alone(int *fd, const char *dir, bool wait, ds_err *err)
{
    return lock_file(fd, dir, "collect", LOCK_EX | (wait ? 0 : LOCK_NB), err);
}

int ds_objcore_enter(int *fd, const char *dir, ds_err *err)
{
    int gate = -1;
    int rc = lock_file(&gate, dir, "gate", LOCK_SH, err);
    if (rc == 0)
        rc = ds_objcore_flock(fd, dir, LOCK_SH, err);
    (void)ds_close(&gate, dir, NULL);
    return rc;
}

static void rest(void)
{
    const struct timespec t = {.tv_nsec = 3000000};
    nanosleep(&t, NULL);
}

static int64_t now_ms(void)
{
    return (int64_t)(ds_seconds() * 1e3);
}

/* Tries for a time: 0, DS_LOCKED when it was over, or an error. */
static int try_for(int *fd, const char *dir, int64_t ms, ds_err *err)
{
    const int64_t end = now_ms() + ms;
    for (;;) {
        ds_err mine = {0};
        int rc = ds_objcore_flock(fd, dir, LOCK_EX | LOCK_NB, &mine);
        if (rc != DS_LOCKED)
            return rc ? ds_fail_as(err, &mine) : 0;
        if (now_ms() >= end)
            return DS_LOCKED;
        rest();
    }
}

/* The kernel gives a shared lock to whoever comes while others hold one, so writers that overlap
 * could go on for ever. They pass a gate first, which is closed for a while: not for good, since a
 * writer at the gate may be what one inside waits for (a pipe). */
int ds_objcore_shut(int *fd, const char *dir, bool wait, ds_err *err)
{
    if (!wait)
        return ds_objcore_flock(fd, dir, LOCK_EX | LOCK_NB, err);
    int rc = DS_LOCKED;
    for (int i = 0; rc == DS_LOCKED && i < GATES; i++) {
        int gate = -1;
        rc = lock_file(&gate, dir, "gate", LOCK_EX, err);
        if (rc == 0)
            rc = try_for(fd, dir, (int64_t)GATE_MS << i, err);
        (void)ds_close(&gate, dir, NULL);
        if (rc == DS_LOCKED) {
            rc = try_for(fd, dir, GATE_MS, err);
        }
    }
    return rc == DS_LOCKED ? ds_objcore_flock(fd, dir, LOCK_EX, err) : rc;
}
