/* gitrun.h - git's own program, for all that goes over a network: refs of another repository,
 * objects from it and to it.
 *
 * Transports, credentials and proxies are git's. Its messages become ours. DS_IO when git fails (it
 * does not say why in a way that a program could tell apart), DS_FAIL when it cannot be started or
 * a push is refused.
 */
#ifndef DS_GITRUN_H
#define DS_GITRUN_H

#include <git2.h>
#include <stdbool.h>

#include "buf.h"

/* A ref of another repository. */
typedef struct ds_gitref {
    char *name;
    git_oid id; /* of a tag object, for an annotated tag */
} ds_gitref;
typedef struct ds_gitrefs {
    ds_gitref *v; /* sorted by name */
    size_t n, cap;
} ds_gitrefs;
void ds_gitrefs_fini(ds_gitrefs *r);
/* Takes over name, also when it fails; the caller keeps the order. */
int ds_gitrefs_add(ds_gitrefs *r, char *name, const git_oid *id, ds_err *err);
const git_oid *ds_gitrefs_find(const ds_gitrefs *r, const char *name); /* NULL: not there */

/* The refs of the repository at url: heads, tags, runs, and what was erased. */
int ds_git_refs(ds_gitrefs *out, const char *url, ds_err *err);
/* Brings objects into the repository in `dir`; no ref moves. */
int ds_git_fetch(const char *dir, const char *url, const git_oid *ids, size_t n, ds_err *err);

/* A ref that is to be moved there. */
typedef struct ds_gitmove {
    const char *name;
    git_oid to;   /* all zeros: it is to be deleted */
    git_oid from; /* where it must be now */
    bool exists;  /* false: it must not be there */
} ds_gitmove;
/* All of them or none, each only from where it must be. DS_FAIL when one is not there any more. */
int ds_git_push(const char *dir, const char *url, const ds_gitmove *m, size_t n, ds_err *err);
/* Whether there is no repository at a path of this machine: 1, or 0, also for other URLs; < 0. */
int ds_git_lacks(const char *url, ds_err *err);
/* Makes a bare one there, whole or not at all. */
int ds_git_make(const char *url, ds_err *err);
/* Joins many small packs of one at a path of this machine, as git does (repack --geometric), and
 * leaves nothing out; others push to it and fetch from it meanwhile. Each push leaves one, and git
 * looks through all for each object. *n: how many are fewer now. Elsewhere that is for who keeps
 * the server. */
int ds_git_join(uint64_t *n, const char *url, ds_err *err);

#endif
