/* recut.h - a version from which records were erased, as a stream: record by record, with the cuts
 * that its records have now. One thread.
 *
 * The addresses that it was committed with are checked against its root; the stream carries none.
 */
#ifndef DS_RECUT_H
#define DS_RECUT_H

#include "readback.h"

/* Something was erased from the version. */
int ds_recut_needed(bool *erased, ds_store *s, const git_oid *commit, ds_err *err);
/* When it fails after the first byte, an abort frame ends the stream. */
int ds_recut_write(ds_out *out, ds_store *s, const git_oid *commit, const ds_readback_opts *o,
                   ds_err *err);

#endif
