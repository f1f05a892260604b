/* overlay.h - what was erased from versions that stay as they are: lines of the manifest and those
 * that are read in their place (docs/store-format.md, "Erasure").
 *
 * refs/dsver/erased leads to a commit whose tree holds the lines, sorted by the address of the
 * block or page that each replaces, and a statement for each erasure. It is read whole, when a
 * manifest is opened for the first time, and costs one look-up of a ref in a store that has none.
 * Read only once loaded.
 */
#ifndef DS_OVERLAY_H
#define DS_OVERLAY_H

#include "catalog.h"
#include "erasedrows.h"

#define DS_REF_ERASED "refs/dsver/erased"
/* There while an erasure that came from another store is not carried through here. */
#define DS_REF_ERASING "refs/dsver/erasing"

typedef struct ds_overlay ds_overlay;

/* To read by: without rows. *out = NULL when nothing was erased. */
int ds_overlay_load(ds_overlay **out, ds_catalog *c, ds_err *err);
/* That of a commit, whatever the ref says. */
int ds_overlay_load_at(ds_overlay **out, ds_catalog *c, const git_oid *commit, ds_err *err);
void ds_overlay_free(ds_overlay *o); /* NULL is fine */
/* The line in place of that of this block or page, without its newline; NULL: it stands. */
const uint8_t *ds_overlay_find(const ds_overlay *o, const ds_sha *address, size_t *len);
/* The i-th of all, by address; false past the last. */
bool ds_overlay_line(const ds_overlay *o, size_t i, ds_sha *address, const uint8_t **text,
                     size_t *len);
/* Of one that was loaded by its commit. Appends the rows of this block, or sources of this page,
 * that are tombstones in its line (ds_erasedrow): 1; 0: not known, as in erasures of old; < 0. */
int ds_overlay_rows(const ds_overlay *o, const ds_sha *address, ds_buf *rows, ds_err *err);
/* Those that are tombstones when two erasures are joined, each under the name that it has then; as
 * above. */
int ds_overlay_joined_rows(const ds_overlay *a, const ds_overlay *b, const ds_sha *address,
                           ds_buf *rows, ds_err *err);
/* Pieces that held something of what was erased, sorted. A version may need one all the same: one
 * that was committed since, or a block beside that shares it. */
const ds_sha *ds_overlay_gone(const ds_overlay *o, size_t *n);
bool ds_overlay_is_gone(const ds_overlay *o, const ds_sha *piece); /* one of them */
/* DS_FAIL, and says so, when the piece was erased from the store in this folder. For whoever reads
 * by what he knew before; opens the catalog anew, so any thread may ask. */
int ds_overlay_explain(const char *dir, const ds_sha *piece, ds_err *err);
/* An erasure was published and not carried through to the packs. */
bool ds_overlay_pending(const ds_overlay *o);

/* One erasure. */
typedef struct ds_erasure {
    const ds_buf *lines; /* "ADDRESS LINE\n" in any order: beside those before, or in their place */
    const ds_buf *rows;  /* "ADDRESS", ds_erasedrows_put, "\n": of each line, what it erases */
    const ds_buf *gone;  /* ds_sha: pieces of the lines that are replaced */
    const ds_buf *statement; /* JSON */
} ds_erasure;
/* Makes the commit and moves the ref, `pending`. by: all but tree and parent. */
int ds_overlay_publish(ds_catalog *c, const ds_erasure *e, const ds_note_new *by, ds_err *err);
/* The packs hold no more of it: nothing is pending. Nothing to do is fine. */
int ds_overlay_done(ds_catalog *c, const ds_note_new *by, ds_err *err);

/* Moves the ref from where it is (NULL: not there yet) to an erasure whose objects are here; it is
 * pending from then on. */
int ds_overlay_adopt(ds_catalog *c, const git_oid *from, const git_oid *to, ds_err *err);
/* A commit *id of the erasures of both, to which no ref leads yet. lines: in place of those that
 * the two replace by different ones. */
int ds_overlay_join(git_oid *id, ds_catalog *c, const ds_overlay *ours, const ds_overlay *theirs,
                    const ds_buf *lines, const ds_note_new *by, ds_err *err);

#endif
