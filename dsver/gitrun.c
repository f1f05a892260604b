/* gitrun.c - see gitrun.h. */
#include "gitrun.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "io.h"
#include "remoteurl.h"
#include "sig.h"

#define OUTPUT_MAX ((size_t)64 << 20)

/* ---- starting it ---- */

typedef struct running {
    pid_t pid;
    int out, err; /* we read */
} running;

/* The environment, without what would lead git to another repository than the one named. */
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
        return ds_fail_errno(err, errno, "git cannot be started");
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
    int rc = posix_spawnp(&r->pid, "git", &fa, &at, argv, env);
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
        return ds_fail(err, DS_FAIL, "git cannot be started: %s", strerror(rc));
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
        return ds_fail(err, DS_FAIL, "git says more than %zu bytes", OUTPUT_MAX);
    return ds_buf_put(b, chunk, (size_t)n) ? ds_fail_nomem(err) : 0;
}

static int collect(running *r, ds_buf *out, ds_buf *bad, ds_err *err)
{
    int rc = 0;
    while (!rc && (r->out >= 0 || r->err >= 0)) {
        struct pollfd p[] = {{.fd = r->out, .events = POLLIN}, {.fd = r->err, .events = POLLIN}};
        if (poll(p, 2, -1) < 0 && errno != EINTR)
            rc = ds_fail_errno(err, errno, "git cannot be read from");
        rc = rc ? rc : ds_check_interrupt(err);
        if (!rc && p[0].revents)
            rc = drain(&r->out, out, err);
        if (!rc && p[1].revents)
            rc = drain(&r->err, bad, err);
    }
    return rc;
}

/* What git said, in one line: its last lines that are no hints. */
static const char *said(ds_buf *bad)
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

/* *status: its exit status, or 128 and a signal. */
static int run(char *const argv[], const void *input, size_t len, ds_buf *out, ds_buf *bad,
               int *status, ds_err *err)
{
    running r = {.pid = -1, .out = -1, .err = -1};
    int st = 0, in = memfd_create("git-input", MFD_CLOEXEC);
    int rc = in < 0 ? ds_fail_errno(err, errno, "git cannot be started") : 0;
    if (!rc && len)
        rc = ds_write_full(in, "git's input", input, len, err);
    if (!rc && lseek(in, 0, SEEK_SET) != 0)
        rc = ds_fail_errno(err, errno, "git cannot be started");
    rc = rc ? rc : spawn(&r, argv, in, err);
    if (!rc) {
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
    }
    if (in >= 0)
        close(in);
    return rc;
}

/* posix_spawn takes strings that it does not change. */
static char *arg(const char *s)
{
    union {
        const char *c;
        char *m;
    } u = {.c = s};
    return u.m;
}

/* ---- refs of another repository ---- */

void ds_gitrefs_fini(ds_gitrefs *r)
{
    for (size_t i = 0; i < r->n; i++)
        free(r->v[i].name);
    free(r->v);
    *r = (ds_gitrefs){0};
}

static int by_name(const void *a, const void *b)
{
    return strcmp(((const ds_gitref *)a)->name, ((const ds_gitref *)b)->name);
}

const git_oid *ds_gitrefs_find(const ds_gitrefs *r, const char *name)
{
    ds_gitref key = {.name = arg(name)};
    const ds_gitref *f = r->n ? bsearch(&key, r->v, r->n, sizeof *r->v, by_name) : NULL;
    return f ? &f->id : NULL;
}

static bool ours(const char *name)
{
    int valid = 0;
    return (strncmp(name, "refs/heads/", 11) == 0 || strncmp(name, "refs/tags/", 10) == 0 ||
            strncmp(name, "refs/dsver/runs/", 16) == 0) &&
           git_reference_name_is_valid(&valid, name) == 0 && valid && strlen(name) < 512;
}

