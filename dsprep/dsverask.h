/* dsverask.h - the dsver beside this program (else the one in PATH), asked for something: what it
 * writes is read from a pipe.
 *
 * dsver is a process of its own, not a call of its library: git and curl, which come with that,
 * would make every start of dsprep 3 ms longer (5 to 8 ms), in pipes of many. One thread.
 */
#ifndef DS_DSVERASK_H
#define DS_DSVERASK_H

#include <stdbool.h>
#include <stdint.h>

#include "buf.h"
#include "error.h"

enum { DS_ASK_WORDS = 8 };

/* dsver WORD...: *fd gives what it writes. At most DS_ASK_WORDS; nothing of them is changed. */
int ds_ask_start(int *pid, int *fd, const char *const *words, size_t n, ds_err *err);
/* Waits; `whole`: its output was read to its end, so it must have ended well. `what` was asked for.
 */
int ds_ask_end(int *pid, bool whole, const char *what, ds_err *err);
/* All that it writes, to out. WORDs hold --json: what it says otherwise is dropped, and the error
 * that it ends with is this one's. */
int ds_ask_text(ds_buf *out, const char *const *words, size_t n, const char *what, ds_err *err);

#endif
