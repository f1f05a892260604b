/* term.h - words for people: log lines on stderr, progress bars, the guard against binary on a
 * terminal.
 *
 * Progress is shown only when stderr is a terminal and this process is in its foreground group,
 * after one second and at most five times a second; DS_FAKE_TTY=1 makes tests see it, NO_COLOR and
 * TERM=dumb are obeyed.
 */
#ifndef DS_TERM_H
#define DS_TERM_H

#include <stdbool.h>
#include <stdint.h>

#include "error.h"

extern int ds_log_level;                            /* 0 quiet (-q), 1 normal, 2 verbose (-v) */
void ds_warn(const char *fmt, ...) DS_PRINTF(1, 2); /* "prog: ..." at level 1 and up */
void ds_info(const char *fmt, ...) DS_PRINTF(1, 2); /* at level 2 */
void ds_term_prog(const char *prog);                /* sets the name put before messages */

/* Whether somebody reads on a terminal what is warned of: then advice that a log has no use for may
 * be among it. DS_FAKE_TTY=1 as above. */
bool ds_term_watched(void);

typedef struct ds_progress {
    const char *what; /* "reading" */
    uint64_t total;   /* bytes or items; 0 = unknown */
    uint64_t done;
    bool bytes; /* count is in bytes */
    bool on;
    double start, last;
} ds_progress;
void ds_progress_begin(ds_progress *p, const char *what, uint64_t total, bool bytes);
void ds_progress_at(ds_progress *p,
                    uint64_t done); /* cheap: looks at the clock only now and then */
void ds_progress_end(ds_progress *p);

/* Refuses to write binary to a terminal: DS_USAGE with a hint (`hint` names what to do instead). */
int ds_refuse_tty(int fd, const char *hint, ds_err *err);

#endif
