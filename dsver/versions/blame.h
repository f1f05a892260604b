/* blame.h - which versions made a record what it is.
 *
 * Goes back from a version along first parents, and along the branch that was merged where the
 * record came from there. A version whose blocks hold the record unchanged costs a look at its
 * manifest; where it does not, blocks that both versions have are left out, and the others are
 * searched outwards from where the record was. Of several records with one (derived) key it is the
 * first.
 *
 * Of a record that the version does not have, it begins with who removed it: the version none of
 * whose parents lacks it. Where a merge joined two, it was removed in the one that lacks it; both
 * lacking it, the first parent's history is searched before that of the branch.
 */
#ifndef DS_BLAME_H
#define DS_BLAME_H

#include "strlist.h"
#include "verdiff.h"

/* A version that removed, changed or introduced the record; `columns`: of a change, those that
 * differ from the version before, NULL otherwise. Non-zero stops and is returned. */
typedef int (*ds_blame_fn)(void *ctx, const ds_version *v, enum ds_change change,
                           const ds_strlist *columns, ds_err *err);

typedef struct ds_blame_opts {
    const void *key; /* len bytes; for a derived key its 32 hex digits */
    size_t len;
    int threads;
    ds_blame_fn fn;
    void *ctx;
} ds_blame_opts;

/* 1 when the version or one before it has a record with that key, 0 none, < 0 error. *erased, of 0:
 * there are versions from which records were erased; it may have been one of them. */
int ds_blame_run(bool *erased, ds_store *s, const git_oid *commit, const ds_blame_opts *o,
                 ds_err *err);

#endif