static int parse_refs(ds_gitrefs *r, const ds_buf *text, ds_err *err)
{
    const char *s = (const char *)text->data;
    for (size_t at = 0; at < text->len;) {
        const char *line = s + at, *nl = memchr(line, '\n', text->len - at);
        size_t n = nl ? (size_t)(nl - line) : text->len - at;
        ds_gitref one;
        at += n + 1;
        if (n < GIT_OID_HEXSZ + 2 || line[GIT_OID_HEXSZ] != '\t' ||
            git_oid_fromstrn(&one.id, line, GIT_OID_HEXSZ) != 0)
            return ds_fail(err, DS_CORRUPT, "git ls-remote says what cannot be understood");
        one.name = strndup(line + GIT_OID_HEXSZ + 1, n - GIT_OID_HEXSZ - 1);
        if (!one.name)
            return ds_fail_nomem(err);
        if (!ours(one.name)) { /* "x^{}", what a tag leads to, is not valid either */
            free(one.name);
            continue;
        }
        ds_gitref *v = realloc(r->v, (r->n + 1) * sizeof *v);
        if (!v) {
            free(one.name);
            return ds_fail_nomem(err);
        }
        r->v = v;
        r->v[r->n++] = one;
    }
    if (r->n)
        qsort(r->v, r->n, sizeof *r->v, by_name);
    return 0;
}

int ds_git_refs(ds_gitrefs *out, const char *url, ds_err *err)
{
    ds_buf text = {0}, bad = {0};
    int status = 0;
    char *argv[] = {arg("git"), arg("ls-remote"), arg("--quiet"), arg("--"), arg(url), NULL};
    *out = (ds_gitrefs){0};
    int rc = ds_git_url_check(url, err);
    rc = rc ? rc : run(argv, NULL, 0, &text, &bad, &status, err);
    if (!rc && status)
        rc = ds_fail(err, DS_IO, "git cannot read %s: %s", url, said(&bad));
    git_libgit2_init();
    rc = rc ? rc : parse_refs(out, &text, err);
    git_libgit2_shutdown();
    if (rc)
        ds_gitrefs_fini(out);
    ds_buf_fini(&text);
    ds_buf_fini(&bad);
    return rc;
}

/* ---- objects ---- */

int ds_git_fetch(const char *dir, const char *url, const git_oid *ids, size_t n, ds_err *err)
{
    ds_buf input = {0}, text = {0}, bad = {0};
    char *where = NULL;
    int status = 0, rc = ds_git_url_check(url, err);
    if (!rc && asprintf(&where, "--git-dir=%s", dir) < 0) {
        where = NULL;
        rc = ds_fail_nomem(err);
    }
    for (size_t i = 0; !rc && i < n; i++)
        if (ds_buf_printf(&input, "%s\n", git_oid_tostr_s(&ids[i])))
            rc = ds_fail_nomem(err);
    char *argv[] = {arg("git"),
                    where,
                    arg("-c"),
                    arg("fetch.unpackLimit=1"),
                    arg("-c"),
                    arg("fetch.fsckObjects=true"),
                    arg("-c"),
                    arg("core.fsync=all"),
                    arg("fetch"),
                    arg("--quiet"),
                    arg("--no-tags"),
                    arg("--no-write-fetch-head"),
                    arg("--no-auto-maintenance"),
                    arg("--no-recurse-submodules"),
                    arg("--stdin"),
                    arg("--"),
                    arg(url),
                    NULL};
    if (!rc && n)
        rc = run(argv, input.data, input.len, &text, &bad, &status, err);
    if (!rc && status)
        rc = ds_fail(err, DS_IO, "git cannot fetch from %s: %s", url, said(&bad));
    free(where);
    ds_buf_fini(&input);
    ds_buf_fini(&text);
    ds_buf_fini(&bad);
    return rc;
}

/* ---- moving refs there ---- */

