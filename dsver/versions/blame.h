/* blame.h - which versions made a record what it is.
 *
 * Goes back from a version along first parents, and along the branch that was merged where the
 * record came from there. A version whose blocks hold the record unchanged costs a look at its
 * manifest; where it does not, blocks that both versions have are left out, and the others are
 * searched outwards from where the record was. Of several records with one (derived) key it is the
 * first.
 */
#ifndef DS_BLAME_H
#define DS_BLAME_H

#include "recblock.h"
#include "strlist.h"

/* A version that introduced the record (`columns` NULL) or changed it (the columns that differ from
 * the version before). Non-zero stops and is returned. */
typedef int (*ds_blame_fn)(void *ctx, const ds_version *v, const ds_strlist *columns, ds_err *err);

/* 1 when the version has a record with that key (for a derived key its 32 hex digits), 0 not, < 0
 * error. */
int ds_blame_run(ds_store *s, const git_oid *commit, const void *key, size_t len, int threads,
                 ds_blame_fn fn, void *ctx, ds_err *err);

#endif
