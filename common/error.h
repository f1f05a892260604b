/* error.h - how every function of this project reports failure.
 *
 * Functions that can fail return 0 or a negative code of enum ds_code and, when they are given an
 * error object, leave in it the message, made where the facts (path, offset, record) are known.
 * Only commands print. The first failure wins: setting an error that is already set keeps the old
 * message, so cleanup code may report without hiding the cause. All functions accept err == NULL.
 * Thread safety: an object belongs to one thread; a pool job carries its own.
 */
#ifndef DS_ERROR_H
#define DS_ERROR_H

#include <stdbool.h>
#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif

enum ds_code {
    DS_OK = 0,
    DS_FAIL = -1,     /* failed, or the answer is "no"                              exit 1  */
    DS_USAGE = -2,    /* the command line is wrong                                  exit 2  */
    DS_PARTIAL = -3,  /* done, but some input was skipped or quarantined            exit 3  */
    DS_NOSTORE = -10, /* no dsver store where one is needed                         exit 10 */
    DS_LOCKED = -11,  /* somebody else holds the lock                               exit 11 */
    DS_CORRUPT = -12, /* bytes are not what they were when written                  exit 12 */
    DS_IO = -13,      /* the system refused to read or write (EIO, ENOENT, ...)     exit 13 */
    DS_NOMEM = -14,   /* allocation failed                                          exit 1  */
    DS_NOROOM = -15   /* it did because the disk is full, or the quota used up      exit 13 */
};

#define DS_ERR_MAX 1024

typedef struct ds_err {
    int code; /* 0 or an enum ds_code */
    char msg[DS_ERR_MAX];
} ds_err;

#define DS_PRINTF(f, a) __attribute__((format(printf, f, a)))
#define DS_UNUSED __attribute__((unused))

/* Sets code and message unless an error is set already. Returns the code that now stands (code
 * itself when err is NULL), so that `return ds_fail(err, DS_CORRUPT, "...")` reads well. Control
 * characters in the finished message are replaced by '?': names come from strangers. */
int ds_fail(ds_err *err, int code, const char *fmt, ...) DS_PRINTF(3, 4);

/* The same for a failed system call: appends ": " and the text of errnum; ENOMEM gives DS_NOMEM,
 * ENOSPC and EDQUOT give DS_NOROOM, everything else DS_IO. */
int ds_fail_errno(ds_err *err, int errnum, const char *fmt, ...) DS_PRINTF(3, 4);

/* The same for what failed under another object, a job's or one of a call that may fail: its code
 * and message. DS_FAIL when it holds none. */
int ds_fail_as(ds_err *err, const ds_err *why);

/* DS_NOMEM with a fixed message. */
int ds_fail_nomem(ds_err *err);

/* Puts "prefix: " before the message of a set error; does nothing when none is set. Returns the
 * code. */
int ds_err_prefix(ds_err *err, const char *fmt, ...) DS_PRINTF(2, 3);

void ds_err_clear(ds_err *err);

/* DS_IO or DS_NOROOM: the system refused. */
bool ds_is_io(int code);

/* The exit status for a code: see the table above and exit codes in docs/architecture.md. */
int ds_exit_code(int code);

#ifdef __cplusplus
}
#endif

#endif
