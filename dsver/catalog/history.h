/* history.h - every version that a ref leads to, each once. */
#ifndef DS_HISTORY_H
#define DS_HISTORY_H

#include "catalog.h"
#include "oidset.h"

/* A commit of the history, or one that cannot be read: then v is NULL, and why tells. Non-zero
 * stops and is returned. */
typedef int (*ds_history_fn)(void *ctx, const git_oid *id, const ds_version *v, const ds_err *why,
                             ds_err *err);
/* Newest first along each ref, refs in order of their names; all parents are followed. */
int ds_history_each(ds_catalog *c, ds_history_fn fn, void *ctx, ds_err *err);
/* The same, but for those in `seen`; they are added to it. */
int ds_history_more(ds_catalog *c, ds_oidset *seen, ds_history_fn fn, void *ctx, ds_err *err);
/* From one commit on. */
int ds_history_from(ds_catalog *c, const git_oid *id, ds_oidset *seen, ds_history_fn fn, void *ctx,
                    ds_err *err);

#endif
