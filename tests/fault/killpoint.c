/* killpoint.c - preloaded into a program: at the DS_KILL_AT-th call that changes something it is
 * killed (SIGKILL), or the call fails. Such calls are: files made, written, synced, cut, renamed,
 * linked and removed, folders made and removed. A write in which it dies has written half when
 * DS_KILL_AT is odd.
 *
 * DS_KILL_ERROR=N: not killed; the call fails with the errno N. With ENOSPC, so do all later ones
 * that would take room.
 * DS_KILL_PROGRAM=NAME: only in programs of that name, not in others that it starts.
 * DS_KILL_COUNT=FILE: the number of such calls is written there at exit.
 */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static atomic_long calls;
static long at = -1;
static int error;
static bool ours;

#define REAL(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))
#define EXPORT __attribute__((visibility("default")))

extern char *program_invocation_short_name;

static long number(const char *name)
{
    const char *v = getenv(name);
    return v && *v ? strtol(v, NULL, 10) : -1;
}

__attribute__((constructor)) static void begin(void)
{
    const char *p = getenv("DS_KILL_PROGRAM");
    at = number("DS_KILL_AT");
    error = (int)number("DS_KILL_ERROR");
    ours = !p || strcmp(p, program_invocation_short_name) == 0;
}

__attribute__((destructor)) static void end(void)
{
    const char *p = getenv("DS_KILL_COUNT");
    int fd = ours && p ? REAL(open)(p, O_WRONLY | O_CREAT | O_TRUNC, 0644) : -1;
    if (fd < 0)
        return;
    ours = false;
    dprintf(fd, "%ld\n", atomic_load(&calls));
    REAL(close)(fd);
}

static void die(void)
{
    kill(getpid(), SIGKILL);
    for (;;)
        pause();
}

/* Before such a call: true when it fails. half (NULL: there is none): it is to be done by half. */
static bool fails(bool takes_room, bool *half)
{
    if (!ours)
        return false;
    const long n = atomic_fetch_add(&calls, 1) + 1;
    if (error > 0) {
        if (at < 1 || (error == ENOSPC ? n < at || !takes_room : n != at))
            return false;
        errno = error;
        return true;
    }
    if (n != at)
        return false;
    if (!half || at % 2 == 0)
        die();
    *half = true;
    return false;
}

/* ---- files made ---- */

#define MODE_OF(flags)                                                                             \
    va_list ap;                                                                                    \
    va_start(ap, flags);                                                                           \
    const mode_t mode = (flags) & (O_CREAT | O_TMPFILE) ? va_arg(ap, mode_t) : 0;                  \
    va_end(ap);                                                                                    \
    if ((flags) & (O_CREAT | O_TRUNC) && fails((flags)&O_CREAT, NULL))                             \
    return -1

EXPORT int open(const char *path, int flags, ...)
{
    MODE_OF(flags);
    return REAL(open)(path, flags, mode);
}
EXPORT int open64(const char *path, int flags, ...)
{
    MODE_OF(flags);
    return REAL(open64)(path, flags, mode);
}
EXPORT int openat(int dir, const char *path, int flags, ...)
{
    MODE_OF(flags);
    return REAL(openat)(dir, path, flags, mode);
}
EXPORT int openat64(int dir, const char *path, int flags, ...)
{
    MODE_OF(flags);
    return REAL(openat64)(dir, path, flags, mode);
}

/* ---- written ---- */

static bool is_file(int fd)
{
    struct stat st;
    return fd > 2 && fstat(fd, &st) == 0 && S_ISREG(st.st_mode);
}

#define WRITTEN(name, params, args, some)                                                          \
    EXPORT ssize_t name params                                                                     \
    {                                                                                              \
        bool half = false;                                                                         \
        if (is_file(fd) && fails(true, &half))                                                     \
            return -1;                                                                             \
        const ssize_t done = half ? REAL(name) some : REAL(name) args;                             \
        if (half)                                                                                  \
            die();                                                                                 \
        return done;                                                                               \
    }
WRITTEN(write, (int fd, const void *p, size_t n), (fd, p, n), (fd, p, n / 2))
WRITTEN(pwrite, (int fd, const void *p, size_t n, off_t o), (fd, p, n, o), (fd, p, n / 2, o))
WRITTEN(pwrite64, (int fd, const void *p, size_t n, off64_t o), (fd, p, n, o), (fd, p, n / 2, o))

/* ---- the rest: nothing of it is done ---- */

#define COUNTED(name, room, params, args)                                                          \
    EXPORT int name params                                                                         \
    {                                                                                              \
        return fails(room, NULL) ? -1 : REAL(name) args;                                           \
    }
COUNTED(fsync, false, (int fd), (fd))
COUNTED(fdatasync, false, (int fd), (fd))
COUNTED(ftruncate, false, (int fd, off_t n), (fd, n))
COUNTED(ftruncate64, false, (int fd, off64_t n), (fd, n))
COUNTED(rename, false, (const char *a, const char *b), (a, b))
COUNTED(renameat, false, (int d, const char *a, int e, const char *b), (d, a, e, b))
COUNTED(renameat2, false, (int d, const char *a, int e, const char *b, unsigned f), (d, a, e, b, f))
COUNTED(link, true, (const char *a, const char *b), (a, b))
COUNTED(linkat, true, (int d, const char *a, int e, const char *b, int f), (d, a, e, b, f))
COUNTED(symlink, true, (const char *a, const char *b), (a, b))
COUNTED(symlinkat, true, (const char *a, int d, const char *b), (a, d, b))
COUNTED(unlink, false, (const char *a), (a))
COUNTED(unlinkat, false, (int d, const char *a, int f), (d, a, f))
COUNTED(mkdir, true, (const char *a, mode_t m), (a, m))
COUNTED(mkdirat, true, (int d, const char *a, mode_t m), (d, a, m))
COUNTED(rmdir, false, (const char *a), (a))
COUNTED(chmod, false, (const char *a, mode_t m), (a, m))
COUNTED(fchmod, false, (int fd, mode_t m), (fd, m))
