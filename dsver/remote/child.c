/* child.c - see child.h. */
#include "child.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "io.h"
#include "sig.h"

#define OUTPUT_MAX ((size_t)64 << 20)

typedef struct running {
    pid_t pid;
    int out, err; /* we read */
} running;

/* Without what would lead git to another repository than the one named. */
static char **clean_environment(void)
{
    static const char *const drop[] = {"GIT_DIR=",
                                       "GIT_WORK_TREE=",
                                       "GIT_INDEX_FILE=",
                                       "GIT_OBJECT_DIRECTORY=",
                                       "GIT_ALTERNATE_OBJECT_DIRECTORIES=",
                                       "GIT_COMMON_DIR=",
                                       "GIT_NAMESPACE=",
                                       "GIT_QUARANTINE_PATH=",
                                       "LC_ALL=",
                                       "LANGUAGE="};
    static char lang[] = "LC_ALL=C", quiet[] = "GIT_TERMINAL_PROMPT=0";
    size_t n = 0, to = 0;
    while (environ[n])
        n++;
    char **e = calloc(n + 3, sizeof *e);
    for (size_t i = 0; e && i < n; i++) {
        bool keep = true;
        for (size_t k = 0; k < sizeof drop / sizeof *drop; k++)
            keep = keep && strncmp(environ[i], drop[k], strlen(drop[k])) != 0;
        if (keep)
            e[to++] = environ[i];
    }
    if (e) {
        e[to++] = lang;
        if (!isatty(STDIN_FILENO) && !getenv("GIT_TERMINAL_PROMPT"))
            e[to++] = quiet;
    }
    return e;
}

static void close_pair(int p[2])
{
    for (int i = 0; i < 2; i++)
        if (p[i] >= 0)
            close(p[i]);
    p[0] = p[1] = -1;
}

static int spawn(running *r, char *const argv[], int input, ds_err *err)
{
    int out[2] = {-1, -1}, bad[2] = {-1, -1};
    posix_spawn_file_actions_t fa;
    posix_spawnattr_t at;
    sigset_t none, def;
    char **env = clean_environment();
    if (!env || pipe2(out, O_CLOEXEC) != 0 || pipe2(bad, O_CLOEXEC) != 0) {
        free(env);
        close_pair(out);
        close_pair(bad);
        return ds_fail_errno(err, errno, "%s cannot be started", argv[0]);
    }
    sigemptyset(&none);
    sigemptyset(&def);
    sigaddset(&def, SIGPIPE);
    posix_spawn_file_actions_init(&fa);
    posix_spawn_file_actions_adddup2(&fa, input, STDIN_FILENO);
    posix_spawn_file_actions_adddup2(&fa, out[1], STDOUT_FILENO);
    posix_spawn_file_actions_adddup2(&fa, bad[1], STDERR_FILENO);
    posix_spawnattr_init(&at);
    posix_spawnattr_setsigmask(&at, &none);
    posix_spawnattr_setsigdefault(&at, &def);
    posix_spawnattr_setflags(&at, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
    int rc = posix_spawnp(&r->pid, argv[0], &fa, &at, argv, env);
    posix_spawn_file_actions_destroy(&fa);
    posix_spawnattr_destroy(&at);
    free(env);
    r->out = out[0];
    r->err = bad[0];
    out[0] = bad[0] = -1;
    close_pair(out);
    close_pair(bad);
    if (rc) {
        close(r->out);
        close(r->err);
        return ds_fail(err, DS_FAIL, "%s cannot be started: %s", argv[0], strerror(rc));
    }
    return 0;
}

/* Reads what is there; closes at the end. */
static int drain(int *fd, ds_buf *b, ds_err *err)
{
    char chunk[16384];
    ssize_t n = read(*fd, chunk, sizeof chunk);
    if (n < 0 && (errno == EINTR || errno == EAGAIN))
        return 0;
    if (n <= 0) {
        close(*fd);
        *fd = -1;
        return 0;
    }
    if (b->len + (size_t)n > OUTPUT_MAX)
        return ds_fail(err, DS_FAIL, "a program says more than %zu bytes", OUTPUT_MAX);
    return ds_buf_put(b, chunk, (size_t)n) ? ds_fail_nomem(err) : 0;
}

static int collect(running *r, ds_buf *out, ds_buf *bad, ds_err *err)
{
    int rc = 0;
    while (!rc && (r->out >= 0 || r->err >= 0)) {
        struct pollfd p[] = {{.fd = r->out, .events = POLLIN}, {.fd = r->err, .events = POLLIN}};
        if (poll(p, 2, -1) < 0 && errno != EINTR)
            rc = ds_fail_errno(err, errno, "a program cannot be read from");
        rc = rc ? rc : ds_check_interrupt(err);
        if (!rc && p[0].revents)
            rc = drain(&r->out, out, err);
        if (!rc && p[1].revents)
            rc = drain(&r->err, bad, err);
    }
    return rc;
}

const char *ds_child_said(ds_buf *bad)
{
    for (size_t i = 0; i < bad->len; i++)
        if (bad->data[i] == '\n' || bad->data[i] == '\r')
            bad->data[i] = ' ';
    while (bad->len && bad->data[bad->len - 1] == ' ')
        bad->len--;
    if (bad->len > 600) {
        memmove(bad->data, bad->data + bad->len - 600, 600);
        bad->len = 600;
    }
    const char *s = ds_buf_cstr(bad);
    return s && *s ? s : "no reason given";
}

int ds_child_feed(char *const argv[], int input, ds_buf *out, ds_buf *bad, int *status, ds_err *err)
{
    running r = {.pid = -1, .out = -1, .err = -1};
    int st = 0, rc = spawn(&r, argv, input, err);
    if (rc)
        return rc;
    rc = collect(&r, out, bad, err);
    if (rc)
        kill(r.pid, SIGTERM);
    if (r.out >= 0)
        close(r.out);
    if (r.err >= 0)
        close(r.err);
    while (waitpid(r.pid, &st, 0) < 0 && errno == EINTR)
        ;
    *status = WIFEXITED(st) ? WEXITSTATUS(st) : 128 + WTERMSIG(st);
    return rc;
}

int ds_child_run(char *const argv[], const void *input, size_t len, ds_buf *out, ds_buf *bad,
                 int *status, ds_err *err)
{
    int in = memfd_create("input", MFD_CLOEXEC);
    int rc = in < 0 ? ds_fail_errno(err, errno, "%s cannot be started", argv[0]) : 0;
    if (!rc && len)
        rc = ds_write_full(in, "its input", input, len, err);
    if (!rc && lseek(in, 0, SEEK_SET) != 0)
        rc = ds_fail_errno(err, errno, "%s cannot be started", argv[0]);
    rc = rc ? rc : ds_child_feed(argv, in, out, bad, status, err);
    if (in >= 0)
        close(in);
    return rc;
}

char *ds_child_arg(const char *s)
{
    union {
        const char *c;
        char *m;
    } u = {.c = s};
    return u.m;
}
