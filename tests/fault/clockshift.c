/* clockshift.c - preloaded into a program: its clock is DS_CLOCK seconds ahead (or behind), and
 * with DS_CLOCK_JUMP=N it jumps by as much more each time it has been looked at N times. */
#include <dlfcn.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/time.h>
#include <time.h>

#define REAL(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))
#define EXPORT __attribute__((visibility("default")))

static atomic_long looks;

static time_t shift(void)
{
    const char *by = getenv("DS_CLOCK"), *jump = getenv("DS_CLOCK_JUMP");
    const long each = jump ? strtol(jump, NULL, 10) : 0;
    const long n = atomic_fetch_add(&looks, 1);
    return by ? strtol(by, NULL, 10) * (1 + (each > 0 ? n / each : 0)) : 0;
}

EXPORT time_t time(time_t *t)
{
    const time_t now = REAL(time)(NULL) + shift();
    if (t)
        *t = now;
    return now;
}

EXPORT int gettimeofday(struct timeval *restrict tv, void *restrict tz)
{
    const int rc = REAL(gettimeofday)(tv, tz);
    if (rc == 0)
        tv->tv_sec += shift();
    return rc;
}

EXPORT int clock_gettime(clockid_t which, struct timespec *t)
{
    const int rc = REAL(clock_gettime)(which, t);
    if (rc == 0 && which == CLOCK_REALTIME)
        t->tv_sec += shift();
    return rc;
}
