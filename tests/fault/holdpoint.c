/* holdpoint.c - preloaded into a program: it waits at a call that the test is about.
 *
 * DS_HOLD="WHEN CALL TEXT FILE": WHEN is before, after, or around (both), CALL is rename or unlink,
 * and TEXT is in the path (of rename: the new one). At the first such call FILE is made, and the
 * program goes on when FILE is gone.
 */
#include <dlfcn.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define REAL(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))
#define EXPORT __attribute__((visibility("default")))

static char when[16], call[16], text[128], file[512];
static bool armed;

__attribute__((constructor)) static void begin(void)
{
    const char *spec = getenv("DS_HOLD");
    armed = spec && sscanf(spec, "%15s %15s %127s %511s", when, call, text, file) == 4;
}

static void hold(const char *at, const char *name, const char *path)
{
    struct stat st;
    const struct timespec t = {.tv_nsec = 5000000};
    const bool both = strcmp(when, "around") == 0;
    if (!armed || (!both && strcmp(at, when) != 0) || strcmp(name, call) != 0 ||
        !strstr(path, text))
        return;
    armed = both && strcmp(at, "before") == 0;
    const int fd = open(file, O_WRONLY | O_CREAT, 0644);
    if (fd < 0 || write(fd, "held\n", 5) != 5)
        abort();
    close(fd);
    while (stat(file, &st) == 0)
        nanosleep(&t, NULL);
}

EXPORT int rename(const char *from, const char *to)
{
    hold("before", "rename", to);
    const int rc = REAL(rename)(from, to);
    hold("after", "rename", to);
    return rc;
}

EXPORT int unlink(const char *path)
{
    hold("before", "unlink", path);
    const int rc = REAL(unlink)(path);
    hold("after", "unlink", path);
    return rc;
}
