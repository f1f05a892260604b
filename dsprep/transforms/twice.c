/* twice.c - see twice.h. */
#include "twice.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "io.h"
#include "sig.h"

enum { STEP = 1 << 20 };

static int copy_all(int to, int from, const char *name, const char *tmp, ds_err *err)
{
    uint8_t *buf = malloc(STEP);
    size_t got = STEP;
    int rc = buf ? 0 : ds_fail_nomem(err);
    while (rc == 0 && got == STEP) {
        rc = ds_check_interrupt(err);
        if (rc == 0)
            rc = ds_read_full(from, name, buf, STEP, &got, err);
        if (rc == 0)
            rc = ds_write_full(to, tmp, buf, got, err);
    }
    free(buf);
    return rc;
}

static int hold(ds_twice *t, int i, const char *operand, ds_err *err)
{
    int *fd = &t->fds[i];
    char **path = &t->paths[i];
    ds_calling *c = &t->callings[i];
    const bool standard = strcmp(operand, "-") == 0;
    const char *tmp = getenv("TMPDIR"), *name = standard ? "standard input" : operand;
    char *file = NULL;
    int from = STDIN_FILENO, rc = 0;
    if (standard && isatty(STDIN_FILENO))
        return ds_fail(err, DS_USAGE,
                       "standard input is a terminal: give a FILE, or pipe a DSR stream in");
    if (asprintf(&file, "%s/input-XXXXXX", tmp && *tmp ? tmp : "/tmp") < 0)
        return ds_fail_nomem(err);
    if (!standard)
        rc = ds_open(&from, operand, O_RDONLY, 0, err);
    if (rc == 0 && (*fd = mkostemp(file, O_CLOEXEC)) < 0)
        rc = ds_fail_errno(err, errno, "%s", file);
    if (rc == 0) {
        ds_io_active->unlink(file);
        rc = copy_all(*fd, from, name, file, err);
    }
    if (rc == 0 && asprintf(path, "/dev/fd/%d", *fd) < 0) {
        *path = NULL;
        rc = ds_fail_nomem(err);
    }
    if (rc == 0 && !(c->name = strdup(name)))
        rc = ds_fail_nomem(err);
    if (rc == 0) {
        c->path = *path;
        ds_instream_call(c);
    }
    if (!standard && from >= 0)
        close(from);
    free(file);
    return rc;
}

static bool again(const char *operand)
{
    struct stat st;
    return strcmp(operand, "-") != 0 &&
           (stat(operand, &st) != 0 || S_ISREG(st.st_mode) || S_ISDIR(st.st_mode));
}

int ds_twice_open(ds_twice *t, char **operands, int n, ds_err *err)
{
    static char standard[] = "-";
    char *none[] = {standard};
    char **from = n ? operands : none;
    int rc = 0;
    *t = (ds_twice){.n = n ? n : 1};
    t->paths = calloc((size_t)t->n, sizeof *t->paths);
    t->fds = malloc((size_t)t->n * sizeof *t->fds);
    t->callings = calloc((size_t)t->n, sizeof *t->callings);
    for (int i = 0; t->fds && i < t->n; i++)
        t->fds[i] = -1;
    if (!t->paths || !t->fds || !t->callings)
        return ds_fail_nomem(err);
    for (int i = 0; rc == 0 && i < t->n; i++) {
        if (!again(from[i]))
            rc = hold(t, i, from[i], err);
        else if (!(t->paths[i] = strdup(from[i])))
            rc = ds_fail_nomem(err);
    }
    return rc;
}

void ds_twice_fini(ds_twice *t)
{
    for (int i = 0; t->fds && i < t->n; i++)
        if (t->fds[i] >= 0)
            close(t->fds[i]);
    for (int i = 0; t->callings && i < t->n; i++) {
        ds_instream_uncall(&t->callings[i]);
        free((char *)(uintptr_t)t->callings[i].name);
    }
    for (int i = 0; t->paths && i < t->n; i++)
        free(t->paths[i]);
    free(t->callings);
    free(t->paths);
    free(t->fds);
    *t = (ds_twice){0};
}
