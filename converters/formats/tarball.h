/* tarball.h - members of a tar: heads that are written (ustar, pax for what does not fit), and the
 * members of one that is read (ustar, pax, GNU long names). Times, owners and modes say nothing.
 */
#ifndef DS_TARBALL_H
#define DS_TARBALL_H

#include "fmtin.h"

/* Appends what stands before the data of a file; its data is filled up to 512 bytes with zeros. */
int ds_tarball_head(ds_buf *out, const char *name, size_t len, uint64_t size);
static inline size_t ds_tarball_fill(uint64_t size)
{
    return (size_t)((512 - size % 512) % 512);
}
/* What ends a tar. */
#define DS_TARBALL_END 1024

/* Reads on to the next file: its name (NUL at its end) and size; the window then stands at its
 * data. 1 = a file, 0 = the end, DS_FAIL with *why (static) when it is no tar from here on, other
 * codes with err. */
int ds_tarball_next(ds_fmtin *in, ds_buf *name, uint64_t *size, const char **why, ds_err *err);

#endif
