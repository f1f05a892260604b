/* lineout.h - a version as JSON lines (jsonrow.h): keys and all columns, tensors as base64.
 *
 * Blocks are fetched and written as text by threads, and come out in order: the same bytes for any
 * number of threads. One block of a few is in memory for each of them; a large one is alone, and
 * its text goes out in parts.
 */
#ifndef DS_LINEOUT_H
#define DS_LINEOUT_H

#include "io.h"
#include "store.h"

/* Appends to out, which the caller flushes. */
int ds_lineout_write(ds_out *out, ds_store *s, const git_oid *commit, int threads, ds_err *err);

#endif
