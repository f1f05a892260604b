/* refs.h - names in the catalog that lead to versions: branches, tags, and heads that were left
 * behind.
 *
 * A ref is the only commit point of the store: moved by compare-and-swap, durable on return, one
 * process at a time. A head that a ref leaves behind other than by going on from it (reset, a
 * branch that is deleted, one of a remote that was put back there) is kept under refs/dsver/kept/
 * and so stays alive, until gc's time of grace is over.
 *
 * Errors as in catalog.h.
 */
#ifndef DS_REFS_H
#define DS_REFS_H

#include "catalog.h"

#define DS_REF_PREFIX "refs/heads/"
#define DS_REF_TAGS "refs/tags/"
#define DS_REF_KEPT "refs/dsver/kept/"
#define DS_REF_PINS "refs/dsver/pins/" /* DATASET/COMMIT: a tag that says who keeps it, and why */
#define DS_REF_REMOTES "refs/remotes/" /* REMOTE/DATASET/BRANCH: where it was when last seen */

/* 1 found, 0 not, < 0 error. Annotated tags are followed to their commit. */
int ds_ref_get(ds_catalog *c, const char *name, git_oid *id, ds_err *err);
/* Can `name`, which is not there, be made? DS_FAIL when it begins with that of another ref and a
 * slash, or the other way round: git keeps names like files. */
int ds_ref_check_new(ds_catalog *c, const char *name, ds_err *err);
/* Moves `name` from *expected (NULL: not there yet) to *to. 1 moved, 0 it is not at *expected, < 0
 * error. Durable on return. */
int ds_ref_move(ds_catalog *c, const char *name, const git_oid *expected, const git_oid *to,
                ds_err *err);
/* Makes refs that are not there yet, with as many writes for many as for one; sorts v by name.
 * Those that are not `made` on return can only be had by ds_ref_move, which may say why not. */
typedef struct ds_newref {
    const char *name;
    git_oid to;
    bool made;
} ds_newref;
enum { DS_REF_MANY = 32 }; /* from so many on it is worth it */
int ds_ref_make(ds_catalog *c, ds_newref *v, size_t n, ds_err *err);
int ds_newref_cmp(const void *a, const void *b); /* by name */
/* No ref moves until it is let go; nothing is written. *fd -1 where nobody can move one: the store
 * cannot be written, or its disk is full. */
int ds_ref_hold(ds_catalog *c, int *fd, ds_err *err);
void ds_ref_release(ds_catalog *c, int *fd);
/* Every ref in order of its name, with the commit that it leads to; refs to other things are
 * skipped. Non-zero from fn stops and is returned. */
typedef int (*ds_ref_fn)(void *ctx, const char *name, const git_oid *id, ds_err *err);
int ds_ref_each(ds_catalog *c, ds_ref_fn fn, void *ctx, ds_err *err);
/* The same with what the ref itself names, of whatever kind. */
int ds_ref_each_raw(ds_catalog *c, ds_ref_fn fn, void *ctx, ds_err *err);
/* Tells of every ref that cannot be read, and why; *n: how many. */
typedef void (*ds_badref_fn)(void *ctx, const char *name, const ds_err *why);
int ds_ref_damaged(ds_catalog *c, ds_badref_fn fn, void *ctx, uint64_t *n, ds_err *err);
/* Appends the commits of all refs (git_oid). */
int ds_ref_commits(ds_buf *commits, ds_catalog *c, ds_err *err);
int ds_ref_any(ds_catalog *c, ds_err *err); /* 1 there is one, 0 there is none, < 0 error */
/* 1 deleted, 0 it is not at *expected, < 0 error. */
int ds_ref_delete(ds_catalog *c, const char *name, const git_oid *expected, ds_err *err);

/* An entry of the operation log about what moves no ref. */
int ds_ref_note(ds_catalog *c, const char *detail, ds_err *err);

/* Keeps what `name` led to. */
int ds_ref_keep(ds_catalog *c, const char *name, const git_oid *id, ds_err *err);
/* Keeps what `name` led to, and deletes it. 1 deleted, 0 it is not at *expected, < 0 error. */
int ds_ref_drop(ds_catalog *c, const char *name, const git_oid *expected, ds_err *err);
/* Deletes what was kept at that time (seconds since 1970) or before; *n: how many, or would be. */
int ds_ref_expire(ds_catalog *c, int64_t until, bool dry_run, uint64_t *n, ds_err *err);

#endif
