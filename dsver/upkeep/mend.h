/* mend.h - a store that can be opened again: its index, and its catalog with what a second store's
 * catalog has.
 *
 * Indexes of git packs are made anew from their packs. A damaged pack is replaced by one of all
 * that can be read of it. A ref that cannot be read, or that dsver made and did not delete, is put
 * back where the operation log left it, or where the other store has it. One of which only the log
 * tells, and only that it was to be made, may never have been: its command died, and gc took its
 * pieces since. It is put back when all its pieces can be had. Objects that a ref leads
 * to and that are not there, or not what their names say, are taken from the other. A repository
 * that cannot be opened is begun anew first. An index that cannot be opened is made anew from the
 * packs. Nothing of the other changes.
 *
 * With nobody else writing: writers are shut out meanwhile. One thread.
 */
#ifndef DS_MEND_H
#define DS_MEND_H

#include "store.h"

typedef struct ds_mended {
    bool index, made; /* made anew: the index; the repository */
    uint64_t files;   /* damaged ones that were replaced */
    uint64_t objects; /* taken from the other */
    uint64_t refs;    /* put back */
    uint64_t lost;    /* objects and refs that the other has not either */
    char what[300];   /* one of those */
    ds_buf begun;     /* ds_mendref: may never have been made, and not put back yet */
    uint64_t unmade;  /* of those, left out: some pieces are in neither store */
    char left[300];   /* one of these */
} ds_mended;

/* store: the folder, of which nothing is open. reason: for the operation log. 0 also when something
 * is lost: see `lost`. DS_LOCKED when `wait` is false and a writer is at work. *out goes by
 * ds_mended_fini in any case. */
int ds_mend_store(ds_mended *out, const char *store, ds_catalog *from, const char *reason,
                  bool wait, ds_err *err);
/* Then, with the store open and the caller alone at work in it: `begun`. */
int ds_mend_begun(ds_mended *m, ds_store *s, ds_store *from, ds_err *err);
void ds_mended_fini(ds_mended *m);

/* The part that finds refs: those to be put back (ds_mendref) are appended to `refs`; files that
 * hold none go. Also those that only the other has, where the repository was made anew. */
typedef struct ds_mendref {
    char *name; /* the caller's to free */
    git_oid id; /* here or there */
    bool begun; /* only the log has it, as about to be made */
} ds_mendref;
int ds_mend_refs(ds_buf *refs, ds_mended *out, const char *store, ds_catalog *c, ds_catalog *from,
                 ds_err *err);

#endif
