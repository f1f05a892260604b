/* pipeline.h - programs one behind the other, each reading what the one before writes, started with
 * argument vectors and never by a shell.
 *
 * The first reads nothing; what the last writes is the caller's to read. What they say on standard
 * error is kept, and told of when one fails. One thread. Zeroed objects are valid and empty.
 */
#ifndef DS_PIPELINE_H
#define DS_PIPELINE_H

#include <stdbool.h>
#include <sys/types.h>

#include "buf.h"

typedef struct ds_argv {
    char **v; /* NULL after the last; owned */
    size_t n, cap;
} ds_argv;
int ds_argv_add(ds_argv *a, const char *s, ds_err *err); /* copies */
int ds_argv_addf(ds_argv *a, ds_err *err, const char *fmt, ...) DS_PRINTF(3, 4);
void ds_argv_fini(ds_argv *a);
/* As a shell would have to be told. DS_NOMEM. */
int ds_argv_quoted(ds_buf *out, const ds_argv *a);

typedef struct ds_pipeline {
    const ds_argv *stages; /* borrowed; v[0] is a path */
    size_t n;
    pid_t *pid; /* 0: not started */
    int *said;  /* standard error */
    int out;    /* to read from */
} ds_pipeline;
/* To be ended in every case. DS_FAIL when one cannot be started. */
int ds_pipeline_begin(ds_pipeline *p, const ds_argv *stages, size_t n, ds_err *err);
/* Waits for all. rc: the reader's; when it failed they are stopped, and an error of a program, the
 * first in order, takes the place of the reader's. Status 3 (something was left out) is none. */
int ds_pipeline_end(ds_pipeline *p, int rc, ds_err *err);

#endif
