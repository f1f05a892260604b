/* catalog.h - the history of datasets: a bare git repository, reached through libgit2.
 *
 * Git's own tools can log, tag, push and clone it. A dataset version is a git commit whose tree is
 * a manifest (manifest.h) and whose message ends in trailers; refs/heads/DATASET/BRANCH is the
 * newest one. A ref is the only commit point of the store: moved by compare-and-swap, everything
 * else durable before. Format: docs/store-format.md, "Catalog".
 *
 * Errors: DS_CORRUPT for objects that are missing or not what they should be, DS_LOCKED for a ref
 * that somebody keeps locked, DS_IO, DS_NOMEM, DS_FAIL. One thread at a time on one ds_catalog; any
 * number of processes.
 */
#ifndef DS_CATALOG_H
#define DS_CATALOG_H

#include <git2.h>
#include <stdbool.h>

#include "buf.h"
#include "gitpack.h"
#include "hash.h"
#include "oplog.h"

#define DS_BRANCH "main" /* the default branch */

typedef struct ds_catalog ds_catalog;

int ds_catalog_create(const char *dir, ds_err *err); /* fine when it is there */
/* The file, "HEAD" or "config", for which git's own program sees no repository in the folder,
 * though libgit2 may; NULL: it sees one. */
const char *ds_catalog_closed(const char *dir);
int ds_catalog_share(ds_catalog *c, ds_err *err); /* tells git's commands what sharing.h knows */
/* That of the store in the folder: catalog.git, locks/refs.lock, oplog. */
int ds_catalog_open(ds_catalog **out, const char *store, ds_err *err);
/* Forgets what libgit2 knows of packs that are gone. Nothing that was lent may be in use, and no
 * other may lie below it. When it fails c can only be closed. */
int ds_catalog_reopen(ds_catalog *c, ds_err *err);
void ds_catalog_close(ds_catalog *c); /* NULL is fine */
git_repository *ds_catalog_repo(ds_catalog *c);
/* Refs that cannot be read are passed over by the walks over refs, which else end there: for who
 * told of them and must look at the rest none the less, never for who decides what is needed. */
void ds_catalog_pass_damaged(ds_catalog *c);
bool ds_catalog_passes_damaged(const ds_catalog *c);
git_odb *ds_catalog_odb(ds_catalog *c);
const char *ds_catalog_dir(const ds_catalog *c);
const char *ds_catalog_lock(const ds_catalog *c); /* serialises this project's ref updates */
ds_oplog *ds_catalog_oplog(const ds_catalog *c);
/* The ids of all that lies in its packs and beside them (git_oid, in place of what was in `ids`),
 * some more than once. Packs may be joined meanwhile: what is listed can be read all the same. */
int ds_catalog_objects(ds_buf *ids, const ds_catalog *c, ds_err *err);
int ds_catalog_pack(ds_gitpack **out, ds_catalog *c,
                    ds_err *err); /* a ds_gitpack for this repository */

/* What was erased, NULL for nothing; loaded at first use and lent. Anew: after it has changed. */
struct ds_overlay;
int ds_catalog_overlay(const struct ds_overlay **out, ds_catalog *c, bool anew, ds_err *err);
/* Another in its place, until it is loaded anew; takes it over. */
void ds_catalog_use_overlay(ds_catalog *c, struct ds_overlay *o);

/* All objects of `under`, and what was erased there, are read as if they were here. c has nothing
 * yet; `under` stays as it is. */
int ds_catalog_lay_over(ds_catalog *c, ds_catalog *under, ds_err *err);

/* libgit2 made ready, for as long as the process lives: each new start of it reads the system's
 * certificates, which takes longer than most of what is done here. At any time, by any thread. */
int ds_git_begin(ds_err *err);
/* Sets an error from libgit2's: "what: its message". Returns the code. */
int ds_fail_git(ds_err *err, int git_rc, const char *fmt, ...) DS_PRINTF(3, 4);
/* The same when it could not read what is to be in the catalog: DS_CORRUPT, unless memory or the
 * system failed. */
int ds_fail_git_read(ds_err *err, const char *fmt, ...) DS_PRINTF(2, 3);

/* ---- names ---- */
/* DS_USAGE when it cannot be a dataset's name: empty, longer than 128 bytes, with '/', '@', '~',
 * blanks and control bytes, or what git refuses in a ref; a branch or tag name may have '/'. */
int ds_dataset_check(const char *name, ds_err *err);
int ds_branch_check(const char *name, ds_err *err);
int ds_tag_check(const char *name, ds_err *err);

/* ---- objects ---- */
int ds_catalog_blob(ds_buf *out, ds_catalog *c, const git_oid *id, ds_err *err);
/* What the tree has under `path`: 1, 0 when it has nothing there, < 0. */
int ds_catalog_entry(git_oid *id, ds_catalog *c, const git_oid *tree, const char *path,
                     ds_err *err);
/* The file `path` of the tree; DS_CORRUPT when it is not there. */
int ds_catalog_file(ds_buf *out, ds_catalog *c, const git_oid *tree, const char *path, ds_err *err);

typedef struct ds_version {
    git_oid id, tree, parent;
    bool has_parent;
    git_oid merged; /* the second parent: of the branch that was merged */
    bool has_merged;
    int64_t time;  /* committer's, seconds since 1970 UTC */
    char *author;  /* "Name <mail>" */
    char *message; /* without the trailers */
    char *dataset; /* from the trailers; "" when there are none: not a dataset's commit */
    ds_sha root;
    uint64_t records;
} ds_version;
int ds_version_get(ds_version *v, ds_catalog *c, const git_oid *id,
                   ds_err *err); /* fini'd and filled */
void ds_version_fini(ds_version *v);

struct ds_signer;

typedef struct ds_version_new {
    git_oid tree;
    const git_oid *parent; /* NULL: the first */
    const git_oid *merged; /* NULL: none */
    const char *dataset, *message;
    const char *name, *mail; /* the author */
    int64_t time;
    ds_sha root;
    uint64_t records;
    const struct ds_signer *signer; /* sign.h; NULL: not signed. So below */
} ds_version_new;
/* Whether a message has a line that begins as one of those that make a commit a version. */
bool ds_version_claimed(const char *message);
/* Puts the commit object into the pack. */
int ds_version_put(ds_gitpack *p, git_oid *id, const ds_version_new *v, ds_err *err);

/* A commit that is no dataset's version. */
typedef struct ds_note_new {
    git_oid tree;
    const git_oid *parent; /* NULL: the first */
    const git_oid *merged; /* NULL: none */
    const char *message, *name, *mail;
    int64_t time;
    const struct ds_signer *signer;
} ds_note_new;
int ds_note_put(ds_gitpack *p, git_oid *id, const ds_note_new *n, ds_err *err);

typedef struct ds_tag_new {
    git_oid target; /* a version */
    const char *dataset, *tag, *message;
    const char *name, *mail; /* the tagger */
    int64_t time;
    const struct ds_signer *signer;
} ds_tag_new;
/* Puts an annotated tag's object into the pack. */
int ds_tag_put(ds_gitpack *p, git_oid *id, const ds_tag_new *t, ds_err *err);

#endif
