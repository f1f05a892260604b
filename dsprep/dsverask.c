/* dsverask.c - see dsverask.h. */
#include "dsverask.h"

#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <limits.h>
#include <spawn.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "io.h"
#include "json.h"

extern char **environ;

/* Beside this one; where that has none, in PATH. */
static void program(char path[PATH_MAX])
{
    const ssize_t n = readlink("/proc/self/exe", path, PATH_MAX - sizeof "dsver");
    char *end = n > 0 ? memrchr(path, '/', (size_t)n) : NULL;
    if (end)
        memcpy(end + 1, "dsver", sizeof "dsver");
    if (!end || access(path, X_OK) != 0)
        memcpy(path, "dsver", sizeof "dsver");
}

/* silent: what it says is in what it writes, too. */
static int start(int *pid, int *fd, const char *const *words, size_t n, bool silent, ds_err *err)
{
    char path[PATH_MAX], *argv[DS_ASK_WORDS + 2] = {path};
    int ends[2] = {-1, -1};
    posix_spawn_file_actions_t acts;
    for (size_t i = 0; i < n; i++)
        argv[i + 1] = (char *)(uintptr_t)words[i]; /* posix_spawn changes none of them */
    program(path);
    if (pipe2(ends, O_CLOEXEC) != 0)
        return ds_fail_errno(err, errno, "pipe");
    int e = posix_spawn_file_actions_init(&acts);
    if (e == 0) {
        e = posix_spawn_file_actions_adddup2(&acts, ends[1], STDOUT_FILENO);
        e = e ? e : posix_spawn_file_actions_addopen(&acts, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
        if (silent && e == 0)
            e = posix_spawn_file_actions_addopen(&acts, STDERR_FILENO, "/dev/null", O_WRONLY, 0);
        e = e ? e : posix_spawnp(pid, path, &acts, NULL, argv, environ);
        posix_spawn_file_actions_destroy(&acts);
    }
    close(ends[1]);
    *fd = ends[0];
    if (e == 0)
        return 0;
    close(ends[0]);
    *pid = 0;
    return ds_fail_errno(err, e, "dsver, to look for a version, cannot be started");
}

int ds_ask_start(int *pid, int *fd, const char *const *words, size_t n, ds_err *err)
{
    return start(pid, fd, words, n, false, err);
}

int ds_ask_end(int *pid, bool whole, const char *what, ds_err *err)
{
    int status = 0;
    const int was = *pid;
    *pid = 0;
    while (was && waitpid(was, &status, 0) < 0)
        if (errno != EINTR)
            return ds_fail_errno(err, errno, "waitpid");
    if (whole && was && status)
        return ds_fail(err, DS_FAIL, "%s: dsver could not read it", what);
    return 0;
}

/* Why it failed, by the last line of what it wrote: {"type":"exit","error":...}. */
static int say_why(const ds_buf *said, const char *what, ds_err *err)
{
    const uint8_t *end = said->len ? memrchr(said->data, '\n', said->len - 1) : NULL;
    const uint8_t *line = end ? end + 1 : said->data;
    json_t *j = NULL;
    if (said->len)
        (void)ds_json_parse(&j, line, (size_t)(said->data + said->len - line), what, NULL);
    const char *why = json_string_value(json_object_get(j, "error"));
    const int rc = why ? ds_fail(err, DS_FAIL, "%s", why)
                       : ds_fail(err, DS_FAIL, "%s: dsver could not read it", what);
    json_decref(j);
    return rc;
}

int ds_ask_text(ds_buf *out, const char *const *words, size_t n, const char *what, ds_err *err)
{
    uint8_t part[4096];
    size_t got = sizeof part;
    int fd = -1, pid = 0, rc = start(&pid, &fd, words, n, true, err);
    if (rc)
        return rc;
    while (rc == 0 && got == sizeof part) {
        rc = ds_read_full(fd, "dsver", part, sizeof part, &got, err);
        if (rc == 0 && ds_buf_put(out, part, got))
            rc = ds_fail_nomem(err);
    }
    close(fd);
    ds_err why = {0};
    if (ds_ask_end(&pid, rc == 0, what, &why) && rc == 0)
        rc = say_why(out, what, err);
    return rc;
}
