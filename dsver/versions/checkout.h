/* checkout.h - a version as files in a folder of its own.
 *
 * The folder appears by rename, whole or not at all, and takes the place of one that an earlier
 * checkout left, if nobody changed that: its marker lists the files with their digests. Nothing in
 * it is shared with the store, which no editor of the files can reach.
 */
#ifndef DS_CHECKOUT_H
#define DS_CHECKOUT_H

#include "store.h"

#define DS_CHECKOUT_MARK ".dsver-checkout"

/* AUTO: files for a version that dsprep files made, else DSR. Files go into a folder that is not
 * there or empty, with no marker: what is in it is the version, nothing else. */
enum ds_checkout_form { DS_CHECKOUT_DSR, DS_CHECKOUT_JSONL, DS_CHECKOUT_FILES, DS_CHECKOUT_AUTO };

typedef struct ds_checkout_opts {
    enum ds_checkout_form form;
    bool setuid;        /* files: keep set-user-id and set-group-id bits */
    bool lax;           /* ends before the disk has it: after a crash it may be there in part */
    int threads, level; /* level: of zstd, DSR only */
    const char *const *only; /* files: these patterns (filepart.h) alone; borrowed */
    size_t nonly;            /* 0: all */
} ds_checkout_opts;

typedef struct ds_checkedout {
    char *file;     /* its name in the folder; NULL: files */
    uint64_t files; /* how many, folders and links among them */
    uint64_t bytes;
    bool replaced; /* an earlier checkout */
} ds_checkedout;

/* DS_FAIL when dir holds something that is not an unchanged checkout. Caller frees out->file. */
int ds_checkout_run(ds_checkedout *out, ds_store *s, const git_oid *commit, const char *dir,
                    const ds_checkout_opts *o, ds_err *err);

#endif
