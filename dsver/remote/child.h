/* child.h - another program, started with an argument vector and never by a shell, fed and read to
 * its end.
 *
 * It is looked for in PATH; LC_ALL is C, and variables that would lead git to another repository
 * are left out. An interrupt ends it. DS_FAIL when it cannot be started; how it ended is for the
 * caller to judge.
 */
#ifndef DS_CHILD_H
#define DS_CHILD_H

#include "buf.h"

/* out, bad: appended what it writes. *status: its exit status, or 128 and a signal. */
int ds_child_run(char *const argv[], const void *input, size_t len, ds_buf *out, ds_buf *bad,
                 int *status, ds_err *err);
/* The same, fed from a file, from where the descriptor stands. */
int ds_child_feed(char *const argv[], int input, ds_buf *out, ds_buf *bad, int *status,
                  ds_err *err);
/* For argv, whose strings are not changed. */
char *ds_child_arg(const char *s);
/* What it said, in one line, its end; changes the buffer. */
const char *ds_child_said(ds_buf *bad);

#endif
