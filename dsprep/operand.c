/* operand.c - see operand.h. */
#include "operand.h"

#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <limits.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "json.h"

extern char **environ;

/* ---- the program that reads versions ---- */

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

/* dsver VERB ...: *fd gives what it writes. */
static int start(int *pid, int *fd, const char *verb, const char *option, const char *version,
                 ds_err *err)
{
    char path[PATH_MAX];
    int ends[2] = {-1, -1};
    posix_spawn_file_actions_t acts;
    /* posix_spawn changes none of them */
    char *argv[] = {path,
                    (char *)(uintptr_t)verb,
                    (char *)(uintptr_t)option,
                    (char *)(uintptr_t) "--",
                    (char *)(uintptr_t)version,
                    NULL};
    program(path);
    if (pipe2(ends, O_CLOEXEC) != 0)
        return ds_fail_errno(err, errno, "pipe");
    int e = posix_spawn_file_actions_init(&acts);
    if (e == 0) {
        e = posix_spawn_file_actions_adddup2(&acts, ends[1], STDOUT_FILENO);
        e = e ? e : posix_spawn_file_actions_addopen(&acts, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
        e = e ? e : posix_spawnp(pid, path, &acts, NULL, argv, environ);
        posix_spawn_file_actions_destroy(&acts);
    }
    close(ends[1]);
    *fd = ends[0];
    if (e == 0)
        return 0;
    close(ends[0]);
    *pid = 0;
    return ds_fail_errno(err, e,
                         "%s: no such file, and dsver, to look for a version, cannot be "
                         "started",
                         version);
}

/* Waits; was it well? Who is not read to the end may end as it likes. */
static int finish(int *pid, bool whole, const char *version, ds_err *err)
{
    int status = 0;
    const int was = *pid;
    *pid = 0;
    while (was && waitpid(was, &status, 0) < 0)
        if (errno != EINTR)
            return ds_fail_errno(err, errno, "waitpid");
    if (whole && was && status)
        return ds_fail(err, DS_FAIL, "%s: dsver could not read it", version);
    return 0;
}

static int read_all(ds_buf *out, int fd, ds_err *err)
{
    uint8_t part[4096];
    size_t got = sizeof part;
    int rc = 0;
    while (rc == 0 && got == sizeof part) {
        rc = ds_read_full(fd, "dsver", part, sizeof part, &got, err);
        if (rc == 0 && ds_buf_put(out, part, got))
            rc = ds_fail_nomem(err);
    }
    return rc;
}

/* Which commit and root: said once, so that all readings are of the same. */
static int look_up(ds_operand *o, ds_err *err)
{
    ds_buf text = {0};
    json_t *j = NULL;
    int fd = -1, rc = start(&o->pid, &fd, "show", "--json", o->text, err);
    if (rc)
        return rc;
    rc = read_all(&text, fd, err);
    close(fd);
    if (finish(&o->pid, true, o->text, NULL) && rc == 0)
        rc = ds_fail(err, DS_FAIL, "no such file, and dsver finds no version of that name");
    if (rc == 0)
        rc = ds_json_parse(&j, text.data, text.len, "dsver show", err);
    const char *commit = json_string_value(json_object_get(j, "commit")),
               *root = json_string_value(json_object_get(j, "root"));
    const size_t name = strcspn(o->text, "@~");
    if (rc == 0 && (!commit || !root))
        rc = ds_fail(err, DS_FAIL, "%s: dsver does not say its commit and root", o->text);
    if (rc == 0 && (asprintf(&o->version, "%.*s@%s", (int)name, o->text, commit) < 0 ||
                    asprintf(&o->root, "%s%s", strchr(root, ':') ? "" : "sha256:", root) < 0))
        rc = ds_fail_nomem(err);
    json_decref(j);
    ds_buf_fini(&text);
    return rc;
}

/* ---- the operand ---- */

int ds_operand_find(ds_operand *o, const char *text, bool again, ds_err *err)
{
    struct stat st;
    const size_t n = strlen(text);
    *o = (ds_operand){.text = text};
    const bool file = strcmp(text, "-") == 0 || strchr(text, '/') || stat(text, &st) == 0 ||
                      (n > 4 && strcmp(text + n - 4, ".dsr") == 0);
    if (!file)
        return look_up(o, err);
    char *operand = strdup(text);
    int rc = !operand ? ds_fail_nomem(err) : again ? ds_twice_open(&o->twice, &operand, 1, err) : 0;
    free(operand);
    return rc;
}

int ds_operand_open(ds_operand *o, ds_instream **in, ds_err *err)
{
    char path[32], *operand = path;
    int fd = -1, rc = 0;
    if (!o->version) {
        operand = o->twice.n ? o->twice.paths[0] : (char *)(uintptr_t)o->text; /* only read */
        return ds_instream_open(in, &operand, 1, err);
    }
    rc = start(&o->pid, &fd, "cat", "-j1", o->version, err);
    if (rc)
        return rc;
    (void)snprintf(path, sizeof path, "/dev/fd/%d", fd);
    rc = ds_instream_open(in, &operand, 1, err);
    if (rc)
        ds_err_prefix(err, "%s", o->text);
    close(fd);
    if (rc)
        (void)finish(&o->pid, false, o->version, NULL);
    return rc;
}

int ds_operand_close(ds_operand *o, ds_instream *in, bool whole, ds_err *err)
{
    ds_instream_free(in); /* its writer, if it still writes, is told by SIGPIPE */
    return finish(&o->pid, whole, o->version, err);
}

int ds_operand_name(char **name, const ds_operand *o, ds_err *err)
{
    if (strcmp(o->text, "-") == 0) {
        *name = strdup("standard-input");
    } else if (o->version) {
        *name = strndup(o->text, strcspn(o->text, "@~"));
    } else {
        size_t n = strlen(o->text);
        while (n > 1 && o->text[n - 1] == '/')
            n--;
        const char *slash = memrchr(o->text, '/', n), *from = slash ? slash + 1 : o->text;
        n -= (size_t)(from - o->text);
        *name = strndup(from, n > 4 && memcmp(from + n - 4, ".dsr", 4) == 0 ? n - 4 : n);
    }
    return *name ? 0 : ds_fail_nomem(err);
}

void ds_operand_fini(ds_operand *o)
{
    (void)finish(&o->pid, false, NULL, NULL);
    free(o->version);
    free(o->root);
    ds_twice_fini(&o->twice);
    *o = (ds_operand){0};
}
