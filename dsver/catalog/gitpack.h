/* gitpack.h - the new git objects of one commit, written as one git pack and its index.
 *
 * libgit2 can do this too, but it writes through shared mappings, where a full disk is a SIGBUS and
 * not an error, and it hashes and looks up every object again. Format: gitformat-pack(5): pack
 * version 2, index version 2; objects whole, never deltas. Objects are compressed as they come and
 * spooled, so memory does not grow with the commit. An object that the repository holds already, or
 * that came before, is not written again.
 *
 * Nothing shows in the repository before ds_gitpack_publish; after it everything is durable. One
 * thread each.
 */
#ifndef DS_GITPACK_H
#define DS_GITPACK_H

#include <git2.h>

#include "buf.h"
#include "spool.h"

typedef struct ds_gitpack ds_gitpack;

/* Borrows the object database; `pack_dir` is the repository's objects/pack. */
int ds_gitpack_new(ds_gitpack **out, git_odb *odb, const char *pack_dir, ds_err *err);
/* The object's id; nothing is kept when it exists already. */
int ds_gitpack_put(ds_gitpack *p, git_oid *id, git_object_t type, const void *data, size_t len,
                   ds_err *err);
/* An object of the database. DS_CORRUPT when it cannot be read, or is not what its id says. */
int ds_gitpack_copy(ds_gitpack *p, const git_oid *id, ds_err *err);
/* Writes what was put since the last publish. No file is made when there was nothing. */
int ds_gitpack_publish(ds_gitpack *p, ds_err *err);
/* From now on objects are written although the repository holds them: to join its packs. */
void ds_gitpack_keep_all(ds_gitpack *p);
const char *ds_gitpack_name(const ds_gitpack *p); /* "pack-<sha1>" last published, "" before */
uint64_t ds_gitpack_bytes(const ds_gitpack *p);   /* published so far, packs and indexes */
void ds_gitpack_free(ds_gitpack *p);              /* drops what was not published; NULL is fine */

/* A tree's bytes, entry by entry in git's order (byte order of names; folders as if their names
 * ended in '/'). */
int ds_gittree_put(ds_buf *tree, bool folder, const char *name, const git_oid *id);

/* Re-hashes a pack or an index file: its last 20 bytes are the SHA-1 of what comes before.
 * DS_CORRUPT when they are not. */
int ds_gitpack_verify(const char *path, ds_err *err);

#endif
