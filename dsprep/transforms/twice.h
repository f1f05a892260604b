/* twice.h - operands of a stage that reads its input twice: what cannot be read again (standard
 * input, a pipe with a name) is copied to a file without a name in $TMPDIR first.
 *
 * A zeroed object is valid. In messages a copy has the name of what was copied.
 */
#ifndef DS_TWICE_H
#define DS_TWICE_H

#include "instream.h"

typedef struct ds_twice {
    char **paths; /* what to open in place of the operands */
    int n;
    int *fds;
    ds_calling *callings; /* what copies are called in messages; with names of their own */
} ds_twice;

int ds_twice_open(ds_twice *t, char **operands, int n, ds_err *err);
void ds_twice_fini(ds_twice *t);

#endif
