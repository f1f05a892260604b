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

#define DS_REF_ERASED "refs/dsver/erased"

typedef struct ds_overlay ds_overlay;

/* *out = NULL when nothing was erased. */
int ds_overlay_load(ds_overlay **out, ds_catalog *c, ds_err *err);
void ds_overlay_free(ds_overlay *o); /* NULL is fine */
/* The line in place of that of this block or page, without its newline; NULL: it stands. */
const uint8_t *ds_overlay_find(const ds_overlay *o, const ds_sha *address, size_t *len);
/* An erasure was published and not carried through to the packs. */
bool ds_overlay_pending(const ds_overlay *o);
size_t ds_overlay_statements(const ds_overlay *o);

/* One erasure. lines: "ADDRESS LINE\n" in any order; they stand beside those before, or in place of
 * them. statement: JSON. by: of its commit, all but tree and parent. Makes the commit and moves the
 * ref, `pending`. */
int ds_overlay_publish(ds_catalog *c, const ds_buf *lines, const ds_buf *statement,
                       const ds_note_new *by, ds_err *err);
/* The packs hold no more of it: nothing is pending. Nothing to do is fine. */
int ds_overlay_done(ds_catalog *c, const ds_note_new *by, ds_err *err);

#endif
