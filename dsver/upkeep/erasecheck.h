/* erasecheck.h - whether an erasure of another store changes nothing but what it erases.
 *
 * What is read in place of a block has a tombstone for each record that was erased, and all others
 * to the byte as they were; of a page of sources likewise. Whoever made it could have put anything
 * there, under roots that verify all the same. A store that still holds what is replaced can tell,
 * and has to before it gives that up. What it does not hold whole cannot be compared, and is not.
 *
 * `old` is what is read by here (NULL: nothing was erased), `fresh` what is to be in its place;
 * only lines that differ are looked at, once each, in the versions that refs here lead to. A block
 * is in memory at a time, twice. The caller keeps gc away. One thread.
 */
#ifndef DS_ERASECHECK_H
#define DS_ERASECHECK_H

#include "overlay.h"
#include "shaset.h"
#include "store.h"

/* Adds the pieces that the comparison will read of `fresh`. */
int ds_erasecheck_want(ds_shaset *want, ds_store *s, const ds_overlay *old, const ds_overlay *fresh,
                       ds_err *err);
/* Makes pieces of `fresh` that are not here, from what they replace, as far as that is here whole
 * and the erasure says which rows are tombstones: nobody may have them to give any more. What comes
 * out otherwise than `fresh` says stays missing. */
int ds_erasecheck_make(ds_store *s, const ds_overlay *old, const ds_overlay *fresh, ds_err *err);
/* DS_CORRUPT when something else was changed, or would be read again that was erased before; the
 * message names dataset, version, block, record and column, or page and source. Pieces of `fresh`
 * that are not here are errors too. */
int ds_erasecheck(ds_store *s, const ds_overlay *old, const ds_overlay *fresh, ds_err *err);

#endif
