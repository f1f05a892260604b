/* pipeline.c - see pipeline.h. */
#include "pipeline.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "child.h"
#include "io.h"
#include "sig.h"

/* ---- argument vectors ---- */

static int own(ds_argv *a, char *s, ds_err *err)
{
    if (!s || ds_grow(&a->v, &a->cap, a->n + 1, sizeof *a->v)) {
        free(s);
        return ds_fail_nomem(err);
    }
    a->v[a->n++] = s;
    a->v[a->n] = NULL;
    return 0;
}

int ds_argv_add(ds_argv *a, const char *s, ds_err *err)
{
    return own(a, strdup(s), err);
}

int ds_argv_addf(ds_argv *a, ds_err *err, const char *fmt, ...)
{
    char *s = NULL;
    va_list args;
    va_start(args, fmt);
    if (vasprintf(&s, fmt, args) < 0)
        s = NULL;
    va_end(args);
    return own(a, s, err);
}

void ds_argv_fini(ds_argv *a)
{
    for (size_t i = 0; i < a->n; i++)
        free(a->v[i]);
    free(a->v);
    *a = (ds_argv){0};
}

static bool plain(const char *s)
{
    static const char ok[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
                             "_-./=:,+@%";
    return *s && s[strspn(s, ok)] == '\0';
}

int ds_argv_quoted(ds_buf *out, const ds_argv *a)
{
    int rc = 0;
    for (size_t i = 0; i < a->n; i++) {
        const char *s = a->v[i];
        rc |= i ? ds_buf_putc(out, ' ') : 0;
        if (plain(s)) {
            rc |= ds_buf_puts(out, s);
            continue;
        }
        rc |= ds_buf_putc(out, '\'');
        for (; *s; s++)
            rc |= *s == '\'' ? ds_buf_puts(out, "'\\''") : ds_buf_putc(out, (uint8_t)*s);
        rc |= ds_buf_putc(out, '\'');
    }
    return rc ? DS_NOMEM : 0;
}

/* ---- programs ---- */

static int start(ds_pipeline *p, size_t i, int in, int out, ds_err *err)
{
    char *const *argv = p->stages[i].v;
    posix_spawn_file_actions_t fa;
    posix_spawnattr_t at;
    sigset_t none, def;
    p->said[i] = memfd_create("said", MFD_CLOEXEC);
    if (p->said[i] < 0)
        return ds_fail_errno(err, errno, "%s cannot be started", argv[0]);
    sigemptyset(&none);
    sigemptyset(&def);
    sigaddset(&def, SIGPIPE);
    posix_spawn_file_actions_init(&fa);
    posix_spawn_file_actions_adddup2(&fa, in, STDIN_FILENO);
    posix_spawn_file_actions_adddup2(&fa, out, STDOUT_FILENO);
    posix_spawn_file_actions_adddup2(&fa, p->said[i], STDERR_FILENO);
    posix_spawnattr_init(&at);
    posix_spawnattr_setsigmask(&at, &none);
    posix_spawnattr_setsigdefault(&at, &def);
    posix_spawnattr_setflags(&at, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
    const int bad = posix_spawn(&p->pid[i], argv[0], &fa, &at, argv, environ);
    posix_spawn_file_actions_destroy(&fa);
    posix_spawnattr_destroy(&at);
    if (bad) {
        p->pid[i] = 0;
        return ds_fail(err, DS_FAIL, "%s cannot be started: %s", argv[0], strerror(bad));
    }
    return 0;
}

int ds_pipeline_begin(ds_pipeline *p, const ds_argv *stages, size_t n, ds_err *err)
{
    *p = (ds_pipeline){.stages = stages, .n = n, .out = -1};
    p->pid = calloc(n, sizeof *p->pid);
    p->said = calloc(n, sizeof *p->said);
    if (!p->pid || !p->said)
        return ds_fail_nomem(err);
    for (size_t i = 0; i < n; i++)
        p->said[i] = -1;
    int in = -1, rc = ds_open(&in, "/dev/null", O_RDONLY, 0, err);
    for (size_t i = 0; !rc && i < n; i++) {
        int ends[2] = {-1, -1};
        if (pipe2(ends, O_CLOEXEC) != 0)
            rc = ds_fail_errno(err, errno, "%s cannot be started", stages[i].v[0]);
        rc = rc ? rc : start(p, i, in, ends[1], err);
        ds_close(&in, "a pipe", NULL);
        ds_close(&ends[1], "a pipe", NULL);
        in = ends[0];
    }
    p->out = in;
    return rc;
}

/* What stage i says of its end; nothing when all is well, or when it wrote for nobody. */
static int verdict(const ds_pipeline *p, size_t i, int status, ds_err *err)
{
    ds_buf said = {0};
    uint8_t part[4096];
    ssize_t got = 0;
    const bool ended = WIFEXITED(status);
    if ((ended && (WEXITSTATUS(status) == 0 || WEXITSTATUS(status) == 3)) ||
        (!ended && (WTERMSIG(status) == SIGPIPE || WTERMSIG(status) == SIGTERM)))
        return 0;
    if (lseek(p->said[i], 0, SEEK_SET) == 0)
        while ((got = read(p->said[i], part, sizeof part)) > 0)
            if (ds_buf_put(&said, part, (size_t)got))
                break;
    ds_err_clear(err);
    int rc = ended ? ds_fail(err, DS_FAIL, "%s: exit status %d: %s", p->stages[i].v[1],
                             WEXITSTATUS(status), ds_child_said(&said))
                   : ds_fail(err, DS_FAIL, "%s: ended by signal %d: %s", p->stages[i].v[1],
                             WTERMSIG(status), ds_child_said(&said));
    ds_buf_fini(&said);
    return rc;
}

int ds_pipeline_end(ds_pipeline *p, int rc, ds_err *err)
{
    bool told = rc && ds_interrupted();
    if (p->out >= 0)
        ds_close(&p->out, "a pipe", NULL);
    for (size_t i = 0; p->pid && rc && i < p->n; i++)
        if (p->pid[i] > 0 && i == 0)
            kill(p->pid[i], SIGTERM); /* the others end with their input or output */
    for (size_t i = 0; p->pid && i < p->n; i++) {
        int status = 0, bad;
        if (p->pid[i] <= 0)
            continue;
        while (waitpid(p->pid[i], &status, 0) < 0 && errno == EINTR)
            ;
        if (!told && (bad = verdict(p, i, status, err)) != 0) {
            rc = bad;
            told = true;
        }
    }
    for (size_t i = 0; p->said && i < p->n; i++)
        ds_close(&p->said[i], "its words", NULL);
    free(p->pid);
    free(p->said);
    *p = (ds_pipeline){.out = -1};
    return rc;
}
