/* oplog.h - what was done to a store, by whom and why: a file of entries, each with the hash of the
 * one before.
 *
 * An entry is written and synced before what it tells of happens, with refs.lock held: whatever
 * changed has its entry, also when the process or the machine died right after. One that died
 * between the two leaves an entry for a ref that stayed where it was. Format: docs/store-format.md,
 * "Operations". It is a file and not a ref: it costs one fsync and no pack, it belongs to this
 * store and travels nowhere, and refs lost with the catalog can be read from it.
 *
 * Errors: DS_IO, DS_NOMEM, DS_CORRUPT. One thread at a time on one ds_oplog.
 */
#ifndef DS_OPLOG_H
#define DS_OPLOG_H

#include <git2.h>
#include <stdbool.h>

#include "buf.h"
#include "hash.h"

typedef struct ds_oplog ds_oplog;

int ds_oplog_new(ds_oplog **out, const char *store, ds_err *err); /* of the store in that folder */
void ds_oplog_free(ds_oplog *l);                                  /* NULL is fine */
/* For the entries that follow. command: NULL, the program's name; author: as in person.h; reason:
 * NULL for none. */
int ds_oplog_act(ds_oplog *l, const char *command, const char *author, const char *reason,
                 ds_err *err);
bool ds_oplog_begun(const ds_oplog *l); /* the file is there */

/* A ref that is to move; NULL: it is not there yet, or to be deleted. */
typedef struct ds_opmove {
    const char *ref;
    const git_oid *before, *after;
} ds_opmove;
/* An entry for each move, or with n = 0 one that is about no ref. detail: what else there is to
 * say, or NULL. The caller holds refs.lock. Durable on return. */
int ds_oplog_append(ds_oplog *l, const ds_opmove *m, size_t n, const char *detail, ds_err *err);

typedef struct ds_opentry {
    uint64_t seq, line, offset;                                 /* line from 1, byte offset */
    const char *time, *actor, *command, *reason, *ref, *detail; /* "" for what it has not */
    uint64_t uid;
    bool has_before, has_after;
    git_oid before, after;
    ds_sha prev, hash;   /* prev: of the entry before, as it is there */
    const char *trouble; /* NULL, or how the chain is broken here; then the rest may be empty */
} ds_opentry;
/* Every entry in order, also behind one that is broken. Non-zero from fn stops and is returned. A
 * file that is not there has none. What a writer that died left behind the last whole line is not
 * looked at. */
typedef int (*ds_oplog_fn)(void *ctx, const ds_opentry *e, ds_err *err);
int ds_oplog_each(const char *store, ds_oplog_fn fn, void *ctx, ds_err *err);

/* Where the log leaves each ref. */
typedef struct ds_opref {
    char *name;
    bool has_before, has_after; /* of its last entry, which may not have come about */
    git_oid before, after;
    bool gap; /* when its last entry was written it was not where the one before had left it */
} ds_opref;
typedef struct ds_oprefs {
    ds_opref *v; /* sorted by name */
    size_t n, cap;
} ds_oprefs;
int ds_oprefs_add(ds_oprefs *r, const ds_opentry *e, ds_err *err);
const ds_opref *ds_oprefs_find(const ds_oprefs *r, const char *name);
void ds_oprefs_fini(ds_oprefs *r);

#endif
