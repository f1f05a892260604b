/* memlimit.c - see memlimit.h. */
#include "memlimit.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "io.h"

#define PATH 4096
#define FILE_MAX ((size_t)1 << 16)

/* A limit file's number; INT64_MAX for "max" and where there is none. */
static int64_t number_in(const char *path)
{
    ds_buf b = {0};
    int64_t v = INT64_MAX;
    const char *text;

    if (ds_read_file(&b, path, FILE_MAX, NULL) == 0 && (text = ds_buf_cstr(&b))) {
        char *end;
        const long long n = strtoll(text, &end, 10);
        if (end != text && n > 0)
            v = n;
    }
    ds_buf_fini(&b);
    return v;
}

/* The least limit from `group` up to the root of the hierarchy. */
static int64_t least(const char *root, const char *group, const char *file)
{
    char dir[PATH], path[PATH + 64];
    int64_t v = INT64_MAX;
    const size_t base = strlen(root);

    if (snprintf(dir, sizeof dir, "%s%s", root, group) >= PATH)
        return v;
    for (;;) {
        char *slash;
        snprintf(path, sizeof path, "%s/%s", dir, file);
        const int64_t here = number_in(path);
        v = here < v ? here : v;
        if (strlen(dir) <= base || !(slash = strrchr(dir + base, '/')))
            return v;
        *slash = '\0';
    }
}

int64_t ds_memory_limit(void)
{
    const long pages = sysconf(_SC_PHYS_PAGES), size = sysconf(_SC_PAGESIZE);
    int64_t v = pages > 0 && size > 0 ? (int64_t)pages * size : INT64_MAX;
    ds_buf b = {0};
    char *text = NULL;

    if (ds_read_file(&b, "/proc/self/cgroup", FILE_MAX, NULL) == 0)
        text = (char *)b.data;
    if (text && !ds_buf_cstr(&b))
        text = NULL;
    for (char *line = text, *end; line && *line; line = end ? end + 1 : NULL) {
        char *names = strchr(line, ':'), *group = names ? strchr(names + 1, ':') : NULL;
        int64_t here = INT64_MAX;
        end = strchr(line, '\n');
        if (end)
            *end = '\0';
        if (!group || (end && group > end))
            continue;
        *group = '\0'; /* the controllers end here */
        if (!names[1])
            here = least("/sys/fs/cgroup", group + 1, "memory.max");
        else if (!strcmp(names + 1, "memory"))
            here = least("/sys/fs/cgroup/memory", group + 1, "memory.limit_in_bytes");
        v = here < v ? here : v;
    }
    ds_buf_fini(&b);
    return v == INT64_MAX ? 0 : v;
}

/* getrusage's number is no smaller than what the parent had when it forked: some hundred megabytes
 * where a Python with libraries is the launcher. */
int64_t ds_memory_peak(void)
{
    static const char name[] = "VmHWM:";
    const char *text, *at;
    struct rusage use;
    ds_buf b = {0};
    int64_t peak = 0;

    if (ds_read_file(&b, "/proc/self/status", FILE_MAX, NULL) == 0 && (text = ds_buf_cstr(&b)) &&
        (at = strstr(text, name)))
        peak = strtoll(at + sizeof name - 1, NULL, 10);
    ds_buf_fini(&b);
    if (peak <= 0 && getrusage(RUSAGE_SELF, &use) == 0)
        peak = use.ru_maxrss;
    return peak * 1024; /* both count KiB */
}
