/* sig.h - orderly interruption. ^C stops reading: loops look at ds_interrupted() and return DS_FAIL
 * with a message; the command drops its temporaries and calls ds_sig_reraise. A second ^C leaves at
 * once. */
#ifndef DS_SIG_H
#define DS_SIG_H

#include <stdbool.h>

#include "error.h"

void ds_sig_setup(void); /* SIGINT, SIGTERM, SIGHUP */
bool ds_interrupted(void);
int ds_check_interrupt(ds_err *err); /* DS_FAIL "interrupted" when a signal came */
void ds_sig_reraise(void);           /* dies by the signal that came, if one did */
/* For work that stops between steps and then finishes in order: system calls that a signal meets go
 * on from now. */
void ds_sig_restart(void);
/* For who ends when its input does: the first signal is left to those before it in the pipe, a
 * second one leaves at once. */
void ds_sig_defer(void);
void ds_sig_answered(void); /* the signal was obeyed: ds_sig_reraise does nothing */

#endif