static int push_args(char ***out, const char *dir, const char *url, const ds_gitmove *m, size_t n,
                     ds_err *err)
{
    size_t k = 0;
    char **v = calloc(2 * n + 10, sizeof *v);
    *out = v;
    if (!v)
        return ds_fail_nomem(err);
    static const char *const fixed[] = {"push", "--quiet", "--porcelain", "--no-verify"};
    bool ok = (v[k++] = strdup("git")) && asprintf(&v[k++], "--git-dir=%s", dir) >= 0;
    for (size_t i = 0; ok && i < sizeof fixed / sizeof *fixed; i++)
        ok = (v[k++] = strdup(fixed[i])) != NULL;
    if (ok &&
        n > 1) /* one ref is atomic anyway, also where the other side does not know the word */
        ok = (v[k++] = strdup("--atomic")) != NULL;
    for (size_t i = 0; ok && i < n; i++)
        ok = asprintf(&v[k++], "--force-with-lease=%s:%s", m[i].name,
                      m[i].exists ? git_oid_tostr_s(&m[i].from) : "") >= 0;
    ok = ok && (v[k++] = strdup("--")) && (v[k++] = strdup(url));
    for (size_t i = 0; ok && i < n; i++)
        ok = asprintf(&v[k++], "%s:%s", git_oid_tostr_s(&m[i].to), m[i].name) >= 0;
    if (!ok)
        v[k - 1] = NULL;
    return ok ? 0 : ds_fail_nomem(err);
}

/* Of --porcelain's lines the first that says that a ref was rejected. */
static const char *rejected(ds_buf *text)
{
    const char *s = ds_buf_cstr(text), *at = s ? strstr(s, "!\t") : NULL;
    if (at) {
        text->data[strcspn(at, "\n") + (size_t)(at - s)] = '\0';
        for (char *p = (char *)text->data + (at - s); *p; p++)
            if (*p == '\t')
                *p = ' ';
        return at + 2;
    }
    return NULL;
}

int ds_git_push(const char *dir, const char *url, const ds_gitmove *m, size_t n, ds_err *err)
{
    ds_buf text = {0}, bad = {0};
    char **argv = NULL;
    int status = 0, rc = ds_git_url_check(url, err);
    rc = rc ? rc : push_args(&argv, dir, url, m, n, err);
    rc = rc ? rc : run(argv, NULL, 0, &text, &bad, &status, err);
    if (!rc && status) {
        const char *why = rejected(&text);
        rc = why ? ds_fail(err, DS_FAIL,
                           "%s: rejected: %s (somebody pushed meanwhile? run dsver fetch and try "
                           "again)",
                           url, why)
                 : ds_fail(err, DS_IO, "git cannot push to %s: %s", url, said(&bad));
    }
    for (size_t i = 0; argv && argv[i]; i++)
        free(argv[i]);
    free(argv);
    ds_buf_fini(&text);
    ds_buf_fini(&bad);
    return rc;
}

/* ---- a repository of our own ---- */

static const char config[] = "[core]\n\trepositoryformatversion = 0\n\tfilemode = true\n\tbare = "
                             "true\n\tfsync = all\n[receive]\n\tunpackLimit = 1\n\tfsckObjects = "
                             "true\n[gc]\n\tauto = 0\n";

int ds_git_make(const char *url, ds_err *err)
{
    const char *path = strncmp(url, "file://", 7) == 0 ? url + 7 : url;
    git_repository *repo = NULL;
    char *file = NULL;
    if (*path != '/')
        return 0;
    if (asprintf(&file, "%s/HEAD", path) < 0)
        return ds_fail_nomem(err);
    bool there = ds_path_exists(file);
    free(file);
    if (there)
        return 0;
    git_libgit2_init();
    git_repository_init_options o;
    git_repository_init_options_init(&o, GIT_REPOSITORY_INIT_OPTIONS_VERSION);
    o.flags = GIT_REPOSITORY_INIT_BARE | GIT_REPOSITORY_INIT_MKPATH;
    o.initial_head = "main";
    int rc = 0;
    if (git_repository_init_ext(&repo, path, &o) < 0)
        rc = ds_fail(err, DS_IO, "%s: cannot be made: %s", path, git_error_last()->message);
    git_repository_free(repo);
    git_libgit2_shutdown();
    if (!rc && asprintf(&file, "%s/config", path) < 0)
        return ds_fail_nomem(err);
    if (!rc) {
        rc = ds_atomic_write(file, 0666, config, sizeof config - 1, err);
        free(file);
    }
    return rc;
}
