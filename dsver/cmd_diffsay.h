/* cmd_diffsay.h - the records that two versions do not share, printed: what dsver diff and dsver
 * status tell.
 *
 * On standard output, as lines or as JSON: columns that only one of them has, then records in the
 * order of verdiff.h, then the numbers. One thread besides those that read.
 */
#ifndef DS_CMD_DIFFSAY_H
#define DS_CMD_DIFFSAY_H

#include "store.h"

typedef struct diffsay_opts {
    bool json;
    bool stat;  /* only the numbers */
    bool data;  /* JSON: tensors as base64, not as digests */
    bool draft; /* the version after is none yet: its id is not told */
    int threads;
} diffsay_opts;

/* Both versions are read from s. *differs: whether there is anything to tell, columns and order
 * included. */
int diffsay_records(bool *differs, ds_store *s, const git_oid *before, const git_oid *after,
                    const diffsay_opts *o, ds_err *err);

#endif
