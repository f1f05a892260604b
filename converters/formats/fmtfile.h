/* fmtfile.h - an input whose end must be read first: as a file that can be read anywhere, with its
 * digest. What comes from a pipe is copied to an unlinked file in $TMPDIR.
 */
#ifndef DS_FMTFILE_H
#define DS_FMTFILE_H

#include "format.h"

/* *fd stands at the beginning and is the caller's to close, also where this fails (-1: none). */
int ds_fmtfile_open(int *fd, uint64_t *size, ds_sha *sha, const ds_fmtread *o, ds_err *err);

#endif
